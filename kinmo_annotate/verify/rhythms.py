"""What is counted: cycles of a signal, steps, jumps and hops, and how two limbs keep time with each other."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np

from kinmo_annotate.differences.swings import spans, turning_points
from kinmo_annotate.schema.skeleton import GROUND, UP
from kinmo_annotate.schema.vocabulary import ACTIONS, field_kind
from kinmo_annotate.signals import Signals
from kinmo_annotate.verify.moves import Array, shaped

Range = tuple[float, float]

# action -> (signal, smallest change from low to high that is half a cycle)
_CYCLES: Final[dict[str, tuple[tuple[str, float], ...]]] = {
    "sway": (("roll", 8.0),),
    "nod": (("pitch", 9.0),),
    "swing": (("forward", 0.13), ("out", 0.13), ("up", 0.13)),
    "wave": (("out", 0.10), ("up", 0.10), ("forward", 0.13), ("flexion", 25.0)),
}
CYCLIC: Final = frozenset((*_CYCLES, "circle"))
FOOTWORK: Final = frozenset(("step", "jump", "hop"))
# Writers draw the line between small and large differently: counts between these shares of it are all right.
_SHARES: Final = (0.6, 1.0, 1.3)
_LOW_HAND_M: Final = -0.35
_STEP_M, _STEP_UP_M = 0.08, 0.07
_STEP_SPEEDS: Final = (0.25, 0.5, 0.8)
_AIRBORNE_M, _DOWN_M, _RISE_M = 0.035, 0.07, 0.03
_LANDING_S: Final = 0.15
_WIDE_M: Final = 0.12


def cycles_of(signals: Signals, field: str, action: str, frames: slice) -> Range:
    """How many cycles of a to and fro there are: the fewest and the most that one may count."""
    if action == "circle":
        return _turns(signals, field, frames)
    if action == "wave" and signals.values[field, "up"][frames].max() < _LOW_HAND_M:
        return 0.0, 0.0
    counts = [
        (len(turning_points(signals.values[field, channel][frames], share * least)) - 1) / 2
        for channel, least in _CYCLES[action]
        for share in _SHARES
    ]
    return max(0.0, min(counts)), max(0.0, *counts)


def _turns(signals: Signals, field: str, frames: slice) -> Range:
    """Full turns of the wrist about the shoulder, from the side or from the front."""
    up = signals.values[field, "up"][frames]
    most = 0.0
    for other in ("forward", "out"):
        across = signals.values[field, other][frames]
        angle = np.unwrap(np.arctan2(up, across))
        moving = np.hypot(up, across) > _WIDE_M
        travel = np.abs(np.cumsum(np.diff(angle, prepend=angle[:1]) * moving))
        most = max(most, float(np.ptp(travel)) / (2 * np.pi))
    return max(0.0, most - 0.5), most + 0.5 if most > 0.6 else most


def repeats_of(signals: Signals, field: str, action: str, frames: slice) -> Range | None:
    """How often a field goes in a direction: the fewest and the most that one may count."""
    counts = []
    notable = ACTIONS[field_kind(field), action].notable
    for x in shaped(signals, field, action):
        for share in _SHARES:
            points = turning_points(x[frames], share * notable)
            counts.append(sum(x[frames][b] > x[frames][a] for a, b in pairwise(points)))
    return (min(counts), max(counts)) if counts else None


# feet ------------------------------------------------------------------------------------------------------


def steps_of(signals: Signals, side: str, frames: slice) -> Range:
    """How many steps a foot takes: the fewest and the most that one may count."""
    foot = signals.feet[side][frames]
    if len(foot) < 3:
        return 0, 0
    middle = foot.mean(axis=1)
    speed = np.linalg.norm(np.diff(middle, axis=0), axis=-1) * signals.fps
    counts = [sum(_is_step(middle[a : b + 1]) for a, b in spans(speed > least)) for least in _STEP_SPEEDS]
    return min(counts), max(counts)


def _is_step(path: Array) -> bool:
    far = float(np.abs(path[:, GROUND] - path[0, GROUND]).max())
    return far >= _STEP_M or float(np.ptp(path[:, UP])) >= _STEP_UP_M


def foot_travel(signals: Signals, side: str, frames: slice) -> float:
    """How far a foot gets from where it was, along one axis, metres."""
    middle = signals.feet[side][frames].mean(axis=1)
    return float(np.ptp(middle, axis=0).max()) if len(middle) else 0.0


def flights_of(signals: Signals, frames: slice, hop: str = "") -> int:
    """How often both feet are in the air: jumps, or hops of one side while the other foot stays up."""
    left, right = (signals.feet[s][..., UP].mean(axis=1) for s in ("left", "right"))
    left, right = left - left.min(), right - right.min()
    height, margin = signals.values["torso", "height"], max(1, round(_LANDING_S * signals.fps))
    count = 0
    for a, b in spans(np.minimum(left, right) > _AIRBORNE_M):
        if b <= frames.start or a >= frames.stop:
            continue
        before, after = max(0, a - margin), min(len(left) - 1, b - 1 + margin)
        if height[a:b].max() - height[before : a + 1].min() < _RISE_M:
            continue
        own, other = (left, right) if hop == "left" else (right, left)
        if hop:
            count += bool(other[before : after + 1].min() > _AIRBORNE_M or own[after] < other[after])
        else:
            count += bool(
                max(left[before], right[before]) < _DOWN_M or max(left[after], right[after]) < _DOWN_M
            )
    return count


# limbs together --------------------------------------------------------------------------------------------


def in_time(signals: Signals, field: str, frames: slice) -> float:
    """How far two limbs swing alike: 1 together, -1 in turn, 0 where one of them hardly swings."""
    best = 0.0
    first, second = field.split("__")
    for a, b in (("forward", "forward"), ("height", "height"), ("up", "up"), ("out", "out")):
        if (first, a) not in signals.values or (second, b) not in signals.values:
            continue
        x, y = signals.values[first, a][frames], signals.values[second, b][frames]
        if len(x) < 4 or min(np.ptp(x), np.ptp(y)) < 0.05:
            continue
        r = float(np.corrcoef(x, y)[0, 1])
        best = r if abs(r) > abs(best) else best
    return best
