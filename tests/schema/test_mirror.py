"""Words in the mirror: sides change, everything else stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinmo_annotate.schema.mirror import mirror_text


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("The Left arm rises, then LEFT turns right.", "The Right arm rises, then RIGHT turns left."),
        ("He turns left-handed, leftwards, to his right.", "He turns right-handed, rightwards, to his left."),
        ("Leftmost; righthand; rightward", "Rightmost; lefthand; leftward"),
        ("The torso stays upright, bright and brightly.", "The torso stays upright, bright and brightly."),
        ("a leftover copyright", "a leftover copyright"),
        ("It turns clockwise.", "It turns anticlockwise."),
        ("Anticlockwise, anti-clockwise", "Clockwise, clockwise"),
        ("clockwise, then counterclockwise", "counterclockwise, then clockwise"),
        ("Counter-clockwise, counter clockwise", "Clockwise, clockwise"),
        ("The left elbow is bent at a right angle.", "The right elbow is bent at a right angle."),
        ("left_arm raise", "right_arm raise"),
        ("It moves right behind the left leg.", "It moves left behind the right leg."),
        ("No notable movement.", "No notable movement."),
        ("", ""),
    ],
)
def test_words_are_mirrored(text, mirrored):
    assert mirror_text(text) == mirrored


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("stands right in front of him, to the left", "stands right in front of him, to the right"),
        ("he steps to the right in front of her", "he steps to the left in front of her"),
        ("all right, he turns right then left", "all right, he turns left then right"),
        ("walks right away", "walks right away"),
    ],
)
def test_free_captions_keep_phrases_that_name_no_side(text, mirrored):
    assert mirror_text(text, free=True) == mirrored


words = [
    "left",
    "Right",
    "RIGHT",
    "clockwise",
    "anticlockwise",
    "right angle",
    "upright",
    "leftward",
    "arm",
    ", ",
]


@given(st.lists(st.sampled_from(words)).map(" ".join))
def test_mirroring_words_twice_changes_nothing(text):
    assert mirror_text(mirror_text(text)) == text
