"""How right sentences are that were written from captions alone: held against the motions themselves.

What a caption determines is what the reader of claims finds in it and the fact check finds in the motion: the
caption "a person waves with the left hand" may be read as two arms that wave, and the motion leaves one of
them. Such a fact is a group with an action. What goes up or down without a word of a leg is the body: in a
jump its rising would else pass for that of the feet. Of the sentences it is asked

    part        whether the group's sentence says that it moves
    side        whether it says this of this side, and not of the other; of facts with a side, where the
                motion does not do the same on the other side
    direction   whether it says this way, and not the opposite; of facts whose action has an opposite, the
                latter where the motion does not do that as well

A sentence that says nothing of the fact is wrong. When and how often is not asked: a caption does not tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from kinmo_annotate.claims import Claim, read_sentence
from kinmo_annotate.schema.records import CONTRADICTED, SUPPORTED, Motion
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES, mirror_field
from kinmo_annotate.schema.vocabulary import field_kind, mirror_action
from kinmo_annotate.signals import measure
from kinmo_annotate.verify.evidence import Evidence, gather
from kinmo_annotate.verify.judge import judge
from kinmo_annotate.verify.moves import MOVES

PART: Final = "part"
SIDE: Final = "side"
DIRECTION: Final = "direction"
QUESTIONS: Final = (PART, SIDE, DIRECTION)
_OF_THE_BODY: Final = frozenset({"lift", "lower"})
_LEG_WORDS: Final = re.compile(r"\b(legs?|knees?|foot|feet|thighs?|ankles?|heels?|toes?)\b", re.IGNORECASE)


class Fact(NamedTuple):
    """What a caption says and the motion does.

    Attributes:
        group: which group.
        actions: what it does, in words of the vocabulary; any of them tells it.
    """

    group: str
    actions: frozenset[str]


@dataclass(slots=True)
class Share:
    """So many of so many."""

    right: int = 0
    of: int = 0

    def add(self, right: bool) -> None:
        """Count one more."""
        self.right, self.of = self.right + right, self.of + 1

    @property
    def share(self) -> float | None:
        """Right ones of all; None where there are none."""
        return self.right / self.of if self.of else None


@dataclass(slots=True)
class CaptionReport:
    """How right sentences are.

    Attributes:
        shares: by question, one of `QUESTIONS`: facts that are told rightly.
        captions: captions looked at.
        determined: captions that determine something.
        claims: movements claimed in all sentences.
        contradicted: of those, how many the motion contradicts at any time.
        wrong: facts told wrongly: caption, question, fact, sentence.
    """

    shares: dict[str, Share] = field(default_factory=lambda: {name: Share() for name in QUESTIONS})
    captions: int = 0
    determined: int = 0
    claims: int = 0
    contradicted: int = 0
    wrong: list[tuple[str, str, Fact, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Give JSON values."""
        shares = {
            name: {"right": one.right, "of": one.of, "share": one.share} for name, one in self.shares.items()
        }
        counts = {name: getattr(self, name) for name in ("captions", "determined", "claims", "contradicted")}
        return {**shares, **counts}


def score_captions(
    motions: Iterable[Motion], captions: Sequence[str], sentences: Sequence[Mapping[str, str]]
) -> CaptionReport:
    """Hold sentences against motions, as far as captions determine them.

    Args:
        motions: the motions.
        captions: said of each.
        sentences: of each, by field, written from the caption.
    """
    report = CaptionReport()
    for motion, caption, told in zip(motions, captions, sentences, strict=True):
        evidence = gather([measure(motion.joints, motion.fps)])[0]
        _score(report, evidence, caption, told)
    return report


def determined(evidence: Evidence, caption: str) -> list[Fact]:
    """List what a caption says that its motion does: each group and action once."""
    facts = [
        Fact(group, frozenset(actions))
        for group in GROUP_NAMES
        for claim in _movements(group, caption)
        if not _is_of_the_body(claim, caption)
        and (actions := [one for one in claim.actions if _does(evidence, group, one)])
    ]
    return list(dict.fromkeys(facts))


def _is_of_the_body(claim: Claim, caption: str) -> bool:
    """Whether a claim on a leg reads "comes up" or "goes down" of a caption that names no leg."""
    by_leg = field_kind(claim.about) == "leg" and not _OF_THE_BODY.isdisjoint(claim.actions)
    return by_leg and not _LEG_WORDS.search(caption)


def _score(report: CaptionReport, evidence: Evidence, caption: str, told: Mapping[str, str]) -> None:
    said = {group: _actions(group, told.get(group, "")) for group in GROUP_NAMES}
    facts = determined(evidence, caption)
    report.captions += 1
    report.determined += bool(facts)
    for group in dict.fromkeys(fact.group for fact in facts):
        whole = Fact(group, frozenset().union(*(fact.actions for fact in facts if fact.group == group)))
        _count(report, PART, bool(said[group]), caption, whole, told)
    for fact in facts:
        group, right = fact.group, bool(said[fact.group] & fact.actions)
        other, turned = mirror_field(group), frozenset(map(mirror_action, fact.actions))
        if (other, turned) != (group, fact.actions) and not _does_any(evidence, other, turned):
            _count(report, SIDE, right and not said[other] & turned, caption, fact, told)
        opposites = frozenset(_opposites(fact))
        if opposites:
            also = said[group] & opposites if not _does_any(evidence, group, opposites) else ()
            _count(report, DIRECTION, right and not also, caption, fact, told)
    for name in FIELDS:
        for claim in _movements(name, told.get(name, "")):
            report.claims += 1
            report.contradicted += judge(evidence, claim).verdict == CONTRADICTED


def _count(
    report: CaptionReport, question: str, right: bool, caption: str, fact: Fact, told: Mapping[str, str]
) -> None:
    report.shares[question].add(right)
    if not right:
        report.wrong.append((caption, question, fact, told.get(fact.group, "")))


def _movements(name: str, sentence: str) -> list[Claim]:
    """The movements that a sentence claims of its own field, without times, numbers and sizes."""
    return [
        Claim(name, claim.actions, of_tip=claim.of_tip)
        for claim in read_sentence(name, sentence)
        if claim.about == name and not claim.is_pose and not claim.denied
    ]


def _actions(group: str, sentence: str) -> frozenset[str]:
    return frozenset(action for claim in _movements(group, sentence) for action in claim.actions)


def _does(evidence: Evidence, group: str, action: str) -> bool:
    return judge(evidence, Claim(group, (action,))).verdict == SUPPORTED


def _does_any(evidence: Evidence, group: str, actions: frozenset[str]) -> bool:
    return any(_does(evidence, group, action) for action in actions)


def _opposites(fact: Fact) -> Iterable[str]:
    """The actions that go the other way, where each action of a fact has one."""
    moves = [MOVES.get((field_kind(fact.group), action)) for action in fact.actions]
    found = [move.opposite for move in moves if move is not None and move.opposite]
    return found if len(found) == len(fact.actions) else []
