"""The part of the scan that reads numbers: times, counts and sizes."""

from __future__ import annotations

import re
from typing import Final

from kinmo_annotate.claims.phrase import Phrase, Scan, Time
from kinmo_annotate.claims.words import COUNTS, WORDS, Word, listed

_TO: Final = listed("to and - – — until till")
_EDGE: Final = listed("at near toward towards by in from until")
_LASTS: Final = listed("for over lasting within about some")
_COUNTABLE: Final = listed(
    "steps step jumps jump hops hop circles circle swings swing waves wave nods nod cycles turns strides "
    "kicks squats bends full complete large small wide big quick"
)
_ALL_OF: Final = listed("time motion duration movement")
_SHARES: Final = {"all": (0.0, 1.0), "early": (0.0, 0.4), "mid": (0.25, 0.75), "late": (0.6, 1.0)}
_PIECES: Final = {"half": 1 / 2, "third": 1 / 3, "quarter": 1 / 4}
FOREVER: Final = 1e6  # seconds: until the end
_AT_LEAST_TWICE: Final = -2
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")


def _number_of(token: str) -> float:
    """The number that a word begins with; no motion has more of anything than a million."""
    match = _NUMBER.match(token)
    return min(float(match[0]), FOREVER) if match else 0.0


class Numbers:
    """Reads the words that say when, how often and how far; `scan` reads the others.

    Attributes:
        tokens: the words of the sentence, and a few empty ones after them.
        found: where times and counts go.
        last: the verb being read in this clause, which sizes belong to.
        verbs: how many verbs this clause has had.
        skip: words before this place are read already.
    """

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = [*tokens, "", "", "", "", ""]  # so that one may look ahead
        self.found = Scan()
        self.last: Phrase | None = None
        self.verbs = 0
        self.skip = 0

    def _count(self, i: int, word: Word) -> None:
        if self.tokens[i] in COUNTS and not (word.meaning == "1" and self.tokens[i - 1] == "at"):
            self._add_count(i, int(word.meaning))

    def _number(self, i: int, word: Word) -> None:
        if self.tokens[i + 1] in ("times", "time") or self.tokens[i + 1] in _COUNTABLE:
            self._add_count(i, int(word.meaning))

    def _often(self, i: int, word: Word) -> None:
        if word.meaning in ("repeatedly", "rhythmically") or self.tokens[i + 1] in ("times", *_COUNTABLE):
            self._add_count(i, _AT_LEAST_TWICE)

    def _times(self, i: int, word: Word) -> None:
        """Counted with the number before it."""

    def _unit(self, i: int, word: Word) -> None:
        if self.tokens[i] == "second" and self.tokens[i + 1] in _PIECES:
            share = _PIECES[self.tokens[i + 1]]
            self._add_time(i, Time(share, 2 * share, "share", "part"))

    _metres = _degrees = _unit

    def _add_count(self, i: int, count: int) -> None:
        self.found.counts.append((i, len(self.found.links) - 1, count))

    def _add_time(self, i: int, time: Time) -> None:
        self.found.times.append((i, len(self.found.links) - 1, time, not self.verbs))

    def _digits(self, i: int) -> None:
        tokens = self.tokens
        value, after = _number_of(tokens[i]), tokens[i + 1]
        unit = WORDS.get(after)
        if after[:1].isdigit():
            self._range(value, i + 1)  # "0.5-1.2 s"
        elif after in _TO and tokens[i + 2][:1].isdigit():
            self._range(value, i + 2)
        elif after == "%" or (unit is not None and unit.role == "unit"):
            if tokens[i + 2] in _TO and tokens[i + 3][:1].isdigit():
                self._range(value, i + 3)
            else:
                self._point(i, value, after)
        elif unit is not None and unit.role in ("metres", "degrees"):
            if self.last is not None:
                self.last.amount, self.last.unit = value, unit.role
        elif (after in ("times", "time") or after in _COUNTABLE) and value < 1000:
            self._add_count(i, int(value))

    def _range(self, start: float, j: int) -> None:
        """Read "0.5 to 1.2 s", the second number at `j`."""
        end, after = _number_of(self.tokens[j]), WORDS.get(self.tokens[j + 1])
        if self.tokens[j + 1] == "%":
            self._add_time(j, Time(start / 100, end / 100, "share", "part"))
        elif after is not None and after.role == "unit":
            self._add_time(j, Time(start, end, "s", "range"))
        self.skip = j + 2

    def _point(self, i: int, value: float, unit: str) -> None:
        before = next(
            (t for t in reversed(self.tokens[max(0, i - 2) : i]) if t not in ("about", "around")), ""
        )
        if unit == "%":
            if before in ("first", "last", "final"):
                share = value / 100
                span = (0.0, share) if before == "first" else (1 - share, 1.0)
                self._add_time(i, Time(*span, "share", "part"))
            elif before == "at":
                self._add_time(i, Time(value / 100 - 0.1, value / 100 + 0.1, "share", "part"))
        elif before in ("by", "until"):
            self._add_time(i, Time(0.0, value, "s", "part"))
        elif before in ("after", "from"):
            self._add_time(i, Time(value, FOREVER, "s", "part"))
        elif before not in _LASTS:
            self._add_time(i, Time(value, value, "s", "point"))
        self.skip = i + 2

    def _when(self, i: int, word: Word) -> None:
        name, tokens = word.meaning, self.tokens
        if name == "nth":
            if tokens[i + 1] in _PIECES:
                share = _PIECES[tokens[i + 1]]
                span = (0.0, share) if tokens[i] == "first" else (1 - share, 1.0)
                self._add_time(i, Time(*span, "share", "part"))
            return
        if name in ("start", "end"):
            if not {tokens[i - 1], tokens[i - 2]} & _EDGE or tokens[i + 1] in ("position", "pose"):
                return
            name = "early" if name == "start" else "late"
        if tokens[i] in ("entire", "whole") and tokens[i + 1] not in _ALL_OF:
            return
        a, b = _SHARES[name]
        self._add_time(i, Time(a, b, "share", "all" if name == "all" else "part"))
