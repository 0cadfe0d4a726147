import pytest

from kinmo_annotate.posecodes import phrases
from kinmo_annotate.posecodes.facts import FACTS, INDEX, MARGIN, mirror_key
from kinmo_annotate.posecodes.mined import DROPPED, IMPLIED
from kinmo_annotate.posecodes.rules import RULES
from kinmo_annotate.schema.skeleton import GROUP_NAMES, MIRROR_GROUP


def test_each_fact_is_told_once():
    assert len(INDEX) == len(FACTS)
    assert len([fact for fact in FACTS if fact.relation.startswith("aligned")]) == 144


def test_a_mirror_shows_a_fact_and_back():
    for key in INDEX:
        mirrored = mirror_key(key)
        assert mirrored in INDEX
        assert mirror_key(mirrored) == key
        groups = {MIRROR_GROUP[name] for name in FACTS[INDEX[key]].groups}
        assert groups == FACTS[INDEX[mirrored]].groups


@pytest.mark.parametrize(
    ("key", "groups"),
    [
        ("left_elbow square_bend", {"left_arm"}),
        ("left_hand close right_knee", {"left_arm", "right_leg"}),
        ("right_foot behind torso", {"right_leg", "torso"}),
        ("both_leg kneel", {"left_leg", "right_leg"}),
        ("left_hand above neck", {"left_arm", "neck"}),
        ("body bent_forward", {"torso"}),
        ("head head_left", {"neck"}),
    ],
)
def test_groups(key, groups):
    assert FACTS[INDEX[key]].groups == groups
    assert groups <= set(GROUP_NAMES)


def test_no_category_that_only_feeds_others_is_sayable():
    """Upstream lets these out: shoulder-width elbows and knees, closeness of limbs to the torso."""
    for key in (
        "left_elbow shoulder_width right_elbow",
        "left_knee shoulder_width right_knee",
        "left_elbow close torso",
        "left_hand close torso",
        "left_knee on_ground",
    ):
        assert key not in INDEX


def test_intervals_are_wider_than_their_dead_bands():
    for fact in FACTS:
        for cut in (cut for recipe in fact.recipes for cut in recipe):
            if cut.low is not None and cut.high is not None:
                assert cut.high - cut.low >= 2 * MARGIN[cut.measure[0]] - 1e-9


def test_rules_name_facts_and_silence_no_cause():
    for a, b, c in RULES:
        assert {a, b or a, c} <= set(INDEX)
        assert c not in (a, b)
    assert set(INDEX) >= DROPPED
    mirrored = {
        (frozenset((mirror_key(a), mirror_key(b) if b else "")), mirror_key(c)) for a, b, c in IMPLIED
    }
    assert mirrored == {(frozenset((a, b)), c) for a, b, c in IMPLIED}


def test_each_relation_has_words():
    for fact in FACTS:
        bank = phrases.ALONE if fact.object is None else phrases.WITH_OBJECT
        assert len(bank[fact.relation]) >= 2
    for bank in (phrases.WITH_OBJECT, phrases.TORSO):
        assert all(
            "{o}" in phrase or phrase == "out in front"
            for bank_phrases in bank.values()
            for phrase in bank_phrases
        )
