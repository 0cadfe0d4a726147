"""What claims are held against: the signals of a motion and where its feet went, for many motions at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from kinmo_annotate.schema.skeleton import GROUND, UP
from kinmo_annotate.signals import Array, Signals
from kinmo_annotate.verify.stillness import shares_of_still

# slowest speed in m/s, share of the quickest around it, whether a foot that hangs in the air still moves
_SPEEDS: Final = ((0.2, 0.0, True), (0.3, 0.3, True), (0.3, 0.4, False))
_HANGING_M: Final = 0.07
_STEP_M, _STEP_UP_M = 0.06, 0.07
_LANDED: Final = 0.35
_AROUND_S: Final = 0.5


class FootMove(NamedTuple):
    """A foot that moves from frame `start` to `end`; whether it lands elsewhere."""

    start: int
    end: int
    lands_elsewhere: bool


class Evidence(NamedTuple):
    """What is known of one motion.

    Attributes:
        signals: what was measured.
        feet: side -> the movements of that foot, by each of several thresholds of speed.
        shares: field -> the largest change of its signals, in units of what is worth a sentence.
    """

    signals: Signals
    feet: dict[str, list[list[FootMove]]]
    shares: dict[str, float]


def gather(signals: Sequence[Signals]) -> list[Evidence]:
    """Gather the evidence of motions of one frame rate."""
    feet = {side: _foot_moves(signals, side) for side in ("left", "right")}
    return [
        Evidence(one, {side: moves[i] for side, moves in feet.items()}, shares)
        for i, (one, shares) in enumerate(zip(signals, shares_of_still(signals), strict=True))
    ]


def _foot_moves(signals: Sequence[Signals], side: str) -> list[list[list[FootMove]]]:
    """For each motion and each threshold, what a foot did; all motions in one pass with gaps between them."""
    fps = signals[0].fps
    gap = int(_AROUND_S * fps) + 1
    lengths = np.array([one.num_frames for one in signals])
    starts = np.cumsum(lengths + gap) - lengths - gap
    place = np.concatenate([np.arange(n) + a for n, a in zip(lengths, starts, strict=True)])
    foot = np.zeros((int(starts[-1] + lengths[-1] + gap), 2, 3))
    foot[place] = np.concatenate([one.feet[side] for one in signals])
    inside = np.zeros(len(foot), dtype=bool)
    inside[place] = True
    speed = np.zeros(len(foot))
    step = np.diff(foot, axis=0)
    speed[1:] = np.sqrt(np.einsum("tij,tij->ti", step, step).max(axis=1)) * fps
    speed[~inside] = 0.0
    speed[starts] = 0.0
    return _by_motion(foot, speed, inside, starts, gap)


def _by_motion(
    foot: Array, speed: Array, inside: NDArray[np.bool_], starts: NDArray[np.intp], gap: int
) -> list[list[list[FootMove]]]:
    height = foot[..., UP].mean(axis=1)
    ground = np.minimum.reduceat(np.where(inside, height, np.inf), starts)
    owner = np.searchsorted(starts, np.arange(len(foot)), side="right") - 1
    lifted = inside & (height > ground[owner] + _HANGING_M)
    around = maximum_filter1d(speed, 2 * gap - 1)
    found: list[list[list[FootMove]]] = [[] for _ in starts]
    for least, share, hanging in _SPEEDS:
        moving = inside & (speed > np.maximum(least, share * around))
        for moves in found:
            moves.append([])
        moving = moving | lifted if hanging else moving
        moving[starts] = False  # no frame before it tells where the foot stood
        first, last, lands = _moves(foot, moving)
        home = owner[first]
        columns = (home, first - starts[home], last - starts[home], lands)
        for i, *move in zip(*(column.tolist() for column in columns), strict=True):
            found[i][-1].append(FootMove(*move))
    return found


def _moves(
    foot: Array, moving: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """Runs of a moving foot (T, 2, 3) that take it anywhere: first frames, last frames, lands elsewhere."""
    edges = np.flatnonzero(moving[1:] != moving[:-1]) + 1
    if not len(edges):
        return edges, edges, edges.astype(bool)
    first, after = edges[::2] - 1, edges[1::2]  # the frame before a run is where the foot stood
    flat = foot.reshape(len(foot), 6)
    ranges = np.empty(2 * len(first), dtype=np.intp)
    ranges[::2], ranges[1::2] = first, after
    reach = np.maximum.reduceat(flat, ranges)[::2] - np.minimum.reduceat(flat, ranges)[::2]
    reach = reach.reshape(-1, 2, 3)
    landed = np.abs(foot[after - 1] - foot[first])[:, :, GROUND].max(axis=(1, 2))
    far, up = reach[:, :, GROUND].max(axis=(1, 2)), reach[..., UP].max(axis=1)
    goes = (far >= _STEP_M) | (up >= _STEP_UP_M)
    lands = landed >= np.maximum(_STEP_M, _LANDED * far)
    return edges[::2][goes], after[goes] - 1, lands[goes]
