"""The fact check on sentences written by hand, about motions that are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kinmo_annotate.describe import describe_motion
from kinmo_annotate.schema.records import NO_MOVEMENT, NOT_DETERMINED, Motion, Source
from kinmo_annotate.schema.skeleton import FIELDS, mirror_joints
from kinmo_annotate.signals import measure
from kinmo_annotate.sources.procedural import make_kind
from kinmo_annotate.verify import (
    CONTRADICTED,
    NOT_CHECKABLE,
    SUPPORTED,
    VERDICTS,
    Finding,
    check_motion,
    check_motions,
    makes_movements,
)


def demo(kind: str, side: str | None = None) -> Motion:
    return make_kind(kind, np.random.default_rng(5), "000000", "train", side).motion


@pytest.fixture(scope="module")
def lifts_left(arm_motion: Callable[[int], np.ndarray]) -> Motion:
    """Standing, the left arm goes up by the side from 0 to 1.1 s and comes down again until 2.2 s."""
    return Motion("up", arm_motion(5), Source("made up", ""))


def verdicts(motion: Motion, field: str, sentence: str) -> list[str]:
    return [f.verdict for f in check_motion(motion, {field: sentence})]


@pytest.mark.parametrize(
    "sentence",
    [
        "The left arm raises from 0.0 to 1.0 s, then lowers from 1.2 to 2.2 s.",
        "The left arm is lifted out to the side and comes back down near the end.",
        "In the first half the person's left hand moves upward.",
        "The left arm first elevates (0.1-1.0 s) and after that descends.",
        "The left arm goes up without bending.",
        "The left arm lowers in the second half, after being raised in the first.",
    ],
)
def test_true_sentences_are_supported(lifts_left: Motion, sentence: str) -> None:
    found = verdicts(lifts_left, "left_arm", sentence)
    assert found
    assert set(found) == {SUPPORTED}


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("left_arm", "The left arm lowers from 0.0 to 1.0 s."),  # the other way
        ("left_arm", "The left arm lowers, then raises."),  # wrong order
        ("left_arm", "The left arm lowers at 1.7 s, then raises at 0.5 s."),  # times against the words
        ("left_arm", "Before raising, the left arm lowers."),
        ("left_arm", "The left arm raises five times."),  # wrong count
        ("left_arm", "The left arm waves repeatedly."),  # did not happen
        ("left_arm", "The left arm bends at the elbow."),
        ("left_arm", "The left arm remains stationary."),
        ("left_arm", NO_MOVEMENT),
        ("left_arm", "The left arm stays raised overhead from 2.0 to 2.2 s."),
        ("left_arm", "The right arm raises from 0.0 to 1.0 s."),  # the wrong part in this place
        ("left_arm", "The left arm does not move."),
        ("right_arm", "The right arm raises from 0.0 to 1.0 s."),  # the wrong side
        ("torso", "The torso sways from side to side."),
        ("torso", "The person walks forward about 1.5 m."),
        ("left_leg", "The left leg takes two steps."),
        ("torso__left_arm", "The torso and the left arm close at the shoulder early on."),
        ("left_arm__right_arm", "Both arms rise."),
        ("left_arm__right_arm", "The left arm stays still while the right arm rises."),
    ],
)
def test_false_sentences_are_contradicted(lifts_left: Motion, field: str, sentence: str) -> None:
    assert CONTRADICTED in verdicts(lifts_left, field, sentence)


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("right_arm", "The right arm does not move."),
        ("right_arm", "The right arm stays still at the side."),
        ("right_arm", NO_MOVEMENT),
        ("right_arm", "There is no noticeable movement of the right arm."),
        ("torso", "The torso remains upright."),
        ("left_arm__right_arm", "The left arm rises while the right arm stays still."),
        ("torso__left_arm", "The torso and the left arm open at the shoulder, then close at the shoulder."),
    ],
)
def test_stillness_and_states_are_read_as_such(lifts_left: Motion, field: str, sentence: str) -> None:
    found = verdicts(lifts_left, field, sentence)
    assert found
    assert CONTRADICTED not in found


@pytest.mark.parametrize("sentence", ["", "It is a nice day.", "The left arm shimmers.", "7x 12th ((( ° %"])
def test_what_cannot_be_read_is_no_claim(lifts_left: Motion, sentence: str) -> None:
    assert check_motion(lifts_left, {"left_arm": sentence}) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "The left arm rises at " + "9" * 400 + " s and 1/a 2_b 3é 7x times.",
        "The left arm rises from 900 to 2 s, then lowers after 99999 s.",
        "The left arm rises, then lowers. " * 2000,
        "then then, after, before %%% from 3 to 5 % of ((0.5-",
    ],
)
def test_nonsense_ends_in_verdicts(lifts_left: Motion, sentence: str) -> None:
    assert set(verdicts(lifts_left, "left_arm", sentence)) <= set(VERDICTS)


def test_not_determined_cannot_be_checked(lifts_left: Motion) -> None:
    assert verdicts(lifts_left, "neck", NOT_DETERMINED) == [NOT_CHECKABLE]


def test_a_finding_says_what_happens_instead(lifts_left: Motion) -> None:
    found = check_motion(lifts_left, {"left_arm": "The left arm lowers from 0.0 to 1.0 s."})[0]
    assert found.claim == "left arm lowers, 0.0 to 1.0 s"
    assert "raises by 0." in found.evidence
    assert " m" in found.evidence
    assert found.check() == found.check().__class__("left_arm", found.claim, CONTRADICTED)


def test_a_hand_above_the_head_is_no_claim_on_the_whole_arm(lifts_left: Motion) -> None:
    sentence = "The left hand rises above the head."
    assert CONTRADICTED not in verdicts(lifts_left, "neck__left_arm", sentence)


def test_counts_and_sizes_are_judged() -> None:
    jumps = demo("jumping_jacks")
    count = next(
        e.count
        for e in make_kind("jumping_jacks", np.random.default_rng(5), "0", "train").events
        if e.action == "jump"
    )
    assert verdicts(jumps, "torso", f"The torso jumps {count} times.") == [SUPPORTED]
    assert verdicts(jumps, "torso", f"The torso jumps {2 * count + 2} times.") == [CONTRADICTED]
    walk = demo("walk_forward")
    assert verdicts(walk, "torso", "The body moves forward about 30 m.") == [CONTRADICTED]
    assert verdicts(walk, "torso", "The body walks forward.") == [SUPPORTED]


@pytest.mark.parametrize("side", ["left", "right"])
def test_turns_are_told_by_side(side: str) -> None:
    turn = demo("turn_in_place", side)
    other = "right" if side == "left" else "left"
    clockwise = {"left": "anticlockwise", "right": "clockwise"}
    for words in ("turns {}", "rotates to the {}"):
        assert verdicts(turn, "torso", f"The torso {words.format(side)}.") == [SUPPORTED]
        assert verdicts(turn, "torso", f"The torso {words.format(other)}.") == [CONTRADICTED]
    assert verdicts(turn, "torso", f"The body spins {clockwise[side]}.") == [SUPPORTED]
    assert verdicts(turn, "torso", f"The body spins {clockwise[other]}.") == [CONTRADICTED]


def test_many_are_checked_like_one() -> None:
    motions = [demo(kind) for kind in ("wave", "walk_forward", "hop", "bow")]
    slow = Motion("slow", motions[0].joints, motions[0].source, fps=10.0)
    motions.insert(2, slow)
    sentences = [describe_motion(m, seed=1) for m in motions]
    many = check_motions(motions, sentences)
    assert many == [check_motion(m, s) for m, s in zip(motions, sentences, strict=True)]
    assert all(f.verdict in VERDICTS and f.field in FIELDS for found in many for f in found)
    assert check_motions([], []) == []


def test_signals_that_are_known_are_not_measured_again(lifts_left: Motion) -> None:
    mirrored = measure(mirror_joints(lifts_left.joints), 20.0)
    found = check_motion(lifts_left, {"right_arm": "The right arm raises."}, mirrored)
    assert found == [Finding("right_arm", "right arm raises", SUPPORTED, found[0].evidence)]


@pytest.mark.parametrize("frames", [2, 3, 5])
def test_the_shortest_motions_are_checked(arm_motion: Callable[[int], np.ndarray], frames: int) -> None:
    motion = Motion("short", arm_motion(1)[:frames], Source("made up", ""))
    sentence = {
        "left_arm": "The left arm raises at 0.0 s, then waves twice and circles near the end.",
        "left_leg": "The left leg takes two steps, jumps and hops.",
        "left_arm__right_arm": "The arms cross, alternate twice, move together and come above each other.",
        "neck": "The head nods three times from 5 to 9 s.",
    }
    assert all(f.verdict in VERDICTS for f in check_motion(motion, sentence))


def test_a_time_without_an_end_is_told_as_one(lifts_left):
    (found,) = check_motion(lifts_left, {"left_arm": "The left arm lowers after 1.2 s."})
    assert found.claim == "left arm lowers, from 1.2 s on"


def test_movements_are_looked_for_at_any_time_and_any_number_of_times(lifts_left: Motion) -> None:
    for sentence, made in (
        ("The left arm rises five times from 9.0 to 9.5 s, then lowers.", True),
        ("The left arm rises, then makes a full circle.", False),
        ("The left arm lowers inward, and finally kicks the ball.", True),
        ("No notable movement.", False),
        ("Not determined.", False),
    ):
        assert makes_movements(lifts_left, "left_arm", sentence) is made, sentence
    assert not makes_movements(lifts_left, "right_arm", "The right arm rises.")
