from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from kinmo_annotate.schema import features as hml
from kinmo_annotate.schema import rotations as rot
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import JOINT, PARENTS, TARGET_LENGTHS, mirror_joints

DATA = Path(__file__).parents[2] / "../shared/data"
REFERENCE = DATA / "reference/humanml3d"
END_EFFECT = 90  # the smoothing of the facing saw frames beyond the end of the reference joints

needs_reference = pytest.mark.skipif(not REFERENCE.exists(), reason="../shared/data/reference is absent")
needs_mocap = pytest.mark.skipif(not (DATA / "mocap").exists(), reason="../shared/data/mocap is absent")


def body() -> np.ndarray:
    """One standing frame (22, 3) facing +z, arms down, knees and elbows a little bent."""
    x, y, z = np.array(
        [
            (0, 0.95, 0), (0.08, 0.88, 0), (-0.08, 0.88, 0), (0, 1.06, 0),
            (0.1, 0.5, 0.04), (-0.1, 0.5, 0.05), (0, 1.2, 0), (0.1, 0.1, 0), (-0.1, 0.1, 0), (0, 1.26, 0),
            (0.12, 0.03, 0.13), (-0.12, 0.03, 0.13), (0, 1.47, 0.01), (0.07, 1.38, 0), (-0.07, 1.38, 0),
            (0, 1.57, 0.05), (0.19, 1.38, 0), (-0.19, 1.38, 0), (0.25, 1.13, -0.02), (-0.25, 1.13, -0.01),
            (0.26, 0.88, 0.05), (-0.26, 0.88, 0.06),
        ]
    ).T  # fmt: skip
    return np.stack([x, y, z], axis=-1)


def turning_walk(frames: int = 100, degrees_per_frame: float = 3.0, size: float = 1.0) -> np.ndarray:
    """A body that walks on a circle with a swinging right arm, (T, 22, 3)."""
    t = np.arange(frames)
    moving = np.repeat(size * body()[None], frames, axis=0)
    swing = rot.axis_angle_to_matrix(0.6 * np.sin(0.3 * t)[:, None] * [[1.0, 0, 0]])
    shoulder = moving[:, [17]]
    moving[:, [19, 21]] = (moving[:, [19, 21]] - shoulder) @ swing.transpose(0, 2, 1) + shoulder
    yaw = rot.yaw_matrix(np.radians(degrees_per_frame) * t)
    place = np.cumsum(yaw @ np.array([0, 0, 0.02]), axis=0)
    return moving @ yaw.transpose(0, 2, 1) + place[:, None]


def block_errors(mine: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    return {name: float(np.abs(mine[:, s] - theirs[:, s]).max()) for name, s in hml.BLOCKS.items()}


def test_blocks_cover_the_row_once_and_in_order() -> None:
    edges = [(s.start, s.stop) for s in hml.BLOCKS.values()]
    assert edges == [(0, 1), (1, 3), (3, 4), (4, 67), (67, 193), (193, 259), (259, 263)]
    assert hml.NUM_FEATURES == 263


@needs_reference
def test_joints_of_the_reference_vector_are_the_reference_joints() -> None:
    vectors = np.load(REFERENCE / "new_joint_vecs_012314.npy")
    joints = np.load(REFERENCE / "new_joints_012314.npy")
    assert np.abs(hml.features_to_joints(vectors) - joints).max() < 1e-5
    assert np.abs(hml.features_to_joints_from_rotations(vectors) - joints).max() < 1e-5


@needs_reference
def test_vector_of_the_reference_joints_is_the_reference_vector() -> None:
    vectors = np.load(REFERENCE / "new_joint_vecs_012314.npy")
    mine = hml.joints_to_features(np.load(REFERENCE / "new_joints_012314.npy"))
    assert mine.shape == (len(vectors) - 1, 263)
    assert mine.dtype == np.float32
    errors = block_errors(mine[:-END_EFFECT], vectors[: len(mine) - END_EFFECT])
    assert max(errors.values()) < 1e-4, errors
    np.testing.assert_array_equal(mine[:, hml.BLOCKS["contacts"]], vectors[:-1, hml.BLOCKS["contacts"]])


@needs_reference
def test_the_anatomically_right_hip_sign_would_not_reproduce_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hml, "_HIPS", (JOINT["right_hip"], JOINT["left_hip"]))
    vectors = np.load(REFERENCE / "new_joint_vecs_012314.npy")
    mine = hml.joints_to_features(np.load(REFERENCE / "new_joints_012314.npy"))
    errors = block_errors(mine[:-END_EFFECT], vectors[: len(mine) - END_EFFECT])
    assert errors["positions"] > 0.01


@pytest.mark.parametrize("frames", [2, 3, 40, 161, 400])
def test_smoothing_equals_scipy(frames: int) -> None:
    values = np.random.default_rng(frames).normal(size=(frames, 3))
    theirs = gaussian_filter1d(values, 20.0, axis=0, mode="nearest")
    np.testing.assert_allclose(hml.smooth_over_time(values, 20.0), theirs, atol=1e-13)


