"""From many motions to one steady posecode signature a frame, in one vectorised pass.

measure -> Schmitt triggers at every threshold (hysteresis along time, no noise) -> posecodes -> rules that
drop what another posecode already says -> a signature that is held for at least `HOLD` frames.

What a held signature promises: each posecode in it was true, up to the dead band of its thresholds, at most
`HOLD // 2` frames away from any frame it is given for. Arrays run along frames, one row per quantity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.posecodes.facts import FACTS, INDEX, MARGIN, Cut
from kinmo_annotate.posecodes.measure import Measure, measure
from kinmo_annotate.posecodes.mined import DROPPED
from kinmo_annotate.posecodes.points import named_points, smooth
from kinmo_annotate.posecodes.rules import RULES, Rule
from kinmo_annotate.schema.skeleton import FIELDS

HOLD: Final = 5  # frames; 0.25 s at 20 fps, so a stated posecode is at most 2 frames (0.1 s) old or early
CHUNK: Final = 4096  # frames measured together: the arrays stay in the processor's cache

Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class Plan:
    """The tables of `facts.py` as index arrays.

    Attributes:
        measures: what to measure, K rows.
        source: (G,) which measure each threshold cuts.
        threshold: (G, 1) its value.
        margin: (G, 1) half-width of its dead band.
        cut_low: (C,) for each cut, the threshold it must exceed.
        cut_high: (C,) the threshold it must not exceed.
        recipe: (R, 4) cuts of each alternative, padded with the cut that always holds.
        alternatives: for each fact, its rows in `recipe`.
    """

    measures: tuple[Measure, ...]
    source: NDArray[np.intp]
    threshold: NDArray[np.float32]
    margin: NDArray[np.float32]
    cut_low: NDArray[np.intp]
    cut_high: NDArray[np.intp]
    recipe: NDArray[np.intp]
    alternatives: tuple[tuple[int, ...], ...]


@cache
def plan() -> Plan:
    """Number the measures, thresholds and cuts that the facts use, each once."""
    always = Cut(())
    cuts = {always: 0}
    gates: dict[tuple[Measure, float], int] = {}
    recipes: list[list[int]] = []
    alternatives = []
    for fact in FACTS:
        rows = []
        for recipe in fact.recipes:
            numbers = [cuts.setdefault(cut, len(cuts)) for cut in recipe]
            rows.append(len(recipes))
            recipes.append(numbers + [0] * (4 - len(numbers)))
        alternatives.append(tuple(rows))
    for cut in cuts:
        for value in (cut.low, cut.high):
            if value is not None:
                gates.setdefault((cut.measure, value), len(gates))
    measures = tuple(dict.fromkeys(name for name, _ in gates))
    position = {name: row for row, name in enumerate(measures)}
    true, false = len(gates), len(gates) + 1
    return Plan(
        measures=measures,
        source=np.array([position[name] for name, _ in gates]),
        threshold=np.array([[value] for _, value in gates], np.float32),
        margin=np.array([[MARGIN[name[0]]] for name, _ in gates], np.float32),
        cut_low=np.array([true if c.low is None else gates[c.measure, c.low] for c in cuts]),
        cut_high=np.array([false if c.high is None else gates[c.measure, c.high] for c in cuts]),
        recipe=np.array(recipes),
        alternatives=tuple(alternatives),
    )


def gates(values: NDArray[np.float32], first: Bits) -> Bits:
    """Run a Schmitt trigger along time at every threshold.

    A trigger turns on above threshold + margin, off below threshold - margin, and keeps its state in between.
    The first frame of a motion is decided by the threshold itself. The triggers of one measure stay in order
    (a higher one is on only if every lower one is), so categories stay exclusive.

    Args:
        values: (K, N) measures.
        first: (N,) True at the first frame of each motion.

    Returns:
        (G + 2, N): the triggers, then a row that is always on and one that never is.
    """
    p = plan()
    signal = values[p.source] - p.threshold
    signal[:, first] = np.where(signal[:, first] > 0, np.inf, -np.inf)
    on, off = signal > p.margin, signal < -p.margin
    kind = np.int16 if values.shape[1] < 16000 else np.int32  # int16 is twice as fast
    stamp = 2 * np.arange(1, values.shape[1] + 1, dtype=kind)
    decided = (stamp + on) * (on | off)
    state = np.maximum.accumulate(decided, axis=1) & 1
    constant = np.zeros((2, values.shape[1]), bool)
    constant[0] = True
    return np.concatenate([state.astype(bool), constant])


def hold_true(state: Bits) -> Bits:
    """Evaluate every fact from the triggers: (G + 2, N) -> (F, N)."""
    p = plan()
    cuts = state[p.cut_low] & ~state[p.cut_high]
    recipes = cuts[p.recipe[:, 0]]
    for column in range(1, p.recipe.shape[1]):
        recipes &= cuts[p.recipe[:, column]]
    facts: Bits = recipes[[rows[0] for rows in p.alternatives]]
    for number, rows in enumerate(p.alternatives):
        for other in rows[1:]:
            facts[number] |= recipes[other]
    return facts


@cache
def about(fields: tuple[str, ...] | None) -> Bits:
    """Mark the facts that may be said: all, or those about the named groups and pairs.

    A group takes every fact that it takes part in; a pair those about exactly its two groups.

    Raises:
        KeyError: a name that is neither a group nor a pair.
    """
    said: Bits = np.array([fact.key not in DROPPED for fact in FACTS])
    if fields is None:
        return said
    wanted: Bits = np.zeros(len(FACTS), bool)
    for field in fields:
        if field not in FIELDS:
            raise KeyError(f"{field!r} is not a group or a pair of groups; there are {', '.join(FIELDS)}")
        names = frozenset(field.split("__"))
        wanted |= [names == f.groups if len(names) == 2 else names <= f.groups for f in FACTS]
    return said & wanted


@cache
def _numbered(rules: tuple[Rule, ...]) -> tuple[tuple[int, int, int], ...]:
    return tuple((INDEX[a], INDEX[b or a], INDEX[c]) for a, b, c in rules)


def drop_implied(facts: Bits, rules: tuple[Rule, ...] = RULES) -> Bits:
    """Silence, in place, each fact that others still standing imply; rules are applied in their order."""
    seen = list(np.any(facts, axis=1))  # most facts are rare; on a short motion this saves most of the work
    for a, b, c in _numbered(rules):
        if seen[a] and seen[b] and seen[c]:
            facts[c] &= ~(facts[a] & facts[b])
    return facts


def posecodes(joints: NDArray[np.float32], starts: NDArray[np.intp]) -> Bits:
    """Tell which facts hold in each frame of motions that lie one after another.

    Args:
        joints: (N, 22, 3) metres, world, y up, floor at y = 0.
        starts: (M + 1,) first frame of each motion, then N.

    Returns:
        (F, N) in the order of `FACTS`, before anything is dropped or held.
    """
    values = measure(named_points(smooth(joints, starts)), plan().measures)
    first = np.zeros(len(joints), bool)
    first[starts[:-1]] = True
    return hold_true(gates(values, first))


def signatures(
    motions: Sequence[NDArray[np.floating]], fields: tuple[str, ...] | None = None
) -> list[list[tuple[int, bytes]]]:
    """Cut each motion into stretches of one signature.

    Args:
        motions: joints (T, 22, 3), metres.
        fields: restrict to these groups and pairs; None is the whole body.

    Returns:
        For each motion, (first frame, packed posecodes) of its stretches in order.
    """
    stretches = []
    for batch in batches(motions):
        starts = np.concatenate([[0], np.cumsum([len(m) for m in batch])])
        facts = posecodes(np.concatenate(batch).astype(np.float32, copy=False), starts)
        facts = drop_implied(facts & about(fields)[:, None])
        packed = np.ascontiguousarray(np.packbits(facts, axis=0).T)
        changed = np.ones(len(packed), bool)
        changed[1:] = (packed[1:] != packed[:-1]).any(axis=1)
        stretches += [held(packed[a:b], changed[a:b]) for a, b in pairwise(starts)]
    return stretches


def batches(motions: Sequence[NDArray[np.floating]]) -> list[list[NDArray[np.floating]]]:
    """Gather whole motions into batches of about `CHUNK` frames."""
    batches: list[list[NDArray[np.floating]]] = []
    room = 0
    for motion in motions:
        if len(motion) > room:
            batches.append([])
            room = CHUNK
        batches[-1].append(motion)
        room -= len(motion)
    return batches


def held(packed: NDArray[np.uint8], changed: Bits) -> list[tuple[int, bytes]]:
    """Hold each signature for at least `HOLD` frames.

    A stretch takes the signature in the middle of its first `HOLD` frames and lasts until the signature
    differs from it. Changes that come together in a quick movement thereby become one change of caption.

    Args:
        packed: (T, B) packed posecodes of one motion.
        changed: (T,) True where a frame differs from the one before.

    Returns:
        (first frame, packed posecodes) of each stretch.
    """
    total = len(packed)
    runs = np.flatnonzero(changed)
    if not len(runs) or runs[0]:
        runs = np.concatenate([[0], runs])
    codes = [row.tobytes() for row in packed[runs]]
    run_of = np.repeat(np.arange(len(runs)), np.diff([*runs.tolist(), total])).tolist()
    ends = [*runs[1:].tolist(), total]
    stretches: list[tuple[int, bytes]] = []
    start = 0
    while start < total:
        code = codes[run_of[min(start + HOLD // 2, total - 1)]]
        stretches.append((start, code))
        start += HOLD
        while start < total and codes[run_of[start]] == code:
            start = ends[run_of[start]]
    return stretches


def unpack(code: bytes) -> tuple[int, ...]:
    """Read the numbers of the facts in a packed signature."""
    bits = np.unpackbits(np.frombuffer(code, np.uint8), count=len(FACTS))
    return tuple(np.flatnonzero(bits).tolist())
