import os
import sqlite3

import diskcache
import numpy as np
import pytest

from kinmo_annotate.embeddings import TextEncoder, open_encoder
from kinmo_annotate.schema.records import MotionError


class Letters:
    """A model that counts letters; like a real one it gives other last bits to texts that are padded."""

    def __init__(self):
        self.asked = []

    def tokenizer(self, texts):
        return {"input_ids": [text.split() for text in texts]}

    def encode(self, texts, **options):
        assert options["normalize_embeddings"]
        self.asked += texts
        longest = max(len(text.split()) for text in texts)
        rows = [[text.count(letter) + 1 for letter in "abcdefgh"] for text in texts]
        padding = [[1e-7 * (longest - len(text.split()))] * 8 for text in texts]
        rows = np.array(rows, np.float32) + np.array(padding, np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def cache(tmp_path):
    with diskcache.Cache(str(tmp_path / "cache")) as opened:
        yield opened


TEXTS = ["a", "a b", "c d e", "b", "a b c d", "f g", "h"]


def test_an_embedding_does_not_depend_on_the_company():
    alone = [TextEncoder(Letters(), "m", "", None).encode([text])[0] for text in TEXTS]
    together = TextEncoder(Letters(), "m", "", None).encode(TEXTS)
    assert together.dtype == np.float32
    assert (together == np.stack(alone)).all()


@pytest.mark.parametrize("way", ["get", "set"])
def test_a_cache_that_fails_while_in_use_costs_no_run(cache, monkeypatch, way):
    def full(*arguments, **options):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(cache, way, full)
    model = Letters()
    encoder = TextEncoder(model, "m", "", cache)
    assert (encoder.encode(TEXTS) == TextEncoder(Letters(), "m", "", None).encode(TEXTS)).all()
    assert sorted(model.asked) == sorted(TEXTS)
    encoder.encode(TEXTS)  # and again without it


def test_each_text_is_embedded_once_and_kept(cache):
    first, second = Letters(), Letters()
    once = TextEncoder(first, "m", "", cache).encode([*TEXTS, *TEXTS[:3]])
    assert sorted(first.asked) == sorted(TEXTS)
    again = TextEncoder(second, "m", "", cache).encode([*TEXTS, *TEXTS[:3]])
    assert not second.asked
    assert (again == once).all()


def test_another_model_or_other_weights_have_their_own_embeddings(cache):
    TextEncoder(Letters(), "m", "v1", cache).encode(TEXTS)
    for name, version in (("m", "v2"), ("n", "v1")):
        model = Letters()
        TextEncoder(model, name, version, cache).encode(TEXTS[:2])
        assert model.asked == TEXTS[:2]


def test_a_model_without_a_tokenizer_is_asked_text_by_text():
    model = Letters()
    model.tokenizer = None
    assert TextEncoder(model, "m", "", None).encode(TEXTS).shape == (len(TEXTS), 8)
    assert TextEncoder(model, "m", "", None).encode([]).shape[0] == 0


@pytest.mark.slow
def test_the_model_that_comes_with_kinmo(tmp_path):
    encoder = open_encoder(None, tmp_path / "cache")
    texts = [
        "The left hand is above the neck.",
        "The right hand is above the neck.",
        "The knees are bent.",
        "Hi.",
    ]
    vectors = encoder.encode(texts)
    assert vectors.shape == (4, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    for number, text in enumerate(texts):  # alone, and without the cache
        fresh = open_encoder(None, tmp_path / f"cache{number}")
        assert (fresh.encode([text])[0] == vectors[number]).all()
    assert (open_encoder(None, tmp_path / "cache").encode(texts[::-1])[::-1] == vectors).all()


@pytest.mark.slow
def test_pose_captions_embed_to_the_same_bits_in_any_batch(tmp_path, arm_motion):
    from kinmo_annotate.posecodes import caption_motions

    captions = caption_motions([arm_motion(number) for number in range(14)], seed=0)
    texts = list(dict.fromkeys(text for one in captions for text in one.texts))
    encoder = open_encoder(None, tmp_path / "all")
    encoder._cache = None
    whole = encoder.encode(texts)
    shuffled = np.random.default_rng(0).permutation(len(texts))
    parts = np.concatenate([encoder.encode([texts[i] for i in part]) for part in np.array_split(shuffled, 5)])
    assert (parts == whole[shuffled]).all()


def test_a_model_that_is_not_there_is_told(tmp_path):
    pytest.importorskip("sentence_transformers")
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    with pytest.raises(MotionError, match="HF_HUB_OFFLINE=0"):
        open_encoder(str(tmp_path / "no-such-model"), tmp_path / "cache")


def test_a_cache_that_cannot_be_opened_is_told(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(MotionError, match="cache-dir"):
        open_encoder(None, blocked / "cache")
