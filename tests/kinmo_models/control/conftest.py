"""A generator and a tokenizer with random weights, a branch for them, and paths: no training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kinmo_annotate.schema.features import NUM_FEATURES
from kinmo_models.control.config import ModelConfig
from kinmo_models.control.model import ControlModel
from kinmo_models.control.paths import JointPath
from kinmo_models.data.statistics import Statistics
from kinmo_models.generation.config import ModelConfig as GeneratorConfig
from kinmo_models.generation.model import PLACES, GeneratorModel
from kinmo_models.generation.sample import Asked
from kinmo_models.tokenizer.coder import Coder
from kinmo_models.tokenizer.config import ModelConfig as TokenizerSizes
from kinmo_models.tokenizer.config import QuantiserConfig
from kinmo_models.tokenizer.model import TokenizerModel

CODES, LEVELS, WIDTH = 16, 3, 12


@pytest.fixture
def coder() -> Coder:
    torch.manual_seed(1)
    sizes = TokenizerSizes(width=16, code_width=8, depth=1, levels=LEVELS, codes=CODES, dropout=0.0)
    model = TokenizerModel(sizes, QuantiserConfig(temperature=0))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    model.train().quantise(model.encoder(torch.randn(8, 64, NUM_FEATURES)))
    model.requires_grad_(False)
    scale = np.full(NUM_FEATURES, 0.05, np.float32)
    return Coder(model.eval(), Statistics(np.zeros(NUM_FEATURES, np.float32), scale), "cpu")


@pytest.fixture
def generator() -> GeneratorModel:
    torch.manual_seed(0)
    config = GeneratorConfig(width=32, layers=2, heads=2, inner=48, token_width=16, dropout=0.1)
    made = GeneratorModel(config, text_width=WIDTH, levels=LEVELS, codes=CODES, most=49).eval()
    with torch.no_grad():  # so small as they start, embeddings make all tokens equally likely
        for weight in made.parameters():
            weight.mul_(4.0) if weight.ndim > 1 else weight
    return made


@pytest.fixture
def branches(generator: GeneratorModel, coder: Coder) -> ControlModel:
    sizes = ModelConfig(encoder_width=16, encoder_depth=1, decoder_layers=1)
    return ControlModel(sizes, generator, coder.width).eval()


@pytest.fixture
def asked() -> Asked:
    random = torch.Generator().manual_seed(5)
    latents = torch.randn(2, PLACES[-1], WIDTH, generator=random)
    return Asked(latents, torch.ones(2, PLACES[-1], dtype=torch.bool), torch.tensor([6, 4]), [3, 4])


@pytest.fixture
def path() -> Callable[..., JointPath]:
    def make(frames: int, *which: str) -> JointPath:
        """Walk forward at 1 m/s, with the joints at made-up heights."""
        joints = np.zeros((frames, 22, 3), np.float32)
        joints[..., 1] = np.linspace(0.1, 1.7, 22)
        joints[..., 2] = np.arange(frames)[:, None] / 20
        return JointPath.of(joints, which)

    return make
