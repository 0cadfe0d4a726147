"""How far an edit reached, on motions of which it is known."""

from __future__ import annotations

import numpy as np
import pytest

from kinmo_annotate.schema.features import BLOCKS, features_to_joints
from kinmo_models.editing.measure import at_seams, moved_in_body, moved_in_world, velocity_jumps


def test_a_way_that_is_longer_moves_nothing_in_the_body(rows):
    before = rows(20)
    after = before.copy()
    after[5, BLOCKS["root_velocity"]] += 0.5
    after[5, BLOCKS["root_yaw_velocity"]] += 0.2
    assert moved_in_body(before, after).max() == 0
    joints = [features_to_joints(one) for one in (before, after)]
    assert moved_in_world(*joints, ["torso"])[:6].max() == 0
    assert moved_in_world(*joints, ["torso"])[6:].min() > 0.4


def test_a_joint_that_moved_is_told_in_metres(rows):
    before = rows(20)
    after = before.copy()
    after[:, BLOCKS["positions"]].reshape(20, 21, 3)[:, 19] += [0.03, 0.0, 0.04]
    moved = moved_in_body(before, after)
    np.testing.assert_allclose(moved[:, 20], 0.05, atol=1e-6)
    assert moved[:, :20].max() == 0
    joints = [features_to_joints(one) for one in (before, after)]
    assert moved_in_world(*joints, ["left_arm"]).mean() == pytest.approx(0.05 / 4, abs=1e-6)


def test_jumps_of_velocity_are_metres_a_second():
    joints = np.zeros((10, 22, 3))
    joints[5:, 7, 0] = 0.01 * np.arange(1, 6)  # from rest to 0.2 m/s
    jumps = velocity_jumps(joints)
    assert np.argmax(jumps) == 4
    assert jumps[4] == pytest.approx(0.2)
    assert np.delete(jumps, 4).max() == pytest.approx(0.0, abs=1e-12)
    assert not velocity_jumps(joints[:2]).any()


def test_seams_are_the_frames_beside_an_edge():
    edited = np.zeros(20, bool)
    edited[8:12] = True
    assert np.flatnonzero(at_seams(edited)).tolist() == [6, 7, 8, 9, 10, 11, 12, 13]
    assert not at_seams(np.ones(5, bool)).any()
