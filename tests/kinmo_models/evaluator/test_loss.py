"""The contrastive loss in plain loops, and what is no negative."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from kinmo_models.evaluator.config import LossConfig
from kinmo_models.evaluator.loss import EvaluatorLoss, contrastive


def test_it_is_that_of_plain_loops():
    torch.manual_seed(0)
    texts, motions = torch.randn(5, 3) * 4, torch.randn(5, 3) * 4
    negatives = torch.rand(5, 5) < 0.7
    pair, lacking = [], []
    for i in range(5):
        for j in range(5):
            far = math.dist(texts[i].tolist(), motions[j].tolist())
            if i == j:
                pair.append(far**2)
            elif negatives[i, j]:
                lacking.append(max(0.0, 10 - far) ** 2)
    found = contrastive(texts, motions, negatives, 10.0)
    assert found["pair"].item() == pytest.approx(sum(pair) / 5, rel=1e-5)
    assert found["negative"].item() == pytest.approx(sum(lacking) / len(lacking), rel=1e-5)


def test_without_negatives_and_at_distance_zero_there_is_a_gradient_of_numbers():
    texts = torch.zeros(2, 3, requires_grad=True)
    terms = contrastive(texts, torch.zeros(2, 3), torch.zeros(2, 2, dtype=torch.bool), 10.0)
    assert terms["negative"].item() == 0
    terms = contrastive(texts, torch.zeros(2, 3), torch.ones(2, 2, dtype=torch.bool), 10.0)
    sum(terms.values()).backward()
    assert torch.isfinite(texts.grad).all()


def test_motions_whose_captions_are_alike_do_not_repel_each_other():
    """Three motions in one place: the first two have one caption."""
    sentences = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    latents = torch.zeros(3, 4), torch.zeros(3, 4)
    networks = torch.nn.Identity()
    networks.encode_batch = lambda batch: latents
    terms = EvaluatorLoss(networks, LossConfig(margin=2.0))(SimpleNamespace(caption_sentence=sentences))
    assert terms["negative"].item() == pytest.approx(4.0)
    latents = torch.tensor([[0.0], [0.0], [2.0]]), torch.tensor([[0.0], [0.0], [2.0]])
    terms = EvaluatorLoss(networks, LossConfig(margin=2.0))(SimpleNamespace(caption_sentence=sentences))
    assert terms["negative"].item() == 0.0
    everything = LossConfig(margin=2.0, alike_above=1.0)
    assert EvaluatorLoss(networks, everything)(SimpleNamespace(caption_sentence=sentences * 0.9))[
        "negative"
    ].item() == pytest.approx(2 * 4 / 6)
