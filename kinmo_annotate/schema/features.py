"""Joint positions <-> the 263 numbers a frame of HumanML3D, exact to the reference code and its quirks.

Frames of reference: positions are metres, y up; features are metres (or metres a frame) in the frame that the
body faces. T position frames give T - 1 feature rows: the last position only closes the differences.

Quirks of the reference that models trained on such features rely on, all kept here:

- The facing used by the inverse kinematics subtracts the hips the wrong way round (right from left, but left
  from right at the shoulders), while the initial facing has it right.
- Facing is smoothed over time before it is normalised, and frame 0 is then overwritten with the identity.
- Both arm chains start from the root rotation although they begin at spine3, so the rotations of the collars
  are relative to the root.
- Rotations carry the twist of the shortest arc: they are not SMPL pose parameters.
- Contacts compare a *squared* step with 0.002 and look at no height.
- Root yaw velocity is the arcsine of a quaternion component whose hemisphere is never fixed. In the one frame
  where the heading passes straight backwards (+-180 degrees) its sign is the wrong way round, and what is
  recovered from such rows is turned by twice that frame's step from there on. HumanML3D's own joints have it
  too, being recovered from their rows.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kinmo_annotate.schema import rotations as rot
from kinmo_annotate.schema.records import MotionError, check_joints
from kinmo_annotate.schema.skeleton import (
    CHAINS,
    FORWARD,
    JOINT,
    JOINTS,
    LATERAL,
    NUM_JOINTS,
    PARENTS,
    RAW_DIRECTIONS,
    TARGET_LENGTHS,
    TARGET_OFFSETS,
    UP,
)

Array = NDArray[np.float64]

_BONES: Final = NUM_JOINTS - 1
# The blocks of a row in order; everything else derives from these sizes.
BLOCK_SIZES: Final[dict[str, int]] = {
    "root_yaw_velocity": 1,  # half the yaw angle a frame, radians
    "root_velocity": 2,  # x and z in the facing frame, metres a frame
    "root_height": 1,  # metres
    "positions": _BONES * 3,  # joints 1..21, root x and z and heading removed, metres
    "rotations": _BONES * 6,  # joints 1..21, 6D
    "velocities": NUM_JOINTS * 3,  # joints 0..21 in the facing frame, metres a frame
    "contacts": 4,  # left ankle, left foot, right ankle, right foot: 0 or 1
}


def _slices(sizes: dict[str, int]) -> dict[str, slice]:
    ends = np.cumsum(list(sizes.values()))
    return {
        name: slice(int(end) - size, int(end)) for (name, size), end in zip(sizes.items(), ends, strict=True)
    }


BLOCKS: Final[dict[str, slice]] = _slices(BLOCK_SIZES)
NUM_FEATURES: Final = sum(BLOCK_SIZES.values())
CONTACT_JOINTS: Final = tuple(
    JOINT[name] for name in ("left_ankle", "left_foot", "right_ankle", "right_foot")
)
CONTACT_SQUARED_STEP: Final = 0.002  # m^2 between frames
FACING_SIGMA: Final = 20.0  # frames

_HIPS: Final = (JOINT["left_hip"], JOINT["right_hip"])
_SHOULDERS: Final = (JOINT["left_shoulder"], JOINT["right_shoulder"])
_RIGHT_LEG: Final = (JOINT["right_knee"], JOINT["right_ankle"])
_UP_AXIS: Final = np.eye(3)[UP]
_FORWARD_AXIS: Final = np.eye(3)[FORWARD]
_PARENTS: Final = np.array(PARENTS)
_RAW: Final = RAW_DIRECTIONS[1:].astype(np.float64)
# The joint whose global rotation a bone's rotation is relative to; 0, the root, where a chain starts.
_BEFORE: Final = np.array(
    [0 if child in {chain[1] for chain in CHAINS} else PARENTS[child] for child in range(1, NUM_JOINTS)]
)


# joints -> features ----------------------------------------------------------------------------------------


def joints_to_features(joints: ArrayLike, where: str = "motion") -> NDArray[np.float32]:
    """Turn positions into HumanML3D feature rows.

    The motion is first put on HumanML3D's uniform skeleton, on the floor, at the origin, facing +z.
    Source: HumanML3D's motion representation, steps 1-12.

    Args:
        joints: (T, 22, 3) metres, y up, any heading and place, 20 fps.
        where: what to call the motion in errors.

    Returns:
        (T - 1, 263) float32, laid out by `BLOCKS`.

    Raises:
        MotionError: not a usable (T, 22, 3) motion, or two joints of one bone coincide.
    """
    positions = canonical_joints(joints, where)
    heading = _facing_quats(positions)
    blocks = {
        **_root_features(positions, heading),
        "positions": _local_positions(positions, heading)[:-1, 1:],
        "rotations": rot.matrix_to_sixd(rot.quat_to_matrix(_bone_rotations(positions, heading)[:-1])),
        "velocities": rot.quat_rotate(heading[:-1, None], np.diff(positions, axis=0)),
        "contacts": foot_contacts(positions),
    }
    rows = len(positions) - 1
    return np.concatenate([blocks[name].reshape(rows, -1) for name in BLOCKS], axis=1).astype(np.float32)


def canonical_joints(joints: ArrayLike, where: str = "motion") -> Array:
    """Put a motion on HumanML3D's uniform skeleton, on the floor, at the origin, facing +z at frame 0.

    Args:
        joints: (T, 22, 3) metres, y up.
        where: what to call the motion in errors.

    Returns:
        (T, 22, 3) float64.

    Raises:
        MotionError: not a usable (T, 22, 3) motion, or two joints of one bone coincide.
    """
    array = np.asarray(joints, dtype=np.float64)
    check_joints(array, where)
    positions = _uniform_skeleton(array, where)
    positions[..., UP] -= positions[..., UP].min()
    facing = rot.quat_between(_initial_forward(positions[0]), _FORWARD_AXIS)
    start = positions[0, 0] * (1.0 - _UP_AXIS)
    return rot.quat_rotate(facing, positions - start)


def foot_contacts(joints: Array) -> Array:
    """Contacts (T - 1, 4) as 0.0 / 1.0: the joint's squared step to the next frame is below 0.002 m^2."""
    steps = np.diff(joints[:, list(CONTACT_JOINTS)], axis=0)
    return (np.einsum("tji,tji->tj", steps, steps) < CONTACT_SQUARED_STEP).astype(np.float64)


