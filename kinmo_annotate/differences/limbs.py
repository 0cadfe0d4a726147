"""What an arm or a leg did, in phases: one purposeful movement of the limb, named by all its net changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing

from kinmo_annotate.differences.feet import Footwork
from kinmo_annotate.differences.swings import Cycle, Swing, cycles, overlap, spans, swings
from kinmo_annotate.schema.records import Event
from kinmo_annotate.schema.vocabulary import action_of, field_kind
from kinmo_annotate.signals import Signals

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# channel -> (action of a rising signal, action of a falling one), the most telling channel first
_CHANNELS: Final = {
    "arm": {
        "up": ("raise", "lower"),
        "forward": ("reach_forward", "pull_back"),
        "out": ("move_out", "move_in"),
        "flexion": ("bend", "straighten"),
    },
    "leg": {
        "height": ("lift", "lower"),
        "forward": ("swing_forward", "swing_back"),
        "out": ("move_out", "move_in"),
        "flexion": ("bend", "straighten"),
    },
}
_CYCLE_M: Final = {"up": 0.10, "forward": 0.13, "out": 0.10}
_CYCLE_DEG: Final = 25.0
_LONGEST_HALF_S: Final = 0.8
# A hand this little below its shoulder, and above its elbow, is raised: it waves where a low one swings.
_RAISED_M: Final = -0.25
# A waving hand stands well over its elbow; hands that clap are hardly higher.
_FOREARM_UP_M: Final = 0.1
# A wide wave dips below that for a moment.
_DIP_S: Final = 0.5
# Swings this many times larger than notable are told even where they leave no net change.
_LARGE_BEND: Final = 1.5
_LARGE_SWING: Final = 1.6
# Slower than this a limb drifts; nobody would say that it moves.
_SLOWEST_M_S: Final = 0.1
_SLOWEST_DEG_S: Final = 14.0
_CIRCLE_RADIUS_M: Final = 0.18
_FULL_CIRCLE_DEG: Final = 310.0
# A movement that leads into to and fro, or out of it, comes this near its beginning or end.
_EDGE_FRAMES: Final = 6
_SLOWEST_CIRCLE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class _Repeat:
    """A cyclic movement of a limb, in one channel."""

    channel: str
    cycle: Cycle


@dataclass(frozen=True, slots=True)
class _Told:
    """Frames that are told already, by cycles of one channel; no channel: whatever the limb did then."""

    start: int
    end: int
    channel: str = ""


def arm_events(signals: Signals, field: str, feet: Footwork) -> list[Event]:
    """Find what an arm did: circles, then swings and waves, then single movements."""
    circles = _circles(signals, field)
    round_spans = [(c.start, c.end) for c in circles]
    walking = feet.bouts(signals.num_frames, int(0.8 * signals.fps))
    repeats = [r for r in _repeats(signals, field, walking) if _outside(r.cycle, round_spans)]
    told = [_Told(c.start, c.end, "up") for c in circles]
    told += [_Told(r.cycle.start, r.cycle.end, r.channel) for r in repeats]
    named = [e for r in repeats for e in _name_repeat(signals, field, r, walking)]
    return [
        *(
            Event(field, "circle", c.start / signals.fps, c.end / signals.fps, c.count, c.amplitude)
            for c in circles
        ),
        *named,
        *_phases(signals, field, told),
    ]


def leg_events(signals: Signals, field: str, feet: Footwork) -> list[Event]:
    """Find what a leg did: steps, hops and jumps first, then what it did while it took none."""
    side = field.split("_")[0]
    fps = signals.fps
    own = feet.bouts(signals.num_frames, int(1.2 * fps), (side,))
    busy = [(max(0, a - int(0.4 * fps)), b + int(0.4 * fps)) for a, b in spans(own)]
    flights = feet.jumps + feet.hops["left"] + feet.hops["right"]
    told = [_Told(a, b) for a, b in busy]
    told += [_Told(max(0, f.start - int(0.5 * fps)), f.end + int(0.5 * fps)) for f in flights]
    counted = [
        *_counted(field, "step", [(s.start, s.end) for s in feet.steps[side]], fps),
        *_counted(field, "jump", [(f.start, f.end) for f in feet.jumps], fps),
        *_counted(field, "hop", [(f.start, f.end) for f in feet.hops[side]], fps),
    ]
    return counted + [e for e in _phases(signals, field, told) if _own_movement(signals, side, e)]


def _counted(field: str, action: str, spans: list[tuple[int, int]], fps: float) -> list[Event]:
    """One event for each bout: spans that follow one another within 1.2 s are counted together."""
    events: list[Event] = []
    for a, b in sorted(spans):
        if events and a / fps - events[-1].end_s < 1.2:
            last = events.pop()
            events.append(Event(field, action, last.start_s, b / fps, last.count + 1, last.count + 1.0))
        else:
            events.append(Event(field, action, a / fps, b / fps, 1, 1.0))
    return events


def _own_movement(signals: Signals, side: str, event: Event) -> bool:
    """A planted foot does not swing: when the hips move over it, its change of place is their doing."""
    if event.action not in ("swing_forward", "swing_back", "move_out", "move_in"):
        return True
    a, b = round(event.start_s * signals.fps), round(event.end_s * signals.fps)
    path = signals.feet[side][a : b + 1].mean(axis=1)
    return float(np.linalg.norm(path - path[0], axis=-1).max()) >= 0.6 * event.amount


def _notable(field: str, channel: str) -> float:
    return action_of(field, _CHANNELS[field_kind(field)][channel][0]).notable


def _outside(part: Swing | Cycle, told: list[tuple[int, int]], share: float = 0.5) -> bool:
    return all(overlap((part.start, part.end), span) <= share * (part.end - part.start) for span in told)


def _phases(signals: Signals, field: str, told: list[_Told]) -> list[Event]:
    """Single movements outside the spans already told.

    The largest swing of any channel opens a phase; swings that mostly lie inside a phase only colour it, and
    each channel is then judged by its net change over the phase: an arm that goes up past the side and over
    the head rises, and its way out and in again is not told as two movements.
    """
    found = [
        (abs(s.delta) / _notable(field, channel), channel, s)
        for channel in _CHANNELS[field_kind(field)]
        for s in swings(signals.values[field, channel], _notable(field, channel))
        if _is_new(signals.values[field, channel], s, told, channel)
    ]
    phases: list[Swing] = []
    events: list[Event] = []
    for _, _, swing in sorted(found, key=lambda item: -item[0]):
        inside = sum(overlap((swing.start, swing.end), (p.start, p.end)) for p in phases)
        if inside < 0.5 * swing.frames:
            phases.append(swing)
            events += [e for e in _name_phase(signals, field, swing) if not _said(e, events)]
    return events + _within(signals, field, found, events)


def _within(
    signals: Signals, field: str, found: list[tuple[float, str, Swing]], events: list[Event]
) -> list[Event]:
    """Large swings that left no net change in their phase: an elbow that bends and straightens in a punch."""
    names = _CHANNELS[field_kind(field)]
    extra: list[Event] = []
    for size, channel, swing in found:
        own = _net_change(signals, field, channel, swing) != 0
        if size < (_LARGE_BEND if channel == "flexion" else _LARGE_SWING) or not own:
            continue
        action = names[channel][0 if swing.delta > 0 else 1]
        start, end = swing.start / signals.fps, swing.end / signals.fps
        event = Event(field, action, start, end, 1, abs(swing.delta))
        if not _said(event, events + extra):
            extra.append(event)
    return extra


def _is_new(x: Array, swing: Swing, told: list[_Told], channel: str) -> bool:
    """Tell whether a swing lies outside the spans that are told already, or leads into one of them."""
    return _outside(swing, [(t.start, t.end) for t in told if not _leads_in(x, swing, t, channel)])


def _leads_in(x: Array, swing: Swing, span: _Told, channel: str) -> bool:
    """Tell whether a swing is far larger than the to and fro it overlaps: the raise before a wave."""
    inside = swing.start > span.start + _EDGE_FRAMES and swing.end < span.end - _EDGE_FRAMES
    if span.channel in ("", channel) or inside:
        return False
    low, high = np.percentile(x[span.start : span.end + 1], (25, 75))
    return abs(swing.delta) > 1.7 * (high - low)


def _said(event: Event, events: list[Event]) -> bool:
    """Tell whether the same is said already of a time that shares half of the shorter of the two."""
    for e in events:
        shared = min(e.end_s, event.end_s) - max(e.start_s, event.start_s)
        if e.action == event.action and shared > 0.4 * min(e.end_s - e.start_s, event.end_s - event.start_s):
            return True
    return False


def _name_phase(signals: Signals, field: str, phase: Swing) -> list[Event]:
    events = []
    for channel, names in _CHANNELS[field_kind(field)].items():
        net = _net_change(signals, field, channel, phase)
        seconds = (phase.end - phase.start) / signals.fps
        slowest = _SLOWEST_DEG_S if channel == "flexion" else _SLOWEST_M_S
        if abs(net) >= max(_notable(field, channel) * (1 - 1e-9), slowest * seconds):
            action = names[0] if net > 0 else names[1]
            events.append(
                Event(field, action, phase.start / signals.fps, phase.end / signals.fps, 1, abs(net))
            )
    return events


def _net_change(signals: Signals, field: str, channel: str, phase: Swing) -> float:
    """Change of a channel over a phase; 0 where the trunk only carried the arm along.

    Arms that hang while the trunk bends move in the trunk's frame, arms held against it in the upright one:
    an arm that moves of its own does so in both.
    """
    x = signals.values[field, channel]
    net = float(x[phase.end] - x[phase.start])
    own = signals.values.get((field, f"trunk_{channel}"))
    if own is None:
        return net
    carried = float(own[phase.end] - own[phase.start])
    return net if carried * net > 0 and abs(carried) >= 0.6 * _notable(field, channel) else 0.0


def _repeats(signals: Signals, field: str, walking: Mask) -> list[_Repeat]:
    """The strongest cyclic channel of each stretch of time, raised hands and hanging ones apart."""
    values = signals.values
    raised = (values[field, "up"] > _RAISED_M) & (values[field, "over_elbow"] > 0)
    raised = binary_closing(raised, np.ones(2 * int(_DIP_S * signals.fps / 2) + 1))
    everything = [(0, signals.num_frames)]
    found = []
    for channel in _CHANNELS["arm"]:
        stretches = everything if channel == "forward" else [*spans(raised), *spans(~raised)]
        least = _CYCLE_M.get(channel, _CYCLE_DEG)
        for a, b in stretches:
            for c in cycles(values[field, channel][a:b], least, _LONGEST_HALF_S * signals.fps):
                repeat = _Repeat(channel, Cycle(c.start + a, c.end + a, c.count, c.amplitude))
                if _name_repeat(signals, field, repeat, walking):
                    found.append((c.amplitude / least, repeat))
    kept: list[_Repeat] = []
    for _, repeat in sorted(found, key=lambda item: -item[0]):
        if _outside(repeat.cycle, [(k.cycle.start, k.cycle.end) for k in kept], 0.3):
            kept.append(repeat)
    return kept


def _name_repeat(signals: Signals, field: str, repeat: _Repeat, walking: Mask) -> list[Event]:
    """A raised hand that goes to and fro waves, a hanging one swings; else its two directions are told."""
    c = repeat.cycle
    start, end = c.start / signals.fps, c.end / signals.fps
    if _is_wave(signals, field, repeat):
        return [Event(field, "wave", start, end, c.count, c.amplitude)]
    low = signals.values[field, "up"][c.start : c.end + 1].mean() < _RAISED_M
    if repeat.channel == "forward" and (low or walking[c.start : c.end].mean() > 0.5):
        return [Event(field, "swing", start, end, c.count, c.amplitude)]
    if c.amplitude < _notable(field, repeat.channel):
        return []
    names = _CHANNELS["arm"][repeat.channel]
    return [Event(field, name, start, end, c.count, c.amplitude) for name in names]


def _is_wave(signals: Signals, field: str, repeat: _Repeat) -> bool:
    """Tell a wave from clapping, flapping and punching: the hand is up, and goes mostly from side to side."""
    c = repeat.cycle
    up, out, forward, over = (
        signals.values[field, name][c.start : c.end + 1] for name in ("up", "out", "forward", "over_elbow")
    )
    raised = up.mean() > _RAISED_M and over.mean() > _FOREARM_UP_M
    sideways = np.ptp(out) > 0.08 and np.ptp(out) >= 0.6 * np.ptp(forward)
    return bool(raised and sideways and np.ptp(up) <= max(0.45, 1.2 * np.ptp(out)))


def _circles(signals: Signals, field: str) -> list[Cycle]:
    """Full turns of the wrist about the shoulder, seen from the side or from the front."""
    up = signals.values[field, "up"]
    for other in ("forward", "out"):
        across = signals.values[field, other]
        radius = np.hypot(up, across)
        angle = np.degrees(np.unwrap(np.arctan2(up, across)))
        turns = [s for s in swings(angle, _FULL_CIRCLE_DEG) if _is_round(s, radius, signals.fps)]
        if turns:
            return [
                Cycle(s.start, s.end, max(1, round(abs(s.delta) / 360)), abs(s.delta) / 360) for s in turns
            ]
    return []


def _is_round(turn: Swing, radius: Array, fps: float) -> bool:
    """Tell a circling arm from a hand that drifts past its shoulder: wide all the way, and quick enough."""
    wide = np.percentile(radius[turn.start : turn.end + 1], 5) > _CIRCLE_RADIUS_M
    return bool(wide) and turn.frames / fps <= _SLOWEST_CIRCLE_S * abs(turn.delta) / 360
