"""Read a sentence back into claims: who did what, which way, how often, when, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Final, NamedTuple

from kinmo_annotate.claims.meanings import OF_KIND, of_pair
from kinmo_annotate.claims.numbers import FOREVER
from kinmo_annotate.claims.phrase import Phrase, Said, Scan, Time
from kinmo_annotate.claims.scan import scan
from kinmo_annotate.claims.words import KIND_OF_PART
from kinmo_annotate.schema.records import NO_MOVEMENT, NOT_DETERMINED, Event
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_annotate.schema.vocabulary import field_kind

STILL: Final = "still"
WRONG_PART: Final = "wrong part"
UNKNOWN: Final = "not determined"
_PLACES: Final = {
    "over": "above", "above": "above", "under": "below", "below": "below", "beneath": "below",
    "underneath": "below", "behind": "behind", "front": "in_front",
}  # fmt: skip
_INVERSE: Final = {"above": "below", "below": "above", "in_front": "behind", "behind": "in_front"}
_GOES_PAST: Final = frozenset(
    ("move", "come", "up", "down", "cross", "return", "reach", "extend", "swing", "jump")
)
_UNDONE_BY: Final = {
    "up": "down", "down": "up", "bend": "straight", "straight": "bend", "open": "close", "close": "open",
    "part": "approach", "approach": "part", "grow": "shrink", "shrink": "grow",
}  # fmt: skip
_SHORT: Final = 30  # longer sentences say more than that nothing moves
_KEPT: Final = 20_000  # sentences remembered, a few tens of MB
_NUMBER: Final = re.compile(r"(\d+(?:\.\d+)?)")
# Sentences differ in their numbers more than in their words, and are read once for all numbers: with the
# places of the numbers, counted from here, in their stead.
_FIRST: Final = 100
_MOST_NUMBERS: Final = 400
_READ: dict[tuple[str, ...], tuple[Claim, ...]] = {}


class Claim(NamedTuple):
    """One thing that a sentence says.

    Attributes:
        about: the group or pair that it is said of.
        actions: words of the vocabulary, or `STILL`, `WRONG_PART`, `UNKNOWN`, or a pose such as "raised"; it
            is wrong only where each of them is.
        is_pose: whether it is a state that is held, not a movement.
        often: how many times; 0 where nothing is said, negative where it is at least so often.
        time: when, None where nothing is said.
        borrowed: whether the time is said in a later clause that follows in time.
        clause: number of its clause in order of telling.
        turn: number of its clause in order of time, as the links tell; equal ones are at the same time.
        denied: whether the sentence says that it does not happen.
        slight: whether it is said to be small.
        amount: size said, 0 where none is.
        unit: of the amount, "metres" or "degrees".
        of_tip: whether it is said of a hand or a foot rather than of the limb.
    """

    about: str
    actions: tuple[str, ...]
    is_pose: bool = False
    often: int = 0
    time: Time | None = None
    borrowed: bool = False
    clause: int = 0
    turn: int = 0
    denied: bool = False
    slight: bool = False
    amount: float = 0.0
    unit: str = ""
    of_tip: bool = False


# what "no notable movement" claims of each field
STILL_OF: Final = {field: Claim(field, (STILL,), is_pose=True) for field in FIELDS}


def read_sentence(field: str, sentence: str) -> tuple[Claim, ...]:
    """Read everything that a sentence claims, in order of telling.

    Args:
        field: the group or pair that the sentence is written for.
        sentence: what was written.

    Returns:
        Claims; empty where the sentence says nothing that the reader knows.
    """
    if sentence == NO_MOVEMENT:
        return (STILL_OF[field],)
    pieces = _NUMBER.split(sentence)
    if "%" in sentence or len(pieces) > _MOST_NUMBERS:
        return tuple(_read(field, sentence))
    key = (field, *pieces[::2])
    known = _READ.get(key)
    if known is None:
        if len(_READ) >= _KEPT:
            _READ.clear()
        numbered = [piece if k % 2 == 0 else str(_FIRST + k // 2) for k, piece in enumerate(pieces)]
        known = _READ[key] = tuple(_read(field, "".join(numbered)))
    if len(pieces) == 1:
        return known
    values = [min(float(n), FOREVER) for n in pieces[1::2]]
    return tuple(_filled(claim, values) for claim in known)


def _filled(claim: Claim, values: list[float]) -> Claim:
    """A claim read with the numbers of the places of numbers, with the numbers themselves."""
    time = claim.time
    if time is not None and time.unit == "s":
        time = Time(_value(time.start, values), _value(time.end, values), "s", time.said)
    elif claim.amount < _FIRST and claim.often < _FIRST:
        return claim
    often, amount = int(_value(claim.often, values)), _value(claim.amount, values)
    about, actions, is_pose, _, _, borrowed, clause, turn, denied, slight, _, unit, of_tip = claim
    return Claim(
        about, actions, is_pose, often, time, borrowed, clause, turn, denied, slight, amount, unit, of_tip
    )


def _value(number: float, values: list[float]) -> float:
    place = int(number) - _FIRST
    return values[place] if 0 <= place < len(values) else number


def forget_sentences() -> None:
    """Forget what was read, as at the start of a process: for benchmarks."""
    _READ.clear()
    _meanings.cache_clear()
    _is_of_another.cache_clear()


def read_claims(field: str, sentence: str, duration_s: float) -> list[Event]:
    """Read the movements of its own field that a sentence claims.

    Args:
        field: the group or pair that the sentence is about.
        sentence: what was written.
        duration_s: length of the motion in seconds, which turns "near the end" into a time.

    Returns:
        Claims as events, in order; where a sentence gives no time, the whole motion. Empty for "no notable
        movement".
    """
    events = []
    for claim in read_sentence(field, sentence):
        if claim.is_pose or claim.denied or claim.about != field:
            continue
        start, end = claim.time.span(duration_s) if claim.time else (0.0, duration_s)
        events.append(Event(field, claim.actions[0], start, end, abs(claim.often) or 1))
    return events


def _read(field: str, sentence: str) -> list[Claim]:
    plain = sentence.strip().rstrip(".").lower() if len(sentence) < _SHORT else ""
    if plain == NO_MOVEMENT.rstrip(".").lower():
        return [STILL_OF[field]]
    if plain == NOT_DETERMINED.rstrip(".").lower():
        return [Claim(field, (UNKNOWN,), is_pose=True)]
    found = scan(sentence)
    claims = []
    if _is_of_another(field, tuple(found.named)):
        claims.append(Claim(field, (WRONG_PART,), is_pose=True))
    turns = _turns(found.links)
    for phrase in found.phrases:
        if phrase.denied and phrase.verb == "move" and not phrase.ways:  # "does not move"
            phrase.verb, phrase.poses, phrase.denied = "stay", ["still"], False
        meanings = _meanings(field, phrase.said)
        if not meanings:
            continue
        time, borrowed = _time_of(phrase, found) if found.times else (None, False)
        rest = (
            _count_of(phrase, found) if found.counts else 0, time, borrowed or _is_undone(phrase, found),
            phrase.clause, turns[phrase.clause], phrase.denied, phrase.slight, phrase.amount, phrase.unit,
            phrase.of_tip,
        )  # fmt: skip
        claims += [Claim(about, actions, is_pose, *rest) for about, actions, is_pose in meanings]
    return claims


# whom it is about ------------------------------------------------------------------------------------------


@cache
def _groups(side: str, part: str, field: str) -> list[str]:
    """The groups that a part names in a sentence of a field: "the hand" is that of the field's own arm."""
    members = field.split("__")
    if part == "body":
        return ["torso"] if "torso" in members else []
    kind = KIND_OF_PART.get(part)
    if kind is None:
        return []
    if kind in ("neck", "torso"):
        return [kind]
    if side == "both":
        return [f"left_{kind}", f"right_{kind}"]
    if side:
        return [f"{side}_{kind}"]
    own = [m for m in members if m.endswith(kind)]
    return own or [f"left_{kind}", f"right_{kind}"]


