"""Dropout: how much is dropped, what stays, and that drawings do not hang together."""

from __future__ import annotations

import pytest
import torch

from kinmo_models.layers.dropout import Dropout


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_the_share_dropped_and_the_expectation(probability):
    torch.manual_seed(0)
    out = Dropout(probability)(torch.ones(1000, 1001))
    assert (out == 0).float().mean().item() == pytest.approx(probability, abs=0.004)
    assert out.mean().item() == pytest.approx(1, abs=0.01)
    assert len(out.unique()) == 2


def test_gradients_flow_where_values_stayed():
    torch.manual_seed(0)
    x = torch.randn(64, 33, requires_grad=True)
    out = Dropout(0.3)(x)
    out.sum().backward()
    torch.testing.assert_close(x.grad == 0, out == 0)


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(200_000)) > 0).double()
    for lag in range(1, 17):
        assert abs(torch.corrcoef(torch.stack([kept[lag:], kept[:-lag]]))[0, 1]) < 0.01


def test_nothing_is_dropped_in_evaluation_or_without_probability():
    x = torch.randn(5, 7)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


def test_the_same_seed_drops_the_same():
    x = torch.ones(3, 50)
    layer = Dropout(0.5)
    torch.manual_seed(3)
    first = layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)


def test_impossible_probabilities_are_refused():
    with pytest.raises(ValueError, match="from 0 to below 1"):
        Dropout(1.0)
