"""Settings of the reasoner: the defaults are `base`, a LLaMA 3 model with low-rank adapters (KinMo, 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kinmo_models.training.config import TrainingConfig, load_preset, setting


@dataclass(frozen=True)
class ModelConfig:
    """Which language model is trained; sizes are those of one from scratch.

    Attributes:
        base: a causal language model of transformers by name, folder or GGUF file; null trains a small one of
            the LLaMA architecture from scratch, with a tokenizer made of the dataset's own texts.
        vocabulary: most entries of that tokenizer.
        width: of the layers.
        layers: how many.
        heads: of attention.
        inner: width inside the feed-forward layers.
        dropout: probability, of the attention weights.
    """

    base: str | None = "meta-llama/Llama-3.2-1B-Instruct"
    vocabulary: int = setting(2048, least=400)
    width: int = setting(192, least=8)
    layers: int = setting(4, least=1)
    heads: int = setting(4, least=1)
    inner: int = setting(512, least=8)
    dropout: float = setting(0.0, least=0, most=0.9)

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is no even multiple of {self.heads} heads")


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters on the linear layers of `model.base`; a model from scratch has none.

    Attributes:
        rank: of the adapters; 0 trains all weights of the base, and keeps them all.
        alpha: the adapters' output is multiplied by alpha / rank.
        dropout: probability, of the adapters' input.
    """

    rank: int = setting(16, least=0)
    alpha: float = setting(32.0, least=0)
    dropout: float = setting(0.05, least=0, most=0.9)


@dataclass(frozen=True)
class DataSettings:
    """What an epoch shows: of each motion one text with its answer.

    Attributes:
        batch_size: texts of a batch, over all processes together.
        mirror: show a motion's texts in the mirror half of the time.
        edits: share of the texts that are edits; the others ask for the 21 fields of a caption.
        worded: share of a motion's edits that come from the file of worded edits (`--edits`), where that has
            some of the motion; without a file it has no effect.
        source: what an edit is told of the texts before: "all" 21 fields, or the six "groups" alone.
        pairs: how many of the 15 pair sentences an answer shows in training, drawn anew each time; the six of
            the groups are always there.
        caption_words: more words of a caption or an instruction are not read.
        validation_texts: most motions of the split val that a validation looks at, spread evenly over it.
    """

    batch_size: int = setting(32, least=1)
    mirror: bool = True
    edits: float = setting(0.4, least=0, most=1)
    worded: float = setting(0.5, least=0, most=1)
    source: Literal["groups", "all"] = "all"
    pairs: int = setting(15, least=0, most=15)
    caption_words: int = setting(80, least=8)
    validation_texts: int = setting(256, least=1)


@dataclass(frozen=True)
class SamplingConfig:
    """How answers are written; nothing of it is trained, so that all may be changed afterwards.

    Attributes:
        temperature: 0 takes the likeliest token each time; else it divides the logits, and tokens are drawn.
        sentence_tokens: a sentence that is longer is cut.
    """

    temperature: float = setting(0.0, least=0)
    sentence_tokens: int = setting(72, least=8)


@dataclass(frozen=True)
class ReasonerConfig:
    """All settings of a training run.

    Attributes:
        model: see `ModelConfig`.
        lora: see `LoraConfig`.
        data: see `DataSettings`.
        sampling: see `SamplingConfig`.
        training: see `TrainingConfig`.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    data: DataSettings = field(default_factory=DataSettings)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=3,
            learning_rate=2e-4,
            weight_decay=0.0,
            warmup_steps=100,
            schedule="cosine",
            clip_norm=1.0,
        )
    )


def load_config(config: str | Path | None = None, sets: Sequence[str] = ()) -> ReasonerConfig:
    """Give the settings of a preset or a YAML file, with `section.key=value` laid over them.

    Args:
        config: "base" (also None), "tiny", or a YAML file of what differs from base.
        sets: see `training.config.resolve`.

    Raises:
        ConfigError: see `training.config.resolve`.
    """
    return load_preset(ReasonerConfig, Path(__file__).parent, config, sets)
