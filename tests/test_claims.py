"""Sentences read back into claims."""

import pytest

from kinmo_annotate.claims import STILL, WRONG_PART, read_claims, read_sentence
from kinmo_annotate.describe import phrases
from kinmo_annotate.schema.records import NO_MOVEMENT
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_annotate.schema.vocabulary import ACTIONS

FIELD = {"torso": "torso", "neck": "neck", "arm": "left_arm", "leg": "right_leg", "pair": "torso__left_arm"}


def said(field: str, sentence: str) -> list[tuple[str, int]]:
    return [(c.action, c.count) for c in read_claims(field, sentence, 10.0)]


@pytest.mark.parametrize(
    ("kind", "action", "phrase"),
    [(k, a, p) for k, actions in phrases.VERBS.items() for a, ps in actions.items() for p in ps],
)
def test_every_phrase_is_read_as_its_own_action(kind: str, action: str, phrase: str) -> None:
    sentence = f"It {phrase.format(count='two steps')} at the start."
    assert [name for name, _ in said(FIELD[kind], sentence)] == [action]


@pytest.mark.parametrize(("action", "phrase"), [(a, p) for a, ps in phrases.PAIR_VERBS.items() for p in ps])
def test_every_phrase_of_a_pair_is_read_as_its_own_action(action: str, phrase: str) -> None:
    sentence = f"The torso and the left arm {phrase.format(joint='shoulder')} near the end."
    assert [name for name, _ in said("torso__left_arm", sentence)] == [action]


@pytest.mark.parametrize(("pair", "phrase"), list(phrases.BOTH.items()))
def test_movement_done_and_undone_is_two_claims(pair: frozenset[str], phrase: str) -> None:
    kinds = [k for k in FIELD if all((k, a) in ACTIONS for a in pair)]
    for kind in kinds:
        field = "left_arm__right_leg" if "{mover}" in phrase else FIELD[kind]
        text = phrase.format(joint="elbow", mover="left arm", other="right leg")
        claims = read_claims(field, f"It {text} three times throughout.", 10.0)
        assert {c.action for c in claims} == set(pair)
        assert {c.count for c in claims} == {3}


def test_every_word_of_the_vocabulary_can_be_said() -> None:
    sayable = {(k, a) for k, actions in phrases.VERBS.items() for a in actions}
    sayable |= {(k, a) for k in ("arm", "leg") for a in phrases.DIRECTIONS if (k, a) in ACTIONS}
    sayable |= {("pair", a) for a in [*phrases.PAIR_VERBS, *phrases.RELATIONS]}
    assert set(ACTIONS) == sayable


def test_a_relation_is_read_from_either_side() -> None:
    ours = said("left_arm__right_leg", "The left arm comes above the right leg.")
    theirs = said("left_arm__right_leg", "The right leg comes above the left arm.")
    assert (ours, theirs) == ([("above", 1)], [("below", 1)])


def test_time_and_count_belong_to_the_claims_before_them() -> None:
    text = "The left arm rises from 0.5 to 1.0 s, then waves from side to side three times near the end."
    rise, wave = read_claims("left_arm", text, 10.0)
    assert (rise.action, rise.start_s, rise.end_s, rise.count) == ("raise", 0.5, 1.0, 1)
    assert (wave.action, wave.count) == ("wave", 3)
    assert wave.start_s >= 5


@pytest.mark.parametrize("field", FIELDS)
def test_no_notable_movement_claims_nothing(field: str) -> None:
    assert read_claims(field, NO_MOVEMENT, 5.0) == []


def test_left_and_right_are_told_apart() -> None:
    assert said("torso", "The body turns left by about 90 degrees.") == [("turn_left", 1)]
    assert said("torso", "The body turns to the right.") == [("turn_right", 1)]


