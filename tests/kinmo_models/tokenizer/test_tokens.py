"""The tokens of a dataset: computed once, mapped afterwards, and made again where they are damaged."""

from __future__ import annotations

import numpy as np
import pytest

from kinmo_models.data.motions import MotionStore
from kinmo_models.tokenizer.tokenizer import Tokenizer
from kinmo_models.tokenizer.tokens import TokenisedMotions


@pytest.fixture
def store(run, tmp_path) -> MotionStore:
    """The dataset that the tokenizer was trained on."""
    return MotionStore.open(tmp_path / "dataset", tmp_path / "cache")


@pytest.fixture
def tokenizer(run) -> Tokenizer:
    return Tokenizer.from_pretrained(run, device="cpu")


def folders(tmp_path):
    return [path for path in (tmp_path / "cache/motion-tokens").iterdir() if path.is_dir()]


def test_they_are_those_of_each_motion_whole(store, tokenizer, tmp_path):
    told = []
    found = TokenisedMotions.of(store, tokenizer, tmp_path / "cache", lambda *done: told.append(done))
    assert len(found) == len(store) == 18
    assert told == [(18, 36), (36, 36)]
    for index in range(len(store)):
        for mirrored in (False, True):
            tokens = found.tokens(index, mirrored)
            assert tokens.dtype == np.int16
            np.testing.assert_array_equal(tokens, tokenizer.encode([store.features(index, mirrored)])[0])
        assert (found.lengths[index], found.mirrored_lengths[index]) == (
            len(found.tokens(index)), len(found.tokens(index, True)),
        )  # fmt: skip
    assert not found.tokens(0).flags.writeable


def test_they_are_computed_once(store, tokenizer, tmp_path, monkeypatch):
    first = TokenisedMotions.of(store, tokenizer, tmp_path / "cache")
    monkeypatch.setattr(tokenizer, "encode", lambda features: pytest.fail("encoded again"))
    again = TokenisedMotions.of(store, tokenizer, tmp_path / "cache")
    np.testing.assert_array_equal(first.tokens(5), again.tokens(5))


def test_another_tokenizer_has_its_own(store, tokenizer, tmp_path):
    TokenisedMotions.of(store, tokenizer, tmp_path / "cache")
    tokenizer.fingerprint = "another"
    TokenisedMotions.of(store, tokenizer, tmp_path / "cache")
    assert len(folders(tmp_path)) == 2


@pytest.mark.parametrize("content", [b"", b"\x80\x04N.", None])
def test_a_damaged_cache_is_made_again(store, tokenizer, tmp_path, content):
    whole = TokenisedMotions.of(store, tokenizer, tmp_path / "cache").tokens(3, True).copy()
    path = folders(tmp_path)[0] / "mirrored.npy"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    again = TokenisedMotions.of(store, tokenizer, tmp_path / "cache")
    np.testing.assert_array_equal(again.tokens(3, True), whole)


def test_what_is_not_finished_is_not_taken_for_a_cache(store, tokenizer, tmp_path, monkeypatch):
    encode = tokenizer.encode

    def interrupted(features):
        raise KeyboardInterrupt

    monkeypatch.setattr(tokenizer, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        TokenisedMotions.of(store, tokenizer, tmp_path / "cache")
    assert folders(tmp_path) == []
    monkeypatch.setattr(tokenizer, "encode", encode)
    assert len(TokenisedMotions.of(store, tokenizer, tmp_path / "cache").tokens(0)) > 0
