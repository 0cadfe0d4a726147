"""Paths of joints: what they hold, how they are moved, and what no person can do."""

from __future__ import annotations

import numpy as np
import pytest

from kinmo_models.control.paths import JointPath, check_lengths, joint_number


def test_joints_are_held_by_name_or_number_in_some_frames():
    joints = np.random.default_rng(0).normal(size=(8, 22, 3))
    path = JointPath.of(joints, ["left_wrist", 0], [1, 5])
    assert path.points == 4
    assert np.argwhere(path.held).tolist() == [[1, 0], [1, 20], [5, 0], [5, 20]]
    np.testing.assert_allclose(path.positions[5, 20], joints[5, 20], rtol=1e-6)
    assert not path.positions[~path.held].any()
    np.testing.assert_array_equal(np.isnan(path.wanted).all(2), ~path.held)


def test_a_joint_that_is_nan_is_free():
    joints = np.full((4, 22, 3), np.nan)
    joints[2, 7] = 1.0
    path = JointPath.of(joints)
    assert np.argwhere(path.held).tolist() == [[2, 7]]
    assert np.isfinite(path.positions).all()


def test_what_cannot_be_held_is_refused():
    joints = np.zeros((4, 22, 3))
    with pytest.raises(ValueError, match="there is no joint 'left_hand'"):
        JointPath.of(joints, ["left_hand"])
    with pytest.raises(ValueError, match="frames 1 to 4"):
        JointPath.of(joints, None, [1, 4])
    joints[1, 3] = np.inf
    with pytest.raises(ValueError, match="holds spine1 in frame 1 at no finite place"):
        JointPath.of(joints)
    with pytest.raises(ValueError, match="not \\(T, 22, 3\\)"):
        JointPath(np.zeros((4, 21, 3)), np.zeros((4, 21), bool))
    with pytest.raises(ValueError, match="there is no joint 22"):
        joint_number(22)
    with pytest.raises(ValueError, match="path of motion 1 has 4 frames, the motion 8"):
        check_lengths([JointPath.empty(4)] * 2, [4, 8])


def test_a_path_is_made_longer_and_never_loses_what_it_holds():
    path = JointPath.of(np.ones((6, 22, 3)), [0], [1])
    longer = path.fitted(12)
    assert len(longer) == 12
    assert longer.points == 1
    assert path.fitted(2).points == 1
    with pytest.raises(ValueError, match="frame 1, outside the 1 of the motion"):
        path.fitted(1)


def test_a_path_is_moved_to_the_origin_by_its_pelvis():
    joints = np.zeros((4, 22, 3), np.float32)
    joints[:, 0] = [[2, 0.9, 1], [2, 0.9, 2], [2, 0.9, 3], [2, 0.9, 4]]
    joints[:, 20] = [3, 1.2, 1]
    moved = JointPath.of(joints, [0, 20]).relative()
    np.testing.assert_allclose(moved.positions[0, 0], [0, 0.9, 0])
    np.testing.assert_allclose(moved.positions[3, 0], [0, 0.9, 3])
    np.testing.assert_allclose(moved.positions[0, 20], [1, 1.2, 0])
    np.testing.assert_allclose(JointPath.of(joints, [20]).relative().positions[2, 20], [0, 1.2, 0])
    assert JointPath.empty(4).relative().points == 0


def test_what_no_person_can_do_is_doubted_where_it_is():
    joints = np.zeros((8, 22, 3), np.float32)
    assert JointPath.of(joints).doubts() == []
    joints[5:, 0, 2] = 2.0  # 40 m/s
    joints[:, 20, 1] = 140.0
    fast, high = JointPath.of(joints, [0, 20]).doubts()
    assert (fast.frame, fast.joint) == (5, 0)
    assert "pelvis moves 40 m/s from frame 4 to 5; nobody moves it faster than 12 m/s" in fast.what
    assert (high.joint, "140 m over the floor" in high.what) == (20, True)
    joints[:, 0, 0] = 1.0
    assert any("--relative" in doubt.what for doubt in JointPath.of(joints, [0]).doubts())


def test_a_gap_in_time_is_no_speed():
    joints = np.zeros((21, 22, 3), np.float32)
    joints[20, 0, 2] = 5.0  # 5 m in a second
    assert JointPath.of(joints, [0], [0, 20]).doubts() == []
