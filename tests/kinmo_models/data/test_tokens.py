"""Token features on disk: computed once, whatever happens, and read back as they were."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from kinmo_annotate.schema.shards import DatasetError
from kinmo_models.data import tokens
from kinmo_models.data.tokens import TokenStore

TEXTS = ["a man walks", "he sits", "she turns left", "", "jumps", "a man walks far away", "he runs"]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of a few texts, so that there are several."""
    monkeypatch.setattr(tokens, "_PART_TOKENS", 10)


def parts(folder):
    return sorted(folder.rglob("part-*"))


def test_features_come_back_packed(letters, tmp_path):
    model = letters()
    store = TokenStore.of(TEXTS, model, tmp_path)
    asked = [TEXTS[place] for place in (4, 0, 4, 5, 3)]
    ids = store.ids(asked)
    packed, lengths = store.gather(ids)
    assert packed.dtype == np.float32
    assert lengths.tolist() == [3, 5, 3, 7, 2] == store.length(ids).tolist()
    assert np.array_equal(packed, np.concatenate([model.features(text) for text in asked]))
    assert store.length(ids[:4].reshape(2, 2)).shape == (2, 2)
    assert len(parts(tmp_path)) > 1
    assert len(store) == len(TEXTS)


def test_sentences_are_unit_means(letters, tmp_path):
    model = letters()
    store = TokenStore.of(TEXTS, model, tmp_path)
    found = store.sentences(store.ids(TEXTS[::-1]))
    means = np.stack([model.features(text).mean(axis=0) for text in TEXTS[::-1]])
    np.testing.assert_allclose(found, means / np.linalg.norm(means, axis=1, keepdims=True), rtol=1e-6)


def test_nothing_asked_nothing_given(letters, tmp_path):
    store = TokenStore.of([], letters(), tmp_path)
    packed, lengths = store.gather([])
    assert packed.shape == (0, 8)
    assert lengths.shape == (0,)
    assert store.sentences([]).shape == (0, 8)
    assert not list(tmp_path.iterdir())


def test_a_text_is_computed_once_whatever_dataset_it_comes_from(letters, tmp_path):
    first, told = letters(), []
    TokenStore.of(TEXTS[:4] * 2, first, tmp_path, lambda done, total: told.append((done, total)))
    assert sorted(first.asked) == sorted(TEXTS[:4])
    assert told[0] == (0, 4)
    assert told[-1] == (4, 4)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    second = letters()
    store = TokenStore.of(TEXTS[2:], second, tmp_path)
    assert sorted(second.asked) == sorted(TEXTS[4:])
    store.ids(TEXTS)  # also those of the other dataset
    third = letters()
    TokenStore.of(TEXTS, third, tmp_path, lambda *_: pytest.fail("nothing is left to compute"))
    assert not third.asked


def test_unknown_texts_have_no_id(letters, tmp_path):
    with pytest.raises(KeyError):
        TokenStore.of(TEXTS, letters(), tmp_path).ids(["never seen"])


def test_other_weights_have_their_own(letters, tmp_path):
    TokenStore.of(TEXTS, letters("v1"), tmp_path)
    other = letters("v2")
    TokenStore.of(TEXTS, other, tmp_path)
    assert sorted(other.asked) == sorted(TEXTS)
    assert len({path.parent for path in parts(tmp_path)}) == 2


class Stopped(Exception):
    """Stands for what ends a run at once."""


def stop_after(model, batches, error):
    """Let a model give so many batches and then end."""
    give = model.batches

    def some(texts):
        for number, batch in enumerate(give(texts)):
            if number == batches:
                raise error
            yield batch

    model.batches = some
    return model


def test_what_is_in_a_part_is_not_computed_again(letters, tmp_path):
    with pytest.raises(Stopped):
        TokenStore.of(TEXTS, stop_after(letters(at_once=1), 5, Stopped), tmp_path)
    kept = parts(tmp_path)
    assert kept
    model = letters()
    store = TokenStore.of(TEXTS, model, tmp_path)
    assert 0 < len(model.asked) < len(TEXTS)
    assert parts(tmp_path)[: len(kept)] == kept
    packed, _ = store.gather(store.ids(TEXTS))
    assert np.array_equal(packed, np.concatenate([model.features(text) for text in TEXTS]))