@lru_cache(maxsize=10_000)
def _is_of_another(field: str, parts: tuple[tuple[str, str, bool], ...]) -> bool:
    """Tell whether a sentence names parts of the body, and not the one that it is written for."""
    members = field.split("__")
    named = {g for side, part, aside in parts if not aside for g in _groups(side, part, field)}
    if len(members) == 1:
        return bool(named) and field not in named and all(part != "body" for _, part, _ in parts)
    named |= {g for side, part, aside in parts if aside and side for g in _groups(side, part, field)}
    return any(g not in members for g in named) and not all(m in named for m in members)


def _about(field: str, phrase: Said) -> list[str]:
    """The groups that do what a phrase says; the field itself where none is named."""
    groups = [g for side, part in phrase.who for g in _groups(side, part, field)]
    return list(dict.fromkeys(groups)) or [field]


@lru_cache(maxsize=10_000)
def _meanings(field: str, phrase: Said) -> tuple[tuple[str, tuple[str, ...], bool], ...]:
    """(about, actions, whether a pose) of each claim that a phrase makes."""
    return tuple(_all_meanings(field, phrase))


def _all_meanings(field: str, phrase: Said) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    about = _about(field, phrase)
    if phrase.verb == "stay":
        yield from _poses(field, about, phrase)
        return
    if "__" in field:
        of_both = [(field, actions, False) for actions in _pair_meanings(field, about, phrase)]
        yield from of_both
        if of_both and phrase.verb != "reach":
            return
    for group in about:
        kind = field_kind(group)
        if kind != "pair":
            phrase = phrase._replace(verb="move") if phrase.verb == "come" else phrase
            side = group.split("_")[0]
            yield from ((group, actions, False) for actions in OF_KIND[kind](phrase, side))


