"""The residual VQ-VAE: four frames become one code of each level, and back (MoMask, 3.1)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from vector_quantize_pytorch import ResidualVQ

from kinmo_annotate.schema.features import NUM_FEATURES
from kinmo_models.layers.dropout import Dropout
from kinmo_models.tokenizer.config import UNIT, ModelConfig, QuantiserConfig


class Quantised(NamedTuple):
    """What the quantiser makes of latents.

    Attributes:
        latents: (B, n, code_width) the sum of the codes of all levels, 0 on padding; gradients pass straight
            through to the latents that came in.
        tokens: (B, n, levels) codes chosen; -1 on padding, and at levels that were dropped.
        commitment: mean squared distance between what a level was to say and its code, the mean over the
            levels that were not dropped; 0 outside of training.
    """

    latents: Tensor
    tokens: Tensor
    commitment: Tensor


class _Convolution(nn.Conv1d):
    """A convolution that sees 0 where there is no motion, so that a motion is encoded alike in any batch."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().forward(x if mask is None else x * mask.to(x.dtype))


class _Block(nn.Module):
    """x + dropout(conv1(relu(conv3(relu(x)))))."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.wide = _Convolution(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        inner: Tensor = self.mix(self.wide(x.relu(), mask).relu())
        return x + self.dropout(inner)


class _Stack(nn.ModuleList):
    """Residual blocks whose dilations are powers of 3, the largest first, in encoder and decoder alike."""

    def __init__(self, config: ModelConfig) -> None:
        dilations = [3**place for place in reversed(range(config.depth))]
        super().__init__(_Block(config.width, dilation, config.dropout) for dilation in dilations)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        for block in self:
            x = block(x, mask)
        return x


class MotionEncoder(nn.Module):
    """Convolutions that halve the frame rate twice, of motions or of any other `inputs` numbers a frame."""

    def __init__(self, config: ModelConfig, inputs: int = NUM_FEATURES) -> None:
        super().__init__()
        width = config.width
        self.first = _Convolution(inputs, width, 3, padding=1)
        self.halve = nn.ModuleList(_Convolution(width, width, 4, stride=2, padding=1) for _ in range(2))
        self.stacks = nn.ModuleList(_Stack(config) for _ in range(2))
        self.last = _Convolution(width, config.code_width, 3, padding=1)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode.

        Args:
            features: (B, T, 263) normalised, T a multiple of 4.
            lengths: (B,) tokens of each motion, which has 4 times as many frames; None if all fill T.

        Returns:
            (B, T / 4, code_width); what stands on padding says nothing.
        """
        frames = features.shape[1]
        x = self.first(features.mT, _mask(lengths, frames, UNIT)).relu()
        for halve, stack, rate in zip(self.halve, self.stacks, (UNIT, UNIT // 2), strict=True):
            x = halve(x, _mask(lengths, x.shape[2], rate))
            x = stack(x, _mask(lengths, x.shape[2], rate // 2))
        latents: Tensor = self.last(x, _mask(lengths, x.shape[2], 1))
        return latents.mT


class MotionDecoder(nn.Module):
    """Convolutions that double the frame rate twice."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.first = _Convolution(config.code_width, width, 3, padding=1)
        self.stacks = nn.ModuleList(_Stack(config) for _ in range(2))
        self.smooth = nn.ModuleList(_Convolution(width, width, 3, padding=1) for _ in range(2))
        self.before_last = _Convolution(width, width, 3, padding=1)
        self.last = _Convolution(width, NUM_FEATURES, 3, padding=1)

    def forward(self, latents: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Decode.

        Args:
            latents: (B, n, code_width).
            lengths: (B,) tokens of each motion; None if all fill n.

        Returns:
            (B, 4 n, 263) normalised features; 0 on padding.
        """
        x = self.first(latents.mT, _mask(lengths, latents.shape[1], 1)).relu()
        for stack, smooth, rate in zip(self.stacks, self.smooth, (1, UNIT // 2), strict=True):
            x = stack(x, _mask(lengths, x.shape[2], rate))
            x = x.repeat_interleave(2, dim=2)
            x = smooth(x, _mask(lengths, x.shape[2], 2 * rate))
        mask = _mask(lengths, x.shape[2], UNIT)
        features: Tensor = self.last(self.before_last(x, mask).relu(), mask)
        return (features if mask is None else features * mask).mT


class TokenizerModel(nn.Module):
    """Encoder, quantiser and decoder.

    Convolutions start as He et al. 2015 have it, residual blocks as nothing, the decoder as the mean motion.
    From PyTorch's own start, which MoMask keeps, the signal fades through a dozen convolutions, and learning
    begins slowly.

    All that the quantiser learns (codes, their moving averages, whether they were begun) is in its state, so
    that a training goes on exactly.
    """

    def __init__(self, model: ModelConfig, quantiser: QuantiserConfig) -> None:
        super().__init__()
        self.encoder = MotionEncoder(model)
        self.decoder = MotionDecoder(model)
        self.quantiser = ResidualVQ(
            dim=model.code_width,
            num_quantizers=model.levels,
            codebook_size=model.codes,
            shared_codebook=model.shared_codebook,
            quantize_dropout=True,
            kmeans_init=True,
            decay=quantiser.decay,
            threshold_ema_dead_code=quantiser.dead_below,
            stochastic_sample_codes=quantiser.temperature > 0,
            sample_codebook_temp=quantiser.temperature,
            rotation_trick=False,
        )
        self.encoder.apply(he_start)
        self.decoder.apply(he_start)
        nn.init.zeros_(self.decoder.last.weight)

    @property
    def codebooks(self) -> Tensor:
        """Codes: (levels, codes, code_width)."""
        books: Tensor = self.quantiser.codebooks
        return books

    @property
    def begun(self) -> bool:
        """Whether every level has seen a batch to take its first codes from."""
        begun = [one for name, one in self.quantiser.named_buffers() if name.endswith(".initted")]
        return bool(torch.stack(begun).all())

    def quantise(self, latents: Tensor, lengths: Tensor | None = None, *, drop: bool = False) -> Quantised:
        """Choose codes; in training, learn them too. The first batch must be one of training, without `drop`.

        Args:
            latents: (B, n, code_width).
            lengths: (B,) tokens of each motion; None if all fill n.
            drop: in training, leave out finer levels from a random one on.
        """
        # the library drops levels always or never; here it does so in some batches
        self.quantiser.quantize_dropout = drop
        mask = None if lengths is None else token_mask(lengths, latents.shape[1])
        summed, tokens, distances = self.quantiser(latents, mask=mask)
        active = (tokens >= 0).flatten(0, 1).any(0).sum()
        return Quantised(summed, tokens, distances.sum() / active)

    def embed(self, tokens: Tensor) -> Tensor:
        """Sum the codes of all levels: (B, n, levels), -1 for none -> (B, n, code_width)."""
        latents: Tensor = self.quantiser.get_output_from_indices(tokens)
        return latents


def he_start(part: nn.Module) -> None:
    """Give weights their first values; a part comes after those inside it (`nn.Module.apply`)."""
    if isinstance(part, nn.Conv1d):
        nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
        if part.bias is not None:
            nn.init.zeros_(part.bias)
    if isinstance(part, _Block):
        nn.init.zeros_(part.mix.weight)


def token_mask(lengths: Tensor, count: int) -> Tensor:
    """Tell which of `count` places (B, count) are within the lengths (B,)."""
    return torch.arange(count, device=lengths.device) < lengths[:, None]


def _mask(lengths: Tensor | None, count: int, rate: int) -> Tensor | None:
    """Give (B, 1, count): 1 where there is a motion, at so many places a token."""
    return None if lengths is None else token_mask(lengths * rate, count)[:, None].float()
