"""A generator with random weights over made-up tokens: what tests of edits need, no training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pytest
import torch

from kinmo_annotate.schema.features import joints_to_features
from kinmo_models.generation.config import GeneratorConfig, ModelConfig
from kinmo_models.generation.generator import Generator
from kinmo_models.generation.model import PLACES, GeneratorModel

CODES, LEVELS, WIDTH, MOST = 24, 3, 12, 20
LEFT_WRIST_Y = 4 + 3 * 19 + 1  # column of the features


class MadeUpCoder:
    """Tokens of a motion are the size of its rows; they decode to the mean of all rows, a little moved."""

    levels, codes, unit = LEVELS, CODES, 4

    def __init__(self, mean: np.ndarray) -> None:
        self._mean = mean

    def encode(self, features: Sequence[np.ndarray]) -> list[np.ndarray]:
        found = []
        for rows in features:
            count = len(rows) // 4
            sizes = np.abs(rows[: count * 4].reshape(count, -1)).sum(1)
            found.append((sizes[:, None] * [1, 7, 31] % CODES).astype(np.int16))
        return found

    def decode(self, tokens: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [(self._mean + self._moved(one)).astype(np.float32) for one in tokens]

    def _moved(self, tokens: np.ndarray) -> np.ndarray:
        """Smooth over the tokens, as what convolutions decode."""
        at = np.arange(len(tokens) * 4) / 4 - 0.375
        size = np.interp(at, np.arange(len(tokens)), tokens.sum(1) / CODES)
        return 0.01 * size[:, None] * np.sin(np.arange(263))


class MadeUpText:
    """Latents drawn from the text."""

    width = WIDTH

    def encode(self, captions: Sequence[str], fields: Sequence[Sequence[str]]) -> np.ndarray:
        rows = []
        for caption, rest in zip(captions, fields, strict=True):
            seeds = [crc32(text.encode()) for text in (caption, *rest)]
            rows.append([np.random.default_rng(seed).standard_normal(WIDTH) for seed in seeds])
        return np.array(rows, np.float32)


class SmallGenerator(Generator):
    """The real thing, but for its tokenizer and its text encoder."""

    def __init__(self, mean: np.ndarray) -> None:
        torch.manual_seed(0)
        self.config = GeneratorConfig()
        self.tokenizer = MadeUpCoder(mean)  # type: ignore[assignment]
        self.text = MadeUpText()  # type: ignore[assignment]
        sizes = ModelConfig(width=32, layers=2, heads=2, inner=48, token_width=16, dropout=0.1)
        model = GeneratorModel(sizes, text_width=WIDTH, levels=LEVELS, codes=CODES, most=MOST)
        with torch.no_grad():  # so small as they start, embeddings make all tokens equally likely
            for weight in model.parameters():
                weight.mul_(4.0 if weight.ndim > 1 else 1.0)
        self.model, self._device, self._most = model.eval(), "cpu", MOST
        self.levels, self.most_seconds = model.levels, MOST * 0.2
        assert model.places == PLACES[-1]


@pytest.fixture
def rows(arm_motion: Callable[[int], np.ndarray]) -> Callable[..., np.ndarray]:
    """Give so many rows of features of a body that lifts an arm and lowers it, over and over."""

    def make(count: int, number: int = 0) -> np.ndarray:
        joints = arm_motion(number)
        return joints_to_features(np.concatenate([joints] * (count // len(joints) + 2))[: count + 1])

    return make


@pytest.fixture
def generator(rows: Callable[..., np.ndarray]) -> SmallGenerator:
    return SmallGenerator(rows(40).mean(0))


@pytest.fixture
def retriever() -> SimpleNamespace:
    """One that finds a motion more like any text the more its left arm is up."""

    def encode(features: Sequence[np.ndarray]) -> np.ndarray:
        return np.array([[one[:, LEFT_WRIST_Y].mean()] for one in features])

    return SimpleNamespace(
        levels=("G", "GJ", "GJI"),
        encode_features=encode,
        encode_texts=lambda captions, fields, level: np.ones((1, 1)),
    )
