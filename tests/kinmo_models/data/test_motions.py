"""The store of motions: what it holds, that it is made once, and what it refuses."""

from __future__ import annotations

import dataclasses
import mmap
import threading

import numpy as np
import pytest

from kinmo_annotate import dataset
from kinmo_annotate.schema import shards
from kinmo_annotate.schema.features import joints_to_features
from kinmo_annotate.schema.mirror import mirror_text
from kinmo_annotate.schema.records import NO_MOVEMENT, NOT_DETERMINED, Caption
from kinmo_annotate.schema.shards import DatasetError, Manifest
from kinmo_annotate.schema.skeleton import FIELDS, mirror_field, mirror_joints
from kinmo_models.data import motions
from kinmo_models.data.motions import MotionStore

# ---------------------------------------------------------------- what it holds


def test_features_are_the_sources_or_computed_and_mirrored_ones_always_computed(make_dataset, tmp_path):
    folder = make_dataset(4)
    store = MotionStore.open(folder, tmp_path / "cache")
    rows = list(shards.read_rows(folder))
    assert store.motion_ids == [row.motion.motion_id for row in rows]
    assert store.splits == [row.motion.split for row in rows]
    assert set(store.sources) == {"made up"}
    assert len(store) == 12
    brought = 0
    for index, row in enumerate(rows):
        motion = row.motion
        expected = joints_to_features(motion.joints) if motion.features is None else motion.features
        brought += motion.features is not None
        assert np.array_equal(store.features(index), expected)
        assert np.array_equal(store.features(index, True), joints_to_features(mirror_joints(motion.joints)))
        assert store.lengths[index] == len(expected)
    assert brought == 4


def test_features_of_another_length_than_the_joints_are_kept(make_rows, write_dataset, with_motion, tmp_path):
    """HumanML3D's joints are recovered from the features: as many rows as frames."""
    (row,) = make_rows(1)
    frames = len(row.motion.joints)
    features = np.ones((frames, 263), np.float32)
    store = MotionStore.open(write_dataset({"train": [with_motion(row, features=features)]}), tmp_path / "c")
    assert (store.lengths[0], store.mirrored_lengths[0]) == (frames, frames - 1)
    assert len(store.features(0, True)) == frames - 1


def test_features_are_mapped_and_cannot_be_written(make_dataset, tmp_path):
    view = MotionStore.open(make_dataset(1), tmp_path / "cache").features(1)
    assert not view.flags.writeable
    base = view
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap)


def test_each_field_and_caption_is_mirrored(make_rows, write_dataset, with_motion, tmp_path):
    (row,) = make_rows(1)
    said = (Caption("walks right away, to the left"), Caption("sits", 0.5, 1.0))
    texts = {name: f"The right {name} moves right away" for name in FIELDS}
    row = dataclasses.replace(with_motion(row, captions=said), descriptions=texts)
    (found,) = MotionStore.open(write_dataset({"train": [row]}), tmp_path / "cache").texts
    assert found.captions == said
    assert found.mirrored_captions == (Caption("walks right away, to the right"), said[1])
    assert found.fields == tuple(texts[name] for name in FIELDS)
    for name in FIELDS:
        assert found.mirrored_fields[FIELDS.index(mirror_field(name))] == mirror_text(texts[name])


def test_what_is_missing_of_the_texts_is_not_determined(make_rows, write_dataset, tmp_path):
    def change(record):
        record["groups"] |= {"torso": None, "neck": " "}
        record["interactions"] = None
        record["captions"] = [{"text": "", "start_s": 0.0, "end_s": 0.0}, None, *record["captions"]]
        record["captions"][-1] |= {"start_s": None, "end_s": float("nan")}

    store = MotionStore.open(write_dataset({"train": make_rows(1)}, change=change), tmp_path / "cache")
    (texts,) = store.texts
    assert texts.fields[:2] == texts.fields[6:8] == (NOT_DETERMINED, NOT_DETERMINED)
    assert texts.fields[2] == NO_MOVEMENT
    assert texts.captions == (Caption("a person lifts the right arm [slowly]"), Caption("stands"))


def test_a_motion_without_captions_has_none(make_rows, write_dataset, tmp_path):
    folder = write_dataset({"train": make_rows(1)}, change=lambda record: record.update(captions=None))
    assert MotionStore.open(folder, tmp_path / "cache").texts[0].captions == ()


