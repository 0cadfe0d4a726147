"""Losses against values worked out by hand, in loops and by torch.distributions."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from kinmo_models.layers.latent import Gaussian
from kinmo_models.retrieval.config import LossConfig, ModelConfig
from kinmo_models.retrieval.loss import RetrievalLoss, alike, divergence, info_nce, tmr_divergence
from kinmo_models.retrieval.model import RetrievalModel


def naive_info_nce(text, motion, temperature, allowed):
    """Eq. 5 in plain loops."""
    total, n = 0.0, len(text)
    cosine = [[float(t @ m / (np.linalg.norm(t) * np.linalg.norm(m))) for m in motion] for t in text]
    for i in range(n):
        row = sum(math.exp(cosine[i][j] / temperature) for j in range(n) if allowed[i][j])
        column = sum(math.exp(cosine[j][i] / temperature) for j in range(n) if allowed[j][i])
        own = math.exp(cosine[i][i] / temperature)
        total += math.log(own / row) + math.log(own / column)
    return -total / (2 * n)


@pytest.mark.parametrize("seed", range(4))
def test_info_nce_equals_equation_5_in_loops(seed):
    generator = np.random.default_rng(seed)
    text, motion = generator.normal(size=(2, 6, 5))
    allowed = generator.random((6, 6)) < 0.7
    allowed = allowed & allowed.T | np.eye(6, dtype=bool)
    found = info_nce(*(torch.from_numpy(x) for x in (text, motion)), 0.1, torch.from_numpy(allowed))
    assert found.item() == pytest.approx(naive_info_nce(text, motion, 0.1, allowed), rel=1e-5)


def test_info_nce_of_two_by_hand():
    """Own pairs at cosine 1, the others at 0: each direction is log(1 + exp(-1/t))."""
    eye = torch.eye(2)
    found = info_nce(eye, eye, 0.5, torch.ones(2, 2, dtype=torch.bool))
    assert found.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-6)
    assert info_nce(eye, eye, 0.5, eye.bool()).item() == 0  # without negatives there is nothing to tell apart


def gaussian(seed: int, rows: int = 3, width: int = 4) -> Gaussian:
    generator = torch.Generator().manual_seed(seed)
    return Gaussian(
        torch.randn(rows, width, generator=generator), torch.rand(rows, width, generator=generator) + 0.2
    )


def test_divergences_equal_those_of_torch():
    p, q = gaussian(0), gaussian(1)
    expected = kl_divergence(Normal(p.mean, p.std), Normal(q.mean, q.std)).mean()
    torch.testing.assert_close(divergence(p, q), expected)
    # by hand: KL(N(1, 2) || N(0, 1)) = (4 + 1 - 1 - log 4) / 2
    one = Gaussian(torch.ones(1, 1), torch.full((1, 1), 2.0))
    normal = Gaussian(torch.zeros(1, 1), torch.ones(1, 1))
    assert divergence(one, normal).item() == pytest.approx((4 - math.log(4)) / 2)
    four = divergence(p, q) + divergence(q, p) + divergence(q, one_of(q)) + divergence(p, one_of(p))
    torch.testing.assert_close(tmr_divergence(p, q), four)


def one_of(like: Gaussian) -> Gaussian:
    return Gaussian(torch.zeros_like(like.mean), torch.ones_like(like.std))


def test_who_is_no_negative_of_whom():
    sentences = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    fields = torch.tensor([[1] * 21, [1] * 20 + [2], [1] * 21, [1] * 21])
    batch = SimpleNamespace(caption_sentence=sentences, field_ids=fields)
    close = alike(batch, 0, 0.7)
    assert close.tolist() == [
        [False, True, True, False],
        [True, False, True, False],
        [True, True, False, False],
        [False, False, False, False],
    ]
    assert torch.equal(alike(batch, 1, 0.7), close)  # the groups' texts are all the same
    assert alike(batch, 2, 0.7).nonzero().tolist() == [[0, 2], [2, 0]]  # the second has another last pair


def make_batch(motions: int = 3) -> SimpleNamespace:
    from kinmo_models.data.batches import Texts

    lengths = torch.arange(4, 4 + motions)

    def texts(*shape: int) -> Texts:
        return Texts(torch.randn(9, 5), torch.tensor([2, 3, 4]), torch.randint(3, (motions, *shape)))

    return SimpleNamespace(
        features=torch.randn(int(lengths.sum()), 263),
        lengths=lengths,
        caption=texts(),
        groups=texts(6),
        interactions=texts(15),
        caption_sentence=torch.eye(motions),
        field_ids=torch.arange(21 * motions).view(motions, 21),
    )


SMALL = {
    "width": 8,
    "layers": 1,
    "text_layers": 1,
    "decoder_layers": 1,
    "heads": 2,
    "inner": 16,
    "dropout": 0.0,
}


@pytest.mark.parametrize("levels", ["G", "GJ", "GJI"])
def test_every_level_has_every_term(levels):
    torch.manual_seed(0)
    loss = RetrievalLoss(RetrievalModel(ModelConfig(levels=levels, **SMALL), 5), LossConfig())
    terms = loss(make_batch())
    names = ["G", "GJ", "GJI"][: len(levels)]
    expected = {f"{term}/{level}" for term in ("contrastive", "kl", "latent") for level in names}
    assert set(terms) == expected | {"reconstruction/motion", "reconstruction/text"}
    sum(terms.values()).backward()
    assert all(weight.grad is not None for weight in loss.parameters())


def test_weights_scale_their_terms():
    torch.manual_seed(0)
    model, batch = RetrievalModel(ModelConfig(**SMALL), 5), make_batch()
    found = []
    for config in (LossConfig(), LossConfig(contrastive=0.3, kl=2e-5, latent=5e-5, reconstruction=2.0)):
        torch.manual_seed(1)
        found.append(RetrievalLoss(model, config)(batch))
    factors = {"contrastive": 3, "kl": 2, "latent": 5, "reconstruction": 2}
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value * factors[name.split("/")[0]])


def test_reconstruction_by_hand_and_drawn_latents_expect_the_same():
    torch.manual_seed(0)
    model, batch = RetrievalModel(ModelConfig(**SMALL), 5).eval(), make_batch()
    z_motion, *z_texts = torch.randn(4, 3, 8)
    terms = RetrievalLoss(model, LossConfig())._reconstruction(batch, z_motion, z_texts)

    def far(latents: torch.Tensor) -> float:
        difference = (model.decoder(latents, batch.lengths) - batch.features).abs().detach().double()
        return torch.where(difference < 1, 0.5 * difference**2, difference - 0.5).mean().item()

    assert terms["reconstruction/motion"].item() == pytest.approx(3 * far(z_motion), rel=1e-5)
    assert terms["reconstruction/text"].item() == pytest.approx(sum(map(far, z_texts)), rel=1e-5)
    drawing = RetrievalLoss(model, LossConfig(reconstruct="drawn"))
    with torch.no_grad():
        drawn = [
            drawing._reconstruction(batch, z_motion, z_texts)["reconstruction/drawn"].item()
            for _ in range(600)
        ]
    whole = sum(value.item() for value in terms.values())
    assert np.mean(drawn) == pytest.approx(whole, abs=4 * np.std(drawn) / math.sqrt(600))
