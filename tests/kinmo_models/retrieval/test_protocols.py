"""The four protocols on similarities that are written out or drawn."""

from __future__ import annotations

import numpy as np
import pytest

from kinmo_models.metrics.ranking import small_batches
from kinmo_models.retrieval.protocols import (
    DIRECTIONS,
    MOTION_TO_TEXT,
    PAIRED,
    SAME_CAPTION,
    SIMILAR_TEXT,
    TEXT_TO_MOTION,
    make_protocols,
    protocol_all,
)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def split(count: int, seed: int = 0):
    """Captions, each but the first few once, with their embeddings, and similarities of a middling model."""
    rng = np.random.default_rng(seed)
    captions = [f"text {max(number, 3)}" for number in range(count)]
    sentences = unit(rng.normal(size=(count, 8)))
    sentences[:4] = sentences[3]
    return captions, sentences, rng.normal(size=(count, count)) + 2 * np.eye(count)


def test_all_four_with_their_scorers():
    captions, sentences, _ = split(40)
    found = [(one.letter, one.scorer) for one in make_protocols(captions, sentences)]
    both = (PAIRED, SAME_CAPTION)
    assert found == [
        *(("a", one) for one in both), ("b", SIMILAR_TEXT), *((n, one) for n in "cd" for one in both),
    ]  # fmt: skip


def test_a_split_smaller_than_a_batch_has_no_small_batches():
    captions, sentences, _ = split(31)
    assert {one.letter for one in make_protocols(captions, sentences)} == set("abc")


def test_the_directions_are_rows_and_columns():
    similarity = np.array([[0.5, 0.9], [0.1, 0.8]])  # text 0 likes motion 1 better
    paired = protocol_all(["a", "b"])[0]
    assert paired.measure(similarity, TEXT_TO_MOTION).recall[1] == 50
    assert paired.measure(similarity, MOTION_TO_TEXT).recall[1] == 50
    similarity = np.array([[0.5, 0.4], [0.6, 0.8]])  # motion 0 likes text 1 better
    assert paired.measure(similarity, TEXT_TO_MOTION).recall[1] == 100
    assert paired.measure(similarity, MOTION_TO_TEXT).recall[1] == 50


def test_the_same_caption_counts_where_asked():
    similarity = np.array([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5], [0.1, 0.2, 0.9]])
    paired, same = protocol_all(["a", "a", "b"])
    assert paired.measure(similarity, TEXT_TO_MOTION).recall[1] == pytest.approx(200 / 3)
    assert same.measure(similarity, TEXT_TO_MOTION).recall[1] == 100
    assert paired.measure(similarity, MOTION_TO_TEXT).median_rank == 1.5
    assert same.measure(similarity, MOTION_TO_TEXT).median_rank == 1


def test_more_counts_with_a_lower_threshold():
    captions, sentences, similarity = split(60)
    found = {
        limit: next(one for one in make_protocols(captions, sentences, limit) if one.letter == "b")
        for limit in (1.0, 0.95, 0.5)
    }
    medians = [one.measure(similarity, TEXT_TO_MOTION).median_rank for one in found.values()]
    assert medians == sorted(medians, reverse=True)
    assert medians[0] > medians[-1]
    assert "0.95" in found[0.95].note


def test_the_dissimilar_subset_is_searched_alone():
    captions, sentences, similarity = split(120)
    subset = next(one for one in make_protocols(captions, sentences) if one.letter == "c")
    assert len(subset.parts[0]) == 100
    assert len({captions[place] for place in subset.parts[0]}) == 100
    assert "farthest point" in subset.note
    assert "fewer" not in subset.note
    chosen = subset.parts[0]
    alone = protocol_all([captions[place] for place in chosen])[0]
    for direction in DIRECTIONS:
        assert subset.measure(similarity, direction) == alone.measure(
            similarity[np.ix_(chosen, chosen)], direction
        )


def test_fewer_different_captions_make_a_smaller_subset_and_say_so():
    captions, sentences, _ = split(40)
    subset = next(one for one in make_protocols(captions, sentences) if one.letter == "c")
    assert len(subset.parts[0]) == 37
    assert "fewer than 100" in subset.note


def test_a_published_subset_is_taken_as_it_is():
    captions, sentences, _ = split(40)
    subset = next(one for one in make_protocols(captions, sentences, listed=[7, 0, 1]) if one.letter == "c")
    np.testing.assert_array_equal(subset.parts[0], [0, 1, 7])
    assert "list of ids" in subset.note


def test_small_batches_are_averaged():
    captions, sentences, similarity = split(70)
    found = next(
        one for one in make_protocols(captions, sentences) if (one.letter, one.scorer) == ("d", PAIRED)
    )
    by_hand = [
        protocol_all([captions[place] for place in part])[0].measure(
            similarity[np.ix_(part, part)], TEXT_TO_MOTION
        )
        for part in small_batches(70)
    ]
    measured = found.measure(similarity, TEXT_TO_MOTION)
    assert measured.queries == 64
    assert measured.recall[1] == pytest.approx(np.mean([one.recall[1] for one in by_hand]))
    assert measured.median_rank == pytest.approx(np.mean([one.median_rank for one in by_hand]))
