"""Which tokens are hidden: shares by the cosine schedule, and the choice of some in each motion.

Symbols: B motions, N tokens of all of them one after the other.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def owners(lengths: Tensor) -> Tensor:
    """Give the motion (N,) of each token, of motions with so many tokens (B,)."""
    return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)


def lowest(scores: Tensor, owner: Tensor, counts: Tensor) -> Tensor:
    """Choose the tokens of each motion whose scores are lowest; of equal ones the first.

    Args:
        scores: (N,).
        owner: (N,) motion of each token, rising.
        counts: (B,) how many of each motion.

    Returns:
        (N,) true where a token is chosen.
    """
    order = torch.argsort(scores, stable=True)
    order = order[torch.argsort(owner[order], stable=True)]
    start = torch.searchsorted(owner, torch.arange(len(counts), device=owner.device))
    rank = torch.arange(len(owner), device=owner.device) - start[owner]
    chosen = torch.empty_like(owner, dtype=torch.bool)
    chosen[order] = rank < counts[owner]
    return chosen


def cosine_share(progress: Tensor) -> Tensor:
    """Give the share that is masked at a progress from 0 (all) to 1 (none): cos(pi / 2 * progress)."""
    return torch.cos(progress * (math.pi / 2))


def hide(
    tokens: Tensor, lengths: Tensor, codes: int, random_token: float, kept_token: float
) -> tuple[Tensor, Tensor]:
    """Hide a random share of the tokens of each motion, for training (MoMask).

    Args:
        tokens: (N,) of the first level.
        lengths: (B,) tokens of each motion.
        codes: of the level; the mask is token `codes`.
        random_token: of the hidden ones, the share that becomes a random token.
        kept_token: of the others, the share that stays as it is.

    Returns:
        The tokens to show (N,), and (N,) true where one is to be guessed.
    """
    owner = owners(lengths)
    share = cosine_share(torch.rand(len(lengths), device=tokens.device))
    counts = (lengths * share).round().clamp(min=1).long()
    hidden = lowest(torch.rand(len(tokens), device=tokens.device), owner, counts)
    drawn = torch.rand(len(tokens), device=tokens.device)
    shown = torch.where(hidden & (drawn >= random_token + (1 - random_token) * kept_token), codes, tokens)
    others = torch.randint(codes, tokens.shape, device=tokens.device)
    return torch.where(hidden & (drawn < random_token), others, shown), hidden
