"""Motion as KinMo's numbers: six joint groups, their 15 pairs, and the way back (KinMo section 3.1, Eq. 1-3).

Frames of reference: metres, seconds, y up. Group quantities are global, as in the paper; `body_frame` takes
place on the ground and heading away where a description should not depend on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kinmo_annotate.joint_rotations import (
    bone_offsets,
    forward_kinematics,
    global_rotations,
    joint_rotations,
    local_rotations,
)
from kinmo_annotate.schema import rotations as rot
from kinmo_annotate.schema.records import check_joints
from kinmo_annotate.schema.skeleton import (
    CONNECTING_JOINT,
    FORWARD,
    FPS,
    GROUP_NAMES,
    GROUPS,
    JOINT,
    LATERAL,
    NUM_JOINTS,
    PAIR_NAMES,
    PAIRS,
    UP,
)

Array = NDArray[np.float64]

CONNECTED_PAIRS: Final = tuple(name for name in PAIR_NAMES if name in CONNECTING_JOINT)
_CONNECTING: Final = [CONNECTING_JOINT[name] for name in CONNECTED_PAIRS]
_FIRST: Final = [GROUP_NAMES.index(a) for a, _ in PAIRS]
_SECOND: Final = [GROUP_NAMES.index(b) for _, b in PAIRS]
_RIGID: Final = 5e-6  # metres: how far constant bones may put a joint off before they are kept a frame each
_UPRIGHT: Final = (
    0.2  # sine of the angle of shoulders and hips to the vertical under which heading is unknown
)


def _averaging() -> Array:
    """Matrix (6, 22) that averages the joints of each group."""
    weights = np.zeros((len(GROUPS), NUM_JOINTS))
    for row, members in enumerate(GROUPS.values()):
        weights[row, list(members)] = 1.0 / len(members)
    return weights


_GROUP_MEAN: Final = _averaging()


@dataclass(frozen=True, slots=True)
class Kinematics:
    """The kinematic representation of one motion of T frames.

    Groups follow `skeleton.GROUP_NAMES`, pairs `skeleton.PAIR_NAMES`, connected pairs `CONNECTED_PAIRS`.

    Attributes:
        group_position: (T, 6, 3) metres; mean position of the group's joints (Eq. 1).
        rotations: (T, 22, 3, 3) limb angles (Eq. 2): each joint relative to its parent, the pelvis to the
            world, from the T-pose of `joint_rotations`.
        group_velocity: (T, 6, 3) m/s; mean velocity of the group's joints (Eq. 2), central differences.
        relative_position: (T, 15, 3) metres; second group minus first (Eq. 3).
        relative_angle: (T, 5, 3, 3) rotation at the connecting joint, relative to the torso side (Eq. 3).
        relative_angular_velocity: (T, 5, 3) rad/s of that joint, in its parent's frame.
        offsets: (1, 22, 3) or (T, 22, 3) metres; each joint from its parent in the parent's frame. One row
            where bones are constant, a row a frame where their lengths or their arrangement vary.
        fps: frames per second.
    """

    group_position: Array
    rotations: Array
    group_velocity: Array
    relative_position: Array
    relative_angle: Array
    relative_angular_velocity: Array
    offsets: Array
    fps: float

    @property
    def relative_velocity(self) -> Array:
        """Velocity of the second group minus the first's, (T, 15, 3) m/s (Eq. 3, third row as printed)."""
        return self.group_velocity[:, _SECOND] - self.group_velocity[:, _FIRST]

    def to_rotations(self) -> Array:
        """Global rotations (T, 22, 3, 3): limb angles multiplied up from the pelvis."""
        return global_rotations(self.rotations)

    def to_joints(self) -> Array:
        """Global positions (T, 22, 3) in metres, the inverse of `represent`.

        No position is stored. Limb angles and bone offsets give the body about an unknown pelvis; the group
        positions then say where it stands: the pelvis is where the six group means of that body come to lie
        on the six stored ones (their mean difference, the least-squares answer).
        """
        body = forward_kinematics(self.to_rotations(), self.offsets)
        pelvis = (self.group_position - _GROUP_MEAN @ body).mean(axis=1)
        return body + pelvis[:, None]


