"""HumanML3D folders: what is listed, what fails, mirrored ids, features, placement."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from bodies import humanml3d_folder, walk

from kinmo_annotate.schema.features import features_to_joints, joints_to_features
from kinmo_annotate.schema.records import Caption, MotionError
from kinmo_annotate.schema.skeleton import mirror_joints
from kinmo_annotate.sources import open_source
from kinmo_annotate.sources.humanml3d import HumanML3DSource
from kinmo_annotate.sources.place import is_placed, turn

IDS = {"a": "train", "b": "val", "c": "test"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return humanml3d_folder(tmp_path / "data", IDS)


def failures_by_id(source):
    return {failed.motion_id: failed.reason for failed in source.failures()}


def test_lists_every_id_with_its_split_and_loads_joints_bit_for_bit(folder):
    source = open_source(folder)
    assert source.name == "humanml3d"
    assert {entry.motion_id: entry.split for entry in source.entries()} == IDS
    assert source.failures() == []
    motion = source.load(source.entries()[0])
    np.testing.assert_array_equal(motion.joints, np.load(folder / "new_joints/a.npy"))
    assert motion.captions == (Caption("a person raises the left arm."),)
    assert motion.source.path == "new_joints/a.npy"  # not where the folder stands on this machine


def test_ids_that_cannot_be_loaded_are_failures_and_the_count_adds_up(folder):
    (folder / "all.txt").write_text("a\nb\nc\ngone\n../../etc/passwd\n")
    (folder / "test.txt").write_text("c\na\nc\n")
    source = open_source(folder)
    reasons = failures_by_id(source)
    assert "more than one split: test, train" in reasons["a"]
    assert "written 2 times in test.txt" in reasons["c"]
    assert "no file" in reasons["gone"]
    assert "not a plain file name" in reasons["../../etc/passwd"]
    assert [entry.motion_id for entry in source.entries()] == ["b", "c"]
    assert all(failed.remedy for failed in source.failures())


def test_files_that_no_split_names_are_train_without_all_txt_and_noted_with_it(folder):
    np.save(folder / "new_joints/extra.npy", walk())
    source = open_source(folder)
    assert "extra" not in {entry.motion_id for entry in source.entries()}
    assert "1 file that" in source.notes()[0]
    (folder / "all.txt").unlink()
    assert {e.motion_id: e.split for e in open_source(folder).entries()} == IDS | {"extra": "train"}
    for name in ("train", "val", "test"):
        (folder / f"{name}.txt").unlink()
    assert {e.split for e in open_source(folder).entries()} == {"train"}


def test_an_id_in_all_txt_alone_is_train(folder):
    np.save(folder / "new_joints/d.npy", walk())
    (folder / "all.txt").write_text("a\nb\nc\nd\n")
    assert {e.motion_id: e.split for e in open_source(folder).entries()}["d"] == "train"


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(folder):
    (folder / "train.txt").write_bytes(b"\xef\xbb\xbfa\r\n\r\n")
    assert {e.motion_id: e.split for e in open_source(folder).entries()} == IDS


def test_a_mirrored_id_without_a_file_is_made_and_with_one_is_read(folder):
    (folder / "train.txt").write_text("a\nMa\n")
    source = HumanML3DSource(folder)
    made = source.load(next(entry for entry in source.entries() if entry.motion_id == "Ma"))
    plain = np.load(folder / "new_joints/a.npy")
    np.testing.assert_array_equal(made.joints, mirror_joints(plain))
    assert made.captions[0].text == "a person raises the right arm."
    np.save(folder / "new_joints/Ma.npy", walk(seed=9))
    (folder / "texts/Ma.txt").write_text("as written.##0.0#0.0\n")
    read = HumanML3DSource(folder)
    motion = read.load(next(entry for entry in read.entries() if entry.motion_id == "Ma"))
    np.testing.assert_array_equal(motion.joints, walk(seed=9))
    assert motion.captions[0].text == "as written."


def test_vectors_are_kept_and_joints_recovered_where_there_are_none(folder):
    (folder / "new_joint_vecs").mkdir()
    features = joints_to_features(walk())
    np.save(folder / "new_joint_vecs/a.npy", features)
    np.save(folder / "new_joints/a.npy", features_to_joints(features))
    source = HumanML3DSource(folder)
    with_joints = source.load(source.entries()[0])
    np.testing.assert_array_equal(with_joints.features, features)
    (folder / "new_joints/a.npy").unlink()
    source = HumanML3DSource(folder)
    recovered = source.load(source.entries()[0])
    np.testing.assert_allclose(recovered.joints, with_joints.joints, atol=1e-6)
    np.testing.assert_array_equal(recovered.features, features)


def test_vectors_that_do_not_fit_the_joints_are_refused(folder):
    (folder / "new_joint_vecs").mkdir()
    np.save(folder / "new_joint_vecs/a.npy", joints_to_features(walk())[:-5])
    source = HumanML3DSource(folder)
    with pytest.raises(MotionError, match="30 frames but its vectors have 24"):
        source.load(source.entries()[0])


def test_a_motion_off_the_floor_or_turned_away_is_placed(folder):
    np.save(folder / "new_joints/a.npy", turn(walk(), 1.0) + np.array([0.3, 0.7, 0.0]))
    source = HumanML3DSource(folder)
    joints = source.load(source.entries()[0]).joints
    assert is_placed(joints)
    np.testing.assert_allclose(joints, walk(), atol=1e-5)


def bad_rank(path):
    np.save(path, np.zeros((10, 66), np.float32))


def no_frames(path):
    np.save(path, np.zeros((0, 22, 3), np.float32))


def not_numbers(path):
    np.save(path, np.full((10, 22, 3), "x"))


def with_nan(path):
    joints = walk()
    joints[3, 4, 1] = np.nan
    np.save(path, joints)


def pickled(path):
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def truncated(path):
    np.save(path, walk())
    path.write_bytes(path.read_bytes()[:500])


def centimetres(path):
    np.save(path, walk() * 100)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (bad_rank, "shape"),
        (no_frames, "0 frames"),
        (not_numbers, "not numbers"),
        (with_nan, "NaN"),
        (pickled, "cannot be read"),
        (truncated, "cannot be read"),
        (centimetres, "no human body"),
    ],
)
def test_a_bad_file_says_what_is_wrong_and_the_others_are_unharmed(folder, spoil, reason):
    spoil(folder / "new_joints/a.npy")
    source = HumanML3DSource(folder)
    with pytest.raises(MotionError, match=reason) as caught:
        source.load(source.entries()[0])
    assert str(folder / "new_joints/a.npy") in caught.value.where
    assert caught.value.remedy
    assert len([source.load(entry) for entry in source.entries()[1:]]) == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"caf\xe9.##0#0\n", "not UTF-8"),
        (b"no signs at all\n", r"0 of the 3.*\(line 1\)"),
        (b"fine.##0#0\nx.##0#soon\n", r"has 'soon' where a time.*\(line 2\)"),
        (b"x.##2.0#1.0\n", "ends at 1 s, before it starts"),
        (b"x.##-1#1\n", "'-1' where a time"),
        (b"##0#0\n", "empty caption"),
    ],
)
def test_a_malformed_text_file_says_where(folder, content, reason):
    (folder / "texts/a.txt").write_bytes(content)
    source = HumanML3DSource(folder)
    with pytest.raises(MotionError, match=reason) as caught:
        source.load(source.entries()[0])
    assert "a.txt" in caught.value.where


def test_a_motion_without_a_text_file_has_no_captions(folder):
    (folder / "texts/a.txt").unlink()
    source = HumanML3DSource(folder)
    assert source.load(source.entries()[0]).captions == ()


def test_both_known_index_forms_tell_where_motions_come_from(folder):
    columns = "id,source_dataset,source_file,start,end,fps,license"
    (folder / "index.csv").write_text(f"{columns}\na,CMU,01/01.bvh,20,60,20,free\n")
    source = HumanML3DSource(folder)
    found = source.load(source.entries()[0]).source
    assert (found.dataset, found.path, found.start_s, found.end_s, found.license) == (
        "CMU", "01/01.bvh", 1.0, 3.0, "free",
    )  # fmt: skip
    own = "source_path,start_frame,end_frame,new_name\n./pose_data/KIT/3/kick.npy,10,-1,a.npy\n"
    other = humanml3d_folder(folder / "other", {"a": "train"})
    (other / "index.csv").write_text(own)
    source = HumanML3DSource(other)
    found = source.load(source.entries()[0]).source
    assert (found.dataset, found.start_s, found.end_s) == ("KIT", 0.5, 0.0)


def test_the_source_can_be_sent_to_another_process(folder):
    source = HumanML3DSource(folder)
    again = pickle.loads(pickle.dumps(source))
    assert again.entries() == source.entries()
    np.testing.assert_array_equal(
        again.load(again.entries()[1]).joints, source.load(source.entries()[1]).joints
    )


def test_the_real_folder_is_listed_whole(shared_data):
    source = open_source(shared_data / "mocap")
    assert len(source.entries()) + len(source.failures()) == 2868
    for entry in source.entries()[::200]:
        motion = source.load(entry)
        assert is_placed(motion.joints)
        assert motion.captions
        assert motion.source.dataset in ("BandaiNamco-1", "BandaiNamco-2", "CMU")


def test_the_public_sample_comes_back_from_its_vector(shared_data, tmp_path):
    reference = shared_data / "reference/humanml3d"
    (tmp_path / "new_joint_vecs").mkdir()
    np.save(tmp_path / "new_joint_vecs/012314.npy", np.load(reference / "new_joint_vecs_012314.npy"))
    source = open_source(tmp_path)
    joints = source.load(source.entries()[0]).joints
    np.testing.assert_allclose(joints, np.load(reference / "new_joints_012314.npy"), atol=1e-5)
