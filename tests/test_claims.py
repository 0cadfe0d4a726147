"""Sentences read back into claims."""

import pytest

from kinmo_annotate.claims import read_claims
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
