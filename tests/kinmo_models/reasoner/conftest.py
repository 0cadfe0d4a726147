"""Texts, a tokenizer and a language model with random weights: what tests of the parts need, no training."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from kinmo_annotate.schema.mirror import mirror_text
from kinmo_annotate.schema.records import NO_MOVEMENT
from kinmo_annotate.schema.skeleton import FIELDS, mirror_field
from kinmo_models.reasoner.config import ModelConfig
from kinmo_models.reasoner.edits import Said
from kinmo_models.reasoner.model import from_scratch
from kinmo_models.reasoner.tokens import TextTokens

TEXTS = (
    "a person waves with the left hand",
    "a person walks forward and raises the right arm",
    "The left arm rises from 0.8 to 1.2 s, and then lowers near the end.",
    "The right leg takes two steps throughout.",
    "The torso and the left arm move closer together and apart.",
    NO_MOVEMENT,
)


@pytest.fixture(scope="session")
def tokens() -> TextTokens:
    return TextTokens.learn([text for text in TEXTS for _ in range(3)], 600)


@pytest.fixture
def model(tokens: TextTokens) -> nn.Module:
    torch.manual_seed(0)
    made = from_scratch(ModelConfig(base=None, width=32, layers=2, heads=2, inner=48), tokens).eval()
    with torch.no_grad():  # so small as they start, embeddings make all tokens equally likely
        for weight in made.parameters():
            weight.mul_(4.0) if weight.ndim > 1 else weight
    return made


@pytest.fixture(scope="session")
def said() -> Callable[..., tuple[Said, Said]]:
    def make(caption: str, **sentences: str) -> tuple[Said, Said]:
        """What is said of a motion, and of its mirror image."""
        fields = dict.fromkeys(FIELDS, NO_MOVEMENT) | sentences
        turned = {mirror_field(name): mirror_text(text) for name, text in fields.items()}
        mirrored = Said(mirror_text(caption), tuple(turned[name] for name in FIELDS))
        return Said(caption, tuple(fields.values())), mirrored

    return make
