"""What the generator learns from: guessing hidden tokens, and the tokens of each level from those before."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinmo_models.generation.batches import TokenBatch
from kinmo_models.generation.config import LossConfig
from kinmo_models.generation.masking import hide, owners
from kinmo_models.generation.model import PLACES, Branch, GeneratorModel, Layout, ResidualTransformer
from kinmo_models.training.distributed import mean_count


class GenerationLoss(nn.Module):
    """The model with its losses: what the training loop runs.

    For each motion a level of text is drawn, or no text at all; so a step costs what one level costs.
    """

    def __init__(self, model: GeneratorModel, config: LossConfig) -> None:
        super().__init__()
        self.model = model
        self.config = config

    def forward(self, batch: TokenBatch) -> dict[str, Tensor]:
        """Give the weighted loss terms of a batch, and the share of tokens that are guessed right."""
        present = draw_text(self.model, batch, self.config.text_drop)
        shown, hidden = hide(
            batch.tokens[:, 0],
            batch.lengths,
            self.model.base.codes,
            self.config.random_token,
            self.config.kept_token,
        )
        terms = base_terms(self.model, batch, present, shown, hidden)
        if self.model.residual is not None:
            terms |= residual_terms(
                self.model.residual, batch, present, draw_levels(self.model.residual, batch)
            )
        length = length_term(self.model, batch) if self.config.length else None
        return terms if length is None else terms | {"length": self.config.length * length}


def draw_text(model: GeneratorModel, batch: TokenBatch, drop: float) -> Tensor:
    """Draw what text each motion is shown with (B, C): a level of it, or by the probability `drop` none."""
    device = batch.present.device
    depth = torch.randint(len(model.levels), (len(batch),), device=device)
    dropped = torch.rand(len(batch), device=device) < drop
    return text_at(batch.present, depth) & ~dropped[:, None]


def text_at(present: Tensor, depth: Tensor) -> Tensor:
    """Take away the text that is finer than each motion's level.

    Args:
        present: (B, C) text that there is.
        depth: (B,) 0 for level G, 1 for GJ, 2 for GJI.
    """
    places = torch.tensor(PLACES, device=present.device)[depth]
    return present & (torch.arange(present.shape[1], device=present.device) < places[:, None])


def base_terms(
    model: GeneratorModel, batch: TokenBatch, present: Tensor, shown: Tensor, hidden: Tensor
) -> dict[str, Tensor]:
    """Cross-entropy of the hidden tokens of the first level, and the share guessed right."""
    text = model.base.trunk.text(batch.latents, present)
    layout = Layout.of(text.counts, batch.lengths.cpu(), shown.device)
    logits = model.base(text, shown, layout, hidden).float()
    target = batch.tokens[hidden, 0]
    return {
        "base": F.cross_entropy(logits, target, reduction="sum") / mean_count(len(target)),
        "_right/base": (logits.argmax(1) == target).float().mean(),
    }


def draw_levels(model: ResidualTransformer, batch: TokenBatch) -> Tensor:
    """Draw the level (B,) that each motion's tokens are to be guessed of, low ones more often (MoMask)."""
    u = torch.rand(len(batch), device=batch.tokens.device)
    most = model.levels - 2
    return 1 + ((1 - torch.cos(u * (math.pi / 2))) * most).round().long()


def residual_terms(
    model: ResidualTransformer, batch: TokenBatch, present: Tensor, level: Tensor
) -> dict[str, Tensor]:
    """Cross-entropy of all tokens of a level (B,) per motion, and the share guessed right."""
    loss, right = batch.latents.new_zeros(()), batch.latents.new_zeros(())
    for k, rows, logits in residual_logits(model, batch, present, level):
        target = batch.tokens[rows, k]
        loss = loss + F.cross_entropy(logits, target, reduction="sum")
        right = right + (logits.argmax(1) == target).sum()
    count = len(batch.tokens)
    return {"residual": loss / mean_count(count), "_right/residual": right / count}


def residual_logits(
    model: ResidualTransformer,
    batch: TokenBatch,
    present: Tensor,
    level: Tensor,
    branch: Branch | None = None,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Guess the tokens of a level (B,) of each motion from the true ones of the levels before it.

    Yields:
        A level, the tokens (N,) bool whose level it is, and their logits (n, codes).
    """
    text = model.text(batch.latents, present, level)
    layout = Layout.of(text.counts, batch.lengths.cpu(), level.device)
    of_token = level[owners(batch.lengths)]
    before = torch.stack([model.read(batch.tokens[:, k], k) for k in range(model.levels - 1)])
    known = torch.arange(model.levels - 1, device=level.device)[:, None] < of_token
    features = model(text, (before * known[..., None]).sum(0), layout, branch)
    for k in range(1, model.levels):
        rows = of_token == k
        yield k, rows, model.logits(features[rows], k).float()


def length_term(model: GeneratorModel, batch: TokenBatch) -> Tensor:
    """Cross-entropy of each motion's number of tokens, guessed from its caption."""
    logits = model.length(batch.latents[:, 0]).float()
    return F.cross_entropy(logits, (batch.lengths - 1).clamp(max=logits.shape[1] - 1))
