"""The networks: what may not change their results."""

from __future__ import annotations

import pytest
import torch

from kinmo_models.evaluator.config import ModelConfig
from kinmo_models.evaluator.networks import EvaluatorNetworks

SMALL = ModelConfig(movement=16, motion=16, text=16, latent=8)


@pytest.fixture
def networks() -> EvaluatorNetworks:
    torch.manual_seed(0)
    return EvaluatorNetworks(SMALL, 6).eval()


def encode(networks: EvaluatorNetworks, *motions: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return networks.encode_motions(torch.cat(motions), torch.tensor([len(one) for one in motions]))


@pytest.mark.parametrize("rows", [4, 16, 40, 192, 196])
def test_a_motion_does_not_depend_on_what_else_is_in_the_batch(networks: EvaluatorNetworks, rows: int):
    motion = torch.randn(rows, 263)
    alone = encode(networks, motion)
    for other in (4, rows, 196):
        batch = encode(networks, torch.randn(other, 263), motion, torch.randn(8, 263))
        torch.testing.assert_close(batch[1:2], alone, atol=1e-6, rtol=0)


def test_contacts_odd_rows_and_what_is_too_long_do_not_count(networks: EvaluatorNetworks):
    motion = torch.randn(203, 263)
    other = motion.clone()
    other[:, 259:] += 1
    other[196:] += 1
    torch.testing.assert_close(encode(networks, other), encode(networks, motion), atol=0, rtol=0)
    torch.testing.assert_close(encode(networks, motion[:43]), encode(networks, motion[:40]), atol=0, rtol=0)
    assert not torch.allclose(encode(networks, motion[:44]), encode(networks, motion[:40]))


def test_a_motion_of_fewer_than_four_rows_is_filled_up(networks: EvaluatorNetworks):
    motion = torch.randn(3, 263)
    filled = torch.cat([motion, torch.zeros(1, 263)])
    torch.testing.assert_close(encode(networks, motion), encode(networks, filled), atol=0, rtol=0)


def test_a_text_does_not_depend_on_what_else_is_in_the_batch(networks: EvaluatorNetworks):
    short, long = torch.randn(3, 21), torch.randn(22, 21)
    with torch.no_grad():
        both = networks.encode_texts(torch.cat([short, long]), torch.tensor([3, 22]))
        alone = networks.encode_texts(short, torch.tensor([3]))
    torch.testing.assert_close(both[:1], alone, atol=1e-6, rtol=0)


def test_every_weight_learns(networks: EvaluatorNetworks):
    networks.train()
    texts = networks.encode_texts(torch.randn(25, 21), torch.tensor([3, 22]))
    motions = networks.encode_motions(torch.randn(60, 263), torch.tensor([40, 20]))
    (texts * motions).sum().backward()
    assert [name for name, p in networks.named_parameters() if p.grad is None or not p.grad.any()] == []
