"""How far the evaluators of a round agree, per group, per pair and over all sentences.

Labels are the verdicts. "unsure" is a label of its own, so that unsure beside correct is a disagreement; with
`leave_out_unsure` such a judgement counts as not given. Adjudicated verdicts are no part of the agreement:
they were not found independently.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from kinmo_annotate.review.coefficients import MISSING, Integers, draw
from kinmo_annotate.review.figures import KINDS, NO_CATEGORY, Estimate, Figures, Tables
from kinmo_annotate.review.rounds import Item, Round
from kinmo_annotate.review.store import (
    CORRECT,
    JUDGEMENT_VERDICTS,
    UNSURE,
    WRONG,
    Judgement,
    Store,
)
from kinmo_annotate.schema.records import MotionError

RESAMPLES: Final = 2000
GATE: Final = 0.8
GATES: Final = ("kappa", "ac1", "low-end-of-interval")

Judged = Mapping[str, Mapping[Item, Judgement]]  # evaluator -> item -> judgement


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A sentence that evaluators judged differently, and how the adjudication settled it, if it did."""

    motion_id: str
    field: str
    sentence: str
    judgements: dict[str, Judgement]
    final: Judgement | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement of a round.

    Attributes:
        round: which.
        labels: those of the scale: correct, wrong, and unsure where somebody used it.
        asked: sentences in the round.
        missing: sentences that not every evaluator has labelled.
        overall: about all sentences.
        fields: about each group and pair of the round.
        disagreements: in the order of the round; None before all evaluators have finished.
        resamples: how many the intervals are made of.
    """

    round: Round
    labels: tuple[str, ...]
    asked: int
    missing: int
    overall: Figures
    fields: tuple[Figures, ...]
    disagreements: tuple[Disagreement, ...] | None
    resamples: int

    def as_json(self) -> dict[str, Any]:
        """Give everything as JSON values; what is undefined is null."""
        about = {
            name: getattr(self.round, name) for name in ("name", "prompt_version", "parent", "created_at")
        }
        evaluators, told = list(self.round.evaluators), self.disagreements
        return _plain(
            {
                "round": about | {"evaluators": evaluators},
                "labels": list(self.labels),
                "asked": self.asked,
                "missing": self.missing,
                "resamples": self.resamples,
                "overall": _figures_json(self.overall),
                "fields": {one.name: _figures_json(one) for one in self.fields},
                "disagreements": told if told is None else [_disagreement_json(one) for one in told],
            }
        )


def agreement(
    store: Store,
    name: str,
    *,
    leave_out_unsure: bool = False,
    anyway: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Agreement:
    """Measure the agreement of a round.

    Args:
        store: of the dataset.
        name: of the round.
        leave_out_unsure: take an unsure judgement as not given, instead of as a label of its own.
        anyway: measure what is there before all evaluators have finished; disagreements are not listed then.
        resamples: for the intervals.
        seed: of the resamples.

    Raises:
        MotionError: no such round, a round of one evaluator, or one that not all evaluators have finished.
    """
    round = store.round(name)
    if len(round.evaluators) < 2:
        reason = f"was judged by {round.evaluators[0]} alone"
        raise MotionError(f"round {name}", reason, "Agreement takes two: draw a round for two evaluators.")
    finished = set(round.evaluators) <= store.finished(name)
    judged = _unfinished(store, round) if anyway and not finished else store.both(name)
    return measure(
        round,
        judged,
        leave_out_unsure=leave_out_unsure,
        final=store.final(name) if finished else None,
        resamples=resamples,
        seed=seed,
    )


def over_rounds(store: Store, **options: Any) -> list[Agreement]:
    """Measure all finished rounds of two evaluators or more, oldest first; `options` of `agreement`."""
    rounds = [one for one in store.rounds() if len(one.evaluators) > 1]
    done = [one.name for one in rounds if set(one.evaluators) <= store.finished(one.name)]
    return [agreement(store, name, **options) for name in done]


def _unfinished(store: Store, round: Round) -> dict[str, dict[Item, Judgement]]:
    """Give what has been judged so far; drafts without a verdict are left out."""
    current = {name: store.current(round.name, name) for name in round.evaluators}
    return {name: {item: one for item, one in said.items() if one.verdict} for name, said in current.items()}


def measure(
    round: Round,
    judged: Judged,
    *,
    leave_out_unsure: bool = False,
    final: Mapping[Item, Judgement] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Agreement:
    """Measure the agreement of judgements about the items of a round.

    Args:
        round: its evaluators, in this order, are those compared.
        judged: evaluator -> item -> judgement.
        leave_out_unsure: take an unsure judgement as not given.
        final: adjudicated verdicts by item; None leaves the list of disagreements out.
        resamples: for the intervals; motions are drawn, as sentences of one motion are not independent.
        seed: of the resamples.
    """
    items = round.items
    names = _labels(judged, leave_out_unsure)
    said = [[judged[name].get(item) for name in round.evaluators] for item in items]
    labels = _codes([[one.verdict if one else "" for one in row] for row in said], names)
    kinds = _codes([[_kind(one) for one in row] for row in said], KINDS)
    tables = Tables(round, labels, kinds, names, draw(len(round.motion_ids), resamples, seed))
    differing = [row for row, given in zip(said, labels, strict=True) if len({*given} - {MISSING}) > 1]
    return Agreement(
        round=round,
        labels=names,
        asked=len(items),
        missing=int((labels == MISSING).any(1).sum()),
        overall=tables.figures(len(round.fields)),
        fields=tuple(tables.figures(number) for number in range(len(round.fields))),
        disagreements=None if final is None else tuple(_disagreement(row, final) for row in differing),
        resamples=resamples,
    )


def _labels(judged: Judged, leave_out_unsure: bool) -> tuple[str, ...]:
    """Give the labels of the scale.

    AC1 depends on how many there are, and grows with labels that nobody used: so unsure is one of them only
    where somebody was unsure.
    """
    unsure = any(one.verdict == UNSURE for said in judged.values() for one in said.values())
    return JUDGEMENT_VERDICTS if unsure and not leave_out_unsure else (CORRECT, WRONG)


def _codes(words: Sequence[Sequence[str]], known: Sequence[str]) -> Integers:
    """Turn words (N, E) into their places in `known`, and others into `MISSING`."""
    places = {word: place for place, word in enumerate(known)}
    return np.array([[places.get(word, MISSING) for word in row] for row in words], dtype=np.int64)


def _kind(one: Judgement | None) -> str:
    """Name the category of a judgement that says wrong."""
    return (one.category or NO_CATEGORY) if one and one.verdict == WRONG else ""


def _disagreement(row: Sequence[Judgement | None], final: Mapping[Item, Judgement]) -> Disagreement:
    given = {one.evaluator: one for one in row if one}
    first = next(iter(given.values()))
    return Disagreement(*first.item, first.sentence, given, final.get(first.item))


def holds(found: Agreement, gate: float = GATE, on: str = GATES[0]) -> bool:
    """Tell whether a gate of `GATES` holds over all sentences; what is undefined does not.

    Raises:
        MotionError: there is no such gate.
    """
    return gated(found, on) > gate


def gated(found: Agreement, on: str) -> float:
    """Give the figure that a gate is about; `low-end-of-interval` is that of kappa.

    Raises:
        MotionError: there is no such gate.
    """
    overall = found.overall
    values = dict(zip(GATES, (overall.kappa.value, overall.ac1.value, overall.kappa.low), strict=True))
    if on not in values:
        raise MotionError(on, "is no figure that a gate can be about", f"Use {', '.join(GATES)}.")
    return values[on]


def _figures_json(figures: Figures) -> dict[str, Any]:
    told = asdict(figures)
    estimates = {name: value._asdict() for name, value in told.items() if isinstance(value, Estimate)}
    return told | estimates


def _disagreement_json(one: Disagreement) -> dict[str, Any]:
    words = ("verdict", "category", "note")
    said = {name: {w: getattr(judgement, w) for w in words} for name, judgement in one.judgements.items()}
    final = one.final and {w: getattr(one.final, w) for w in words}
    place = {"motion_id": one.motion_id, "field": one.field, "sentence": one.sentence}
    return place | {"judgements": said, "final": final}


def _plain(value: Any) -> Any:
    """Put None in the place of NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
