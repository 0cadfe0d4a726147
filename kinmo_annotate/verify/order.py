"""Whether what is told one after the other happened in that order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kinmo_annotate.claims import Claim, Time
from kinmo_annotate.differences.swings import cycles, swings
from kinmo_annotate.schema.vocabulary import ACTIONS, field_kind
from kinmo_annotate.verify.evidence import Evidence
from kinmo_annotate.verify.findings import CONTRADICTED, Finding
from kinmo_annotate.verify.moves import PLACES, shaped, words_of
from kinmo_annotate.verify.rhythms import passings

_SURE_S: Final = 0.1
_SHARE: Final = 0.7
_CYCLES: Final = {
    "sway": ("roll", 8.0),
    "nod": ("pitch", 9.0),
    "wave": ("out", 0.1),
    "swing": ("forward", 0.13),
}
_LONGEST_HALF_S: Final = 1.3


def broken_order(evidence: Evidence, field: str, claims: Sequence[Claim]) -> list[Finding]:
    """Findings for movements told in an order in which they did not happen.

    Args:
        evidence: of the motion.
        field: whose sentence it is.
        claims: everything the sentence claims, in order of telling.
    """
    turn = claims[0].turn
    if claims[-1].turn == turn and all(c.turn == turn for c in claims):
        return []
    moves = [c for c in claims if not c.is_pose and not c.denied]
    found = []
    signals = evidence.signals
    duration = signals.num_frames / signals.fps
    for i, first in enumerate(moves):
        for second in moves[i + 1 :]:
            early, late = (first, second) if first.turn < second.turn else (second, first)
            if early.turn == late.turn:
                continue
            reason = _said_backwards(early, late, duration) or _done_backwards(evidence, early, late)
            if reason:
                words = [words_of(c.about, c.actions[0]) for c in (early, late)]
                text = f"{words[0]} before it {words[1]}"
                found.append(Finding(field, text, CONTRADICTED, reason))
    return found


def _middle(time: Time, duration: float) -> tuple[float, float]:
    """The earliest and the latest that the middle of what is said may be, seconds."""
    start, end = time.span(duration)
    middle, spare = (start + end) / 2, _SURE_S / 2
    if time.said == "part":
        spare = 0.4 * (end - start)
    return middle - spare, middle + spare


def _said_backwards(early: Claim, late: Claim, duration: float) -> str:
    """The reason where the times that a sentence states run against its words."""
    a, b = early.time, late.time
    if a is None or b is None or (a.unit == b.unit and a.start <= b.start):
        return ""
    if early.borrowed or late.borrowed or "all" in (a.said, b.said):
        return ""
    if a.end > 1e5 or b.end > 1e5:
        return ""
    first, second = _middle(a, duration), _middle(b, duration)
    if a.unit == b.unit == "share":
        backwards = b.start < a.start and b.end < a.end
    else:
        backwards = second[1] < first[0] - _SURE_S / 2
    if a.said == b.said == "range":
        backwards = backwards and b.start < a.start - _SURE_S / 2
    if not backwards:
        return ""
    return f"the times stated, around {sum(first) / 2:.1f} and {sum(second) / 2:.1f} s, run the other way"


def _done_backwards(evidence: Evidence, early: Claim, late: Claim) -> str:
    """The reason where, without times in the words, the motion does it the other way round."""
    if (early.time and not early.borrowed) or (late.time and not late.borrowed):
        return ""
    first, second = _times_of(evidence, early), _times_of(evidence, late)
    if not first or not second or (early.about, early.actions) == (late.about, late.actions):
        return ""
    begins, ends = min(a for a, _ in first), max(b for _, b in second)
    if ends > begins + 2:
        return ""
    fps = evidence.signals.fps
    return f"that is done from {begins / fps:.1f} s on, the other until {ends / fps:.1f} s"


def _times_of(evidence: Evidence, claim: Claim) -> list[tuple[int, int]]:
    """Frames of every time that a claim's movement is done."""
    found: list[tuple[int, int]] = []
    signals = evidence.signals
    for action in claim.actions:
        known = ACTIONS.get((field_kind(claim.about), action))
        side = claim.about.split("_")[0]
        if action == "step":
            found += [(m.start, m.end) for m in evidence.feet[side][0]]
        elif action in _CYCLES:
            channel, least = _CYCLES[action]
            x = signals.values[claim.about, channel]
            found += [(c.start, c.end) for c in cycles(x, least, _LONGEST_HALF_S * signals.fps)]
        elif action in PLACES and (claim.about, "up") in signals.values:
            channel, sign = PLACES[action]
            found += passings(
                sign * signals.values[claim.about, channel], ACTIONS["pair", action].notable / 2
            )
        elif known is not None:
            for x in shaped(signals, claim.about, action):
                found += [(s.start, s.end) for s in swings(x, _SHARE * known.notable) if s.delta > 0]
    return found
