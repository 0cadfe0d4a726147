"""The nearest of many unit vectors: exactly, or through lists of compressed vectors where there are many.

Exact search is one matrix product over memory-mapped rows. Beyond `EXACT_MOTIONS` rows that takes longer than
a person notices, and faiss looks only into the inverted lists (IVF) nearest to the query, at vectors of one
byte a dimension. What it finds is ranked again by the exact rows, so that the similarities shown are exact
and only the choice of candidates is approximate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.shards import DatasetError

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

EXACT_MOTIONS: Final = 200_000
FAISS_REMEDY: Final = "pip install 'kinmo[search]'"
_CHUNK: Final = 65_536  # rows of a matrix product: 64 MiB at width 256
_EXACT_ROWS: Final = 20_000  # so many rows that pass a filter are gathered and compared one by one
_PROBED: Final = 1 / 8  # share of the lists that a query looks into
_CANDIDATES: Final = 100  # at least so many are ranked again
_TRAINING_ROWS: Final = 40  # a list, as faiss asks for at least


def exact(vectors: Vectors, queries: Vectors, top: int, rows: Rows | None = None) -> tuple[Vectors, Rows]:
    """Find the rows most similar to each query, comparing with all of them.

    Args:
        vectors: (n, d) unit rows, in memory or memory-mapped.
        queries: (q, d) unit rows.
        top: how many to find; fewer where there are fewer.
        rows: compare with these rows alone.

    Returns:
        Cosine similarities (q, k), largest first, and row numbers (q, k), with k = min(top, rows).
    """
    total = len(vectors) if rows is None else len(rows)
    similarities = np.empty((len(queries), 0), np.float32)
    best = np.empty((len(queries), 0), np.int64)
    for start in range(0, total, _CHUNK):
        stop = min(start + _CHUNK, total)
        numbers = np.arange(start, stop) if rows is None else rows[start:stop]
        part = vectors[start:stop] if rows is None else vectors[numbers]
        similarities = np.concatenate([similarities, queries @ part.T], axis=1)
        best = np.concatenate([best, np.broadcast_to(numbers, (len(queries), len(numbers)))], axis=1)
        similarities, best = _largest(similarities, best, top)
    return similarities, best


def _largest(similarities: Vectors, rows: Rows, top: int) -> tuple[Vectors, Rows]:
    """Keep the `top` largest of each line in order; among equals the first row comes first."""
    if similarities.shape[1] > top:
        kept = np.argpartition(-similarities, top - 1, axis=1)[:, :top]
        similarities = np.take_along_axis(similarities, kept, axis=1)
        rows = np.take_along_axis(rows, kept, axis=1)
    order = np.lexsort((rows, -similarities), axis=1)
    return np.take_along_axis(similarities, order, axis=1), np.take_along_axis(rows, order, axis=1)


class InvertedLists:
    """A faiss index of many vectors; it holds a quarter of their bytes and needs them beside it to rank."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: Vectors, progress: Callable[[int], None] | None = None) -> InvertedLists:
        """Sort vectors (n, d) into about 2 sqrt(n) lists by spherical k-means on a sample of them.

        Args:
            vectors: unit rows, in memory or memory-mapped; read in parts.
            progress: told how many more rows are sorted in.

        Raises:
            ModuleNotFoundError: faiss is not installed.
        """
        import faiss

        count, width = vectors.shape
        lists = max(1, 2 ** round(math.log2(2 * math.sqrt(count))))
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(width), width, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        index.by_residual = False
        index.cp.spherical, index.cp.niter = True, 8
        index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = _TRAINING_ROWS, 1
        drawn = np.random.default_rng(0).choice(count, min(count, lists * _TRAINING_ROWS), replace=False)
        index.train(np.ascontiguousarray(vectors[np.sort(drawn)]))
        for start in range(0, count, _CHUNK):
            part = np.ascontiguousarray(vectors[start : start + _CHUNK])
            index.add(part)
            if progress is not None:
                progress(len(part))
        return cls(index)

    def save(self, path: Path) -> None:
        """Write the index to a file of its own."""
        import faiss

        faiss.write_index(self._index, str(path))

    @classmethod
    def open(cls, path: Path, count: int, width: int) -> InvertedLists:
        """Read an index from a file whose digest was compared before: faiss trusts what it reads.

        Raises:
            DatasetError: the file is no index of so many vectors of that width.
        """
        import faiss

        try:
            index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise _damaged(path, str(error).splitlines()[-1]) from None
        if not isinstance(index, faiss.IndexIVF) or (index.ntotal, index.d) != (count, width):
            raise _damaged(path, f"holds no inverted lists of {count} vectors of width {width}")
        return cls(index)

    def search(
        self, vectors: Vectors, queries: Vectors, top: int, rows: Rows | None = None
    ) -> tuple[Vectors, Rows]:
        """Find the rows most similar to each query, as `exact` does, but for a few that may be missed.

        Where a filter leaves few rows, they are compared one by one; where it leaves many, more lists are
        looked into, so that as many rows are compared as without it. Where still too few are found, all that
        pass are compared.

        Args:
            vectors: (n, d) the very rows that the index was built of.
            queries: (q, d) unit rows.
            top: how many to find.
            rows: sorted numbers of the rows that may be found.
        """
        if rows is not None and len(rows) <= _EXACT_ROWS:
            return exact(vectors, queries, top, rows)
        import faiss

        passing = len(vectors) if rows is None else len(rows)
        lists = self._index.nlist
        probed = min(lists, math.ceil(lists * _PROBED * len(vectors) / passing))
        bits = None if rows is None else _bitmap(rows, len(vectors))
        selector = None if bits is None else faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        settings = faiss.SearchParametersIVF()
        settings.nprobe, settings.sel = probed, selector
        wanted = min(max(_CANDIDATES, 4 * top), passing)
        _, found = self._index.search(np.ascontiguousarray(queries), wanted, params=settings)
        if (found[:, : min(top, passing)] < 0).any():
            return exact(vectors, queries, top, rows)
        pairs = zip(queries, found, strict=True)
        best = [exact(vectors, query[None], top, row[row >= 0]) for query, row in pairs]
        similarities, numbers = zip(*best, strict=True)
        return np.concatenate(similarities), np.concatenate(numbers)


def _bitmap(rows: Rows, count: int) -> NDArray[np.uint8]:
    """Set a bit for each row that may be found."""
    passes = np.zeros(count, bool)
    passes[rows] = True
    return np.packbits(passes, bitorder="little")


def _damaged(path: Path, reason: str) -> DatasetError:
    return DatasetError(path, reason, "Make the index again: delete its folder and run `kinmo index`.")
