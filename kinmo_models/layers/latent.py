"""A sequence as one Gaussian latent, and a sequence from one latent: the encoders and the decoder of TMR.

Source: TMR (Petrovich et al. 2023) after ACTOR; sizes in the configuration of each model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from kinmo_models.layers.dropout import Dropout
from kinmo_models.layers.packing import Packing, pack
from kinmo_models.layers.transformer import DecoderLayer, EncoderLayer, sinusoids

_SPECIAL = 2  # the tokens in front of a sequence: one becomes the mean, one the log-variance
# Taken off the log-variance. Without it (as in TMR) deviations start at 1, as large as the means, and their
# sums at the finer levels at 3: latents are then mostly noise, and similarities learn slowly.
_START = 4.0


@dataclass(frozen=True, slots=True)
class Gaussian:
    """B diagonal Gaussians over latents.

    Attributes:
        mean: (B, d).
        std: (B, d), positive.
    """

    mean: Tensor
    std: Tensor

    def sample(self) -> Tensor:
        """Draw one latent (B, d) of each, differentiably."""
        return self.mean + self.std * torch.randn_like(self.std)

    def rows(self, index: Tensor) -> Gaussian:
        """Choose some of them."""
        return Gaussian(self.mean[index], self.std[index])


class SequenceEncoder(nn.Module):
    """Encode sequences of vectors (frames or tokens) as Gaussians.

    Two learned tokens stand in front of each sequence; what the transformer makes of them is the mean and the
    log-variance. Positions count from the first of the two.
    """

    def __init__(
        self, inputs: int, *, width: int, layers: int, heads: int, inner: int, dropout: float
    ) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, width)
        self.special = nn.Parameter(torch.randn(_SPECIAL, width))
        self.layers = nn.ModuleList(EncoderLayer(width, heads, inner, dropout) for _ in range(layers))
        self.dropout = Dropout(dropout)

    def forward(self, rows: Tensor, lengths: Tensor) -> Gaussian:
        """Encode packed sequences.

        Args:
            rows: (N, inputs), the sequences one after the other.
            lengths: (B,) of each, on the CPU or anywhere.

        Returns:
            B Gaussians of width d, in the order given.
        """
        counts = lengths.cpu().numpy()
        packing = pack(counts + _SPECIAL, rows.device)
        x = torch.cat([self.special, self.project(rows)]).index_select(0, _gather(packing, lengths))
        x = self.dropout(x + sinusoids(packing.position, x.shape[1]))
        for layer in self.layers[:-1]:
            x = layer(x, packing)
        last = cast("EncoderLayer", self.layers[-1])
        mean, log_variance = last.first(x, packing, _SPECIAL)[packing.places].unbind(1)
        return Gaussian(mean, torch.exp(0.5 * (log_variance - _START)))


def _gather(packing: Packing, lengths: Tensor) -> Tensor:
    """Rows of [special tokens; sequences as given] that make the packed order."""
    ends = lengths.to(packing.order.device).cumsum(0)
    begins = (ends - lengths.to(ends.device))[packing.order][packing.sequence]
    within = packing.position - _SPECIAL
    return torch.where(within < 0, packing.position, _SPECIAL + begins + within)


class SequenceDecoder(nn.Module):
    """Write a sequence from one latent: position encodings as queries, the latent as memory."""

    def __init__(
        self, outputs: int, *, width: int, layers: int, heads: int, inner: int, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(width, heads, inner, dropout) for _ in range(layers))
        self.project = nn.Linear(width, outputs)
        self.dropout = Dropout(dropout)
        self.width = width

    def forward(self, latents: Tensor, lengths: Tensor) -> Tensor:
        """Decode latents (B, d) to sequences of the given lengths (B,).

        Returns:
            (N, outputs), the sequences one after the other, in the order given.
        """
        packing = pack(lengths.cpu().numpy(), latents.device)
        memory = latents[packing.order]
        x = self.dropout(sinusoids(packing.position, self.width))
        for layer in self.layers:
            x = layer(x, memory, packing)
        written: Tensor = self.project(x).index_select(0, _unsorted(packing))
        return written


def _unsorted(packing: Packing) -> Tensor:
    """Rows of the packed order that put the sequences back into the order given."""
    places = packing.places
    counts = packing.lengths[places]
    starts = packing.starts[places]
    ends = counts.cumsum(0)
    which = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    within = torch.arange(len(which), device=counts.device) - (ends - counts)[which]
    return starts[which] + within
