from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinmo_annotate import kinematics as kin
from kinmo_annotate.schema import rotations as rot
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import (
    CONNECTING_JOINT,
    GROUPS,
    JOINT,
    PAIR_NAMES,
    PARENTS,
    TARGET_OFFSETS,
)


def standing() -> np.ndarray:
    """One frame (22, 3) facing +z, arms down and away from the body."""
    frame = np.zeros((22, 3))
    out = np.array([1, -1]) * 0.12
    for joint in range(1, 22):
        frame[joint] = frame[PARENTS[joint]] + TARGET_OFFSETS[joint]
    frame[[18, 19], 0] += out
    frame[[20, 21], 0] += 1.5 * out
    frame[[20, 21], 2] += 0.1
    return frame + np.array([0, 0.95, 0])


def turning(frames: int = 60) -> np.ndarray:
    """A walk on a circle to the left with one arm lifting sideways, (T, 22, 3)."""
    t = np.linspace(0, 1, frames)
    joints = np.repeat(standing()[None], frames, axis=0)
    lift = rot.axis_angle_to_matrix(2.0 * t[:, None] * [[0, 0, 1.0]])
    arm = [18, 20]
    joints[:, arm] = (joints[:, arm] - joints[:, [16]]) @ lift.swapaxes(-1, -2) + joints[:, [16]]
    joints = joints @ rot.yaw_matrix(5.0 * t).swapaxes(-1, -2)
    return joints + np.stack([t, 0 * t, 0.5 * t], axis=-1)[:, None]


def limp(joints: np.ndarray) -> np.ndarray:
    """Let bones stretch over time and joints wobble, so that nothing is rigid."""
    rng = np.random.default_rng(5)
    return joints * (1 + 0.1 * np.linspace(0, 1, len(joints)))[:, None, None] + rng.normal(
        scale=0.01, size=joints.shape
    )


def test_equations_by_hand() -> None:
    joints, fps = turning(), 20.0
    k = kin.represent(joints, fps)
    for row, members in enumerate(GROUPS.values()):
        mean = np.mean([joints[:, j] for j in members], axis=0)
        np.testing.assert_allclose(k.group_position[:, row], mean, atol=1e-12)
        np.testing.assert_allclose(k.group_velocity[7, row], (mean[8] - mean[6]) * fps / 2, atol=1e-9)
        np.testing.assert_allclose(k.group_velocity[0, row], (mean[1] - mean[0]) * fps, atol=1e-9)
    pair = PAIR_NAMES.index("left_arm__right_leg")
    left_arm, right_leg = k.group_position[:, 2], k.group_position[:, 5]
    np.testing.assert_allclose(k.relative_position[:, pair], right_leg - left_arm, atol=1e-12)
    np.testing.assert_allclose(
        k.relative_velocity[:, pair], k.group_velocity[:, 5] - k.group_velocity[:, 2], atol=1e-12
    )


def test_shapes_and_names() -> None:
    k = kin.represent(turning(30))
    assert k.group_position.shape == k.group_velocity.shape == (30, 6, 3)
    assert k.rotations.shape == (30, 22, 3, 3)
    assert k.relative_position.shape == k.relative_velocity.shape == (30, 15, 3)
    assert k.relative_angle.shape == (30, 5, 3, 3)
    assert k.relative_angular_velocity.shape == (30, 5, 3)
    assert set(kin.CONNECTED_PAIRS) == set(CONNECTING_JOINT)


def test_connected_pairs_carry_the_rotation_of_their_joint() -> None:
    joints = turning()
    k = kin.represent(joints)
    turns = kin.joint_rotations(joints)
    for row, name in enumerate(kin.CONNECTED_PAIRS):
        joint = CONNECTING_JOINT[name]
        relative = turns[:, PARENTS[joint]].swapaxes(-1, -2) @ turns[:, joint]
        np.testing.assert_allclose(k.relative_angle[:, row], relative, atol=1e-12)


def test_angular_velocity_of_an_even_turn() -> None:
    spin = rot.yaw_matrix(0.1 * np.arange(12))[:, None]
    np.testing.assert_allclose(kin.angular_velocity(spin, 20.0), np.tile([0, 2.0, 0], (12, 1, 1)), atol=1e-9)


def test_rigid_motion_comes_back_from_constant_bones() -> None:
    joints = turning()
    k = kin.represent(joints)
    assert k.offsets.shape == (1, 22, 3)
    np.testing.assert_allclose(k.to_joints(), joints, atol=1e-5)
    np.testing.assert_allclose(k.to_rotations(), kin.joint_rotations(joints), atol=1e-12)


