"""The form: what users type cannot break it."""

from __future__ import annotations

import pytest

from kinmo_annotate.schema.records import NO_MOVEMENT, NOT_DETERMINED
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES
from kinmo_models.reasoner.form import (
    KEEP,
    as_sentence,
    caption_answer,
    clean,
    clean_caption,
    edit_answer,
    edit_question,
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a person\nleft_arm: waves", "a person left arm waves"),
        ("waves {torso} <b>twice</b> [bold]", "waves torso b twice /b bold"),
        ("  walks\t\r\n=\x00|  on ", "walks on"),
        ("walks 1.5 m, then it's (slowly) 50 % done!", "walks 1.5 m, then it's (slowly) 50 % done!"),
        ("une personne lève la main", "une personne lève la main"),
        ("\u202ea\u2066 b", "a b"),
    ],
)
def test_marks_of_the_form_are_taken_out(text: str, wanted: str):
    assert clean(text) == wanted


def test_captions_are_read_in_small_letters_without_full_stop_and_not_for_ever():
    assert clean_caption("A Person walks.", 80) == "a person walks"
    assert clean_caption("word " * 100, 5) == "word word word word word"
    assert clean_caption("...", 80) == ""


def test_an_answer_has_a_line_for_each_field_and_does_not_learn_what_is_not_determined():
    fields = [NOT_DETERMINED, *[NO_MOVEMENT] * 20]
    pieces = caption_answer(fields)
    text = "".join(piece.text for piece in pieces)
    assert [line.partition(":")[0] for line in text.splitlines()] == list(FIELDS)
    learned = [piece.text for piece in pieces if piece.learned]
    assert learned == [f" {NO_MOVEMENT}", "\n"] * 20


def test_an_edit_tells_what_was_said_and_answers_with_what_stays():
    fields = dict.fromkeys(FIELDS, "The body moves.")
    for source, names in (("groups", GROUP_NAMES), ("all", FIELDS)):
        question = "".join(p.text for p in edit_question("a person waves", fields, "stop", source))
        assert question.splitlines() == [
            "caption: a person waves",
            *(f"{name}: The body moves." for name in names),
            "instruction: stop",
        ]
    answer = "".join(p.text for p in edit_answer("a person stands", [KEEP] * 21))
    assert answer.splitlines() == ["caption: a person stands", *(f"{name}: =" for name in FIELDS)]


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (" The arm  rises ", "The arm rises."),
        ("It stops.", "It stops."),
        ("it rises, then,", "it rises, then."),
    ],
)
def test_what_was_written_is_a_sentence(written: str, wanted: str):
    assert as_sentence(written) == wanted
