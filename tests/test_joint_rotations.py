from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinmo_annotate import joint_rotations as solver
from kinmo_annotate.schema import rotations as rot
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import JOINT, JOINTS, PARENTS, RAW_DIRECTIONS
from kinmo_annotate.sources.bvh import detect_unit
from kinmo_annotate.sources.bvh_read import local_pose, read_bvh, resample, world_positions
from kinmo_annotate.sources.mapping import choose

# Rest offsets in metres of a T-pose: what `joint_rotations` calls rest.
OFFSETS = np.zeros((22, 3))
for _name, _offset in {
    "hip": (0.09, -0.07, 0), "knee": (0, -0.4, 0), "ankle": (0, -0.42, 0), "foot": (0, 0, 0.14),
    "collar": (0.07, 0.1, 0), "shoulder": (0.12, 0, 0), "elbow": (0.26, 0, 0), "wrist": (0.25, 0, 0),
}.items():  # fmt: skip
    OFFSETS[JOINT[f"left_{_name}"]] = _offset
    OFFSETS[JOINT[f"right_{_name}"]] = np.multiply(_offset, (-1, 1, 1))
for _name, _height in (("spine1", 0.12), ("spine2", 0.14), ("spine3", 0.06), ("neck", 0.21), ("head", 0.1)):
    OFFSETS[JOINT[_name], 1] = _height


def posed(frames: int = 120, **turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, 22, 3) and global rotations of a body with the given local rotation vectors (T or 1, 3)."""
    local = np.tile(np.eye(3), (frames, 22, 1, 1))
    for name, vectors in turns.items():
        local[:, JOINT[name]] = rot.axis_angle_to_matrix(np.broadcast_to(vectors, (frames, 3)))
    world = solver.global_rotations(local)
    return solver.forward_kinematics(world, OFFSETS, (0.2, 1.0, 0.1)), world


def along(axis: tuple[float, float, float], angles: np.ndarray) -> np.ndarray:
    return np.asarray(angles)[:, None] * np.array(axis)


def degrees_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(np.linalg.norm(rot.matrix_to_axis_angle(a.swapaxes(-1, -2) @ b), axis=-1))


def steps(turns: np.ndarray) -> np.ndarray:
    """Degrees (T-1, ...) that rotations turn from frame to frame."""
    return degrees_between(turns[:-1], turns[1:])


def naive_rotations(joints: np.ndarray) -> np.ndarray:
    """What the complaint is about: the shortest arc of every bone from HumanML3D's rest directions."""
    bones = joints[:, 1:].astype(float) - joints[:, list(PARENTS[1:])]
    return rot.quat_to_matrix(rot.quat_between(RAW_DIRECTIONS[1:], bones))


def test_the_rest_pose_has_no_rotation_and_turns_as_one() -> None:
    joints, _ = posed(3)
    np.testing.assert_allclose(solver.joint_rotations(joints), np.tile(np.eye(3), (3, 22, 1, 1)), atol=1e-9)
    tumble = rot.axis_angle_to_matrix(np.linspace(0, 6, 50)[:, None] * [0.6, 0.0, 0.8])
    joints, world = posed(50, pelvis=np.linspace(0, 6, 50)[:, None] * [0.6, 0.0, 0.8])
    np.testing.assert_allclose(world[:, 0], tumble, atol=1e-12)
    np.testing.assert_allclose(solver.joint_rotations(joints), world, atol=1e-9)


def test_known_rotations_come_back_with_their_twist() -> None:
    t = np.linspace(0, 2 * np.pi, 120)
    wave = 0.4 * np.sin(t)
    joints, world = posed(
        pelvis=along((0, 1, 0), t),
        spine3=along((0, 1, 0), wave),
        left_shoulder=along((0, 0, -1), 0.8 + wave) + along((1, 0, 0), wave),
        left_elbow=along((0, -1, 0), 1.2 + wave),
        right_shoulder=along((0.3, 0.8, 0.2), 1 + wave),
        right_elbow=along((0, 1, 0), 1.2 - wave),
        left_hip=along((-1, 0.3, 0), 0.6 + wave),
        left_knee=along((1, 0, 0), 1.0 + wave),
        right_hip=along((0, 0.7, 0), wave),
        right_knee=along((1, 0, 0), 1.1 - wave),
    )
    error = degrees_between(solver.joint_rotations(joints), world)
    for part in ("pelvis", "spine3", "hip", "knee", "ankle", "shoulder", "elbow"):
        these = [index for index, name in enumerate(JOINTS) if part in name]
        assert error[:, these].max() < 4.0, part  # degrees; the smoothing over time takes a few


