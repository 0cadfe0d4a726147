"""Retrieval metrics: ranks, R@k and the median rank, and what the four protocols of TMR need besides.

A similarity matrix has a row for each query and a column for each item of the gallery; query i was made
for item i. Protocols and ties are those of TMR (Petrovich et al., ICCV 2023), as in KinMo section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

RECALLS: Final = (1, 2, 3, 5, 10)
SMALL_BATCH: Final = 32
DISSIMILAR: Final = 100
# Rows of the same text differ by rounding where two batches embedded them.
_SAME: Final = 1e-5


@dataclass(frozen=True, slots=True)
class Ranking:
    """How high the relevant items stood.

    Attributes:
        recall: k -> R@k, percent of the queries with their item among the first k.
        median_rank: MedR, counted from 1.
        queries: how many there were.
    """

    recall: dict[int, float]
    median_rank: float
    queries: int


def ranks(similarity: NDArray[np.floating], relevant: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Rank of each query's relevant item, from 1.

    The rank is 1 + (number of items that are more similar) + (number of equally similar items) / 2: ties are
    averaged as TMR averages them, so that a model that finds everything equally similar ranks in the middle.
    Where several items are relevant, the most similar of them is ranked, and the others are no rivals to it.
    (TMR's code counts those that tie exactly as rivals too. It matters where several equal captions are the
    answer to one motion: the right caption in first place is no less right for standing there three times.)

    Args:
        similarity: (Q, M), higher is more alike.
        relevant: (Q, M), at least one true in each row; without it M = Q and item i alone is relevant to i.

    Returns:
        (Q,) ranks, halves where an odd number of items ties.

    Raises:
        ValueError: shapes that do not fit, a row without a relevant item, or a similarity that is no number.
    """
    _check(similarity, relevant)
    if relevant is None:
        best = np.diagonal(similarity)[:, None]
        rivals = np.count_nonzero(similarity == best, axis=1) - 1
    else:
        best = np.max(similarity, axis=1, where=relevant, initial=-np.inf)[:, None]
        rivals = np.count_nonzero((similarity == best) & ~relevant, axis=1)
    return 1 + np.count_nonzero(similarity > best, axis=1) + rivals / 2


def _check(similarity: NDArray[np.floating], relevant: NDArray[np.bool_] | None) -> None:
    shape = similarity.shape
    if relevant is None and (len(shape) != 2 or shape[0] != shape[1]):
        raise ValueError(f"similarity has shape {shape}; without `relevant` it has to be square")
    if relevant is not None and relevant.shape != shape:
        raise ValueError(f"similarity has shape {shape}, relevant {relevant.shape}; they have to be equal")
    if relevant is not None and not relevant.any(axis=1).all():
        raise ValueError("a query has no relevant item")
    if np.isnan(similarity).any():
        raise ValueError("similarity holds values that are no number")


def ranking(found: NDArray[np.float64]) -> Ranking:
    """Sum ranks up as R@k and MedR.

    As in TMR a query counts for R@k where rank < k + 1, so that an item that shares the first place with
    one other (rank 1.5) counts for R@1, and with two others (rank 2) does not.

    Args:
        found: (Q,) ranks from 1, Q at least 1.
    """
    recall = {k: 100 * float(np.mean(found < k + 1)) for k in RECALLS}
    return Ranking(recall, float(np.median(found)), len(found))


def rank_pairs(similarity: NDArray[np.floating], relevant: NDArray[np.bool_] | None = None) -> Ranking:
    """Give R@k and MedR of a similarity matrix; arguments and errors as `ranks`."""
    return ranking(ranks(similarity, relevant))


def average(rankings: Sequence[Ranking]) -> Ranking:
    """Average R@k and MedR over rankings of equal weight, as protocol (d) does; queries are summed."""
    recall = {k: float(np.mean([one.recall[k] for one in rankings])) for k in RECALLS}
    median = float(np.mean([one.median_rank for one in rankings]))
    return Ranking(recall, median, sum(one.queries for one in rankings))


def same(names: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which items bear the same name, such as the same caption: (N, N), the diagonal true."""
    known: dict[str, int] = {}
    number = np.array([known.setdefault(name, len(known)) for name in names])
    return number[:, None] == number[None, :]


def alike(sentences: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Tell which captions mean nearly the same: (cosine + 1) / 2 above a threshold, or the same caption.

    Args:
        sentences: (N, D) unit sentence embeddings.
        threshold: on the scale of TMR, 0 opposite to 1 equal; TMR's protocol (b) takes 0.95.

    Returns:
        (N, N), the diagonal true.
    """
    found = sentences @ sentences.T > 2 * threshold - 1
    np.fill_diagonal(found, True)
    return found


def dissimilar_subset(sentences: NDArray[np.floating], size: int = DISSIMILAR) -> NDArray[np.intp]:
    """Choose captions far from each other, for protocol (c).

    Greedy farthest point: first the caption that is least like the mean of all, then again and again the one
    whose nearest chosen caption is farthest away; the earlier in order on a tie. No two have the same text,
    so that there are fewer than `size` where there are fewer different captions.

    Args:
        sentences: (N, D) unit sentence embeddings, in an order that does not change between runs.
        size: how many.

    Returns:
        Positions of the chosen, rising.
    """
    chosen = [int(np.argmin(sentences @ sentences.mean(axis=0)))]
    nearest = sentences @ sentences[chosen[0]]
    while len(chosen) < min(size, len(sentences)):
        best = int(np.argmin(nearest))
        if nearest[best] > 1 - _SAME:
            break
        chosen.append(best)
        nearest = np.maximum(nearest, sentences @ sentences[best])
    return np.sort(np.array(chosen))


def small_batches(count: int, size: int = SMALL_BATCH, seed: int = 0) -> list[NDArray[np.intp]]:
    """Cut items into random batches, for protocol (d): shuffled as TMR does, the last incomplete one dropped.

    Args:
        count: number of items, which have to be in the order of their ids.
        size: items in a batch.
        seed: of numpy's old generator, whose order TMR's numbers rest on.
    """
    order = np.arange(count)
    np.random.RandomState(seed).shuffle(order)
    return [order[start : start + size] for start in range(0, count - size + 1, size)]