def smooth_over_time(values: Array, sigma: float) -> Array:
    """Gaussian filter (T, N) along the first axis, cut at four sigma, end values held beyond the ends.

    The arithmetic of `scipy.ndimage.gaussian_filter1d(values, sigma, axis=0, mode="nearest")`.
    """
    radius = int(4.0 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, ((radius, radius), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], axis=1)


def _uniform_skeleton(joints: Array, where: str) -> Array:
    """Keep every bone's direction, give it HumanML3D's length, and scale the root's path by leg length.

    Inverse then forward kinematics of the reference amounts to this, because shortest arcs turn each bone of
    the rest pose exactly into the bone of the frame.
    """
    bones = joints[:, 1:] - joints[:, _PARENTS[1:]]
    lengths = np.linalg.norm(bones, axis=-1)
    _check_bones(lengths, where)
    leg = [joint - 1 for joint in _RIGHT_LEG]
    scale = TARGET_LENGTHS[list(_RIGHT_LEG)].astype(np.float64).sum() / lengths[0, leg].sum()
    bones *= (TARGET_LENGTHS[1:] / lengths)[..., None]
    result = np.empty_like(joints)
    result[:, 0] = joints[:, 0] * scale
    for child in range(1, NUM_JOINTS):
        result[:, child] = result[:, PARENTS[child]] + bones[:, child - 1]
    return result


def _check_bones(lengths: Array, where: str) -> None:
    short = lengths < 1e-6
    if short.any():
        frame, bone = np.argwhere(short)[0]
        raise MotionError(
            where,
            f"the bone from {JOINTS[PARENTS[bone + 1]]} to {JOINTS[bone + 1]} has no length at frame {frame}",
            "A bone without length has no direction: give these two joints different positions.",
        )


def _initial_forward(frame: Array) -> Array:
    """Direction (3,) that one frame (22, 3) faces, in the ground plane."""
    hips = frame[_HIPS[1]] - frame[_HIPS[0]]
    shoulders = frame[_SHOULDERS[1]] - frame[_SHOULDERS[0]]
    across = rot.normalise(hips + shoulders)
    return rot.normalise(rot.cross(_UP_AXIS, across), _FORWARD_AXIS)


def _facing_quats(joints: Array) -> Array:
    """Quaternions (T, 4) that remove the heading, with the reference's swapped hips and smoothing."""
    hips = joints[:, _HIPS[0]] - joints[:, _HIPS[1]]
    shoulders = joints[:, _SHOULDERS[1]] - joints[:, _SHOULDERS[0]]
    across = rot.normalise(hips + shoulders)
    forward = smooth_over_time(rot.cross(_UP_AXIS, across), FACING_SIGMA)
    quats = rot.quat_between(rot.normalise(forward, _FORWARD_AXIS), _FORWARD_AXIS)
    quats[0] = rot.IDENTITY
    return quats


def _bone_rotations(joints: Array, heading: Array) -> Array:
    """Rotations (T, 21, 4) of joints 1..21, each relative to the bone before it in its chain.

    A chain's accumulated rotation equals the shortest arc of its last bone, so no walk along it is needed.
    """
    arcs = rot.quat_between(_RAW, joints[:, 1:] - joints[:, _PARENTS[1:]])
    before = np.concatenate([heading[:, None], arcs], axis=1)[:, _BEFORE]
    return rot.quat_multiply(rot.quat_conjugate(before), arcs)


