"""Where the feet were: steps, jumps and hops, from the feet's own paths."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from kinmo_annotate.differences.swings import spans
from kinmo_annotate.schema.skeleton import GROUND, UP
from kinmo_annotate.signals import Signals

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_STEP_M = 0.10  # a foot that lands closer than this to where it stood did not step
_KICK = 0.4  # nor did one that went much further out before it came back
_MARCH_M = 0.09  # a foot that goes up this far and lands in place may march
_SLOWEST_MS = 0.3  # feet of motion capture slide slower than this
_STILL_MS = 0.1
_AIRBORNE_M = 0.045
_TOGETHER_S = 0.16  # feet that leave the ground further apart in time than this run, and do not jump
_JUMP_RISE_M = 0.035
_DOWN_M = 0.05  # a foot at most this high may stand on the ground


@dataclass(frozen=True, slots=True)
class Excursion:
    """A foot that moves from frame `start` to `end`.

    Attributes:
        distance: from where it stood to where it landed, metres.
        reach: the furthest that it got from where it stood, metres.
        lift: how high it went, metres.
        grounded: whether it began and ended on the ground.
    """

    start: int
    end: int
    distance: float
    reach: float
    lift: float
    grounded: bool

    @property
    def is_step(self) -> bool:
        """Whether the foot landed elsewhere."""
        return self.grounded and self.distance >= max(_STEP_M, _KICK * self.reach)

    @property
    def is_march(self) -> bool:
        """Whether the foot went up and down in place."""
        return self.grounded and self.lift >= _MARCH_M and self.reach < 4 * _STEP_M


@dataclass(frozen=True, slots=True)
class Flight:
    """A time off the ground, frames `start` to `end`, during which the pelvis rose by `rise` metres."""

    start: int
    end: int
    rise: float


@dataclass(frozen=True)
class Footwork:
    """What both feet did.

    Attributes:
        steps: side -> excursions that are steps (marching in place included).
        jumps: both feet off the ground together.
        hops: side -> flights of that foot while the other stays up.
    """

    steps: dict[str, list[Excursion]]
    jumps: list[Flight]
    hops: dict[str, list[Flight]]

    def bouts(self, frames: int, gap: int, sides: tuple[str, ...] = ("left", "right")) -> Mask:
        """Mark the frames (T,) from a step to the next where less than `gap` frames lie between."""
        busy = np.zeros(frames, dtype=bool)
        spans = sorted((s.start, s.end) for side in sides for s in self.steps[side])
        reach = -gap - 1
        for start, end in spans:
            busy[(reach if 0 <= start - reach <= gap else start) : end + 1] = True
            reach = max(reach, end)
        return busy


def footwork(signals: Signals) -> Footwork:
    """Find steps, jumps and hops.

    Args:
        signals: measured signals of one motion.
    """
    up = {side: _above_ground(foot) for side, foot in signals.feet.items()}
    jumps = _jumps(signals, up)
    hops = {side: _hops(signals, up, side) for side in up}
    moves = {side: _excursions(signals, side, up[side], jumps + hops[side]) for side in up}
    return Footwork(_with_marching(moves, signals.fps), jumps, hops)


def _above_ground(foot: Array) -> Array:
    """Height of the middle of the foot over where it usually stands, (T,) metres."""
    height = foot[..., UP].mean(axis=1)
    return height - np.percentile(height, 5)


def _runs(mask: Mask) -> list[tuple[int, int]]:
    """Frames (first, last) of each run of True."""
    return [(a, b - 1) for a, b in spans(mask)]


def _excursions(signals: Signals, side: str, up: Array, flights: list[Flight]) -> list[Excursion]:
    foot = signals.feet[side]
    speed = np.linalg.norm(np.gradient(foot, axis=0), axis=-1).max(axis=1) * signals.fps
    window = 2 * int(0.5 * signals.fps) + 1
    moving = speed > np.maximum(_SLOWEST_MS, 0.3 * maximum_filter1d(speed, window))
    spans = _widened(_bridged(_runs(moving), up > _DOWN_M), speed, int(0.2 * signals.fps))
    found = []
    for a, b in spans:
        if not any(min(b, f.end) > max(a, f.start) for f in flights):
            found.append(_excursion(foot, a, b))
    return found


def _widened(spans: list[tuple[int, int]], speed: Array, most: int) -> list[tuple[int, int]]:
    """Stretch each span over the slow frames of lifting off and landing, never into the next span."""
    edges = [(-1, -1), *spans, (len(speed), len(speed))]
    wide = []
    for before, (a, b), after in zip(edges, spans, edges[2:], strict=False):
        first, last = max(a - most, (before[1] + a + 1) // 2), min(b + most, (b + after[0]) // 2)
        while a > max(first, 0) and speed[a - 1] > _STILL_MS:
            a -= 1
        while b < min(last, len(speed) - 1) and speed[b + 1] > _STILL_MS:
            b += 1
        wide.append((a, b))
    return wide


def _excursion(foot: Array, a: int, b: int) -> Excursion:
    ground, height = foot[..., GROUND], foot[..., UP]
    away = np.linalg.norm(ground[a : b + 1] - ground[a], axis=-1).max(axis=1)
    # the toe is the last to leave the ground and the heel the first to meet it
    clear = (height - np.percentile(height, 5, axis=0)).min(axis=1)
    last = len(foot) - 1
    grounded = (a == 0 or clear[a] < _DOWN_M) and (b == last or clear[b] < _DOWN_M)
    lift = float(_above_ground(foot)[a : b + 1].max())
    return Excursion(a, b, float(away[-1]), float(away.max()), lift, bool(grounded))


def _bridged(spans: list[tuple[int, int]], lifted: Mask) -> list[tuple[int, int]]:
    """Join spans between which the foot hung in the air: a kick goes out and comes back in one excursion."""
    joined: list[tuple[int, int]] = []
    for a, b in spans:
        if joined and lifted[joined[-1][1] : a + 1].all():
            joined[-1] = (joined[-1][0], b)
        else:
            joined.append((a, b))
    return joined


def _with_marching(moves: dict[str, list[Excursion]], fps: float) -> dict[str, list[Excursion]]:
    """Keep the steps, and lifts in place where the feet take turns at least four times in all."""
    lifts = sorted((m.start, side, m) for side, ms in moves.items() for m in ms if m.is_step or m.is_march)
    turns = [a for a, b in pairwise(lifts) if a[1] != b[1] and b[0] - a[2].end < 0.5 * fps]
    marching = len(turns) >= 3
    return {side: [m for m in ms if m.is_step or (marching and m.is_march)] for side, ms in moves.items()}


def _airborne(up: Array) -> list[tuple[int, int]]:
    return [(a, b) for a, b in _runs(up > _AIRBORNE_M) if b > a]


def _rise(signals: Signals, a: int, b: int) -> float:
    """How far the pelvis rises from just before take-off to its top, metres."""
    height = signals.values["torso", "height"]
    before = max(0, a - int(0.1 * signals.fps))
    return float(height[a : b + 1].max() - height[before : a + 1].min())


def _jumps(signals: Signals, up: dict[str, Array]) -> list[Flight]:
    apart = _TOGETHER_S * signals.fps
    found = []
    for a, b in _airborne(up["left"]):
        for c, d in _airborne(up["right"]):
            together = abs(a - c) <= apart and abs(b - d) <= 2 * apart and min(b, d) > max(a, c)
            rise = _rise(signals, min(a, c), max(b, d)) if together else 0.0
            if rise >= _JUMP_RISE_M:
                found.append(Flight(min(a, c), max(b, d), rise))
    return found


def _hops(signals: Signals, up: dict[str, Array], side: str) -> list[Flight]:
    other = up["right" if side == "left" else "left"] > _AIRBORNE_M
    margin = int(0.3 * signals.fps)
    found = []
    for a, b in _airborne(up[side]):
        whole = other[max(0, a - margin) : b + margin + 1]
        if a > 0 and b < len(other) - 1 and whole.all() and _rise(signals, a, b) >= _JUMP_RISE_M / 2:
            found.append(Flight(a, b, _rise(signals, a, b)))
    return found
