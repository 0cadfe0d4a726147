"""The truth beside the demo motions says what the joints do."""

from __future__ import annotations

import numpy as np
import pytest

from kinmo_annotate.schema.skeleton import FIELDS, FPS, JOINT, mirror_joints
from kinmo_annotate.schema.vocabulary import action_of, field_kind
from kinmo_annotate.sources.procedural import KINDS, make_kind, make_motion, mirror_event
from kinmo_annotate.sources.procedural.quantities import in_body_frame, quantities
from kinmo_annotate.sources.procedural.stage import Phase, Stage, Word
from kinmo_annotate.sources.procedural.truth import LISTED, SALIENT, TruthEvent, derive_truth, turning_points


def make(kind, seed=0, side=None):
    return make_kind(kind, np.random.default_rng(seed), "m", "train", side)


def salient(demo, field=None):
    return {(e.field, e.action) for e in demo.events if e.salient and field in (None, e.field)}


def between(demo, values, event):
    """Change of a per-frame quantity from an event's beginning to its end."""
    start, end = round(event.start_s * FPS), round(event.end_s * FPS)
    return values[end] - values[start]


@pytest.fixture(scope="module")
def demos():
    return [make_motion(21, index) for index in range(len(KINDS))]


def test_every_event_is_of_the_vocabulary_and_within_the_motion(demos):
    for demo in demos:
        assert demo.events, demo.kind
        for event in demo.events:
            assert event.field in FIELDS
            word = action_of(event.field, event.action)
            assert 0 <= event.start_s < event.end_s <= demo.motion.duration_s
            assert event.count >= 1
            if event.amount:
                assert event.amount >= LISTED * word.notable - 1e-9
            if event.salient and event.amount:
                assert event.amount >= SALIENT * word.notable - 1e-9


def test_every_kind_has_something_that_must_be_said(demos):
    assert all(salient(demo) for demo in demos)


def test_the_words_of_cycles_occur_in_the_set(demos):
    events = [event for demo in demos for event in demo.events]
    said = {(field_kind(event.field), event.action) for event in events}
    cycles = {
        "arm": ("wave", "circle", "swing"),
        "leg": ("step", "hop", "jump"),
        "neck": ("nod",),
        "torso": ("sway", "jump"),
        "pair": ("alternate", "together"),
    }
    for kind, actions in cycles.items():
        assert {(kind, action) for action in actions} <= said


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_raised_arm_rises_by_its_amount_and_the_other_does_not(side):
    demo = make("raise_arm_front", 3, side)
    event = next(e for e in demo.events if e.field == f"{side}_arm" and e.action == "raise")
    local = in_body_frame(demo.motion.joints.astype(float))
    height = local[:, JOINT[f"{side}_wrist"], 1] - local[:, JOINT[f"{side}_shoulder"], 1]
    assert between(demo, height, event) == pytest.approx(event.amount, abs=0.05)
    assert event.amount > 0.3
    other = "right" if side == "left" else "left"
    assert not [e for e in demo.events if e.field == f"{other}_arm"]
    assert (f"{side}_arm", "reach_forward") in salient(demo)
    assert (f"torso__{side}_arm", "open") in salient(demo)


def test_walking_counts_steps_and_measures_the_way():
    demo = make("walk_forward", 5)
    steps = {e.field: e.count for e in demo.events if e.action == "step"}
    text = " ".join(caption.text for caption in demo.motion.captions)
    for field, count in steps.items():
        foot = demo.motion.joints[:, JOINT[field.replace("leg", "foot")]]
        rests = foot[:, 1] < 0.002
        lifted = int(((~rests[1:]) & rests[:-1]).sum())
        assert lifted == count, (field, text)
    way = next(e for e in demo.events if e.action == "move_forward")
    assert demo.motion.joints[-1, 0, 2] == pytest.approx(way.amount, abs=0.02)
    assert {("left_arm__right_arm", "alternate"), ("left_leg__right_leg", "alternate")} <= salient(demo)


