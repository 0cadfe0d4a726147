"""What is said of motions: how it is kept in an index, and how it orders what was found."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from kinmo_annotate.schema.records import Caption
from kinmo_models.retrieval import captions as captions_module
from kinmo_models.retrieval.captions import candidates, order_anew, write_captions

WORDS = {"waves": [1.0, 0.0, 0.0], "greets": [0.6, 0.8, 0.0], "sits": [0.0, 0.0, 1.0]}


class Encoder:
    """Knows three texts."""

    def encode_sentences(self, texts):
        return np.array([WORDS.get(text, [0, 0, 0]) for text in texts], np.float32)


def store_of(*said):
    return SimpleNamespace(texts=[SimpleNamespace(captions=tuple(map(Caption, one))) for one in said])


@pytest.mark.parametrize("batch", [1, 2, 32_768])
def test_a_motion_has_the_mean_of_its_captions_and_one_without_has_zeros(tmp_path, monkeypatch, batch):
    monkeypatch.setattr(captions_module, "_BATCH", batch)
    told = []
    store = store_of(["waves", "greets"], [], ["sits"])
    assert write_captions(Encoder(), store, tmp_path / "captions.npy", told.append)
    rows = np.load(tmp_path / "captions.npy", allow_pickle=False)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, [np.array([2, 1, 0]) / np.sqrt(5), [0, 0, 0], [0, 0, 1]], atol=1e-6)
    assert sum(told) == 3


def test_nothing_is_written_where_nothing_is_said(tmp_path):
    assert not write_captions(Encoder(), store_of([], []), tmp_path / "captions.npy", lambda more: None)
    assert not list(tmp_path.iterdir())


def test_captions_count_as_many_times_as_they_are_to():
    similarities = np.array([0.5, 0.4, 0.3], np.float32)
    rows = np.array([2, 0, 1])
    captions = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    asked = np.array([1, 0], np.float32)
    for weight, best in ((0.05, [2, 0, 1]), (0.2, [0, 2, 1]), (2.0, [0, 1, 2])):
        order, alike = order_anew(similarities, rows, captions, asked, weight)
        assert rows[order].tolist() == best
        np.testing.assert_allclose(alike, [0, 1, 0.6], atol=1e-6)


def test_a_motion_without_captions_counts_as_the_mean_of_the_others():
    similarities = np.array([0.5, 0.4, 0.3], np.float32)
    captions = np.array([[0, 0], [1, 0], [0, 1]], np.float32)
    order, alike = order_anew(similarities, np.arange(3), captions, np.array([1, 0], np.float32), 1.0)
    assert order.tolist() == [1, 0, 2]  # 1.4, 0.5 + 0.5, 0.3
    assert np.isnan(alike).tolist() == [True, False, False]
    order, alike = order_anew(similarities[:1], np.zeros(1, int), captions, np.array([1, 0], np.float32), 1.0)
    assert order.tolist() == [0]
    assert np.isnan(alike).all()


def test_more_are_ordered_anew_than_are_asked_for():
    assert candidates(10) == 1000
    assert candidates(500) == 5000
