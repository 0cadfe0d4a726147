"""Captions of demo motions, and their HumanML3D lines with part-of-speech tokens.

The words are few, so their tokens come from a small table rather than from a tagger: lemma and universal tag
as HumanML3D has them (nouns and verbs lemmatised, except the word "left").
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from kinmo_annotate.sources.procedural.registry import Phrases

_SUBJECTS: Final = (
    "a person",
    "someone",
    "the person",
    "a figure",
    "a man",
    "a woman",
    "somebody",
    "he",
    "she",
)
_SLOW: Final = ("slowly {}", "{} at a slow pace", "{} in no hurry")
_FAST: Final = ("quickly {}", "{} at a quick pace", "{} fast")

_BY_TAG: Final = {
    "INTJ": "yes",
    "DET": "a an the both each every no another some",
    "PRON": "someone somebody something it they them he she",
    "ADP": "with to in at on of for from above over by up along into around down across after against onto"
    " toward like",
    "ADV": "then forward forwards backward ahead back again sideways afterwards first straight overhead"
    " out together quickly slowly low away once twice apart forth fast without on off where almost"
    " anywhere close far fro gently halfway round so still upward",
    "ADJ": "left right raised high full big wide long short half slow quick upper lower bent deep even few"
    " friendly heavy level little other possible several small",
    "NUM": "one two three four five six seven eight nine ten",
    "CCONJ": "and or",
    "SCONJ": "as if that while",
    "NOUN": "person figure arm hand leg foot knee head elbow body hip wrist shoulder chest floor sky moment"
    " side front back place spot pace step turn quarter curve arc circle jump time way waist fist"
    " punch kick hello ball chair seat belly squat jack air curl forearm lunge balance hurry middle"
    " ceiling chin corner direction ear end ground height man woman palm part pendulum respect"
    " soldier music star stork thigh thing torso trunk windmill workout bend nod wave bow start",
    "VERB": "walk take step stop move jog run march make turn raise lift hold stretch reach wave clap cross"
    " fold open touch put bring place stand push pull throw wind punch circle swing bend do start"
    " lower let kick balance keep return lunge jump leap hop lean straighten twist rotate sway rock"
    " nod look tilt lay sit get crouch squat come kneel go bow face curl agree applaud arch be beat"
    " bounce bound box change dash draw drop duck extend flex follow gaze give grab hang hit hurl"
    " incline leave pick pitch pivot press rest retreat reverse rise say scratch see set shoot shove"
    " shuffle sidestep skip spin spread spring sprint stomp stride bob strike stroll thrust tip toss"
    " wait warm wrap",
}  # fmt: skip
_LEMMAS: Final = {
    "feet": "foot", "does": "do", "goes": "go", "lets": "let", "is": "be", "jumping": "jump", "moves": "move",
    "leans": "lean", "makes": "make", "takes": "take", "raises": "raise", "places": "place", "waves": "wave",
    "circles": "circle", "rotates": "rotate", "was": "be", "were": "be", "held": "hold", "moving": "move",
    "sitting": "sit", "facing": "face", "comes": "come", "balances": "balance", "lunges": "lunge",
    "times": "time", "knees": "knee", "sides": "side", "curves": "curve",
}  # fmt: skip
_TABLE: Final = {word: tag for tag, words in reversed(_BY_TAG.items()) for word in words.split()}
_VERBS: Final = frozenset(_BY_TAG["VERB"].split())
_NOUNS: Final = frozenset(_BY_TAG["NOUN"].split())
# After one of these a word that may be a noun or a verb is a noun.
_BEFORE_NOUN: Final = frozenset({"DET", "ADJ", "NUM"})


def write_captions(phrases: Phrases, tempo: float, rng: np.random.Generator) -> tuple[str, ...]:
    """Three different captions; slow and fast motions say so now and then."""
    order = rng.permutation(len(phrases))[:3]
    subjects = rng.permutation(len(_SUBJECTS))
    texts = []
    for place, index in enumerate(order):
        phrase = phrases[index]
        if place == 0 and "slowly" not in phrase and (tempo > 1.1 or tempo < 0.72):
            manner = _SLOW if tempo > 1.1 else _FAST
            phrase = manner[int(rng.integers(len(manner)))].format(phrase)
        texts.append(f"{_SUBJECTS[subjects[place]]} {phrase}.")
    return tuple(texts)


def caption_line(text: str) -> str:
    """One line of a HumanML3D texts file: `caption#word/TAG ...#0.0#0.0` (the whole motion)."""
    return f"{text}#{' '.join(tokens(text))}#0.0#0.0"


def tokens(text: str) -> list[str]:
    """Lemma and universal tag of each word; punctuation dropped, hyphens deleted first.

    Raises:
        KeyError: a word that the table does not have.
    """
    found: list[str] = []
    before = ""
    for word in re.findall(r"[a-z]+", text.lower().replace("-", "")):
        lemma, tag = _tagged(word, before)
        found.append(f"{lemma}/{tag}")
        before = tag
    return found


def _tagged(word: str, before: str) -> tuple[str, str]:
    stem = _stem(word)
    if stem in _NOUNS and (before in _BEFORE_NOUN or stem not in _VERBS) and word not in ("back", "forth"):
        return stem, "NOUN"
    if stem in _VERBS and not (stem == "lower" and word == "lower"):
        return stem, "VERB"
    return word, _TABLE[word]


def _stem(word: str) -> str:
    """The lemma of a noun or verb in the few inflections that captions use."""
    if word in _LEMMAS:
        return _LEMMAS[word]
    known = _VERBS | _NOUNS
    for ending in ("es", "s", "ing", "ed"):
        if word.endswith(ending) and word not in known and word[: -len(ending)] in known:
            return word[: -len(ending)]
    return word
