"""Train a motion tokenizer on a dataset: `kinmo train tokenizer`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kinmo_models.data.cache import Stages, stage
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.statistics import Statistics
from kinmo_models.data.windows import WindowBatches, Windows
from kinmo_models.tokenizer.coder import Coder
from kinmo_models.tokenizer.config import UNIT, TokenizerConfig
from kinmo_models.tokenizer.evaluate import measure, rebuild
from kinmo_models.tokenizer.loss import TokenizerLoss
from kinmo_models.tokenizer.model import TokenizerModel
from kinmo_models.tokenizer.tokenizer import KIND
from kinmo_models.training.distributed import open_processes
from kinmo_models.training.loop import Outcome, seed_all, train
from kinmo_models.training.pretrained import save_pretrained

if TYPE_CHECKING:
    from accelerate import Accelerator
    from rich.console import Console

TRAIN, VAL = "train", "val"
_FEAT_BIAS: Final = 5.0  # MoMask: root and contacts weigh five times as much


class TokenizerWork:
    """What the training loop needs of the tokenizer (`kinmo_models.training.loop.Work`).

    Attributes:
        module: the model with its losses.
        config: all settings.
        about: where the data came from, for meta.json.
    """

    def __init__(
        self,
        dataset: Path,
        config: TokenizerConfig,
        *,
        cache_dir: Path | None = None,
        progress: Stages | None = None,
    ) -> None:
        """Open the data and make the model.

        Raises:
            DatasetError: the dataset cannot be trained on.
        """
        self.config = config
        self._store = store = MotionStore.open(dataset, cache_dir, stage("features", progress))
        indices = store.select(TRAIN)
        self._val = store.select(VAL) if VAL in store.splits else []
        data, seed = config.data, config.training.seed
        self._statistics = Statistics.fit(store, indices, data.mirror, families=True, feat_bias=_FEAT_BIAS)
        self._batches = WindowBatches(
            store,
            self._statistics,
            indices,
            batch_size=data.batch_size,
            window=data.window,
            unit=UNIT,
            mirror=data.mirror,
            seed=seed,
        )
        open_processes()  # the quantiser asks once, when it is made, whether there are others
        seed_all(seed)
        self._model = TokenizerModel(config.model, config.quantiser)
        self.module = TokenizerLoss(self._model, config.loss, config.quantiser.level_drop, self._statistics)
        self.about: dict[str, Any] = {
            "kind": KIND,
            **store.facts(),
            "parameters": sum(weight.numel() for weight in self._model.parameters()),
            "windows": self._batches.count,
        }

    def steps(self, world: int) -> int:
        """Steps of an epoch."""
        return self._batches.steps(world)

    def epoch(self, number: int, rank: int, world: int) -> Iterator[Windows]:
        """Batches of an epoch for one process."""
        return self._batches.epoch(number, rank, world)

    def validate(self, accelerator: Accelerator) -> dict[str, float]:
        """Errors of whole motions of the split val, and the perplexity of each level, from 1.

        None before the first step: the first codes come from motions of the split train.
        """
        if not self._val or not self._model.begun:
            return {}
        coder = Coder(self._model, self._statistics, accelerator.device)
        found = measure(coder, rebuild(coder, [self._store.features(index) for index in self._val]))
        return {
            "joint_error_mm": found.joint_error_mm,
            "root_aligned_error_mm": found.root_aligned_error_mm,
            "reconstruction": found.reconstruction,
            **{f"perplexity/{level}": value for level, value in enumerate(found.perplexity, 1)},
        }

    def save(self, folder: Path) -> None:
        """Write weights, config and statistics."""
        save_pretrained(folder, self._model, self.config, self._statistics)


def train_tokenizer(
    dataset: Path,
    out: Path,
    config: TokenizerConfig,
    *,
    resume: bool = True,
    cache_dir: Path | None = None,
    progress: Stages | None = None,
    console: Console | None = None,
) -> Outcome:
    """Train a tokenizer, or go on training it.

    Args:
        dataset: annotated motions; their texts are not read.
        out: the RUN folder.
        config: all settings.
        resume: False begins over.
        cache_dir: where features are kept between runs; None is the user's cache.
        progress: told how many motions' features are computed.
        console: shows losses and time left; None for silence.

    Raises:
        DatasetError: the dataset cannot be trained on.
        TrainingError: see `training.loop.train`.
    """
    work = TokenizerWork(dataset, config, cache_dir=cache_dir, progress=progress)
    return train(work, config.training, out, resume=resume, console=console)
