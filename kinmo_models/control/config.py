"""Settings of control: the defaults are `base`, for a generator of MoMask's sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from kinmo_models.data.epochs import DataSettings
from kinmo_models.generation.config import GeneratorConfig, check_data
from kinmo_models.training.config import TrainingConfig, load_preset, setting

HEADS: Final = 4  # of attention in the branch beside the decoder


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of what is not copied from the generator.

    Attributes:
        encoder_width: of the convolutions that read a path.
        encoder_depth: residual blocks at each resolution.
        residual: whether the residual transformer has a branch too.
        feedback: whether the branches are told where the joints of what is written so far are, which takes a
            decoder pass for each pass of a transformer.
        decoder_rounds: how often the embedding of what is written is moved towards the path, each time for a
            decoder pass; 0 leaves it as the tokens say.
        decoder_layers: of the branch that moves it, as wide as the encoder.
    """

    encoder_width: int = setting(384, least=8)
    encoder_depth: int = setting(2, least=1, most=6)
    residual: bool = True
    feedback: bool = True
    decoder_rounds: int = setting(6, least=0, most=20)
    decoder_layers: int = setting(2, least=1)

    def __post_init__(self) -> None:
        if self.encoder_width % (2 * HEADS):
            raise ValueError(f"encoder_width {self.encoder_width} is no even multiple of {HEADS} heads")


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss terms, and what is drawn while control is learned.

    Attributes:
        tokens: of the cross-entropy of hidden tokens.
        path: of the distance to the path (Eq. 6), in metres.
        offset: of how far the branch beside the decoder moves an embedding: mean square, as a share of its
            own.
        rounds: of the branch beside the decoder in a step of training; it may be used in more.
        text_drop: probability that a motion is shown without any text.
        draft: probability of a batch that the base branch is told of a draft of its own, as it is in all
            passes but the first.
    """

    tokens: float = setting(0.5, least=0)
    path: float = setting(5.0, least=0)
    offset: float = setting(0.05, least=0)
    rounds: int = setting(3, least=1, most=20)
    text_drop: float = setting(0.1, least=0, most=1)
    draft: float = setting(0.7, least=0, most=1)


@dataclass(frozen=True)
class ControlConfig:
    """All settings of a training run.

    Attributes:
        model: see `ModelConfig`.
        data: as of a generator.
        loss: see `LossConfig`.
        training: as of a generator, but that the best model is the one that comes nearest to the paths.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataSettings = field(default_factory=lambda: GeneratorConfig().data)
    loss: LossConfig = field(default_factory=LossConfig)
    training: TrainingConfig = field(
        default_factory=lambda: replace(GeneratorConfig().training, best="average_error_m")
    )

    def __post_init__(self) -> None:
        check_data(self.data)


def load_config(config: str | Path | None = None, sets: Sequence[str] = ()) -> ControlConfig:
    """Give the settings of a preset or a YAML file, with `section.key=value` laid over them.

    Args:
        config: "base" (also None), "tiny", or a YAML file of what differs from base.
        sets: see `training.config.resolve`.

    Raises:
        ConfigError: see `training.config.resolve`.
    """
    return load_preset(ControlConfig, Path(__file__).parent, config, sets)
