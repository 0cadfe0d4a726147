"""What two groups did relative to each other: nearer, apart, above, in front, crossing, together, in turn."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.differences.feet import Footwork
from kinmo_annotate.differences.swings import cycles, overlap, swings
from kinmo_annotate.schema.records import Event
from kinmo_annotate.schema.skeleton import PAIRS, pair_name
from kinmo_annotate.schema.vocabulary import action_of
from kinmo_annotate.signals import Signals

Array = NDArray[np.float64]

_CYCLIC: Final = frozenset({"step", "swing", "wave", "circle"})
_LIMBS: Final = ("arm", "leg")
_LONGEST_HALF_S: Final = 0.8
# Two limbs do something at the same time when they share this much of the longer one's.
_SAME_TIME: Final = 0.45
# A walking leg opens and closes the hip by less than this.
_GAIT_DEG: Final = 50.0


def pair_events(signals: Signals, groups: dict[str, list[Event]], feet: Footwork) -> list[Event]:
    """Find what each of the 15 pairs did.

    Args:
        signals: measured signals.
        groups: what each group did on its own; together and alternate are read from it.
        feet: the steps, which tell whether the legs take turns.
    """
    events: list[Event] = []
    for a, b in PAIRS:
        field = pair_name(a, b)
        rhythm = (
            _rhythm(signals, field, groups[a], groups[b]) if a.endswith(_LIMBS) and b.endswith(_LIMBS) else []
        )
        if (a, b) == ("left_leg", "right_leg"):
            rhythm += _strides(signals, feet)
        told = [e for e in rhythm if e.action == "alternate"]
        moves = [*_distance(signals, field), *_relations(signals, field)]
        if (field, "angle") in signals.values:
            moves += [e for e in _angle(signals, field) if not _is_gait(signals, e, b, feet)]
        events += rhythm + [e for e in moves if not _is_part_of(e, told)]
    return events


def _is_part_of(event: Event, rhythm: list[Event]) -> bool:
    """Limbs that alternate pass and near each other at every cycle: the rhythm says it all."""
    length = max(event.end_s - event.start_s, 1e-9)
    return any(min(event.end_s, r.end_s) - max(event.start_s, r.start_s) > 0.6 * length for r in rhythm)


def _seconds(
    signals: Signals, field: str, action: str, a: int, b: int, amount: float, count: int = 1
) -> Event:
    return Event(field, action, a / signals.fps, b / signals.fps, count, amount)


def _two_way(signals: Signals, field: str, channel: str, names: tuple[str, str]) -> list[Event]:
    """Swings of a signal named by direction; regular to and fro becomes a counted event of each direction."""
    x = signals.values[field, channel]
    notable = action_of(field, names[0]).notable
    repeats = cycles(x, notable, _LONGEST_HALF_S * signals.fps)
    events = [
        _seconds(signals, field, name, c.start, c.end, c.amplitude, c.count)
        for c in repeats
        for name in names
    ]
    for s in swings(x, notable):
        if all(overlap((s.start, s.end), (c.start, c.end)) < 0.6 * s.frames for c in repeats):
            name = names[0] if s.delta > 0 else names[1]
            events.append(_seconds(signals, field, name, s.start, s.end, abs(s.delta)))
    return events


def _distance(signals: Signals, field: str) -> list[Event]:
    return _two_way(signals, field, "distance", ("part", "approach"))


def _angle(signals: Signals, field: str) -> list[Event]:
    return _two_way(signals, field, "angle", ("open", "close"))


def _relations(signals: Signals, field: str) -> list[Event]:
    """Changes of order along the body's axes: b minus a changes its sign, by the margin on both sides."""
    a, b = field.split("__")
    events = _flips(signals, field, "up", ("below", "above"))
    events += _flips(signals, field, "forward", ("behind", "in_front"))
    if {a.split("_")[0], b.split("_")[0]} == {"left", "right"}:
        events += _flips(signals, field, "left", ("cross", "cross"))
    return events


def _flips(signals: Signals, field: str, channel: str, names: tuple[str, str]) -> list[Event]:
    """Name the changes of sign of b - a: `names` are a's new place when it becomes positive, negative."""
    x = signals.values[field, channel]
    margin = action_of(field, names[0]).notable
    sign = np.where(x > margin, 1, np.where(x < -margin, -1, 0))
    settled = np.flatnonzero(sign)
    events = []
    changes = [k for k, (i, j) in enumerate(pairwise(settled)) if sign[i] != sign[j]]
    for k, before, after in zip(changes, [-1, *changes], [*changes[1:], len(settled) - 1], strict=False):
        i, j = int(settled[k]), int(settled[k + 1])
        was, became = x[settled[before + 1 : k + 1]], x[settled[k + 1 : after + 1]]
        amount = float(min(np.abs(was).max(), np.abs(became).max()))
        events.append(_seconds(signals, field, names[0] if sign[j] > 0 else names[1], i, j, amount))
    return _merged(events)


