"""What the tokenizer learns from: distances of features, joints, bones, and of latents from their codes."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinmo_annotate.schema.features import BLOCKS
from kinmo_annotate.schema.skeleton import GROUPS, NUM_JOINTS, PARENTS
from kinmo_models.data.statistics import Statistics
from kinmo_models.data.windows import Windows
from kinmo_models.motion.recovery import features_to_joints
from kinmo_models.tokenizer.config import UNIT, LossConfig
from kinmo_models.tokenizer.model import TokenizerModel, token_mask
from kinmo_models.training.distributed import mean_count, share

_POSITIONS: Final = BLOCKS["positions"]
_HEIGHT: Final = BLOCKS["root_height"]
_SHORTEST: Final = 1e-3  # metres of a bone that its direction is asked of
# A bone is that to the joint after it; the root, joint 0, has none.
_BONES_OF_GROUPS: Final = tuple([joint - 1 for joint in joints if joint] for joints in GROUPS.values())


class TokenizerLoss(nn.Module):
    """The model with its losses: what the training loop runs.

    Forward gives the weighted terms by name; their sum is minimised. `_perplexity` is that of the first level
    in the batch: how many codes it uses, counted as if all were used alike.
    """

    def __init__(
        self, model: TokenizerModel, config: LossConfig, level_drop: float, statistics: Statistics
    ) -> None:
        super().__init__()
        self.model, self.config = model, config
        self._level_drop, self._statistics = level_drop, statistics

    def forward(self, batch: Windows) -> dict[str, Tensor]:
        """Give the weighted loss terms of a batch."""
        full = batch.features.shape[1]
        short = bool((batch.lengths < full).any())
        tokens = batch.lengths // UNIT if short else None
        drop = self._draws_a_drop(batch.features.device)
        quantised = self.model.quantise(self.model.encoder(batch.features, tokens), tokens, drop=drop)
        decoded = self.model.decoder(quantised.latents, tokens).float()
        inside = token_mask(batch.lengths, full)
        weights = self.config
        terms = {
            "reconstruction": weights.reconstruction * _far(decoded, batch.features, inside),
            "positions": weights.positions
            * _far(decoded[..., _POSITIONS], batch.features[..., _POSITIONS], inside),
            "commitment": weights.commitment * quantised.commitment,
            "_perplexity": perplexity(quantised.tokens[..., 0], self.model.codebooks.shape[1]),
        }
        if weights.joints or weights.bones:
            written, real = (self._statistics.denormalise(one.float()) for one in (decoded, batch.features))
            if weights.joints:
                terms["joints"] = weights.joints * _joint_distance(written, real, inside)
            if weights.bones:
                terms["bones"] = weights.bones * _bone_distance(written, real, inside)
        return terms

    def _draws_a_drop(self, device: torch.device) -> bool:
        """Draw, the same in every process, whether finer levels are left out."""
        if not self.training or not self._level_drop:
            return False
        coin = torch.rand((), device=device)
        share({"coin": coin})
        return float(coin) < self._level_drop and self.model.begun


def _joint_distance(written: Tensor, real: Tensor, inside: Tensor) -> Tensor:
    """Mean absolute difference of coordinates in metres, each window from where it starts."""
    distance = F.l1_loss(features_to_joints(written), features_to_joints(real), reduction="none")
    return _mean(distance.mean((-1, -2)), inside)


def _bone_distance(written: Tensor, real: Tensor, inside: Tensor) -> Tensor:
    """Squared difference of bones in their own lengths, the mean over the kinematic groups.

    Squared, since what moves seldom is best told as still where every difference counts alike.
    """
    bones = _bones(real)
    lengths = torch.linalg.vector_norm(bones, dim=-1, keepdim=True).clamp(min=_SHORTEST)
    distance = F.mse_loss(_bones(written) / lengths, bones / lengths, reduction="none").mean(-1)
    return _mean(torch.stack([distance[..., group].mean(-1) for group in _BONES_OF_GROUPS]).mean(0), inside)


def _bones(features: Tensor) -> Tensor:
    """Where joints 1 to 21 are from their parents: (..., 21, 3) metres in the frame that the body faces."""
    root = F.pad(features[..., _HEIGHT], (1, 1))  # x 0, z 0
    joints = torch.cat([root, features[..., _POSITIONS]], dim=-1).unflatten(-1, (NUM_JOINTS, 3))
    return joints[..., 1:, :] - joints[..., PARENTS[1:], :]


def _far(written: Tensor, real: Tensor, inside: Tensor) -> Tensor:
    """Smooth L1 of features (B, W, d), the mean over dimensions and over the frames of all processes."""
    return _mean(F.smooth_l1_loss(written, real, reduction="none").mean(-1), inside)


def _mean(values: Tensor, inside: Tensor) -> Tensor:
    """Mean of the values (B, W) that are inside, over all processes."""
    return (values * inside).sum() / mean_count(inside.sum())


def perplexity(tokens: Tensor, codes: int) -> Tensor:
    """Give exp(entropy) of how often each code is chosen: from 1 to `codes`.

    Args:
        tokens: codes chosen, in any shape; -1 counts for nothing.
        codes: how many there are.
    """
    counts = torch.bincount(tokens[tokens >= 0], minlength=codes).double()
    shares = counts / counts.sum()
    return torch.special.entr(shares).sum().exp().float()
