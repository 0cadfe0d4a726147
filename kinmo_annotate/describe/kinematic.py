"""The kinematic describer: 6 + 15 sentences by rule from a motion's own geometry, with no key or network."""

from __future__ import annotations

from hashlib import blake2b
from random import Random
from typing import Final

from kinmo_annotate.describe import phrases
from kinmo_annotate.describe.plan import Clause, plan
from kinmo_annotate.differences import Differences, find_differences
from kinmo_annotate.schema.records import NO_MOVEMENT, Event, Motion
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_annotate.schema.vocabulary import field_kind

MOST_WORDS: Final = 35
_MOST_CLAUSES: Final = 4
# Share of sentences that tell time in seconds; the others say where in the motion.
_NUMERIC: Final = 0.6
_VERTICAL: Final = ("raise", "lower", "lift")
_TRAVEL: Final = ("move_forward", "move_backward", "move_left", "move_right")


def describe_motion(motion: Motion, *, seed: int) -> dict[str, str]:
    """Describe what each group and each pair of a motion does.

    Args:
        motion: the motion.
        seed: varies the wording, never the meaning.

    Returns:
        For each of the 21 fields one sentence of at most 35 words, or `NO_MOVEMENT`.
    """
    differences = find_differences(motion.joints, motion.fps)
    return {
        field: _Writer(field, differences, motion, seed).sentence(differences.events[field])
        for field in FIELDS
    }


def _choices(seed: int, motion_id: str, field: str) -> Random:
    """A source of wording choices that depends on nothing but these three."""
    key = f"{seed}|{motion_id}|{field}".encode()
    return Random(int.from_bytes(blake2b(key, digest_size=8).digest(), "big"))


