"""Train the reasoner on a dataset: `kinmo train reasoner`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinmo_annotate.schema.shards import sha256_of
from kinmo_models.data.cache import Stages, stage
from kinmo_models.data.motions import MotionStore
from kinmo_models.reasoner.config import ReasonerConfig
from kinmo_models.reasoner.data import TextBatch, TextBatches, Texts
from kinmo_models.reasoner.model import (
    ReasonerLoss,
    answer_loss,
    from_scratch,
    open_base,
    save_model,
    with_adapters,
)
from kinmo_models.reasoner.reasoner import KIND
from kinmo_models.reasoner.tokens import TextTokens
from kinmo_models.reasoner.worded import read_edits
from kinmo_models.training.config import to_yaml
from kinmo_models.training.errors import ConfigError
from kinmo_models.training.folder import CONFIG
from kinmo_models.training.loop import Outcome, seed_all, train

if TYPE_CHECKING:
    from accelerate import Accelerator
    from rich.console import Console
    from torch import nn

TRAIN, VAL = "train", "val"


class ReasonerWork:
    """What the training loop needs of the reasoner (`kinmo_models.training.work.Work`).

    Attributes:
        module: the language model with its loss.
        config: all settings.
        about: where the data came from, for meta.json.
    """

    def __init__(
        self,
        dataset: Path,
        config: ReasonerConfig,
        *,
        edits: Path | None = None,
        cache_dir: Path | None = None,
        progress: Stages | None = None,
    ) -> None:
        """Read the texts, and make or open the language model.

        Raises:
            DatasetError: the dataset cannot be trained on, or the file of edits is not of it.
            TrainingError: the base cannot be opened, peft is not installed, or the settings leave no edits.
        """
        self.config = config
        if edits is not None and not config.data.edits:
            raise ConfigError(
                "data.edits", "is 0, and worded edits are given", "Set it, or leave --edits out."
            )
        store = MotionStore.open(dataset, cache_dir, stage("features", progress))
        words, seed = config.data.caption_words, config.training.seed
        texts = Texts(store, TRAIN, words)
        worded = {} if edits is None else read_edits(edits, texts, words)
        seed_all(seed)
        self._model, self._tokens = _model_of(config, texts)
        self.module = ReasonerLoss(self._model)
        self._batches = TextBatches(texts, self._tokens, config.data, seed, worded)
        self._val = None
        if VAL in store.splits:
            self._val = TextBatches(Texts(store, VAL, words), self._tokens, config.data, seed)
        weights = list(self._model.parameters())
        self.about: dict[str, Any] = {
            "kind": KIND,
            **store.facts(),
            **({} if edits is None else {"edits": str(edits), "edits_fingerprint": sha256_of(edits)[:12]}),
            "base": config.model.base,
            "parameters": sum(weight.numel() for weight in weights),
            "trained_parameters": sum(weight.numel() for weight in weights if weight.requires_grad),
        }

    def steps(self, world: int) -> int:
        """Steps of an epoch."""
        return self._batches.steps(world)

    def epoch(self, number: int, rank: int, world: int) -> Iterator[TextBatch]:
        """Batches of an epoch for one process."""
        return self._batches.epoch(number, rank, world)

    def validate(self, accelerator: Accelerator) -> dict[str, float]:
        """Cross-entropy on the split val, a token: of captions' 21 fields, of edits, and their mean.

        The edits are the same ones each time.
        """
        if self._val is None:
            return {}
        figures: dict[str, float] = {}
        for name in ("caption", "edit") if self.config.data.edits else ("caption",):
            total = count = 0.0
            for batch in self._val.all_of(name):
                added, learned = answer_loss(self._model, batch.to(accelerator.device))
                total, count = total + float(added), count + float(learned)
            if count:
                figures[name] = total / count
        return {"loss": sum(figures.values()) / len(figures)} | figures

    def save(self, folder: Path) -> None:
        """Write weights or adapters, tokenizer and config."""
        save_model(self._model, folder)
        self._tokens.save(folder)
        (folder / CONFIG).write_text(to_yaml(self.config), "utf-8")


def _model_of(config: ReasonerConfig, texts: Texts) -> tuple[nn.Module, TextTokens]:
    """Make or open the language model that is trained, and its tokenizer."""
    base = config.model.base
    if base is None:
        tokens = TextTokens.learn(texts.all_texts(), config.model.vocabulary)
        return from_scratch(config.model, tokens), tokens
    model, tokens = open_base(base)
    return (with_adapters(model, config.lora) if config.lora.rank else model), tokens


def train_reasoner(
    dataset: Path,
    out: Path,
    config: ReasonerConfig,
    *,
    edits: Path | None = None,
    resume: bool = True,
    cache_dir: Path | None = None,
    progress: Stages | None = None,
    console: Console | None = None,
) -> Outcome:
    """Train a reasoner, or go on training it.

    Args:
        dataset: annotated motions with captions; only their texts are read.
        out: the RUN folder.
        config: all settings.
        edits: worded edits that join the drawn ones (`kinmo annotate edits`).
        resume: False begins over.
        cache_dir: where the dataset is kept between runs; None is the user's cache.
        progress: told of the preparation.
        console: shows losses and time left; None for silence.

    Raises:
        DatasetError: the dataset cannot be trained on, or the file of edits is not of it.
        TrainingError: the base cannot be opened; or see `training.loop.train`.
    """
    work = ReasonerWork(dataset, config, edits=edits, cache_dir=cache_dir, progress=progress)
    return train(work, config.training, out, resume=resume, console=console)
