"""A generator with random weights, and motions for it: what tests of its parts need, no training."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from kinmo_models.generation.batches import TokenBatch
from kinmo_models.generation.config import ModelConfig
from kinmo_models.generation.model import PLACES, GeneratorModel
from kinmo_models.generation.sample import Asked

CODES, LEVELS, WIDTH, MOST = 24, 4, 12, 49


@pytest.fixture
def model() -> GeneratorModel:
    torch.manual_seed(0)
    config = ModelConfig(width=32, layers=2, heads=2, inner=48, token_width=16, dropout=0.1)
    made = GeneratorModel(config, text_width=WIDTH, levels=LEVELS, codes=CODES, most=MOST).eval()
    with torch.no_grad():  # so small as they start, embeddings make all tokens equally likely
        for weight in made.parameters():
            weight.mul_(4.0) if weight.ndim > 1 else weight
    return made


@pytest.fixture
def asked() -> Callable[..., Asked]:
    def make(lengths: list[int], seeds: list[int] | None = None, first: int = 0) -> Asked:
        """Motions with texts of their own; motion k of any batch is that of number `first` + k."""
        rows = [
            torch.randn(PLACES[-1], WIDTH, generator=torch.Generator().manual_seed(first + k))
            for k in range(len(lengths))
        ]
        present = torch.ones(len(lengths), PLACES[-1], dtype=torch.bool)
        numbers = seeds if seeds is not None else [first + k for k in range(len(lengths))]
        return Asked(torch.stack(rows), present, torch.tensor(lengths), numbers)

    return make


@pytest.fixture
def batch() -> TokenBatch:
    random = torch.Generator().manual_seed(3)
    lengths = torch.tensor([5, 12, 49, 1])
    count = int(lengths.sum())
    present = torch.rand(4, PLACES[-1], generator=random) < 0.7
    present[:, 0] = True
    return TokenBatch(
        torch.randint(CODES, (count, LEVELS), generator=random),
        lengths,
        torch.randn(4, PLACES[-1], WIDTH, generator=random),
        present,
    )