def test_twist_does_not_jump_when_an_elbow_passes_through_straight() -> None:
    t = np.linspace(0, 4 * np.pi, 160)
    bend = 0.7 + 0.8 * np.cos(t)  # from 86 degrees to 6 beyond straight and back
    joints, world = posed(
        160,
        left_shoulder=along((0, 0, -1), np.full(160, 1.2)) + along((0.5, 0, 0), np.sin(t)),
        left_elbow=along((0, -1, 0), bend),
    )
    joints += np.random.default_rng(0).normal(scale=5e-4, size=joints.shape)
    ours = solver.joint_rotations(joints)
    assert bend.min() < -0.05
    assert steps(ours[:, JOINT["left_shoulder"]]).max() < 10.0
    assert degrees_between(ours, world)[:, JOINT["left_shoulder"]].max() < 25.0


def test_a_straight_arm_keeps_the_twist_of_the_frames_around() -> None:
    twist = along((1, 0, 0), np.full(60, 0.8))
    bend = np.where((np.arange(60) > 25) & (np.arange(60) < 35), 0.0, 1.0)
    joints, world = posed(60, left_shoulder=twist, left_elbow=along((0, -1, 0), bend))
    error = degrees_between(solver.joint_rotations(joints), world)[:, JOINT["left_shoulder"]]
    assert error.max() < 8.0  # the twist is 46


def test_a_straight_leg_is_turned_by_its_foot() -> None:
    joints, world = posed(40, left_hip=along((0, 1, 0), np.full(40, 0.6)))
    error = degrees_between(solver.joint_rotations(joints), world)
    assert error[:, JOINT["left_hip"]].max() < 5.0  # of 34


def test_elbow_turns_about_its_hinge_alone() -> None:
    t = np.linspace(0, 2 * np.pi, 90)
    joints, _ = posed(
        90, right_shoulder=along((0.2, 0.9, -0.4), t / 3), right_elbow=along((0, 1, 0), 1 + 0.5 * np.sin(t))
    )
    local = rot.matrix_to_axis_angle(solver.local_rotations(solver.joint_rotations(joints)))[
        :, JOINT["right_elbow"]
    ]
    np.testing.assert_allclose(np.linalg.norm(local, axis=-1), 1 + 0.5 * np.sin(t), atol=1e-6)
    assert (local[:, 1] / np.linalg.norm(local, axis=-1)).min() > 0.99


def test_local_and_global_are_inverse() -> None:
    world = rot.axis_angle_to_matrix(np.random.default_rng(2).normal(size=(7, 22, 3)))
    np.testing.assert_allclose(solver.global_rotations(solver.local_rotations(world)), world, atol=1e-12)


