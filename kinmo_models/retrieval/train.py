"""Train the retrieval model on a dataset: `kinmo train retrieval`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kinmo_models.data.batches import Batch, MotionBatches
from kinmo_models.data.cache import Stages, stage
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.statistics import Statistics
from kinmo_models.data.tokens import TokenStore
from kinmo_models.layers.language import DEFAULT_NAME, LanguageModel
from kinmo_models.metrics.ranking import ranking, ranks
from kinmo_models.retrieval.config import RetrievalConfig
from kinmo_models.retrieval.loss import RetrievalLoss
from kinmo_models.retrieval.model import RetrievalModel
from kinmo_models.retrieval.retriever import KIND
from kinmo_models.training.loop import Outcome, seed_all, train
from kinmo_models.training.pretrained import save_pretrained

if TYPE_CHECKING:
    from accelerate import Accelerator
    from rich.console import Console

TRAIN, VAL = "train", "val"


class RetrievalWork:
    """What the training loop needs of retrieval (`kinmo_models.training.loop.Work`).

    Attributes:
        module: the model with its losses.
        config: all settings.
        about: where the data came from, for meta.json.
    """

    def __init__(
        self,
        dataset: Path,
        config: RetrievalConfig,
        *,
        cache_dir: Path | None = None,
        progress: Stages | None = None,
    ) -> None:
        """Open the data and make the model.

        Raises:
            DatasetError: the dataset cannot be trained on.
            LanguageModelError: the language model cannot be opened.
        """
        self.config = config
        store = MotionStore.open(dataset, cache_dir, stage("features", progress))
        indices = store.select(TRAIN)
        known = [*indices, *(store.select(VAL) if VAL in store.splits else [])]
        language = LanguageModel.open(config.language)
        texts = store.distinct_texts(known, mirrored=config.data.mirror)
        tokens = TokenStore.of(texts, language, cache_dir, stage("token features", progress))
        sentences = _sentence_store(store, known, language, cache_dir)
        self._statistics = Statistics.fit(store, indices, config.data.mirror)
        seed = config.training.seed

        def batches(chosen: list[int], train: bool) -> MotionBatches:
            return MotionBatches(store, tokens, self._statistics, chosen, config.data, seed, train, sentences)

        self._batches = batches(indices, train=True)
        self._val = batches(store.select(VAL), train=False) if VAL in store.splits else None
        seed_all(seed)
        self._model = RetrievalModel(config.model, tokens.width)
        self.module = RetrievalLoss(self._model, config.loss)
        self.about: dict[str, Any] = {
            "kind": KIND,
            **store.facts(),
            "language": {"name": language.name, "fingerprint": language.fingerprint, "width": tokens.width},
            "parameters": sum(weight.numel() for weight in self._model.parameters()),
        }

    def steps(self, world: int) -> int:
        """Steps of an epoch."""
        return self._batches.steps(world)

    def epoch(self, number: int, rank: int, world: int) -> Iterator[Batch]:
        """Batches of an epoch for one process."""
        return self._batches.epoch(number, rank, world)

    def validate(self, accelerator: Accelerator) -> dict[str, float]:
        """Mean of R@1, 2, 3, 5 and 10 over both directions on the split val, per level and over the levels.

        Texts of the finer levels are those of the annotation. Figures of chance: see the docs.
        """
        if self._val is None:
            return {}
        motions, texts = [], []
        for batch in self._val.epoch(0):
            motion, levels = self._model.encode_batch(batch.to(accelerator.device))
            motions.append(_unit(motion.mean))
            texts.append([_unit(level.mean) for level in levels])
        everyone = np.concatenate(motions)
        figures = {}
        for level, parts in zip(self._model.levels, zip(*texts, strict=True), strict=True):
            similarity = np.concatenate(parts) @ everyone.T
            recalls = [ranking(ranks(one)).recall for one in (similarity, similarity.T)]
            figures[f"recall/{level}"] = float(np.mean([list(one.values()) for one in recalls]))
        return figures | {"recall": float(np.mean(list(figures.values())))}

    def save(self, folder: Path) -> None:
        """Write weights, config and statistics."""
        save_pretrained(folder, self._model, self.config, self._statistics)


def train_retrieval(
    dataset: Path,
    out: Path,
    config: RetrievalConfig,
    *,
    resume: bool = True,
    cache_dir: Path | None = None,
    progress: Stages | None = None,
    console: Console | None = None,
) -> Outcome:
    """Train a retrieval model, or go on training it.

    Args:
        dataset: the folder that `kinmo annotate run` wrote.
        out: the RUN folder.
        config: all settings.
        resume: False begins over.
        cache_dir: root of the caches; None is the user's.
        progress: told how the preparation goes.
        console: where the progress of the training goes; None for silence.

    Raises:
        DatasetError: the dataset cannot be trained on.
        LanguageModelError: the language model cannot be opened.
        TrainingError: see `training.loop.train`.
    """
    work = RetrievalWork(dataset, config, cache_dir=cache_dir, progress=progress)
    return train(work, config.training, out, resume=resume, console=console)


def _sentence_store(
    store: MotionStore, indices: list[int], language: LanguageModel, cache_dir: Path | None
) -> TokenStore | None:
    """Open sentence embeddings of the captions; None where the language model's own are such.

    Means of token features of RoBERTa or DistilBERT are nearly all alike; whether captions are is judged by
    the sentence encoder that comes with KinMo, whatever the language model (TMR has one for it, too).
    """
    if language.name == DEFAULT_NAME:
        return None
    texts = [store.texts[index] for index in indices]
    captions = [one.text for said in texts for one in (*said.captions, *said.mirrored_captions)]
    return TokenStore.of(captions, LanguageModel.open(), cache_dir)


def _unit(latents: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(latents.float(), dim=1).cpu().numpy()
