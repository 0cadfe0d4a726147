"""Settings of the motion tokenizer: the defaults are `base`, the sizes of MoMask's residual VQ-VAE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kinmo_models.training.config import TrainingConfig, load_preset, setting

UNIT: Final = 4  # frames of a motion token: encoder and decoder halve and double twice


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of encoder, decoder and quantiser.

    Attributes:
        width: of the convolutions.
        depth: residual blocks at each resolution; their dilations are powers of 3, the largest first.
        code_width: numbers of a code.
        levels: of residual quantisation; each says what those before it left over.
        codes: of each level.
        shared_codebook: all levels choose from one codebook.
        dropout: probability, inside the residual blocks.
    """

    width: int = setting(512, least=8)
    depth: int = setting(3, least=1, most=6)
    code_width: int = setting(512, least=2)
    levels: int = setting(6, least=1)
    codes: int = setting(512, least=2, most=32767)
    shared_codebook: bool = False
    dropout: float = setting(0.2, least=0, most=0.9)


@dataclass(frozen=True)
class QuantiserConfig:
    """How codes are learned.

    Attributes:
        level_drop: in training, probability of a batch that finer levels are left out, any number of them
            being as likely, so that the first levels alone say as much as they can.
        decay: of the moving averages that codes are.
        dead_below: a code that is chosen less often than this in a batch, on a moving average, becomes a
            latent of the batch in hand.
        temperature: in training, codes are drawn by their distance over this with Gumbel noise; 0 takes the
            nearest.
    """

    level_drop: float = setting(0.2, least=0, most=1)
    decay: float = setting(0.99, least=0, most=1)
    dead_below: float = setting(1.0, least=0)
    temperature: float = setting(0.5, least=0)


@dataclass(frozen=True)
class DataConfig:
    """How motions become batches.

    Attributes:
        batch_size: windows of a batch, over all processes together.
        window: frames of a window (feature rows, at 20 a second); of shorter motions all.
        mirror: show a window in the mirror half of the time.
    """

    batch_size: int = setting(256, least=1)
    window: int = setting(64, least=UNIT)
    mirror: bool = True

    def __post_init__(self) -> None:
        if self.window % UNIT:
            raise ValueError(f"window {self.window} is no multiple of the {UNIT} frames of a token")


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss terms.

    Attributes:
        reconstruction: of the distance (smooth L1) between normalised features.
        positions: of the same over the joints' positions alone.
        joints: of the distance in metres between joints in the world, summed up from the features; MoMask
            has no such term.
        bones: of the squared distance between directions of bones, the mean over the six kinematic groups, so
            that a nod counts as much as a step; MoMask has no such term, and heads hardly move a joint.
        commitment: of the distance of latents from the codes chosen for them, the mean over the levels.
    """

    reconstruction: float = setting(1.0, least=0)
    positions: float = setting(0.5, least=0)
    joints: float = setting(0.0, least=0)
    bones: float = setting(0.0, least=0)
    commitment: float = setting(0.02, least=0)


@dataclass(frozen=True)
class TokenizerConfig:
    """All settings of a training run.

    Attributes:
        model: see `ModelConfig`.
        quantiser: see `QuantiserConfig`.
        data: see `DataConfig`.
        loss: see `LossConfig`.
        training: see `TrainingConfig`.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    quantiser: QuantiserConfig = field(default_factory=QuantiserConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    # An epoch of MoMask shows every window of every motion, ours those that lie side by side: about 365,000
    # steps on HumanML3D are 50 epochs of one and 1,800 of the other.
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=1800,
            learning_rate=2e-4,
            weight_decay=0.0,
            betas=(0.9, 0.99),
            warmup_steps=2000,
            schedule="multistep",
            milestones=(0.42, 0.69),
            validate_every=20,
            best="joint_error_mm",
        )
    )

    def __post_init__(self) -> None:
        tokens = self.data.batch_size * self.data.window // UNIT
        needed = self.model.codes * max(1.0, 2 * self.quantiser.dead_below)
        if tokens < needed:
            raise ValueError(
                f"a batch of {self.data.batch_size} windows has {tokens} tokens, too few to learn"
                f" {self.model.codes} codes with quantiser.dead_below {self.quantiser.dead_below:g};"
                f" at least {needed:g} are needed"
            )


def load_config(config: str | Path | None = None, sets: Sequence[str] = ()) -> TokenizerConfig:
    """Give the settings of a preset or a YAML file, with `section.key=value` laid over them.

    Args:
        config: "base" (also None), "tiny", or a YAML file of what differs from base.
        sets: see `training.config.resolve`.

    Raises:
        ConfigError: see `training.config.resolve`.
    """
    return load_preset(TokenizerConfig, Path(__file__).parent, config, sets)
