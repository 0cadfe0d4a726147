"""The pipeline: every motion asked for becomes a row or a failure, the same whatever the workers."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from kinmo_annotate.pipeline import STAGES, Settings, annotate
from kinmo_annotate.resume import plan_shards
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import Manifest, read_failures, read_rows
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_annotate.sources import open_source
from kinmo_annotate.sources.base import Entry

pytestmark = pytest.mark.usefixtures("quick_encoder")
HERE = Settings(workers=1, shard_size=4)


def same_files(one: Path, other: Path) -> bool:
    names = [sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) for folder in (one, other)]
    files = [name for name in names[0] if (one / name).is_file()]
    return names[0] == names[1] and all((one / n).read_bytes() == (other / n).read_bytes() for n in files)


def failing(motion, *, seed):
    """Stand in for a describer that has its limits."""
    if motion.motion_id == "000003":
        raise MotionError(motion.motion_id, "is beyond words", "Leave it out.")
    if motion.motion_id == "000006":
        raise ZeroDivisionError("a mistake of ours")
    texts = dict.fromkeys(FIELDS, "No notable movement.")
    if motion.motion_id == "000008":
        texts["left_arm"] = " "
    return texts


def test_every_motion_becomes_a_row(make_folder, tmp_path, arm_motion):
    summary = annotate(open_source(make_folder(11)), tmp_path / "d", HERE)
    rows = {row.motion.motion_id: row for row in read_rows(tmp_path / "d")}
    assert (summary.asked, summary.rows, summary.failures, summary.complete) == (11, 11, [], True)
    assert sorted(rows) == [f"{number:06d}" for number in range(11)]
    for number, row in enumerate(rows[key] for key in sorted(rows)):
        assert all(row.descriptions[name].strip() for name in FIELDS)
        frames = [keyframe.frame for keyframe in row.keyframes]
        assert frames[0] == 0
        assert frames[-1] == len(row.motion.joints) - 1
        np.testing.assert_allclose(row.motion.joints, arm_motion(number), atol=1e-6)
    assert summary.keyframes == sum(len(row.keyframes) for row in rows.values())
    assert summary.frames == sum(len(row.motion.joints) for row in rows.values())


def test_provenance_says_how_each_row_was_made(make_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    settings = Settings(workers=1, keyframe_threshold=0.7, seed=5)
    annotate(open_source(make_folder(1)), tmp_path / "d", settings)
    made = next(iter(read_rows(tmp_path / "d"))).provenance
    assert made.describer == "kinematic"
    assert made.captioner == "posecodes"
    assert made.sbert_model == "word-counts"
    assert made.keyframe_threshold == pytest.approx(0.7)
    assert made.seed == 5
    assert made.created_at == "2023-11-14T22:13:20+00:00"


def test_shards_are_fixed_slices_of_each_split(make_folder, tmp_path):
    annotate(open_source(make_folder(11)), tmp_path / "d", HERE)
    shards = {shard.name: shard.rows for shard in Manifest.load(tmp_path / "d").shards}
    assert shards == {
        "test-00000.parquet": 2,
        "train-00000.parquet": 4,
        "train-00001.parquet": 4,
        "train-00002.parquet": 1,
    }


def test_plan_keeps_order_and_loses_nothing():
    entries = [Entry(str(n), f"{n}.npy", "train" if n % 3 else "val") for n in range(20)]
    plans = plan_shards(entries, 5)
    assert Counter(entry for plan in plans for entry in plan.entries) == Counter(entries)
    for split in ("train", "val"):
        listed = [entry for plan in plans if plan.name.startswith(split) for entry in plan.entries]
        assert listed == [entry for entry in entries if entry.split == split]


@pytest.mark.parametrize("encoder", ["caption", "sentence"])
def test_the_bytes_do_not_depend_on_the_workers(make_folder, tmp_path, monkeypatch, encoder):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    source = open_source(make_folder(40))
    for workers in (1, 2):
        settings = Settings(workers=workers, shard_size=12, encoder=encoder)
        annotate(source, tmp_path / str(workers), settings)
    assert same_files(tmp_path / "1", tmp_path / "2")


def test_a_motion_that_fails_leaves_the_others_unharmed(make_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("kinmo_annotate.stages._import", lambda target: _by_target(target))
    folder = make_folder(11)
    (folder / "new_joints" / "000001.npy").write_bytes(b"nothing")
    source = open_source(folder)
    summary = annotate(source, tmp_path / "d", Settings(workers=1, describer="here:failing", shard_size=4))
    failures = {failure.motion_id: failure for failure in read_failures(tmp_path / "d")}
    assert summary.rows == 7
    assert summary.rows + len(failures) == summary.asked == 11
    assert {key: one.stage for key, one in failures.items()} == {
        "000001": "load",
        "000003": "describe",
        "000006": "describe",
        "000008": "describe",
    }
    assert failures["000003"].reason == "is beyond words"
    assert failures["000006"].reason == "unexpected ZeroDivisionError: a mistake of ours"
    assert "left_arm" in failures["000008"].reason
    assert all(failure.remedy for failure in failures.values())


def _by_target(target: str):
    import importlib

    module, _, name = target.partition(":")
    return failing if target == "here:failing" else getattr(importlib.import_module(module), name)


def test_a_shard_whose_motions_all_fail_leaves_no_file(make_folder, tmp_path):
    folder = make_folder(10)
    for number in (0, 1, 2, 3):
        (folder / "new_joints" / f"{number:06d}.npy").write_bytes(b"")
    summary = annotate(open_source(folder), tmp_path / "d", HERE)
    assert not (tmp_path / "d/data/train-00000.parquet").exists()
    assert (summary.rows, len(summary.failures), summary.complete) == (6, 4, True)
    assert len(list(read_rows(tmp_path / "d"))) == 6
    again = annotate(open_source(folder), tmp_path / "d", HERE)
    assert (again.rows, again.kept, again.texts, len(again.failures)) == (6, 6, 0, 4)


def test_all_failing_is_still_a_dataset(make_folder, tmp_path):
    folder = make_folder(2)
    for path in (folder / "new_joints").iterdir():
        path.write_bytes(b"")
    summary = annotate(open_source(folder), tmp_path / "d", HERE)
    assert (summary.rows, len(read_failures(tmp_path / "d")), summary.complete) == (0, 2, True)


def test_what_listing_finds_missing_is_counted(make_folder, tmp_path):
    folder = make_folder(4)
    (folder / "new_joints" / "000002.npy").unlink()
    summary = annotate(open_source(folder), tmp_path / "d", HERE)
    assert (summary.asked, summary.rows) == (4, 3)
    assert [failure.motion_id for failure in summary.failures] == ["000002"]


def test_limit(make_folder, tmp_path):
    summary = annotate(open_source(make_folder(9)), tmp_path / "d", Settings(workers=1, limit=3))
    assert (summary.asked, summary.rows) == (3, 3)


def test_progress_adds_up(make_folder, tmp_path):
    class Watcher:
        def __init__(self):
            self.expected, self.done = Counter(), Counter()

        def expect(self, stage, amount):
            self.expected[stage] += amount

        def advance(self, stage, amount):
            self.done[stage] += amount
            assert self.done[stage] <= self.expected[stage]

    watcher = Watcher()
    summary = annotate(open_source(make_folder(9)), tmp_path / "d", HERE, progress=watcher)
    assert watcher.done == watcher.expected
    assert set(watcher.done) == {*STAGES} - {"ask"}  # the rules ask nobody
    assert watcher.done["embeddings"] == summary.texts > 0
    assert set(summary.seconds) == {*STAGES} - {"ask"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"captioner": "poetry"}, "Choose one of"),
        ({"captioner": "text2pose"}, "Install it from"),
        ({"describer": "nowhere:nothing"}, "nowhere"),
    ],
)
def test_an_unknown_stage_is_told_before_anything_is_written(
    make_folder, tmp_path, monkeypatch, settings, words
):
    monkeypatch.setitem(sys.modules, "text2pose", None)  # as where it is not installed
    with pytest.raises(MotionError, match=words):
        annotate(open_source(make_folder(1)), tmp_path / "d", Settings(workers=1, **settings))
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"encoder": "words"},
        {"keyframe_threshold": 2.0},
        {"keyframe_gap": 0},
        {"limit": 0},
        {"workers": -1},
        {"shard_size": 0},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(MotionError, match="out of range"):
        Settings(**settings)
