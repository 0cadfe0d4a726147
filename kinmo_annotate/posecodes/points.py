"""From joints to the named points that posecodes compare, in the body's own axes.

Frames of reference: in, world metres, y up; out, the same metres turned about the vertical so that the body's
left is +x and its front +z (anatomical heading: the line from the right to the left hip). Heights stay the
world's: y = 0 is the floor of the motion, so that a jump leaves it. Source: spec/posescript.md section 1.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.skeleton import FORWARD, JOINT, JOINTS, LATERAL, UP

FINGER_REACH: Final = 0.1367  # metres from the wrist to the middle finger, forearm prolonged
SMOOTHING: Final = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # binomial over 5 frames: 0.25 s at 20 fps
_LEVEL: Final = 0.04  # metres; a hip line shorter than this on the ground gives no heading

_SIDES: Final = ("left", "right")
_MIDPOINTS: Final = (("thigh", "hip", "knee"), ("shin", "knee", "ankle"),
                     ("upperarm", "shoulder", "elbow"), ("forearm", "elbow", "wrist"))  # fmt: skip
POINTS: Final = (
    *JOINTS,
    "left_hand",
    "right_hand",
    "chest",
    *(f"{side}_{part}" for part, _, _ in _MIDPOINTS for side in _SIDES),
)
POINT: Final[dict[str, int]] = {name: index for index, name in enumerate(POINTS)}


def smooth(joints: NDArray[np.float32], starts: NDArray[np.intp]) -> NDArray[np.float32]:
    """Average positions over five frames with binomial weights, motion by motion.

    Args:
        joints: (N, 22, 3) metres, the motions one after another.
        starts: (M + 1,) first frame of each motion, then N.

    Returns:
        (N, 22, 3); the ends of a motion are continued by repeating its end frames.
    """
    padding = len(SMOOTHING) // 2
    flat = joints.reshape(len(joints), -1)
    smoothed = np.empty_like(flat)
    for first, last in pairwise(starts):
        motion = np.concatenate([flat[[first] * padding], flat[first:last], flat[[last - 1] * padding]])
        count = last - first
        smoothed[first:last] = sum(w * motion[k : k + count] for k, w in enumerate(SMOOTHING))
    return smoothed.reshape(joints.shape)


def face_forward(joints: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn every frame about the vertical so that the body's left points to +x.

    Where the hips stand above one another (lying on the side) the shoulders give the heading instead; where
    they do too, the frame is left as it is.

    Args:
        joints: (N, 22, 3) metres.

    Returns:
        (3, 22, N): axis, joint, frame, ready for operations along frames.
    """
    xyz = np.ascontiguousarray(joints.transpose(2, 1, 0))
    across = xyz[:, JOINT["left_hip"]] - xyz[:, JOINT["right_hip"]]
    instead = xyz[:, JOINT["left_shoulder"]] - xyz[:, JOINT["right_shoulder"]]
    across = np.where(np.hypot(across[LATERAL], across[FORWARD]) < _LEVEL, instead, across)
    length = np.hypot(across[LATERAL], across[FORWARD])
    known = length >= _LEVEL
    divisor = np.where(known, length, 1)
    cosine = np.where(known, across[LATERAL] / divisor, 1)
    sine = np.where(known, across[FORWARD] / divisor, 0)
    turned = xyz.copy()
    turned[LATERAL] = cosine * xyz[LATERAL] + sine * xyz[FORWARD]
    turned[FORWARD] = cosine * xyz[FORWARD] - sine * xyz[LATERAL]
    return turned


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale vectors (3, ...) to length 1; a zero vector stays zero rather than turning into NaN."""
    length = np.sqrt((vectors * vectors).sum(axis=0))
    return vectors / np.maximum(length, np.float32(1e-9))


def named_points(joints: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute all 33 named points in the body's own axes.

    Args:
        joints: (N, 22, 3) metres, world, y up, floor at y = 0.

    Returns:
        (3, 33, N) in the order of `POINTS`.
    """
    body = face_forward(joints)

    def at(name: str) -> NDArray[np.float32]:
        return body[:, JOINT[name]]

    hands = [
        at(f"{side}_wrist") + FINGER_REACH / 2 * unit(at(f"{side}_wrist") - at(f"{side}_elbow"))
        for side in _SIDES
    ]
    chest = (at("pelvis") + at("neck") + at("spine3")) / 3
    middles = [(at(f"{s}_{a}") + at(f"{s}_{b}")) / 2 for _, a, b in _MIDPOINTS for s in _SIDES]
    derived = np.stack([*hands, chest, *middles], axis=1)
    return np.concatenate([body, derived], axis=1).astype(np.float32, copy=False)


__all__ = ["POINT", "POINTS", "UP", "face_forward", "named_points", "smooth", "unit"]
