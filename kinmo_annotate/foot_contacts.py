"""Feet that stand still while they touch the floor: contacts, the slide taken out, the legs bent to follow.

Generated motions let standing feet slide. A stance is a run of frames in which the ankle or the foot of one
leg touches the floor. Within it the whole foot is moved against the slide of what touches, so that it stands
where it stood on the average; before and after, that move fades over a few frames. Hips and everything above
stay where they are, and so do the heights of the feet: the knee follows by the triangle of thigh and shin, in
the plane in which the leg bends already. A foot beyond the reach of its leg comes as near as the leg allows.

Frames of reference: metres, y up, floor at y = 0, 20 frames per second, as `records.Motion` promises.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kinmo_annotate.kinematics import heading
from kinmo_annotate.schema import rotations as rot
from kinmo_annotate.schema.features import CONTACT_JOINTS, foot_contacts
from kinmo_annotate.schema.records import check_joints
from kinmo_annotate.schema.skeleton import FORWARD, JOINT, LATERAL, UP

Array = NDArray[np.float64]

# Below these heights in metres a joint can touch the floor, in the order of `CONTACT_JOINTS`. A flat foot of
# real motions has its ankle at 0.075 and its own joint at 0; 0.05 more is what the foot-skating ratio allows.
_HEIGHTS: Final = np.array([0.125, 0.05, 0.125, 0.05])
_FADE: Final = 5  # frames
_KNEE_AHEAD: Final = 0.01  # metres: what the facing says of where a knee points, against what its bend says


@dataclass(frozen=True)
class CleanFeet:
    """What `clean_feet` gives.

    Attributes:
        joints: (T, 22, 3) float32 metres; only knees, ankles and feet differ from what came in.
        contacts: (T - 1, 4) whether left ankle and foot, right ankle and foot stand from a frame to the next.
        moved_m: the farthest that any joint was moved in any frame.
    """

    joints: NDArray[np.float32]
    contacts: NDArray[np.bool_]
    moved_m: float


def clean_feet(joints: ArrayLike) -> CleanFeet:
    """Take the slide out of standing feet; every bone keeps its length in every frame.

    Args:
        joints: (T, 22, 3) metres, y up, floor at y = 0, 20 frames per second.

    Raises:
        MotionError: not a usable (T, 22, 3) motion.
    """
    before = np.asarray(joints, dtype=np.float64)
    check_joints(before, "joints")
    contacts = floor_contacts(before)
    after = before.copy()
    for side, ankle in (("left", 0), ("right", 2)):
        touching = contacts[:, ankle : ankle + 2]
        feet = before[:, list(CONTACT_JOINTS[ankle : ankle + 2])]
        _move_foot(after, side, _against_slide(feet, touching))
    moved = float(np.linalg.norm(after - before, axis=-1).max())
    return CleanFeet(after.astype(np.float32), contacts, moved)


def floor_contacts(joints: Array) -> NDArray[np.bool_]:
    """Tell which ankles and feet stand on the floor: HumanML3D's contact, and low at both ends of the step.

    Args:
        joints: (T, 22, 3) metres, y up, floor at y = 0, 20 frames per second.

    Returns:
        (T - 1, 4), in the order of `CONTACT_JOINTS`.
    """
    low = joints[:, list(CONTACT_JOINTS), UP] < _HEIGHTS
    return (foot_contacts(joints) > 0) & low[:-1] & low[1:]


def _against_slide(feet: Array, touching: NDArray[np.bool_]) -> Array:
    """Find the move (T, 3) of a foot that holds it still where it touches and fades to nothing elsewhere.

    Args:
        feet: (T, 2, 3) ankle and foot of one leg.
        touching: (T - 1, 2) which of them stand from a frame to the next.
    """
    steps = np.diff(feet, axis=0) * touching[..., None]
    slide = steps.sum(axis=1) / np.maximum(touching.sum(axis=1, keepdims=True), 1)
    slide[:, UP] = 0.0
    move = np.zeros((len(feet), 3))
    stances = _runs(np.any(touching, axis=1))
    for start, end in stances:
        still = -np.concatenate([np.zeros((1, 3)), np.cumsum(slide[start:end], axis=0)])
        move[start : end + 1] = still - still.mean(axis=0)
    bounds = [(-1, -1), *stances, (len(feet), len(feet))]
    for (_, left), (right, _) in pairwise(bounds):
        _fade(move, left, right)
    return move


def _runs(flags: ArrayLike) -> list[tuple[int, int]]:
    """First step of each run of steps that are set, and the first one after it."""
    edges = np.diff(np.pad(np.asarray(flags, dtype=int), 1))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def _fade(move: Array, left: int, right: int) -> None:
    """Fill the frames between two stances: the move of each fades, over the whole gap where that is short."""
    inside = np.arange(left + 1, right)
    width = min(_FADE, right - left)
    for edge in (left, right):
        if 0 <= edge < len(move):
            away = np.clip(np.abs(inside - edge) / width, 0.0, 1.0)[:, None]
            move[inside] += (1.0 - away * away * (3.0 - 2.0 * away)) * move[edge]


def _move_foot(joints: Array, side: str, move: Array) -> None:
    """Move the ankle and foot of a leg by `move` (T, 3) as far as the leg reaches; bend its knee to fit."""
    hip, knee, ankle, foot = (JOINT[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "foot"))
    upper, lower = joints[:, knee] - joints[:, hip], joints[:, ankle] - joints[:, knee]
    thigh, shin = (np.linalg.norm(bone, axis=-1, keepdims=True) for bone in (upper, lower))
    leg = upper + lower
    wanted = leg + move
    span = np.linalg.norm(wanted, axis=-1, keepdims=True)
    reached = np.clip(span, np.abs(thigh - shin), thigh + shin)
    along = rot.normalise(wanted)
    # Law of cosines: how far along the line from hip to ankle the knee lies, and how far beside it.
    down = (thigh**2 - shin**2 + reached**2) / (2.0 * np.maximum(reached, 1e-9))
    beside = np.sqrt(np.maximum(thigh**2 - down**2, 0.0))
    knees = joints[:, hip] + down * along + beside * _bend(joints, upper, leg, along)
    ends = joints[:, hip] + reached * along
    changed = np.abs(move).max(axis=-1) > 0.0
    shift = (ends - joints[:, ankle])[changed]
    joints[changed, knee] = knees[changed]
    joints[changed, ankle] += shift
    joints[changed, foot] += shift


def _bend(joints: Array, upper: Array, leg: Array, along: Array) -> Array:
    """Directions (T, 3) in which knees point, at right angles to `along`: as before, turned with the leg.

    Where a leg is nearly straight its bend tells nothing, and the facing of the body does.
    """
    before = rot.normalise(leg)
    beside = upper - (upper * before).sum(axis=-1, keepdims=True) * before
    yaw = heading(joints)
    ahead = np.zeros_like(beside)
    ahead[:, LATERAL], ahead[:, FORWARD] = np.sin(yaw), np.cos(yaw)
    turned = rot.quat_rotate(rot.quat_between(before, along), beside + _KNEE_AHEAD * ahead)
    return rot.normalise(turned - (turned * along).sum(axis=-1, keepdims=True) * along)