def represent(joints: ArrayLike, fps: float = FPS) -> Kinematics:
    """Compute Eq. 1-3 for all groups and pairs of a motion.

    Args:
        joints: (T, 22, 3) metres, y up.
        fps: frames per second.

    Raises:
        MotionError: not a usable (T, 22, 3) motion.
    """
    positions = np.asarray(joints, dtype=np.float64)
    check_joints(positions, "joints")
    turns = joint_rotations(positions, fps)
    local = local_rotations(turns)
    groups = _GROUP_MEAN @ positions
    relative = local[:, _CONNECTING]
    return Kinematics(
        group_position=groups,
        rotations=local,
        group_velocity=np.gradient(groups, 1.0 / fps, axis=0),
        relative_position=groups[:, _SECOND] - groups[:, _FIRST],
        relative_angle=relative,
        relative_angular_velocity=angular_velocity(relative, fps),
        offsets=_offsets(positions, turns),
        fps=fps,
    )


def angular_velocity(turns: ArrayLike, fps: float) -> Array:
    """Angular velocity (T, ..., 3) in rad/s of rotations (T, ..., 3, 3), in the frame they map into.

    The mean of the turns to the next and from the previous frame, as central differences are for positions.
    """
    frames = np.asarray(turns, dtype=np.float64)
    steps = rot.matrix_to_axis_angle(frames[1:] @ frames[:-1].swapaxes(-1, -2)) * fps
    return 0.5 * (np.concatenate([steps[:1], steps]) + np.concatenate([steps, steps[-1:]]))


def _offsets(positions: Array, turns: Array) -> Array:
    """One row of offsets if it reproduces the motion, else a row a frame."""
    varying = bone_offsets(positions, turns)
    constant = varying.mean(axis=0, keepdims=True)
    rebuilt = forward_kinematics(turns, constant, positions[:, 0])
    return constant if np.abs(rebuilt - positions).max() < _RIGID else varying


# heading ---------------------------------------------------------------------------------------------------


def heading(joints: ArrayLike) -> Array:
    """Yaw (T,) in radians of where the body faces: 0 at +z, growing to the left, unwrapped over time.

    The facing is at right angles to hips plus shoulders (left minus right), pitch and roll left out. While
    that line stands nearly upright (lying on a side, a cartwheel) the heading is interpolated from the frames
    around. Where no frame tells, the direction of the line on the ground is taken as it is.

    Args:
        joints: (T, 22, 3) metres, y up.
    """
    p = np.asarray(joints, dtype=np.float64)
    hips = p[:, JOINT["left_hip"]] - p[:, JOINT["right_hip"]]
    across = hips + p[:, JOINT["left_shoulder"]] - p[:, JOINT["right_shoulder"]]
    yaw = np.arctan2(-across[:, FORWARD], across[:, LATERAL])
    ground = np.hypot(across[:, LATERAL], across[:, FORWARD])
    known = np.flatnonzero(ground > _UPRIGHT * np.linalg.norm(across, axis=-1))
    if len(known) in (0, len(yaw)):
        return np.unwrap(yaw)
    return np.interp(np.arange(len(yaw)), known, np.unwrap(yaw[known]))


def body_frame(joints: ArrayLike) -> Array:
    """Positions (T, 22, 3) seen from the body: pelvis above the origin, facing +z, left at +x; height stays.

    Args:
        joints: (T, 22, 3) metres, y up.
    """
    p = np.asarray(joints, dtype=np.float64)
    yaw = heading(p)[:, None]
    cosine, sine = np.cos(yaw), np.sin(yaw)
    x = p[..., LATERAL] - p[:, :1, LATERAL]
    z = p[..., FORWARD] - p[:, :1, FORWARD]
    result = np.empty_like(p)
    result[..., LATERAL], result[..., FORWARD] = cosine * x - sine * z, sine * x + cosine * z
    result[..., UP] = p[..., UP]
    return result