def _merged(events: list[Event]) -> list[Event]:
    """Order that flips to and fro with every step or wave is told once for each direction, with its count."""
    if len(events) < 4:
        return events
    merged = []
    for name in dict.fromkeys(e.action for e in events):
        same = [e for e in events if e.action == name]
        amount = max(e.amount for e in same)
        merged.append(Event(same[0].field, name, events[0].start_s, events[-1].end_s, len(same), amount))
    return merged


def _rhythm(signals: Signals, field: str, first: list[Event], second: list[Event]) -> list[Event]:
    """Limbs that move at the same time: in phase (together) or in opposition (alternate)."""
    events = []
    for a in first:
        for b in second:
            span = max(a.start_s, b.start_s), min(a.end_s, b.end_s)
            shared = span[1] - span[0]
            if shared < _SAME_TIME * max(a.end_s - a.start_s, b.end_s - b.start_s) or shared <= 0:
                continue
            if a.action == b.action == "step":
                continue
            if a.action in _CYCLIC and b.action in _CYCLIC and min(a.count, b.count) >= 2:
                name = _phase(signals, field, span)
                if name:
                    events.append(Event(field, name, *span, min(a.count, b.count), min(a.count, b.count)))
            elif a.action == b.action and (a.action not in _CYCLIC):
                events.append(Event(field, "together", *span, min(a.count, b.count), 1.0))
    return _one_of_each(_joined(events))


def _strides(signals: Signals, feet: Footwork) -> list[Event]:
    """Legs that take turns: bouts in which most steps are followed by one of the other foot."""
    steps = sorted((s.start, s.end, side) for side in feet.steps for s in feet.steps[side])
    events = []
    for bout in _bouts(steps, int(1.2 * signals.fps)):
        turns = sum(x[2] != y[2] for x, y in pairwise(bout))
        sides = [side for _, _, side in bout]
        count = min(sides.count("left"), sides.count("right"))
        if count >= 2 and turns >= 0.7 * (len(bout) - 1):
            end = max(b for _, b, _ in bout)
            events.append(
                _seconds(signals, "left_leg__right_leg", "alternate", bout[0][0], end, count, count)
            )
    return events


def _bouts(steps: list[tuple[int, int, str]], gap: int) -> list[list[tuple[int, int, str]]]:
    bouts: list[list[tuple[int, int, str]]] = []
    for step in steps:
        if bouts and step[0] - bouts[-1][-1][1] <= gap:
            bouts[-1].append(step)
        else:
            bouts.append([step])
    return bouts


def _is_gait(signals: Signals, event: Event, limb: str, feet: Footwork) -> bool:
    """Tell whether a hip opens and closes only because its leg steps or jumps."""
    if not limb.endswith("leg"):
        return False
    side = limb.split("_")[0]
    busy = feet.bouts(signals.num_frames, int(1.2 * signals.fps), (side,)) & (event.amount < _GAIT_DEG)
    for flight in feet.jumps + feet.hops[side]:
        busy[max(0, flight.start - int(0.5 * signals.fps)) : flight.end + int(0.5 * signals.fps)] = True
    return busy[round(event.start_s * signals.fps) : round(event.end_s * signals.fps) + 1].mean() > 0.5


def _joined(events: list[Event]) -> list[Event]:
    """Limbs that do one thing together and then the next go on moving together."""
    alike = [e for e in events if e.action == "together"]
    if len(alike) < 2:
        return events
    start, end = min(e.start_s for e in alike), max(e.end_s for e in alike)
    whole = Event(alike[0].field, "together", start, end, 1, 1.0)
    return [e for e in events if e.action != "together"] + [whole]


def _phase(signals: Signals, field: str, span: tuple[float, float]) -> str | None:
    """Compare the two limbs' swings fore and aft, or up and down where that is still, by correlation."""
    frames = slice(round(span[0] * signals.fps), round(span[1] * signals.fps) + 1)
    x, y = (_swing_of(signals, limb, frames) for limb in field.split("__"))
    if min(np.ptp(x), np.ptp(y)) < 0.08 or len(x) < 4:
        return None
    r = float(np.corrcoef(x, y)[0, 1])
    if abs(r) < 0.4:
        return None
    return "together" if r > 0 else "alternate"


def _swing_of(signals: Signals, limb: str, frames: slice) -> Array:
    """The signal that a limb swings in; a marching leg goes up where a walking one goes forward."""
    forward = signals.values[limb, "forward"][frames]
    other = signals.values[limb, "height" if limb.endswith("leg") else "out"][frames]
    return forward if np.ptp(forward) >= 0.6 * np.ptp(other) else other


def _one_of_each(events: list[Event]) -> list[Event]:
    """Keep one event for overlapping ones of the same name: arms that rise and bend together do one thing."""
    kept: list[Event] = []
    for e in sorted(events, key=lambda e: (-(e.end_s - e.start_s), e.start_s)):
        if not any(k.action == e.action and k.start_s < e.end_s and e.start_s < k.end_s for k in kept):
            kept.append(e)
    return kept
