"""Settings of the evaluator: the defaults are `base`, T2M's sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kinmo_models.data.epochs import DataSettings
from kinmo_models.training.config import TrainingConfig, load_preset, setting


@dataclass(frozen=True)
class ModelConfig:
    """Sizes.

    Attributes:
        movement: width of the movement encoder and of its tokens.
        motion: width of the GRU over a motion's tokens.
        text: width of the GRU over a text's words.
        latent: numbers of a latent.
        dropout: probability, in the movement encoder.
    """

    movement: int = setting(512, least=8)
    motion: int = setting(1024, least=8)
    text: int = setting(512, least=8)
    latent: int = setting(512, least=8)
    dropout: float = setting(0.2, least=0, most=0.9)


@dataclass(frozen=True)
class LossConfig:
    """The contrastive loss.

    Attributes:
        margin: Euclidean distance from which a motion and the text of another no longer repel each other.
        alike_above: motions whose captions' sentence embeddings have a cosine similarity above this are no
            negatives of each other.
    """

    margin: float = setting(10.0, least=0)
    alike_above: float = setting(0.95, least=-1, most=1)


@dataclass(frozen=True)
class EvaluatorConfig:
    """All settings of a training run.

    Attributes:
        feat_bias: divides the deviations of root and contacts, which gives them more weight (T2M).
        model: see `ModelConfig`.
        data: see `DataSettings`.
        loss: see `LossConfig`.
        training: see `TrainingConfig`.
    """

    feat_bias: float = setting(5.0, least=1)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataSettings = field(
        default_factory=lambda: DataSettings(min_frames=40, max_frames=196, crop="units")
    )
    loss: LossConfig = field(default_factory=LossConfig)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=300, weight_decay=0.0, clip_norm=0.5, best="r_precision", best_mode="max"
        )
    )

    def __post_init__(self) -> None:
        if self.data.crop != "units" or self.data.stride != 1:
            raise ValueError(
                "the evaluator reads motions in units of 4 rows: data.crop is units, data.stride 1"
            )


def load_config(config: str | Path | None = None, sets: Sequence[str] = ()) -> EvaluatorConfig:
    """Give the settings of a preset or a YAML file, with `section.key=value` laid over them.

    Args:
        config: "base" (also None), "tiny", or a YAML file of what differs from base.
        sets: see `training.config.resolve`.

    Raises:
        ConfigError: see `training.config.resolve`.
    """
    return load_preset(EvaluatorConfig, Path(__file__).parent, config, sets)
