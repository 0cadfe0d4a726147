"""From captions to what one asks for."""

from __future__ import annotations

import pytest

from kinmo_models.reasoner.imperative import imperative, plain_verb, split_subject


@pytest.mark.parametrize(
    ("caption", "wanted"),
    [
        ("a person waves with the left hand", "wave with the left hand"),
        ("someone slowly walks forward, then sits down", "slowly walk forward, then sit down"),
        ("a figure bends the knees and crouches down", "bend the knees and crouch down"),
        (
            "the person first bows once, afterwards kicks with the left foot",
            "bow once, afterwards kick with the left foot",
        ),
        ("a person does jumping jacks", "do jumping jacks"),
        ("the person stands with the legs and arms apart", "stand with the legs and arms apart"),
        ("a man passes by and lies down", "pass by and lie down"),
        ("hands go up", ""),
    ],
)
def test_captions_are_asked_for(caption: str, wanted: str):
    assert imperative(caption) == wanted


def test_verbs_lose_their_ending():
    verbs = ("waves", "pushes", "does", "carries", "crosses", "catches", "relaxes", "sit")
    assert [plain_verb(one) for one in verbs] == [
        "wave", "push", "do", "carry", "cross", "catch", "relax", "sit",
    ]  # fmt: skip


def test_the_subject_is_known_or_not():
    assert split_subject("a person is waving") == ("a person is ", "waving")
    assert split_subject("waving") == ("", "waving")
