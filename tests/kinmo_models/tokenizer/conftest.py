"""A very small tokenizer, trained on made-up motions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kinmo_models.tokenizer.config import ModelConfig, QuantiserConfig, TokenizerConfig, load_config
from kinmo_models.tokenizer.model import TokenizerModel
from kinmo_models.tokenizer.train import train_tokenizer

SMALL = (
    "model.width=16", "model.code_width=8", "model.depth=2", "model.levels=3", "model.codes=8",
    "data.batch_size=4", "data.window=16", "training.epochs=2",
)  # fmt: skip


@pytest.fixture
def small() -> Callable[..., TokenizerConfig]:
    """Give the settings of a very small model, with others laid over them."""
    return lambda *sets: load_config("tiny", [*SMALL, *sets])


@pytest.fixture
def run(make_dataset: Callable[..., Path], small: Callable[..., TokenizerConfig], tmp_path: Path) -> Path:
    """A model trained for two epochs."""
    train_tokenizer(make_dataset(6), tmp_path / "run", small(), cache_dir=tmp_path / "cache")
    return tmp_path / "run"


@pytest.fixture
def begun() -> Callable[..., TokenizerModel]:
    """Make a model as if it had been trained: no weight is 0, all levels have their codes.

    Fresh from its start residual blocks say nothing, and what they do with padding would not be seen.
    """

    def make(sizes: ModelConfig, quantiser: QuantiserConfig) -> TokenizerModel:
        torch.manual_seed(0)
        model = TokenizerModel(sizes, quantiser)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.03 * torch.randn_like(weight))
        model.train().quantise(model.encoder(torch.randn(8, 64, 263)))
        return model.eval()

    return make