def test_distinct_texts(make_dataset, tmp_path):
    store = MotionStore.open(make_dataset(2), tmp_path / "cache")
    every, plain = store.distinct_texts(), store.distinct_texts([0], mirrored=False)
    assert len(set(every)) == len(every)
    assert every[0] == plain[0] == NOT_DETERMINED
    assert "a person lifts the right arm [slowly]" in plain
    assert "a person lifts the left arm [slowly]" not in plain
    assert set(plain) < set(store.distinct_texts([0])) <= set(every)


def test_select_and_the_fingerprint_of_a_split(make_dataset, make_rows, write_dataset, with_motion, tmp_path):
    store = MotionStore.open(make_dataset(2), tmp_path / "cache")
    assert store.select("test") == [0, 1]  # in the order of the shards' names
    assert store.select("train") == [2, 3, 4, 5]
    with pytest.raises(DatasetError, match=r"'val'.*test \(2\), train \(4\)"):
        store.select("val")
    rows = make_rows(4)
    other = [with_motion(rows[0], captions=(Caption("jumps"),)), *rows[1:]]
    prints = [
        MotionStore.open(write_dataset({"train": some}, name), tmp_path / "cache").split_fingerprint("train")
        for name, some in (("same", rows), ("turned", rows[::-1]), ("other", other), ("fewer", rows[:3]))
    ]
    assert prints[0] == prints[1] == store.split_fingerprint("train")
    assert len(set(prints)) == 3


# ---------------------------------------------------------------- made once


@pytest.fixture
def count_made(monkeypatch):
    """Count how often a cache is made."""
    made, make = [], motions._make
    monkeypatch.setattr(motions, "_make", lambda *arguments: (made.append(1), make(*arguments))[1])
    return made


def all_features(store):
    return [store.features(index, mirrored) for index in range(len(store)) for mirrored in (False, True)]


def test_the_second_opening_computes_nothing(make_dataset, tmp_path, count_made):
    folder, told = make_dataset(2), []
    first = MotionStore.open(folder, tmp_path / "cache", lambda done, total: told.append((done, total)))
    assert told == [(done, 6) for done in range(1, 7)]
    second = MotionStore.open(folder, tmp_path / "cache", lambda *_: pytest.fail("computes again"))
    assert len(count_made) == 1
    assert second.texts == first.texts
    assert second.fingerprint == first.fingerprint
    assert all(map(np.array_equal, all_features(second), all_features(first)))


@pytest.mark.parametrize("name", ["motions.parquet", "features.f32", "mirrored.f32"])
@pytest.mark.parametrize("damage", ["lost", "short", "long", "empty"])
def test_a_damaged_cache_is_made_again(make_dataset, tmp_path, count_made, name, damage):
    folder = make_dataset(2)
    before = [view.copy() for view in all_features(MotionStore.open(folder, tmp_path / "cache"))]
    (path,) = (tmp_path / "cache").rglob(name)
    content = path.read_bytes()
    path.unlink()
    if damage != "lost":
        path.write_bytes({"short": content[:-9], "long": content + b"x", "empty": b""}[damage])
    after = all_features(MotionStore.open(folder, tmp_path / "cache"))
    assert len(count_made) == 2
    assert all(map(np.array_equal, before, after))


def test_a_flipped_byte_in_the_texts_is_seen(make_dataset, tmp_path, count_made):
    folder = make_dataset(2)
    before = MotionStore.open(folder, tmp_path / "cache").texts
    (path,) = (tmp_path / "cache").rglob("motions.parquet")
    content = bytearray(path.read_bytes())
    content[40] ^= 255
    path.write_bytes(content)
    assert MotionStore.open(folder, tmp_path / "cache").texts == before
    assert len(count_made) == 2


