from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from kinmo_annotate.motion_out import MOTION_SUFFIXES, MotionOut, MotionSeries, read_index, write_motion
from kinmo_annotate.schema.features import features_to_joints, joints_to_features
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import PARENTS
from kinmo_annotate.sources import open_source
from kinmo_annotate.sources.place import place


@pytest.fixture
def motion(arm_motion) -> MotionOut:
    return MotionOut(arm_motion(1), text="a person lifts the left arm [slowly]")


def read_back(path) -> np.ndarray:
    source = open_source(path)
    return source.load(source.entries()[0]).joints


def test_the_ending_says_as_what(motion, tmp_path):
    pytest.importorskip("av", reason="PyAV is in the extra kinmo[film]")
    for suffix in MOTION_SUFFIXES:
        write_motion(motion, tmp_path / f"a{suffix}")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"a{s}" for s in MOTION_SUFFIXES)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy", allow_pickle=False), motion.joints)
    np.testing.assert_allclose(read_back(tmp_path / "a.bvh"), motion.joints, atol=2e-4)
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == len(motion.joints)
    for suffix in (".png", ".jpg", ".webp"):
        with Image.open(tmp_path / f"a{suffix}") as sheet:
            assert sheet.width == 1600
    assert b"ftyp" in (tmp_path / "a.mp4").read_bytes()[:16]


def test_capitals_and_folders_that_are_not_there_yet(motion, tmp_path):
    write_motion(motion, tmp_path / "new/folder/A.NPY")
    assert np.load(tmp_path / "new/folder/A.NPY").shape == motion.joints.shape


def test_vectors_where_they_are_wanted(motion, tmp_path):
    features = joints_to_features(motion.joints)
    write_motion(MotionOut(motion.joints, features=features), tmp_path / "a.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), features)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.fbx", r"ends in .fbx.*End it in \.npy or \.bvh or \.png.*or \.gif or \.mp4"),
        ("a", "has no ending"),
        ("file/a.npy", "cannot be written"),
    ],
)
def test_what_cannot_be_written_says_why_and_leaves_nothing(motion, tmp_path, name, reason):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises((MotionError, DatasetError), match=reason):
        write_motion(motion, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("suffix", [".npy", ".bvh", ".png", ".gif"])
def test_a_broken_motion_leaves_the_old_file_alone(motion, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text("old")
    broken = motion.joints.copy()
    broken[3] = np.nan
    with pytest.raises(MotionError, match="NaN"):
        write_motion(MotionOut(broken), path)
    assert path.read_text() == "old"


def test_bones_that_change_their_lengths_are_in_the_bvh(arm_motion, tmp_path):
    """Vectors with errors, as a model's are, give bones that breathe; the file carries them all the same."""
    features = joints_to_features(np.concatenate([arm_motion(1)] * 3))
    noise = np.random.default_rng(0).normal(size=features.shape)
    smooth = np.apply_along_axis(np.convolve, 0, noise, np.hanning(11), "same")
    features[:, 4:67] += 0.01 * (smooth / smooth.std())[:, 4:67].astype(np.float32)
    joints = features_to_joints(features)
    lengths = np.linalg.norm(joints[:, 1:] - joints[:, list(PARENTS[1:])], axis=-1)
    assert np.ptp(lengths, axis=0).max() > 0.02
    write_motion(MotionOut(joints), tmp_path / "a.bvh")
    off = np.linalg.norm(read_back(tmp_path / "a.bvh") - place(joints), axis=-1)
    assert off.max() < 1e-4


# ------------------------------------------------------------ a series


def test_a_series_is_numbered_and_says_what_is_what(motion, arm_motion, tmp_path):
    series = MotionSeries(tmp_path / "out", (".npy", ".bvh"))
    assert series.add(motion, seed=3, level="GJ") == [
        tmp_path / "out/000000.npy",
        tmp_path / "out/000000.bvh",
    ]
    series.add(MotionOut(arm_motion(2), text="überall"), seed=4, level="G")
    assert read_index(tmp_path / "out") == [
        {
            "file": "000000.npy",
            "prompt": motion.text,
            "seed": 3,
            "level": "GJ",
            "length": len(motion.joints),
        },
        {"file": "000001.npy", "prompt": "überall", "seed": 4, "level": "G", "length": len(arm_motion(2))},
    ]
    np.testing.assert_array_equal(np.load(tmp_path / "out/000001.npy"), arm_motion(2))
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_a_series_that_is_there_is_replaced_only_when_forced(motion, tmp_path):
    series = MotionSeries(tmp_path)
    for _ in range(3):
        series.add(motion)
    (tmp_path / "mine.npy").touch()
    (tmp_path / "000002.txt").touch()
    with pytest.raises(MotionError, match=r"already.*--force"):
        MotionSeries(tmp_path)
    MotionSeries(tmp_path, (".bvh",), force=True).add(motion)
    kept = ["000000.bvh", "000002.txt", "index.jsonl", "mine.npy"]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept


def test_an_index_from_elsewhere_removes_nothing_of_ours(motion, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "000007.npy").touch()
    (tmp_path / "out/note.npy").touch()
    lines = [{"file": "../000007.npy"}, {"file": "note.npy"}]
    (tmp_path / "out/index.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    MotionSeries(tmp_path / "out", force=True)
    assert (tmp_path / "000007.npy").exists()
    assert (tmp_path / "out/note.npy").exists()


def test_a_line_that_a_kill_cut_off_is_left_out(motion, tmp_path):
    MotionSeries(tmp_path).add(motion)
    index = tmp_path / "index.jsonl"
    index.write_text(index.read_text() + '{"file": "0000')
    assert [line["file"] for line in read_index(tmp_path)] == ["000000.npy"]


def test_a_series_goes_on_after_the_motions_that_are_there_whole(motion, tmp_path):
    recipes = ["a", "b", "c"]
    series = MotionSeries(tmp_path, (".npy", ".bvh"), recipes=recipes)
    for _ in range(3):
        series.add(motion)
    (tmp_path / "000001.bvh").unlink()
    again = MotionSeries(tmp_path, (".npy", ".bvh"), recipes=recipes)
    assert [line["recipe"] for line in again.found] == ["a"]
    assert again.add(motion)[0].name == "000001.npy"
    assert [line["recipe"] for line in read_index(tmp_path)] == ["a", "b"]
    with pytest.raises(MotionError, match="another series"):
        MotionSeries(tmp_path, recipes=["a", "x"])


@pytest.mark.parametrize("content", ["not json\n", "[]\n", "{}\n", '{"file": 3}\n'])
def test_a_damaged_index_is_told(tmp_path, content):
    (tmp_path / "index.jsonl").write_text(content)
    with pytest.raises(DatasetError, match="damaged"):
        read_index(tmp_path)


def test_a_series_of_an_unknown_ending_is_refused_at_once(tmp_path):
    with pytest.raises(MotionError, match="End it in"):
        MotionSeries(tmp_path / "out", (".npy", ".fbx"))
    assert not (tmp_path / "out").exists()
