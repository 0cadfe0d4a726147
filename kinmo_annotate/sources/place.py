"""Standing a motion where `records.Motion` promises it: floor at y = 0, start at x = z = 0, facing +z."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.skeleton import FORWARD, GROUND, JOINT, LATERAL, UP

FLOOR_TOLERANCE = 0.02  # metres; HumanML3D vectors from a model hover or sink by about this much
FACING_TOLERANCE = np.deg2rad(5.0)


def facing(joints: NDArray[np.floating]) -> NDArray[np.float64]:
    """Give the yaw of each frame: 0 faces +z, positive turns towards +x.

    The body faces across x up, `across` being (left - right) of hips plus shoulders on the ground plane, as
    HumanML3D step 4 does it.

    Args:
        joints: (T, 22, 3) metres, y up.

    Returns:
        (T,) radians.
    """
    across = _gap(joints, "hip") + _gap(joints, "shoulder")
    return np.arctan2(-across[..., FORWARD], across[..., LATERAL])


def _gap(joints: NDArray[np.floating], name: str) -> NDArray[np.float64]:
    left, right = JOINT[f"left_{name}"], JOINT[f"right_{name}"]
    return joints[..., left, :].astype(np.float64) - joints[..., right, :]


def turn(joints: NDArray[np.floating], yaw: float) -> NDArray[np.float64]:
    """Rotate positions (..., 3) about the vertical through the origin, positive from +z towards +x."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    turned = joints.astype(np.float64)
    turned[..., LATERAL] = cos * joints[..., LATERAL] + sin * joints[..., FORWARD]
    turned[..., FORWARD] = cos * joints[..., FORWARD] - sin * joints[..., LATERAL]
    return turned


def place(joints: NDArray[np.floating]) -> NDArray[np.float64]:
    """Set the lowest joint of the whole motion on the floor, its start at the origin, facing +z.

    Args:
        joints: (T, 22, 3) metres, y up.

    Returns:
        (T, 22, 3), the same motion moved and turned as one rigid body.
    """
    shifted = joints.astype(np.float64)
    shifted[..., UP] -= shifted[..., UP].min()
    for axis in GROUND:
        shifted[..., axis] -= joints[0, 0, axis]
    return turn(shifted, -float(facing(joints[:1])[0]))


def is_placed(joints: NDArray[np.floating]) -> bool:
    """Tell whether a motion already stands as promised, within tolerances; its start is not asked."""
    floor = abs(float(joints[..., UP].min()))
    return floor <= FLOOR_TOLERANCE and abs(float(facing(joints[:1])[0])) <= FACING_TOLERANCE


def detect_up(joints: NDArray[np.float64], usual: str = "y") -> tuple[str, NDArray[np.float64]]:
    """Tell whether y or z is up and turn the motion to y up.

    From the ankles to the head a body points up on the average over nearly any motion. The axis that is usual
    for the kind of file is given up only where the other clearly wins, so that lying and crawling are safe.

    Args:
        joints: (T, 22, 3).
        usual: "y" (BVH) or "z" (AMASS).

    Returns:
        "y" or "z", and the joints with y up.
    """
    feet = joints[:, [JOINT["left_ankle"], JOINT["right_ankle"]]].mean(axis=1)
    _, y, z = (joints[:, JOINT["head"]] - feet).mean(axis=0)
    other_wins = z > 1.5 * abs(y) if usual == "y" else y > 1.5 * abs(z)
    if (usual == "z") != bool(other_wins):
        return "z", np.stack([joints[..., 0], joints[..., 2], -joints[..., 1]], axis=-1)
    return "y", joints
