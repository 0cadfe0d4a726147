"""The form of a question and its answer: a line for each text, under its name.

    caption: a person waves            caption: a person walks
    torso: No notable movement.        torso: The torso moves forward.  (and so on, what was said before)
    neck: No notable movement.         instruction: wave with the left hand too
    left_arm: The left arm waves.      caption: a person walks and waves with the left hand
    ...                                torso: =
                                       left_arm: The left arm waves.  ...

Everything up to the caption, or up to the instruction, is the question; what is written after the names of
the answer is learned. In the answer of an edit `=` says that a field stays as it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from kinmo_annotate.schema.records import NOT_DETERMINED
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES

CAPTION: Final = "caption"
INSTRUCTION: Final = "instruction"
KEEP: Final = " ="
END: Final = "\n"
ALL: Final = tuple(range(len(FIELDS)))  # places of the fields
NAMES: Final = (CAPTION, INSTRUCTION, *FIELDS)

# What could be taken for a part of the form: names end in a colon, lines in an end of line.
_FORM: Final = re.compile(r"[^\w\s.,;'’!?%°/()+-]|_")
_LINE: Final = re.compile(r"\s+")


class Piece(NamedTuple):
    """A part of a text that is made into tokens by itself, so that its ends are the ends of tokens.

    Attributes:
        text: what it says.
        learned: whether the model has to write it.
    """

    text: str
    learned: bool = False


def clean(text: str) -> str:
    """Make a text of a user one line without any mark of the form, whatever it holds.

    Line ends, colons, tags, braces and control characters become spaces; letters and digits stay.
    """
    return _LINE.sub(" ", _FORM.sub(" ", text)).strip()


def clean_caption(text: str, most_words: int) -> str:
    """Give a caption, or an instruction, as the model reads it: in small letters, without its full stop."""
    words = clean(text).lower().rstrip(".!? ").split()
    return " ".join(words[:most_words])


def line(name: str, text: str, learned: bool = False) -> list[Piece]:
    """Give the pieces of one line: its name, its text, its end."""
    said = text if text == KEEP else f" {text}"
    return [Piece(f"{name}:"), Piece(said, learned), Piece(END, learned)]


def caption_question(caption: str) -> list[Piece]:
    """Ask for the 21 fields of a caption, which is clean."""
    return line(CAPTION, caption)


def caption_answer(fields: Sequence[str], shown: Sequence[int] = ALL) -> list[Piece]:
    """Answer with the 21 fields, or with some; what is not determined is shown, and not learned."""
    return [
        piece
        for place in shown
        for piece in line(FIELDS[place], fields[place], fields[place] != NOT_DETERMINED)
    ]


def edit_question(caption: str, fields: Mapping[str, str], instruction: str, source: str) -> list[Piece]:
    """Ask for an edit.

    Args:
        caption: before, clean.
        fields: before, clean, by name.
        instruction: clean.
        source: which of the fields are told, "all" or "groups".
    """
    told = GROUP_NAMES if source == "groups" else FIELDS
    lines = [line(CAPTION, caption), *(line(name, fields[name]) for name in told)]
    return [piece for one in [*lines, line(INSTRUCTION, instruction)] for piece in one]


def edit_answer(caption: str, fields: Sequence[str], shown: Sequence[int] = ALL) -> list[Piece]:
    """Answer with the edited caption and the fields, of which those that stay say `KEEP`."""
    return [*line(CAPTION, caption, True), *caption_answer(fields, shown)]


def as_sentence(text: str) -> str:
    """Give what was written as a sentence: spaces tidied, a full stop at its end."""
    said = " ".join(text.split()).rstrip(",;: ")
    return said if said.endswith((".", "!", "?")) else f"{said}."