def test_limp_motion_comes_back_too() -> None:
    joints = limp(turning())
    k = kin.represent(joints)
    assert k.offsets.shape == (60, 22, 3)
    np.testing.assert_allclose(k.to_joints(), joints, atol=1e-9)


def test_place_comes_from_the_group_positions() -> None:
    k = kin.represent(turning())
    moved = replace(k, group_position=k.group_position + np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(moved.to_joints() - k.to_joints(), np.full((60, 22, 3), [1.0, 2.0, 3.0]))


def test_two_frames_are_enough_and_less_is_refused() -> None:
    np.testing.assert_allclose(kin.represent(turning(2)).to_joints(), turning(2), atol=1e-5)
    with pytest.raises(MotionError):
        kin.represent(turning(1))
    with pytest.raises(MotionError):
        kin.represent(np.full((5, 22, 3), np.nan))


def test_heading_grows_to_the_left_and_is_unwrapped() -> None:
    yaw = kin.heading(turning())
    np.testing.assert_allclose(yaw, 5.0 * np.linspace(0, 1, 60), atol=1e-9)
    back = kin.heading(turning()[::-1])
    assert back[-1] - back[0] == pytest.approx(-5.0)


@pytest.mark.parametrize("axis", [(1.0, 0, 0), (0, 0, 0.9)])
def test_heading_ignores_bending_and_leaning(axis: tuple[float, float, float]) -> None:
    upper = [9, *range(12, 22)]
    bent = np.repeat(standing()[None], 20, axis=0)
    lean = rot.axis_angle_to_matrix(np.linspace(0, 1, 20)[:, None] * [axis])
    bent[:, upper] = (bent[:, upper] - bent[0, 6]) @ lean.swapaxes(-1, -2) + bent[0, 6]
    assert np.degrees(np.abs(kin.heading(bent))).max() < 1.0


def test_heading_is_carried_through_a_cartwheel() -> None:
    roll = rot.axis_angle_to_matrix(np.linspace(0, np.pi / 2, 31)[:, None] * [[0, 0, -1.0]])
    there = np.concatenate([roll, roll[::-1]])
    joints = np.repeat(standing()[None], len(there), axis=0)
    joints = joints @ there.swapaxes(-1, -2) + np.random.default_rng(0).normal(scale=2e-3, size=joints.shape)
    yaw = kin.heading(joints)
    assert np.abs(yaw).max() < 0.1
    p = joints[:, JOINT["left_hip"]] - joints[:, JOINT["right_hip"]]
    p = p + joints[:, JOINT["left_shoulder"]] - joints[:, JOINT["right_shoulder"]]
    assert np.abs(np.arctan2(-p[:, 2], p[:, 0])).max() > 0.15  # what it would be without care


def test_heading_of_a_body_that_lies_on_its_side_throughout_is_finite() -> None:
    lying = np.repeat((standing() @ rot.axis_angle_to_matrix([0, 0, np.pi / 2]).T)[None], 4, axis=0)
    assert np.isfinite(kin.heading(lying)).all()


def test_body_frame_takes_place_and_heading_away() -> None:
    joints = turning()
    seen = kin.body_frame(joints)
    np.testing.assert_allclose(seen[:, 0, [0, 2]], 0.0, atol=1e-12)
    np.testing.assert_allclose(seen[..., 1], joints[..., 1], atol=1e-12)
    np.testing.assert_allclose(kin.heading(seen), 0.0, atol=1e-9)
    assert (seen[:, JOINT["left_shoulder"], 0] > 0.05).all()
    assert (seen[:, JOINT["left_foot"], 2] > 0.05).all()
    moved = joints @ rot.yaw_matrix(2.0).T + [3.0, 0, -1.0]
    np.testing.assert_allclose(kin.body_frame(moved), seen, atol=1e-9)


def test_real_motions_come_back(shared_data: Path) -> None:
    paths = sorted((shared_data / "mocap/new_joints").glob("*.npy"))
    for path in paths[::150]:
        joints = np.load(path)
        k = kin.represent(joints)
        assert len(k.offsets) == 1, path.name  # these bodies are rigid
        assert np.abs(k.to_joints() - joints).max() < 1e-5, path.name
        np.testing.assert_allclose(k.to_rotations(), kin.joint_rotations(joints), atol=1e-9)
