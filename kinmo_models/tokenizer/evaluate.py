"""How much of a motion its tokens keep: joint errors in mm, and how many codes are in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import smooth_l1_loss

from kinmo_annotate.schema.features import features_to_joints
from kinmo_models.tokenizer.coder import Coder, Features, Tokens
from kinmo_models.tokenizer.loss import perplexity

_MM = 1000.0


@dataclass(frozen=True)
class Rebuilt:
    """Motions, and what comes back of them.

    Attributes:
        real: features (4 n, 263) of each, not normalised, cut to whole tokens.
        tokens: (n, levels) of each.
        decoded: (4 n, 263) of each.
    """

    real: list[Features]
    tokens: list[Tokens]
    decoded: list[Features]


@dataclass(frozen=True)
class Fidelity:
    """Figures over a set of motions; each frame counts alike.

    Attributes:
        motions: how many; those shorter than a token are left out.
        frames: how many in all.
        joint_error_mm: mean distance of the joints in the world, each motion from the origin on.
        root_aligned_error_mm: the same with both pelvises in one place in each frame.
        reconstruction: smooth L1 of normalised features.
        perplexity: of each level: how many codes it uses, counted as if all were used alike.
    """

    motions: int
    frames: int
    joint_error_mm: float
    root_aligned_error_mm: float
    reconstruction: float
    perplexity: tuple[float, ...]


def rebuild(coder: Coder, motions: Sequence[Features]) -> Rebuilt:
    """Encode motions (T', 263), not normalised, and decode them again."""
    kept = [one[: len(one) // coder.unit * coder.unit] for one in motions if len(one) >= coder.unit]
    tokens = coder.encode(kept)
    return Rebuilt(kept, tokens, coder.decode(tokens))


def measure(coder: Coder, rebuilt: Rebuilt) -> Fidelity:
    """Hold decoded motions against the real ones.

    Raises:
        ValueError: there is no motion.
    """
    if not rebuilt.real:
        raise ValueError("there is no motion of at least one token to measure")
    sums = np.zeros(3)
    for real, decoded in zip(rebuilt.real, rebuilt.decoded, strict=True):
        sums += _distances(coder, real, decoded)
    frames = sum(len(one) for one in rebuilt.real)
    world, aligned, features = (sums / frames).tolist()
    chosen = torch.from_numpy(np.concatenate(rebuilt.tokens).astype(np.int64))
    used = tuple(float(perplexity(level, coder.codes)) for level in chosen.T)
    return Fidelity(len(rebuilt.real), frames, _MM * world, _MM * aligned, features, used)


def _distances(coder: Coder, real: Features, decoded: Features) -> tuple[float, float, float]:
    """Sums over frames: joints in the world, joints about the pelvis, features."""
    written, true = features_to_joints(decoded), features_to_joints(real)
    gap = written - true
    world, aligned = (np.linalg.norm(one, axis=-1).mean(-1).sum() for one in (gap, gap - gap[:, :1]))
    ours, theirs = (torch.from_numpy(coder.statistics.normalise(one)) for one in (decoded, real))
    features = smooth_l1_loss(ours, theirs, reduction="none").mean(-1).sum()
    return float(world), float(aligned), float(features)
