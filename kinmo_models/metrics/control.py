"""How far joints are from the paths that they were to follow, as OmniControl measures it.

A point is a joint in a frame. Figures are taken of each motion, then their mean over the motions; MaskControl
takes the mean over the joints of a frame first, so that its figures for several joints are others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

FAR_M: Final = (0.2, 0.5)  # metres from which on a point is missed


@dataclass(frozen=True, slots=True)
class ControlErrors:
    """Errors of some motions.

    Attributes:
        trajectory: share of motions with a point that is missed, at 20 and at 50 cm.
        location: share of points that are missed, at 20 and at 50 cm.
        average_m: mean distance, metres.
        motions: how many were measured.
    """

    trajectory: tuple[float, ...]
    location: tuple[float, ...]
    average_m: float
    motions: int


def distances(joints: ArrayLike, wanted: ArrayLike, held: ArrayLike) -> NDArray[np.float64]:
    """Give the distance of each held point of a motion.

    Args:
        joints: (T, 22, 3) metres.
        wanted: (T, 22, 3) where they were to be.
        held: (T, 22) bool, which of them.

    Returns:
        (points,) metres, frame by frame.
    """
    there = np.asarray(held, bool)
    far = np.asarray(joints, np.float64)[there] - np.asarray(wanted, np.float64)[there]
    return np.linalg.norm(far, axis=-1)


def control_errors(
    joints: Sequence[ArrayLike], wanted: Sequence[ArrayLike], held: Sequence[ArrayLike]
) -> ControlErrors:
    """Measure motions against their paths.

    Args:
        joints: (T, 22, 3) of each motion, metres.
        wanted: (T, 22, 3) of each.
        held: (T, 22) of each; motions of which nothing is held are left out.

    Raises:
        ValueError: nothing is held of any motion.
    """
    found = [distances(*one) for one in zip(joints, wanted, held, strict=True)]
    found = [one for one in found if len(one)]
    if not found:
        raise ValueError("control errors need a motion of which something is held")
    trajectory = [float(np.mean([(one > far).any() for one in found])) for far in FAR_M]
    location = [float(np.mean([(one > far).mean() for one in found])) for far in FAR_M]
    average = float(np.mean([one.mean() for one in found]))
    return ControlErrors(tuple(trajectory), tuple(location), average, len(found))
