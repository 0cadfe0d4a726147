"""Rotations of the 22 joints from their positions, with the twist about each bone resolved.

Positions alone do not say how far an upper arm is turned about its own axis. Shortest arcs answer "not at
all", which spins the limb whenever the bone passes the far side of its rest direction. Here the twist comes
from what the body shows: three rigid children for pelvis and chest, the plane in which an elbow or a knee
bends, the direction of the foot. Where a limb is straight the twist is carried over from the frames around.

Rest pose: a T-pose facing +z in the motion's own bone lengths. Spine, neck and head point up, arms sideways
with the elbows bending forwards, legs down, feet forwards; the children of pelvis and spine3 keep their own
mean arrangement. All directions that a limb takes easily are then less than half a turn from rest.

Frames of reference: metres, y up. A rotation maps rest offsets of a joint's children to the world:
p[child] = p[joint] + R[joint] @ offset[child].
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solveh_banded

from kinmo_annotate.schema import rotations as rot
from kinmo_annotate.schema.records import check_joints
from kinmo_annotate.schema.skeleton import FPS, JOINT, NUM_JOINTS, PARENTS

Array = NDArray[np.float64]

_X, _Y, _Z = np.eye(3)
_AXIS_WEIGHT: Final = 1e-3  # metres; keeps the fit of three children defined where they lie on one line
# How twists trade data against smoothness; data weigh squared sine of the bend, so 1 at a right angle. Chosen
# by the rotations that 60 BVH files of Bandai Namco and CMU really have, which their positions do not show.
_STIFFNESS: Final = 0.25  # pull between frames that are 1/20 s apart
_DOUBT: Final = 0.02  # squared sine at which a bend counts half: 8 degrees, as far as joints overextend
_REST_PULL: Final = 0.002  # pull to the untwisted rest pose: as much as a bend of 5 degrees
_FOOT_WEIGHT: Final = 0.02  # how much the foot says about the thigh: as much as a knee bent by 10 degrees


class _Limb(NamedTuple):
    """A ball joint whose twist is read from the hinge below it, all in the rest pose."""

    upper: str  # the ball joint
    hinge: str  # elbow or knee
    end: str  # wrist or ankle
    tip: str | None  # foot
    rest: Array  # direction of upper bone
    axis: Array  # upper x lower bone where the hinge is bent


_LIMBS: Final = (
    _Limb("left_shoulder", "left_elbow", "left_wrist", None, _X, -_Y),
    _Limb("right_shoulder", "right_elbow", "right_wrist", None, -_X, _Y),
    _Limb("left_hip", "left_knee", "left_ankle", "left_foot", -_Y, _X),
    _Limb("right_hip", "right_knee", "right_ankle", "right_foot", -_Y, _X),
)


def joint_rotations(joints: ArrayLike, fps: float = FPS) -> Array:
    """Solve the global rotations of all joints, twist included and continuous over time.

    Pelvis and spine3 are least-squares fits of their three children; spine1 and spine2 share the turn between
    them; collars and head swing from the chest; shoulders and hips are twisted so that the bent elbow or knee
    turns about its own hinge; elbows, knees and ankles swing from the bone above. Joints without children
    (head, wrists, feet) go with their parents.

    Args:
        joints: (T, 22, 3) metres, y up.
        fps: frames per second.

    Returns:
        (T, 22, 3, 3): R[t, j] maps rest offsets of the children of j to the world.

    Raises:
        MotionError: not a usable (T, 22, 3) motion.
    """
    positions = np.asarray(joints, dtype=np.float64)
    check_joints(positions, "joints")
    turns = np.empty((*positions.shape, 3))
    _solve_trunk(positions, turns)
    for limb in _LIMBS:
        _solve_limb(limb, positions, turns, fps)
    for leaf in ("head", "left_wrist", "right_wrist", "left_foot", "right_foot"):
        turns[:, JOINT[leaf]] = turns[:, PARENTS[JOINT[leaf]]]
    return turns


def local_rotations(turns: ArrayLike) -> Array:
    """Make global rotations (..., 22, 3, 3) relative to the parents; the pelvis stays as it is."""
    world = np.asarray(turns, dtype=np.float64)
    result = world.copy()
    result[..., 1:, :, :] = world[..., list(PARENTS[1:]), :, :].swapaxes(-1, -2) @ world[..., 1:, :, :]
    return result


def global_rotations(local: ArrayLike) -> Array:
    """Inverse of `local_rotations`, (..., 22, 3, 3)."""
    result = np.array(local, dtype=np.float64)
    for joint in range(1, NUM_JOINTS):
        result[..., joint, :, :] = result[..., PARENTS[joint], :, :] @ result[..., joint, :, :]
    return result


def bone_offsets(joints: ArrayLike, turns: ArrayLike) -> Array:
    """Offsets (T, 22, 3) in metres of each joint from its parent, in the parent's own frame; 0 at the pelvis.

    They are constant over time where the body is rigid.
    """
    positions, world = np.asarray(joints, dtype=np.float64), np.asarray(turns, dtype=np.float64)
    parents = list(PARENTS[1:])
    offsets = np.zeros_like(positions)
    bones = positions[:, 1:] - positions[:, parents]
    offsets[:, 1:] = np.einsum("tjba,tjb->tja", world[:, parents], bones)
    return offsets


def forward_kinematics(turns: ArrayLike, offsets: ArrayLike, root: ArrayLike = (0.0, 0.0, 0.0)) -> Array:
    """Positions (T, 22, 3) from global rotations.

    Args:
        turns: (T, 22, 3, 3) global rotations.
        offsets: (22, 3) or (T, 22, 3) metres, each joint from its parent in the parent's frame.
        root: (3,) or (T, 3) metres, the pelvis.
    """
    world = np.asarray(turns, dtype=np.float64)
    rest = np.broadcast_to(np.asarray(offsets, dtype=np.float64), world.shape[:-1])
    bones = np.einsum("tjab,tjb->tja", world[:, list(PARENTS[1:])], rest[:, 1:])
    positions = np.empty(world.shape[:-1])
    positions[:, 0] = root
    for joint in range(1, NUM_JOINTS):
        positions[:, joint] = positions[:, PARENTS[joint]] + bones[:, joint - 1]
    return positions


# trunk -----------------------------------------------------------------------------------------------------


def _solve_trunk(positions: Array, turns: Array) -> None:
    """Fill in the rotations of pelvis, spine, collars and neck."""
    hips = positions[:, JOINT["left_hip"]] - positions[:, JOINT["right_hip"]]
    middle = 0.5 * (positions[:, JOINT["left_hip"]] + positions[:, JOINT["right_hip"]])
    pelvis = _fit(positions, "pelvis", hips, positions[:, JOINT["spine1"]] - middle)
    collars = positions[:, JOINT["left_collar"]] - positions[:, JOINT["right_collar"]]
    shoulders = positions[:, JOINT["left_shoulder"]] - positions[:, JOINT["right_shoulder"]]
    apart = np.linalg.norm(collars, axis=-1, keepdims=True) > 1e-4
    across = np.where(apart, collars, shoulders)
    chest = _fit(positions, "spine3", across, positions[:, JOINT["neck"]] - positions[:, JOINT["spine3"]])
    turns[:, JOINT["pelvis"]], turns[:, JOINT["spine3"]] = pelvis, chest
    low, high = rot.matrix_to_quat(pelvis), rot.matrix_to_quat(chest)
    for joint, child, share in (("spine1", "spine2", 1 / 3), ("spine2", "spine3", 2 / 3)):
        between = rot.quat_to_matrix(rot.slerp(low, high, share))
        turns[:, JOINT[joint]] = _swing(between, _Y, _bone(positions, joint, child))
    for joint, child, rest in (
        ("left_collar", "left_shoulder", _X),
        ("right_collar", "right_shoulder", -_X),
        ("neck", "head", _Y),
    ):
        turns[:, JOINT[joint]] = _swing(chest, rest, _bone(positions, joint, child))


def _bone(positions: Array, joint: str, child: str) -> Array:
    return positions[:, JOINT[child]] - positions[:, JOINT[joint]]


def _fit(positions: Array, joint: str, across: Array, up: Array) -> Array:
    """Rotations (T, 3, 3) that turn a joint's mean arrangement of children best into that of each frame.

    `across` (T, 3) and `up` (T, 3) say which way round the arrangement lies at rest: x and, roughly, y.
    """
    index = JOINT[joint]
    children = [child for child in range(NUM_JOINTS) if PARENTS[child] == index]
    bones = positions[:, children] - positions[:, [index]]
    x = rot.normalise(across, _X)
    y = rot.normalise(up - (up * x).sum(-1, keepdims=True) * x, _Y)
    frames = np.stack([x, y, rot.cross(x, y)], axis=-1)
    shape = np.einsum("tba,tkb->ka", frames, bones) / len(bones)
    # The two axes join in with a small weight, so that children on one line leave nothing undefined.
    seen = np.concatenate([bones, _AXIS_WEIGHT * frames.swapaxes(-1, -2)[:, :2]], axis=1)
    rest = np.concatenate([shape, _AXIS_WEIGHT * np.eye(3)[:2]])
    left, _, right = np.linalg.svd(np.einsum("tka,kb->tab", seen, rest))
    left[..., 2] *= np.sign(np.linalg.det(left) * np.linalg.det(right))[:, None]
    return np.asarray(left @ right)


def _swing(reference: Array, rest: Array, bone: Array) -> Array:
    """Turn rotations (T, 3, 3) the short way so that they map `rest` (3,) to the directions `bone` (T, 3)."""
    direction = reference @ rest
    arc = rot.quat_between(direction, np.where(np.abs(bone).max(-1, keepdims=True) > 1e-9, bone, direction))
    return np.asarray(rot.quat_to_matrix(arc) @ reference)


# limbs -----------------------------------------------------------------------------------------------------


def _solve_limb(limb: _Limb, positions: Array, turns: Array, fps: float) -> None:
    """Fill in the rotations of a shoulder or hip and of the joints below it."""
    upper = _bone(positions, limb.upper, limb.hinge)
    lower = _bone(positions, limb.hinge, limb.end)
    untwisted = _swing(turns[:, PARENTS[JOINT[limb.upper]]], limb.rest, upper)
    hinges = [(1.0, rot.cross(rot.normalise(upper), rot.normalise(lower)))]
    if limb.tip is not None:
        foot = rot.normalise(_bone(positions, limb.end, limb.tip))
        hinges.append((_FOOT_WEIGHT, rot.cross(foot, rot.normalise(lower))))
    twist = _twist(untwisted @ limb.axis, rot.normalise(upper), hinges, fps)
    turn = rot.axis_angle_to_matrix(twist[:, None] * rot.normalise(upper))
    turns[:, JOINT[limb.upper]] = turn @ untwisted
    turns[:, JOINT[limb.hinge]] = _swing(turns[:, JOINT[limb.upper]], limb.rest, lower)
    if limb.tip is not None:
        turns[:, JOINT[limb.end]] = _swing(turns[:, JOINT[limb.hinge]], _Z, foot)


def _twist(axis: Array, bone: Array, hinges: list[tuple[float, Array]], fps: float) -> Array:
    """Angles (T,) about `bone` that bring `axis` to the hinge the limb shows, smooth where it shows none.

    Minimises, over complex z[t] standing for the angle, sum w |z - data|^2 + stiffness sum |z[t+1] - z[t]|^2
    with w the squared sine of the bend, less still for slight bends: a straight limb has no say, one a little
    bent the wrong way little, and their neighbours in time decide.

    Args:
        axis: (T, 3) hinge axis at twist 0.
        bone: (T, 3) unit direction of the bone.
        hinges: (weight, hinge (T, 3) with the sine of the bend as length) of each joint asked.
        fps: frames per second.
    """
    other = rot.cross(bone, axis)
    weights = np.full(len(bone), _REST_PULL)
    data = np.full(len(bone), _REST_PULL, dtype=np.complex128)
    for weight, hinge in hinges:
        seen = (hinge * axis).sum(-1) + 1j * (hinge * other).sum(-1)
        squared = np.abs(seen) ** 2
        trust = weight * squared / (squared + _DOUBT)
        weights += trust * squared
        data += trust * np.abs(seen) * seen
    stiffness = _STIFFNESS * (fps / FPS) ** 2
    bands = np.zeros((2, len(bone)))
    bands[0, 1:] = -stiffness
    bands[1] = weights + 2 * stiffness
    bands[1, [0, -1]] -= stiffness
    smooth = solveh_banded(bands, np.stack([data.real, data.imag], axis=1))
    return np.asarray(np.arctan2(smooth[:, 1], smooth[:, 0]))