def _pair_meanings(field: str, about: list[str], phrase: Said) -> list[tuple[str, ...]]:
    members = field.split("__")
    apart = [g for g in about if g in members]
    other = next((m for m in members if m not in apart), None) if len(apart) == 1 else None
    seen = {g: w for w, side, part in phrase.objects for g in _groups(side, part, field) if g in members}
    places = []
    if other in seen and apart:
        for way in [*phrase.ways, seen[other]]:
            action = _PLACES.get(way)
            if action and phrase.verb in _GOES_PAST:
                places.append(action if apart[0] == members[0] else _INVERSE[action])
        if (
            seen[other] in ("toward", "to")
            and not places
            and phrase.verb in ("move", "come", "reach", "swing")
        ):
            return [("approach",)]
    found = of_pair(phrase)
    if places and phrase.verb == "cross":
        return [(*dict.fromkeys(places), "cross")]
    if places:
        return [(p,) for p in dict.fromkeys(places)]
    if other is not None and other not in seen and phrase.objects and "torso" not in members:
        return [f for f in found if f[0] not in ("approach", "part")]
    return found


def _poses(field: str, about: list[str], phrase: Said) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    poses = list(phrase.poses)
    poses += [{"up": "raised", "down": "lowered"}[w] for w in phrase.ways if w in ("up", "down")]
    if "upright" in phrase.ways:
        poses.append("upright")
    for group in about:
        for pose in dict.fromkeys(poses):
            yield group, (pose,), True


# when, how often, in which order ---------------------------------------------------------------------------


def _time_of(phrase: Phrase, found: Scan) -> tuple[Time | None, bool]:
    """The time said of a phrase, and whether it stands in a later clause that follows in time."""
    before: Time | None = None
    after: Time | None = None
    for at, clause, time, leads in found.times:
        if clause != phrase.clause:
            continue
        if at > phrase.at:
            after = after or time
        elif leads or before:
            before = time
    own = before or after
    if before and after and before.unit == "share" and after.unit == "s":
        own = after  # "initially at the side, it rises from 0.5 to 1.2 s"
    if own or (len(found.links) == 1):
        return own, False
    return _time_of_neighbours(phrase, found)


def _is_undone(phrase: Phrase, found: Scan) -> bool:
    """Tell whether its own clause undoes it: "rises and lowers near the end" gives the last one's time."""
    if found.counts or len(found.phrases) < 2:
        return False
    undo = _UNDONE_BY.get(_way_of(phrase))
    later = (p for p in found.phrases if p.clause == phrase.clause and p.at > phrase.at)
    return undo is not None and any(_way_of(p) == undo for p in later)


def _way_of(phrase: Phrase) -> str:
    return next((way for way in ("up", "down") if way in phrase.ways), phrase.verb)


def _time_of_neighbours(phrase: Phrase, found: Scan) -> tuple[Time | None, bool]:
    later = next((t for t in found.times if t[1] > phrase.clause), None)
    if later is not None and not later[3]:
        between = found.links[phrase.clause + 1 : later[1] + 1]
        if all(link == "while" for link in between):
            return later[2], False
        if later[2].unit == "share" and all(link in ("while", "then") for link in between):
            return later[2], True
    if found.links[phrase.clause] == "while":
        earlier = [t for t in found.times if t[1] == phrase.clause - 1]
        if earlier:
            return earlier[-1][2], False
    return None, False


def _count_of(phrase: Phrase, found: Scan) -> int:
    """The count said after a phrase and before its time, or right before it."""
    ends = min((t[0] for t in found.times if t[1] == phrase.clause and t[0] > phrase.at), default=1 << 30)
    own = [(at, count) for at, clause, count in found.counts if clause == phrase.clause]
    after = next((count for at, count in own if phrase.at < at < ends), None)
    return after if after is not None else next((count for at, count in own if at == phrase.at - 1), 0)


def _turns(links: list[str]) -> list[int]:
    """Order in time of the clauses, from the words that link them."""
    turns = [0]
    for link in links[1:]:
        now = turns[-1]
        turns.append(now + 1 if link in ("then", "before") else now - 1 if link == "after" else now)
    return turns
