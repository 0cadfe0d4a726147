"""How right the sentences are where the truth is known: claims against the truth of the demo motions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from kinmo_annotate.claims import read_claims
from kinmo_annotate.schema.records import Event, MotionError
from kinmo_annotate.schema.skeleton import FIELDS, mirror_field
from kinmo_annotate.schema.vocabulary import action_of, mirror_action

# Sentences tell time roughly: this far off is still right.
_TIME_S: Final = 0.5
_COUNT_SHARE: Final = 0.15


@dataclass(frozen=True, slots=True)
class Known:
    """What a motion really did: `must` may not be left out of a description, `may` is also true of it."""

    must: tuple[Event, ...]
    may: tuple[Event, ...]

    def of(self, name: str) -> list[Event]:
        """Everything that is true of one field."""
        return [e for e in self.must + self.may if e.field == name]


@dataclass(slots=True)
class Score:
    """Counts for one field.

    Attributes:
        claims: claims made.
        right: claims that the truth supports, in action, direction, time and count.
        truths: events that had to be told.
        told: of those, how many were.
        swapped: claims that are right of the mirror image and wrong as they stand.
    """

    claims: int = 0
    right: int = 0
    truths: int = 0
    told: int = 0
    swapped: int = 0

    @property
    def precision(self) -> float:
        """Share of claims that are right; 1 where nothing was claimed."""
        return self.right / self.claims if self.claims else 1.0

    @property
    def recall(self) -> float:
        """Share of what had to be told that was; 1 where there was nothing to tell."""
        return self.told / self.truths if self.truths else 1.0

    def add(self, other: Score) -> None:
        """Add another score's counts to this one."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))

    def as_dict(self) -> dict[str, float]:
        """The counts with precision and recall, for `--json`."""
        counts = {f.name: getattr(self, f.name) for f in fields(self)}
        return counts | {"precision": self.precision, "recall": self.recall}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that a sentence got wrong ("claimed") or left out ("missed")."""

    motion_id: str
    kind: str
    event: Event
    sentence: str


@dataclass(slots=True)
class Report:
    """Scores of all fields, with the mistakes behind them."""

    scores: dict[str, Score] = field(default_factory=lambda: {name: Score() for name in FIELDS})
    mistakes: list[Mistake] = field(default_factory=list)
    motions: int = 0

    def total(self, names: Iterable[str] = FIELDS) -> Score:
        """The sum over some fields."""
        total = Score()
        for name in names:
            total.add(self.scores[name])
        return total


def read_truth(path: Path) -> dict[str, Known]:
    """Read the truth of demo motions, by motion id.

    Raises:
        MotionError: no such file, or a line that is not one motion's truth.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        remedy = "Give --truth the truth.jsonl that `kinmo data demo` wrote beside the motions."
        raise MotionError(str(path), f"cannot be read ({error.strerror})", remedy) from None
    known = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            known[str(row["motion_id"])] = _known(row["events"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"line {number} is not a motion's truth ({type(error).__name__}: {error})"
            raise MotionError(str(path), reason, "Write it again with `kinmo data demo`.") from None
    return known


def _known(rows: list[dict[str, object]]) -> Known:
    must: list[Event] = []
    may: list[Event] = []
    for row in rows:
        values = dict(row)
        events = must if values.pop("salient", True) else may
        event = Event(**values)  # type: ignore[arg-type]
        action_of(event.field, event.action)
        events.append(event)
    return Known(tuple(must), tuple(may))


def score_motion(
    report: Report, motion_id: str, sentences: dict[str, str], known: Known, duration_s: float
) -> None:
    """Add one motion's sentences to a report.

    Args:
        report: where the counts go.
        motion_id: names the motion in the list of mistakes.
        sentences: the 21 sentences.
        known: what the motion really did.
        duration_s: length of the motion, seconds.
    """
    claims = {name: read_claims(name, sentences[name], duration_s) for name in FIELDS}
    report.motions += 1
    for name in FIELDS:
        truth = known.of(name)
        must = [e for e in known.must if e.field == name]
        wrong = [c for c in claims[name] if not is_supported(c, truth)]
        missed = [e for e in must if not _is_told(e, claims[name], truth)]
        swapped = [c for c in wrong if _is_swapped(c, known, claims)]
        score = report.scores[name]
        score.add(
            Score(
                claims=len(claims[name]),
                right=len(claims[name]) - len(wrong),
                truths=len(must),
                told=len(must) - len(missed),
                swapped=len(swapped),
            )
        )
        report.mistakes += [Mistake(motion_id, "claimed", c, sentences[name]) for c in wrong]
        report.mistakes += [Mistake(motion_id, "missed", e, sentences[name]) for e in missed]


def _meet(a: Event, b: Event) -> bool:
    return a.start_s <= b.end_s + _TIME_S and b.start_s <= a.end_s + _TIME_S


def _same(claim: Event, truth: Sequence[Event]) -> list[Event]:
    return [e for e in truth if e.action == claim.action and _meet(e, claim)]


def is_supported(claim: Event, truth: Sequence[Event]) -> bool:
    """Tell whether one field's truth has the claimed action at the claimed time, as often as claimed."""
    return _counts_agree(claim, _same(claim, truth))


def _counts_agree(claim: Event, same: Sequence[Event]) -> bool:
    """A claim that gives no count claims none; one that does may be one off, or 15 percent."""
    if not same:
        return False
    counted = action_of(claim.field, claim.action).unit == "cycles"
    if claim.action == "together" or (claim.count == 1 and not counted):
        return True
    real = sum(e.count for e in same)
    return abs(real - claim.count) <= max(1.0, _COUNT_SHARE * real)


def _is_told(event: Event, claims: Sequence[Event], truth: Sequence[Event]) -> bool:
    return any(is_supported(c, truth) for c in _same(event, claims))


def _is_swapped(claim: Event, known: Known, claims: dict[str, list[Event]]) -> bool:
    """Tell whether left was said for right: not done here, done in the mirror image, and not said of it."""
    if _same(claim, known.of(claim.field)):
        return False  # done on this side, only miscounted
    mirrored = Event(
        mirror_field(claim.field), mirror_action(claim.action), claim.start_s, claim.end_s, claim.count
    )
    if (mirrored.field, mirrored.action) == (claim.field, claim.action):
        return False
    return is_supported(mirrored, known.of(mirrored.field)) and not _same(mirrored, claims[mirrored.field])
