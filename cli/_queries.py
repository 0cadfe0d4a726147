"""What a person searches for: texts, or a motion file; and what to say of a query that will not do well."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ._common import WRONG_USAGE, fail

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOTION_ENDINGS: Final = (".bvh", ".npy", ".npz")
_MOST_WORDS: Final = 90  # about 128 tokens, which is what the language models read
_MOST_LINES: Final = 10_000
_MOST_BYTES: Final = 1 << 20
# Small words that are frequent in one language, and are no English words.
_FOREIGN: Final = {
    "German": "der die das und ein eine einen mit den dem nach person jemand linken rechten",
    "French": "un une le la les avec et personne main gauche droite vers jambe quelqu",
    "Spanish": "una un el la los con y persona mano izquierda derecha hacia pierna alguien",
    "Italian": "una un il la con e persona mano sinistra destra verso gamba qualcuno",
    "Portuguese": "uma um o a com e pessoa esquerda direita para perna alguém",
}
_ENGLISH: Final = (
    "a an the person someone man woman figure and with then to his her their left right hand arm leg of in is"
    " walks walk forward up down on while waves wave jumps jump turns turn"
)


@dataclass(frozen=True)
class Query:
    """One thing to search for: a text, or the joints (T, 22, 3) of a motion; and how it is shown."""

    label: str
    text: str = ""
    joints: NDArray[np.float32] | None = None


def read_queries(given: str, mapping: Path | None) -> list[Query]:
    """Read what was asked: a text, a motion file, or `-` for a text a line on stdin.

    Raises:
        typer.Exit: there is nothing to search for.
        MotionError: the motion file cannot be used.
    """
    if given == "-":
        return _from_lines(sys.stdin.read(_MOST_BYTES))
    path = Path(given)
    if path.suffix.lower() in _MOTION_ENDINGS:
        return [_from_file(path, mapping)]
    if mapping is not None:
        fail("--mapping is for a query that is a BVH file", "Leave it out.", WRONG_USAGE)
    if path.suffix and " " not in given and path.is_file():
        known = ", ".join(_MOTION_ENDINGS)
        fail(f"{given}: is a file of another kind than {known}", "Convert it to BVH first.", WRONG_USAGE)
    return [Query(_checked(given), _checked(given))]


def _from_lines(text: str) -> list[Query]:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if not lines:
        fail("stdin holds no query", "Give one text a line.", WRONG_USAGE)
    if len(lines) > _MOST_LINES:
        fail(f"stdin holds more than {_MOST_LINES:,} queries", "Give fewer at once.", WRONG_USAGE)
    return [Query(_checked(line), _checked(line)) for line in lines]


def _from_file(path: Path, mapping: Path | None) -> Query:
    from kinmo_annotate.sources import load_motion

    return Query(path.name, joints=load_motion(path, mapping).joints)


def _checked(text: str) -> str:
    words = " ".join(text.split())
    if not re.search(r"\w", words):
        remedy = 'Say what the person does: kinmo search "a person waves" --model RUN --index D.'
        fail("the query is empty", remedy, WRONG_USAGE)
    return words


def doubts(text: str) -> list[str]:
    """Say why a text may be understood badly: too long, or not in English."""
    found = []
    count = len(text.split())
    if count > _MOST_WORDS:
        found.append(
            f"the query has {count} words; what comes after the first {_MOST_WORDS} or so is not read."
        )
    language = _language(text)
    if language:
        found.append(f"the query looks {language}; models trained on English captions understand English.")
    return found


def _language(text: str) -> str:
    """Name the language that a text seems to be in; empty for English and where nothing tells."""
    letters = [letter for letter in text if letter.isalpha()]
    if sum(letter > "\u024f" for letter in letters) * 3 > len(letters):
        return "not to be in Latin letters"
    words = re.findall(r"\w+", text.lower())
    english = sum(word in _ENGLISH.split() for word in words)
    counts = {name: sum(word in small.split() for word in words) for name, small in _FOREIGN.items()}
    name = max(counts, key=lambda language: counts[language])
    return name if counts[name] >= 2 and counts[name] > english else ""
