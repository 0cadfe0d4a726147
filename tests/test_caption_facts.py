"""What captions determine, and planted errors of side, direction and part."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kinmo_annotate.caption_facts import DIRECTION, PART, SIDE, CaptionReport, determined, score_captions
from kinmo_annotate.schema.records import NO_MOVEMENT, Motion, Source
from kinmo_annotate.schema.skeleton import FIELDS, LATERAL, mirror_joints
from kinmo_annotate.signals import measure
from kinmo_annotate.sources.procedural import make_kind
from kinmo_annotate.verify.evidence import gather

CAPTION = "a person raises the left arm"
RIGHT = {"left_arm": "The left arm rises and then lowers."}


@pytest.fixture
def lifts(arm_motion: Callable[[int], np.ndarray]) -> Motion:
    """The left arm goes up and comes down again."""
    return Motion("lifts", arm_motion(1), Source("made up", "lifts"))


@pytest.fixture
def strafes(arm_motion: Callable[[int], np.ndarray]) -> Motion:
    """A stiff figure glides to its left."""
    rest = np.repeat(arm_motion(1)[:1], 40, axis=0)
    rest[..., LATERAL] += np.linspace(0, 2, 40)[:, None]
    return Motion("strafes", rest, Source("made up", "strafes"))


def scored(motion: Motion, caption: str, **sentences: str) -> CaptionReport:
    return score_captions([motion], [caption], [dict.fromkeys(FIELDS, NO_MOVEMENT) | sentences])


def shares(report: CaptionReport) -> dict[str, float | None]:
    return {name: one.share for name, one in report.shares.items()}


def test_right_sentences_are_right(lifts: Motion):
    report = scored(lifts, CAPTION, **RIGHT)
    assert shares(report) == {PART: 1.0, SIDE: 1.0, DIRECTION: 1.0}
    assert (report.captions, report.determined, report.contradicted) == (1, 1, 0)
    assert report.claims == 2
    assert report.wrong == []


def test_the_other_side_is_wrong(lifts: Motion):
    report = scored(lifts, CAPTION, right_arm="The right arm rises and then lowers.")
    assert shares(report) == {PART: 0.0, SIDE: 0.0, DIRECTION: 0.0}
    assert report.contradicted == 2
    both = scored(lifts, CAPTION, **RIGHT, right_arm="The right arm rises.")
    assert shares(both)[SIDE] < 1.0
    assert shares(both)[PART] == 1.0


def test_the_opposite_direction_is_wrong(strafes: Motion):
    caption = "a person moves to the left"
    assert shares(scored(strafes, caption, torso="The body moves to the left."))[DIRECTION] == 1.0
    wrong = scored(strafes, caption, torso="The body moves to the right.")
    assert shares(wrong) == {PART: 1.0, SIDE: 0.0, DIRECTION: 0.0}
    both = scored(strafes, caption, torso="The body moves to the left, then moves to the right.")
    assert shares(both)[DIRECTION] == 0.0
    caption_, question, fact, sentence = wrong.wrong[0]
    assert (caption_, question, fact.group) == (caption, SIDE, "torso")
    assert sentence == "The body moves to the right."


def test_silence_is_wrong(lifts: Motion):
    assert shares(scored(lifts, CAPTION)) == {PART: 0.0, SIDE: 0.0, DIRECTION: 0.0}


def test_what_the_motion_does_not_do_is_not_determined(lifts: Motion):
    report = scored(lifts, "a person kicks with the right leg", **RIGHT)
    assert report.determined == 0
    assert shares(report) == {PART: None, SIDE: None, DIRECTION: None}
    assert report.as_dict()[SIDE] == {"right": 0, "of": 0, "share": None}


@pytest.mark.parametrize(
    ("caption", "legs"),
    [
        ("a person squats down and comes up again", set()),
        ("a person lowers both feet", {"left_leg", "right_leg"}),
        ("a person lifts the left knee", {"left_leg"}),
    ],
)
def test_what_comes_up_is_the_body_unless_a_leg_is_named(caption: str, legs: set[str]):
    jumps = make_kind("crouch_then_jump", np.random.default_rng(0), "jumps", "test").motion
    found = determined(gather([measure(jumps.joints, jumps.fps)])[0], caption)
    assert {fact.group for fact in found if fact.actions & {"lift", "lower"}} == legs


def test_a_change_of_place_of_one_limb_alone_is_not_determined(lifts: Motion):
    """Whether limbs cross is measured between two of them: nothing tells it of one."""
    facts = determined(gather([measure(lifts.joints, lifts.fps)])[0], "a person crosses the arms")
    assert {"left_arm"} == {fact.group for fact in facts}  # it moves in, coming down
    assert not any("cross" in fact.actions for fact in facts)


def test_a_side_is_asked_only_where_one_side_alone_moves(lifts: Motion):
    """A figure whose arms both rise: either may be said."""
    joints = lifts.joints.copy()
    turned = mirror_joints(joints)
    for joint in (17, 19, 21):
        joints[:, joint] = turned[:, joint]
    both = Motion("both", joints, Source("made up", "both"))
    report = scored(both, "a person raises both arms", **RIGHT, right_arm="The right arm rises.")
    assert report.shares[SIDE].of == 0
    assert report.shares[PART].of == 2
    assert shares(report)[PART] == 1.0
    assert shares(scored(both, "a person raises both arms", **RIGHT))[PART] == 0.5


def test_when_and_how_often_is_not_asked(lifts: Motion):
    sentence = "The left arm rises and lowers five times from 7.0 to 8.0 s."
    report = scored(lifts, CAPTION, left_arm=sentence)
    assert shares(report)[PART] == 1.0
    assert report.contradicted == 0
