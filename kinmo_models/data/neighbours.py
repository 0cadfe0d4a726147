"""Motions whose captions are alike, put into one batch: what tells them apart then has to be learned."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]

_CANDIDATES = 2  # times the neighbours that are drawn of them
_ROWS_AT_ONCE = 4096


def nearest_items(sentences: NDArray[np.float32], first: Ints, neighbours: int) -> Ints:
    """Find, for each item, those whose captions are most like its own.

    Args:
        sentences: unit sentence embeddings of all captions, item by item.
        first: (n,) place of each item's first caption.
        neighbours: that are to stand together, the item counted; twice as many candidates are given.

    Returns:
        (n, at most 2 * neighbours) items.
    """
    means = np.add.reduceat(sentences, first)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    count = min(_CANDIDATES * neighbours, len(means) - 1)
    found = []
    for start in range(0, len(means), _ROWS_AT_ONCE):
        similarity = means[start : start + _ROWS_AT_ONCE] @ means.T
        rows = np.arange(len(similarity))
        similarity[rows, start + rows] = -np.inf
        found.append(np.argpartition(-similarity, count - 1, axis=1)[:, :count])
    return np.concatenate(found)


def with_neighbours(order: Ints, nearest: Ints, neighbours: int, random: np.random.Generator) -> Ints:
    """Order items anew: each that is still free brings free ones with like captions; these groups are mixed.

    Args:
        order: (n,) the items in random order.
        nearest: from `nearest_items`.
        neighbours: items of a group at most.
        random: draws the neighbours and mixes the groups.
    """
    free, groups = np.ones(len(order), bool), []
    for item in order.tolist():
        if free[item]:
            free[item] = False
            others = random.permutation(nearest[item])
            others = others[free[others]][: neighbours - 1]
            free[others] = False
            groups.append(np.concatenate([[item], others]))
    return np.concatenate([groups[place] for place in random.permutation(len(groups))])
