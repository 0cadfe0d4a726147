"""AMASS: poses become joints without a body model; damaged files are named."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from bodies import attempt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import JOINT, PARENTS, TARGET_LENGTHS
from kinmo_annotate.sources import open_source
from kinmo_annotate.sources.amass import AmassSource, rest_offsets
from kinmo_annotate.sources.place import is_placed

UPRIGHT = (np.pi / 2, 0.0, 0.0)  # turns the y-up body into AMASS' z-up world


def arrays(frames: int = 121, width: int = 156, fps: float = 120.0) -> dict[str, np.ndarray]:
    """A body that walks to where it faces and raises its left arm sideways by 45 degrees."""
    poses = np.zeros((frames, width))
    poses[:, :3] = UPRIGHT
    poses[:, 3 * JOINT["left_shoulder"] + 2] = np.linspace(0, np.pi / 4, frames)
    trans = np.zeros((frames, 3))
    trans[:, 1] = -np.linspace(0, 1, frames)  # the body faces -y in AMASS' world
    trans[:, 2] = 0.9
    return {"poses": poses, "trans": trans, "mocap_framerate": np.array(fps), "betas": np.zeros(16)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "CMU" / "01" / "walk_poses.npz"


def load(path: Path, values: dict[str, np.ndarray], root: Path | None = None):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **values)
    source = AmassSource(root or path)
    return source.load_with_notes(source.entries()[0])


def test_the_rest_pose_is_a_t_pose_of_the_uniform_skeleton():
    offsets = rest_offsets()
    np.testing.assert_allclose(np.linalg.norm(offsets, axis=-1), TARGET_LENGTHS, atol=1e-6)
    pose = np.zeros((22, 3))
    for joint in range(1, 22):
        pose[joint] = pose[PARENTS[joint]] + offsets[joint]
    assert pose[JOINT["left_wrist"], 0] > 0.6 > -0.6 > pose[JOINT["right_wrist"], 0]
    assert abs(pose[JOINT["left_wrist"], 1] - pose[JOINT["left_shoulder"], 1]) < 0.05
    assert pose[JOINT["left_ankle"], 1] < -0.8
    assert pose[JOINT["left_foot"], 2] - pose[JOINT["left_ankle"], 2] > 0.1
    assert pose[JOINT["head"], 1] > 0.6


@pytest.mark.parametrize("width", [66, 72, 156, 165])
def test_the_body_stands_faces_forward_walks_and_raises_its_left_arm(path, width):
    motion, notes = load(path, arrays(width=width))
    assert "z up" in notes
    assert "120 fps to 20 fps" in notes
    joints = motion.joints
    assert joints.shape == (21, 22, 3)
    assert is_placed(joints)
    assert joints[0, JOINT["head"], 1] > 1.4
    assert joints[-1, 0, 2] == pytest.approx(1.0, abs=0.01)
    rise = joints[:, JOINT["left_wrist"], 1] - joints[:, JOINT["left_shoulder"], 1]
    assert rise[-1] - rise[0] == pytest.approx(np.sin(np.pi / 4) * (0.256840 + 0.266012), abs=0.02)
    # Slerp: the angle grows evenly, 2.25 degrees a frame.
    arm = joints[:, JOINT["left_elbow"]] - joints[:, JOINT["left_shoulder"]]
    steps = np.diff(np.rad2deg(np.arctan2(arm[:, 1], np.hypot(arm[:, 0], arm[:, 2]))))
    np.testing.assert_allclose(steps, 2.25, atol=0.01)


def test_smplx_keys_give_the_same_as_poses(path):
    values = arrays()
    whole, _ = load(path, values)
    poses = values.pop("poses")
    values["root_orient"], values["pose_body"] = poses[:, :3], poses[:, 3:66]
    values["mocap_frame_rate"] = values.pop("mocap_framerate")
    parts, _ = load(path, values)
    np.testing.assert_array_equal(parts.joints, whole.joints)


def test_a_y_up_file_is_told_apart(path):
    values = arrays()
    values["poses"][:, :3] = 0
    motion, notes = load(path, values)
    assert "y up" in notes
    assert motion.joints[0, JOINT["head"], 1] > 1.4


def test_ids_and_datasets_come_from_the_folders_and_shapes_are_passed_over(path, tmp_path):
    motion, _ = load(path, arrays(), root=tmp_path)
    assert (motion.motion_id, motion.source.dataset) == ("CMU__01__walk_poses", "CMU")
    np.savez(path.parent / "shape.npz", betas=np.zeros(16))
    np.savez(path.parent / "neutral_stagei.npz", betas=np.zeros(16))
    source = open_source(tmp_path)
    assert source.name == "amass"
    assert len(source.entries()) == 1


def without(key):
    return lambda values: values.pop(key)


def put(key, value):
    return lambda values: values.__setitem__(key, value)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (without("trans"), "no trans"),
        (without("poses"), "no poses"),
        (without("mocap_framerate"), "no mocap_framerate"),
        (put("mocap_framerate", np.array(np.nan)), "not a number of frames"),
        (put("mocap_framerate", np.array(0)), "not a number of frames"),
        (put("mocap_framerate", np.array("fast")), "not numbers"),
        (put("trans", np.zeros((5, 3))), "trans has shape"),
        (put("trans", np.full((121, 3), np.inf)), "NaN or infinite"),
        (put("trans", np.linspace(0, 1e300, 363).reshape(121, 3)), "NaN or infinite positions"),
        (put("poses", np.zeros((121, 30))), "30 pose values"),
        (put("poses", np.zeros(66)), "shape"),
        (put("poses", np.zeros((0, 156))), "trans has shape"),
        (put("poses", np.full((121, 156), np.nan)), "NaN"),
    ],
)
def test_what_is_wrong_is_said(path, spoil, reason):
    values = arrays()
    spoil(values)
    with pytest.raises(MotionError, match=reason) as caught:
        load(path, values)
    assert caught.value.where == str(path)
    assert caught.value.remedy


def test_pickled_arrays_are_refused(path):
    path.parent.mkdir(parents=True)
    np.savez(path, **(arrays() | {"poses": np.array([{}], dtype=object)}))
    source = AmassSource(path)
    with pytest.raises(MotionError, match="cannot be read"):
        source.load(source.entries()[0])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_archive_never_raises_anything_else(tmp_path, data):
    path = tmp_path / "fuzz.npz"
    np.savez(path, **arrays(frames=13, width=66))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    source = AmassSource(path)
    found = attempt(lambda: source.load(source.entries()[0]))
    if isinstance(found, MotionError):
        assert found.where == str(path)
    else:
        assert found.joints.shape[1:] == (22, 3)


def test_a_truncated_zip_is_named(path):
    path.parent.mkdir(parents=True)
    np.savez(path, **arrays())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(path)
    source = AmassSource(path)
    with pytest.raises(MotionError, match="cannot be read"):
        source.load(source.entries()[0])
