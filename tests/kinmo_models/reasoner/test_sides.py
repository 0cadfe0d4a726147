"""Texts that name the right side first are read in the mirror."""

from __future__ import annotations

import pytest

from kinmo_models.reasoner.edits import KEEP, Edit
from kinmo_models.reasoner.sides import fields_in_mirror, in_mirror, right_first


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("a person waves with the right hand", True),
        ("a person waves with the left hand, then the right", False),
        ("a person walks", False),
        ("walks to the right, then to the left", True),
        ("turns clockwise", True),
        ("turns anticlockwise", False),
        ("stops right away and lifts the left knee", False),
        ("a right-handed throw", True),
    ],
)
def test_the_first_side_decides(text: str, right: bool):
    assert right_first(text) is right
    assert right_first(in_mirror(text)) is (not right and text != in_mirror(text))


def test_fields_change_places_and_words():
    fields = {"left_arm": "The left arm rises.", "torso": "It leans to the right."}
    turned = fields_in_mirror(fields)
    assert turned == {"torso": "It leans to the left.", "right_arm": "The right arm rises."}
    assert fields_in_mirror(turned) == dict(reversed(fields.items()))


def test_an_edit_in_the_mirror_is_that_of_the_mirror_image(said):
    plain, mirrored = said("a person waves with the right hand", right_arm="The right arm waves.")
    after = tuple(KEEP for _ in plain.fields)
    edit = Edit("other", plain, "turn to the left", "a person turns left", after)
    turned = edit.in_mirror()
    assert turned == Edit("other", mirrored, "turn to the right", "a person turns right", after)
    assert turned.in_mirror() == edit
