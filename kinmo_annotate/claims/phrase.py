"""What is found in a sentence: phrases, and the times and counts that go with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Time(NamedTuple):
    """When something is said to happen.

    Attributes:
        start: seconds, or a share of the motion.
        end: the same.
        unit: "s" or "share".
        said: how: "range" (from, to), "point" (at), "part" (early on), "all" (throughout).
    """

    start: float
    end: float
    unit: str
    said: str

    def span(self, duration_s: float) -> tuple[float, float]:
        """Seconds from the first frame of a motion so long; a point stands for the time around it."""
        if self.unit == "share":
            return self.start * duration_s, self.end * duration_s
        if self.said == "point":
            return max(0.0, self.start - 0.35), min(duration_s, self.end + 0.35)
        return self.start, self.end


class Said(NamedTuple):
    """What a phrase says of what is done, time and size left out; the fields are those of `Phrase`."""

    verb: str
    who: tuple[tuple[str, str], ...]
    ways: tuple[str, ...]
    objects: tuple[tuple[str, str, str], ...]
    poses: tuple[str, ...]


@dataclass(slots=True)
class Phrase:
    """A verb and what belongs to it.

    Attributes:
        at: its place among the words.
        clause: number of its clause.
        verb: its meaning.
        form: "plain", "s", "ing" or "ed".
        who: parts that do it, as (side, part); side "" where none is said, "both" for both.
        ways: directions, in order.
        objects: (preposition, side, part) of parts that it is seen against.
        poses: states it names, such as "bent".
        denied: whether it is said not to happen.
        slight: whether it is said to be small.
        amount: size in `unit`, 0 where none is said.
        unit: "metres" or "degrees".
    """

    at: int
    clause: int
    verb: str
    form: str = "s"
    who: tuple[tuple[str, str], ...] = ()
    ways: list[str] = field(default_factory=list)
    objects: list[tuple[str, str, str]] = field(default_factory=list)
    poses: list[str] = field(default_factory=list)
    denied: bool = False
    slight: bool = False
    amount: float = 0.0
    unit: str = ""

    @property
    def of_tip(self) -> bool:
        """Whether a hand or a foot does it, not the whole limb."""
        return any(part in ("hand", "foot") for _, part in self.who)

    @property
    def said(self) -> Said:
        """What it says, to be looked up."""
        return Said(self.verb, self.who, tuple(self.ways), tuple(self.objects), tuple(self.poses))


@dataclass(slots=True)
class Scan:
    """Everything found in a sentence.

    Attributes:
        phrases: verbs in order.
        links: for each clause how it follows the one before: "", "then", "while", "before", "after".
        times: (place, clause, time, whether it stands before the verbs of its clause).
        counts: (place, clause, count); negative where it is at least so many.
        named: all parts named, as (side, part, whether it is only an object).
    """

    phrases: list[Phrase] = field(default_factory=list)
    links: list[str] = field(default_factory=lambda: [""])
    times: list[tuple[int, int, Time, bool]] = field(default_factory=list)
    counts: list[tuple[int, int, int]] = field(default_factory=list)
    named: list[tuple[str, str, bool]] = field(default_factory=list)
