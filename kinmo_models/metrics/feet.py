"""Foot skating: feet that slide while they stand (as measured by GMD and OmniControl)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter1d

from kinmo_annotate.schema.skeleton import FPS, GROUND, JOINT, UP

_FEET: Final = (JOINT["left_foot"], JOINT["right_foot"])
STANDING_M: Final = 0.05  # a foot that is lower stands
SLIDING_M_S: Final = 0.5  # a standing foot that is faster slides
_FRAMES: Final = 5  # over so many transitions the speed is averaged


def skating(joints: ArrayLike) -> NDArray[np.bool_]:
    """Tell in which transitions between frames a foot slides.

    A foot slides where it is lower than 5 cm in both frames, and faster over the ground than 0.5 m/s there as
    well as on average over five transitions (zeros beyond the ends).

    Args:
        joints: (T, 22, 3) metres, y up, the floor at 0, 20 frames a second.

    Returns:
        (T - 1,) true where either foot slides.

    Raises:
        ValueError: fewer than two frames, or another shape.
    """
    positions = np.asarray(joints, np.float64)
    if positions.ndim != 3 or positions.shape[0] < 2 or positions.shape[2] != 3:
        raise ValueError(f"joints {positions.shape}: wanted are two or more frames (T, 22, 3)")
    feet = positions[:, _FEET]
    low = feet[..., UP] < STANDING_M
    speed = np.linalg.norm(np.diff(feet[..., GROUND], axis=0), axis=-1) * FPS
    mean = uniform_filter1d(speed, _FRAMES, axis=0, mode="constant")
    slides = low[:-1] & low[1:] & (speed > SLIDING_M_S) & (mean > SLIDING_M_S)
    return slides.any(axis=1)


def foot_skating_ratio(motions: list[NDArray[np.floating]]) -> float:
    """Share of transitions in which a foot slides, the mean over the motions.

    Of each motion its own transitions count. GMD and OmniControl count the 195 of the padded motion, so that
    theirs is lower for shorter motions than 196 frames.

    Args:
        motions: (T, 22, 3) each, as in `skating`.

    Raises:
        ValueError: no motion, or as `skating`.
    """
    if not motions:
        raise ValueError("foot skating needs a motion")
    return float(np.mean([skating(one).mean() for one in motions]))
