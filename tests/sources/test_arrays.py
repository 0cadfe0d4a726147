"""Plain arrays, and telling what kind of source a path is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bodies import attempt, bvh_text, humanml3d_folder, walk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinmo_annotate.schema.features import features_to_joints, joints_to_features
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.sources import KINDS, load_motion, open_source
from kinmo_annotate.sources.arrays import ArraySource
from kinmo_annotate.sources.place import facing, is_placed, place, turn


def only(path: Path):
    source = open_source(path)
    return source.load(source.entries()[0])


def test_npy_and_npz_give_the_joints(tmp_path):
    np.save(tmp_path / "a.npy", walk())
    np.savez(tmp_path / "b.npz", joints=walk(), more=np.zeros(3))
    np.savez(tmp_path / "c.npz", anything=walk())
    source = open_source(tmp_path)
    assert source.name == "arrays"
    assert [entry.motion_id for entry in source.entries()] == ["a", "b", "c"]
    for entry in source.entries():
        np.testing.assert_array_equal(source.load(entry).joints, walk())
    assert only(tmp_path / "a.npy").source.path == "a.npy"


def test_vectors_become_joints(tmp_path):
    features = joints_to_features(walk(30))
    np.save(tmp_path / "a.npy", features)
    np.savez(tmp_path / "b.npz", vectors=features)
    for name in ("a.npy", "b.npz"):
        np.testing.assert_allclose(only(tmp_path / name).joints, features_to_joints(features), atol=1e-5)
    features[3] = np.nan
    np.save(tmp_path / "a.npy", features)
    with pytest.raises(MotionError, match="263"):
        only(tmp_path / "a.npy")


def test_the_motion_of_one_file(tmp_path):
    np.save(tmp_path / "a.npy", walk())
    (tmp_path / "b.bvh").write_text(bvh_text())
    np.testing.assert_array_equal(load_motion(tmp_path / "a.npy").joints, walk())
    assert load_motion(tmp_path / "b.bvh").motion_id == "b"
    np.save(tmp_path / "bad\nname.npy", walk())
    (tmp_path / "a.fbx").touch()
    wrong = {
        ".": "is a folder",
        "gone.npy": "does not exist",
        "bad\nname.npy": "Rename",
        "a.fbx": "another kind",
    }
    for name, reason in wrong.items():
        with pytest.raises(MotionError, match=reason):
            load_motion(tmp_path / name)


def test_an_array_elsewhere_is_placed(tmp_path):
    np.save(tmp_path / "a.npy", (turn(walk(), -2.0) + np.array([5.0, 1.0, -3.0])).astype(np.float64))
    motion = only(tmp_path / "a.npy")
    np.testing.assert_allclose(motion.joints, walk(), atol=1e-5)
    assert motion.joints.dtype == np.float32


@pytest.mark.parametrize("yaw", [0.0, 0.5, np.pi, -3.0])
def test_placing_brings_any_heading_to_the_front(yaw):
    moved = turn(walk(), yaw) + np.array([1.0, -2.0, 3.0])
    assert np.cos(facing(moved)[0] - yaw) == pytest.approx(1.0)
    placed = place(moved)
    assert is_placed(placed)
    np.testing.assert_allclose(placed, walk(), atol=1e-6)


def test_several_arrays_without_joints_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", first=walk(), second=walk())
    with pytest.raises(MotionError, match=r"first, second.*joints"):
        only(tmp_path / "a.npz")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_array_never_raises_anything_else(tmp_path, data):
    path = tmp_path / "fuzz.npy"
    np.save(path, walk(3))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, min(len(content) - 1, 200)))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    source = ArraySource(path)
    found = attempt(lambda: source.load(source.entries()[0]))
    if isinstance(found, MotionError):
        assert found.where == str(path)
    else:
        assert np.isfinite(found.joints).all()


def test_a_name_that_is_not_utf8_or_has_a_line_break_is_a_failure(tmp_path):
    np.save(tmp_path / "good.npy", walk())
    (tmp_path / "bad\nname.npy").write_bytes(b"")
    try:
        (Path(str(tmp_path)) / b"\xff.npy".decode("utf-8", "surrogateescape")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    source = open_source(tmp_path)
    assert [entry.motion_id for entry in source.entries()] == ["good"]
    assert len(source.failures()) == 2
    for failed in source.failures():
        (failed.motion_id + failed.path).encode("utf-8")


def test_kinds_are_told_from_the_files(tmp_path):
    assert open_source(humanml3d_folder(tmp_path / "h", {"a": "train"})).name == "humanml3d"
    (tmp_path / "b").mkdir()
    (tmp_path / "b/x.bvh").write_text(bvh_text())
    assert open_source(tmp_path / "b").name == "bvh"
    np.save(tmp_path / "b/x.npy", walk())
    with pytest.raises(MotionError, match=r"both .bvh and array files.*--kind"):
        open_source(tmp_path / "b")
    assert open_source(tmp_path / "b", kind="arrays").name == "arrays"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"kind": "fbx"}, "no source kind 'fbx'"),
        ({"mapping": Path("map.yaml")}, "for BVH"),
        ({"skip_s": 1.0}, "for BVH"),
    ],
)
def test_wrong_options_say_what_to_do(tmp_path, options, reason):
    np.save(tmp_path / "a.npy", walk())
    with pytest.raises(MotionError, match=reason):
        open_source(tmp_path, **options)


def test_nothing_there_and_nothing_known(tmp_path):
    with pytest.raises(MotionError, match="does not exist"):
        open_source(tmp_path / "gone")
    with pytest.raises(MotionError, match="no motion files"):
        open_source(tmp_path)
    for kind in KINDS:
        with pytest.raises(MotionError, match="does not exist"):
            open_source(tmp_path / "gone", kind=kind)
