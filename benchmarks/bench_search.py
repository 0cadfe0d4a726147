"""What a query costs among many motions, and what the quick way finds of what the exact way finds.

Run: python benchmarks/bench_search.py [--motions 1000000] [--width 256] [--queries 200]
     [--data clusters random] [--hnsw] [--threads 2]

Two kinds of made-up embeddings, unit vectors both:
clusters  a mixture of motions / 50 clusters of uneven size (Pareto) around centres whose spectrum falls with
          the square root, as of a trained space; a query is drawn like a motion but with 1.5 times the
          spread, as a text lies beside its motion, not on it. Near neighbours exist: the mean cosine of the
          first is printed.
random    uniform on the sphere, the worst case: nothing is near, and no index can know where to look.

Printed: seconds and bytes of the build, milliseconds a query (median and 99th percentile, one at a time, what
a person waits for) and recall@10, the share of the exact ten that are found. With filters: a random half, a
random twentieth and hundredth, and one that goes with the content (a half-space, so that for half of the
queries the nearest clusters do not pass). And what it costs that the most similar are ordered anew by their
captions, random vectors here. `--hnsw` builds a faiss HNSW graph (M 32, 8-bit vectors, candidates
ranked again) as well.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinmo_models.retrieval.captions import WEIGHT, candidates, order_anew
from kinmo_models.retrieval.neighbours import InvertedLists, exact

Vectors = NDArray[np.float32]
TOP = 10
PART = 100_000
SENTENCE_WIDTH = 384  # of all-MiniLM-L6-v2


def unit(vectors: Any) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def clusters(motions: int, queries: int, width: int, path: Path) -> tuple[Vectors, Vectors]:
    rng = np.random.default_rng(0)
    spectrum = (1 + np.arange(width)) ** -0.5
    spectrum = (spectrum / np.linalg.norm(spectrum)).astype(np.float32)
    centres = unit(rng.standard_normal((max(motions // 50, 1), width), np.float32) * spectrum)
    weights = rng.pareto(1.5, len(centres)) + 0.2
    weights /= weights.sum()

    def draw(count: int, spread: float) -> Vectors:
        around = centres[rng.choice(len(centres), count, p=weights)]
        return unit(around + spread * rng.standard_normal((count, width), np.float32) * spectrum)

    return mapped(path, motions, width, lambda count: draw(count, 0.6)), draw(queries, 0.9)


def sphere(motions: int, queries: int, width: int, path: Path) -> tuple[Vectors, Vectors]:
    rng = np.random.default_rng(0)

    def draw(count: int) -> Vectors:
        return unit(rng.standard_normal((count, width), np.float32))

    return mapped(path, motions, width, draw), draw(queries)


def mapped(path: Path, motions: int, width: int, draw: Callable[[int], Vectors]) -> Vectors:
    """Write vectors to a file and map it, as an index does."""
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(motions, width))
    for start in range(0, motions, PART):
        written[start : start + PART] = draw(min(PART, motions - start))
    written.flush()
    return np.load(path, mmap_mode="r")


def timed(search: Callable[[Vectors], Any], queries: Vectors) -> tuple[list[Any], str]:
    search(queries[:1])
    seconds, found = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(search(query[None])[1][0])
        seconds.append(time.perf_counter() - started)
    middle, slow = 1e3 * np.median(seconds), 1e3 * np.quantile(seconds, 0.99)
    return found, f"{middle:8.2f} ms, 99 % under {slow:7.2f} ms"


def recall(found: list[Any], wanted: NDArray[np.int64]) -> float:
    pairs = zip(found, wanted, strict=True)
    return float(np.mean([len(set(a.tolist()) & set(b.tolist())) / len(b) for a, b in pairs]))


def resident() -> float:
    """Bytes of this process that are not of mapped files."""
    import psutil

    memory = psutil.Process().memory_info()
    return float(memory.rss - memory.shared)


class Graph:
    """HNSW, for comparison."""

    def __init__(self, vectors: Vectors) -> None:
        import faiss

        width = vectors.shape[1]
        kind, metric = faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        self.index = faiss.IndexHNSWSQ(width, kind, 32, metric)
        self.index.hnsw.efConstruction = 80
        self.index.train(np.ascontiguousarray(vectors[:PART]))
        for start in range(0, len(vectors), PART):
            self.index.add(np.ascontiguousarray(vectors[start : start + PART]))
        self.index.hnsw.efSearch = 200

    def search(self, vectors: Vectors, query: Vectors, top: int) -> Any:
        """Find candidates in the graph and rank them by the exact rows."""
        _, found = self.index.search(query, 100)
        return exact(vectors, query, top, found[0][found[0] >= 0])


def bench(name: str, vectors: Vectors, queries: Vectors, folder: Path, with_graph: bool) -> None:
    _, wanted = exact(vectors, queries, TOP)
    nearest = np.einsum("qd,qd->q", vectors[wanted[:, 0]], queries).mean()
    tenth = np.einsum("qd,qd->q", vectors[wanted[:, -1]], queries).mean()
    print(f"\n{name}: {len(vectors):,} x {vectors.shape[1]}")
    print(f"  mean cosine of the first {nearest:.2f}, of the tenth {tenth:.2f}")
    _, spent = timed(lambda query: exact(vectors, query, TOP), queries[:20])
    print(f"  exact                        {spent}, recall 1 by definition")
    before, started = resident(), time.perf_counter()
    lists = InvertedLists.build(vectors)
    built, memory = time.perf_counter() - started, resident() - before
    lists.save(folder / "lists.faiss")
    size = (folder / "lists.faiss").stat().st_size
    print(f"  lists: built in {built:.0f} s, {size / 1e6:.0f} MB on disk, {memory / 1e6:.0f} MB of memory")
    found, spent = timed(lambda query: lists.search(vectors, query, TOP), queries)
    print(f"  lists                        {spent}, recall {recall(found, wanted):.3f}")
    print(f"  lists, then captions         {with_captions(lists, vectors, queries, folder)}")
    rng = np.random.default_rng(1)
    half_space = vectors @ unit(rng.standard_normal((1, vectors.shape[1])))[0] > 0
    filters = {"half": rng.random(len(vectors)) < 0.5, "twentieth": rng.random(len(vectors)) < 0.05}
    filters |= {"hundredth": rng.random(len(vectors)) < 0.01, "half-space": half_space}
    for label, passes in filters.items():
        rows = np.flatnonzero(passes)
        found, spent = timed(lambda query, rows=rows: lists.search(vectors, query, TOP, rows), queries)
        share = recall(found, exact(vectors, queries, TOP, rows)[1])
        print(f"  lists, filter {label:<14} {spent}, recall {share:.3f}")
    if with_graph:
        started = time.perf_counter()
        graph = Graph(vectors)
        print(f"  HNSW: built in {time.perf_counter() - started:.0f} s")
        found, spent = timed(lambda query: graph.search(vectors, query, TOP), queries)
        print(f"  HNSW                         {spent}, recall {recall(found, wanted):.3f}")


def with_captions(lists: InvertedLists, vectors: Vectors, queries: Vectors, folder: Path) -> str:
    """Time what a search by text does in an index of motions that have captions."""
    rng = np.random.default_rng(2)

    def draw(count: int) -> Vectors:
        return unit(rng.standard_normal((count, SENTENCE_WIDTH), np.float32))

    captions, sentence = mapped(folder / "captions.npy", len(vectors), SENTENCE_WIDTH, draw), draw(1)[0]

    def search(query: Vectors) -> Any:
        similarities, rows = lists.search(vectors, query, candidates(TOP))
        order, _ = order_anew(similarities[0], rows[0], captions, sentence, WEIGHT)
        return similarities, rows[:, order[:TOP]]

    return timed(search, queries)[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--motions", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--data", nargs="+", choices=("clusters", "random"), default=["clusters", "random"])
    parser.add_argument("--hnsw", action="store_true")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    chosen = parser.parse_args()
    import faiss

    faiss.omp_set_num_threads(chosen.threads)
    kinds = {"clusters": clusters, "random": sphere}
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.data:
            path = Path(folder) / f"{name}.npy"
            vectors, queries = kinds[name](chosen.motions, chosen.queries, chosen.width, path)
            bench(name, vectors, queries, Path(folder), chosen.hnsw)


if __name__ == "__main__":
    main()
