"""Ranks against a naive implementation in plain loops, and the pieces of the protocols."""

from __future__ import annotations

import statistics
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinmo_models.metrics.ranking import (
    RECALLS,
    Ranking,
    alike,
    average,
    dissimilar_subset,
    ranking,
    ranks,
    same,
    small_batches,
)


def naive_rank(row: list[float], relevant: set[int]) -> float:
    """Mean place of the best relevant item over all orders of what ties with it, found by sorting.

    All relevant items but that one leave the list first: they are no rivals.
    """
    best = max(relevant, key=lambda item: row[item])
    listed = [item for item in range(len(row)) if item == best or item not in relevant]
    ordered = sorted(listed, key=lambda item: -row[item])
    places = [place for place, item in enumerate(ordered, 1) if row[item] == row[best]]
    return sum(places) / len(places)


def naive_metrics(similarity: np.ndarray, relevant: list[set[int]]) -> tuple[list[float], dict[int, float]]:
    found = [
        naive_rank([float(v) for v in row], mine) for row, mine in zip(similarity, relevant, strict=True)
    ]
    recall = {}
    for k in RECALLS:
        hits = 0
        for rank in found:
            hits += rank - 1 < k  # TMR: 0-based, averaged rank below k
        recall[k] = 100.0 * hits / len(found)
    return found, recall


def matrices(dtype=np.float64):
    """Similarity matrices of few different values, so that nearly everything ties, with relevant items."""

    def build(drawn):
        queries, items, levels, seed = drawn
        rng = np.random.default_rng(seed)
        similarity = (rng.integers(0, levels, (queries, items)) / levels - 0.5).astype(dtype)
        relevant = rng.random((queries, items)) < 0.3
        relevant[np.arange(queries), rng.integers(0, items, queries)] = True
        return similarity, relevant

    shape = st.tuples(st.integers(1, 14), st.integers(1, 14), st.integers(1, 9), st.integers(0, 2**32 - 1))
    return shape.map(build)


@given(matrices())
def test_several_relevant_items_equal_the_naive_ranks(drawn):
    similarity, relevant = drawn
    expected, recall = naive_metrics(similarity, [set(np.flatnonzero(row)) for row in relevant])
    found = ranks(similarity, relevant)
    np.testing.assert_array_equal(found, expected)
    assert ranking(found).recall == pytest.approx(recall)
    assert ranking(found).median_rank == statistics.median(expected)


@given(matrices(np.float32))
def test_the_paired_item_alone_equals_the_naive_ranks(drawn):
    side = min(drawn[0].shape)
    similarity = drawn[0][:side, :side]
    expected, recall = naive_metrics(similarity, [{i} for i in range(side)])
    found = ranks(similarity)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found, ranks(similarity, np.eye(side, dtype=bool)))
    assert ranking(found).recall == pytest.approx(recall)


def test_ranks_of_a_matrix_written_out():
    similarity = np.array([[0.9, 0.1, 0.5], [0.7, 0.7, 0.2], [0.3, 0.3, 0.3]])
    np.testing.assert_array_equal(ranks(similarity), [1, 1.5, 2])
    assert ranking(ranks(similarity)) == Ranking(
        {1: pytest.approx(200 / 3), 2: 100, 3: 100, 5: 100, 10: 100}, 1.5, 3
    )


def test_the_best_relevant_item_is_ranked_and_its_like_are_no_rivals():
    row = np.array([[0.8, 0.6, 0.6, 0.6, 0.1]])
    assert ranks(row, np.array([[False, True, False, False, True]])) == 3
    assert ranks(row, np.array([[False, True, True, True, True]])) == 2
    assert ranks(row, np.array([[True, True, False, False, False]])) == 1


def test_a_model_that_finds_all_alike_ranks_in_the_middle():
    found = ranks(np.ones((101, 101), np.float32))
    assert ranking(found).median_rank == 51
    assert ranking(found).recall[10] == 0


@pytest.mark.parametrize(
    ("similarity", "relevant", "said"),
    [
        (np.zeros((2, 3)), None, "square"),
        (np.zeros((2, 3)), np.ones((3, 2), bool), "equal"),
        (np.zeros((2, 2)), np.array([[True, False], [False, False]]), "no relevant"),
        (np.array([[np.nan]]), None, "no number"),
    ],
)
def test_what_cannot_be_ranked_is_refused(similarity, relevant, said):
    with pytest.raises(ValueError, match=said):
        ranks(similarity, relevant)


@pytest.mark.slow
def test_the_test_split_of_humanml3d_takes_well_under_a_second():
    rng = np.random.default_rng(0)
    similarity = rng.random((4384, 4384), np.float32)
    relevant = rng.random((4384, 4384)) < 0.001
    np.fill_diagonal(relevant, True)
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        ranking(ranks(similarity))
        ranking(ranks(similarity, relevant))
        taken.append(time.perf_counter() - start)
    assert min(taken) < 1


def test_batches_are_averaged_with_equal_weight():
    a = Ranking(dict.fromkeys(RECALLS, 50.0), 1.0, 32)
    b = Ranking(dict.fromkeys(RECALLS, 100.0), 2.5, 32)
    assert average([a, b]) == Ranking(dict.fromkeys(RECALLS, 75.0), 1.75, 64)


def test_the_same_name_is_relevant():
    np.testing.assert_array_equal(same(["a", "b", "a"]), [[1, 0, 1], [0, 1, 0], [1, 0, 1]])


def unit(*angles: float) -> np.ndarray:
    radians = np.radians(angles)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def test_alike_is_on_the_scale_of_tmr():
    """0.95 there is a cosine of 0.90, which is 25.8 degrees."""
    found = alike(unit(0, 25, 27), 0.95)
    np.testing.assert_array_equal(found, [[1, 1, 0], [1, 1, 1], [0, 1, 1]])
    assert alike(np.zeros((2, 2)), 1.0).diagonal().all()


def test_the_subset_is_spread_and_holds_no_text_twice():
    sentences = unit(0, 5, 90, 90, 95, 180)
    np.testing.assert_array_equal(dissimilar_subset(sentences, 3), [0, 2, 5])
    np.testing.assert_array_equal(dissimilar_subset(sentences, 100), [0, 1, 2, 4, 5])


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_the_subset_is_the_greedy_one(seed, size):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(40, 4))
    sentences = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    mean = sentences.mean(axis=0)
    chosen = [min(range(40), key=lambda i: sentences[i] @ mean)]
    while len(chosen) < size:
        left = [i for i in range(40) if i not in chosen]
        chosen.append(min(left, key=lambda i: max(sentences[i] @ sentences[j] for j in chosen)))
    np.testing.assert_array_equal(dissimilar_subset(sentences, size), sorted(chosen))


def test_small_batches_are_those_of_tmr():
    """137 groups for the 4,384 ids of HumanML3D; the order is that of numpy.random.seed(0)."""
    batches = small_batches(4384)
    assert (len(batches), {len(batch) for batch in batches}) == (137, {32})
    assert len(np.unique(np.concatenate(batches))) == 4384
    np.testing.assert_array_equal(np.concatenate(small_batches(10, size=3)), [2, 8, 4, 9, 1, 6, 7, 3, 0])
    assert small_batches(31) == []
    assert len(small_batches(64)) == 2
