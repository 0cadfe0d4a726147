"""How far an edit reached: what moved outside of it, and whether its edges are smooth.

Symbols: T frames, 20 a second.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.features import BLOCKS, features_to_joints
from kinmo_annotate.schema.skeleton import FPS, GROUPS, NUM_JOINTS, UP
from kinmo_models.editing.canvas import Canvas

Features = NDArray[np.float32]
Joints = NDArray[np.floating]

MOST_JUMP: Final = 1.5  # of a seam, times the motion's own largest


def moved_in_body(before: Features, after: Features) -> NDArray[np.float64]:
    """Tell how far the joints moved in the frame of the root: on the ground below it, facing where it faces.

    What comes after an edited span moves over the ground as a whole, because the root's way is a sum of
    steps: this leaves it out.

    Args:
        before: (T, 263), not normalised.
        after: (T, 263).

    Returns:
        (T, 22) metres.
    """
    here, there = (_in_body(one) for one in (before, after))
    return np.linalg.norm(there - here, axis=-1)


def _in_body(features: Features) -> NDArray[np.float64]:
    """Positions (T, 22, 3) with the root's place and heading removed; height stays."""
    joints = np.zeros((len(features), NUM_JOINTS, 3))
    joints[:, 1:] = features[:, BLOCKS["positions"]].reshape(len(features), -1, 3)
    joints[:, 0, UP] = features[:, BLOCKS["root_height"]][:, 0]
    return joints


def moved_in_world(before: Joints, after: Joints, groups: Collection[str]) -> NDArray[np.float64]:
    """Tell how far the joints of some groups moved: (T, joints) metres.

    Args:
        before: (T, 22, 3) metres.
        after: (T, 22, 3) metres.
        groups: their names.
    """
    joints = [joint for name in groups for joint in GROUPS[name]]
    return np.linalg.norm(np.asarray(after[:, joints] - before[:, joints], np.float64), axis=-1)


def velocity_jumps(joints: Joints) -> NDArray[np.float64]:
    """Tell how much the velocity of the joint that changes it most changes at each frame.

    Args:
        joints: (T, 22, 3) metres.

    Returns:
        (T,) metres a second; 0 in the first and the last frame.
    """
    jumps = np.zeros(len(joints))
    if len(joints) > 2:
        change = np.diff(np.asarray(joints, np.float64), n=2, axis=0) * FPS
        jumps[1:-1] = np.linalg.norm(change, axis=-1).max(axis=1)
    return jumps


def at_seams(edited: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which frames (T,) are at an edge of an edit: the two on either side of it."""
    near = np.zeros(len(edited), bool)
    for place in np.flatnonzero(np.diff(edited.astype(int))) + 1:
        near[max(0, place - 2) : place + 2] = True
    return near


def seam_jump(canvas: Canvas, joints: Joints) -> float | None:
    """Give the largest change of velocity at the seams, in the largest that the motion has elsewhere.

    The motion is the source and what was made of it, away from the seams.

    Args:
        canvas: the source, and what was written of it.
        joints: (T, 22, 3) metres, the result.

    Returns:
        None where there is no seam.
    """
    seams = at_seams(canvas.edited)
    if not seams.any():
        return None
    here = velocity_jumps(joints)
    there = np.abs(canvas.rows).sum(axis=1).all()  # else there is no source in the place of what was added
    own = velocity_jumps(features_to_joints(canvas.rows)) if there else np.zeros(1)
    return float(here[seams].max() / max(own.max(), here[~seams].max(initial=0.0), 1e-9))
