"""The pairs of a split, and what makes figures doubtful."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kinmo_annotate.schema.records import NOT_DETERMINED, Caption
from kinmo_annotate.schema.shards import DatasetError
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.pairs import doubts, read_pairs


@pytest.fixture
def store(make_dataset: Callable[..., Path], tmp_path: Path) -> MotionStore:
    return MotionStore.open(make_dataset(4), tmp_path / "cache")


def test_pairs_are_those_of_the_split_in_the_order_of_ids(store: MotionStore):
    pairs = read_pairs(store, "test")
    assert pairs.motion_ids == ["000008", "000009", "000010", "000011"]
    assert pairs.captions[:2] == [
        "a person lifts the right arm [slowly]",
        "a person lifts the left arm [slowly]",
    ]
    assert pairs.fields[1]["left_arm"] == "The left arm rises and comes down again."
    index = store.motion_ids.index("000009")
    np.testing.assert_array_equal(pairs.features[1], store.features(index))


def test_a_motion_whose_captions_speak_of_parts_is_cut(store: MotionStore):
    """TMR cuts rows int(start * 20):int(end * 20); sentences of the whole motion do not fit the part."""
    index = store.motion_ids.index("000009")
    said = store.texts[index]
    part = (Caption("lifts", 0.1, 0.55), Caption("stands", 0.6, 0.7))
    store.texts[index] = type(said)(part, said.fields, part, said.mirrored_fields)
    pairs = read_pairs(store, "test")
    assert pairs.captions[1] == "lifts"
    np.testing.assert_array_equal(pairs.features[1], store.features(index)[2:11])
    assert set(pairs.fields[1].values()) == {NOT_DETERMINED}


def test_motions_without_captions_are_left_out(store: MotionStore):
    said = store.texts[0]
    for index in store.select("test")[1:]:
        store.texts[index] = type(said)((), said.fields, (), said.mirrored_fields)
    assert read_pairs(store, "test").left_out == 3
    store.texts[store.select("test")[0]] = store.texts[store.select("test")[1]]
    with pytest.raises(DatasetError, match="no motion of the split test has a caption"):
        read_pairs(store, "test")


def test_no_such_split_names_those_there_are(store: MotionStore):
    with pytest.raises(DatasetError, match=r"no motion of a split named .val."):
        read_pairs(store, "val")


def test_what_makes_figures_doubtful_is_said(store: MotionStore):
    mine = {name: store.split_fingerprint(name) for name in ("train", "test")}
    meta = {
        "dataset_fingerprint": store.fingerprint,
        "split_fingerprints": {"train": mine["train"], "val": "x"},
    }
    assert doubts(meta, store, "test") == []
    assert "has seen the answers" in doubts(meta, store, "train")[0]
    other = {"dataset_fingerprint": "other", "split_fingerprints": {"train": mine["test"]}}
    assert "has seen the answers" in doubts(other, store, "test")[0]
    chosen = {"dataset_fingerprint": "other", "split_fingerprints": {"train": "x", "val": mine["test"]}}
    assert "chosen on these" in doubts(chosen, store, "test")[0]
    elsewhere = {"dataset_fingerprint": "other", "split_fingerprints": {"train": "x", "val": "y"}}
    assert "another dataset" in doubts(elsewhere, store, "test")[0]
    assert "another dataset" in doubts({}, store, "test")[0]
