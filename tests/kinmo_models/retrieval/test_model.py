"""The model: sizes of TMR, cross-attention and fusion written out, levels that build on each other."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from kinmo_models.data.batches import Texts
from kinmo_models.retrieval.config import ModelConfig
from kinmo_models.retrieval.model import FinerLevel, RetrievalModel, TextEncoder

SMALL = ModelConfig(width=8, layers=1, text_layers=1, decoder_layers=1, heads=2, inner=16)


def texts(distinct: int, which: torch.Tensor, width: int = 5) -> Texts:
    """So many distinct texts of 2, 3, ... tokens, and which of them stand where."""
    lengths = torch.arange(2, 2 + distinct)
    return Texts(torch.randn(int(lengths.sum()), width), lengths, which)


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_base_has_the_sizes_of_tmr():
    """Parameter counts of the published model, less what attention to a single token does not need."""
    model = RetrievalModel(ModelConfig(levels="G"), 768)
    assert count(model.motion_encoder) == 4_806_656
    assert count(model.caption_encoder) == 4_935_936
    unused = 6 * 2 * (256 * 256 + 256)  # query and key projections of six layers
    assert count(model.decoder) == 6_388_231 - unused
    assert model.levels == ("G",)
    assert not model.finer


def test_pooled_texts_carry_the_mean_of_their_tokens():
    torch.manual_seed(0)
    config = replace(SMALL, pooled=True)
    encoder = TextEncoder(config, 5).eval()
    asked = texts(3, torch.arange(3))
    found, plain = encoder(asked), encoder.sequence(asked.tokens, asked.lengths)
    assert encoder.pooled is not None
    for place, rows in enumerate(asked.tokens.split(asked.lengths.tolist())):
        expected = plain.mean[place] + encoder.pooled(rows.mean(0))
        torch.testing.assert_close(found.mean[place], expected)
    torch.testing.assert_close(found.std, plain.std)


def test_normed_tokens_are_heard_alike_however_large_they_are():
    torch.manual_seed(0)
    asked = texts(3, torch.arange(3))
    louder = replace(asked, tokens=7.0 * asked.tokens)
    encoder = TextEncoder(replace(SMALL, normed_tokens=True), 5).eval()
    torch.testing.assert_close(encoder(louder).mean, encoder(asked).mean, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(
        encoder.sequence(louder.tokens, louder.lengths).mean, encoder(asked).mean, atol=0.1
    )


def test_pooled_frames_carry_the_mean_and_the_largest_of_each_number():
    torch.manual_seed(0)
    model = RetrievalModel(replace(SMALL, pooled_frames=True), 5).eval()
    features, lengths = torch.randn(9, 263), torch.tensor([5, 1, 3])
    found, plain = model.encode_motion(features, lengths), model.motion_encoder(features, lengths)
    assert model.frames is not None
    for place, rows in enumerate(features.split(lengths.tolist())):
        said = model.frames.frame(rows)
        expected = plain.mean[place] + model.frames.mix(torch.cat([said.mean(0), said.amax(0)]))
        torch.testing.assert_close(found.mean[place], expected)
    torch.testing.assert_close(found.std, plain.std)


def linear(layer: nn.Linear, x: np.ndarray) -> np.ndarray:
    return x @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()


def norm(layer: nn.LayerNorm, x: np.ndarray) -> np.ndarray:
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + layer.eps)
    return scaled * layer.weight.detach().double().numpy() + layer.bias.detach().double().numpy()


def gelu(x: np.ndarray) -> np.ndarray:
    return np.vectorize(lambda value: 0.5 * value * (1 + math.erf(value / math.sqrt(2))))(x)


def test_a_finer_level_is_equation_4_with_residuals_written_out():
    """h = CrossAtt(Q = finer, K = V = coarser), residual, feed-forward, residual; pooled over the texts."""
    torch.manual_seed(0)
    level = FinerLevel(SMALL, 5).eval()
    which = torch.randint(4, (3, 6))
    asked, places, coarser = texts(4, which), torch.randn(6, 8), torch.randn(3, 2, 8)
    latents, pooled = level(asked, places, coarser)
    encoded = level.encoder(asked)
    for motion in range(3):
        z = (encoded.mean[which[motion]] + places).detach().double().numpy()
        answers = norm(level.norm_coarser, coarser[motion].double().numpy())
        q = linear(level.cross.query, norm(level.norm_finer, z))
        k, v = linear(level.cross.key, answers), linear(level.cross.value, answers)
        heads = []
        for part in (slice(0, 4), slice(4, 8)):
            weights = np.exp(q[:, part] @ k[:, part].T / math.sqrt(4))
            heads.append(weights / weights.sum(1, keepdims=True) @ v[:, part])
        z = z + linear(level.cross.out, np.concatenate(heads, 1))
        inner = gelu(linear(level.feed_forward[0], norm(level.norm_feed_forward, z)))
        z = z + linear(level.feed_forward[3], inner)
        np.testing.assert_allclose(latents[motion].detach(), z, atol=1e-4)
        np.testing.assert_allclose(pooled.mean[motion].detach(), z.mean(0), atol=1e-4)
        spread = encoded.std[which[motion]].detach().double().numpy().mean(0)
        np.testing.assert_allclose(pooled.std[motion].detach(), spread, atol=1e-4)


def test_levels_add_their_pooled_mean_and_deviation_to_the_level_above():
    torch.manual_seed(1)
    model = RetrievalModel(SMALL, 5).eval()
    caption, groups = texts(2, torch.tensor([0, 1, 1])), texts(5, torch.randint(5, (3, 6)))
    pairs = texts(7, torch.randint(7, (3, 15)))
    g, gj, gji = model.encode_text(caption, groups, pairs)
    places = model.group_embedding.weight
    latents, of_groups = model.finer[0](groups, places, g.mean[:, None])
    from_pairs = torch.stack([places[a] + places[b] for a in range(6) for b in range(a + 1, 6)])
    _, of_pairs = model.finer[1](pairs, from_pairs, latents)
    torch.testing.assert_close(gj.mean, g.mean + of_groups.mean)
    torch.testing.assert_close(gj.std, g.std + of_groups.std)
    torch.testing.assert_close(gji.mean, g.mean + of_groups.mean + of_pairs.mean)
    torch.testing.assert_close(gji.std, g.std + of_groups.std + of_pairs.std)


def test_fewer_texts_give_fewer_levels_and_the_same_ones():
    torch.manual_seed(2)
    model = RetrievalModel(SMALL, 5).eval()
    caption, groups = texts(2, torch.tensor([0, 1])), texts(5, torch.randint(5, (2, 6)))
    pairs = texts(7, torch.randint(7, (2, 15)))
    whole = model.encode_text(caption, groups, pairs)
    for some in ((), (groups,)):
        for found, expected in zip(model.encode_text(caption, *some), whole, strict=False):
            torch.testing.assert_close(found.mean, expected.mean)


def test_a_text_that_stands_twice_is_encoded_once_with_the_same_result():
    torch.manual_seed(3)
    model = RetrievalModel(SMALL, 5).eval()
    once = texts(2, torch.tensor([0, 1, 0]))
    first, second = once.tokens.split(once.lengths.tolist())
    thrice = Texts(torch.cat([first, second, first]), torch.tensor([2, 3, 2]), torch.arange(3))
    torch.testing.assert_close(
        model.encode_text(once)[0].mean, model.encode_text(thrice)[0].mean, atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("cross", [True, False])
def test_the_coarser_level_is_heard_only_through_cross_attention(cross):
    torch.manual_seed(4)
    level = FinerLevel(
        ModelConfig(width=8, layers=1, text_layers=1, heads=2, inner=16, cross_attention=cross), 5
    )
    asked, places = texts(4, torch.randint(4, (3, 6))), torch.randn(6, 8)
    one, _ = level.eval()(asked, places, torch.randn(3, 2, 8))
    other, _ = level(asked, places, torch.randn(3, 2, 8))
    assert torch.equal(one, other) is not cross


def test_which_group_a_text_stands_at_matters():
    torch.manual_seed(5)
    model = RetrievalModel(SMALL, 5).eval()
    caption = texts(1, torch.tensor([0, 0]))
    groups = texts(2, torch.tensor([[0, 1, 1, 1, 1, 1], [1, 0, 1, 1, 1, 1]]))
    first, second = model.encode_text(caption, groups)[1].mean
    assert not torch.allclose(first, second, atol=1e-4)
