"""What the torso and the neck did: bends, leans, twists, turns, travel, height, jumps, nods."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.differences.feet import Flight, Footwork
from kinmo_annotate.differences.swings import Cycle, Swing, cycles, overlap, swings
from kinmo_annotate.schema.records import Event
from kinmo_annotate.schema.vocabulary import action_of
from kinmo_annotate.signals import Signals

Array = NDArray[np.float64]

_SWAY_DEG, _NOD_DEG = 8.0, 9.0
_LONGEST_SWAY_S, _LONGEST_NOD_S = 1.3, 0.8
# A head that comes down five degrees a second drifts; nobody would say that it nods or looks down.
_SLOWEST_HEAD_DEG_S = 8.0
_LONGEST_TWIST_S = 1.0
# Travel along the second axis is a drift, not a direction, when the first is this many times larger.
_DRIFT = 0.22


def torso_events(signals: Signals, feet: Footwork) -> list[Event]:
    """Find everything said of the torso, the whole body's travel, turns and height included.

    Args:
        signals: measured signals.
        feet: steps and jumps; twists that only accompany steps are part of the gait.
    """
    sways = cycles(signals.values["torso", "roll"], _SWAY_DEG, _LONGEST_SWAY_S * signals.fps)
    tilts = [
        *_tilts(signals, "torso", "pitch", ("bend_forward", "bend_backward"), []),
        *_tilts(signals, "torso", "roll", ("lean_left", "lean_right"), sways),
    ]
    return [
        *_one_straightening(tilts),
        *(_cyclic(signals, "torso", "sway", c) for c in sways),
        *_twists(signals, feet),
        *_signed(signals, "torso", "heading", ("turn_left", "turn_right")),
        *_travel(signals),
        *_height(signals, feet),
    ]


def neck_events(signals: Signals) -> list[Event]:
    """Find what the head did relative to the trunk; its yaw cannot be seen in 22 joint positions."""
    pitch = signals.values["neck", "pitch"]
    nods = cycles(pitch, _NOD_DEG, _LONGEST_NOD_S * signals.fps)
    moves = [
        *_own(signals, "pitch", _signed(signals, "neck", "pitch", ("lower", "raise"), nods)),
        *_own(signals, "roll", _tilts(signals, "neck", "roll", ("tilt_left", "tilt_right"), [])),
    ]
    quick = [e for e in moves if e.amount >= _SLOWEST_HEAD_DEG_S * (e.end_s - e.start_s)]
    return [*(_cyclic(signals, "neck", "nod", c) for c in nods), *quick]


def _own(signals: Signals, channel: str, events: list[Event]) -> list[Event]:
    """Leave out what only the trunk does: a head that stays upright over a swaying trunk does not tilt."""
    kept = []
    for e in events:
        a, b = round(e.start_s * signals.fps), round(e.end_s * signals.fps)
        against_trunk, upright = (
            signals.values["neck", name][b] - signals.values["neck", name][a]
            for name in (channel, f"upright_{channel}")
        )
        if against_trunk * upright > 0 and abs(upright) >= 0.5 * e.amount:
            kept.append(e)
    return kept


def _event(signals: Signals, field: str, action: str, swing: Swing) -> Event:
    return Event(field, action, swing.start / signals.fps, swing.end / signals.fps, 1, abs(swing.delta))


def _cyclic(signals: Signals, field: str, action: str, cycle: Cycle) -> Event:
    return Event(
        field, action, cycle.start / signals.fps, cycle.end / signals.fps, cycle.count, cycle.amplitude
    )


def _free(swing: Swing, taken: list[Cycle]) -> bool:
    """Tell whether a swing lies mostly outside the cycles that are already told."""
    return all(overlap((swing.start, swing.end), (c.start, c.end)) < 0.6 * swing.frames for c in taken)


def _signed(
    signals: Signals, field: str, channel: str, names: tuple[str, str], taken: list[Cycle] | None = None
) -> list[Event]:
    """Name each swing by its direction: `names` are those of a rising and of a falling signal."""
    x = signals.values[field, channel]
    found = [s for s in swings(x, action_of(field, names[0]).notable) if _free(s, taken or [])]
    return [_event(signals, field, names[0] if s.delta > 0 else names[1], s) for s in found]


def _tilts(
    signals: Signals, field: str, channel: str, names: tuple[str, str], taken: list[Cycle]
) -> list[Event]:
    """Name each swing of an angle away from upright by its side, and one back to it "straighten"."""
    x = signals.values[field, channel]
    notable = action_of(field, names[0]).notable
    events = []
    for s in swings(x, notable):
        if not _free(s, taken):
            continue
        before, after = float(x[s.start]), float(x[s.end])
        away = abs(after) > abs(before) or abs(after) > notable
        same_side = names[0] if after > 0 else names[1]
        toward_side = (after - before) * after > 0
        events.append(_event(signals, field, same_side if away and toward_side else "straighten", s))
    return events


def _one_straightening(events: list[Event]) -> list[Event]:
    """A trunk that comes up from a bend and a lean at once straightens once."""
    kept: list[Event] = []
    for e in sorted(events, key=lambda e: -e.amount):
        same = [k for k in kept if k.action == e.action == "straighten"]
        if not any(k.start_s < e.end_s and e.start_s < k.end_s for k in same):
            kept.append(e)
    return kept


def _twists(signals: Signals, feet: Footwork) -> list[Event]:
    """Twists to one side or the other; to and fro in place they are counted, with steps left to the gait."""
    names = ("twist_left", "twist_right")
    notable = action_of("torso", names[0]).notable
    repeats = cycles(signals.values["torso", "twist"], notable, _LONGEST_TWIST_S * signals.fps)
    single = _signed(signals, "torso", "twist", names, repeats)
    walking = feet.bouts(signals.num_frames, int(0.8 * signals.fps))
    standing = [c for c in repeats if walking[c.start : c.end].mean() < 0.5]
    return single + [_cyclic(signals, "torso", n, c) for c in standing for n in names]


def _travel(signals: Signals) -> list[Event]:
    forward = _signed(signals, "torso", "forward", ("move_forward", "move_backward"))
    sideways = _signed(signals, "torso", "left", ("move_left", "move_right"))
    return [
        *(e for e in forward if not _is_drift(e, sideways)),
        *(e for e in sideways if not _is_drift(e, forward)),
    ]


def _is_drift(event: Event, others: list[Event]) -> bool:
    """Tell whether a travel is only the small share of a much longer one at the same time."""
    during = [o for o in others if o.start_s < event.end_s and event.start_s < o.end_s]
    return sum(o.amount for o in during) * _DRIFT > event.amount


def _height(signals: Signals, feet: Footwork) -> list[Event]:
    """Sinking and rising; what belongs to a jump or a hop is told as that."""
    events = _signed(signals, "torso", "height", ("rise", "sink"))
    spans = [
        (j.start / signals.fps - 0.3, j.end / signals.fps + 0.3)
        for j in feet.jumps + feet.hops["left"] + feet.hops["right"]
    ]
    kept = [e for e in events if not any(e.start_s < b and a < e.end_s for a, b in spans)]
    return kept + _jumps(signals, feet.jumps)


def _jumps(signals: Signals, jumps: list[Flight]) -> list[Event]:
    """Consecutive jumps become one event with a count."""
    events: list[Event] = []
    for jump in jumps:
        start, end = jump.start / signals.fps, jump.end / signals.fps
        if events and start - events[-1].end_s < 1.0:
            last = events.pop()
            events.append(
                Event("torso", "jump", last.start_s, end, last.count + 1, max(last.amount, jump.rise))
            )
        else:
            events.append(Event("torso", "jump", start, end, 1, jump.rise))
    return events
