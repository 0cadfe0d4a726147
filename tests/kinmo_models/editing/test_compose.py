"""Composition: what stays is as it was, edges are smooth, and bodies keep their bones."""

from __future__ import annotations

import numpy as np
import pytest

from kinmo_annotate.schema.features import BLOCKS, features_to_joints
from kinmo_annotate.schema.rotations import quat_rotate
from kinmo_annotate.schema.skeleton import GROUP_NAMES, GROUPS, JOINT, PARENTS
from kinmo_models.editing.compose import FADE, compose_groups, compose_in_time, smooth_seams, turn_between

CONTACTS = BLOCKS["contacts"]


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def parts(rows, random):
    """A motion, its tokens decoded, and decoded after rows 24 to 39 were written anew."""
    motion = rows(64)
    before = motion + 0.02 * np.sin(np.arange(64) / 9)[:, None].astype(np.float32)
    edited = (np.arange(64) >= 24) & (np.arange(64) < 40)
    answer = np.exp(-(((np.arange(64) - 31.5) / 8) ** 2))[:, None] * random.standard_normal(263)
    return motion, before, (before + 0.1 * answer).astype(np.float32), edited


def test_rows_away_from_an_edit_are_the_motions_own(parts):
    motion, before, after, edited = parts
    mixed = compose_in_time(motion, before, after, edited)
    assert mixed.dtype == np.float32
    np.testing.assert_array_equal(mixed[: 24 - FADE], motion[: 24 - FADE])
    np.testing.assert_array_equal(mixed[40 + FADE :], motion[40 + FADE :])
    assert not np.array_equal(mixed[24 - FADE + 2], motion[24 - FADE + 2])
    rest = np.delete(np.arange(263), np.arange(263)[CONTACTS])
    np.testing.assert_allclose(mixed[32:33, rest], after[32:33, rest], atol=1e-2)
    assert set(np.unique(mixed[16:48, CONTACTS])) <= {0.0, 1.0}


def test_edges_are_as_smooth_as_what_is_decoded(parts):
    motion, before, after, edited = parts
    mixed = compose_in_time(motion, before, after, edited)
    bare = np.where(edited[:, None], after, motion)
    of = BLOCKS["positions"]
    jump, cut = (np.abs(np.diff(one[:, of], axis=0))[[23, 39]].max() for one in (mixed, bare))
    smooth = np.abs(np.diff(after[:, of], axis=0)).max() + np.abs(np.diff(motion[:, of], axis=0)).max()
    assert jump < smooth < cut + smooth
    assert jump < cut


def test_an_edit_of_nothing_and_of_all(parts):
    motion, before, after, edited = parts
    np.testing.assert_array_equal(compose_in_time(motion, before, after, edited & False), motion)
    np.testing.assert_array_equal(compose_in_time(motion, before, after, edited | True), after)


def test_a_seam_that_jumps_becomes_smoother_and_nothing_else_moves(parts):
    motion, _, _, edited = parts
    torn = motion.copy()
    torn[edited] += 0.2
    smooth = smooth_seams(torn, edited)
    turns = [np.abs(np.diff(one[:, 4:67], n=2, axis=0)).max() for one in (torn, smooth)]
    assert turns[1] < 0.6 * turns[0]
    far = np.ones(64, bool)
    far[24 - FADE : 24 + FADE] = far[40 - FADE : 40 + FADE] = False
    np.testing.assert_array_equal(smooth[far], torn[far])
    np.testing.assert_array_equal(smooth[:, CONTACTS], torn[:, CONTACTS])


@pytest.fixture
def bodies(arm_motion, random):
    """A body that lifts its arm, and another, turned, elsewhere, whose bones are a little wrong."""
    source = arm_motion(0)[:20].astype(np.float64)
    new = arm_motion(5)[:20].astype(np.float64)
    new = new + 0.005 * random.standard_normal((1, 22, 3))
    half = np.deg2rad(40) / 2
    new = quat_rotate(np.array([np.cos(half), 0.0, np.sin(half), 0.0]), new)
    new = new + np.array([0.5, 0.0, 1.0])
    return source, new


