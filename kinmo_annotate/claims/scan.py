"""Scan a sentence for what it says: verbs with who does them, which way, how often and when.

One pass over the words, one look-up each. Nothing here knows the vocabulary of actions; `meanings.py` does.
"""

from __future__ import annotations

import re
from typing import Final

from kinmo_annotate.claims.numbers import Numbers
from kinmo_annotate.claims.phrase import Phrase, Scan
from kinmo_annotate.claims.words import (
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
_MOST_WORDS: Final = 300  # ten times as many as a sentence is asked to have
_GLUED: Final = re.compile(r"(\d)([a-z])")
_ARTICLES: Final = listed("a an the its their his her this each very slight deep slow quick")
_BEFORE_PART: Final = _ARTICLES | listed("left right upper lower both other own opposite s and person")
_PLURALS: Final = listed("arms hands legs feet wrists knees elbows")
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


def scan(sentence: str) -> Scan:
    """Scan one sentence, or several in a row."""
    return _Scanner(_words_of(sentence)).run()


def _words_of(sentence: str) -> list[str]:
    """Split into words and marks, lower case, numbers apart from their units."""
    text = sentence.lower()
    for mark, apart in _MARKS:
        if mark in text:
            text = text.replace(mark, apart)
    return text.rstrip(" .").split()[:_MOST_WORDS]


class _Scanner(Numbers):
    """State of one pass over the words of a sentence."""

    def __init__(self, tokens: list[str]) -> None:
        super().__init__(tokens)
        self.who: list[tuple[str, str]] = []
        self.fresh = False  # whether the last thing seen was a subject, which another may join
        self.denied = self.slight = False
        self.lead = ""  # how the clause after the next comma follows this one
        self.sides: dict[str, str] = {}  # kind of limb -> the side that was said of it last

    def run(self) -> Scan:
        get = _HANDLED.get
        for i, token in enumerate(self.tokens[:-5]):
            known = get(token)
            if known is not None:
                known[0](self, i, known[1])
            elif "0" <= token[0] <= "9":
                if token[-1].isalpha():  # "1.2s": begin again with number and unit apart
                    apart = _GLUED.sub(r"\1 \2", " ".join(self.tokens)).split()
                    if len(apart) > len(self.tokens) - 5:
                        return _Scanner(apart).run()
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


_HANDLED: Final = {token: (getattr(_Scanner, f"_{word.role}"), word) for token, word in WORDS.items()}
