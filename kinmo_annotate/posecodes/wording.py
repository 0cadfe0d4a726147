"""From statements to English: names of parts, phrases, order and connections.

A clause's words depend on its own claims, and the connection in front of it on that clause, so captions of
similar poses share most of their text. The order of the body and the voice ("the", "their", "his", "her")
are fixed by the seed. Source: spec/posescript.md section 8.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from kinmo_annotate.posecodes import phrases
from kinmo_annotate.posecodes.aggregate import REGION, TOGETHER, Claim, Statement, kept, statements
from kinmo_annotate.posecodes.choice import choose, shuffled
from kinmo_annotate.posecodes.facts import OTHER, SIDES, Part

CLAUSES: Final = 3  # clauses in a sentence before a full stop is due

_CHILDREN: Final[dict[str, tuple[str, ...]]] = {
    "body": ("head", "torso", "left_shoulder", "right_shoulder", "left_hip", "right_hip"),
    **{f"{s}_shoulder": (f"{s}_arm", f"{s}_upperarm") for s in SIDES},
    **{f"{s}_upperarm": (f"{s}_elbow",) for s in SIDES},
    **{f"{s}_elbow": (f"{s}_forearm",) for s in SIDES},
    **{f"{s}_forearm": (f"{s}_hand",) for s in SIDES},
    **{f"{s}_hip": (f"{s}_leg", f"{s}_thigh") for s in SIDES},
    **{f"{s}_thigh": (f"{s}_knee",) for s in SIDES},
    **{f"{s}_knee": (f"{s}_shin",) for s in SIDES},
    **{f"{s}_shin": (f"{s}_foot",) for s in SIDES},
}


class Words(NamedTuple):
    """A worded pose: the caption, and each statement in it as a sentence of its own."""

    text: str
    sentences: tuple[str, ...]


class Clause(NamedTuple):
    """One statement in words; `place` is where its subject stands in the order of the body."""

    place: int
    subject: str
    verb: str
    predicate: str


@lru_cache(maxsize=64)
def body_order(seed: int) -> dict[str, int]:
    """Order the parts depth first from the body, branches shuffled by the seed."""
    order: dict[str, int] = {}

    def visit(part: str) -> None:
        order[part] = len(order)
        for child in shuffled(_CHILDREN.get(part, ()), seed, "order"):
            visit(child)

    visit("body")
    return order


def word_pose(seed: int, numbers: tuple[int, ...], fields: tuple[str, ...] | None = None) -> Words:
    """Word the facts of one pose.

    Args:
        seed: of the run.
        numbers: the facts, ascending (`FACTS`).
        fields: the groups or pairs that the caption is about; None for the whole body.

    Returns:
        The caption and its sentences; never empty.
    """
    regions = [tuple([n for n in numbers if REGION[n] == name]) for name in ("trunk", "arm", "leg")]
    said = [kept(seed, region) for region in regions]
    if not any(said):
        said = regions  # everything was skipped: nothing is
    if not any(said):
        neutral = _neutral(seed, fields)
        return Words(neutral, (neutral,))
    clauses = sorted(clause for region in said for clause in _clauses(seed, region))
    return Words(_connect(seed, clauses), tuple(dict.fromkeys(_sentence(clause) for clause in clauses)))


@lru_cache(maxsize=1 << 16)
def _clauses(seed: int, numbers: tuple[int, ...]) -> tuple[Clause, ...]:
    return tuple(_clause(seed, statement) for statement in statements(seed, numbers))


@lru_cache(maxsize=1 << 16)
def _sentence(clause: Clause) -> str:
    """Word one clause by itself."""
    return _capital(f"{clause.subject} {clause.verb} {clause.predicate}.")


def _clause(seed: int, statement: Statement) -> Clause:
    order = body_order(seed)
    subjects = sorted(statement.subjects, key=lambda part: _place(order, part))
    joint = any(claim.object is None and claim.relation in TOGETHER for claim in statement.predicates)
    names = [_subject(seed, part, joint) for part in subjects]
    plural = len(subjects) > 1 or (subjects[0].side == "both" and subjects[0].name != "leg")
    predicate = _enumerate([_predicate(seed, claim, plural) for claim in statement.predicates])
    return Clause(_place(order, subjects[0]), _enumerate(names), "are" if plural else "is", predicate)


def _place(order: dict[str, int], part: Part) -> int:
    if part.side == "both":
        return min(order[f"{side}_{part.name}"] for side in SIDES)
    return order[part.key]


def _voice(seed: int) -> tuple[str, str]:
    return choose(phrases.VOICES, seed, "voice")


def _subject(seed: int, part: Part, joint: bool) -> str:
    """Name a subject; of what two sides are together ("the hands are close together") "both" is not said."""
    determiner, person = _voice(seed)
    if part.name == "body" or part.key == "both_leg":
        return person
    if part.side == "both":
        both = "both" if determiner == "the" else f"both {determiner}"
        opening = determiner if joint else choose((both, determiner), seed, "both", part.key)
        return f"{opening} {_plural(part.name)}"
    return _named(determiner, part)


def _named(determiner: str, part: Part) -> str:
    name = phrases.NAMES.get(part.name, part.name)
    return f"{determiner} {part.side} {name}" if part.side else f"{determiner} {name}"


def _plural(name: str) -> str:
    return phrases.PLURALS.get(name, phrases.NAMES.get(name, name) + "s")


def _predicate(seed: int, claim: Claim, plural: bool) -> str:
    """Word relation and object, so that it fits after "is" or "are"."""
    if claim.object is None:
        return choose(phrases.ALONE[claim.relation], seed, "phrase", claim.subject.name, claim.relation)
    bank = phrases.TORSO if claim.object.name == "torso" else phrases.WITH_OBJECT
    template = choose(
        bank[claim.relation], seed, "phrase", claim.subject.name, claim.relation, claim.object.name
    )
    return template.replace("{o}", _object(seed, claim, plural))


def _object(seed: int, claim: Claim, plural: bool) -> str:
    subject, _, obj = claim
    assert obj is not None
    if obj.side in phrases.OWN_SIDE:
        wording = choose(phrases.OWN_SIDE[obj.side], seed, "own", claim.key)
        return wording.replace("{o}", _plural(obj.name))
    determiner, _ = _voice(seed)
    full = _named(determiner, obj)
    if not plural and subject.name == obj.name and OTHER[subject.side] == obj.side:
        other = "the other" if determiner == "the" else f"{determiner} other"
        name = phrases.NAMES.get(obj.name, obj.name)
        return choose((full, f"{other} {name}", f"the {obj.side} one"), seed, "other", claim.key)
    return full


def _enumerate(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _connect(seed: int, clauses: list[Clause]) -> str:
    """Join clauses into sentences; after "with" the verb is left out, and an "and" keeps that."""
    parts: list[str] = []
    length, verbless, before = 0, False, ". "
    for _, subject, verb, predicate in clauses:
        opener = choose(phrases.OPENERS, seed, "opener", subject, predicate)
        if not parts or length == CLAUSES:
            opener = ". "
        if opener == before != ". ":
            opener = " and "  # nobody says "while ... while ..."
        before = before if opener == " and " else opener
        new = opener == ". "
        length = 1 if new else length + 1
        verbless = "with" in opener or (verbless and "and" in opener)
        words = f"{subject} {predicate}" if verbless else f"{subject} {verb} {predicate}"
        parts += [opener if parts else "", _capital(words) if new else words]
    return "".join(parts) + "."


def _capital(text: str) -> str:
    """Raise the first letter and leave the others as they are."""
    return text[:1].upper() + text[1:]


def _neutral(seed: int, fields: tuple[str, ...] | None) -> str:
    if fields is None:
        return choose(phrases.NEUTRAL, seed, "neutral")
    names = dict.fromkeys(name for field in fields for name in field.split("__"))
    named = _enumerate([f"the {name.replace('_', ' ')}" for name in names])
    return choose(phrases.NEUTRAL_PART, seed, "neutral").replace("{o}", named)


def clear_memo() -> None:
    """Forget every worded clause; only benchmarks need that."""
    _clauses.cache_clear()
    _sentence.cache_clear()
