"""From the facts of one pose to fewer, richer statements: skip, merge and group.

Every choice is keyed by the facts that it concerns, so poses that share a limb's facts share its statements.
Source: spec/posescript.md sections 6 and 7, without its defects: two facts merge into "both" only when one
is of the left and the other of the right side, and a statement about both sides keeps whose side the object
is on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from kinmo_annotate.posecodes.choice import happens, stable_unit
from kinmo_annotate.posecodes.facts import FACTS, LIMB, OTHER, Fact, Part

SKIP: Final = 0.15
MERGE: Final = 0.95
MOST: Final = 3  # members of a group; longer enumerations read badly

_WHOLE: Final = {
    frozenset(("upperarm", "forearm")): "arm",
    frozenset(("thigh", "shin")): "leg",
}
_INVERSE: Final = {
    "above": "below", "below": "above", "front": "behind", "behind": "front", "left_of": "right_of",
    "right_of": "left_of",
}  # fmt: skip
# Said of two parts of a kind together; never enumerated with other subjects.
TOGETHER: Final = frozenset(("close", "shoulder_width", "spread", "wide"))


class Claim(NamedTuple):
    """One thing to say: subject, relation, and object if there is one.

    The side of a part may be "both", and that of an object "own" or "opposite" (of each subject).
    """

    subject: Part
    relation: str
    object: Part | None

    @property
    def key(self) -> str:
        """Stable name."""
        return f"{self.subject.key} {self.relation} {self.object.key if self.object else ''}"


class Statement(NamedTuple):
    """Subjects that share a predicate, or one subject with several: claims name the predicates."""

    subjects: tuple[Part, ...]
    predicates: tuple[Claim, ...]


def _region(fact: Fact) -> str:
    return LIMB.get(fact.subject.name, "trunk") if fact.subject.side != "both" else "trunk"


# Of each fact, the region whose statements it joins: "arm", "leg" or "trunk"; facts of one are merged and
# grouped.
REGION: Final[tuple[str, ...]] = tuple(_region(fact) for fact in FACTS)


# Facts that may be skipped.
_MINOR: Final = frozenset(n for n, fact in enumerate(FACTS) if fact.relation.startswith("aligned"))


@lru_cache(maxsize=1 << 16)
def kept(seed: int, numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Leave out some minor facts of one region, keyed by what else is said of the same part.

    Upstream draws anew for every pose, so what one caption leaves out the next one says. Here equal poses
    have equal captions, and a fact left out would be missing from every motion that shows it: with skips of
    ordinary facts, many a wave of the left hand had no raised hand in its captions. So only alignments, of
    which a pose often has several that say nearly the same, may be skipped.

    Args:
        seed: of the run.
        numbers: facts of one region, ascending.

    Returns:
        The facts to be said.
    """
    context: dict[str, list[str]] = defaultdict(list)
    for n in numbers:
        context[FACTS[n].subject.key].append(FACTS[n].key)
    return tuple(n for n in numbers if not (n in _MINOR and _skipped(seed, n, context[FACTS[n].subject.key])))


def _skipped(seed: int, number: int, context: list[str]) -> bool:
    return happens(SKIP, seed, "skip", FACTS[number].key, *context)


def statements(seed: int, numbers: tuple[int, ...]) -> list[Statement]:
    """Merge and group the facts of one region."""
    claims = [Claim(FACTS[n].subject, FACTS[n].relation, FACTS[n].object) for n in numbers]
    claims = _merged(seed, "whole", _whole_of, claims)
    claims = _merged(seed, "both", _both_of, claims)
    claims = [_flip(seed, claim) for claim in claims]
    return _group(seed, claims)


def _merged(
    seed: int, what: str, merge: Callable[[Claim, Claim], Claim | None], claims: list[Claim]
) -> list[Claim]:
    """Join each claim with the first earlier one that it can be merged with, if the seed agrees."""
    merged: list[Claim] = []
    for claim in claims:
        for place, other in enumerate(merged):
            one = merge(other, claim)
            if one and happens(MERGE, seed, what, other.key, claim.key):
                merged[place] = one
                break
        else:
            merged.append(claim)
    return merged


def _whole_of(a: Claim, b: Claim) -> Claim | None:
    """Merge what is said of both segments of a limb, as a subject or as an object, into one of the limb."""
    if a.relation != b.relation:
        return None
    if a.object == b.object and a.subject.side == b.subject.side:
        name = _WHOLE.get(frozenset((a.subject.name, b.subject.name)))
        return Claim(Part(a.subject.side, name), a.relation, a.object) if name else None
    if a.subject == b.subject and a.object and b.object and a.object.side == b.object.side:
        name = _WHOLE.get(frozenset((a.object.name, b.object.name)))
        return Claim(a.subject, a.relation, Part(a.object.side, name)) if name else None
    return None


def _both_of(a: Claim, b: Claim) -> Claim | None:
    """Merge a left and a right claim, if they say the same of their sides."""
    if a.relation != b.relation or a.subject.name != b.subject.name:
        return None
    if {a.subject.side, b.subject.side} != {"left", "right"}:
        return None
    subject = Part("both", a.subject.name)
    if a.object == b.object:
        return Claim(subject, a.relation, a.object)
    if not a.object or not b.object or a.object.name != b.object.name:
        return None
    side = "own" if a.object.side == a.subject.side else "opposite"
    return Claim(subject, a.relation, Part(side, a.object.name))


def _flip(seed: int, claim: Claim) -> Claim:
    """Turn half of the left-with-right comparisons round, and tell half of their distances of both sides."""
    subject, relation, obj = claim
    if obj is None or subject.name != obj.name or OTHER[subject.side] != obj.side:
        return claim
    if relation in TOGETHER and happens(0.5, seed, "together", claim.key):
        return Claim(Part("both", subject.name), relation, None)
    if happens(0.5, seed, "flip", claim.key):
        return Claim(obj, _INVERSE.get(relation, relation), subject)
    return claim


def _group(seed: int, claims: list[Claim]) -> list[Statement]:
    """Gather claims with one subject, or one relation and object, into statements of at most three.

    Groups claim their members in an order that depends on their names alone.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for place, (subject, relation, obj) in enumerate(claims):
        groups[f"subject {subject.key}"].append(place)
        if obj is not None or relation not in TOGETHER:
            groups[f"relation {relation} {obj.key if obj else ''}"].append(place)
    free = dict.fromkeys(range(len(claims)))
    result = []
    for name in sorted(groups, key=lambda name: (stable_unit(seed, "group", name), name)):
        members = [place for place in groups[name] if place in free]
        members.sort(key=lambda place: (stable_unit(seed, "member", claims[place].key), claims[place].key))
        members = members[:MOST]
        if len(members) > 1 and happens(MERGE, seed, "group", *(claims[place].key for place in members)):
            chosen = tuple(claims[place] for place in members)
            shared = name.startswith("relation")
            subjects = tuple(claim.subject for claim in chosen) if shared else (chosen[0].subject,)
            result.append(Statement(subjects, chosen[:1] if shared else chosen))
            for place in members:
                del free[place]
    return result + [Statement((claims[place].subject,), (claims[place],)) for place in free]
