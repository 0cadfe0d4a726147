"""The body: 22 SMPL joints, their tree, the six kinematic groups and their 15 pairs, and the axes.

Frames of reference: right-handed, y up, metres. A motion that faces +z has its own left at +x.
Sources: SMPL joint order; HumanML3D rest directions and target lengths; groups from KinMo section 3.1.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

FPS: Final = 20.0
LATERAL: Final = 0  # x, towards the body's left when it faces +z
UP: Final = 1
FORWARD: Final = 2
GROUND: Final = (LATERAL, FORWARD)

JOINTS: Final = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
    "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
NUM_JOINTS: Final = len(JOINTS)
JOINT: Final[dict[str, int]] = {name: index for index, name in enumerate(JOINTS)}
PARENTS: Final = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)

# Chains in the order HumanML3D's inverse kinematics walks them; both arms start at spine3.
CHAINS: Final = (
    (0, 2, 5, 8, 11),
    (0, 1, 4, 7, 10),
    (0, 3, 6, 9, 12, 15),
    (9, 14, 17, 19, 21),
    (9, 13, 16, 18, 20),
)

_X, _Y, _Z = (1, 0, 0), (0, 1, 0), (0, 0, 1)
_NX, _NY = (-1, 0, 0), (0, -1, 0)
RAW_DIRECTIONS: Final[NDArray[np.float32]] = np.array(
    [
        (0, 0, 0),
        _X,
        _NX,
        _Y,
        _NY,
        _NY,
        _Y,
        _NY,
        _NY,
        _Y,
        _Z,
        _Z,
        _Y,
        _X,
        _NX,
        _Z,
        _NY,
        _NY,
        _NY,
        _NY,
        _NY,
        _NY,
    ],
    dtype=np.float32,
)
TARGET_LENGTHS: Final[NDArray[np.float32]] = np.array(
    [
        0.0, 0.103074, 0.109883, 0.131568, 0.393623, 0.390188, 0.143190, 0.432433, 0.425643, 0.057365,
        0.143382, 0.149419, 0.219360, 0.137487, 0.143383, 0.103039, 0.131614, 0.122984, 0.256840, 0.263092,
        0.266012, 0.269876,
    ],
    dtype=np.float32,
)  # fmt: skip
TARGET_OFFSETS: Final[NDArray[np.float32]] = RAW_DIRECTIONS * TARGET_LENGTHS[:, None]

GROUPS: Final[dict[str, tuple[int, ...]]] = {
    "torso": (0, 3, 6, 9),
    "neck": (12, 15),
    "left_arm": (13, 16, 18, 20),
    "right_arm": (14, 17, 19, 21),
    "left_leg": (1, 4, 7, 10),
    "right_leg": (2, 5, 8, 11),
}
GROUP_NAMES: Final = tuple(GROUPS)
PAIRS: Final[tuple[tuple[str, str], ...]] = tuple(combinations(GROUP_NAMES, 2))
PAIR_NAMES: Final = tuple(f"{a}__{b}" for a, b in PAIRS)
FIELDS: Final = GROUP_NAMES + PAIR_NAMES

# The joint that physically connects the torso with each other group.
CONNECTING_JOINT: Final[dict[str, int]] = {
    "torso__neck": JOINT["neck"],
    "torso__left_arm": JOINT["left_collar"],
    "torso__right_arm": JOINT["right_collar"],
    "torso__left_leg": JOINT["left_hip"],
    "torso__right_leg": JOINT["right_hip"],
}

MIRROR: Final[tuple[int, ...]] = (
    0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20,
)  # fmt: skip
MIRROR_GROUP: Final[dict[str, str]] = {
    name: name.replace("left", "*").replace("right", "left").replace("*", "right") for name in GROUP_NAMES
}


def pair_name(a: str, b: str) -> str:
    """Name the unordered pair of two groups as the dataset does: the earlier group first."""
    first, second = sorted((a, b), key=GROUP_NAMES.index)
    return f"{first}__{second}"


def mirror_field(field: str) -> str:
    """Name the group or pair that `field` becomes when left and right are exchanged."""
    groups = [MIRROR_GROUP[name] for name in field.split("__")]
    return groups[0] if len(groups) == 1 else pair_name(*groups)


def mirror_joints(joints: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mirror positions (..., 22, 3) left to right: x -> -x, left joints <-> right joints."""
    mirrored = joints[..., MIRROR, :].copy()
    mirrored[..., LATERAL] *= -1
    return mirrored