@pytest.mark.parametrize(
    ("field", "sentence", "actions"),
    [
        ("left_arm", "The left arm is lifted overhead and then drops back down.", ["raise", "lower"]),
        (
            "left_arm",
            "The left hand reaches forward, then retracts backward.",
            ["reach_forward", "pull_back"],
        ),
        ("left_arm", "The elbow flexes at 1.0s and extends at 1.8s.", ["bend", "straighten"]),
        ("left_arm", "The left arm waves side-to-side repeatedly.", ["wave"]),
        ("left_arm", "The left arm raises with a slight bend in the elbow.", ["raise"]),
        ("torso", "The body leans left, then right.", ["lean_left", "lean_right"]),
        ("torso", "The person squats down and stands up.", ["sink", "rise"]),
        ("torso", "The person walks forward and spins clockwise.", ["move_forward", "turn_right"]),
        ("torso", "The body shifts from side to side.", ["sway"]),
        ("neck", "The head looks down and then tilts back up.", ["lower", "raise"]),
        ("right_leg", "The right knee bends as the foot lifts off the ground.", ["bend", "lift"]),
        ("right_leg", "The right leg kicks forward.", ["swing_forward"]),
        ("left_arm__right_arm", "Both arms move apart and then come together.", ["part", "approach"]),
        (
            "torso__right_arm",
            "The torso and the right arm get closer, then farther apart.",
            ["approach", "part"],
        ),
        ("torso__right_arm", "The distance between the torso and the right arm increases.", ["part"]),
        ("left_leg__right_leg", "The left leg passes behind the right leg.", ["behind"]),
    ],
)
def test_sentences_in_other_words_are_read(field: str, sentence: str, actions: list[str]) -> None:
    assert [name for name, _ in said(field, sentence)] == actions


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("left_arm", "The left arm does not move."),
        ("left_arm", "The left arm stays still."),
        ("neck", "There is little movement of the head."),
        ("torso__left_arm", "No significant relative movement between the torso and the left arm."),
    ],
)
def test_stillness_is_a_claim_of_its_own(field: str, sentence: str) -> None:
    assert [(c.about, c.actions) for c in read_sentence(field, sentence)] == [(field, (STILL,))]


def test_what_is_denied_is_not_claimed() -> None:
    rise, bend = read_sentence("left_arm", "The left arm rises without bending.")
    assert (rise.actions, rise.denied, bend.actions, bend.denied) == (("raise",), False, ("bend",), True)
    assert said("left_arm", "The left arm rises without bending.") == [("raise", 1)]


def test_the_arm_that_is_named_is_the_one_it_is_about() -> None:
    both = read_sentence("left_arm__right_arm", "The left arm rises while the right arm stays still.")
    assert [(c.about, c.actions[0]) for c in both] == [("left_arm", "raise"), ("right_arm", STILL)]
    other = read_sentence("left_arm", "The right arm rises as the elbow bends.")
    assert [(c.about, c.actions[0]) for c in other] == [
        ("left_arm", WRONG_PART), ("right_arm", "raise"), ("right_arm", "bend"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sentence", "turns"),
    [
        ("The left arm rises, then lowers.", [0, 1]),
        ("The left arm rises before lowering.", [0, 1]),
        ("The left arm lowers after rising.", [0, -1]),
        ("After rising, the left arm lowers.", [0, 1]),
        ("Before lowering, the left arm rises.", [0, -1]),
        ("The left arm rises while bending.", [0, 0]),
    ],
)
def test_the_order_is_read_from_the_links(sentence: str, turns: list[int]) -> None:
    assert [c.turn for c in read_sentence("left_arm", sentence)] == turns


@pytest.mark.parametrize(
    ("words", "span"),
    [
        ("from 0.5 to 1.2 s", (0.5, 1.2)),
        ("(0.5-1.2 s)", (0.5, 1.2)),
        ("between 0.5 and 1.2 seconds", (0.5, 1.2)),
        ("from 0.5s to 1.2s", (0.5, 1.2)),
        ("in the first half", (0.0, 5.0)),
        ("in the second half", (5.0, 10.0)),
        ("in the last third", (20 / 3, 10.0)),
        ("between 20% and 60% of the motion", (2.0, 6.0)),
        ("throughout", (0.0, 10.0)),
    ],
)
def test_times_are_read_in_many_ways(words: str, span: tuple[float, float]) -> None:
    for sentence in (f"The left arm rises {words}.", f"{words.capitalize()}, the left arm rises."):
        claim = read_claims("left_arm", sentence, 10.0)[0]
        assert (claim.start_s, claim.end_s) == pytest.approx(span)
