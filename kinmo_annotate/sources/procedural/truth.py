"""What a demo motion really did: events read from its authored phases, not found in a noisy signal.

For every word of the vocabulary the quantity that defines it is evaluated on the noise-free joints, at the
beginning and the end of every authored phase. Cyclic phases give counted events, and their authored words
(steps, waves, jumps, ...). An event is *salient* when no careful description could leave it out (1.5 times
notable, or a counted cycle); from 0.7 times notable on it is listed, not salient, so that a describer who
says it is not wrong.

What each word measures is in `quantities.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from kinmo_annotate.schema.records import Event
from kinmo_annotate.schema.skeleton import FPS, mirror_field
from kinmo_annotate.schema.vocabulary import action_of, mirror_action
from kinmo_annotate.sources.procedural.body import Array
from kinmo_annotate.sources.procedural.quantities import Quantity, quantities
from kinmo_annotate.sources.procedural.stage import Phase, Word

SALIENT: Final = 1.5
LISTED: Final = 0.7
_RUN: Final = 0.35


@dataclass(frozen=True, slots=True)
class TruthEvent(Event):
    """An event that really happened; `salient` tells whether a description must mention it."""

    salient: bool = True

    def as_dict(self) -> dict[str, object]:
        """The event as a line of truth.jsonl holds it: times to 0.01 s, amounts to 0.001."""
        row = asdict(self)
        return row | {
            key: round(row[key], digits) for key, digits in (("start_s", 2), ("end_s", 2), ("amount", 3))
        }


def mirror_event(event: TruthEvent) -> TruthEvent:
    """The event as a mirror shows it.

    A pair of the two arms, say, is still named left first, so above becomes below, and in_front behind.
    """
    field, action = mirror_field(event.field), mirror_action(event.action)
    a, _, b = event.field.partition("__")
    if b and field.partition("__")[0] != mirror_field(a):
        flip = {"above": "below", "below": "above", "in_front": "behind", "behind": "in_front"}
        action = flip.get(action, action)
    return TruthEvent(field, action, event.start_s, event.end_s, event.count, event.amount, event.salient)


def derive_truth(joints: Array, phases: Sequence[Phase]) -> tuple[TruthEvent, ...]:
    """All events of a motion.

    Args:
        joints: (T, 22, 3) noise-free positions.
        phases: the authored timeline.

    Returns:
        Events in order of time; times in seconds from the first frame.
    """
    events = [_event(word, phase) for phase in phases for word in phase.words]
    for quantity in quantities(joints):
        measured = [event for phase in phases for event in _of_phase(quantity, phase)]
        events += measured + list(_missed(quantity, measured))
    events += _together(events)
    return tuple(sorted(_once(events), key=lambda e: (e.start_s, e.end_s, e.field, e.action)))


def _event(word: Word, phase: Phase) -> TruthEvent:
    return TruthEvent(
        word.field, word.action, phase.start / FPS, phase.end / FPS, word.count, word.amount, word.salient
    )


def _of_phase(quantity: Quantity, phase: Phase) -> Iterator[TruthEvent]:
    """Events of one quantity in one phase: its net change, or its counted runs when the phase is cyclic."""
    if quantity.name in phase.mute or (phase.only and quantity.name not in phase.only):
        return
    values = quantity.values[phase.start : phase.end + 1]
    said: set[str] = set()
    loud = quantity.field not in phase.quiet or (quantity.net and phase.cyclic)
    if quantity.net or not phase.cyclic:
        for action, amount in quantity.rule(values[0], values[-1]):
            yield from _measured(quantity, phase, action, [amount], loud=loud)
            said.add(action)
    if quantity.net:
        return
    for action, amounts in _run_amounts(quantity, values).items():
        if action not in said:
            yield from _measured(quantity, phase, action, amounts, loud=loud and phase.cyclic)


def _measured(
    quantity: Quantity, phase: Phase, action: str, amounts: list[float], loud: bool
) -> Iterator[TruthEvent]:
    notable = action_of(quantity.field, action).notable
    amounts = [amount for amount in amounts if amount >= LISTED * notable]
    if amounts:
        amount = float(np.mean(amounts))
        salient = loud and not quantity.faint and amount >= SALIENT * notable
        yield TruthEvent(
            quantity.field, action, phase.start / FPS, phase.end / FPS, len(amounts), amount, salient
        )  # fmt: skip


def _run_amounts(quantity: Quantity, values: Array) -> dict[str, list[float]]:
    """The amounts of each action over the monotone runs of a noise-free quantity."""
    found: dict[str, list[float]] = {}
    ends = turning_points(values, _RUN * quantity.step)
    for start, end in pairwise(ends):
        for action, amount in quantity.rule(values[start], values[end]):
            found.setdefault(action, []).append(amount)
    return found


def turning_points(values: Array, least: float) -> list[int]:
    """Frames between which a signal runs one way, the first and last included.

    Runs smaller than `least` are left out.
    """
    ends, low, high, way = [0], 0, 0, 0
    for frame in range(1, len(values)):
        low = frame if values[frame] < values[low] else low
        high = frame if values[frame] > values[high] else high
        if way >= 0 and values[high] - values[frame] >= least:
            if high > ends[-1]:
                ends.append(high)
            way, low, high = -1, frame, frame
        elif way <= 0 and values[frame] - values[low] >= least:
            if low > ends[-1]:
                ends.append(low)
            way, low, high = 1, frame, frame
    return ends if ends[-1] == len(values) - 1 else [*ends, len(values) - 1]


def _missed(quantity: Quantity, measured: list[TruthEvent]) -> Iterator[TruthEvent]:
    """Slow changes that add up over several phases, each too small alone: listed, never salient."""
    ends = turning_points(quantity.values, _RUN * quantity.step)
    for start, end in pairwise(ends):
        for action, amount in quantity.rule(quantity.values[start], quantity.values[end]):
            begin, stop = (frame / FPS for frame in _trimmed(quantity.values, start, end))
            known = any(e.action == action and e.start_s < stop and e.end_s > begin for e in measured)
            if not known and amount >= LISTED * action_of(quantity.field, action).notable:
                yield TruthEvent(quantity.field, action, begin, stop, 1, amount, salient=False)


def _trimmed(values: Array, start: int, end: int) -> tuple[int, int]:
    """The part of a run in which a signal really changes: 2 % of the change left out at either end."""
    share = np.abs(values[start : end + 1] - values[start]) / max(abs(values[end] - values[start]), 1e-9)
    return start + int(np.argmax(share > 0.02)) - 1, start + int(np.argmax(share >= 0.98))


def _together(events: list[TruthEvent]) -> list[TruthEvent]:
    """Both arms or both legs doing one thing at the same time, at least one of them plainly."""
    found = []
    for limb in ("arm", "leg"):
        left, right = (
            {(e.action, e.start_s, e.end_s, e.count): e for e in events if e.field == f"{side}_{limb}"}
            for side in ("left", "right")
        )
        for key in left.keys() & right.keys():
            action, start_s, end_s, count = key
            if action not in ("step", "swing") and (left[key].salient or right[key].salient):
                pair = f"left_{limb}__right_{limb}"
                found.append(TruthEvent(pair, "together", start_s, end_s, count, 0.0, salient=False))
    return found


def _once(events: list[TruthEvent]) -> list[TruthEvent]:
    """Leave out events that repeat another's field, action and time; the salient and larger one stays."""
    kept: dict[tuple[str, str, float, float], TruthEvent] = {}
    for event in events:
        key = (event.field, event.action, event.start_s, event.end_s)
        old = kept.get(key)
        if old is None or (event.salient, event.count, event.amount) > (old.salient, old.count, old.amount):
            kept[key] = event
    return list(kept.values())