@pytest.mark.parametrize(("kind", "side", "action"), [
    ("turn_in_place", "left", "turn_left"), ("turn_in_place", "right", "turn_right"),
    ("sidestep", "left", "move_left"), ("sidestep", "right", "move_right"),
    ("lean_side", "left", "lean_left"), ("lean_side", "right", "lean_right"),
    ("twist", "left", "twist_left"), ("twist", "right", "twist_right"),
])  # fmt: skip
def test_sides_of_the_trunk(kind, side, action):
    demo = make(kind, 2, side)
    first = min((e for e in demo.events if e.salient and e.field == "torso"), key=lambda e: e.start_s)
    assert first.action == action


@pytest.mark.parametrize(("kind", "expected"), [
    ("crouch", {("torso", "sink"), ("torso", "rise"), ("left_leg", "bend"), ("right_leg", "bend")}),
    ("bow", {("torso", "bend_forward"), ("torso", "straighten")}),
    ("nod", {("neck", "nod")}),
    ("look_down", {("neck", "lower"), ("neck", "raise")}),
    ("sit_down", {("torso", "sink"), ("left_leg", "bend"), ("torso__left_leg", "close")}),
    ("stand_up", {("torso", "rise"), ("left_leg", "straighten"), ("torso__left_leg", "open")}),
    ("jump_in_place", {("left_leg", "jump"), ("right_leg", "jump")}),
    ("walk_backward", {("torso", "move_backward"), ("left_leg", "step")}),
])  # fmt: skip
def test_what_must_be_said(kind, expected):
    assert expected <= salient(make(kind, 4))


def test_a_crouch_lifts_no_foot():
    assert not [e for e in make("crouch", 6).events if e.action == "lift"]


def test_a_twist_alone_is_no_turn_that_must_be_said():
    for seed in range(6):
        assert not {action for _, action in salient(make("twist", seed))} & {"turn_left", "turn_right"}


def test_two_parts_come_in_order():
    demo = make("wave_then_bow", 1)
    wave = next(e for e in demo.events if e.action == "wave")
    bow = next(e for e in demo.events if e.action == "bend_forward")
    assert wave.end_s < bow.start_s


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_mirrored_truth_is_the_truth_of_the_other_side(kind):
    """But for events at a limit: the uniform skeleton's bones differ a little from side to side."""
    left, right = (make(kind, 8, side) for side in ("left", "right"))

    def sure(events):
        words = set()
        for e in events:
            limit = SALIENT * action_of(e.field, e.action).notable
            if e.salient and not (e.amount and e.amount < 1.15 * limit):
                words.add((e.field, e.action))
        return words

    mirrored = [mirror_event(event) for event in left.events]
    everything = {(e.field, e.action) for e in right.events}
    assert sure(mirrored) <= everything
    assert sure(right.events) <= {(e.field, e.action) for e in mirrored}
    assert len(left.motion.joints) == len(right.motion.joints)
    gap = np.abs(mirror_joints(left.motion.joints) - right.motion.joints).max()
    assert gap < 0.12  # idle sway and bone lengths apart


def test_quantities_of_a_still_body_do_not_change():
    joints = np.repeat(make("nod", 0).motion.joints[:1].astype(float), 5, axis=0)
    assert all(np.ptp(quantity.values) < 1e-9 for quantity in quantities(joints))


def test_a_still_stage_has_no_truth_but_its_words():
    stage = Stage(np.random.default_rng(0))
    stage.hold(2.0)
    assert derive_truth(stage.joints(), stage.phases) == ()
    phase = Phase(0, 20, cyclic=True, words=(Word("torso", "sway", 2),))
    assert derive_truth(stage.joints(), [phase]) == (TruthEvent("torso", "sway", 0.0, 1.0, 2),)


def test_idle_sway_is_no_event():
    """Breathing and sway alone stay below what is listed."""
    for seed in range(5):
        stage = Stage(np.random.default_rng(seed))
        stage.hold(6.0)
        whole = [Phase(0, stage.frame)]
        assert derive_truth(stage.joints(idle=1.0), whole) == ()


def test_turning_points_leave_out_small_runs():
    signal = np.array([0, 1, 2, 1.9, 2.5, 1, 0, 0.1, 0.0, 3.0])
    assert turning_points(signal, 0.5) == [0, 4, 6, 9]
    assert turning_points(np.zeros(4), 0.5) == [0, 3]
