"""Layers against PyTorch's own, and cross-attention against Eq. 4 written out."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from kinmo_models.layers.packing import pack
from kinmo_models.layers.transformer import CrossAttention, DecoderLayer, EncoderLayer, sinusoids

WIDTH, HEADS, INNER = 16, 4, 32


def _copy(ours: EncoderLayer | DecoderLayer, theirs: nn.Module) -> None:
    """Give PyTorch's layer the weights of ours."""
    state = {
        "self_attn.in_proj_weight": ours.attention.qkv.weight,
        "self_attn.in_proj_bias": ours.attention.qkv.bias,
        "self_attn.out_proj.weight": ours.attention.out.weight,
        "self_attn.out_proj.bias": ours.attention.out.bias,
        "linear1.weight": ours.feed_forward[0].weight,
        "linear1.bias": ours.feed_forward[0].bias,
        "linear2.weight": ours.feed_forward[3].weight,
        "linear2.bias": ours.feed_forward[3].bias,
    }
    missing = theirs.load_state_dict(state, strict=False).missing_keys
    assert all(name.startswith(("norm", "multihead_attn")) for name in missing)


def test_encoder_layer_equals_pytorchs_with_padding():
    torch.manual_seed(0)
    ours = EncoderLayer(WIDTH, HEADS, INNER, 0.1).eval()
    theirs = nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, 0.1, activation="gelu", batch_first=True).eval()
    _copy(ours, theirs)
    lengths = [9, 8, 4]
    rows = torch.randn(sum(lengths), WIDTH)
    padded = nn.utils.rnn.pad_sequence(rows.split(lengths), batch_first=True)
    pads = torch.arange(9)[None] >= torch.tensor(lengths)[:, None]
    expected = theirs(padded, src_key_padding_mask=pads)
    torch.testing.assert_close(ours(rows, pack(lengths)), expected[~pads], atol=1e-5, rtol=1e-4)


def test_decoder_layer_equals_pytorchs_with_a_memory_of_one_token():
    torch.manual_seed(1)
    ours = DecoderLayer(WIDTH, HEADS, INNER, 0.1).eval()
    theirs = nn.TransformerDecoderLayer(WIDTH, HEADS, INNER, 0.1, activation="gelu", batch_first=True).eval()
    _copy(ours, theirs)
    value, out = ours.memory
    cross = theirs.multihead_attn
    with torch.no_grad():
        cross.in_proj_weight[2 * WIDTH :] = value.weight
        cross.in_proj_bias[2 * WIDTH :] = value.bias
        cross.out_proj.weight.copy_(out.weight)
        cross.out_proj.bias.copy_(out.bias)
    rows, memory = torch.randn(12, WIDTH), torch.randn(2, WIDTH)
    expected = theirs(rows.view(2, 6, WIDTH), memory[:, None])
    torch.testing.assert_close(ours(rows, memory, pack([6, 6])), expected.flatten(0, 1), atol=1e-5, rtol=1e-4)


def test_cross_attention_is_equation_4():
    """softmax(Q K^T / sqrt(d)) V per head, in loops and in float64."""
    torch.manual_seed(2)
    layer = CrossAttention(WIDTH, HEADS)
    finer, coarser = torch.randn(2, 15, WIDTH), torch.randn(2, 6, WIDTH)
    found = layer(finer, coarser)

    def project(part: nn.Linear, x: torch.Tensor) -> np.ndarray:
        return x.double().numpy() @ part.weight.detach().double().numpy().T + part.bias.detach().numpy()

    size = WIDTH // HEADS
    for motion in range(2):
        q = project(layer.query, finer[motion])
        k, v = project(layer.key, coarser[motion]), project(layer.value, coarser[motion])
        heads = []
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            rows = []
            for asks in q[:, part]:
                scores = [math.exp(asks @ answers / math.sqrt(size)) for answers in k[:, part]]
                rows.append(sum(s * value for s, value in zip(scores, v[:, part], strict=True)) / sum(scores))
            heads.append(np.stack(rows))
        mixed = torch.from_numpy(np.concatenate(heads, axis=1))
        np.testing.assert_allclose(found[motion].detach(), project(layer.out, mixed), atol=1e-5)


def test_sinusoids_are_those_of_the_transformer():
    found = sinusoids(torch.tensor([0, 3, 117]), 6)
    expected = [
        [fn(position / 10_000 ** (2 * pair / 6)) for pair in range(3) for fn in (math.sin, math.cos)]
        for position in (0, 3, 117)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_first_tokens_alone_are_what_they_are_among_all():
    torch.manual_seed(4)
    layer = EncoderLayer(WIDTH, HEADS, INNER, 0.1).eval()
    lengths = [3, 9, 40, 8, 9, 2]
    packing = pack(lengths)
    rows = torch.randn(sum(lengths), WIDTH)
    places = packing.starts[:, None] + torch.arange(2)
    torch.testing.assert_close(layer.first(rows, packing, 2), layer(rows, packing)[places])