def test_processes_that_open_together_make_it_once(make_dataset, tmp_path, count_made):
    folder, stores = make_dataset(3), []
    threads = [
        threading.Thread(target=lambda: stores.append(MotionStore.open(folder, tmp_path / "cache")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(count_made) == 1
    assert len({store.fingerprint for store in stores}) == 1
    assert len(stores) == 4


def test_an_interrupted_making_leaves_nothing_and_is_done_again(make_dataset, tmp_path):
    folder = make_dataset(2)

    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MotionStore.open(folder, tmp_path / "cache", interrupt)
    assert [path.name for path in (tmp_path / "cache" / "motions").iterdir()] == [".lock"]
    assert len(MotionStore.open(folder, tmp_path / "cache")) == 6


def test_another_state_of_a_dataset_takes_the_place_of_the_earlier(make_dataset, tmp_path):
    cache = tmp_path / "cache"
    one, other = make_dataset(2), make_dataset(3, "other")
    old = MotionStore.open(one, cache).fingerprint
    MotionStore.open(other, cache)
    (one / "kinmo.json").write_bytes((other / "kinmo.json").read_bytes())
    for path in (other / "data").iterdir():
        (one / "data" / path.name).write_bytes(path.read_bytes())
    manifest = Manifest.load(one)
    manifest.shards = [shard for shard in manifest.shards if shard.name != "train-00000.parquet"]
    manifest.save(one)
    new = MotionStore.open(one, cache)
    assert len(new) == 6
    kept = {path.name.split("-")[0] for path in (cache / "motions").iterdir() if path.is_dir()}
    assert kept == {new.fingerprint, MotionStore.open(other, cache).fingerprint}
    assert old not in kept


# ---------------------------------------------------------------- what it refuses


def refused(folder, tmp_path, match):
    with pytest.raises(DatasetError, match=match) as caught:
        MotionStore.open(folder, tmp_path / "cache")
    assert caught.value.remedy
    assert not list((tmp_path / "cache").rglob("motions.parquet"))
    return caught.value


def test_no_dataset_texts_only_and_no_motion(make_dataset, write_dataset, tmp_path):
    refused(tmp_path, tmp_path, "not a KinMo dataset")
    dataset.export_texts(make_dataset(1), tmp_path / "texts")
    assert "kinmo dataset join" in refused(tmp_path / "texts", tmp_path, "texts only").remedy
    refused(write_dataset({"train": []}, "empty"), tmp_path, "holds no motion")


def test_joined_again_it_opens(make_dataset, make_folder, tmp_path):
    dataset.export_texts(make_dataset(2), tmp_path / "texts")
    dataset.join(tmp_path / "texts", make_folder(6), tmp_path / "joined")
    assert len(MotionStore.open(tmp_path / "joined", tmp_path / "cache")) == 6


def test_a_motion_at_another_rate(make_rows, write_dataset, with_motion, tmp_path):
    rows = [with_motion(row, fps=30.0) if n == 1 else row for n, row in enumerate(make_rows(2))]
    error = refused(write_dataset({"train": rows}), tmp_path, "motion 000001 has 30.0 frames per second")
    assert error.where.endswith("train-00000.parquet")


def test_a_motion_without_joints(make_rows, write_dataset, tmp_path):
    refused(write_dataset({"train": make_rows(1)}, joints=False), tmp_path, "000000 carries no joints.*join")


def test_features_that_are_not_finite(make_rows, write_dataset, with_motion, tmp_path):
    features = np.zeros((40, 263), np.float32)
    features[[7, 9], 3] = np.nan
    rows = [with_motion(row, features=features) if n == 1 else row for n, row in enumerate(make_rows(2))]
    refused(write_dataset({"train": rows}), tmp_path, "000001 has NaN.*2 of 40 feature rows, first in row 7")


def test_a_motion_that_gives_no_features(make_rows, write_dataset, tmp_path):
    row = make_rows(2)[1]
    row.motion.joints[3, 20] = row.motion.joints[3, 18]
    refused(write_dataset({"train": [row]}), tmp_path, "000001: the bone from left_elbow to left_wrist")
    short = make_rows(2)[1]
    object.__setattr__(short.motion, "joints", short.motion.joints[:1])
    refused(write_dataset({"train": [short]}, "short"), tmp_path, "000001: has 1 frames, at least 2")


@pytest.mark.parametrize("damage", ["flip", "cut", "lose"])
def test_a_damaged_shard(make_dataset, tmp_path, damage):
    folder = make_dataset(2)
    path = folder / "data/train-00001.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    if damage == "lose":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[:-100])
    refused(folder, tmp_path, "train-00001.parquet")


def test_a_cache_that_cannot_be_written(make_dataset, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(DatasetError, match="--cache-dir"):
        MotionStore.open(make_dataset(1), tmp_path / "cache")


def test_a_disk_that_is_too_small_is_told_beforehand(make_dataset, tmp_path, monkeypatch):
    small = dataclasses.make_dataclass("Usage", ["free"])(1000)
    monkeypatch.setattr(motions.shutil, "disk_usage", lambda folder: small)
    refused(make_dataset(1), tmp_path, "take 0.0 GB and 0.0 GB are free.*--cache-dir")
