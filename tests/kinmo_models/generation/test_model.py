"""The transformers: what they see, and what they do not depend on."""

from __future__ import annotations

import pytest
import torch

from kinmo_models.generation.batches import TokenBatch
from kinmo_models.generation.config import ModelConfig
from kinmo_models.generation.model import PLACES, GeneratorModel, Layout


def base_logits(model: GeneratorModel, batch: TokenBatch) -> list[torch.Tensor]:
    text = model.base.trunk.text(batch.latents, batch.present)
    layout = Layout.of(text.counts, batch.lengths, torch.device("cpu"))
    logits = model.base(text, batch.tokens[:, 0], layout)
    return list(logits.split(batch.lengths.tolist()))


def alone(batch: TokenBatch, place: int) -> TokenBatch:
    rows = batch.tokens.split(batch.lengths.tolist())[place]
    one = slice(place, place + 1)
    return TokenBatch(rows, batch.lengths[one], batch.latents[one], batch.present[one])


@torch.inference_mode()
def test_a_motion_does_not_depend_on_those_beside_it(model: GeneratorModel, batch: TokenBatch):
    together = base_logits(model, batch)
    for place, found in enumerate(together):
        expected = base_logits(model, alone(batch, place))[0]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_text_that_is_not_there_does_not_matter(model: GeneratorModel, batch: TokenBatch):
    before = torch.cat(base_logits(model, batch))
    batch.latents[~batch.present] = 99.0
    torch.testing.assert_close(torch.cat(base_logits(model, batch)), before)
    batch.latents[batch.present] += torch.randn(int(batch.present.sum()), batch.latents.shape[2])
    assert (torch.cat(base_logits(model, batch)) - before).abs().max() > 1e-2


@torch.inference_mode()
def test_without_any_text_one_learned_token_stands_in_front(model: GeneratorModel, batch: TokenBatch):
    batch.present[1] = False
    text = model.base.trunk.text(batch.latents, batch.present)
    expected = batch.present.sum(1)
    expected[1] = 1
    assert text.counts.tolist() == expected.tolist()
    row = int(text.counts[0])
    torch.testing.assert_close(text.rows[row], model.base.trunk.no_text[0])


@torch.inference_mode()
def test_levels_of_text_see_each_other(model: GeneratorModel, batch: TokenBatch):
    """A finer text changes what stands in front for the caption, by the cross-attention layer."""
    batch.present[:] = True
    before = model.base.trunk.text(batch.latents, batch.present).rows[0]
    batch.latents[0, PLACES[1]] = -batch.latents[0, PLACES[1]]
    after = model.base.trunk.text(batch.latents, batch.present).rows[0]
    assert (after - before).abs().max() > 1e-4


@torch.inference_mode()
def test_position_counts_within_a_motion(model: GeneratorModel, batch: TokenBatch):
    layout = Layout.of(torch.tensor([3, 1, 1, 2]), batch.lengths, torch.device("cpu"))
    expected = torch.cat([torch.arange(n) for n in batch.lengths.tolist()])
    assert layout.position.tolist() == expected.tolist()
    assert len(set(layout.tokens.tolist())) == len(expected)
    assert layout.rows[layout.tokens].tolist() == [7 + n for n in range(len(expected))]


@torch.inference_mode()
def test_another_level_in_front_is_that_level(model: GeneratorModel, batch: TokenBatch):
    assert model.residual is not None
    first, other = (
        model.residual.text(batch.latents, batch.present, torch.full((4,), level)) for level in (1, 3)
    )
    torch.testing.assert_close(model.residual.other_level(first, 3).rows, other.rows)


def test_sizes_of_base_are_those_of_momask():
    model = GeneratorModel(ModelConfig(), text_width=256, levels=6, codes=512, most=49)
    layers = [sum(p.numel() for p in layer.parameters()) for layer in model.base.trunk.layers]
    assert layers == [1_380_736] * 8
    assert model.base.embedding.weight.shape == (513, 512)
    assert model.residual is not None
    # Tables for reading levels 0..4 and for writing levels 1..5, shared where both are.
    assert model.residual.tables.shape == (6, 512, 512)


def test_one_level_of_tokens_needs_no_residual_transformer():
    config = ModelConfig(width=32, layers=1, heads=2, inner=32, token_width=8)
    assert GeneratorModel(config, text_width=8, levels=1, codes=16, most=9).residual is None


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="heads"):
        ModelConfig(width=30, heads=4)
