"""Edits made from motions: what is asked, and what then stands there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kinmo_annotate.schema.records import NO_MOVEMENT
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_models.reasoner.edits import KINDS, Edit, Edits, Said
from kinmo_models.reasoner.form import KEEP, clean_caption

WALKS = {
    "torso": "The torso moves forward about 2.0 m throughout.",
    "left_leg": "The left leg takes three steps throughout.",
    "right_leg": "The right leg takes three steps throughout.",
    "left_leg__right_leg": "The left leg and the right leg alternate three times throughout.",
}
WAVES = {
    "left_arm": "The left arm rises at 0.8 s, then waves three times from 1.0 to 2.0 s.",
    "torso__left_arm": "The torso and the left arm move apart early on.",
}
BOWS = {"torso": "The torso bends forward at 0.8 s, then straightens up at 1.5 s."}


@pytest.fixture
def edits(said: Callable[..., tuple[Said, Said]]) -> Edits:
    motions = [
        said("a person walks forward", **WALKS),
        said("a person waves with the left hand", **WAVES),
        said("a person bows", **BOWS),
        said("a person bows twice", **BOWS),
    ]
    return Edits([[plain] for plain, _ in motions], [[mirrored] for _, mirrored in motions])


def drawn(edits: Edits, kind: str, place: int, turned: bool = False) -> list[Edit]:
    """Draw until there are a few of a kind."""
    random = np.random.default_rng(0)
    found = [edits.draw(place, turned, random) for _ in range(200)]
    return [one for one in found if one is not None and one.kind == kind]


def after_of(edit: Edit) -> tuple[str, ...]:
    """The 21 sentences after an edit, those that stay written out."""
    pairs = zip(edit.fields, edit.before.fields, strict=True)
    return tuple(old if new == KEEP else new for new, old in pairs)


def test_every_kind_is_drawn_and_clean(edits: Edits):
    random = np.random.default_rng(0)
    found = [edits.draw(place, turned, random) for _ in range(60) for place in range(4) for turned in (0, 1)]
    assert {one.kind for one in found if one} == set(KINDS)
    for one in found:
        assert one is not None
        assert one.instruction
        assert clean_caption(one.instruction, 80) == one.instruction
        assert clean_caption(one.caption, 80) == one.caption
        assert len(one.fields) == len(after_of(one)) == 21
        assert KEEP not in after_of(one)
        assert any(text != KEEP for text in one.fields) or one.caption != one.before.caption


def test_the_other_side_is_the_mirror_image(edits: Edits):
    found = drawn(edits, "side", 1)
    assert len({one.instruction for one in found}) > 5
    for one in found:
        after = dict(zip(FIELDS, after_of(one), strict=True))
        assert one.caption == "a person waves with the right hand"
        assert after["right_arm"] == WAVES["left_arm"].replace("left", "right")
        assert after["left_arm"] == NO_MOVEMENT
    assert any("right hand instead of the left hand" in one.instruction for one in found)


def test_more_keeps_what_is_done_and_adds_what_another_motion_does(edits: Edits):
    found = drawn(edits, "more", 0)
    lefts = [one for one in found if "left_arm" in changed(one)]
    assert lefts
    assert len(lefts) < len(found)  # the mirror image waves with the right
    for one in lefts:
        after = dict(zip(FIELDS, after_of(one), strict=True))
        assert one.caption == "a person walks forward and waves with the left hand"
        assert after["left_arm"] == WAVES["left_arm"]
        assert after["torso__left_arm"] == WAVES["torso__left_arm"]
        assert {name: after[name] for name in WALKS} == WALKS
    worded = {one.instruction for one in lefts}
    assert "wave with the left hand too" in worded
    assert "the left arm rises, then waves three times" in worded  # from the sentence, without its times


def test_nothing_is_added_to_an_arm_that_is_busy(edits: Edits):
    assert not [one for one in drawn(edits, "more", 1) if "left_arm" in changed(one)]


def test_another_motion_changes_few_groups_alone(edits: Edits):
    found = drawn(edits, "other", 2)
    assert {one.caption for one in found} == {
        "a person waves with the left hand", "a person waves with the right hand",
    }  # fmt: skip
    assert {changed(one) & {"left_leg", "right_leg", "neck"} == set() for one in found} == {True}
    assert not drawn(edits, "other", 0)  # walking differs from all others in three groups


def test_a_number_is_changed(edits: Edits):
    found = drawn(edits, "count", 2)
    assert {one.caption for one in found} == {"a person bows twice"}
    assert {"twice", "do it twice", "bow twice"} <= {one.instruction for one in found}


def test_chance_alone_decides(edits: Edits):
    once, again = (edits.draw(0, False, np.random.default_rng(5)) for _ in range(2))
    assert once == again


def changed(edit: Edit) -> set[str]:
    return {name for name, text in zip(FIELDS, edit.fields, strict=True) if text != KEEP}
