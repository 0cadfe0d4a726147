from __future__ import annotations

import numpy as np
import pytest

from kinmo_annotate.foot_contacts import clean_feet, floor_contacts
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import FORWARD, GROUND, JOINT, JOINTS, PARENTS, UP

FEET = [JOINT["left_foot"], JOINT["right_foot"]]
LEGS = [JOINT[f"{side}_{name}"] for side in ("left", "right") for name in ("knee", "ankle", "foot")]
REST = [joint for joint in range(len(JOINTS)) if joint not in LEGS]


def skating(joints: np.ndarray) -> np.ndarray:
    """Steps (T - 1,) in which a foot skates: low at both ends, above 0.5 m/s now and over five steps."""
    feet = joints[:, FEET]
    low = (feet[:-1, :, UP] < 0.05) & (feet[1:, :, UP] < 0.05)
    speed = np.linalg.norm(np.diff(feet[..., list(GROUND)], axis=0), axis=-1) * 20
    mean = np.stack([np.convolve(one, np.full(5, 0.2), "same") for one in speed.T], axis=1)
    return (low & (speed > 0.5) & (mean > 0.5)).any(axis=1)


def bones(joints: np.ndarray) -> np.ndarray:
    return np.linalg.norm(joints[:, 1:] - joints[:, list(PARENTS[1:])], axis=-1)


@pytest.fixture
def crouching(arm_motion) -> np.ndarray:
    """A body that stands with its knees bent forwards, so that its legs have somewhere to reach."""
    joints = np.repeat(arm_motion(6)[:1].astype(np.float64), 60, axis=0)
    for side in ("left", "right"):
        hip, knee, ankle = (joints[0, JOINT[f"{side}_{name}"]].copy() for name in ("hip", "knee", "ankle"))
        thigh, shin = hip[UP] - knee[UP], knee[UP] - ankle[UP]
        span = 0.92 * (thigh + shin)
        down = (thigh**2 - shin**2 + span**2) / (2 * span)
        joints[:, JOINT[f"{side}_knee"], UP] = hip[UP] - down
        joints[:, JOINT[f"{side}_knee"], FORWARD] += np.sqrt(thigh**2 - down**2)
        for name in ("ankle", "foot"):
            joints[:, JOINT[f"{side}_{name}"], UP] += thigh + shin - span
    joints[..., UP] -= joints[..., UP].min()
    return joints


def slid(joints: np.ndarray, metres: float) -> np.ndarray:
    """The same motion, carried forwards as a whole at a steady speed."""
    moved = joints.copy()
    moved[..., FORWARD] += np.linspace(0, metres, len(joints))[:, None]
    return moved


def test_a_body_that_slides_stands_still(crouching):
    joints = slid(crouching, 0.3)
    cleaned = clean_feet(joints)
    assert cleaned.contacts.all()
    assert np.ptp(cleaned.joints[:, LEGS[1]], axis=0).max() < 1e-6
    assert np.ptp(cleaned.joints[:, FEET], axis=0).max() < 1e-6
    assert np.linalg.norm(cleaned.joints[:, FEET] - joints[:, FEET], axis=-1).max() == pytest.approx(0.15)
    assert cleaned.moved_m >= 0.15


def test_bones_keep_their_lengths_and_the_rest_of_the_body_its_place(crouching):
    joints = slid(crouching, 0.5)
    cleaned = clean_feet(joints).joints
    np.testing.assert_allclose(bones(cleaned), bones(joints), atol=1e-6)
    np.testing.assert_array_equal(cleaned[:, REST], joints[:, REST].astype(np.float32))
    knees = cleaned[:, [JOINT["left_knee"], JOINT["right_knee"]], FORWARD]
    ankles = cleaned[:, [JOINT["left_ankle"], JOINT["right_ankle"]], FORWARD]
    hips = cleaned[:, [JOINT["left_hip"], JOINT["right_hip"]], FORWARD]
    assert (knees > (hips + ankles) / 2).all(), "knees point forwards"


def test_a_foot_out_of_reach_comes_as_near_as_its_leg_allows(crouching):
    joints = slid(crouching, 1.2)
    cleaned = clean_feet(joints).joints
    np.testing.assert_allclose(bones(cleaned), bones(joints), atol=1e-6)
    leg = np.linalg.norm(cleaned[0, JOINT["left_hip"]] - cleaned[0, JOINT["left_ankle"]])
    assert leg == pytest.approx(bones(joints)[0, [JOINT["left_knee"] - 1, JOINT["left_ankle"] - 1]].sum())


def test_a_body_that_stands_is_left_as_it_is(crouching):
    cleaned = clean_feet(crouching)
    np.testing.assert_allclose(cleaned.joints, crouching, atol=1e-6)
    assert cleaned.moved_m < 1e-9


def test_feet_in_the_air_are_left_as_they_are(crouching):
    joints = slid(crouching, 0.3)
    joints[..., UP] += 0.2
    cleaned = clean_feet(joints)
    assert not cleaned.contacts.any()
    assert cleaned.moved_m == 0.0


def test_a_stance_fades_in_and_out_without_a_jump(crouching):
    joints = slid(crouching, 0.4)
    rise = 0.3 * np.clip(np.sin(np.linspace(0, 3 * np.pi, 60)), 0, None)
    for name in ("ankle", "foot", "knee"):
        joints[:, JOINT[f"left_{name}"], UP] += rise
    cleaned = clean_feet(joints)
    left = cleaned.contacts[:, :2].any(axis=1)
    assert 0 < left.sum() < len(left)
    move = np.linalg.norm(cleaned.joints - joints, axis=-1)[:, JOINT["left_foot"]]
    assert move.max() > 0.01
    # As fast as the slide where it stands; while it fades, at most 1.5 times its size in five frames.
    assert np.abs(np.diff(move)).max() < 0.4 / 59 + 1.5 * move.max() / 5


def test_contacts_are_slow_and_low(crouching):
    joints = crouching[:4].copy()
    joints[2:, JOINT["left_foot"], FORWARD] += 0.045  # 0.9 m/s: HumanML3D's limit is 0.894
    joints[1:, JOINT["right_ankle"], UP] = 0.13
    expected = np.ones((3, 4), bool)
    expected[1, 1] = False
    expected[:, 2] = False
    np.testing.assert_array_equal(floor_contacts(joints), expected)


def test_what_is_no_motion_is_refused():
    with pytest.raises(MotionError, match="expected"):
        clean_feet(np.zeros((5, 21, 3)))


def test_real_motions_that_drift_skate_less(shared_data):
    paths = sorted((shared_data / "mocap/new_joints").glob("*.npy"))[::60]
    before, after = [], []
    for path in paths:
        joints = np.load(path).astype(np.float64)
        turn = 4.0 * np.arange(len(joints)) / 20
        joints[..., list(GROUND)] += 0.14 * np.stack([np.sin(turn), np.cos(turn)], axis=1)[:, None]
        cleaned = clean_feet(joints)
        before.append(skating(joints))
        after.append(skating(cleaned.joints))
        np.testing.assert_allclose(bones(cleaned.joints), bones(joints), atol=2e-6)
        assert cleaned.moved_m < 0.35, path.name
    assert np.concatenate(before).mean() > 0.5
    assert np.concatenate(after).mean() < 0.5 * np.concatenate(before).mean()
