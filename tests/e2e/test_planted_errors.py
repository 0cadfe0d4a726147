"""Errors planted into true sentences of demo motions are found, and true sentences are left alone.

What is an error is told by the known truth of the demo motions and by the differences, never by the checker.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest

from kinmo_annotate.claims import read_claims
from kinmo_annotate.describe import describe_motion, phrases
from kinmo_annotate.differences import find_differences
from kinmo_annotate.schema.records import NO_MOVEMENT, Event
from kinmo_annotate.schema.skeleton import FIELDS, mirror_field
from kinmo_annotate.schema.vocabulary import ACTIONS, field_kind
from kinmo_annotate.sources.procedural import DemoMotion, make_motion
from kinmo_annotate.verify import CONTRADICTED, check_motions

TIME_S = 0.5
PLAIN = {
    "torso": {
        "bend_forward": "bends forward|tilts forward at the hips", "bend_backward": "arches backward",
        "lean_left": "leans to its left side", "lean_right": "tilts to the right",
        "straighten": "straightens back up|returns to upright", "twist_left": "twists to the left",
        "twist_right": "twists to the right", "sway": "sways from side to side|sways left and right",
        "turn_left": "turns to the left|spins anticlockwise", "turn_right": "pivots clockwise|rotates right",
        "move_forward": "walks forward|travels ahead", "move_backward": "steps back|moves backwards",
        "move_left": "steps sideways to the left", "move_right": "shifts to the right",
        "sink": "squats down|drops down", "rise": "stands up|moves upward", "jump": "leaps up|jumps",
    },
    "neck": {
        "lower": "looks down|tilts downward", "raise": "looks up|tilts back",
        "tilt_left": "tilts to the left",
        "tilt_right": "leans right", "straighten": "returns to upright", "nod": "nods",
    },
    "arm": {
        "raise": "raises|is lifted upward|moves up|elevates", "lower": "drops|moves downward|descends",
        "reach_forward": "extends forward|reaches forward|stretches forward", "bend": "bends|flexes",
        "pull_back": "pulls back|retracts backward", "move_out": "extends out to the side|sweeps outward",
        "move_in": "comes in towards the body|sweeps across the body", "straighten": "straightens",
        "swing": "swings back and forth", "wave": "waves|waves side to side", "circle": "draws full circles",
    },
    "leg": {
        "step": "takes {count}", "jump": "leaps|jumps", "hop": "hops", "lift": "lifts|moves upward",
        "lower": "lowers|comes down", "swing_forward": "swings forward|kicks forward",
        "swing_back": "extends back", "move_out": "moves out to the side", "move_in": "moves inward",
        "bend": "bends", "straighten": "extends at the knee",
    },
    "pair": {
        "approach": "approach each other|draw nearer", "part": "separate|move apart", "cross": "cross",
        "open": "open at the joint", "close": "close at the joint", "alternate": "alternate",
        "together": "move in unison",
    },
}  # fmt: skip
PLACES = {
    "above": "rises above", "below": "drops below", "in_front": "moves in front of", "behind": "moves behind",
}  # fmt: skip
OPPOSITES = (
    "raise lower", "reach_forward pull_back", "move_out move_in", "bend straighten", "lift lower",
    "swing_forward swing_back", "sink rise", "bend_forward bend_backward", "lean_left lean_right",
    "twist_left twist_right", "turn_left turn_right", "move_forward move_backward", "move_left move_right",
    "tilt_left tilt_right", "approach part", "open close", "above below", "in_front behind",
)  # fmt: skip
# exchanged one at a time in sentences of the kinematic describer
WORDS = (
    ("rises", "lowers"), ("lifts", "comes down"), ("is raised", "goes down"), ("forward", "backward"),
    ("outward", "inward"), ("bends", "straightens"), ("flexes", "extends"), ("closer together", "apart"),
    ("nearer to each other", "away from each other"), ("open", "close"), ("above", "below"),
    ("sinks", "rises"),
    ("in front of", "behind"), ("to the left", "to the right"), ("turns left", "turns right"),
)  # fmt: skip
EXCHANGED = {b: a for a, b in WORDS} | dict(WORDS)
WORD = re.compile(r"\b(" + "|".join(sorted(map(re.escape, EXCHANGED), key=len, reverse=True)) + r")\b")
LINK = re.compile(r", and then |, then |, after which it |, and finally ")
TIME = re.compile(
    r" (?:from [\d.]+ to [\d.]+ s|at (?:about )?[\d.]+ s|at the start|early on|halfway through|midway"
    r"|near the end|throughout)"
)


class Planted(NamedTuple):
    kind: str
    field: str
    sentence: str


def opposite(field: str, action: str) -> str | None:
    kind = field_kind(field)
    for pair in OPPOSITES:
        a, b = pair.split()
        if action in (a, b) and (kind, a) in ACTIONS and (kind, b) in ACTIONS:
            return b if action == a else a
    return None


def swap_sides(text: str) -> str:
    turned = {"left": "right", "anticlockwise": "clockwise"}
    turned |= {b: a for a, b in turned.items()}
    return re.sub(r"\b(left|right|anticlockwise|clockwise)\b", lambda m: turned[m[0]], text)


def is_of_a_side(field: str) -> bool:
    """Tell whether a field is another one in the mirror."""
    return mirror_field(field) != field


class Truth:
    """What a demo motion did: its known truth, and what the differences found in it."""

    def __init__(self, demo: DemoMotion) -> None:
        self.demo, self.duration = demo, demo.motion.duration_s
        found = find_differences(demo.motion.joints, demo.motion.fps).events
        self.events = {f: [*(e for e in demo.events if e.field == f), *found[f]] for f in FIELDS}

    def did(self, field: str, action: str, start: float, end: float) -> bool:
        return any(
            e.action == action and e.start_s <= end + TIME_S and start <= e.end_s + TIME_S
            for e in self.events[field]
        )

    def all_true(self, field: str, sentence: str) -> bool:
        claims = read_claims(field, sentence, self.duration)
        return all(self.did(field, c.action, c.start_s, c.end_s) for c in claims)

    def comes_later(self, field: str, late: Sequence[str], early: Sequence[str]) -> bool:
        """Every time at which one of `late` begins is after every end of one of `early`."""
        spans = {e.action: [] for e in self.events[field]}
        for e in self.events[field]:
            spans[e.action].append(e)
        return any(
            min(e.start_s for e in spans[b]) >= max(e.end_s for e in spans[a])
            for b in late
            for a in early
            if spans.get(a) and spans.get(b)
        )


# plain sentences from events --------------------------------------------------------------------------------


def told_events(truth: Truth, field: str) -> list[Event]:
    """Up to three plain events of a field that follow one another."""
    told: list[Event] = []
    for e in truth.demo.events:
        plain = e.field == field and e.salient and e.action != "together"
        if plain and (not told or e.start_s >= told[-1].end_s - 0.05):
            told.append(e)
    return told[:3]


def when(event: Event, duration: float, style: str) -> str:
    a, b = event.start_s, event.end_s
    middle = (a + b) / 2
    if style == "range" or (style == "point" and b - a >= 1.5):
        return f" between {a:.1f} and {b:.1f} seconds"
    if style == "brackets":
        return f" ({a:.1f}-{b:.1f} s)"
    if style == "point":
        return f" at around {middle:.1f} s"
    if style == "part":
        if b - a > 0.7 * duration:
            return " throughout"
        return (" at the beginning", " in the middle", " near the end")[min(2, int(3 * middle / duration))]
    return ""


def span_said(event: Event, duration: float, style: str) -> tuple[float, float]:
    """The time that such a phrase leaves open, seconds."""
    a, b = event.start_s, event.end_s
    if style == "none" or (style == "part" and b - a > 0.7 * duration):
        return 0.0, duration
    if style == "part":
        share = ((0.0, 0.4), (0.25, 0.75), (0.6, 1.0))[min(2, int(1.5 * (a + b) / duration))]
        return share[0] * duration, share[1] * duration
    return (a, b) if style != "point" or b - a >= 1.5 else ((a + b) / 2 - 0.35, (a + b) / 2 + 0.35)


def clause(rng: random.Random, event: Event, *, first: bool) -> str:
    kind, names = field_kind(event.field), [phrases.GROUP_WORDS[g] for g in event.field.split("__")]
    if event.action in PLACES:
        text = f"the {names[0]} {PLACES[event.action]} the {names[1]}"
    else:
        subject = "the " + " and the ".join(names) if first else "they" if kind == "pair" else ""
        text = f"{subject} {rng.choice(PLAIN[kind][event.action].split('|'))}".strip()
    if event.action == "step":
        return text.format(count=phrases.steps(event.count))
    often = phrases.times(event.count) if event.action != "together" else ""
    return f"{text} {often}".strip()


def sentence(rng: random.Random, events: Sequence[Event], duration: float, style: str) -> str:
    parts = [clause(rng, e, first=i == 0) + when(e, duration, style) for i, e in enumerate(events)]
    text = rng.choice((", then ", ", and then ", ", and after that ")).join(parts)
    return text[0].upper() + text[1:] + "."


# planting --------------------------------------------------------------------------------------------------


def plant(truth: Truth, rng: random.Random, sentences: dict[str, str]) -> Iterator[Planted]:
    for field in FIELDS:
        yield from described(truth, field, sentences[field])
        told = told_events(truth, field)
        style = rng.choice(("range", "brackets", "point", "part", "none"))
        if told:
            yield from plain(truth, rng, told, style)
        yield from invented(truth, rng, field, told)


def described(truth: Truth, field: str, text: str) -> Iterator[Planted]:
    """Errors in a sentence of the kinematic describer."""
    mirrored, home = swap_sides(text), mirror_field(field)
    if not truth.all_true(home, mirrored):
        yield Planted("sides swapped, all sentences", home, mirrored)
    if mirrored != text and (is_of_a_side(field) or not truth.all_true(field, mirrored)):
        yield Planted("sides swapped in place", field, mirrored)
    for match in WORD.finditer(text):
        turned = text[: match.start()] + EXCHANGED[match[0]] + text[match.end() :]
        if not truth.all_true(field, turned):
            yield Planted("direction inverted", field, turned)
    yield from reordered(truth, field, text)


def reordered(truth: Truth, field: str, text: str) -> Iterator[Planted]:
    """The first two clauses exchanged: what is done alone, with their times, and with no times at all."""
    subject = next((s for s in subjects(field) if text.startswith(s)), None)
    clauses, links = LINK.split(text.rstrip(".")), [*LINK.findall(text), ""]
    if subject is None or len(clauses) < 2 or "meanwhile" in text:
        return
    clauses[0] = clauses[0].removeprefix(subject)
    if any(c.startswith(("the ", "they ")) for c in clauses):
        return
    times = [(TIME.search(c) or [""])[0] for c in clauses]
    bare = [TIME.sub("", c) for c in clauses]

    def told(parts: Sequence[str]) -> str:
        return subject + "".join(p + link for p, link in zip(parts, links, strict=True)) + "."

    if times[0] and times[1] and times[0] != times[1]:
        moved = told([bare[1] + times[0], bare[0] + times[1], *clauses[2:]])
        if not truth.all_true(field, moved):
            yield Planted("wrong order, times in place", field, moved)
    did = [[c.action for c in read_claims(field, f"{subject}{b}.", truth.duration)] for b in bare[:2]]
    if times[0] != times[1] and truth.comes_later(field, did[1], did[0]):
        yield Planted("wrong order, with times", field, told([clauses[1], clauses[0], *clauses[2:]]))
        yield Planted("wrong order, without times", field, told([bare[1], bare[0], *bare[2:]]))


def subjects(field: str) -> list[str]:
    if "__" in field:
        a, b = (phrases.GROUP_WORDS[g] for g in field.split("__"))
        return [f"The {a} and the {b} "]
    return [s.format(side=field.split("_")[0]) + " " for s in phrases.SUBJECTS[field_kind(field)]]


def plain(truth: Truth, rng: random.Random, told: list[Event], style: str) -> Iterator[Planted]:
    """Errors in sentences made from the known truth."""
    field, duration = told[0].field, truth.duration
    text = sentence(rng, told, duration, style)
    spans = [span_said(e, duration, style) for e in told]
    if is_of_a_side(field):
        yield Planted("sides swapped in place", field, swap_sides(text))
    for i, (event, span) in enumerate(zip(told, spans, strict=True)):
        turned = opposite(field, event.action)
        if turned and not truth.did(field, turned, *span):
            wrong = [*told[:i], replace(event, action=turned), *told[i + 1 :]]
            yield Planted("direction inverted", field, sentence(rng, wrong, duration, style))
    if len(told) > 1 and truth.comes_later(field, [told[1].action], [told[0].action]):
        if style in ("range", "brackets", "point"):
            yield Planted("wrong order, with times", field, sentence(rng, told[1::-1], duration, style))
        yield Planted("wrong order, without times", field, sentence(rng, told[1::-1], duration, "none"))


def invented(truth: Truth, rng: random.Random, field: str, told: list[Event]) -> Iterator[Planted]:
    """Something that did not happen, told alone or after something that did."""
    done = {e.action for e in truth.events[field]}
    sayable = [a for kind, a in ACTIONS if kind == field_kind(field) and a not in done and can_be(field, a)]
    for action in rng.sample(sayable, min(2, len(sayable))):
        start = rng.uniform(0, max(0.1, truth.duration - 1.2))
        often = 2 if ACTIONS[field_kind(field), action].notable == 2 else 1
        event = Event(field, action, start, start + 1.0, often)
        before = told[:1] if rng.random() < 0.5 else []
        style = rng.choice(("range", "point", "part", "none"))
        kind = "invented, field moves" if told else "invented, field is still"
        yield Planted(kind, field, sentence(rng, [*before, event], truth.duration, style))


def can_be(field: str, action: str) -> bool:
    """Tell whether a word is said of this very pair."""
    members = field.split("__")
    if action in ("open", "close"):
        return members[0] == "torso"
    if action == "cross":
        return {m.split("_")[0] for m in members} == {"left", "right"}
    return action not in ("together", "alternate") or all(m.endswith(("arm", "leg")) for m in members)


# what is found ---------------------------------------------------------------------------------------------


class Tally(NamedTuple):
    """Found and missed by kind; claims and sentences of true ones, all and contradicted."""

    found: Counter[str]
    planted: Counter[str]
    true: Counter[str]
    missed: list[Planted]


def tally(seed: int, indices: Sequence[int]) -> Tally:
    total = Tally(Counter(), Counter(), Counter(), [])
    for index in indices:
        demo, rng = make_motion(seed, index), random.Random(1000 * seed + index)
        truth, sentences = Truth(demo), describe_motion(demo.motion, seed=seed + index)
        told = {f: told_events(truth, f) for f in FIELDS}
        style = rng.choice(("range", "brackets", "point", "part", "none"))
        plain_ones = {f: sentence(rng, events, truth.duration, style) for f, events in told.items() if events}
        planted = list(plant(truth, rng, sentences))
        texts = [sentences, plain_ones, *({p.field: p.sentence} for p in planted)]
        findings = check_motions([demo.motion] * len(texts), texts)
        for found in findings[:2]:
            wrong = [f for f in found if f.verdict == CONTRADICTED]
            total.true.update(
                claims=len(found), wrong=len(wrong), wrong_sentences=len({f.field for f in wrong})
            )
        total.true.update(sentences=len(FIELDS) + len(plain_ones))
        for one, found in zip(planted, findings[2:], strict=True):
            kind = one.kind.split(",")[0]
            hit = any(f.verdict == CONTRADICTED for f in found)
            total.planted[kind] += 1
            total.found[kind] += hit
            total.missed.extend([] if hit else [one])
    return total


def judge(total: Tally, least: float) -> None:
    for kind, count in total.planted.items():
        assert total.found[kind] >= least * count, (kind, total.found[kind], count, total.missed[:20])
    assert total.true["wrong"] <= 0.03 * total.true["claims"]
    assert total.true["wrong_sentences"] <= 0.03 * total.true["sentences"]


def test_planted_errors_are_found_in_some_demo_motions() -> None:
    total = tally(606, range(0, 60, 6))
    assert set(total.planted) == {k.split(",")[0] for k in (
        "sides swapped", "sides swapped in place", "direction inverted", "wrong order", "invented",
    )}  # fmt: skip
    judge(total, 0.9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [404, 505, 606, 8181])
def test_planted_errors_are_found_in_all_kinds_of_demo_motion(seed: int) -> None:
    total = tally(seed, range(60))
    for kind, count in sorted(total.planted.items()):
        print(f"{kind:24} {total.found[kind] / count:.3f} of {count}")  # noqa: T201
    print(dict(total.true))  # noqa: T201
    judge(total, 0.95)


def test_no_movement_is_never_claimed_of_nothing() -> None:
    demo = make_motion(606, 0)
    found = check_motions([demo.motion], [dict.fromkeys(FIELDS, NO_MOVEMENT)])[0]
    wrong = {f.field for f in found if f.verdict == CONTRADICTED}
    plain_ones = {e.field for e in demo.events if e.salient and "__" not in e.field}
    assert plain_ones <= wrong
