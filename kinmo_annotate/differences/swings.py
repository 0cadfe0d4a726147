"""Turn a measured signal into swings (from one turning point to the next) and cycles (swings that repeat)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# A swing is said to start and end where the signal is within this share of its whole change.
_TRIM = 0.08


@dataclass(frozen=True, slots=True)
class Swing:
    """A change in one direction, frames `start` to `end`; `delta` is signed, in the signal's unit."""

    start: int
    end: int
    delta: float

    @property
    def frames(self) -> int:
        """Length in frames."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Cycle:
    """Back-and-forth movement: `count` cycles from frame `start` to `end`, mean peak-to-peak `amplitude`."""

    start: int
    end: int
    count: int
    amplitude: float


def turning_points(x: Array, notable: float) -> list[int]:
    """Frames between which the signal changes by at least `notable` without turning back that much.

    Args:
        x: (T,) signal.
        notable: smallest change that counts, in the signal's unit.

    Returns:
        Frames of alternating lows and highs; empty if nothing changes enough.
    """
    if np.ptp(x) < notable:
        return []
    candidates = _local_extremes(x)
    points = [candidates[0]]
    best, direction = candidates[0], 0.0
    for i in candidates[1:]:
        if direction == 0.0:
            best, direction = _first_direction(x, points, i, best, notable)
        elif (x[i] - x[best]) * direction > 0:
            best = i
        elif abs(x[i] - x[best]) >= notable:
            points.append(best)
            best, direction = i, -direction
    if direction != 0.0:
        points.append(best)
    return points if len(points) > 1 else []


def _local_extremes(x: Array) -> list[int]:
    sign = np.sign(np.diff(x))
    inner = np.flatnonzero(sign[1:] * sign[:-1] <= 0) + 1
    return [0, *inner.tolist(), len(x) - 1]


def _first_direction(x: Array, points: list[int], i: int, best: int, notable: float) -> tuple[int, float]:
    """Before the first swing is large enough, keep the lowest and highest frame as possible beginnings."""
    low, high = min((points[0], best, i), key=lambda k: x[k]), max((points[0], best, i), key=lambda k: x[k])
    if x[high] - x[low] >= notable:
        points[0] = min(low, high)
        return max(low, high), 1.0 if low < high else -1.0
    points[0], best = low, high
    return best, 0.0


def swings(x: Array, notable: float) -> list[Swing]:
    """Find the changes of at least `notable`, trimmed to when the signal really moves.

    Args:
        x: (T,) signal.
        notable: smallest change that counts, in the signal's unit.
    """
    points = turning_points(x, notable)
    return [_trimmed(x, a, b) for a, b in pairwise(points)]


def _trimmed(x: Array, a: int, b: int) -> Swing:
    delta = x[b] - x[a]
    progress = (x[a : b + 1] - x[a]) / delta
    start = a + int(np.flatnonzero(progress <= _TRIM)[-1])
    after = progress[start - a :]
    end = start + int(np.flatnonzero(after >= 1 - _TRIM)[0])
    return Swing(start, end, float(delta))


def cycles(x: Array, amplitude: float, longest_half: float, least: int = 2) -> list[Cycle]:
    """Find runs of at least `least` cycles: swings of like size, none longer than `longest_half` frames.

    Args:
        x: (T,) signal.
        amplitude: smallest peak-to-peak size, in the signal's unit.
        longest_half: longest half cycle in frames.
        least: smallest number of full cycles.
    """
    points = turning_points(x, amplitude)
    found: list[Cycle] = []
    run: list[Swing] = []
    for a, b in pairwise(points):
        moving = _trimmed(x, a, b)
        # what stands still before the first half and after the last is not part of the cycles
        half = Swing(a if run else moving.start, b, moving.delta)
        fits = half.frames <= longest_half and (not run or _alike(run[-1], half))
        if run and not fits and moving.end - a <= longest_half and _alike(run[-1], half):
            run.append(Swing(a, moving.end, moving.delta))
        if fits:
            run.append(half)
            continue
        found.extend(_as_cycle(run, least))
        first = Swing(moving.start, b, moving.delta)
        run = [first] if first.frames <= longest_half else []
    return found + _as_cycle(run, least)


def _alike(a: Swing, b: Swing) -> bool:
    small, large = sorted((abs(a.delta), abs(b.delta)))
    return large <= 2.2 * small


def _as_cycle(run: list[Swing], least: int) -> list[Cycle]:
    run = _without_approach(run)
    if len(run) < 2 * least - 1:
        return []
    sizes = [abs(s.delta) for s in run]
    # a movement that starts from its middle begins and ends with half a swing
    halves = len(run) - 2 + min(1.0, sizes[0] / sizes[1]) + min(1.0, sizes[-1] / sizes[-2])
    if halves < 2 * least - 1.5:
        return []
    whole = sizes[1:-1] if len(sizes) > 3 else sizes
    return [Cycle(run[0].start, run[-1].end, max(least, round(halves / 2 + 0.01)), float(np.mean(whole)))]


def _without_approach(run: list[Swing]) -> list[Swing]:
    """Drop a first or last half cycle that is much larger: it leads into the movement or out of it."""
    if len(run) < 3:
        return run
    usual = float(np.median([abs(s.delta) for s in run]))
    first = 1 if abs(run[0].delta) > 1.35 * usual else 0
    last = len(run) - (1 if abs(run[-1].delta) > 1.35 * usual else 0)
    return run[first:last]


def spans(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of True in a mask (T,): first frame, and the frame after the last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def overlap(a: tuple[int, int], b: tuple[int, int]) -> int:
    """Frames that two spans share."""
    return max(0, min(a[1], b[1]) - max(a[0], b[0]))
