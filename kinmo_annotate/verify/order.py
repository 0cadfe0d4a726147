"""Whether what is told one after the other happened in that order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from kinmo_annotate.claims import Claim
from kinmo_annotate.differences.swings import turning_points
from kinmo_annotate.schema.vocabulary import ACTIONS, field_kind
from kinmo_annotate.signals import Signals
from kinmo_annotate.verify.findings import CONTRADICTED, Finding
from kinmo_annotate.verify.moves import shaped, words_of

_SURE_S: Final = 0.1
_SHARE: Final = 0.7


def broken_order(signals: Signals, field: str, claims: Sequence[Claim]) -> list[Finding]:
    """Findings for movements told in an order in which they did not happen.

    Args:
        signals: of the motion.
        field: whose sentence it is.
        claims: everything the sentence claims, in order of telling.
    """
    moves = [c for c in claims if not c.is_pose and not c.denied]
    if len(moves) < 2 or moves[0].turn == moves[-1].turn:
        return []
    found = []
    duration = signals.num_frames / signals.fps
    for i, first in enumerate(moves):
        for second in moves[i + 1 :]:
            early, late = (first, second) if first.turn < second.turn else (second, first)
            if early.turn == late.turn:
                continue
            reason = _said_backwards(early, late, duration) or _done_backwards(signals, early, late)
            if reason:
                text = f"{words_of(early.about, early.actions[0])} before it {words_of(late.about, late.actions[0])}"
                found.append(Finding(field, text, CONTRADICTED, reason))
    return found


def _middle(claim: Claim, duration: float) -> tuple[float, float] | None:
    """The earliest and the latest that the middle of a claim may be, seconds."""
    time = claim.time
    if time is None or claim.borrowed or time.said == "all" or time.end > 1e5:
        return None
    start, end = time.span(duration)
    if time.said == "part":
        return start, end
    return ((start + end) / 2 - _SURE_S / 2, (start + end) / 2 + _SURE_S / 2)


def _said_backwards(early: Claim, late: Claim, duration: float) -> str:
    """The reason where the times that a sentence states run against its words."""
    a, b = _middle(early, duration), _middle(late, duration)
    if a is None or b is None or b[1] >= a[0] - _SURE_S / 2:
        return ""
    assert early.time is not None and late.time is not None
    if early.time.said == late.time.said == "range" and late.time.start >= early.time.start - _SURE_S / 2:
        return ""
    return f"the times stated, {a[0]:.1f} and {b[0]:.1f} s, run the other way"


def _done_backwards(signals: Signals, early: Claim, late: Claim) -> str:
    """The reason where, without times in the words, the motion does it the other way round."""
    if (early.time and not early.borrowed) or (late.time and not late.borrowed):
        return ""
    first, second = _times_of(signals, early), _times_of(signals, late)
    if not first or not second or (early.about, early.actions) == (late.about, late.actions):
        return ""
    begins, ends = min(a for a, _ in first), max(b for _, b in second)
    if ends > begins + 2:
        return ""
    return f"that is done from {begins / signals.fps:.1f} s on, the other until {ends / signals.fps:.1f} s"


def _times_of(signals: Signals, claim: Claim) -> list[tuple[int, int]]:
    """Frames of every time that a claim's movement is done."""
    found = []
    for action in claim.actions:
        known = ACTIONS.get((field_kind(claim.about), action))
        for x in shaped(signals, claim.about, action):
            points = turning_points(x, _SHARE * known.notable) if known else []
            found += [(a, b) for a, b in pairwise(points) if x[b] > x[a]]
    return found
