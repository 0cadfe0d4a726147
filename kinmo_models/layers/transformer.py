"""Transformer layers on packed sequences, and the cross-attention that lets levels of text see each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinmo_models.layers.dropout import Dropout
from kinmo_models.layers.packing import Packing, attention_of_first, self_attention


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Give sinusoidal encodings (N, width) of positions (N,): even columns sine, odd columns cosine.

    Source: Vaswani et al. 2017, as in TMR.
    """
    even = torch.arange(0, width, 2, device=positions.device, dtype=torch.float32)
    rates = torch.exp(even * (-math.log(10_000.0) / width))
    angles = positions[:, None].float() * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]


class FeedForward(nn.Sequential):
    """Two projections with GELU between; dropout after the activation."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__(nn.Linear(width, inner), nn.GELU(), Dropout(dropout), nn.Linear(inner, width))


class SelfAttention(nn.Module):
    """Multi-head attention of packed sequences to themselves.

    Attention weights are not dropped out, other than in TMR: the fast kernels of a CPU know no dropout.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """Attend: (N, d) -> (N, d)."""
        mixed: Tensor = self.out(self_attention(self.qkv(x), packing, self.heads))
        return mixed

    def first(self, x: Tensor, first: Tensor, packing: Packing) -> Tensor:
        """Attend from the first k tokens of each sequence alone: (N, d) and these (B, k, d) to (B, k, d)."""
        width = x.shape[1]
        weight, bias = self.qkv.weight, self.qkv.bias
        q = F.linear(first, weight[:width], bias[:width])
        kv = F.linear(x, weight[width:], bias[width:])
        mixed: Tensor = self.out(attention_of_first(q, kv, packing, self.heads))
        return mixed


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward, each with residual and the norm after it (post-norm, as TMR)."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads)
        self.feed_forward = FeedForward(width, inner, dropout)
        self.norm_attention = nn.LayerNorm(width)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """Transform packed tokens: (N, d) -> (N, d)."""
        return self._feed(x, self.attention(x, packing))

    def first(self, x: Tensor, packing: Packing, count: int) -> Tensor:
        """Transform the first tokens of each sequence alone: (N, d) -> (B, count, d), by place.

        What the last layer makes of the others nobody asks for, where the first ones stand for the sequence.
        """
        places = packing.starts[:, None] + torch.arange(count, device=x.device)
        first = x[places]
        return self._feed(first, self.attention.first(x, first, packing))

    def _feed(self, x: Tensor, told: Tensor) -> Tensor:
        x = self.norm_attention(x + self.dropout(told))
        out: Tensor = self.norm_feed_forward(x + self.dropout(self.feed_forward(x)))
        return out


class DecoderLayer(nn.Module):
    """An encoder layer that also attends, per sequence, to a memory of one token.

    Attention to a single token gives that token whatever the query is, so its query and key projections would
    do nothing; only value and output projections are left of it.
    """

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads)
        self.memory = nn.Sequential(nn.Linear(width, width), nn.Linear(width, width))
        self.feed_forward = FeedForward(width, inner, dropout)
        self.norm_attention = nn.LayerNorm(width)
        self.norm_memory = nn.LayerNorm(width)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor, packing: Packing) -> Tensor:
        """Transform packed tokens (N, d) with one memory token (B, d) per sequence, by place."""
        x = self.norm_attention(x + self.dropout(self.attention(x, packing)))
        told = self.memory(memory).index_select(0, packing.sequence)
        x = self.norm_memory(x + self.dropout(told))
        out: Tensor = self.norm_feed_forward(x + self.dropout(self.feed_forward(x)))
        return out


class CrossAttention(nn.Module):
    """Let the tokens of a finer level ask those of a coarser one (KinMo, Eq. 4): softmax(Q K^T / sqrt(d)) V.

    Multi-head; the caller adds the residual.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, finer: Tensor, coarser: Tensor, present: Tensor | None = None) -> Tensor:
        """Attend from (B, n, d) to (B, m, d).

        Args:
            finer: what asks.
            coarser: what answers.
            present: (B, m) false where nothing is there to answer; at least one true in each row.

        Returns:
            (B, n, d).
        """
        q, k, v = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part, x in ((self.query, finer), (self.key, coarser), (self.value, coarser))
        )
        mask = None if present is None else present[:, None, None]
        told = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        mixed: Tensor = self.out(told.transpose(1, 2).flatten(2))
        return mixed
