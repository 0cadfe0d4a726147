"""The nearest of many vectors: the exact way against a plain sort, the quick way against the exact one."""

from __future__ import annotations

import numpy as np
import pytest

from kinmo_annotate.schema.shards import DatasetError
from kinmo_models.retrieval import neighbours
from kinmo_models.retrieval.neighbours import InvertedLists, exact


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clustered(count, width=32, seed=0):
    """Unit vectors in clusters of about 20, and queries beside some of them."""
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(max(count // 20, 1), width)))
    spread = 0.6 / np.sqrt(width)
    vectors = unit(centres[rng.integers(len(centres), size=count)] + spread * rng.normal(size=(count, width)))
    queries = unit(vectors[rng.integers(count, size=50)] + spread * rng.normal(size=(50, width)))
    return vectors, queries


def plainly(vectors, queries, top, rows):
    similarities = queries @ vectors[rows].T
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :top]
    return np.take_along_axis(similarities, order, axis=1), rows[order]


@pytest.mark.parametrize("chunk", [1, 7, 500, 10_000])
@pytest.mark.parametrize("some", [False, True])
def test_exact_is_a_plain_sort_however_it_is_cut(chunk, some, monkeypatch):
    vectors, queries = clustered(1000)
    rows = np.arange(3, 1000, 7) if some else None
    monkeypatch.setattr(neighbours, "_CHUNK", chunk)
    similarities, found = exact(vectors, queries, 10, rows)
    wanted = plainly(vectors, queries, 10, np.arange(1000) if rows is None else rows)
    np.testing.assert_allclose(similarities, wanted[0], atol=1e-6)
    assert (found == wanted[1]).all()


def test_equal_motions_come_in_their_order():
    vectors = unit(np.ones((6, 4)))
    assert exact(vectors, vectors[:1], 6)[1].tolist() == [[0, 1, 2, 3, 4, 5]]


def test_fewer_are_found_where_there_are_fewer():
    vectors, queries = clustered(5)
    assert exact(vectors, queries, 10)[1].shape == (50, 5)


@pytest.fixture(scope="module")
def many():
    pytest.importorskip("faiss", reason="faiss is in the extra kinmo[search]")
    vectors, queries = clustered(60_000)
    return vectors, queries, InvertedLists.build(vectors)


def recall(found, wanted):
    return np.mean(
        [len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), wanted.tolist(), strict=True)]
    )


def test_lists_find_what_exact_search_finds(many):
    vectors, queries, lists = many
    similarities, found = lists.search(vectors, queries, 10)
    assert recall(found, exact(vectors, queries, 10)[1]) > 0.95
    for line, rows, query in zip(similarities, found, queries, strict=True):
        np.testing.assert_allclose(line, vectors[rows] @ query, atol=1e-6)  # exact, whatever the lists hold
        assert (np.diff(line) <= 0).all()


@pytest.mark.parametrize("share", [0.9, 0.4, 0.01, 1e-4])
def test_filters_hold_in_lists_and_lose_little(many, share):
    vectors, queries, lists = many
    rows = np.flatnonzero(np.random.default_rng(1).random(len(vectors)) < share)
    _, found = lists.search(vectors, queries, 10, rows)
    assert np.isin(found, rows).all()
    assert found.shape == (50, min(10, len(rows)))
    assert recall(found, exact(vectors, queries, 10, rows)[1]) > 0.95


def test_a_filter_that_leaves_the_nearest_lists_empty_still_finds_enough(many):
    """All that pass lie far from the query."""
    vectors, _, lists = many
    query = unit(vectors[:1])
    rows = np.sort(np.argsort(vectors @ query[0])[:21_000])
    _, found = lists.search(vectors, query, 10, rows)
    assert len(set(found[0].tolist())) == 10
    assert np.isin(found, rows).all()


def test_lists_on_disk(many, tmp_path):
    vectors, queries, lists = many
    lists.save(tmp_path / "a.faiss")
    again = InvertedLists.open(tmp_path / "a.faiss", *vectors.shape)
    assert (again.search(vectors, queries, 5)[1] == lists.search(vectors, queries, 5)[1]).all()
    with pytest.raises(DatasetError, match="holds no inverted lists of 59999"):
        InvertedLists.open(tmp_path / "a.faiss", 59_999, 32)
    (tmp_path / "b.faiss").write_bytes(b"nonsense" * 100)
    with pytest.raises(DatasetError, match="kinmo index"):
        InvertedLists.open(tmp_path / "b.faiss", *vectors.shape)


def test_progress_counts_every_row():
    pytest.importorskip("faiss", reason="faiss is in the extra kinmo[search]")
    told = []
    InvertedLists.build(clustered(3000)[0], told.append)
    assert sum(told) == 3000
