import numpy as np
import pytest

from kinmo_annotate.posecodes.measure import HEAD_REST_DEG, degrees_between, measure
from kinmo_annotate.posecodes.points import POINT, POINTS, face_forward, named_points, smooth
from kinmo_annotate.schema.skeleton import JOINT


def turned(joints, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (joints @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])).astype(np.float32)


@pytest.fixture
def standing(arm_motion):
    """(1, 22, 3): upright, arms hanging."""
    return arm_motion(1)[:1].astype(np.float32)


def one(joints, *name):
    return float(measure(named_points(joints), [name])[0, 0])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_straight_folded_and_empty_limbs_have_exact_angles(scale):
    rng = np.random.default_rng(0)
    bone = (rng.normal(size=(3, 500)) * scale).astype(np.float32)
    assert np.abs(degrees_between(bone, -bone) - 180).max() < 0.05
    assert degrees_between(bone, bone * 2).max() < 0.05
    assert np.isfinite(degrees_between(bone, bone * 0)).all()


def test_angles_are_those_of_the_joints(standing):
    assert one(standing, "angle", "left_elbow") == pytest.approx(180, abs=0.1)
    elbow = standing[0, JOINT["left_elbow"]]
    standing[0, JOINT["left_wrist"]] = elbow + np.array([0, 0, 0.25])
    assert one(standing, "angle", "left_elbow") == pytest.approx(90, abs=0.1)
    assert one(standing, "upright", "left_elbow", "left_wrist") == pytest.approx(90, abs=0.1)


def test_turning_the_body_changes_no_measure(standing):
    rng = np.random.default_rng(1)
    pose = (standing + rng.normal(scale=0.05, size=standing.shape)).astype(np.float32)
    names = [("body", kind) for kind in ("twist", "incline", "lean", "head_pitch", "head_tilt")]
    names += [
        ("x", "left_hand", "right_hand"),
        ("z", "left_foot", "chest"),
        ("distance", "left_hand", "neck"),
    ]
    expected = measure(named_points(pose), names)
    for degrees in (37, 120, 180, -95):
        assert np.allclose(measure(named_points(turned(pose, degrees)), names), expected, atol=2e-3)


def test_heading_faces_forward_and_survives_lying_on_the_side(standing):
    faced = face_forward(turned(standing, 77))
    across = faced[:, JOINT["left_hip"], 0] - faced[:, JOINT["right_hip"], 0]
    assert across[0] > 0.1
    assert abs(across[2]) < 1e-5
    stacked = standing.copy()
    stacked[0, JOINT["left_hip"]] = stacked[0, JOINT["right_hip"]] + (0, 0.2, 0)
    assert np.isfinite(face_forward(stacked)).all()
    everything_in_one_point = np.zeros((1, 22, 3), np.float32)
    assert np.isfinite(named_points(everything_in_one_point)).all()


def test_signs_of_the_trunk_and_head(standing):
    bent = standing.copy()
    upper = [
        i
        for name, i in JOINT.items()
        if not any(p in name for p in ("hip", "knee", "ankle", "foot", "pelvis"))
    ]
    bent[0, upper, 2] += 0.4
    assert one(bent, "body", "incline") > 20
    leaned = standing.copy()
    leaned[0, upper, 0] += 0.3
    assert one(leaned, "body", "lean") > 15
    twisted = standing.copy()
    twisted[0, JOINT["left_shoulder"], 2] += 0.2  # the left shoulder comes forward: turned to the right
    assert one(twisted, "body", "twist") > 20
    nodding = standing.copy()
    nodding[0, JOINT["head"]] = nodding[0, JOINT["neck"]] + (0.05, 0.05, 0.2)
    assert one(nodding, "body", "head_pitch") > 70 - HEAD_REST_DEG
    assert one(nodding, "body", "head_tilt") > 10


def test_the_floor_is_the_floor_and_not_the_lowest_point(standing):
    standing[..., 1] += 0.5  # a jump
    assert one(standing, "height", "left_foot") > 0.45


def test_smoothing_stays_within_a_motion(standing):
    still, moved = np.repeat(standing, 6, axis=0), np.repeat(standing + 1, 4, axis=0)
    both = np.concatenate([still, moved]).astype(np.float32)
    assert np.allclose(smooth(both, np.array([0, 6, 10])), both, atol=1e-6)
    assert not np.allclose(smooth(both, np.array([0, 10])), both, atol=1e-2)


def test_hand_is_prolonged_from_the_forearm(standing):
    points = named_points(standing)
    hand, wrist = points[:, POINT["left_hand"], 0], points[:, POINT["left_wrist"], 0]
    assert np.linalg.norm(hand - wrist) == pytest.approx(0.1367 / 2, abs=1e-4)
    assert len(POINTS) == points.shape[1] == 33
