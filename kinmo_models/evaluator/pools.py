"""Pools for R-precision: among which motions a text has to find its own."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.shards import DatasetError

Bools = NDArray[np.bool_]


def alike_captions(captions: Sequence[str], sentences: NDArray[np.floating], above: float) -> Bools:
    """Tell which captions (n, n) are equal, or have sentence embeddings with a cosine above a bound."""
    texts = np.array(captions, dtype=object)
    found: Bools = (texts[:, None] == texts[None]) | (sentences @ sentences.T > above)
    return found


def alike_labels(captions: Sequence[str], labels: Sequence[str]) -> Bools:
    """Tell which motions have equal captions or equal labels: (n, n)."""
    both = (np.array(values, dtype=object) for values in (captions, labels))
    first, second = (values[:, None] == values[None] for values in both)
    found: Bools = first | second
    return found


def read_labels(path: Path, columns: Sequence[str]) -> dict[str, str]:
    """Read what is known of motions from a CSV file with a column `id`: id -> the columns' values, joined.

    Raises:
        DatasetError: the file or a column is missing.
    """
    remedy = f"Give a CSV file with the columns id, {', '.join(columns)}."
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            return {row["id"]: " / ".join(row[name] for name in columns) for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(path, f"cannot be read ({error})", remedy) from None
    except (KeyError, TypeError) as error:
        raise DatasetError(path, f"lacks a value or the column {error}", remedy) from None


def labels_of(motion_ids: Sequence[str], labels: Mapping[str, str], path: Path) -> list[str]:
    """Give the labels of motions.

    Raises:
        DatasetError: a motion has none.
    """
    missing = [one for one in motion_ids if one not in labels]
    if missing:
        reason = f"says nothing of {len(missing)} of {len(motion_ids)} motions, such as {missing[0]}"
        raise DatasetError(path, reason, "Give the labels that belong to this dataset.")
    return [labels[one] for one in motion_ids]


def draw_pools(alike: Bools, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw pools no two of whose motions are alike, each motion at most once.

    The motions come in random order, and each goes into the pool in hand unless one there is alike; those
    left over make the next. What makes no full pool is left out.

    Args:
        alike: (n, n); all false gives the standard random pools.
        size: motions of a pool.
        rng: draws the order.

    Returns:
        (pools, size) places.
    """
    left, pools = rng.permutation(len(alike)).tolist(), []
    while len(left) >= size:
        pool: list[int] = []
        rest: list[int] = []
        for place in left:
            full = len(pool) == size
            (rest if full or alike[place][pool].any() else pool).append(place)
        if len(pool) < size:
            break
        pools.append(pool)
        left = rest
    return np.array(pools, np.int64).reshape(-1, size)