class _Writer:
    """Writes the sentence of one field of one motion."""

    def __init__(self, field: str, differences: Differences, motion: Motion, seed: int) -> None:
        self.field, self.kind = field, field_kind(field)
        self.signals = differences.signals
        self.fps, self.duration = motion.fps, motion.duration_s
        self.key = (seed, motion.motion_id, field)
        self.choose = _choices(*self.key)
        self.terse = False
        self.numeric = self.choose.random() < _NUMERIC

    def sentence(self, events: list[Event]) -> str:
        """Write the longest sentence that fits, the most telling clauses first."""
        if not events:
            return NO_MOVEMENT
        for most in range(_MOST_CLAUSES, 0, -1):
            for self.terse in (False, True):
                self.choose = _choices(*self.key)
                text = self._compose(plan(events, most))
                if len(text.split()) <= MOST_WORDS:
                    return text
        return self._compose([Clause(plan(events, 1)[0].events[:2])])

    def _compose(self, clauses: list[Clause]) -> str:
        write = self._pair_clause if self.kind == "pair" else self._group_clause
        text, spoken = "", self._subject()
        for i, clause in enumerate(clauses):
            link = self._link(clauses[i - 1], clause, last=i == len(clauses) - 1 > 1) if i else ""
            body, spoken = write(clause, spoken)
            # a time is told once for all the clauses in a row that share it
            after = clauses[i + 1] if i + 1 < len(clauses) else None
            shared = after is not None and self._part(clause) == self._part(after) != ""
            text += link + body + ("" if shared else self._when(clause))
        return text[0].upper() + text[1:] + "."

    def _subject(self) -> str:
        if self.kind == "pair":
            a, b = self.field.split("__")
            return f"The {phrases.GROUP_WORDS[a]} and the {phrases.GROUP_WORDS[b]} "
        pattern = self._pick(phrases.SUBJECTS[self.kind])
        return pattern.format(side=self.field.split("_")[0]) + " "

    def _link(self, before: Clause, after: Clause, *, last: bool) -> str:
        shared = min(before.end_s, after.end_s) - after.start_s
        early = after.start_s < (before.start_s + before.end_s) / 2
        if early and shared > 0.4 * (after.end_s - after.start_s):
            return " and meanwhile "
        if last:
            return ", and finally "
        links = (", then ", ", and then ", ", after which it ")
        return self._pick(links) if self.kind != "pair" else ", then "

    def _pick(self, phrasings: tuple[str, ...]) -> str:
        """Choose a phrasing; the shortest where words are scarce."""
        return min(phrasings, key=len) if self.terse else self.choose.choice(phrasings)

    def _part(self, clause: Clause) -> str:
        """Name the part of the motion that a clause is about; nothing where seconds tell it better."""
        start, end = clause.start_s, clause.end_s
        if end - start >= 0.75 * self.duration:
            return "throughout"
        if self.numeric or end - start > self._long:
            return ""
        middle = (start + end) / 2 / self.duration
        return "early" if middle < 0.33 else "middle" if middle < 0.67 else "late"

    @property
    def _long(self) -> float:
        """Longer than this, in seconds, one moment cannot stand for the whole of it."""
        return max(1.5, 0.35 * self.duration)

    def _when(self, clause: Clause) -> str:
        part = self._part(clause)
        if part:
            return " " + self._pick(phrases.PARTS[part])
        start, end = clause.start_s, clause.end_s
        if self.terse and end - start <= self._long:
            return f" at {(start + end) / 2:.1f} s"
        if end - start < 0.7:
            return f" at about {(start + end) / 2:.1f} s"
        return f" from {start:.1f} to {end:.1f} s"

    def _group_clause(self, clause: Clause, spoken: str) -> tuple[str, str]:
        parts = self._limb_parts(clause) if self.kind in ("arm", "leg") else self._body_parts(clause)
        count = clause.events[0].count
        often = phrases.times(count) if clause.events[0].action != "step" else ""
        return spoken + " and ".join(parts) + (f" {often}" if often else ""), ""

    def _body_parts(self, clause: Clause) -> list[str]:
        both, rest = self._both(clause.events)
        return both + [self._verb(e) + self._size(e) for e in rest]

    def _both(self, events: tuple[Event, ...]) -> tuple[list[str], list[Event]]:
        """Take out the pairs that are done and undone, worded as one; the other events are left over."""
        parts, rest = [], list(events)
        for pair, phrase in phrases.BOTH.items():
            members = [e for e in rest if e.action in pair]
            if len({e.action for e in members}) == 2 and members[0].count > 1:
                parts.append(phrase.format(joint=self._joint(), **self._movers()))
                rest = [e for e in rest if e not in members]
        return parts, rest

    def _joint(self) -> str:
        if self.kind == "pair":
            return phrases.PAIR_JOINTS.get(self.field.rsplit("_", 1)[-1], "")
        return phrases.HINGES.get(self.kind, "")

    def _movers(self) -> dict[str, str]:
        """Name the group that moves and the one it is seen against: limbs move past the trunk."""
        if self.kind != "pair":
            return {}
        a, b = (phrases.GROUP_WORDS[name] for name in self.field.split("__"))
        return {"mover": b, "other": a} if self._turned else {"mover": a, "other": b}

    @property
    def _turned(self) -> bool:
        return self.field.startswith(("torso__", "neck__"))

    def _verb(self, event: Event) -> str:
        return self._pick(phrases.VERBS[self.kind][event.action])

    def _size(self, event: Event) -> str:
        if event.action.startswith("turn_"):
            return f" by about {max(15, round(event.amount / 15) * 15)} degrees"
        if event.action in _TRAVEL:
            return f" about {event.amount:.1f} m"
        if event.action in ("bend_forward", "bend_backward", "lean_left", "lean_right"):
            return (
                ""
                if self.terse
                else " deeply"
                if event.amount > 55
                else " slightly"
                if event.amount < 25
                else ""
            )
        return ""

    def _limb_parts(self, clause: Clause) -> list[str]:
        """An arm or a leg: where it goes, which way, how high, and what its hinge does meanwhile."""
        parts, rest = self._both(clause.events)
        vertical = [e for e in rest if e.action in _VERTICAL]
        way = [phrases.DIRECTIONS[e.action] for e in rest if e.action in phrases.DIRECTIONS]
        hinge = [e for e in rest if e.action in ("bend", "straighten")]
        known = {*_VERTICAL, *phrases.DIRECTIONS, "bend", "straighten"}
        parts += [self._verb(e).format(count=phrases.steps(e.count)) for e in rest if e.action not in known]
        moving = self._moving(vertical, way)
        if moving:
            return [*parts, moving + self._hinge_aside(hinge)]
        return parts + [self._verb(e) for e in hinge]

    def _moving(self, vertical: list[Event], way: list[str]) -> str:
        if not vertical and not way:
            return ""
        carrier = "moves" if self.kind == "arm" else "swings"
        verb = " and ".join(self._verb(e) for e in vertical) or carrier
        speed = self._speed(vertical)
        toward = f" {' and '.join(way)}" if way else ""
        return verb + speed + toward + self._height(vertical)

    def _speed(self, vertical: list[Event]) -> str:
        if self.terse or len(vertical) != 1 or vertical[0].count > 1:
            return ""
        event = vertical[0]
        rate = event.amount / max(event.end_s - event.start_s, 1 / self.fps)
        return " quickly" if rate > 1.3 else " slowly" if rate < 0.3 else ""

    def _height(self, vertical: list[Event]) -> str:
        if self.terse or len(vertical) != 1 or vertical[0].action != "raise" or vertical[0].count > 1:
            return ""
        frame = min(round(vertical[0].end_s * self.fps), self.signals.num_frames - 1)
        height = phrases.hand_height(self.signals, self.field, frame)
        return f" {height}" if height else ""

    def _hinge_aside(self, hinge: list[Event]) -> str:
        if not hinge:
            return ""
        verbs = {"bend": "bends", "straighten": "straightens"}
        return f" as the {phrases.HINGES[self.kind]} " + " and ".join(verbs[e.action] for e in hinge)

    def _pair_clause(self, clause: Clause, spoken: str) -> tuple[str, str]:
        """Things that both do share the subject; "the a comes above the b" has its own: "they" after it."""
        both, rest = self._both(clause.events)
        parts = [b for b in both if not b.startswith("the ")]
        own = [b for b in both if b.startswith("the ")]
        for event in rest:
            names = {"joint": self._joint(), **self._movers()}
            if event.action in phrases.PAIR_VERBS:
                parts.append(self._pick(phrases.PAIR_VERBS[event.action]).format(**names))
            else:
                seen = phrases.INVERSE[event.action] if self._turned else event.action
                own.append(self._pick(phrases.RELATIONS[seen]).format(**names))
        said = [spoken + " and ".join(parts)] if parts else []
        often = phrases.times(clause.events[0].count)
        text = " and ".join([*said, *own]) + (f" {often}" if often else "")
        return text, "they " if own else ("" if parts else spoken)
