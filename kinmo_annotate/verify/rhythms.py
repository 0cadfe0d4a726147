"""What is counted: cycles of a signal, steps, jumps and hops, and how two limbs keep time with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np

from kinmo_annotate.differences.swings import spans
from kinmo_annotate.schema.skeleton import UP
from kinmo_annotate.schema.vocabulary import ACTIONS, field_kind
from kinmo_annotate.signals import Array, Signals
from kinmo_annotate.verify.evidence import Evidence, FootMove
from kinmo_annotate.verify.moves import shaped

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
_SHARES: Final = (1.0, 0.7, 1.3)
_OFF: Final = 0.25
_LOW_HAND_M: Final = -0.3
_WAVING_S: Final = 0.4
_SIDEWAYS_M, _SIDEWAYS_SHARE = 0.07, 0.4
_MARCHING: Final = 2
# A movement that has only just begun where the time that is said ends is told of by some, not by others.
_BEGUN: Final = 8
_AIRBORNE_M, _DOWN_M, _RISE_M = 0.04, 0.07, 0.03
_LANDING_S: Final = 0.15
_WIDE_M: Final = 0.12
_SWING_M, _SWING_M_S, _CLEARLY_M_S = 0.06, 0.05, 0.3
# the signals that two limbs swing in
_SWINGING: Final = {
    ("arm", "arm"): (("forward", 1.5), ("up", 1.0), ("out", 1.0)),
    ("leg", "leg"): (("forward", 1.5), ("height", 1.0), ("out", 1.0)),
}
_MIXED: Final = (("forward", 1.5), ("out", 1.0))


class Tally:
    """Counts that one may arrive at, from what is plain to what is small; taken only until one fits.

    A count that is said fits where it is at most one off, or a quarter, or lies between two counts.
    """

    def __init__(self, counts: Iterable[float]) -> None:
        self.rest = iter(counts)
        self.seen: list[float] = []

    def reaches(self, least: float) -> bool:
        """Tell whether any count is at least so high."""
        return self._until(lambda: self.seen[-1] >= least)

    def fits(self, said: int, least: float) -> bool:
        """Tell whether so many fit, and at least `least`; a negative number says more than once."""
        if said < 0:
            return self.reaches(1.5)
        return self._until(lambda: max(self.seen) >= least and self._covers(said))

    def _covers(self, said: int) -> bool:
        low, high = min(self.seen), max(self.seen)
        return low - max(1.0, _OFF * low) <= said <= high + max(1.0, _OFF * high)

    def _until(self, true: Callable[[], bool]) -> bool:
        for count in self.rest:
            self.seen.append(max(0.0, count))
            if true():
                return True
        return False

    def __str__(self) -> str:
        if not self.seen:
            return "0"
        low, high = min(self.seen), max(self.seen)
        return f"{low:.0f}" if round(low) == round(high) else f"{low:.0f} to {high:.0f}"


def cycles_of(signals: Signals, field: str, action: str, frames: slice) -> Iterator[float]:
    """How many cycles of a to and fro there are, by each signal and size that one may count by."""
    if action == "circle":
        yield from _turns(signals, field, frames)
        return
    if action == "wave" and not _is_up_and_sideways(signals, field, frames):
        return
    seen = [(_extremes(signals.values[field, channel][frames]), least) for channel, least in _CYCLES[action]]
    for share in _SHARES:
        for extremes, least in seen:
            yield sum(_swings(extremes, share * least)) / 2


def _is_up_and_sideways(signals: Signals, field: str, frames: slice) -> bool:
    """Tell a wave from a punch and from hanging hands: the hand is up, and goes from side to side as well."""
    up, over, out, forward = (
        signals.values[field, name][frames] for name in ("up", "over_elbow", "out", "forward")
    )
    high = (up > _LOW_HAND_M) & (over > 0)
    if high.sum() < _WAVING_S * signals.fps:
        return False
    sideways = float(np.ptp(out[high]))
    return sideways >= max(_SIDEWAYS_M, _SIDEWAYS_SHARE * float(np.ptp(forward[high])))


def _turns(signals: Signals, field: str, frames: slice) -> Iterator[float]:
    """Full turns of the wrist about the shoulder, from the side and from the front."""
    up = signals.values[field, "up"][frames]
    for other in ("forward", "out"):
        across = signals.values[field, other][frames]
        angle = np.unwrap(np.arctan2(up, across))
        moving = np.hypot(up, across) > _WIDE_M
        yield float(np.ptp(np.cumsum(np.diff(angle, prepend=angle[:1]) * moving))) / (2 * np.pi)


def repeats_of(signals: Signals, field: str, action: str, frames: slice) -> Iterator[float]:
    """How often a field goes in a direction, by each size that one may count by."""
    notable = ACTIONS[field_kind(field), action].notable
    for x in shaped(signals, field, action, frames):
        extremes = _extremes(x)
        for share in _SHARES:
            yield _swings(extremes, share * notable)[0]


def _extremes(x: Array) -> list[float]:
    """The values of a signal (T,) where it turns, and its first and last."""
    step = x[1:] - x[:-1]
    turns = (step[1:] * step[:-1] <= 0).nonzero()[0] + 1
    return [float(x[0]), *x[turns].tolist(), float(x[-1])]


def _swings(extremes: list[float], least: float) -> tuple[int, int]:
    """How often values rise, and fall, by at least so much without turning back that much."""
    low = high = extremes[0]
    rises = falls = way = 0
    for value in extremes:
        if way > 0 and value > high:
            high = value
        elif way < 0 and value < low:
            low = value
        elif way <= 0 and value - low >= least:
            rises, way, high = rises + 1, 1, value
        elif way >= 0 and high - value >= least:
            falls, way, low = falls + 1, -1, value
        elif way == 0:
            low, high = min(low, value), max(high, value)
    return rises, falls


def passings(x: Array, margin: float) -> list[tuple[int, int]]:
    """Frames at which a signal (T,) goes from below zero to above it, by so much on either side."""
    settled = np.flatnonzero(np.abs(x) > margin)
    passes = np.flatnonzero((x[settled[:-1]] < 0) & (x[settled[1:]] > 0))
    return [(int(settled[i]), int(settled[i + 1])) for i in passes]


def passes_of(x: Array, notable: float) -> Iterator[float]:
    """How often a signal (T,) comes to be above zero, by each margin that one may count by."""
    extremes = _extremes(x)
    for share in _SHARES:
        margin, side, passes = share * notable, 0, 0
        for value in extremes:
            if value > margin:
                passes += side < 0
                side = 1
            elif value < -margin:
                side = -1
        yield passes


# feet ------------------------------------------------------------------------------------------------------


def steps_of(evidence: Evidence, side: str, frames: slice, *, any_at_all: bool) -> Iterator[float]:
    """How many steps a foot takes, by each threshold of speed, begun ones counted or not.

    Thresholds that take a kick for two movements are left out where one asks for `any_at_all`.
    """
    other = evidence.feet["right" if side == "left" else "left"]
    marches = min(_most(evidence.feet[side], frames), _most(other, frames)) >= _MARCHING
    for moves in evidence.feet[side][: 2 if any_at_all else None]:
        yield _count(moves, frames, marches)
    if any_at_all:
        return
    inner = slice(frames.start + _BEGUN, frames.stop - _BEGUN)
    for moves in evidence.feet[side]:
        yield _count(moves, inner, marches)


def _count(moves: list[FootMove], frames: slice, anywhere: bool) -> int:
    """Movements of a foot in some frames; those alone that land elsewhere, or all of them."""
    first, after, count = frames.start, frames.stop, 0
    for start, end, lands_elsewhere in moves:
        if start < after and end >= first and (anywhere or lands_elsewhere):
            count += 1
    return count


def _most(found: list[list[FootMove]], frames: slice) -> int:
    return max(_count(moves, frames, True) for moves in found)


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


def in_time(signals: Signals, field: str, frames: slice) -> float | None:
    """How far two limbs swing alike: 1 together, -1 in turn; None where they share no swing.

    Told by the signal that both swing in most, the forward one before others.
    """
    first, second = field.split("__")
    best, told = _SWING_M_S, None
    for channel, weight in _SWINGING.get((first[-3:], second[-3:]), _MIXED):
        # by their speeds, in which a slow raise of both arms does not hide that they swing in turn
        x, y = signals.values[first, channel][frames], signals.values[second, channel][frames]
        x, y = x[1:] - x[:-1], y[1:] - y[:-1]
        size_x, size_y = float(x @ x), float(y @ y)
        size = weight * signals.fps * (min(size_x, size_y) / len(x)) ** 0.5
        if size > best:
            best, told = size, float(x @ y) / (size_x * size_y) ** 0.5
        if best > _CLEARLY_M_S:
            break
    return told


def least_cycles(evidence: Evidence, field: str, frames: slice) -> float:
    """How many cycles the one of two limbs goes to and fro that does so less; more than two need no count."""
    return min(_cycles_of_limb(evidence, limb, frames) for limb in field.split("__"))


def take_turns(evidence: Evidence, frames: slice) -> bool:
    """Tell whether both feet step at least twice."""
    return all(_count(evidence.feet[side][0], frames, False) >= _MARCHING for side in ("left", "right"))


def _cycles_of_limb(evidence: Evidence, limb: str, frames: slice) -> float:
    most = 0.0
    if limb.endswith("leg"):
        most = _most(evidence.feet[limb.split("_")[0]], frames)
    for channel, _ in _SWINGING[limb[-3:], limb[-3:]]:
        if most >= 2:
            break
        extremes = _extremes(evidence.signals.values[limb, channel][frames])
        most = max(most, sum(_swings(extremes, _SWING_M)) / 2)
    return most
