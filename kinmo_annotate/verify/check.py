"""Check the 21 sentences of motions: read their claims, judge them, put the verdicts into words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from kinmo_annotate.claims import STILL, STILL_OF, UNKNOWN, WRONG_PART, Claim, read_sentence
from kinmo_annotate.schema.records import Motion
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_annotate.signals import Signals, measure, measure_many
from kinmo_annotate.verify.evidence import Evidence, gather
from kinmo_annotate.verify.findings import SUPPORTED, Finding
from kinmo_annotate.verify.judge import judge
from kinmo_annotate.verify.moves import words_of
from kinmo_annotate.verify.order import broken_order
from kinmo_annotate.verify.stillness import STILL_UP_TO

_LONGEST_S: Final = 1e5  # a time that ends later says "after"
# More of them and the arrays no longer fit into memory that the process already has.
_FRAMES_TOGETHER: Final = 2000


def check_motion(
    motion: Motion, sentences: Mapping[str, str], signals: Signals | None = None
) -> list[Finding]:
    """Check the sentences of one motion.

    Args:
        motion: the motion.
        sentences: by field; fields without one are left out.
        signals: what was measured of the motion, where it is known already.

    Returns:
        A finding for each claim, in order of the fields and of telling.
    """
    evidence = gather([signals or measure(motion.joints, motion.fps)])
    return _findings(evidence[0], _read(sentences))


def makes_movements(motion: Motion, field: str, sentence: str) -> bool:
    """Tell whether a motion makes every movement that a sentence names, at any time and however often.

    Args:
        motion: the motion.
        field: the group or pair that the sentence is about.
        sentence: what it does; one that names no movement is not true of any motion.
    """
    claims = [
        claim._replace(time=None, often=0, borrowed=False)
        for claim in read_sentence(field, sentence)
        if not claim.is_pose
    ]
    evidence = gather([measure(motion.joints, motion.fps)])[0]
    return bool(claims) and all(judge(evidence, claim).verdict == SUPPORTED for claim in claims)


def check_motions(motions: Sequence[Motion], sentences: Sequence[Mapping[str, str]]) -> list[list[Finding]]:
    """Check the sentences of many motions; several times faster than one by one.

    Args:
        motions: the motions.
        sentences: of each, by field.

    Returns:
        The findings of each, as `check_motion` gives them.
    """
    # all reading before all measuring: to and fro between words and arrays, both would leave the cache
    read = [_read(texts) for texts in sentences]
    found: dict[int, list[Finding]] = {}
    for fps, some in _batches(motions):
        evidence = gather(measure_many([motions[i].joints for i in some], fps))
        found.update((i, _findings(one, read[i])) for i, one in zip(some, evidence, strict=True))
    return [found[i] for i in range(len(motions))]


def _batches(motions: Sequence[Motion]) -> Iterator[tuple[float, list[int]]]:
    """Motions of one frame rate to measure in one pass: (frames per second, their places)."""
    for fps in dict.fromkeys(motion.fps for motion in motions):
        some: list[int] = []
        frames = 0
        for i, motion in enumerate(motions):
            if motion.fps != fps:
                continue
            some.append(i)
            frames += len(motion.joints)
            if frames >= _FRAMES_TOGETHER:
                yield fps, some
                some, frames = [], 0
        if some:
            yield fps, some


def _read(sentences: Mapping[str, str]) -> list[tuple[str, tuple[Claim, ...]]]:
    return [(field, read_sentence(field, sentence)) for field, sentence in sentences.items()]


def _findings(evidence: Evidence, read: Sequence[tuple[str, tuple[Claim, ...]]]) -> list[Finding]:
    findings: list[Finding] = []
    for field, claims in read:
        if claims == (STILL_OF[field],) and evidence.shares[field] <= STILL_UP_TO:
            findings.append(_STILL[field])
            continue
        for claim in claims:
            verdict, seen = judge(evidence, claim)
            findings.append(Finding(field, _words(claim), verdict, seen))
        if len(claims) > 1:
            findings += broken_order(evidence, field, claims)
    return findings


def _words(claim: Claim) -> str:
    """A claim in short: "left arm raises, 0.5 to 1.2 s"."""
    text = _what(claim.about, claim.actions[0], claim.is_pose, claim.denied, claim.often)
    time = claim.time
    if time is None:
        return text
    if time.unit == "share":
        return f"{text}, {100 * time.start:.0f} to {100 * time.end:.0f} % of the time"
    if time.end > _LONGEST_S:
        return f"{text}, from {time.start:.1f} s on"
    return text + (
        f", at {time.start:.1f} s" if time.said == "point" else f", {time.start:.1f} to {time.end:.1f} s"
    )


@lru_cache(maxsize=10_000)
def _what(about: str, action: str, is_pose: bool, denied: bool, often: int) -> str:
    subject = " and ".join(_NAMES.get(group, group.replace("_", " ")) for group in about.split("__"))
    if is_pose:
        text = _POSES.get(action, "{} stays " + action).format(subject)
        return text.replace(" does not ", " do not ").replace(" stays ", " stay ") if "__" in about else text
    does = "do not: " if "__" in about else "does not: "
    text = f"{subject} {does if denied else ''}{words_of(about, action)}"
    if abs(often) > 1:
        text += f" {often} times" if often > 0 else " repeatedly"
    return text


_NAMES: Final = {"neck": "head"}
_POSES: Final = {
    STILL: "{} does not move",
    WRONG_PART: "the sentence is about another part than the {}",
    UNKNOWN: "{} is not determined",
}
_STILL: Final = {
    field: Finding(field, _what(field, STILL, True, False, 0), SUPPORTED, "") for field in FIELDS
}
