"""The losses, against the same written out motion by motion."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from kinmo_models.generation.batches import TokenBatch
from kinmo_models.generation.config import LossConfig
from kinmo_models.generation.loss import (
    GenerationLoss,
    base_terms,
    draw_levels,
    length_term,
    residual_terms,
    text_at,
)
from kinmo_models.generation.model import PLACES, GeneratorModel, Layout


def one_by_one(batch: TokenBatch) -> list[TokenBatch]:
    parts = batch.tokens.split(batch.lengths.tolist())
    return [
        TokenBatch(rows, batch.lengths[k : k + 1], batch.latents[k : k + 1], batch.present[k : k + 1])
        for k, rows in enumerate(parts)
    ]


def test_text_finer_than_the_level_is_taken_away():
    present = torch.ones(3, PLACES[-1], dtype=torch.bool)
    present[2, 3] = False
    found = text_at(present, torch.tensor([0, 1, 2]))
    assert found.sum(1).tolist() == [1, 7, 21]
    assert found[1, :7].all()
    assert not found[2, 3]


@torch.no_grad()
def test_base_is_the_mean_cross_entropy_of_the_hidden_tokens(model: GeneratorModel, batch: TokenBatch):
    torch.manual_seed(0)
    hidden = torch.rand(len(batch.tokens)) < 0.5
    shown = batch.tokens[:, 0].masked_fill(hidden, model.base.mask)
    found = base_terms(model, batch, batch.present, shown, hidden)
    losses, right = [], []
    masks = zip(hidden.split(batch.lengths.tolist()), shown.split(batch.lengths.tolist()), strict=True)
    for one, (where, tokens) in zip(one_by_one(batch), masks, strict=True):
        text = model.base.trunk.text(one.latents, one.present)
        logits = model.base(text, tokens, Layout.of(text.counts, one.lengths, torch.device("cpu")))
        target = one.tokens[:, 0]
        losses.append(F.cross_entropy(logits[where], target[where], reduction="none"))
        right.append(logits[where].argmax(1) == target[where])
    assert float(found["base"]) == pytest.approx(float(torch.cat(losses).mean()), rel=1e-5)
    assert float(found["_right/base"]) == pytest.approx(float(torch.cat(right).float().mean()))


@torch.no_grad()
def test_residual_sums_the_levels_before(model: GeneratorModel, batch: TokenBatch):
    assert model.residual is not None
    level = torch.tensor([1, 3, 2, 3])
    found = residual_terms(model.residual, batch, batch.present, level)
    losses = []
    for one, q in zip(one_by_one(batch), level.tolist(), strict=True):
        read = torch.stack([model.residual.tables[k][one.tokens[:, k]] for k in range(q)]).sum(0)
        text = model.residual.text(one.latents, one.present, torch.tensor([q]))
        features = model.residual(text, read, Layout.of(text.counts, one.lengths, torch.device("cpu")))
        logits = features @ model.residual.tables[q].T
        losses.append(F.cross_entropy(logits, one.tokens[:, q], reduction="none"))
    assert float(found["residual"]) == pytest.approx(float(torch.cat(losses).mean()), rel=1e-5)


@torch.no_grad()
def test_length_is_guessed_from_the_caption_alone(model: GeneratorModel, batch: TokenBatch):
    found = length_term(model, batch)
    logits = model.length(batch.latents[:, 0])
    expected = F.cross_entropy(logits, torch.tensor([4, 11, 48, 0]))
    assert float(found) == pytest.approx(float(expected))


def test_low_levels_are_drawn_more_often(model: GeneratorModel, batch: TokenBatch):
    assert model.residual is not None
    torch.manual_seed(0)
    drawn = torch.cat([draw_levels(model.residual, batch) for _ in range(500)])
    counts = torch.bincount(drawn, minlength=4)
    assert counts[0] == 0
    assert counts[1] > counts[2] > counts[3] > 0


def test_all_that_learns_has_a_gradient(model: GeneratorModel, batch: TokenBatch):
    torch.manual_seed(1)
    module = GenerationLoss(model.train(), LossConfig())
    total = torch.zeros(())
    for _ in range(12):  # every level and the absence of text are drawn
        terms = module(batch)
        total = total + sum(term for name, term in terms.items() if not name.startswith("_"))
    total.backward()
    without = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert not without


def test_without_residual_levels_and_length_one_term_is_left(batch: TokenBatch):
    from kinmo_models.generation.config import ModelConfig

    config = ModelConfig(width=32, layers=1, heads=2, inner=32, token_width=8)
    model = GeneratorModel(config, text_width=12, levels=1, codes=24, most=49)
    terms = GenerationLoss(model, LossConfig(length=0.0))(batch)
    assert set(terms) == {"base", "_right/base"}
