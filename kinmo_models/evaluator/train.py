"""Train an evaluator on a dataset: `kinmo train evaluator`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kinmo_annotate.schema.records import NOT_DETERMINED
from kinmo_models.data.batches import Batch, MotionBatches
from kinmo_models.data.cache import Stages, stage
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.statistics import Statistics
from kinmo_models.data.tokens import TokenStore
from kinmo_models.evaluator.config import EvaluatorConfig
from kinmo_models.evaluator.loss import EvaluatorLoss
from kinmo_models.evaluator.networks import EvaluatorNetworks
from kinmo_models.evaluator.pools import draw_pools
from kinmo_models.evaluator.words import CaptionWords, WordVectors
from kinmo_models.layers.language import LanguageModel
from kinmo_models.metrics.fidelity import POOL, matching_distance, r_precision
from kinmo_models.training.loop import Outcome, seed_all, train
from kinmo_models.training.pretrained import save_pretrained

if TYPE_CHECKING:
    from accelerate import Accelerator
    from rich.console import Console

KIND: Final = "evaluator"
_TRAIN, _VAL = "train", "val"
_DRAWS: Final = 10  # of pools in a validation


class EvaluatorWork:
    """What the training loop needs of the evaluator (`kinmo_models.training.loop.Work`).

    Attributes:
        module: the networks with their loss.
        config: all settings.
        about: where the data came from, for meta.json.
    """

    def __init__(
        self,
        dataset: Path,
        config: EvaluatorConfig,
        *,
        cache_dir: Path | None = None,
        progress: Stages | None = None,
    ) -> None:
        """Open the data and make the networks.

        Raises:
            DatasetError: the dataset cannot be trained on.
            LanguageModelError: the language model that words are read with is not installed.
        """
        self.config = config
        store = MotionStore.open(dataset, cache_dir, stage("features", progress))
        indices, val = store.select(_TRAIN), store.select(_VAL) if _VAL in store.splits else []
        language = LanguageModel.open()
        self._words = WordVectors.of_captions(captions_of(store, indices), language)
        captions = [NOT_DETERMINED, *captions_of(store, [*indices, *val])]
        sentences = TokenStore.of(captions, language, cache_dir, stage("sentence embeddings", progress))
        texts = CaptionWords(captions, self._words, sentences)
        self._statistics = Statistics.fit(
            store, indices, config.data.mirror, families=True, feat_bias=config.feat_bias
        )
        seed = config.training.seed
        given = (store, texts, self._statistics)
        self._batches = MotionBatches(*given, indices, config.data, seed, train=True)
        self._val = MotionBatches(*given, val, config.data, seed, train=False) if val else None
        seed_all(seed)
        self._networks = EvaluatorNetworks(config.model, self._words.width)
        self.module = EvaluatorLoss(self._networks, config.loss)
        self.about: dict[str, Any] = {
            "kind": KIND,
            **store.facts(),
            "words": {
                "language": language.name,
                "count": len(self._words.vectors),
                "width": self._words.width,
            },
            "parameters": sum(weight.numel() for weight in self._networks.parameters()),
        }

    def steps(self, world: int) -> int:
        """Steps of an epoch."""
        return self._batches.steps(world)

    def epoch(self, number: int, rank: int, world: int) -> Iterator[Batch]:
        """Batches of an epoch for one process."""
        return self._batches.epoch(number, rank, world)

    def validate(self, accelerator: Accelerator) -> dict[str, float]:
        """R-precision and MM-Dist on the split val.

        Pools of 32, fewer where the split is smaller, are drawn ten times, no two captions in one alike
        (`loss.alike_above`); `r_precision` is the mean of top 1, 2 and 3.
        """
        if self._val is None:
            return {}
        encoded: list[list[np.ndarray]] = [[], [], []]
        for batch in self._val.epoch(0):
            latents = self._networks.encode_batch(batch.to(accelerator.device))
            for kept, one in zip(encoded, (*latents, batch.caption_sentence), strict=True):
                kept.append(one.float().cpu().numpy())
        texts, motions, sentences = (np.concatenate(parts) for parts in encoded)
        figures = {"matching_distance": matching_distance(texts, motions)}
        shares = _precision(texts, motions, sentences @ sentences.T > self.config.loss.alike_above)
        figures |= {f"r_precision/{k}": float(share) for k, share in enumerate(shares, 1)}
        return figures | {"r_precision": float(shares.mean())}

    def save(self, folder: Path) -> None:
        """Write weights, config, statistics and the vectors of words."""
        save_pretrained(folder, self._networks, self.config, self._statistics)
        self._words.save(folder)


def train_evaluator(
    dataset: Path,
    out: Path,
    config: EvaluatorConfig,
    *,
    resume: bool = True,
    cache_dir: Path | None = None,
    progress: Stages | None = None,
    console: Console | None = None,
) -> Outcome:
    """Train an evaluator, or go on training it.

    Args:
        dataset: what it learns from, a folder that `kinmo annotate run` wrote.
        out: the RUN folder.
        config: sizes, data, loss and training.
        resume: False begins over.
        cache_dir: root of the caches; None is the user's.
        progress: told how the preparation goes.
        console: where the progress of the training goes; None for silence.

    Raises:
        DatasetError: the dataset cannot be trained on.
        LanguageModelError: the language model that words are read with is not installed.
        TrainingError: see `training.loop.train`.
    """
    work = EvaluatorWork(dataset, config, cache_dir=cache_dir, progress=progress)
    return train(work, config.training, out, resume=resume, console=console)


def captions_of(store: MotionStore, indices: list[int]) -> list[str]:
    """List all captions of motions and of their mirror images."""
    said = [store.texts[index] for index in indices]
    return [one.text for texts in said for one in (*texts.captions, *texts.mirrored_captions)]


def _precision(texts: np.ndarray, motions: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """R-precision for the first one, two and three, the mean over ten draws of pools."""
    size = min(POOL, len(texts))
    found = []
    for seed in range(_DRAWS):
        pools = draw_pools(alike, size, np.random.default_rng(seed)).ravel()
        # where alike captions leave no full pool, one of any motions has to do
        places = pools if len(pools) else np.random.default_rng(seed).permutation(len(texts))[:size]
        found.append(r_precision(texts[places], motions[places], size))
    return np.mean(found, axis=0)
