"""Words seen in a mirror: left and right, clockwise and anticlockwise exchanged."""

from __future__ import annotations

import re
from typing import Final

_ENDING: Final = r"(?:wards?|most|hand(?:ed|er|ers)?|foot(?:ed)?|sided?|y)?(?![A-Za-z])"
_CLOCK: Final = r"(?:anti|counter)[- ]?clockwise|clockwise"
# `right` that is no side. Everywhere:
_KEEP: Final = r"\bright[- ]angle[ds]?\b"
# ... and in what people write freely, unless a word such as `the` or `to` before it makes it one:
_KEEP_FREE: Final = (
    rf"{_KEEP}|\ball right\b|(?<!\bthe )(?<!\bhis )(?<!\bher )(?<!\bits )(?<!\btheir )(?<!\bto )"
    r"\bright (?:away|now|next to|in front|in the middle|above|below|behind|beside|underneath|on top"
    r"|side[- ]up)\b"
)


def _sides(keep: str) -> re.Pattern[str]:
    """Find phrases to keep, sides and turning directions; `left_arm` has a side, `upright` has none."""
    return re.compile(
        rf"(?P<keep>{keep})|(?<![A-Za-z])(?:(?P<side>left|right)(?={_ENDING})|(?P<clock>{_CLOCK})(?![A-Za-z]))",
        re.IGNORECASE,
    )


_SIDES: Final = _sides(_KEEP)
_SIDES_FREE: Final = _sides(_KEEP_FREE)
_OPPOSITE: Final = {"left": "right", "right": "left"}
_COUNTER: Final = re.compile(r"counter[- ]?clockwise", re.IGNORECASE)


def mirror_text(text: str, *, free: bool = False) -> str:
    """Exchange left and right, clockwise and anticlockwise, keeping capitals and every other word.

    Args:
        text: a sentence; `right angle` stays.
        free: people wrote it freely, so that phrases such as `right away` and `right in front of` stay too.
            In what describers write these words are sides.
    """
    counter = "counterclockwise" if _COUNTER.search(text) else "anticlockwise"

    def opposite(match: re.Match[str]) -> str:
        if match["keep"]:
            return match[0]
        if match["side"]:
            return _as_in(match["side"], _OPPOSITE[match["side"].lower()])
        clockwise = match["clock"].lower() == "clockwise"
        return _as_in(match["clock"], counter if clockwise else "clockwise")

    return (_SIDES_FREE if free else _SIDES).sub(opposite, text)


def _as_in(model: str, word: str) -> str:
    """Give a word the capitals of another."""
    if model.isupper():
        return word.upper()
    return word.capitalize() if model[0].isupper() else word
