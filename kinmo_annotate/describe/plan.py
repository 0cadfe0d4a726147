"""What to say of a field, in which order: events gathered into clauses, the most telling kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from kinmo_annotate.schema.records import Event
from kinmo_annotate.schema.vocabulary import action_of

# Two movements that share this much of the shorter one's time are told in one breath.
_SAME_TIME: Final = 0.5
# What a limb does again and again, or in one leap, is what a person would mention first.
_CYCLIC_WEIGHT: Final = 4.0
# A change of place is small where it is found, at the moment of passing, and tells less than a way gone.
_PLACES: Final = ("above", "below", "in_front", "behind", "cross")
_PLACE_WEIGHT: Final = 0.5
_ALWAYS_SUMMED: Final = ("step", "jump", "hop")
_OPPOSITES: Final = (
    {"raise", "lower"}, {"reach_forward", "pull_back"}, {"move_out", "move_in"}, {"bend", "straighten"},
    {"lift", "lower"}, {"swing_forward", "swing_back"}, {"sink", "rise"}, {"bend_forward", "straighten"},
    {"bend_backward", "straighten"}, {"lean_left", "straighten"}, {"lean_right", "straighten"},
    {"twist_left", "twist_right"}, {"tilt_left", "straighten"}, {"tilt_right", "straighten"},
    {"approach", "part"}, {"open", "close"}, {"above", "below"}, {"in_front", "behind"},
    {"turn_left", "turn_right"}, {"move_forward", "move_backward"}, {"move_left", "move_right"},
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clause:
    """Things done at the same time, told together; `events` in order of telling."""

    events: tuple[Event, ...]

    @property
    def start_s(self) -> float:
        """When the first of them begins."""
        return min(e.start_s for e in self.events)

    @property
    def end_s(self) -> float:
        """When the last of them ends."""
        return max(e.end_s for e in self.events)

    @property
    def weight(self) -> float:
        """How telling it is: the largest of its events."""
        return max(weight(e) for e in self.events)


def weight(event: Event) -> float:
    """How much an event exceeds what is notable; each repetition adds to it."""
    action = action_of(event.field, event.action)
    often = 1 + 0.5 * (event.count - 1)
    size = event.amount / action.notable * (_PLACE_WEIGHT if event.action in _PLACES else 1.0)
    return often * (_CYCLIC_WEIGHT if action.unit == "cycles" else size)


def plan(events: list[Event], most: int) -> list[Clause]:
    """Gather the events of one field into at most `most` clauses, in order of time.

    Args:
        events: everything that the field did.
        most: how many clauses fit into a sentence.
    """
    clauses = _gathered(_counted(events))
    clauses.sort(key=lambda c: -c.weight)
    return sorted(clauses[:most], key=lambda c: (c.start_s, c.end_s))


def _counted(events: list[Event]) -> list[Event]:
    """Movement that is done and undone again and again is told once with its count; so are all the steps."""
    rest, counted = list(events), []
    for pair in _OPPOSITES:
        members = [e for e in rest if e.action in pair]
        by_action = [[e for e in members if e.action == name] for name in sorted(pair)]
        if len(members) < 4 or min(len(group) for group in by_action) < 2:
            continue
        counted += [_summed(group, members) for group in by_action]
        rest = [e for e in rest if e not in members]
    for name in _ALWAYS_SUMMED:
        bouts = [e for e in rest if e.action == name]
        if len(bouts) > 1:
            counted.append(_summed(bouts, bouts))
            rest = [e for e in rest if e not in bouts]
    return sorted(rest + _levelled(counted), key=lambda e: (e.start_s, e.end_s))


def _summed(group: list[Event], members: list[Event]) -> Event:
    """One event for all of `group`, over the time of all of `members`."""
    amount = sum(e.amount for e in group) / len(group)
    count = sum(e.count for e in group)
    end = max(e.end_s for e in members)
    return replace(group[0], start_s=members[0].start_s, end_s=end, count=count, amount=amount)


def _levelled(counted: list[Event]) -> list[Event]:
    """Three times up and two times down is told as three times up and down."""
    return [
        e if e.action in _ALWAYS_SUMMED else replace(e, count=max(o.count for o in counted if _twin(e, o)))
        for e in counted
    ]


def _twin(e: Event, o: Event) -> bool:
    same_time = (o.start_s, o.end_s) == (e.start_s, e.end_s)
    return o == e or (same_time and max(e.count, o.count) > 2 and abs(o.count - e.count) == 1)


def _gathered(events: list[Event]) -> list[Clause]:
    clauses: list[list[Event]] = []
    for event in events:
        home = next((c for c in clauses if _fits(event, c)), None)
        if home is None:
            clauses.append([event])
        else:
            home.append(event)
    return [Clause(tuple(c)) for c in clauses]


def _fits(event: Event, clause: list[Event]) -> bool:
    """Tell whether an event happens along with every other one of a clause, and as often."""
    for other in clause:
        shared = min(event.end_s, other.end_s) - max(event.start_s, other.start_s)
        shorter = min(event.end_s - event.start_s, other.end_s - other.start_s)
        longer = max(event.end_s - event.start_s, other.end_s - other.start_s)
        if event.action == other.action or event.count != other.count:
            return False
        if shared < _SAME_TIME * shorter or shared < 0.35 * longer:
            return False
    return True
