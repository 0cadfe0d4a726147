"""Settings of the retrieval model: the defaults are `base`, the sizes of paper and TMR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kinmo_models.data.epochs import DataSettings
from kinmo_models.training.config import TrainingConfig, load_preset, setting


@dataclass(frozen=True)
class ModelConfig:
    """Sizes, and which levels of text there are.

    Attributes:
        levels: "G": the global caption alone (TMR); "GJ": and the six joint-group texts; "GJI": and the
            fifteen interaction texts.
        cross_attention: finer levels ask coarser ones (KinMo, Eq. 4).
        width: of latents and layers.
        layers: of the motion encoder.
        text_layers: of each text encoder.
        decoder_layers: of the decoder.
        pooled: texts are encoded from the mean of their token features as well; for a language model that is
            a sentence encoder.
        normed_tokens: the token features of a text are normalised, each by itself, before its transformer.
            Those of MiniLM are small beside the encodings of their positions.
        pooled_frames: motions are encoded from the mean and the largest of what each frame says by itself as
            well.
        heads: of attention.
        inner: width inside the feed-forward layers.
        dropout: probability.
    """

    levels: Literal["G", "GJ", "GJI"] = "GJI"
    cross_attention: bool = True
    width: int = setting(256, least=8)
    layers: int = setting(6, least=1)
    text_layers: int = setting(6, least=1)
    decoder_layers: int = setting(6, least=1)
    pooled: bool = False
    normed_tokens: bool = False
    pooled_frames: bool = False
    heads: int = setting(4, least=1)
    inner: int = setting(1024, least=8)
    dropout: float = setting(0.1, least=0, most=0.9)

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is no even multiple of {self.heads} heads")


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss terms, each summed over the levels.

    Attributes:
        contrastive: of InfoNCE.
        temperature: of InfoNCE.
        kl: of the four Kullback-Leibler divergences.
        latent: of the distance between a motion's latent and its text's.
        reconstruction: of the distance between the motion and what is decoded from the latents.
        reconstruct: of each motion "all" latents are decoded, its own and those of its texts at all levels;
            or one "drawn", which costs a fraction and has the same expectation.
        alike_above: motions whose captions' sentence embeddings have a cosine similarity above this (and, at
            finer levels, the same finer texts) are no negatives of each other.
    """

    contrastive: float = setting(0.1, least=0)
    temperature: float = setting(0.1, least=1e-4)
    kl: float = setting(1e-5, least=0)
    latent: float = setting(1e-5, least=0)
    reconstruction: float = setting(1.0, least=0)
    reconstruct: Literal["all", "drawn"] = "all"
    alike_above: float = setting(0.6, least=-1, most=1)


@dataclass(frozen=True)
class RetrievalConfig:
    """All settings of a training run.

    Attributes:
        language: the frozen language model that gives token features: roberta-base or distilbert-base-uncased
            as in the paper, or null for the all-MiniLM-L6-v2 that comes with KinMo.
        model: see `ModelConfig`.
        data: see `DataSettings`.
        loss: see `LossConfig`.
        training: see `TrainingConfig`.
    """

    language: str | None = None
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataSettings = field(default_factory=DataSettings)
    loss: LossConfig = field(default_factory=LossConfig)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(epochs=500, best="recall", best_mode="max")
    )


def load_config(config: str | Path | None = None, sets: Sequence[str] = ()) -> RetrievalConfig:
    """Give the settings of a preset or a YAML file, with `section.key=value` laid over them.

    Args:
        config: "base" (also None), "tiny", or a YAML file of what differs from base.
        sets: see `training.config.resolve`.

    Raises:
        ConfigError: see `training.config.resolve`.
    """
    return load_preset(RetrievalConfig, Path(__file__).parent, config, sets)
