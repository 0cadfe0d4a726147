"""Coefficients of agreement and their intervals: functions of label arrays, many tables at once.

Every coefficient here is a ratio of sums over items. So an item is first turned into what it adds to those
sums (`item_sums`), the items of a motion are added up, and a resample of motions is one matrix product.
Shapes: N items, E evaluators, q labels, M motions, F fields, B resamples; `...` is any axes in front.

Sources: Cohen 1960 (kappa); Fleiss 1971 (kappa of many); Gwet 2008, Br. J. Math. Stat. Psychol. 61 (AC1),
with missing labels as in Gwet 2014, chapter 2; Krippendorff 2011, "Computing Krippendorff's
Alpha-Reliability" (nominal); Efron & Tibshirani 1993, chapter 13 (percentile interval), motions being drawn.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

MISSING: Final = -1  # in place of a label: not judged, or left out
_NOTHING: Final = 1e-12  # a denominator below this is rounding, not a number

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Sums(NamedTuple):
    """What items add up to.

    Attributes:
        pairs: (...) items that two evaluators or more have labelled.
        agreeing: (...) of those, the share of pairs of evaluators who gave one label, summed over items.
        judged: (...) items that anybody labelled.
        shares: (..., q) share of each label among the labels of an item, summed over the judged items.
        whole: (...) items that all evaluators labelled.
        whole_agreeing: (...) as `agreeing`, over the whole items.
        marginals: (..., E, q) how often each evaluator gave each label to the whole items.
        matching: (...) Krippendorff's coincidences of a label with itself, over items with a pair.
        counts: (..., q) labels given to items with a pair.
    """

    pairs: Floats
    agreeing: Floats
    judged: Floats
    shares: Floats
    whole: Floats
    whole_agreeing: Floats
    marginals: Floats
    matching: Floats
    counts: Floats


def item_sums(labels: Integers, q: int) -> Sums:
    """Tell what each of N items adds: every array of `Sums` with N in front.

    Args:
        labels: (N, E), 0 to q - 1, or `MISSING`.
        q: how many labels the scale has.
    """
    given = (labels[..., None] == np.arange(q)).astype(float)  # (N, E, q)
    counts = given.sum(1)
    number = counts.sum(1)
    pairs, whole = number >= 2, number == labels.shape[1]
    equal = (counts * (counts - 1)).sum(1)
    agreeing = np.where(pairs, equal / np.maximum(number * (number - 1), 1), 0.0)
    return Sums(
        pairs=pairs.astype(float),
        agreeing=agreeing,
        judged=(number > 0).astype(float),
        shares=counts / np.maximum(number, 1)[:, None],
        whole=whole.astype(float),
        whole_agreeing=agreeing * whole,
        marginals=given * whole[:, None, None],
        matching=np.where(pairs, equal / np.maximum(number - 1, 1), 0.0),
        counts=counts * pairs[:, None],
    )


def by_motion(values: Floats, motion: Integers, field: Integers, motions: int, fields: int) -> Floats:
    """Add items up per motion and field: (N, ...) -> (M, F + 1, ...); the last is all fields together."""
    added = np.zeros((motions, fields + 1, *values.shape[1:]))
    np.add.at(added, (motion, field), values)
    added[:, -1] = added[:, :-1].sum(1)
    return added


def draw(motions: int, resamples: int, seed: int) -> Floats:
    """Draw motions with replacement: (resamples, M), how often each is in each resample."""
    drawn = np.random.default_rng(seed).integers(motions, size=(resamples, motions))
    rows = np.arange(resamples)[:, None]
    flat = np.bincount((rows * motions + drawn).ravel(), minlength=resamples * motions)
    return flat.reshape(resamples, motions).astype(float)


def weighted(parts: Sums, weights: Floats) -> Sums:
    """Add motions up, each as often as it was drawn: (M, ...) and weights (B, M) -> (B, ...)."""
    return Sums(*(np.tensordot(weights, part, 1) for part in parts))


def ratio(above: Floats, below: Floats) -> Floats:
    """Divide, and give NaN where there is nothing to divide by."""
    defined = np.abs(below) > _NOTHING
    return np.where(defined, above / np.where(defined, below, 1.0), np.nan)


def raw_agreement(sums: Sums) -> Floats:
    """Share of pairs of evaluators who gave one label: the mean over items with a pair; (...)."""
    return ratio(sums.agreeing, sums.pairs)


def kappa(sums: Sums) -> Floats:
    """Cohen's kappa of two evaluators, Fleiss' kappa of more, over the items that all have labelled; (...).

    NaN where chance alone would agree always: both evaluators gave one and the same label throughout.
    """
    observed = ratio(sums.whole_agreeing, sums.whole)
    share = ratio(sums.marginals, sums.whole[..., None, None])
    if share.shape[-2] == 2:
        chance = (share[..., 0, :] * share[..., 1, :]).sum(-1)
    else:
        chance = (share.mean(-2) ** 2).sum(-1)
    return ratio(observed - chance, 1 - chance)


def ac1(sums: Sums) -> Floats:
    """Gwet's AC1 (Gwet 2008): chance agreement is that of labels guessed where the item is hard; (...).

    pe = sum over labels of p (1 - p) / (q - 1), p being the mean share of a label. Defined wherever there is
    an item with a pair, since pe stays below 1.
    """
    share = ratio(sums.shares, sums.judged[..., None])
    chance = (share * (1 - share)).sum(-1) / (share.shape[-1] - 1)
    return ratio(raw_agreement(sums) - chance, 1 - chance)


def alpha(sums: Sums) -> Floats:
    """Krippendorff's alpha for nominal labels, missing ones allowed; NaN where all are one label; (...)."""
    total = sums.counts.sum(-1)
    expected = total * (total - 1) - (sums.counts * (sums.counts - 1)).sum(-1)
    return 1 - ratio((total - 1) * (total - sums.matching), expected)


def interval(values: Floats, confidence: float = 0.95) -> Floats:
    """Percentile interval over the first axis: (B, ...) -> (2, ...).

    Resamples in which the figure is undefined are left out; NaN where it always is.
    """
    tail = (1 - confidence) / 2
    undefined = np.isnan(values).all(0)
    filled = np.where(undefined, 0.0, values)
    return np.where(undefined, np.nan, np.nanquantile(filled, [tail, 1 - tail], axis=0))


def confusion(first: Integers, second: Integers, q: int) -> Integers:
    """Count pairs of labels: (q, q), rows the first evaluator's; items without a pair are left out."""
    both = (first != MISSING) & (second != MISSING)
    return np.bincount(first[both] * q + second[both], minlength=q * q).reshape(q, q)
