"""From what is said of a motion to what is asked for: "a person waves twice" to "wave twice"."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_SUBJECT: Final = re.compile(
    r"^(?:(?:the|a|an|this|one)\s+(?:person|figure|man|woman|human|someone|character|individual|performer)"
    r"|someone|somebody|he|she|they)\s+(?:is\s+)?(?:first\s+)?"
)
_IRREGULAR: Final = {"is": "be", "has": "have", "does": "do", "goes": "go", "lies": "lie", "ties": "tie"}
_ADVERB: Final = re.compile(r"\w+ly$|^(?:just|again|then|now)$")
_LINKS: Final = frozenset(("and", "then", "afterwards", "before", "while"))
# Words in -s that follow a link and are no verbs.
_NOUNS: Final = frozenset(
    (
        "arms", "as", "elbows", "feet", "fists", "hands", "hips", "his", "is", "its", "knees", "legs",
        "shoulders", "sides", "steps", "this", "times",
    )
)  # fmt: skip


def split_subject(caption: str) -> tuple[str, str]:
    """Split a clean caption into its subject and what that does; the subject is "" where none is known."""
    found = _SUBJECT.match(caption)
    return ("", caption) if found is None else (caption[: found.end()], caption[found.end() :])


@lru_cache(maxsize=1 << 14)
def imperative(caption: str) -> str:
    """Ask for what a caption says, in small letters; "" where it cannot be told who does it.

    "a person slowly walks forward, then sits down" becomes "slowly walk forward, then sit down".
    """
    subject, said = split_subject(caption)
    if not subject:
        return ""
    words = said.split()
    verb_is_next = True
    for place, word in enumerate(words):
        bare = word.rstrip(",")
        if verb_is_next and not _ADVERB.search(bare) and bare not in _LINKS:
            if _is_verb(bare):
                words[place] = plain_verb(bare) + word[len(bare) :]
            verb_is_next = False
        if bare in _LINKS or (word.endswith(",") and place):
            verb_is_next = True
    return " ".join(words)


def _is_verb(word: str) -> bool:
    return word in _IRREGULAR or (
        len(word) > 3 and word.endswith("s") and word[-2] not in "su'" and word not in _NOUNS
    )


def plain_verb(verb: str) -> str:
    """Give a verb in the third person as it is asked for: "crouches" becomes "crouch"."""
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("ies"):
        return f"{verb[:-3]}y"
    if re.search(r"(?:ss|sh|ch|x|zz)es$", verb):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") else verb