@pytest.mark.parametrize("edited", GROUP_NAMES[1:])
def test_what_is_held_on_a_held_torso_stays_exactly(bodies, edited):
    source, new = bodies
    held = [name for name in GROUP_NAMES if name != edited]
    result = compose_groups(source, new, held)
    still = [joint for name in held for joint in GROUPS[name]]
    np.testing.assert_array_equal(result[:, still], source[:, still].astype(np.float32))
    assert not np.allclose(result[:, list(GROUPS[edited])], source[:, list(GROUPS[edited])], atol=1e-3)


HOLDS = [(), ("torso",), ("left_leg", "right_leg"), ("neck", "left_arm"), (*GROUP_NAMES[1:],)]


@pytest.mark.parametrize("held", HOLDS)
def test_bones_keep_the_sources_lengths(bodies, held):
    source, new = bodies
    result = compose_groups(source, new, held).astype(np.float64)
    for joint in range(1, 22):
        lengths = [np.linalg.norm(one[:, joint] - one[:, PARENTS[joint]], axis=1) for one in (result, source)]
        np.testing.assert_allclose(*lengths, atol=1e-5)


def test_a_new_arm_moves_in_the_chest_as_in_the_new_motion(bodies):
    source, new = bodies
    result = compose_groups(source, new, [name for name in GROUP_NAMES if name != "left_arm"])
    # the new body is turned by 40 degrees: on the source's chest the arm is turned back by as much
    half = np.deg2rad(-40) / 2
    arm = [JOINT["left_wrist"]]
    seen = quat_rotate(np.array([np.cos(half), 0.0, np.sin(half), 0.0]), new[:, arm] - new[:, [9]])
    found = result[:, arm] - result[:, [9]]
    assert np.linalg.norm(found - seen, axis=-1).max() < 0.06


def test_legs_that_are_held_stay_under_a_new_trunk(bodies):
    source, new = bodies
    result = compose_groups(source, new, ("left_leg", "right_leg"))
    legs = [*GROUPS["left_leg"], *GROUPS["right_leg"], 0]
    np.testing.assert_array_equal(result[:, legs], source[:, legs].astype(np.float32))


def test_a_new_trunk_bends_from_upright_and_faces_as_the_hips_do(bodies):
    source, _ = bodies
    half = np.deg2rad(30) / 2
    bow = source[:, :1] + quat_rotate(
        np.array([np.cos(half), np.sin(half), 0.0, 0.0]), source - source[:, :1]
    )
    turn = np.deg2rad(70) / 2  # the whole body bows, pelvis and all, and faces elsewhere
    new = quat_rotate(np.array([np.cos(turn), 0.0, np.sin(turn), 0.0]), bow)
    result = compose_groups(source, new, ("left_leg", "right_leg"))
    still = [*GROUPS["left_leg"], *GROUPS["right_leg"], 0]
    np.testing.assert_array_equal(result[:, still], source[:, still].astype(np.float32))
    upper = [joint for joint in range(22) if joint not in still]
    np.testing.assert_allclose(result[:, upper], bow[:, upper], atol=1e-5)


def test_a_held_arm_goes_with_a_new_trunk_in_its_own_pose(bodies):
    source, new = bodies
    result = compose_groups(source, new, ("right_arm",))
    wrist, shoulder = JOINT["right_wrist"], JOINT["right_shoulder"]
    reach = [np.linalg.norm(one[:, wrist] - one[:, shoulder], axis=1) for one in (result, source)]
    np.testing.assert_allclose(*reach, atol=1e-5)


def test_without_held_groups_it_is_the_new_motion_with_the_sources_bones(bodies):
    source, new = bodies
    result = compose_groups(source, new, ())
    np.testing.assert_allclose(result[:, 0], new[:, 0], atol=1e-6)
    assert np.linalg.norm(result - new, axis=-1).max() < 0.15
    np.testing.assert_allclose(compose_groups(source, source, ()), source, atol=1e-5)


def test_turns_are_rotations(bodies):
    source, new = bodies
    turn = turn_between(source, new, 9, (12, 13, 14))
    square = turn @ turn.transpose(0, 2, 1)
    np.testing.assert_allclose(square, np.broadcast_to(np.eye(3), turn.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(turn), 1.0)


def test_features_of_what_is_composed_start_where_the_source_does(parts):
    motion, before, after, edited = parts
    joints = features_to_joints(compose_in_time(motion, before, after, edited))
    np.testing.assert_allclose(joints[:16], features_to_joints(motion)[:16], atol=1e-6)
