"""Sequences of different lengths in one tensor, one after the other, so that nothing is computed on padding.

Everything that works on single tokens (projections, feed-forward, norms) runs on the packed rows. Attention
takes sequences of like length together: those of one length as they stand, the others padded by at most a few
per cent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

# Sequences are attended to together as long as padding stays below this share of their tokens. A GPU starts
# many small kernels slowly and pads cheaply; a CPU is the other way round.
_WASTE = {"cpu": 0.04, "cuda": 0.25}


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring sequences of a packing that are attended to together.

    Attributes:
        start: first row of the group.
        stop: row after its last.
        count: sequences in it.
        length: tokens of the longest.
        pad: (count * length,) rows of the group that fill its padded form, or None if all are equally long.
        unpad: (stop - start,) rows of the padded form that are no padding.
        mask: (count, 1, 1, length) true where there is a token.
    """

    start: int
    stop: int
    count: int
    length: int
    pad: Tensor | None = None
    unpad: Tensor | None = None
    mask: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Packing:
    """Where the tokens of B sequences lie in one tensor of N rows: sequences one by one, longest first.

    Attributes:
        order: (B,) which sequence stands at each place.
        lengths: (B,) tokens of each, in that order.
        starts: (B,) row of each one's first token.
        sequence: (N,) place of the sequence that each row belongs to.
        position: (N,) place of each row in its sequence, from 0.
        groups: what is attended to together.
    """

    order: Tensor
    lengths: Tensor
    starts: Tensor
    sequence: Tensor
    position: Tensor
    groups: tuple[Group, ...]

    @property
    def places(self) -> Tensor:
        """Place (B,) of each sequence, in the order in which the sequences were given."""
        return torch.empty_like(self.order).scatter_(
            0, self.order, torch.arange(len(self.order), device=self.order.device)
        )


def pack(lengths: NDArray[np.integer] | list[int], device: torch.device | str = "cpu") -> Packing:
    """Plan how sequences of the given lengths (each at least 1) lie in one tensor.

    Raises:
        ValueError: there is no sequence, or one without a token.
    """
    given = np.asarray(lengths, dtype=np.int64)
    if given.ndim != 1 or len(given) == 0 or given.min() < 1:
        raise ValueError("a packing needs sequences of at least one token each")
    order = np.argsort(-given, kind="stable")
    sizes = given[order]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    sequence = np.repeat(np.arange(len(sizes)), sizes)
    position = np.arange(sizes.sum()) - starts[sequence]
    target = torch.device(device)
    groups = tuple(_group(sizes, starts, first, last, target) for first, last in _cuts(sizes, target.type))

    def there(values: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(target)

    return Packing(there(order), there(sizes), there(starts), there(sequence), there(position), groups)


def _cuts(sizes: NDArray[np.int64], device: str) -> list[tuple[int, int]]:
    """Cut sequences, longest first, into runs that padding makes little larger."""
    waste = _WASTE.get(device, _WASTE["cuda"])
    cuts, first, tokens = [], 0, 0
    for place, size in enumerate(sizes.tolist()):
        padded = (place - first + 1) * int(sizes[first])
        if padded - (tokens + size) > waste * padded:
            cuts.append((first, place))
            first, tokens = place, 0
        tokens += size
    return [*cuts, (first, len(sizes))]


def _group(
    sizes: NDArray[np.int64], starts: NDArray[np.int64], first: int, last: int, device: torch.device
) -> Group:
    lengths = sizes[first:last]
    length, start = int(lengths[0]), int(starts[first])
    stop = int(starts[last - 1] + lengths[-1])
    count = last - first
    if lengths[-1] == length:
        return Group(start, stop, count, length)
    column = np.arange(length)
    there = column < lengths[:, None]
    # padding repeats the sequence's first token, which the mask hides
    rows = np.where(there, column, 0) + (starts[first:last] - start)[:, None]
    return Group(
        start,
        stop,
        count,
        length,
        pad=torch.from_numpy(rows.ravel()).to(device),
        unpad=torch.from_numpy(np.flatnonzero(there.ravel())).to(device),
        mask=torch.from_numpy(there[:, None, None, :]).to(device),
    )


def self_attention(qkv: Tensor, packing: Packing, heads: int) -> Tensor:
    """Let every token attend to the tokens of its own sequence.

    Args:
        qkv: (N, 3 d) packed queries, keys and values.
        packing: how the rows lie.
        heads: number of heads; d is a multiple of it.

    Returns:
        (N, d) packed.
    """
    width = qkv.shape[1] // 3
    outputs = []
    for group, rows in zip(packing.groups, _by_group(qkv, packing), strict=True):
        padded = rows if group.pad is None else rows.index_select(0, group.pad)
        parts = padded.view(group.count, group.length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], attn_mask=group.mask)
        flat = out.transpose(1, 2).reshape(-1, width)
        outputs.append(flat if group.unpad is None else flat.index_select(0, group.unpad))
    return torch.cat(outputs) if len(outputs) > 1 else outputs[0]


def attention_of_first(q: Tensor, kv: Tensor, packing: Packing, heads: int) -> Tensor:
    """Let the first k tokens of every sequence attend to all tokens of it.

    Args:
        q: (B, k, d) their queries, by place.
        kv: (N, 2 d) packed keys and values.
        packing: how the rows lie.
        heads: number of heads; d is a multiple of it.

    Returns:
        (B, k, d).
    """
    asking = q.unflatten(-1, (heads, -1)).transpose(1, 2)
    asked = asking.split([group.count for group in packing.groups])
    outputs = []
    for group, rows, some in zip(packing.groups, _by_group(kv, packing), asked, strict=True):
        padded = rows if group.pad is None else rows.index_select(0, group.pad)
        parts = padded.view(group.count, group.length, 2, heads, asking.shape[-1]).permute(2, 0, 3, 1, 4)
        outputs.append(F.scaled_dot_product_attention(some, parts[0], parts[1], attn_mask=group.mask))
    return torch.cat(outputs).transpose(1, 2).flatten(2)


def _by_group(rows: Tensor, packing: Packing) -> tuple[Tensor, ...]:
    """Cut packed rows into groups: gradients of a split are joined at once, those of slices one by one."""
    return rows.split([group.stop - group.start for group in packing.groups])
