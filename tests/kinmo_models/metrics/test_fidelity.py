"""The metrics of T2M against naive float64 implementations, written from their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm

from kinmo_models.metrics.fidelity import (
    diversity,
    frechet_distance,
    matching_distance,
    multimodality,
    r_precision,
)


def latents(seed: int, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) @ rng.normal(size=(shape[-1], shape[-1])) + rng.normal(size=shape[-1])


def far(a: np.ndarray, b: np.ndarray) -> float:
    return math.sqrt(sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True)))


def naive_frechet(a: np.ndarray, b: np.ndarray) -> float:
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    shift = a.mean(0) - b.mean(0)
    return float(shift @ shift + np.trace(s1 + s2 - 2 * sqrtm(s1 @ s2).real))


def test_frechet_distance_is_that_of_the_definition():
    a, b = latents(0, 200, 12), 1.5 * latents(1, 90, 12)
    assert frechet_distance(a, b) == pytest.approx(naive_frechet(a, b), rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_frechet_distance_with_fewer_latents_than_dimensions():
    """Both lie in a plane of six dimensions, where the definition can be followed."""
    rng = np.random.default_rng(2)
    a, b = latents(3, 20, 6), latents(4, 25, 6)
    basis = np.linalg.qr(rng.normal(size=(40, 6)))[0]
    assert frechet_distance(a @ basis.T, b @ basis.T) == pytest.approx(naive_frechet(a, b), rel=1e-8)
    thin = rng.normal(size=(10, 512))
    assert frechet_distance(thin, thin) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(thin, thin + 2) == pytest.approx(4 * 512, rel=1e-9)


def test_frechet_distance_of_known_gaussians():
    """Deviations 1 and 3 in one dimension, means 0 and 5: 25 + (3 - 1)^2."""
    a = np.array([[-1.0], [0.0], [1.0]])
    assert frechet_distance(a, 3 * a + 5) == pytest.approx(29)


@pytest.mark.parametrize("pool", [4, 8])
def test_r_precision_is_that_of_plain_loops(pool: int):
    texts = latents(5, 27, 3)
    motions = texts + np.random.default_rng(6).normal(size=texts.shape) * 3
    hits, count = [0, 0, 0], 0
    for first in range(0, len(texts) - pool + 1, pool):
        members = range(first, first + pool)
        for own in members:
            order = sorted(members, key=lambda other: far(texts[own], motions[other]))
            for k in range(3):
                hits[k] += own in order[: k + 1]
            count += 1
    expected = [hit / count for hit in hits]
    np.testing.assert_allclose(r_precision(texts, motions, pool), expected)
    assert expected[0] < expected[2] < 1


def test_what_finds_everything_equally_near_has_found_nothing():
    same = np.zeros((32, 4))
    np.testing.assert_array_equal(r_precision(same, same), [0, 0, 0])


def test_r_precision_needs_a_full_pool():
    with pytest.raises(ValueError, match="31 pairs make no pool of 32"):
        r_precision(np.zeros((31, 4)), np.zeros((31, 4)))


def test_matching_distance_is_that_of_plain_loops():
    a, b = latents(7, 30, 5), latents(8, 30, 5)
    expected = sum(far(x, y) for x, y in zip(a, b, strict=True)) / 30
    assert matching_distance(a, b) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("count", "pairs"), [(350, 300), (200, 100), (60, 60)])
def test_diversity_is_that_of_plain_loops(count: int, pairs: int):
    a, rng = latents(9, count, 5), np.random.default_rng(10)
    first, second = rng.choice(count, pairs, replace=False), rng.choice(count, pairs, replace=False)
    expected = sum(far(a[i], a[j]) for i, j in zip(first, second, strict=True)) / pairs
    assert diversity(a, np.random.default_rng(10)) == pytest.approx(expected, rel=1e-12)


def test_multimodality_is_that_of_plain_loops():
    a, rng = latents(11, 7, 30, 5), np.random.default_rng(12)
    first, second = rng.choice(30, 10, replace=False), rng.choice(30, 10, replace=False)
    values = [far(one[i], one[j]) for one in a for i, j in zip(first, second, strict=True)]
    assert multimodality(a, np.random.default_rng(12)) == pytest.approx(sum(values) / 70, rel=1e-12)


def test_shapes_that_do_not_fit_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="one motion a text"):
        matching_distance(np.zeros((3, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="one width"):
        frechet_distance(np.zeros((3, 2)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match="finite"):
        frechet_distance(np.full((3, 2), np.nan), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="10 or more from each text"):
        multimodality(np.zeros((3, 9, 2)), rng)
    with pytest.raises(ValueError, match="Diversity"):
        diversity(np.zeros((0, 4)), rng)
