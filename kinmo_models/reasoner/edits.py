"""Edits made from a dataset: the texts of one motion, an instruction, and the texts that it asks for.

    side     a motion and its mirror image: "with the right hand instead"
    other    two motions of one split of which one or two groups differ: "raise the left arm instead"
    more     the sentences of a motion that moves its arms alone, laid over a motion that leaves them free:
             "raise the left arm too"; what is asked for is what both motions say together
    count    two motions whose captions differ in a number or in their pace alone: "do it three times"

Instructions are worded from the second motion's caption, or from its sentence of a group, by templates. Which
edit a motion gets is drawn; a kind for which nothing fits gives way to the next.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from kinmo_annotate.schema.mirror import mirror_text
from kinmo_annotate.schema.records import NO_MOVEMENT, NOT_DETERMINED
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES, PAIRS
from kinmo_models.reasoner.form import KEEP
from kinmo_models.reasoner.imperative import imperative, split_subject
from kinmo_models.reasoner.sides import fields_in_mirror, in_mirror

KINDS: Final = ("side", "other", "more", "count")
_SHARES: Final = (0.25, 0.25, 0.4, 0.1)
_TRIES: Final = 40  # motions looked at for one that differs in few groups
_MOST_GROUPS: Final = 2  # that differ
_ALIKE: Final = 0.5  # share of the words of two sentences that both have
_GROUPS: Final = len(GROUP_NAMES)

_SIDE: Final = re.compile(r"\b(left|right)\b")
_SIDED_PART: Final = re.compile(r"\b(left|right) (hand|arm|leg|foot|knee|fist|elbow|shoulder|side)\b")
_NUMBER: Final = re.compile(
    r"\b(once|twice|two|three|four|five|six|seven|eight|nine|ten|one|\d+)\b(?: times)?"
)
_PACE: Final = re.compile(
    r",? ?\b(slowly|quickly|at a slow pace|at a fast pace|in no hurry|in a hurry|fast|briskly)\b"
)
_TIMES: Final = re.compile(
    r"\b(?:at|from|to|about|near|early on|midway|halfway|through|throughout|start|end|the|and|then|finally|"
    r"meanwhile|which|after|it|of|s|m|times|twice|once|two|three|four|five|six|seven|eight|nine|ten)\b"
    r"|\d+(?:\.\d+)?|[^\w\s]"
)
_SWINGS: Final = re.compile(r"\b(?:swing|swings|forth|steps?)\b")

_INSTEAD: Final = (
    "{ask} instead", "{ask}", "now {ask}", "instead {ask}", "please {ask} instead", "change it to {said}",
    "{said} instead", "let the person {ask}", "not that, {ask}",
)  # fmt: skip
_TOO: Final = (
    "{ask}", "{ask} too", "also {ask}", "{ask} as well", "and {ask}", "{ask} at the same time", "add: {ask}",
    "let the person also {ask}", "{ask} while doing that", "make the person {ask}",
)  # fmt: skip
_MIRRORED: Final = (
    "the other side", "use the other side instead", "do it on the other side", "mirror it",
    "swap left and right", "the other way round", "switch sides",
)  # fmt: skip
_PART: Final = (
    "with the {new} instead of the {old}", "use the {new} instead", "use the {new} instead of the {old}",
    "with the {new}, not the {old}", "the {new} instead", "{ask} instead of the {side}", "{ask} instead",
    "{ask}", "do it with the {new}",
)  # fmt: skip
_WAY: Final = ("{ask} instead", "{ask}", "to the {to} instead", "{to} instead of {side}", "{said}")


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of one motion, or of its mirror image.

    Attributes:
        caption: clean.
        fields: 21 sentences in the order of `FIELDS`.
    """

    caption: str
    fields: tuple[str, ...]

    @property
    def moving(self) -> frozenset[int]:
        """Places of the groups that move."""
        return _moving(self.fields[:_GROUPS])


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit to learn from.

    Attributes:
        kind: one of `KINDS`.
        before: what is said before.
        instruction: clean.
        caption: after, clean.
        fields: after, in the order of `FIELDS`; `KEEP` where they stay as they were.
    """

    kind: str
    before: Said
    instruction: str
    caption: str
    fields: tuple[str, ...]

    def in_mirror(self) -> Edit:
        """Give the same edit of the mirror image."""
        before = Said(in_mirror(self.before.caption), _in_mirror(self.before.fields))
        instruction, caption = in_mirror(self.instruction), in_mirror(self.caption)
        return Edit(self.kind, before, instruction, caption, _in_mirror(self.fields))


class Edits:
    """Draws edits from what is said of the motions of one split."""

    def __init__(self, plain: Sequence[Sequence[Said]], mirrored: Sequence[Sequence[Said]]) -> None:
        """Look for motions that go together.

        Args:
            plain: what is said of each motion, once for each of its captions.
            mirrored: what is said of their mirror images, in the same order.
        """
        self._of = (plain, mirrored)
        self._all = [said for motion in (*plain, *mirrored) for said in motion]
        self._alone: dict[frozenset[int], list[Said]] = defaultdict(list)
        self._alike: dict[str, list[Said]] = defaultdict(list)
        for said in self._all:
            if said.moving and said.moving <= {2, 3} and imperative(said.caption):
                self._alone[said.moving].append(said)
            self._alike[_core(said.caption)].append(said)

    def draw(self, place: int, turned: bool, random: np.random.Generator) -> Edit | None:
        """Draw an edit of a motion.

        Args:
            place: of the motion.
            turned: take its mirror image.
            random: source of chance.

        Returns:
            None where no kind fits.
        """
        caption = int(random.integers(len(self._of[turned][place])))
        before, other = self._of[turned][place][caption], self._of[not turned][place][caption]
        first = int(random.choice(len(KINDS), p=_SHARES))
        makers = (self._side, self._other, self._more, self._count)
        for number in [first, *(n for n in range(len(KINDS)) if n != first)]:
            edit = makers[number](before, other, random)
            if edit is not None:
                return edit
        return None

    def _side(self, before: Said, other: Said, random: np.random.Generator) -> Edit | None:
        sides = set(_SIDE.findall(before.caption))
        if len(sides) != 1 or other.caption == before.caption:
            return None
        fills = {"ask": imperative(other.caption), "said": other.caption, "side": next(iter(sides))}
        fills["to"] = mirror_text(fills["side"])
        part = _SIDED_PART.search(before.caption)
        templates: tuple[str, ...] = _MIRRORED + _WAY
        if part is not None:
            fills |= {"old": part[0], "new": mirror_text(part[0])}
            templates = _MIRRORED + _PART * 2
        return _edit("side", before, _worded(templates, fills, random), other)

    def _other(self, before: Said, _: Said, random: np.random.Generator) -> Edit | None:
        for number in random.integers(len(self._all), size=_TRIES):
            after = self._all[number]
            if after.caption == before.caption or not imperative(after.caption):
                continue
            differ = [
                place for place in range(_GROUPS) if not _alike(before.fields[place], after.fields[place])
            ]
            if 0 < len(differ) <= _MOST_GROUPS:
                fills = {"ask": imperative(after.caption), "said": after.caption}
                return _edit("other", before, _worded(_INSTEAD, fills, random), after)
        return None

    def _more(self, before: Said, _: Said, random: np.random.Generator) -> Edit | None:
        free = [g for g in self._alone if all(_is_free(before.fields[place]) for place in g)]
        free = [g for g in free if not before.moving <= g]
        if not free:
            return None
        groups = free[random.integers(len(free))]
        added = self._alone[groups][random.integers(len(self._alone[groups]))]
        fields = [KEEP] * len(FIELDS)
        for place in groups:
            fields[place] = added.fields[place]
        for place, (a, b) in enumerate(PAIRS, start=_GROUPS):
            if groups & {GROUP_NAMES.index(a), GROUP_NAMES.index(b)}:
                fields[place] = added.fields[place]
        instruction = self._asked_too(added, groups, random)
        caption = f"{before.caption} and {split_subject(added.caption)[1]}"
        kept = tuple(KEEP if new == old else new for new, old in zip(fields, before.fields, strict=True))
        return Edit("more", before, instruction, caption, kept)

    def _asked_too(self, added: Said, groups: frozenset[int], random: np.random.Generator) -> str:
        """Word what is added: from the caption, or, of one group, from its sentence."""
        place = next(iter(groups))
        if len(groups) == 1 and random.random() < 0.3:
            return _without_times(added.fields[place])
        fills = {"ask": imperative(added.caption), "said": added.caption}
        slightly = " slightly" if any("slightly" in added.fields[p] for p in groups) else ""
        return _worded(_TOO, fills, random) + slightly

    def _count(self, before: Said, _: Said, random: np.random.Generator) -> Edit | None:
        had = _amounts(before.caption)
        alike = [one for one in self._alike[_core(before.caption)] if _amounts(one.caption) != had]
        if not alike:
            return None
        after = alike[random.integers(len(alike))]
        changed = [word for word in _amounts(after.caption) if word not in had]
        wordings = ["{ask} instead", "{ask}", "{said}"]
        if changed:
            wordings += ["{words}", "do it {words}", "{words} instead"]
        elif _PACE.search(before.caption):
            wordings += ["not so slowly", "faster", "at a normal pace"]
        fills = {"ask": imperative(after.caption), "said": after.caption, "words": " ".join(changed)}
        return _edit("count", before, _worded(wordings, fills, random), after, exact=True)


def _edit(kind: str, before: Said, instruction: str, after: Said, exact: bool = False) -> Edit:
    """Give the edit from one motion's texts to another's; fields that are alike stay."""
    loosely = not exact and kind != "side"
    fields = tuple(
        KEEP if old == new or new == NOT_DETERMINED or (loosely and _alike(old, new)) else new
        for old, new in zip(before.fields, after.fields, strict=True)
    )
    return Edit(kind, before, instruction, after.caption, fields)


def _in_mirror(fields: Sequence[str]) -> tuple[str, ...]:
    return tuple(fields_in_mirror(dict(zip(FIELDS, fields, strict=True))).values())


def _worded(templates: Sequence[str], fills: dict[str, str], random: np.random.Generator) -> str:
    """Fill a template that is drawn, of those whose words are known."""
    known = [one for one in templates if all(fills.get(name) for name in re.findall(r"{(\w+)}", one))]
    return " ".join(known[random.integers(len(known))].format(**fills).replace(":", "").split())


@lru_cache(maxsize=1 << 14)
def _moving(groups: tuple[str, ...]) -> frozenset[int]:
    return frozenset(place for place, text in enumerate(groups) if text not in (NO_MOVEMENT, NOT_DETERMINED))


@lru_cache(maxsize=1 << 16)
def _words(sentence: str) -> frozenset[str]:
    """The words of a sentence that do not tell when or how often."""
    return frozenset(_TIMES.sub(" ", sentence.lower()).split())


def _alike(one: str, other: str) -> bool:
    """Tell whether two sentences of a field say much the same, whenever it happens."""
    if one == other:
        return True
    if NO_MOVEMENT in (one, other):
        return False
    a, b = _words(one), _words(other)
    return len(a & b) >= _ALIKE * len(a | b)


def _is_free(sentence: str) -> bool:
    """Tell whether a limb has nothing of its own to do: it is still, or swings along."""
    return sentence == NO_MOVEMENT or bool(_SWINGS.search(sentence))


@lru_cache(maxsize=1 << 16)
def _without_times(sentence: str) -> str:
    """Word a sentence as a wish: "The left arm rises at 0.8 s." becomes "the left arm rises"."""
    when = r"(?:,? (?:and )?(?:then|finally|meanwhile))? ?(?:at|from) (?:about )?\d[\d.]*(?: to [\d.]+)? s\b"
    text = re.sub(when, "", sentence.lower()).rstrip(". ")
    text = re.sub(r"\b(?:throughout|at the start|near the end|early on|midway|halfway through)\b", "", text)
    text = re.sub(r"the (?:whole|person's) ", "the ", text)
    return " ".join(text.replace(" ,", ",").split())


@lru_cache(maxsize=1 << 14)
def _amounts(caption: str) -> tuple[str, ...]:
    """The numbers and the pace that a caption tells."""
    return tuple(found[0].strip(" ,") for rule in (_NUMBER, _PACE) for found in rule.finditer(caption))


@lru_cache(maxsize=1 << 14)
def _core(caption: str) -> str:
    """A caption without its subject, numbers and pace: equal ones say the same of the motion otherwise."""
    said = _PACE.sub("", split_subject(caption)[1])
    return " ".join(_NUMBER.sub(" ", said).split())