def _local_positions(joints: Array, heading: Array) -> Array:
    """Positions (T, 22, 3) with the root's place on the ground and the heading removed; height stays."""
    return rot.quat_rotate(heading[:, None], joints - joints[:, :1] * (1.0 - _UP_AXIS))


def _root_features(joints: Array, heading: Array) -> dict[str, Array]:
    """Yaw velocity (T-1, 1), ground velocity (T-1, 2) turned by the *next* heading, height (T-1, 1)."""
    turn = rot.quat_multiply(heading[1:], rot.quat_conjugate(heading[:-1]))
    velocity = rot.quat_rotate(heading[1:], np.diff(joints[:, 0], axis=0))
    return {
        "root_yaw_velocity": np.arcsin(np.clip(turn[:, 1 + UP], -1.0, 1.0))[:, None],
        "root_velocity": velocity[:, [LATERAL, FORWARD]],
        "root_height": joints[:-1, 0, UP, None],
    }


# features -> joints ----------------------------------------------------------------------------------------


def features_to_joints(features: ArrayLike) -> NDArray[np.float32]:
    """Recover positions from the root and position blocks (the "ric" recovery).

    Args:
        features: (..., T, 263), not normalised.

    Returns:
        (..., T, 22, 3) float32 metres, starting at the origin facing +z.

    Raises:
        MotionError: the last axis is not 263 wide or a value is not finite.
    """
    rows = _check_features(features)
    heading, root = _recover_root(rows)
    local = rows[..., BLOCKS["positions"]].reshape(*rows.shape[:-1], _BONES, 3)
    turned = rot.quat_rotate(rot.quat_conjugate(heading)[..., None, :], local)
    ground = (root * (1.0 - _UP_AXIS))[..., None, :]
    return np.concatenate([root[..., None, :], turned + ground], axis=-2).astype(np.float32)


def features_to_joints_from_rotations(
    features: ArrayLike, offsets: ArrayLike = TARGET_OFFSETS
) -> NDArray[np.float32]:
    """Recover positions from the root and rotation blocks by forward kinematics.

    Args:
        features: (..., T, 263), not normalised.
        offsets: (22, 3) metres, rest offset of each joint from its parent.

    Returns:
        (..., T, 22, 3) float32 metres; bones have exactly the lengths of `offsets`.

    Raises:
        MotionError: the last axis is not 263 wide or a value is not finite.
    """
    rows = _check_features(features)
    rest = np.asarray(offsets, dtype=np.float64)
    heading, root = _recover_root(rows)
    sixd = rows[..., BLOCKS["rotations"]].reshape(*rows.shape[:-1], _BONES, 6)
    local = rot.sixd_to_matrix(sixd)
    turns = np.empty((*rows.shape[:-1], NUM_JOINTS, 3, 3))
    joints = np.empty((*rows.shape[:-1], NUM_JOINTS, 3))
    turns[..., 0, :, :] = rot.quat_to_matrix(heading)
    joints[..., 0, :] = root
    for child in range(1, NUM_JOINTS):
        turns[..., child, :, :] = turns[..., _BEFORE[child - 1], :, :] @ local[..., child - 1, :, :]
        joints[..., child, :] = joints[..., PARENTS[child], :] + turns[..., child, :, :] @ rest[child]
    return joints.astype(np.float32)


def _recover_root(rows: Array) -> tuple[Array, Array]:
    """Heading-removing quaternions (..., T, 4) and root positions (..., T, 3) by summing velocities."""
    half = _sum_before(rows[..., BLOCKS["root_yaw_velocity"]])[..., 0]
    heading = np.zeros((*half.shape, 4))
    heading[..., 0], heading[..., 1 + UP] = np.cos(half), np.sin(half)
    step = np.zeros((*half.shape, 3))
    velocity = rows[..., BLOCKS["root_velocity"]]
    step[..., 1:, LATERAL], step[..., 1:, FORWARD] = velocity[..., :-1, 0], velocity[..., :-1, 1]
    root = np.cumsum(rot.quat_rotate(rot.quat_conjugate(heading), step), axis=-2)
    root[..., UP] = rows[..., BLOCKS["root_height"]][..., 0]
    return heading, root


def _sum_before(values: Array) -> Array:
    """Sum over the rows before each row, along the second last axis."""
    total = np.zeros_like(values)
    total[..., 1:, :] = np.cumsum(values[..., :-1, :], axis=-2)
    return total


def _check_features(features: ArrayLike) -> Array:
    rows = np.asarray(features, dtype=np.float64)
    if rows.ndim < 2 or rows.shape[-1] != NUM_FEATURES or rows.shape[-2] < 1:
        raise MotionError(
            "features",
            f"have shape {rows.shape}, expected (T, {NUM_FEATURES})",
            "Give HumanML3D vectors (new_joint_vecs), one row a frame, before any normalisation.",
        )
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows)).any(axis=-1).sum())
        raise MotionError("features", f"NaN or infinite values in {bad} rows", "Cut those rows away.")
    return rows
