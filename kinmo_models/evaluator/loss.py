"""What the evaluator learns from: T2M's contrastive loss of Euclidean distances (Guo et al., CVPR 2022).

Every motion of the batch is a negative, but for those that are said to be alike; T2M takes one (and now and
then, by a shift of 0, the motion itself).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kinmo_models.data.batches import Batch
from kinmo_models.evaluator.config import LossConfig
from kinmo_models.evaluator.networks import EvaluatorNetworks
from kinmo_models.training.distributed import gather_rows


class EvaluatorLoss(nn.Module):
    """The networks with their loss: what the training loop runs."""

    def __init__(self, networks: EvaluatorNetworks, config: LossConfig) -> None:
        super().__init__()
        self.networks = networks
        self.config = config

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Give the loss terms of a batch."""
        texts, motions = (gather_rows(one) for one in self.networks.encode_batch(batch))
        sentences = gather_rows(batch.caption_sentence)
        negatives = sentences @ sentences.T <= self.config.alike_above
        return contrastive(texts, motions, negatives, self.config.margin)


def contrastive(texts: Tensor, motions: Tensor, negatives: Tensor, margin: float) -> dict[str, Tensor]:
    """Squared distance of pairs, and squared lack of distance of negatives, each the mean.

    Args:
        texts: (B, d) latents.
        motions: (B, d) latents of the same pairs.
        negatives: (B, B) true where a text is not said of a motion; the diagonal does not matter.
        margin: distance that negatives should have at least.
    """
    distances = torch.cdist(texts.float(), motions.float(), compute_mode="donot_use_mm_for_euclid_dist")
    own = torch.eye(len(texts), dtype=torch.bool, device=texts.device)
    lacking = (margin - distances).clamp(min=0).square()[negatives & ~own]
    return {
        "pair": distances.diagonal().square().mean(),
        "negative": lacking.sum() / max(len(lacking), 1),
    }
