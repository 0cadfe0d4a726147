"""The verdict on one claim: the motion's signals in the time that the claim gives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from kinmo_annotate.claims import STILL, UNKNOWN, WRONG_PART, Claim
from kinmo_annotate.schema.vocabulary import ACTIONS, action_of, field_kind
from kinmo_annotate.signals import Array, Signals
from kinmo_annotate.verify.evidence import Evidence
from kinmo_annotate.verify.findings import CONTRADICTED, NOT_CHECKABLE, SUPPORTED, Verdict
from kinmo_annotate.verify.moves import MOVES, PLACES, change, net_change, words_of
from kinmo_annotate.verify.rhythms import (
    CYCLIC,
    FOOTWORK,
    Tally,
    cycles_of,
    flights_of,
    in_time,
    least_cycles,
    passes_of,
    repeats_of,
    steps_of,
    take_turns,
)
from kinmo_annotate.verify.stillness import judge_pose, judge_stillness, moves_at_all

# Writers tell time roughly.
_TIME_S: Final = 0.5
_SUPPORTED_FROM: Final = 0.9
_ABSENT_BELOW: Final = 0.85
# Around the time that is said (margin in s): so little of what is claimed, and so much of its opposite, in
# units of notable, that the movement went the other way.
_TIGHT: Final = {
    "point": ((0.15, 0.4, 0.9), (-0.1, 0.2, 0.6), (-0.2, 0.15, 0.5)),
    "range": ((0.15, 0.4, 0.9), (0.0, 0.35, 0.8)),
    "part": ((0.0, 0.4, 0.9),),
    "all": ((0.0, 0.4, 0.9),),
}
_SLIGHT: Final = 0.5
_POINT_SHARE, _PART_SHARE = 0.12, 0.12
# Sizes that are said may be this share of what is seen, or of it what is said.
_SIZE_SHARE: Final = 0.5
_WRISTS_CROSS_M: Final = -0.2  # both wrists' ways out from the shoulders, added up
# Limbs that correlate less than this, of the sign that is said, do not move together, or in turn.
_IN_STEP, _IN_TURN = -0.4, -0.5
_HARDLY: Final = 0.5  # of what is worth a sentence
_ALTERNATING: Final = 1.5  # cycles
_BEST_FIRST: Final = (SUPPORTED, NOT_CHECKABLE, CONTRADICTED)


def _window(signals: Signals, claim: Claim, margin: float) -> slice:
    """Frames of the time that a claim gives, with so many seconds around it; all where it gives none."""
    total, fps, time = signals.num_frames, signals.fps, claim.time
    if time is None:
        return slice(0, total)
    start, end = time.span(total / fps)
    first = 0 if claim.borrowed or start <= margin else min(int((start - margin) * fps), total - 2)
    last = int((end + margin) * fps) + 2
    return slice(first, total if last > total else last if last > first + 2 else first + 2)


def _wide(signals: Signals, claim: Claim) -> slice:
    """Frames in which a claim must have happened, with the tolerance that rough times ask for."""
    margin = _TIME_S
    if claim.time is not None and claim.time.unit == "share":
        margin = min(margin, _PART_SHARE * signals.num_frames / signals.fps)
    elif claim.time is not None and claim.time.said == "point":
        # what goes on for a while is told by its middle
        margin = max(margin, _POINT_SHARE * signals.num_frames / signals.fps)
    return _window(signals, claim, margin)


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    """Hold one claim against the evidence of its motion."""
    if claim.denied:
        return _judge_denied(evidence.signals, claim)
    if claim.is_pose:
        return _judge_pose(evidence.signals, claim)
    verdict = _judge_action(evidence, claim, claim.actions[0])
    for action in claim.actions[1:]:
        if verdict.verdict == SUPPORTED:
            break
        other = _judge_action(evidence, claim, action)
        verdict = min(verdict, other, key=lambda v: _BEST_FIRST.index(v.verdict))
    return verdict


def _judge_pose(signals: Signals, claim: Claim) -> Verdict:
    pose = claim.actions[0]
    if pose == UNKNOWN:
        return Verdict(NOT_CHECKABLE, "")
    if pose == WRONG_PART:
        place = claim.about.replace("__", " and the ").replace("_", " ")
        return Verdict(CONTRADICTED, f"this sentence is to tell what the {place} does")
    if pose == STILL:
        return judge_stillness(signals, claim.about, _wide(signals, claim))
    return judge_pose(signals, claim.about, pose, _window(signals, claim, 0.0))


def _span_text(signals: Signals, frames: slice) -> str:
    return f"between {frames.start / signals.fps:.1f} and {(frames.stop - 1) / signals.fps:.1f} s"


def _judge_denied(signals: Signals, claim: Claim) -> Verdict:
    """What is said not to happen is contradicted where it plainly does."""
    if claim.is_pose:
        return Verdict(NOT_CHECKABLE, "")
    frames = _window(signals, claim, 0.0)
    sizes = [change(signals, claim.about, a, frames) for a in claim.actions]
    known = [
        s / action_of(claim.about, a).notable
        for s, a in zip(sizes, claim.actions, strict=True)
        if s is not None
    ]
    if not known:
        return Verdict(NOT_CHECKABLE, "")
    most = max(known)
    evidence = (
        f"it does, by {most:.1f} times what is worth a sentence" if most >= 1 else "nothing to be seen of it"
    )
    return Verdict(CONTRADICTED if most >= 1.7 else SUPPORTED if most < 1 else NOT_CHECKABLE, evidence)


def _judge_action(evidence: Evidence, claim: Claim, action: str) -> Verdict:
    field, signals = claim.about, evidence.signals
    if (field_kind(field), action) in MOVES:
        return _judge_move(signals, claim, action)
    frames = _wide(signals, claim)
    if action in CYCLIC or action in FOOTWORK:
        return _judge_count(evidence, claim, action, frames)
    if action in ("together", "alternate"):
        return _judge_together(evidence, field, action, frames)
    if action in PLACES and field_kind(field) == "pair" and (field, "up") in signals.values:
        verdict = _judge_place(signals, claim, action, frames)
        # the place of a pair is that of the whole limbs; where their tips are is another question
        return (
            Verdict(NOT_CHECKABLE, verdict.evidence)
            if claim.of_tip and verdict.verdict == CONTRADICTED
            else verdict
        )
    return Verdict(NOT_CHECKABLE, "")


def _judge_move(signals: Signals, claim: Claim, action: str) -> Verdict:
    """Hold a claimed direction against the signal that grows with it."""
    field = claim.about
    known = ACTIONS[field_kind(field), action]
    notable = known.notable * (_SLIGHT if claim.slight else 1.0)
    frames = _window(signals, claim, 0.0)
    plain = net_change(signals, field, action, frames)
    if plain >= notable and abs(claim.often) < 2 and not claim.amount:
        return Verdict(SUPPORTED, _size(plain, known.unit))
    amount = change(signals, field, action, frames)
    if amount is None:
        return Verdict(NOT_CHECKABLE, "")
    if amount < _SUPPORTED_FROM * notable and claim.time is not None:
        if _goes_the_other_way(signals, claim, action, notable):
            return Verdict(CONTRADICTED, _instead(signals, field, action, frames))
        frames = _wide(signals, claim)
        amount = change(signals, field, action, frames) or 0.0
    if amount < _ABSENT_BELOW * notable or _too_small(claim, known.unit, amount):
        return Verdict(CONTRADICTED, _instead(signals, field, action, frames))
    if abs(claim.often) > 1:
        tally = Tally(repeats_of(signals, field, action, _wide(signals, claim)))
        if not tally.fits(claim.often, 1.0):
            return Verdict(CONTRADICTED, f"{_it(field)} {words_of(field, action)} {tally} times")
    return Verdict(
        SUPPORTED if amount >= _SUPPORTED_FROM * notable else NOT_CHECKABLE, _size(amount, known.unit)
    )


def _it(field: str) -> str:
    """What stands for a group, or for a pair, in a sentence."""
    return "they" if "__" in field else "it"


def _instead(signals: Signals, field: str, action: str, frames: slice) -> str:
    """What a field does where it does not do what was claimed, with numbers."""
    kind = field_kind(field)
    opposite = MOVES[kind, action].opposite
    text = f"{_it(field)} {words_of(field, action)} by at most {_seen(signals, field, action, frames)}"
    if opposite:
        text += f", and {words_of(field, opposite)} by {_seen(signals, field, opposite, frames)},"
    return f"{text} {_span_text(signals, frames)}"


def _seen(signals: Signals, field: str, action: str, frames: slice) -> str:
    return _size(change(signals, field, action, frames) or 0.0, ACTIONS[field_kind(field), action].unit)


def _too_small(claim: Claim, unit: str, amount: float) -> bool:
    """Tell whether far less is seen than the size that is said."""
    said = {"metres": "m", "degrees": "deg"}.get(claim.unit)
    return said == unit and amount < _SIZE_SHARE * claim.amount


def _size(amount: float, unit: str) -> str:
    return f"{amount:.2f} m" if unit == "m" else f"{amount:.0f} degrees"


def _goes_the_other_way(signals: Signals, claim: Claim, action: str, notable: float) -> bool:
    """Tell whether within the very time that is said only the opposite happens."""
    opposite = MOVES[field_kind(claim.about), action].opposite
    if not opposite or claim.time is None or claim.borrowed:
        return False
    for margin, faint, plain in _TIGHT[claim.time.said]:
        close = _window(signals, claim, margin)
        own = change(signals, claim.about, action, close) or 0.0
        if own < faint * notable:
            other = change(signals, claim.about, opposite, close) or 0.0
            if other > plain * notable:
                return True
    return False


def _judge_count(evidence: Evidence, claim: Claim, action: str, frames: slice) -> Verdict:
    field, signals = claim.about, evidence.signals
    side = field.split("_")[0]
    if action == "step":
        counts: Iterable[float] = steps_of(evidence, side, frames, any_at_all=not claim.often)
    elif action in ("jump", "hop"):
        counts = (flights_of(signals, frames, side if action == "hop" else ""),)
    else:
        counts = cycles_of(signals, field, action, frames)
    tally = Tally(counts)
    least = 0.7 if action == "circle" else 1.5 if action in CYCLIC else 1.0
    fits = tally.reaches(least) if not claim.often else tally.fits(claim.often, least)
    if fits:
        return Verdict(SUPPORTED, f"{tally} times")
    return Verdict(
        CONTRADICTED, f"{_it(field)} {words_of(field, action)} {tally} times {_span_text(signals, frames)}"
    )


def _judge_together(evidence: Evidence, field: str, action: str, frames: slice) -> Verdict:
    """Hold "move together" or "alternate" against how the two limbs swing."""
    limbs, signals = field.split("__"), evidence.signals
    if not all(limb.endswith(("arm", "leg")) for limb in limbs):
        return Verdict(NOT_CHECKABLE, "")
    whole = frames.stop - frames.start == signals.num_frames
    if not all(
        evidence.shares[limb] >= _HARDLY if whole else moves_at_all(signals, limb, frames, _HARDLY)
        for limb in limbs
    ):
        return Verdict(CONTRADICTED, f"one of them hardly moves {_span_text(signals, frames)}")
    if action == "alternate" and field == "left_leg__right_leg" and take_turns(evidence, frames):
        return Verdict(SUPPORTED, "")
    sign, least = (1, _IN_STEP) if action == "together" else (-1, _IN_TURN)
    alike = in_time(signals, field, frames)
    if alike is not None and sign * alike < least:
        return Verdict(CONTRADICTED, f"their swings correlate by {alike:.1f} {_span_text(signals, frames)}")
    if action == "alternate":
        cycles = least_cycles(evidence, field, frames)
        if cycles < _ALTERNATING:
            return Verdict(CONTRADICTED, f"one of them goes to and fro {cycles:.0f} times")
    return Verdict(SUPPORTED, "")


def _judge_place(signals: Signals, claim: Claim, action: str, frames: slice) -> Verdict:
    """Hold a claimed change of place against b minus a along that axis of the body: its sign changes."""
    field, notable = claim.about, ACTIONS["pair", action].notable
    channel, sign = PLACES[action]
    x = signals.values[field, channel][frames]
    ends = min(-sign * float(x[0]), sign * float(x[-1]))
    if ends >= notable and abs(claim.often) < 2:
        return Verdict(SUPPORTED, f"{ends:.2f} m")
    amount = _flip(sign * x) if action != "cross" else max(_flip(x), _flip(-x))
    if amount >= _ABSENT_BELOW * notable:
        if action == "cross" or abs(claim.often) < 2:
            return Verdict(SUPPORTED, f"{amount:.2f} m")
        tally = Tally(passes_of(sign * x, notable))
        if tally.fits(claim.often, 1.0):
            return Verdict(SUPPORTED, f"{tally} times")
        return Verdict(CONTRADICTED, f"it {words_of(field, action)} the other {tally} times")
    if action == "cross" and field == "left_arm__right_arm":
        gap = signals.values["left_arm", "out"][frames] + signals.values["right_arm", "out"][frames]
        if gap.min() < _WRISTS_CROSS_M:
            return Verdict(NOT_CHECKABLE, "the wrists cross, the arms do not")
    low, high = (float(f(-x)) for f in (np.min, np.max))
    where = {"up": "higher", "forward": "further forward", "left": "further left"}[channel]
    return Verdict(
        CONTRADICTED, f"the first stays {low:.2f} to {high:.2f} m {where} {_span_text(signals, frames)}"
    )


def _flip(x: Array) -> float:
    """How far a signal (T,) goes from below zero to above it: the smaller of both sides, at least 0."""
    return max(0.0, float(np.minimum(np.maximum.accumulate(-x), x).max()))