def walked_rotations(joints: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """The reference's inverse kinematics as its specification words it: chain by chain, bone by bone."""
    from kinmo_annotate.schema.skeleton import CHAINS, RAW_DIRECTIONS

    result = np.zeros((*joints.shape[:2], 4))
    for chain in CHAINS:
        turned = heading
        for parent, child in pairwise(chain):
            arc = rot.quat_between(RAW_DIRECTIONS[child], joints[:, child] - joints[:, parent])
            result[:, child] = rot.quat_multiply(rot.quat_conjugate(turned), arc)
            turned = rot.quat_multiply(turned, result[:, child])
    return result[:, 1:]


def test_rotations_equal_a_walk_along_the_chains() -> None:
    joints = hml.canonical_joints(turning_walk(30))
    heading = hml._facing_quats(joints)
    mine = hml._bone_rotations(joints, heading)
    np.testing.assert_allclose(np.abs((mine * walked_rotations(joints, heading)).sum(-1)), 1.0, atol=1e-12)


def test_uniform_skeleton_has_target_bones_floor_origin_and_facing() -> None:
    canonical = hml.canonical_joints(turning_walk(50, size=1.7) + np.array([3.0, 0.4, -2.0]))
    bones = np.linalg.norm(canonical[:, 1:] - canonical[:, list(PARENTS[1:])], axis=-1)
    np.testing.assert_allclose(bones, np.broadcast_to(TARGET_LENGTHS[1:], bones.shape), atol=1e-6)
    assert canonical[..., 1].min() == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(canonical[0, 0, [0, 2]], 0.0, atol=1e-12)
    assert canonical[0, JOINT["left_shoulder"], 0] > 0.1


def test_positions_come_back_from_both_recoveries() -> None:
    motion = turning_walk(60, degrees_per_frame=1.5)
    canonical = hml.canonical_joints(motion)[:-1]
    vectors = hml.joints_to_features(motion)
    np.testing.assert_allclose(hml.features_to_joints(vectors), canonical, atol=1e-5)
    np.testing.assert_allclose(hml.features_to_joints_from_rotations(vectors), canonical, atol=1e-5)


def test_yaw_velocity_is_half_the_turn_and_has_the_wrong_sign_once_at_half_a_circle() -> None:
    turn = hml.joints_to_features(turning_walk(240, degrees_per_frame=3.0))[:, 0]
    middle = np.degrees(turn[100:140])
    np.testing.assert_allclose(np.abs(middle), 1.5, atol=0.02)  # half of three degrees
    assert (turn[1:] > 0.01).sum() == 2  # removing a left turn is negative, but for two passes of 180 degrees


def test_contacts_compare_squared_steps_and_ignore_height() -> None:
    motion = np.repeat(hml.canonical_joints(turning_walk(2))[:1], 3, axis=0)
    motion[1:, JOINT["left_ankle"], 0] += 0.040  # squared 0.0016
    motion[1:, JOINT["right_foot"], 1] += 0.050  # squared 0.0025
    np.testing.assert_array_equal(hml.foot_contacts(motion), [[1, 1, 1, 0], [1, 1, 1, 1]])


def test_recoveries_take_batches() -> None:
    vectors = hml.joints_to_features(turning_walk(41))
    batch = np.stack([vectors, vectors[::-1]])
    for recover in (hml.features_to_joints, hml.features_to_joints_from_rotations):
        together = recover(batch)
        assert together.shape == (2, 40, 22, 3)
        np.testing.assert_allclose(together[1], recover(vectors[::-1]), atol=1e-6)


def test_a_mirrored_motion_mirrors_its_root_and_contacts() -> None:
    motion = turning_walk(60)
    one, other = hml.joints_to_features(motion), hml.joints_to_features(mirror_joints(motion))
    assert np.allclose(one[:, 0], -other[:, 0], atol=0.01)
    np.testing.assert_array_equal(other[:, hml.BLOCKS["contacts"]], one[:, [261, 262, 259, 260]])


def test_two_frames_give_one_row() -> None:
    assert hml.joints_to_features(turning_walk(2)).shape == (1, 263)
    with pytest.raises(MotionError, match="has 1 frames"):
        hml.joints_to_features(turning_walk(1))


@pytest.mark.parametrize("frame", [0, 4])
def test_a_bone_without_length_is_named(frame: int) -> None:
    motion = turning_walk(10)
    motion[frame, JOINT["left_elbow"]] = motion[frame, JOINT["left_shoulder"]]
    with pytest.raises(MotionError, match=f"a.npy: .*left_shoulder to left_elbow .* frame {frame}"):
        hml.joints_to_features(motion, where="a.npy")


def test_unusable_input_is_refused() -> None:
    motion = turning_walk(10)
    motion[3, 5, 1] = np.nan
    for bad in (motion, turning_walk(10)[:, :21], 100 * turning_walk(10)):
        with pytest.raises(MotionError):
            hml.joints_to_features(bad)
    for vectors in (np.zeros((10, 251)), np.zeros(263), np.full((4, 263), np.nan), np.zeros((0, 263))):
        with pytest.raises(MotionError):
            hml.features_to_joints(vectors)


def test_facing_straight_back_is_finite() -> None:
    motion = turning_walk(30, degrees_per_frame=0.0) * [-1.0, 1.0, -1.0]
    with np.errstate(all="raise", under="ignore"):
        vectors = hml.joints_to_features(motion)
    np.testing.assert_allclose(hml.features_to_joints(vectors), hml.canonical_joints(motion)[:-1], atol=1e-5)


@needs_mocap
def test_real_motions_come_back() -> None:
    worst = 0.0
    for path in sorted((DATA / "mocap/new_joints").glob("*.npy"))[::150]:
        joints = np.load(path)
        vectors = hml.joints_to_features(joints)
        error = np.abs(hml.features_to_joints(vectors) - hml.canonical_joints(joints)[:-1]).max()
        if _stays_in_front(joints):
            worst = max(worst, float(error))
    assert 0 < worst < 1e-4


def _stays_in_front(joints: np.ndarray) -> bool:
    """Whether the heading stays off straight backwards, where the reference's yaw velocity errs."""
    quats = hml._facing_quats(hml.canonical_joints(joints))
    return bool((np.einsum("ti,ti->t", quats[1:], quats[:-1]) > 0).all())
