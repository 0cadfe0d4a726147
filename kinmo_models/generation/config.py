"""Settings of the generator: the defaults are `base`, the sizes of MoMask as released."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kinmo_models.data.epochs import DataSettings
from kinmo_models.tokenizer.config import UNIT
from kinmo_models.training.config import TrainingConfig, load_preset, setting


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of both transformers, and which levels of text they know.

    Attributes:
        levels: "G": the caption alone; "GJ": and the six joint-group texts; "GJI": and the fifteen
            interaction texts.
        width: of the layers.
        layers: of each transformer.
        heads: of attention.
        inner: width inside the feed-forward layers.
        token_width: of a motion token's embedding.
        dropout: probability.
    """

    levels: Literal["G", "GJ", "GJI"] = "GJI"
    width: int = setting(384, least=8)
    layers: int = setting(8, least=1)
    heads: int = setting(6, least=1)
    inner: int = setting(1024, least=8)
    token_width: int = setting(512, least=8)
    dropout: float = setting(0.2, least=0, most=0.9)

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is no even multiple of {self.heads} heads")


@dataclass(frozen=True)
class LossConfig:
    """What is hidden from the transformers while they learn.

    Attributes:
        text_drop: probability that a motion is shown without any text; guidance needs it.
        random_token: of the tokens to guess, the share that becomes a random one.
        kept_token: of the others, the share that stays as it is; the rest becomes the mask.
        length: weight of guessing the number of tokens from the caption.
    """

    text_drop: float = setting(0.1, least=0, most=1)
    random_token: float = setting(0.1, least=0, most=1)
    kept_token: float = setting(0.12, least=0, most=1)
    length: float = setting(0.1, least=0)


@dataclass(frozen=True)
class SamplingConfig:
    """How a motion is written; nothing of it is trained, so that all may be changed afterwards.

    Attributes:
        passes: of the base transformer at the levels G, GJ, GJI. Where a level is not asked for, its passes
            go to level G, so that the total stays.
        remask: share of the tokens, the least confident ones, that level GJ and then GJI write anew.
        guidance: how far logits are led from those without text to those with it; 1 is no guidance.
        finer_guidance: how far from those with the caption alone to those with the finer texts; null leads
            from no text to all text in one, by `guidance`.
        residual_guidance: as `guidance`, of the residual transformer.
        temperature: divides the logits.
        top_share: share of the codes, the likeliest ones, that are drawn from.
    """

    passes: tuple[int, int, int] = setting((4, 1, 1), least=1)
    remask: tuple[float, float] = setting((0.5, 0.5), least=0, most=1)
    guidance: float = setting(4.0, least=0)
    finer_guidance: float | None = setting(None, least=0)
    residual_guidance: float = setting(5.0, least=0)
    temperature: float = setting(1.0, least=1e-3)
    top_share: float = setting(0.1, least=1e-4, most=1)


@dataclass(frozen=True)
class GeneratorConfig:
    """All settings of a training run.

    Attributes:
        model: see `ModelConfig`.
        data: see `DataSettings`; `max_frames` is the longest motion that can be written.
        loss: see `LossConfig`.
        sampling: see `SamplingConfig`.
        training: see `TrainingConfig`.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataSettings = field(
        default_factory=lambda: DataSettings(
            batch_size=64, min_frames=40, max_frames=196, crop="units", single_field_drop=0.1
        )
    )
    loss: LossConfig = field(default_factory=LossConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=500,
            learning_rate=2e-4,
            weight_decay=1e-5,
            betas=(0.9, 0.99),
            warmup_steps=2000,
            schedule="multistep",
            milestones=(0.3,),
        )
    )

    def __post_init__(self) -> None:
        check_data(self.data)


def check_data(data: DataSettings) -> None:
    """Refuse batches that tokens cannot be made of.

    Raises:
        ValueError: what is wrong.
    """
    if data.stride != 1:
        raise ValueError("data.stride is not 1, but motion tokens stand for all frames")
    if data.neighbours > 1:
        raise ValueError("data.neighbours is for retrieval: a generator learns from each motion alone")
    if data.max_frames % UNIT:
        raise ValueError(f"data.max_frames is no multiple of {UNIT}, the frames of a motion token")


def load_config(config: str | Path | None = None, sets: Sequence[str] = ()) -> GeneratorConfig:
    """Give the settings of a preset or a YAML file, with `section.key=value` laid over them.

    Args:
        config: "base" (also None), "tiny", or a YAML file of what differs from base.
        sets: see `training.config.resolve`.

    Raises:
        ConfigError: see `training.config.resolve`.
    """
    return load_preset(GeneratorConfig, Path(__file__).parent, config, sets)