def test_ctrl_c_loses_nothing(letters, tmp_path, monkeypatch):
    monkeypatch.setattr(tokens, "_PART_TOKENS", 1 << 20)
    with pytest.raises(KeyboardInterrupt):
        TokenStore.of(TEXTS, stop_after(letters(at_once=1), 5, KeyboardInterrupt), tmp_path)
    model = letters()
    TokenStore.of(TEXTS, model, tmp_path)
    assert len(model.asked) == len(TEXTS) - 5


KILLED = """
    import sys, time
    from pathlib import Path
    import numpy as np
    from kinmo_models.data import tokens

    class Slow:
        name, fingerprint, width = "slow", "1", 4
        def batches(self, texts):
            for place, text in enumerate(texts):
                time.sleep(0.01)
                yield [place], np.full((1, 2, 4), len(text), np.float32)

    tokens._PART_TOKENS = 6
    cache, count = Path(sys.argv[1]), int(sys.argv[2])
    told = []
    store = tokens.TokenStore.of(["x" * n for n in range(count)], Slow(), cache, lambda *t: told.append(t))
    packed, _ = store.gather(store.ids(["x" * n for n in range(count)]))
    assert (packed[::2, 0] == np.arange(count)).all()
    print(told[0][0])
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_killed_run_goes_on(tmp_path, repository):
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)]
    running = subprocess.Popen([*command, "100000"], cwd=repository)
    until = time.monotonic() + 60
    while len(parts(tmp_path)) < 4 and time.monotonic() < until:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    whole = [path for path in parts(tmp_path) if not path.name.startswith(".")]
    assert len(whole) >= 4
    again = subprocess.run([*command, "60"], cwd=repository, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert int(again.stdout) == min(60, 3 * len(whole))


@pytest.mark.parametrize("name", ["keys", "lengths", "sentences", "tokens"])
@pytest.mark.parametrize("damage", ["lost", "short", "empty", "pickle", "other"])
def test_a_damaged_part_is_computed_again(letters, tmp_path, name, damage):
    TokenStore.of(TEXTS, letters(), tmp_path)
    before = parts(tmp_path)
    path = before[1] / f"{name}.npy"
    content = path.read_bytes()
    path.unlink()
    if damage == "pickle":
        np.save(path, np.array([{"an": "object"}]), allow_pickle=True)
    elif damage == "other":
        np.save(path, np.zeros((2, 3)))
    elif damage != "lost":
        path.write_bytes(content[:-1] if damage == "short" else b"")
    model = letters()
    store = TokenStore.of(TEXTS, model, tmp_path)
    assert 0 < len(model.asked) < len(TEXTS)
    packed, _ = store.gather(store.ids(TEXTS))
    assert np.array_equal(packed, np.concatenate([model.features(text) for text in TEXTS]))
    assert parts(tmp_path) == before  # the damaged one was replaced
    again = letters()
    TokenStore.of(TEXTS, again, tmp_path)
    assert not again.asked


def test_large_features_stay_finite(letters, tmp_path):
    model = letters()
    model.features = lambda text: np.full((2, 8), 1e6, np.float32)
    store = TokenStore.of(["one"], model, tmp_path)
    assert np.isfinite(store.gather([0])[0]).all()


def test_texts_that_are_no_utf8(letters, tmp_path):
    model = letters()
    model.features = lambda text: np.ones((2, 8), np.float32)
    assert len(TokenStore.of(["\ud800", "\ud801"], model, tmp_path)) == 2


def test_a_cache_that_cannot_be_written(letters, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatasetError, match="--cache-dir"):
        TokenStore.of(TEXTS, letters(), tmp_path / "file")


def test_ctrl_c_while_a_part_is_written_loses_nothing(letters, tmp_path, monkeypatch):
    write, tries = np.save, []

    def interrupted(*arguments, **options):
        tries.append(1)
        if len(tries) == 2:
            raise KeyboardInterrupt
        write(*arguments, **options)

    monkeypatch.setattr(tokens.np, "save", interrupted)
    model = letters(at_once=1)
    with pytest.raises(KeyboardInterrupt):
        TokenStore.of(TEXTS, model, tmp_path)
    again = letters()
    TokenStore.of(TEXTS, again, tmp_path)
    assert sorted(model.asked + again.asked) == sorted(TEXTS)
