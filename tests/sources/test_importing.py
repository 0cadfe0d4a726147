"""Importing any source into HumanML3D's layout: what is written, what fails, stops and kills."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from bodies import bvh_text, humanml3d_folder, walk

from kinmo_annotate.schema.features import features_to_joints, joints_to_features
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.sources import open_source
from kinmo_annotate.sources.importing import JOURNAL, import_motions, settings_of


@pytest.fixture
def bvh_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mocap"
    folder.mkdir()
    for name in "abcd":
        (folder / f"{name}.bvh").write_text(bvh_text(frames=20 + ord(name) % 5))
    (folder / "broken.bvh").write_text(bvh_text()[:-50])
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_joints_vectors_texts_and_lists_are_written(bvh_folder, tmp_path):
    out = tmp_path / "out"
    source = open_source(bvh_folder)
    summary = import_motions(source, out)
    assert (summary.written, summary.kept, len(summary.failures), summary.complete) == (4, 0, 1, True)
    assert sum(summary.notes.values()) == 4
    assert "unit centimetres" in next(iter(summary.notes))
    features = np.load(out / "new_joint_vecs/a.npy")
    joints = source.load(source.entries()[0]).joints
    np.testing.assert_array_equal(features, joints_to_features(joints))
    np.testing.assert_array_equal(np.load(out / "new_joints/a.npy"), features_to_joints(features))
    assert (out / "texts/a.txt").read_text() == ""
    assert (out / "all.txt").read_text() == "a\nb\nc\nd\n"
    with (out / "failures.csv").open() as file:
        (failed,) = csv.DictReader(file)
    assert failed["motion_id"] == "broken"
    assert "expected 69" in failed["reason"]
    assert not list(out.rglob("*.tmp"))


def test_what_is_written_can_be_read_and_tells_where_it_came_from(bvh_folder, tmp_path):
    import_motions(open_source(bvh_folder), tmp_path / "out")
    again = open_source(tmp_path / "out")
    assert again.name == "humanml3d"
    assert again.failures() == []
    motion = again.load(again.entries()[0])
    assert (motion.source.dataset, motion.source.path) == ("BVH", "a.bvh")
    assert len(motion.features) == len(motion.joints)


def test_humanml3d_comes_through_with_captions_splits_and_vectors_unchanged(tmp_path):
    folder = humanml3d_folder(tmp_path / "in", {"a": "train", "b": "test"})
    (folder / "new_joint_vecs").mkdir()
    features = joints_to_features(walk())
    np.save(folder / "new_joint_vecs/a.npy", features)
    np.save(folder / "new_joints/a.npy", features_to_joints(features))
    out = tmp_path / "out"
    import_motions(open_source(folder), out)
    np.testing.assert_array_equal(np.load(out / "new_joint_vecs/a.npy"), features)
    np.testing.assert_array_equal(np.load(out / "new_joints/a.npy"), features_to_joints(features))
    before, after = open_source(folder), open_source(out)
    assert [(e.motion_id, e.split) for e in after.entries()] == [
        (e.motion_id, e.split) for e in before.entries()
    ]
    assert after.load(after.entries()[1]).captions == before.load(before.entries()[1]).captions


def test_a_stopped_import_goes_on_and_ends_in_the_same_bytes(bvh_folder, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    import_motions(open_source(bvh_folder), whole)
    answers = iter([False, False, True])
    first = import_motions(open_source(bvh_folder), parts, stop=lambda: next(answers))
    assert (first.written, first.complete) == (2, False)
    assert (parts / "all.txt").read_text() == "a\nb\n"
    second = import_motions(open_source(bvh_folder), parts)
    assert (second.written, second.kept, second.complete) == (2, 2, True)
    assert everything(parts) == everything(whole)


@pytest.mark.parametrize("moment", [0, 1, 2, 4, 7, 8, 11, 13])
def test_a_kill_at_any_write_loses_doubles_and_half_writes_nothing(bvh_folder, tmp_path, monkeypatch, moment):
    whole, out = tmp_path / "whole", tmp_path / "out"
    import_motions(open_source(bvh_folder), whole)
    from kinmo_annotate.sources import importing

    writes, real = iter(range(1000)), importing._write

    def killed(path, content):
        if next(writes) == moment:
            path.with_name(f"{path.name}.tmp").write_bytes(content[: len(content) // 2])
            raise KeyboardInterrupt
        real(path, content)

    monkeypatch.setattr(importing, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        import_motions(open_source(bvh_folder), out)
    monkeypatch.setattr(importing, "_write", real)
    if (out / JOURNAL).exists():
        with (out / JOURNAL).open("a") as journal:
            journal.write('{"id": "torn')  # the line that was being written
    summary = import_motions(open_source(bvh_folder), out)
    assert summary.written + summary.kept == 4
    assert everything(out) == everything(whole)


def test_other_settings_and_other_folders_are_refused(bvh_folder, tmp_path):
    out = tmp_path / "out"
    import_motions(open_source(bvh_folder), out, settings=settings_of(bvh_folder, None, 0.0))
    skipped = open_source(bvh_folder, skip_s=0.1)
    with pytest.raises(MotionError, match=r"another skip_s.*--force"):
        import_motions(skipped, out, settings=settings_of(bvh_folder, None, 0.1))
    assert import_motions(skipped, out, settings=settings_of(bvh_folder, None, 0.1), force=True).written == 4
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("mine")
    with pytest.raises(MotionError, match="not empty"):
        import_motions(skipped, tmp_path / "full", force=True)
    assert (tmp_path / "full/thesis.txt").read_text() == "mine"
    with pytest.raises(MotionError, match="is a file"):
        import_motions(skipped, tmp_path / "full/thesis.txt")


def test_force_leaves_nothing_of_the_import_before(bvh_folder, tmp_path):
    out = tmp_path / "out"
    import_motions(open_source(bvh_folder), out)
    (bvh_folder / "d.bvh").unlink()
    import_motions(open_source(bvh_folder), out, force=True)
    assert not list(out.rglob("d.*"))


def test_a_disk_that_cannot_be_written_is_explained(bvh_folder, tmp_path, monkeypatch):
    from kinmo_annotate.sources import importing

    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(importing, "_write", full)
    with pytest.raises(MotionError, match="No space left") as caught:
        import_motions(open_source(bvh_folder), tmp_path / "out")
    assert "Free some space" in caught.value.remedy


def test_a_motion_too_short_for_vectors_and_a_bone_without_length_are_failures(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    flat = walk()
    flat[:, 15] = flat[:, 12]
    np.save(folder / "flat.npy", flat)
    np.save(folder / "good.npy", walk())
    np.save(folder / "short.npy", walk(2))
    summary = import_motions(open_source(folder), tmp_path / "out")
    assert summary.written == 1
    assert {failed.motion_id: failed.reason for failed in summary.failures}.keys() == {"flat", "short"}
