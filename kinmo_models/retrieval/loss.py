"""What the retrieval model learns from: TMR's four terms, at each level of text (KinMo, 3.3 and Eq. 5)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES
from kinmo_models.data.batches import Batch
from kinmo_models.layers.latent import Gaussian
from kinmo_models.retrieval.config import LossConfig
from kinmo_models.retrieval.model import RetrievalModel
from kinmo_models.training.distributed import gather_rows, mean_count

_FIELDS_OF_LEVEL: Final = (0, len(GROUP_NAMES), len(FIELDS))


class RetrievalLoss(nn.Module):
    """The model with its losses: what the training loop runs.

    Forward gives the weighted terms by name, `contrastive/GJ` for the contrastive term of level GJ; their sum
    is minimised.
    """

    def __init__(self, model: RetrievalModel, config: LossConfig) -> None:
        super().__init__()
        self.model = model
        self.config = config

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Give the weighted loss terms of a batch."""
        motion, texts = self.model.encode_batch(batch)
        z_motion = motion.sample()
        z_texts = [text.sample() for text in texts]
        everyone = gather_rows(z_motion)
        weights, terms = self.config, {}
        for depth, (level, text, z_text) in enumerate(zip(self.model.levels, texts, z_texts, strict=True)):
            allowed = ~alike(batch, depth, weights.alike_above)
            score = info_nce(gather_rows(z_text), everyone, weights.temperature, allowed)
            terms[f"contrastive/{level}"] = weights.contrastive * score
            terms[f"kl/{level}"] = weights.kl * tmr_divergence(text, motion)
            terms[f"latent/{level}"] = weights.latent * F.smooth_l1_loss(z_text, z_motion)
        return terms | self._reconstruction(batch, z_motion, z_texts)

    def _reconstruction(self, batch: Batch, z_motion: Tensor, z_texts: list[Tensor]) -> dict[str, Tensor]:
        """Decode the latents of motions and texts, and hold them against the motions' valid frames.

        Summed over the levels, at each the motion's latent and the text's. The motion's own is the same at
        each level, so it is decoded once and counted once per level. With `reconstruct: drawn` a motion's
        latent is drawn from all of these, and counts for all of them.
        """
        levels = len(z_texts)
        weight = self.config.reconstruction
        if self.config.reconstruct == "drawn":
            choices = torch.stack([*[z_motion] * levels, *z_texts], 1)
            drawn = torch.randint(2 * levels, (len(choices),), device=choices.device)
            decoded = self.model.decoder(choices[torch.arange(len(choices)), drawn], batch.lengths)
            return {"reconstruction/drawn": weight * 2 * levels * _far(decoded, batch.features)}
        latents = torch.cat([z_motion, *z_texts])
        decoded = self.model.decoder(latents, batch.lengths.repeat(1 + levels))
        motion, *texts = (_far(one, batch.features) for one in decoded.split(len(batch.features)))
        return {
            "reconstruction/motion": weight * levels * motion,
            "reconstruction/text": weight * torch.stack(texts).sum(),
        }


def _far(written: Tensor, real: Tensor) -> Tensor:
    """Smooth L1 between features, the mean over the valid frames of all processes."""
    return F.smooth_l1_loss(written, real, reduction="sum") / mean_count(real.numel())


def info_nce(text: Tensor, motion: Tensor, temperature: float, allowed: Tensor) -> Tensor:
    """Symmetric InfoNCE over cosine similarities (KinMo, Eq. 5).

    Args:
        text: (B, d) latents.
        motion: (B, d) latents of the same motions.
        temperature: tau.
        allowed: (B, B) false where a pair is too alike to be a negative; true on the diagonal.

    Returns:
        The mean over both directions.
    """
    similarity = F.normalize(text, dim=1) @ F.normalize(motion, dim=1).T / temperature
    logits = similarity.float().masked_fill(~allowed, float("-inf"))
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def alike(batch: Batch, depth: int, threshold: float) -> Tensor:
    """Tell which two motions (B, B) of all processes' batches are no negatives of each other.

    At level G: their captions' sentence embeddings have a cosine similarity above the threshold. At a finer
    level their finer texts must be the same as well, or else these could never tell motions with one caption
    apart.

    Args:
        batch: this process's motions.
        depth: 0 for level G, 1 for GJ, 2 for GJI.
        threshold: cosine similarity.
    """
    sentences = gather_rows(batch.caption_sentence)
    close = sentences @ sentences.T > threshold
    if depth:
        ids = gather_rows(batch.field_ids[:, : _FIELDS_OF_LEVEL[depth]].contiguous())
        close = close & (ids[:, None] == ids[None]).all(-1)
    return close & ~torch.eye(len(close), dtype=torch.bool, device=close.device)


def divergence(p: Gaussian, q: Gaussian) -> Tensor:
    """Kullback-Leibler divergence KL(p || q), the mean over all B x d."""
    ratio = (p.std / q.std).square()
    distance = ((p.mean - q.mean) / q.std).square()
    return 0.5 * (ratio + distance - 1 - ratio.log()).mean()


def tmr_divergence(text: Gaussian, motion: Gaussian) -> Tensor:
    """TMR's four divergences: of each from the other, and of both from the standard normal."""
    normal = Gaussian(torch.zeros_like(text.mean), torch.ones_like(text.std))
    pairs = ((text, motion), (motion, text), (motion, normal), (text, normal))
    return torch.stack([divergence(p, q) for p, q in pairs]).sum()
