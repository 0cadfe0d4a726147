"""The figures of agreement about each field of a round, from label arrays.

Points come from scikit-learn (Cohen's kappa), statsmodels (Fleiss' kappa) and krippendorff (alpha); AC1 and
all intervals from `coefficients`, whose formulas the tests hold against those libraries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np

from kinmo_annotate.review.coefficients import (
    MISSING,
    Floats,
    Integers,
    Sums,
    ac1,
    alpha,
    by_motion,
    confusion,
    interval,
    item_sums,
    kappa,
    ratio,
    raw_agreement,
    weighted,
)
from kinmo_annotate.review.rounds import Round
from kinmo_annotate.review.store import CATEGORIES

ALL: Final = "all"  # stands where a field's name does
NO_CATEGORY: Final = "no category"
KINDS: Final = (*CATEGORIES, NO_CATEGORY)


class Estimate(NamedTuple):
    """A figure with its 95 % interval; NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The agreement about one field, or about all.

    Attributes:
        name: the group or pair, or `ALL`.
        items: sentences that two evaluators or more have labelled.
        motions: motions that these sentences are of.
        agreement: share of pairs of evaluators with the same label.
        kappa: Cohen's of two evaluators, Fleiss' of more.
        ac1: Gwet's AC1.
        alpha: Krippendorff's alpha, for more than two evaluators.
        error_rate: share of the labels that say wrong.
        errors: per category, the share of the labels that say wrong for that reason.
        shares: share of each label.
        confusion: per pair of evaluators "a / b", counts of labels; rows are a's, columns b's.
        undefined: share of resamples in which kappa is undefined.
    """

    name: str
    items: int
    motions: int
    agreement: Estimate
    kappa: Estimate
    ac1: Estimate
    alpha: Estimate | None
    error_rate: Estimate
    errors: dict[str, float]
    shares: dict[str, float]
    confusion: dict[str, list[list[int]]]
    undefined: float


class Tables:
    """The labels of a round as sums, as they are and in each resample; fields in order, then all together."""

    def __init__(
        self, round: Round, labels: Integers, kinds: Integers, names: Sequence[str], weights: Floats
    ) -> None:
        self.round, self.labels, self.names = round, labels, names
        motions, fields = len(round.motion_ids), len(round.fields)
        self.field = np.tile(np.arange(fields), motions)
        motion = np.repeat(np.arange(motions), fields)
        parts = Sums(
            *(by_motion(part, motion, self.field, motions, fields) for part in item_sums(labels, len(names)))
        )
        given = (labels[..., None] == np.arange(len(names))).sum(1).astype(float)
        wrong = (kinds[..., None] == np.arange(len(KINDS))).sum(1).astype(float)
        self.given = by_motion(given, motion, self.field, motions, fields)
        self.wrong = by_motion(wrong, motion, self.field, motions, fields)
        self.parts = parts
        self.sums = Sums(*(part.sum(0) for part in parts))
        drawn = weighted(parts, weights)
        rates = ratio(*(np.tensordot(weights, part.sum(-1), 1) for part in (self.wrong, self.given)))
        figures = {"agreement": raw_agreement, "kappa": kappa, "ac1": ac1, "alpha": alpha}
        self.drawn = {name: figure(drawn) for name, figure in figures.items()} | {"error_rate": rates}
        self.bounds = {name: interval(values) for name, values in self.drawn.items()}

    def figures(self, number: int) -> Figures:
        """Give the figures of a field by its place, or of all fields together, which stand last."""
        everything = number == len(self.round.fields)
        labels = self.labels if everything else self.labels[self.field == number]
        sums = Sums(*(part[number] for part in self.sums))
        given, wrong = self.given[:, number].sum(0), self.wrong[:, number].sum(0)
        motions = int((self.parts.pairs[:, number] > 0).sum())
        many = len(self.round.evaluators) > 2
        points = {
            "agreement": float(raw_agreement(sums)),
            "kappa": _fleiss(labels, sums) if many else _cohen(labels, sums),
            "ac1": float(ac1(sums)),
            "error_rate": float(ratio(wrong.sum(), given.sum())),
        }
        found = {name: self._estimate(name, number, value, motions) for name, value in points.items()}
        return Figures(
            name=ALL if everything else self.round.fields[number],
            items=int(sums.pairs),
            motions=motions,
            alpha=self._estimate("alpha", number, _alpha(labels, sums), motions) if many else None,
            errors=dict(zip(KINDS, ratio(wrong, given.sum()).tolist(), strict=True)),
            shares=dict(zip(self.names, ratio(given, given.sum()).tolist(), strict=True)),
            confusion=_confusion(self.round.evaluators, labels, len(self.names)),
            undefined=float(np.isnan(self.drawn["kappa"][:, number]).mean()),
            **found,
        )

    def _estimate(self, name: str, number: int, value: float, motions: int) -> Estimate:
        """Join a figure and its interval; one motion has no spread to tell an interval from."""
        if motions < 2 or math.isnan(value):
            return Estimate(value, math.nan, math.nan)
        return Estimate(value, *self.bounds[name][:, number].tolist())


def _confusion(evaluators: Sequence[str], labels: Integers, q: int) -> dict[str, list[list[int]]]:
    pairs = combinations(range(len(evaluators)), 2)
    return {
        f"{evaluators[a]} / {evaluators[b]}": confusion(labels[:, a], labels[:, b], q).tolist()
        for a, b in pairs
    }


def _cohen(labels: Integers, sums: Sums) -> float:
    """Cohen's kappa by scikit-learn, which is asked only where kappa is defined."""
    from sklearn.metrics import cohen_kappa_score

    whole = labels[(labels != MISSING).all(1)]
    return math.nan if np.isnan(kappa(sums)) else float(cohen_kappa_score(whole[:, 0], whole[:, 1]))


def _fleiss(labels: Integers, sums: Sums) -> float:
    """Fleiss' kappa by statsmodels, over the sentences that all evaluators have labelled."""
    if np.isnan(kappa(sums)):
        return math.nan
    from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

    counts, _ = aggregate_raters(labels[(labels != MISSING).all(1)])
    return float(fleiss_kappa(counts))


def _alpha(labels: Integers, sums: Sums) -> float:
    """Krippendorff's alpha by its own package, missing labels allowed."""
    if np.isnan(alpha(sums)):
        return math.nan
    import krippendorff

    given = np.where(labels == MISSING, np.nan, labels).T
    return float(krippendorff.alpha(given, level_of_measurement="nominal"))
