"""Train the generator on a dataset: `kinmo train generator`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors.torch import save_file

from kinmo_models.data.cache import Stages, stage
from kinmo_models.data.motions import MotionStore
from kinmo_models.generation.batches import TokenBatch, TokenBatches
from kinmo_models.generation.conditions import ConditionStore, TextEncoder, open_text_encoder
from kinmo_models.generation.config import GeneratorConfig
from kinmo_models.generation.generator import KIND, TEXT, TOKENIZER
from kinmo_models.generation.loss import GenerationLoss, base_terms, residual_terms, text_at
from kinmo_models.generation.masking import cosine_share, lowest, owners
from kinmo_models.generation.model import LEVELS, GeneratorModel
from kinmo_models.tokenizer.config import UNIT
from kinmo_models.tokenizer.tokenizer import Tokenizer
from kinmo_models.tokenizer.tokens import TokenisedMotions
from kinmo_models.training.checkpoint import WEIGHTS, resolve_model
from kinmo_models.training.config import to_yaml
from kinmo_models.training.errors import ConfigError
from kinmo_models.training.folder import CONFIG
from kinmo_models.training.loop import Outcome, seed_all, train
from kinmo_models.training.pretrained import copy_model

if TYPE_CHECKING:
    from accelerate import Accelerator
    from rich.console import Console

_TRAIN, _VAL = "train", "val"
_VAL_SEED: Final = 20  # of the tokens that are hidden in validation: the same ones each time


@dataclass(frozen=True)
class Parts:
    """The trained models that a generator stands on.

    Attributes:
        tokenizer: folder of a tokenizer, which `kinmo train tokenizer` wrote.
        text: folder of a retrieval model (HTMA); None for a plain sentence encoder.
    """

    tokenizer: Path
    text: Path | None


class GeneratorWork:
    """What the training loop needs of generation (`kinmo_models.training.work.Work`).

    Attributes:
        module: the model with its losses.
        config: all settings.
        about: where the data came from, for meta.json.
    """

    def __init__(
        self,
        dataset: Path,
        parts: Parts,
        config: GeneratorConfig,
        *,
        cache_dir: Path | None = None,
        progress: Stages | None = None,
    ) -> None:
        """Open the data, tokenise it and encode its texts, and make the model.

        Raises:
            DatasetError: the dataset cannot be trained on.
            TrainingError: tokenizer or text encoder cannot be opened.
            LanguageModelError: the language model cannot be opened.
        """
        self.config, self._tokenizer_folder = config, resolve_model(parts.tokenizer)
        store = MotionStore.open(dataset, cache_dir, stage("features", progress))
        tokenizer = Tokenizer.from_pretrained(self._tokenizer_folder)
        self._text = open_text_encoder(parts.text and resolve_model(parts.text), cache_dir=cache_dir)
        _check_levels(config, self._text)
        tokens = TokenisedMotions.of(store, tokenizer, cache_dir, stage("motion tokens", progress))
        conditions = ConditionStore.of(store, self._text, cache_dir, stage("text latents", progress))
        seed = config.training.seed
        seed_all(seed)
        self._model = GeneratorModel(
            config.model,
            text_width=self._text.width,
            levels=tokenizer.levels,
            codes=tokenizer.codes,
            most=config.data.max_frames // UNIT,
        )
        self.module = GenerationLoss(self._model, config.loss)

        def batches(split: str, training: bool) -> TokenBatches:
            chosen, places = store.select(split), self._model.places
            return TokenBatches(store, tokens, conditions, chosen, config.data, seed, training, places)

        self._batches = batches(_TRAIN, True)
        self._val = batches(_VAL, False) if _VAL in store.splits else None
        self.about = self._facts(store, tokenizer)

    def _facts(self, store: MotionStore, tokenizer: Tokenizer) -> dict[str, Any]:
        return {
            "kind": KIND,
            **store.facts(),
            "tokenizer_fingerprint": tokenizer.fingerprint,
            "tokens": {"levels": tokenizer.levels, "codes": tokenizer.codes},
            "text": {"name": self._text.name, "width": self._text.width},
            "text_fingerprint": self._text.fingerprint,
            "parameters": sum(weight.numel() for weight in self._model.parameters()),
        }

    def steps(self, world: int) -> int:
        """Steps of an epoch."""
        return self._batches.steps(world)

    def epoch(self, number: int, rank: int, world: int) -> Iterator[TokenBatch]:
        """Batches of an epoch for one process."""
        return self._batches.epoch(number, rank, world)

    def validate(self, accelerator: Accelerator) -> dict[str, float]:
        """Cross-entropy on the split val, a token, with the text of each level: base, residual, their sum.

        What is hidden is the same each time. `loss` is the mean over the levels.
        """
        if self._val is None:
            return {}
        figures: dict[str, float] = {}
        for depth, level in enumerate(self._model.levels):
            sums, count = {"base": 0.0, "residual": 0.0}, 0
            random = torch.Generator().manual_seed(_VAL_SEED)
            for batch in self._val.epoch(0):
                terms = self._val_terms(batch, depth, random, accelerator)
                sums = {name: sums[name] + len(batch) * terms.get(name, 0.0) for name in sums}
                count += len(batch)
            figures |= {f"{name}/{level}": total / count for name, total in sums.items()}
        total = sum(figures.values()) / len(self._model.levels)
        return {"loss": total} | figures

    def _val_terms(
        self, batch: TokenBatch, depth: int, random: torch.Generator, accelerator: Accelerator
    ) -> dict[str, float]:
        """Both cross-entropies of a batch at a level of text."""
        lengths, owner = batch.lengths, owners(batch.lengths)
        share = cosine_share(torch.rand(len(batch), generator=random))
        counts = (lengths * share).round().clamp(min=1).long()
        hidden = lowest(torch.rand(len(owner), generator=random), owner, counts)
        residual = self._model.residual
        finest = residual.levels if residual else 2
        level = torch.randint(1, finest, (len(batch),), generator=random)
        batch = batch.to(accelerator.device)
        hidden, level = hidden.to(accelerator.device), level.to(accelerator.device)
        present = text_at(batch.present, torch.full_like(batch.lengths, depth))
        shown = batch.tokens[:, 0].masked_fill(hidden, self._model.base.mask)
        terms = base_terms(self._model, batch, present, shown, hidden)
        if residual is not None:
            terms |= residual_terms(residual, batch, present, level)
        return {name: float(term) for name, term in terms.items()}

    def save(self, folder: Path) -> None:
        """Write weights and config, and beside them tokenizer and text encoder: the folder needs no other."""
        weights = {name: weight.contiguous() for name, weight in self._model.state_dict().items()}
        save_file(weights, folder / WEIGHTS)
        (folder / CONFIG).write_text(to_yaml(self.config), "utf-8")
        copy_model(self._tokenizer_folder, folder / TOKENIZER)
        self._text.save(folder / TEXT)


def train_generation(
    dataset: Path,
    out: Path,
    config: GeneratorConfig,
    parts: Parts,
    *,
    resume: bool = True,
    cache_dir: Path | None = None,
    console: Console | None = None,
    progress: Stages | None = None,
) -> Outcome:
    """Train a generator, or go on training it; both its transformers together.

    Args:
        dataset: the folder that `kinmo annotate run` wrote.
        out: the RUN folder.
        config: all settings.
        parts: tokenizer and text encoder.
        resume: go on with what is in `out`; False begins over.
        cache_dir: root of the caches; None is the user's.
        console: where the training shows its progress; None for silence.
        progress: told of the preparation.

    Raises:
        DatasetError: the dataset cannot be trained on.
        LanguageModelError: the language model cannot be opened.
        TrainingError: tokenizer or text encoder cannot be opened; or see `training.loop.train`.
    """
    work = GeneratorWork(dataset, parts, config, cache_dir=cache_dir, progress=progress)
    return train(work, config.training, out, resume=resume, console=console)


def _check_levels(config: GeneratorConfig, text: TextEncoder) -> None:
    """Refuse to train levels that the text encoder does not know."""
    asked = LEVELS.index(config.model.levels)
    if asked >= len(text.levels):
        reason = f"is {config.model.levels}, but the retrieval model knows {', '.join(text.levels)}"
        remedy = f"Set it to {text.levels[-1]}, or give a retrieval model that was trained with more levels."
        raise ConfigError("model.levels", reason, remedy)
