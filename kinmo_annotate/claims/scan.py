"""Scan a sentence for what it says: verbs with who does them, which way, how often and when.

One pass over the words, one look-up each. Nothing here knows the vocabulary of actions; `meanings.py` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kinmo_annotate.claims.words import (
    COUNTS,
    KIND_OF_PART,
    NUMBERS,
    POSES,
    PREPOSITIONS,
    WORDS,
    Word,
    listed,
)

# Replaced before the words are split; to look for what is not there is quick.
_MARKS: Final = (
    (", ", " , "), (". ", " . "), ("'s ", " s "), ("’s ", " s "), ("-", " "), ("–", " "), ("—", " "),
    (";", " ; "), ("(", " "), (")", " "), ("%", " % "), ("°", " degrees "), (":", " "), ('"', " "),
    ("!", " . "), ("?", " . "),
)  # fmt: skip
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_GLUED: Final = re.compile(r"(\d)([a-z])")
_ARTICLES: Final = listed("a an the its their his her this each very slight deep slow quick")
_BEFORE_PART: Final = _ARTICLES | listed("left right upper lower both other own opposite s and person")
_TO: Final = listed("to and - – — until till")
_EDGE: Final = listed("at near toward towards by in from until")
_LASTS: Final = listed("for over lasting within about some")
_COUNTABLE: Final = listed(
    "steps step jumps jump hops hop circles circle swings swing waves wave nods nod cycles turns strides "
    "kicks squats bends full complete large small wide big quick"
)
_ALL_OF: Final = listed("time motion duration movement")
_PLURALS: Final = listed("arms hands legs feet wrists knees elbows")
_SHARES: Final = {"all": (0.0, 1.0), "early": (0.0, 0.4), "mid": (0.25, 0.75), "late": (0.6, 1.0)}
_PIECES: Final = {"half": 1 / 2, "third": 1 / 3, "quarter": 1 / 4}
_AT_LEAST_TWICE: Final = -2
# "back down" goes down, not back
_RETURNS: Final = listed("up down upright to into toward towards")
# "in" is a direction only where nothing follows that it is in
_AFTER_IN: Final = listed("and at from to toward towards then , .") | {""}
# verbs that need a direction, and are left out before the second one
_REPEATED: Final = listed("move come lean bend turn twist rotate walk step swing sway look kick")
# "lowers to the side" and "leans to the side" do not go outward
_LEVEL: Final = listed("down return lean turn look")
# what is done in one go and may be named as a thing: "in a jump"
_DEEDS: Final = listed("jump hop wave circle kick nod bow step crouch")


class Time(NamedTuple):
    """When something is said to happen.

    Attributes:
        start: seconds, or a share of the motion.
        end: the same.
        unit: "s" or "share".
        said: how: "range" (from, to), "point" (at), "part" (early on), "all" (throughout).
    """

    start: float
    end: float
    unit: str
    said: str

    def span(self, duration_s: float) -> tuple[float, float]:
        """Seconds from the first frame of a motion so long; a point stands for the time around it."""
        if self.unit == "share":
            return self.start * duration_s, self.end * duration_s
        if self.said == "point":
            return max(0.0, self.start - 0.35), min(duration_s, self.end + 0.35)
        return self.start, self.end


class Said(NamedTuple):
    """What a phrase says of what is done, time and size left out; the fields are those of `Phrase`."""

    verb: str
    who: tuple[tuple[str, str], ...]
    ways: tuple[str, ...]
    objects: tuple[tuple[str, str, str], ...]
    poses: tuple[str, ...]


@dataclass(slots=True)
class Phrase:
    """A verb and what belongs to it.

    Attributes:
        at: its place among the words.
        clause: number of its clause.
        verb: its meaning.
        form: "plain", "s", "ing" or "ed".
        who: parts that do it, as (side, part); side "" where none is said, "both" for both.
        ways: directions, in order.
        objects: (preposition, side, part) of parts that it is seen against.
        poses: states it names, such as "bent".
        denied: whether it is said not to happen.
        slight: whether it is said to be small.
        amount: size in `unit`, 0 where none is said.
        unit: "metres" or "degrees".
    """

    at: int
    clause: int
    verb: str
    form: str = "s"
    who: tuple[tuple[str, str], ...] = ()
    ways: list[str] = field(default_factory=list)
    objects: list[tuple[str, str, str]] = field(default_factory=list)
    poses: list[str] = field(default_factory=list)
    denied: bool = False
    slight: bool = False
    amount: float = 0.0
    unit: str = ""

    @property
    def said(self) -> Said:
        """What it says, to be looked up."""
        return Said(self.verb, self.who, tuple(self.ways), tuple(self.objects), tuple(self.poses))


@dataclass(slots=True)
class Scan:
    """Everything found in a sentence.

    Attributes:
        phrases: verbs in order.
        links: for each clause how it follows the one before: "", "then", "while", "before", "after".
        times: (place, clause, time, whether it stands before the verbs of its clause).
        counts: (place, clause, count); negative where it is at least so many.
        named: all parts named, as (side, part, whether it is only an object).
    """

    phrases: list[Phrase] = field(default_factory=list)
    links: list[str] = field(default_factory=lambda: [""])
    times: list[tuple[int, int, Time, bool]] = field(default_factory=list)
    counts: list[tuple[int, int, int]] = field(default_factory=list)
    named: list[tuple[str, str, bool]] = field(default_factory=list)


def scan(sentence: str) -> Scan:
    """Scan one sentence, or several in a row."""
    return _Scanner(_words_of(sentence)).run()


def _words_of(sentence: str) -> list[str]:
    """Split into words and marks, lower case, numbers apart from their units."""
    text = sentence.lower()
    for mark, apart in _MARKS:
        if mark in text:
            text = text.replace(mark, apart)
    return text.rstrip(" .").split()


def _number_of(token: str) -> float:
    """The number that a word begins with."""
    match = _NUMBER.match(token)
    return float(match[0]) if match else 0.0


class _Scanner:
    """State of one pass over the words of a sentence."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = [*tokens, "", "", "", "", ""]  # so that one may look ahead
        self.found = Scan()
        self.who: list[tuple[str, str]] = []
        self.fresh = False  # whether the last thing seen was a subject, which another may join
        self.denied = self.slight = False
        self.verbs = 0  # in this clause
        self.lead = ""  # how the clause after the next comma follows this one
        self.last: Phrase | None = None  # the verb being read in this clause
        self.skip = 0
        self.sides: dict[str, str] = {}  # kind of limb -> the side that was said of it last

    def run(self) -> Scan:
        get = _HANDLED.get
        for i, token in enumerate(self.tokens[:-5]):
            known = get(token)
            if known is not None:
                known[0](self, i, known[1])
            elif "0" <= token[0] <= "9":
                if token[-1].isalpha():  # "1.2s": begin again with number and unit apart
                    return _Scanner(_GLUED.sub(r"\1 \2", " ".join(self.tokens)).split()).run()
                if i >= self.skip:
                    self._digits(i)
            elif token == ",":
                self.denied = False
                if self.lead and self.verbs:
                    self._begin(self.lead)
            elif token in (".", ";"):
                self._begin("")
        return self.found

    def _begin(self, link: str) -> None:
        """Begin a clause."""
        if self.verbs or link in ("before", "after"):
            self.found.links.append(link)
            self.last = None
        elif link and not self.found.links[-1]:
            self.found.links[-1] = link
        self.verbs, self.denied, self.slight, self.fresh, self.lead = 0, False, False, False, ""

    def _add(self, phrase: Phrase) -> None:
        self.found.phrases.append(phrase)
        self.last = phrase
        self.verbs += 1
        self.fresh = False

    # verbs -------------------------------------------------------------------------------------------------

    def _verb(self, i: int, word: Word) -> None:
        before, after = self.tokens[i - 1] if i else "", self.tokens[i + 1]
        last = self.last
        if self.tokens[i] in ("lower", "low") and self._is_comparison(i):
            if last is not None and before in WORDS and WORDS[before].role == "verb":
                last.ways.append("down")
            return
        if last is not None and last.verb == "stay" and self.tokens[i] in POSES:
            last.poses.append(POSES[self.tokens[i]])
            return
        if self._is_noun(i, word, last) or (word.meaning == "close" and after in ("to", "together")):
            return
        if word.form == "ed" and not (before in ("", "and") or self._after_being(i)):
            return
        if word.meaning == "be":
            return
        denied = self.denied
        if last is not None and last.verb == "make" and last.at >= i - 4:
            denied = denied or last.denied
        if last is not None and last.verb == "stay" and word.form == "ing" and last.at >= i - 2:
            last.verb = "on"  # "keeps waving": waves
        self._add(Phrase(i, len(self.found.links) - 1, word.meaning, word.form, tuple(self.who)))
        phrase = self.found.phrases[-1]
        phrase.denied, phrase.slight = denied, self.slight
        self.slight = False

    def _is_comparison(self, i: int) -> bool:
        before, after = self.tokens[i - 1] if i else "", self.tokens[i + 1]
        word = WORDS.get(after)
        if after == "than" or (word is not None and word.role == "part"):
            return True
        known = WORDS.get(before)
        return known is not None and known.role == "verb" and before not in ("is", "are")

    def _is_noun(self, i: int, word: Word, last: Phrase | None) -> bool:
        """Tell "a slight bend" from "bends"; "makes a circle" and "takes two steps" are what is done."""
        before = self.tokens[i - 1] if i else ""
        if self.tokens[i] == "place" or (self.tokens[i] == "step" and before == "in"):
            if last is not None and before == "in" and word.meaning == "step":
                last.ways.append("unison")
            return True
        if last is not None and last.verb in ("make", "draw") and last.at >= i - 6:
            return False
        if word.meaning in _DEEDS and {"in", "with"} & set(self.tokens[max(0, i - 4) : i]):
            return False
        counted = before in NUMBERS or before.isdigit()
        return word.form in ("plain", "s") and (before in _ARTICLES or counted or before == "full")

    def _after_being(self, i: int) -> bool:
        for token in self.tokens[max(0, i - 2) : i]:
            word = WORDS.get(token)
            if word is not None and word.role == "verb" and word.meaning in ("be", "move"):
                return True
        return False

    # directions and states ---------------------------------------------------------------------------------

    def _way(self, i: int, word: Word) -> None:
        last, before = self.last, self.tokens[i - 1] if i else ""
        if last is None and self._again(i):
            last = self.last
        if last is None or (word.meaning == "back" and before in _ARTICLES):
            return
        if word.meaning == "side":
            self._to_side(i, last)
            return
        if self.tokens[i] == "back" and self.tokens[i + 1] in _RETURNS:
            return
        if word.meaning == "front" and (before != "in" or self.tokens[i + 1] != "of"):
            if before in ("the", "to"):
                last.ways.append("forward")
            return
        if self.tokens[i] != "in" or self.tokens[i + 1] in _AFTER_IN:
            last.ways.append(word.meaning)

    def _to_side(self, i: int, last: Phrase) -> None:
        """Read "from side to side", and "to the side" unless that is where an arm comes down to."""
        tokens = self.tokens
        if tokens[i + 1] == "to" and tokens[i + 2].startswith("side"):
            last.ways.append("fro")
        elif (
            tokens[max(0, i - 2) : i] == ["to", "the"] and tokens[i - 3] != "back" and last.verb not in _LEVEL
        ):
            last.ways.append("out")

    def _again(self, i: int) -> bool:
        """Read "leans left, then right": a direction that begins a clause repeats the verb before it."""
        before = self.found.phrases[-1] if self.found.phrases else None
        clause = len(self.found.links) - 1
        if before is None or self.verbs or self.found.links[-1] != "then" or before.verb not in _REPEATED:
            return False
        self._add(Phrase(i, clause, before.verb, before.form, before.who))
        return True

    def _pose(self, i: int, word: Word) -> None:
        last = self.last
        if last is not None and last.verb in ("stay", "stand"):
            last.poses.append(word.meaning)
        elif word.meaning == "still" and self.tokens[i - 1] in ("is", "are"):
            self._add(Phrase(i, len(self.found.links) - 1, "stay", "s", tuple(self.who), poses=["still"]))

    def _side(self, i: int, word: Word) -> None:
        """A side that is no adjective of a body part is a direction."""
        ahead = self.tokens[i + 1 : i + 3]
        known = [WORDS.get(token) for token in ahead]
        if known[0] is not None and known[0].role == "part":
            return
        if ahead[0] in ("upper", "lower", "s") and known[1] is not None and known[1].role == "part":
            return
        if ahead[0] == "and" and ahead[1] in ("left", "right"):
            after = WORDS.get(self.tokens[i + 3])
            if after is not None and after.role == "part":
                return
        if self.last is not None or self._again(i):
            assert self.last is not None
            self.last.ways.append(word.meaning)

    def _plural(self, i: int, word: Word) -> None:
        """Read "both" alone: in a sentence on a pair it is both of its groups."""
        after = WORDS.get(self.tokens[i + 1])
        if after is None or after.role != "part":
            self.who, self.fresh = [], False

    # body parts --------------------------------------------------------------------------------------------

    def _part(self, i: int, word: Word) -> None:
        if self.tokens[i + 1] == "s" and self.tokens[i + 2] not in ("", ",", "."):
            return  # "the person's left arm"
        j = i - 1
        while j >= 0 and self.tokens[j] in _BEFORE_PART:
            if self.tokens[j] == "and" and not {"left", "right"} & set(self.tokens[max(0, j - 1) : j]):
                break
            j -= 1
        side = self._side_of(i, j)
        before = self.tokens[j] if j >= 0 else ""
        last = self.last
        if before in PREPOSITIONS and not (before == "with" and last is None):
            self._object(before, j, side, word.meaning)
        elif word.meaning in ("shoulder", "hip"):
            if last is not None and last.at >= i - 3:
                last.ways.append("shoulders")
        elif last is not None and last.at == j and last.verb not in ("stay", "be", "cross"):
            last.who = ((side, word.meaning),)  # "raises the left arm"
            self.found.named.append((side, word.meaning, False))
        else:
            self._subject(i, side, word.meaning)

    def _side_of(self, i: int, j: int) -> str:
        """The side said in the words between `j` and `i`."""
        said = self.tokens[j + 1 : i]
        sides = {token for token in said if token in ("left", "right", "both")}
        if "both" in sides or len(sides) == 2:
            return "both"
        if sides:
            return sides.pop()
        if self.tokens[i] in _PLURALS:
            return "both"
        # "the left arm rises as the elbow bends": the left elbow
        return self.sides.get(KIND_OF_PART.get(WORDS[self.tokens[i]].meaning, ""), "")

    def _object(self, before: str, j: int, side: str, part: str) -> None:
        if before == "of" and j and self.tokens[j - 1] == "front":
            before = "front"
        elif before == "to" and j > 1 and self.tokens[j - 1] in ("next", "close", "closer", "nearer"):
            before = "toward"
        last = self.last
        if last is not None:
            last.objects.append((before, side, part))
        self.found.named.append((side, part, True))

    def _subject(self, i: int, side: str, part: str) -> None:
        if side:
            self.sides[KIND_OF_PART.get(part, "")] = side
        joined = self.fresh and self.tokens[i - 1] != ""
        self.who = [*self.who, (side, part)] if joined else [(side, part)]
        self.fresh = True
        self.found.named.append((side, part, False))

    # links, negations, sizes -------------------------------------------------------------------------------

    def _link(self, i: int, word: Word) -> None:
        follows = self.tokens[i + 1]
        if word.meaning not in ("before", "after"):
            self._begin(word.meaning)
        elif follows[:1].isdigit():
            return  # a time: "after 2.0 s"
        elif follows in ("which", "that", "this"):
            self._begin("then")
        elif self.verbs:
            self._begin(word.meaning)
        else:  # "after raising, it lowers": the order is told of the clause after the comma
            self.lead = "then" if word.meaning == "after" else "after"

    def _not(self, i: int, word: Word) -> None:
        self.denied = True

    def _slight(self, i: int, word: Word) -> None:
        last = self.last
        if word.meaning == "slight" and not (last is not None and last.verb == "make"):
            return  # "with a slight bend" is no movement
        if last is not None and last.at >= i - 3:
            last.slight = True
        else:
            self.slight = True
        if word.meaning == "little" and self.tokens[i - 1] not in ("a", "the"):
            self.denied = True

    def _movement(self, i: int, word: Word) -> None:
        """Read "no notable movement" as staying still; any other movement is only a noun."""
        if self.denied:
            self._add(Phrase(i, len(self.found.links) - 1, "stay", "s", tuple(self.who), poses=["still"]))
            self.denied = False

    # counts and times --------------------------------------------------------------------------------------

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
            self._add_time(i, Time(value, 1e6, "s", "part"))
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
        if tokens[i] in ("entire", "whole") and tokens[i + 1] not in (
            "time",
            "motion",
            "duration",
            "movement",
        ):
            return
        a, b = _SHARES[name]
        self._add_time(i, Time(a, b, "share", "all" if name == "all" else "part"))


_HANDLED: Final = {token: (getattr(_Scanner, f"_{word.role}"), word) for token, word in WORDS.items()}
