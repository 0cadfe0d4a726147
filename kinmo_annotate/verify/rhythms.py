"""What is counted: cycles of a signal, steps, jumps and hops, and how two limbs keep time with each other."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from scipy.ndimage import maximum_filter1d

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
    "swing": (("forward", 0.13),),
    "wave": (("out", 0.10), ("up", 0.10), ("forward", 0.13), ("flexion", 25.0)),
}
CYCLIC: Final = frozenset((*_CYCLES, "circle"))
FOOTWORK: Final = frozenset(("step", "jump", "hop"))
# Writers draw the line between small and large differently: counts between these shares of it are all right.
_SHARES: Final = (0.6, 1.0, 1.3)
_LOW_HAND_M: Final = -0.3
_WAVING_S: Final = 0.4
_STEP_M, _STEP_UP_M = 0.06, 0.07
# slowest speed in m/s, share of the quickest around it, whether a foot that hangs in the air still moves
_STEP_SPEEDS: Final = ((0.2, 0.0, True), (0.3, 0.3, True), (0.3, 0.4, False))
_LANDED: Final = 0.35
_MARCHING: Final = 2
_HANGING_M: Final = 0.07
_AIRBORNE_M, _DOWN_M, _RISE_M = 0.04, 0.07, 0.03
_LANDING_S: Final = 0.15
_WIDE_M: Final = 0.12
_SWING_M: Final = 0.06
_IN_TURN: Final = 1.5


def cycles_of(signals: Signals, field: str, action: str, frames: slice) -> Range:
    """How many cycles of a to and fro there are: the fewest and the most that one may count."""
    if action == "circle":
        return _turns(signals, field, frames)
    if action == "wave":
        high = signals.values[field, "up"][frames] > _LOW_HAND_M
        if (high & (signals.values[field, "over_elbow"][frames] > 0)).sum() < _WAVING_S * signals.fps:
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
    own = _moves(signals, side, frames)
    other = _moves(signals, "right" if side == "left" else "left", frames)
    marches = min(max(map(len, own)), max(map(len, other))) >= _MARCHING
    counts = [sum(marches or is_step for _, _, is_step in moves) for moves in own]
    return min(counts), max(counts)


def step_frames(signals: Signals, side: str) -> list[tuple[int, int]]:
    """Frames of every movement of a foot that may be a step."""
    return [(a, b) for a, b, _ in _moves(signals, side, slice(0, signals.num_frames))[0]]


def _moves(signals: Signals, side: str, frames: slice) -> list[list[tuple[int, int, bool]]]:
    """Movements of a foot and whether they are steps, by several thresholds of speed."""
    foot = signals.feet[side][frames]
    if len(foot) < 3:
        return [[]]
    speed = np.zeros(len(foot))
    speed[1:] = np.sqrt((np.diff(foot, axis=0) ** 2).sum(-1).max(axis=1)) * signals.fps
    around = maximum_filter1d(speed, 2 * int(0.5 * signals.fps) + 1)
    height = foot[..., UP].mean(axis=1)
    lifted = height > height.min() + _HANGING_M
    found = []
    for least, share, hanging in _STEP_SPEEDS:
        moving = speed > np.maximum(least, share * around)
        found.append(_stepping(foot, spans(moving | lifted if hanging else moving)))
    return found


def _stepping(foot: Array, moves: list[tuple[int, int]]) -> list[tuple[int, int, bool]]:
    """Which of the movements of a foot (T, 2, 3) go anywhere, and whether it lands elsewhere."""
    found = []
    for a, b in moves:
        path = foot[max(0, a - 1) : b + 1]
        away = np.abs(path - path[0])
        far, landed = float(away[:, :, GROUND].max()), float(away[-1][:, GROUND].max())
        if far >= _STEP_M or float(away[..., UP].max()) >= _STEP_UP_M:
            found.append((a, b, landed >= max(_STEP_M, _LANDED * far)))
    return found


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
            own_lands = own[after] < other[after] or own[before] < other[before]
            count += bool(own_lands and min(other[before], other[after]) > _AIRBORNE_M)
        else:
            count += bool(
                max(left[before], right[before]) < _DOWN_M or max(left[after], right[after]) < _DOWN_M
            )
    return count


# limbs together --------------------------------------------------------------------------------------------


def in_time(signals: Signals, field: str, frames: slice) -> tuple[float, float]:
    """How far two limbs swing alike, at least and at most: 1 together, -1 in turn; 0, 0 where they do not."""
    first, second = field.split("__")
    found = []
    for channel in ("forward", "height", "up", "out"):
        x, y = (signals.values.get((limb, channel)) for limb in (first, second))
        if x is None or y is None or min(np.ptp(x[frames]), np.ptp(y[frames])) < _SWING_M:
            continue
        found.append(float(np.corrcoef(x[frames], y[frames])[0, 1]))
    return (min(found), max(found)) if found else (0.0, 0.0)


def least_cycles(signals: Signals, field: str, frames: slice) -> float:
    """How many cycles the one of two limbs goes to and fro that does so less."""
    return min(_cycles_of_limb(signals, limb, frames) for limb in field.split("__"))


def _cycles_of_limb(signals: Signals, limb: str, frames: slice) -> float:
    if limb.endswith("leg"):
        steps = steps_of(signals, limb.split("_")[0], frames)[1]
        if steps >= _IN_TURN:
            return steps
    channels = ("forward", "height", "up", "out")
    seen = [signals.values[limb, c][frames] for c in channels if (limb, c) in signals.values]
    return max((len(turning_points(x, _SWING_M)) - 1) / 2 for x in seen)
