"""How close generated motions are to real ones and to their texts, by T2M (Guo et al., CVPR 2022).

All work on latents of an evaluator, in float64: n texts or motions, d numbers each, Euclidean distances. The
values mean nothing apart from the evaluator that made the latents, and FID nothing apart from n.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import qr, svdvals
from scipy.spatial.distance import cdist

from kinmo_models.metrics.ranking import ranks

Array: TypeAlias = NDArray[np.float64]

POOL: Final = 32
_FEW: Final = 100  # pairs of Diversity where there are fewer samples than pairs asked for


def frechet_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Fréchet distance (FID) between the Gaussians of two sets of latents.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2), covariances unbiased. With centred latents A and B, each
    divided by the root of its n - 1, the trace of the root is the sum of the singular values of A B^T. So no
    root of a matrix is taken, and fewer latents than dimensions are no trouble.

    Args:
        first: (n, d), n at least 2.
        second: (m, d), m at least 2.

    Raises:
        ValueError: shapes that do not fit.
    """
    a, b = _latents(first), _latents(second)
    if a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"latents {a.shape} and {b.shape}: wanted are two or more of one width each")
    shift = a.mean(axis=0) - b.mean(axis=0)
    a, b = ((one - one.mean(axis=0)) / np.sqrt(len(one) - 1) for one in (a, b))
    spread = np.square(a).sum() + np.square(b).sum()
    # A = QR with Q^T Q = 1 leaves the singular values of the product as they are, and makes it small.
    common = svdvals(qr(a, mode="r")[0] @ qr(b, mode="r")[0].T).sum()
    return max(float(shift @ shift + spread - 2 * common), 0.0)


def r_precision(texts: ArrayLike, motions: ArrayLike, pool: int = POOL, top: int = 3) -> Array:
    """R-precision: how often a text's own motion is among the k nearest of its pool, for k = 1 to `top`.

    Args:
        texts: (n, d), pool after pool; what is left of a division by `pool` is left out.
        motions: (n, d) of the same pairs.
        pool: motions of a pool.
        top: largest k.

    Returns:
        (top,) shares between 0 and 1. Motions that are equally near are averaged.

    Raises:
        ValueError: shapes that do not fit, or no full pool.
    """
    a, b = _pairs(texts, motions)
    pools = len(a) // pool
    if not pools:
        raise ValueError(f"{len(a)} pairs make no pool of {pool}")
    found = np.concatenate(
        [
            ranks(-cdist(a[first : first + pool], b[first : first + pool]))
            for first in range(0, pools * pool, pool)
        ]
    )
    return np.array([(found <= k).mean() for k in range(1, top + 1)])


def matching_distance(texts: ArrayLike, motions: ArrayLike) -> float:
    """MM-Dist: mean distance between a text (n, d) and its motion (n, d).

    Raises:
        ValueError: shapes that do not fit.
    """
    a, b = _pairs(texts, motions)
    return float(np.linalg.norm(a - b, axis=1).mean())


def diversity(motions: ArrayLike, rng: np.random.Generator, pairs: int = 300) -> float:
    """Diversity: mean distance of random pairs, from two draws without replacement.

    Args:
        motions: (n, d).
        rng: draws the pairs.
        pairs: 300; with fewer motions than that, 100, or all.

    Raises:
        ValueError: no motion.
    """
    latents = _latents(motions)
    if len(latents) < pairs:
        pairs = min(_FEW, len(latents))
    if not pairs:
        raise ValueError("Diversity needs a motion")
    first, second = (rng.choice(len(latents), pairs, replace=False) for _ in range(2))
    return float(np.linalg.norm(latents[first] - latents[second], axis=1).mean())


def multimodality(motions: ArrayLike, rng: np.random.Generator, pairs: int = 10) -> float:
    """MultiModality: mean distance of random pairs of motions that were generated from one text.

    Args:
        motions: (c, g, d): g motions from each of c texts.
        rng: draws the pairs, the same for every text.
        pairs: of each text, at most g.

    Raises:
        ValueError: not (c, g, d), or fewer motions a text than pairs.
    """
    latents = np.asarray(motions, np.float64)
    if latents.ndim != 3 or not latents.size or latents.shape[1] < pairs:
        raise ValueError(f"latents {latents.shape}: wanted are {pairs} or more from each text")
    first, second = (rng.choice(latents.shape[1], pairs, replace=False) for _ in range(2))
    return float(np.linalg.norm(latents[:, first] - latents[:, second], axis=2).mean())


def _latents(values: ArrayLike) -> Array:
    latents = np.asarray(values, np.float64)
    if latents.ndim != 2 or not np.isfinite(latents).all():
        raise ValueError(f"latents {latents.shape}: wanted are finite numbers (n, d)")
    return latents


def _pairs(texts: ArrayLike, motions: ArrayLike) -> tuple[Array, Array]:
    a, b = _latents(texts), _latents(motions)
    if a.shape != b.shape or not len(a):
        raise ValueError(f"texts {a.shape} and motions {b.shape}: wanted is one motion a text")
    return a, b
