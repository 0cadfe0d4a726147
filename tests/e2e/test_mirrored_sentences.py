"""Sentences of the kinematic describer with left and right exchanged, held against real motions."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from kinmo_annotate.describe import describe_motion
from kinmo_annotate.differences import find_differences
from kinmo_annotate.schema.records import Event, Motion
from kinmo_annotate.schema.skeleton import FIELDS, mirror_field, mirror_joints
from kinmo_annotate.schema.vocabulary import action_of
from kinmo_annotate.sources import open_source
from kinmo_annotate.verify import CONTRADICTED, Finding, check_motions

TIME_S = 0.5
# A motion is not symmetric when it lacks something that its mirror image does this plainly, times notable.
PLAIN = 1.5


def mirrored(sentences: dict[str, str]) -> dict[str, str]:
    """Each sentence with its sides exchanged, in the place of the other side."""
    other = {"left": "right", "right": "left"}
    return {
        mirror_field(field): re.sub(r"\b(left|right)\b", lambda m: other[m[0]], text)
        for field, text in sentences.items()
    }


def is_plain(event: Event) -> bool:
    action = action_of(event.field, event.action)
    if event.action in ("together", "alternate"):  # told of some pairs that keep time, and not of others
        return False
    return action.unit == "cycles" or event.amount >= PLAIN * action.notable


def is_symmetric(motion: Motion) -> bool:
    """Whether everything plain that the mirror image does, the motion does as well, at about that time."""
    own, other = (
        find_differences(j, motion.fps).events for j in (motion.joints, mirror_joints(motion.joints))
    )
    return all(
        any(
            e.action == o.action and e.start_s <= o.end_s + TIME_S and o.start_s <= e.end_s + TIME_S
            for e in own[field]
        )
        for field in FIELDS
        for o in other[field]
        if is_plain(o)
    )


def wrong(findings: list[Finding]) -> int:
    return sum(f.verdict == CONTRADICTED for f in findings)


def rates(motions: list[Motion]) -> dict[str, float]:
    sentences = [describe_motion(m, seed=5) for m in motions]
    as_they_are = check_motions(motions, sentences)
    swapped = check_motions(motions, [mirrored(s) for s in sentences])
    count: Counter[str] = Counter()
    for motion, own, other in zip(motions, as_they_are, swapped, strict=True):
        count.update(claims=len(own), wrong=wrong(own), motions_with_any=wrong(own) > 0)
        if not is_symmetric(motion):
            count.update(asymmetric=1, found=wrong(other) > 0, more=wrong(other) > wrong(own))
    return {
        "asymmetric": count["asymmetric"],
        "found": count["found"] / max(1, count["asymmetric"]),
        "more than unswapped": count["more"] / max(1, count["asymmetric"]),
        "wrong per claim": count["wrong"] / count["claims"],
        "motions with any wrong": count["motions_with_any"] / len(motions),
    }


@pytest.mark.parametrize(("step", "least"), [(60, 0.9), pytest.param(10, 0.95, marks=pytest.mark.slow)])
def test_swapped_sides_are_found_in_real_motions(shared_data: Path, step: int, least: float) -> None:
    source = open_source(shared_data / "mocap")
    motions = [source.load(entry) for entry in list(source.entries())[3::step]]
    found = rates(motions)
    print({name: round(rate, 4) for name, rate in found.items()})  # noqa: T201
    assert found["asymmetric"] >= len(motions) / 2
    assert found["found"] >= least
    assert found["wrong per claim"] <= 0.03