def test_collapsed_bones_give_finite_rotations() -> None:
    joints, _ = posed(10)
    for child in ("left_collar", "right_collar", "left_wrist", "head", "right_foot"):
        joints[:, JOINT[child]] = joints[:, PARENTS[JOINT[child]]]
    joints[4, JOINT["right_knee"]] = joints[4, JOINT["right_hip"]]
    with np.errstate(invalid="raise", divide="raise"):
        turns = solver.joint_rotations(joints)
    np.testing.assert_allclose(turns @ turns.swapaxes(-1, -2), np.tile(np.eye(3), (10, 22, 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(turns), 1.0)


def test_hips_in_line_with_the_spine_give_rotations() -> None:
    joints, _ = posed(5)
    joints[:, [1, 2, 3]] = joints[:, [0]] + [[0, -0.05, 0], [0, -0.05, 0], [0, 0.1, 0]]
    turns = solver.joint_rotations(joints)
    np.testing.assert_allclose(np.linalg.det(turns), 1.0)


def test_unusable_motion_is_refused() -> None:
    with pytest.raises(MotionError, match="expected"):
        solver.joint_rotations(np.zeros((10, 24, 3)))


@pytest.mark.parametrize("seed", range(5))
def test_any_cloud_of_points_gives_rotations_that_rebuild_it(seed: int) -> None:
    joints = np.random.default_rng(seed).normal(scale=0.5, size=(20, 22, 3))
    turns = solver.joint_rotations(joints)
    np.testing.assert_allclose(turns @ turns.swapaxes(-1, -2), np.tile(np.eye(3), (20, 22, 1, 1)), atol=1e-9)
    rebuilt = solver.forward_kinematics(turns, solver.bone_offsets(joints, turns), joints[:, 0])
    np.testing.assert_allclose(rebuilt, joints, atol=1e-9)


def test_the_frame_rate_hardly_changes_the_answer() -> None:
    t = np.linspace(0, 4 * np.pi, 240)
    joints, _ = posed(
        240, left_shoulder=along((0.5, 0, -1), np.sin(t)), left_elbow=along((0, -1, 0), 0.9 - np.cos(t))
    )
    fast, slow = solver.joint_rotations(joints, fps=60.0)[::3], solver.joint_rotations(joints[::3], fps=20.0)
    assert degrees_between(fast, slow).max() < 5.0


def sampled(shared_data: Path, every: int) -> list[np.ndarray]:
    return [np.load(path) for path in sorted((shared_data / "mocap/new_joints").glob("*.npy"))[::every]]


def test_real_motions_spin_less_than_shortest_arcs(shared_data: Path) -> None:
    motions = sampled(shared_data, every=60)
    ours = 20 * np.concatenate([steps(solver.joint_rotations(joints)) for joints in motions])
    naive = 20 * np.concatenate([steps(naive_rotations(joints)) for joints in motions])
    spin = 1200.0  # degrees a second, more than a limb turns about its own axis in these motions
    assert np.percentile(ours, 99.9) < 1000
    assert (naive > spin).sum() > 50
    assert (naive > spin).sum() > 20 * (ours > spin).sum()


def test_real_motions_bend_at_the_hinges(shared_data: Path) -> None:
    for name, axis in (("elbow", (0, -1, 0)), ("knee", (1, 0, 0))):
        found = [
            solver.local_rotations(solver.joint_rotations(joints))
            for joints in sampled(shared_data, every=200)
        ]
        bend = rot.matrix_to_axis_angle(np.concatenate(found)[:, JOINT[f"left_{name}"]])
        size = np.linalg.norm(bend, axis=-1)
        clear = size > np.radians(20)
        assert clear.sum() > 200
        assert (bend[clear] @ axis > 0.9 * size[clear]).mean() > 0.99


# What the files call the joints below; rest poses differ from ours, so rotations agree up to a constant.


NAMES = {
    "dataset-*_001.bvh": {
        "pelvis": "Hips", "spine3": "Chest", "left_shoulder": "UpperArm_L", "right_shoulder": "UpperArm_R",
        "left_hip": "UpperLeg_L", "right_hip": "UpperLeg_R", "left_knee": "LowerLeg_L",
    },
    "cmu_0[23]*.bvh": {
        "pelvis": "hip", "spine3": "chest", "left_shoulder": "lShldr", "right_shoulder": "rShldr",
        "left_hip": "lThigh", "right_hip": "rThigh", "left_elbow": "lForeArm", "right_elbow": "rForeArm",
    },
}  # fmt: skip


def truth(path: Path, names: dict[str, str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Joints (T, 22, 3) in metres and the global rotations that a BVH file really gives its joints."""
    bvh = read_bvh(path)
    bvh.values = bvh.values[round(bvh.fps / 2) :]  # some begin in a T-pose
    positions, quats = resample(*local_pose(bvh), bvh.fps, 20.0)
    points = world_positions(bvh.skeleton, positions, quats)
    joints = np.einsum("ij,tjk->tik", choose(bvh.skeleton.names, str(path))[1], points)
    for joint, parent in enumerate(bvh.skeleton.parents):
        if parent >= 0:
            quats[:, joint] = rot.quat_multiply(quats[:, parent], quats[:, joint])
    turns = {
        ours: rot.quat_to_matrix(quats[:, bvh.skeleton.names.index(name)]) for ours, name in names.items()
    }
    return joints * detect_unit(joints, str(path))[1], turns


def apart(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Degrees (T,) between two rotations over time, after the constant turn that makes them most alike."""
    relative = theirs.swapaxes(-1, -2) @ ours
    constant = Rotation.from_matrix(relative).mean().as_matrix()
    return degrees_between(np.broadcast_to(constant, relative.shape), relative)


@pytest.mark.parametrize("pattern", NAMES)
def test_twist_is_the_one_that_the_actor_really_had(shared_data: Path, pattern: str) -> None:
    errors: dict[str, list[np.ndarray]] = {name: [] for name in NAMES[pattern]}
    naive: list[np.ndarray] = []
    for path in sorted((shared_data / "bvh").glob(pattern))[:6]:
        joints, turns = truth(path, NAMES[pattern])
        ours = solver.joint_rotations(joints)
        for name, theirs in turns.items():
            errors[name].append(apart(ours[:, JOINT[name]], theirs))
        naive.append(apart(naive_rotations(joints)[:, JOINT["left_elbow"] - 1], turns["left_shoulder"]))
    for name, error in errors.items():
        assert np.median(np.concatenate(error)) < 4, name  # degrees
        assert np.percentile(np.concatenate(error), 90) < 12, name
    ours_90 = np.percentile(np.concatenate(errors["left_shoulder"]), 90)
    assert np.percentile(np.concatenate(naive), 90) > 2 * ours_90
