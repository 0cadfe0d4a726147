"""Packed sequences: rows where they should be, attention as with padding and as written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinmo_models.layers.packing import pack, self_attention

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@given(LENGTHS)
@settings(max_examples=60, deadline=None)
def test_rows_of_sequences_lie_together_longest_first(lengths):
    packing = pack(lengths)
    assert sorted(packing.order.tolist()) == list(range(len(lengths)))
    assert packing.lengths.tolist() == [lengths[i] for i in packing.order]
    assert packing.lengths.tolist() == sorted(lengths, reverse=True)
    assert packing.order[packing.places].tolist() == list(range(len(lengths)))
    for place, (start, length) in enumerate(
        zip(packing.starts.tolist(), packing.lengths.tolist(), strict=True)
    ):
        rows = slice(start, start + length)
        assert packing.sequence[rows].tolist() == [place] * length
        assert packing.position[rows].tolist() == list(range(length))


@given(LENGTHS)
@settings(max_examples=60, deadline=None)
def test_groups_cover_all_rows_with_little_padding(lengths):
    packing = pack(lengths)
    assert packing.groups[0].start == 0
    assert packing.groups[-1].stop == sum(lengths)
    assert all(a.stop == b.start for a, b in zip(packing.groups, packing.groups[1:], strict=False))
    assert sum(group.count for group in packing.groups) == len(lengths)
    for group in packing.groups:
        assert group.count * group.length * 0.96 <= group.stop - group.start


@given(LENGTHS, st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_attention_equals_softmax_written_out_sequence_by_sequence(lengths, seed):
    heads, width = 2, 8
    packing = pack(lengths)
    qkv = torch.from_numpy(np.random.default_rng(seed).normal(size=(sum(lengths), 3 * width))).float()
    found = self_attention(qkv, packing, heads)
    for start, length in zip(packing.starts.tolist(), packing.lengths.tolist(), strict=True):
        q, k, v = qkv[start : start + length].double().split(width, dim=1)
        for head in range(heads):
            part = slice(head * width // heads, (head + 1) * width // heads)
            scores = q[:, part] @ k[:, part].T / (width // heads) ** 0.5
            expected = torch.exp(scores) / torch.exp(scores).sum(1, keepdim=True) @ v[:, part]
            np.testing.assert_allclose(found[start : start + length, part], expected, atol=1e-5)


def test_gradients_do_not_come_from_padding():
    lengths = [7, 7, 5]
    packing = pack(lengths, "cpu")
    padded = pack([50, 49, 48])  # one group with a mask
    assert padded.groups[0].mask is not None
    for plan, total in ((packing, sum(lengths)), (padded, 147)):
        qkv = torch.randn(total, 12, requires_grad=True)
        self_attention(qkv, plan, 2).sum().backward()
        assert qkv.grad is not None
        assert torch.isfinite(qkv.grad).all()
    # the sum of outputs depends on values alone where keys are equal: each value's share sums to one
    qkv = torch.randn(147, 12)
    qkv[:, :8] = 0
    qkv.requires_grad_()
    self_attention(qkv, padded, 2).sum().backward()
    torch.testing.assert_close(qkv.grad[:, 8:], torch.ones(147, 4))


@pytest.mark.parametrize("lengths", [[], [3, 0], [[1, 2]]])
def test_impossible_lengths_are_refused(lengths):
    with pytest.raises(ValueError, match="at least one token"):
        pack(lengths)
