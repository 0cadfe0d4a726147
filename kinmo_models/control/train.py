"""Train the control branches of a generator: `kinmo train control`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors.torch import save_file

from kinmo_models.control.batches import PathBatch, PathBatches, draw_held
from kinmo_models.control.config import ControlConfig
from kinmo_models.control.controller import GENERATOR, KIND
from kinmo_models.control.loss import ControlLoss
from kinmo_models.control.model import ControlModel, PathControl, Sight, Wanted
from kinmo_models.data.cache import Stages, stage
from kinmo_models.data.motions import MotionStore
from kinmo_models.generation.conditions import ConditionStore
from kinmo_models.generation.generator import Generator
from kinmo_models.generation.sample import Asked, sample
from kinmo_models.metrics.control import ControlErrors, control_errors
from kinmo_models.tokenizer.tokens import TokenisedMotions
from kinmo_models.training.checkpoint import WEIGHTS, resolve_model
from kinmo_models.training.config import to_yaml
from kinmo_models.training.folder import CONFIG
from kinmo_models.training.loop import Outcome, seed_all, train
from kinmo_models.training.pretrained import copy_model, model_fingerprint

if TYPE_CHECKING:
    from accelerate import Accelerator
    from rich.console import Console

_TRAIN, _VAL = "train", "val"
_VAL_SEED: Final = 20  # of the paths of validation: the same ones each time


class ControlWork:
    """What the training loop needs of control (`kinmo_models.training.work.Work`).

    Attributes:
        module: the branches with their losses, and the frozen generator.
        config: all settings.
        about: where the data came from, for meta.json.
    """

    def __init__(
        self,
        dataset: Path,
        generator: Path,
        config: ControlConfig,
        *,
        cache_dir: Path | None = None,
        progress: Stages | None = None,
    ) -> None:
        """Open generator and data, tokenise it and encode its texts, and make the branches.

        Raises:
            DatasetError: the dataset cannot be trained on.
            TrainingError: the generator cannot be opened.
            LanguageModelError: the language model cannot be opened.
        """
        self.config, self._folder = config, resolve_model(generator)
        store = MotionStore.open(dataset, cache_dir, stage("features", progress))
        self._generator = Generator.from_pretrained(self._folder, device="cpu", cache_dir=cache_dir)
        tokenizer, model = self._generator.tokenizer, self._generator.model
        tokens = TokenisedMotions.of(store, tokenizer, cache_dir, stage("motion tokens", progress))
        texts = ConditionStore.of(store, self._generator.text, cache_dir, stage("text latents", progress))
        seed = config.training.seed
        seed_all(seed)
        self._model = ControlModel(config.model, model, tokenizer.width)
        self.module = ControlLoss(self._model, model, tokenizer, config.loss)

        def batches(split: str, training: bool) -> PathBatches:
            chosen = store.select(split)
            return PathBatches(store, tokens, texts, chosen, config.data, seed, training, model.places)

        self._batches = batches(_TRAIN, True)
        self._val = batches(_VAL, False) if _VAL in store.splits else None
        self.about: dict[str, Any] = {
            "kind": KIND,
            **store.facts(),
            "generator_fingerprint": model_fingerprint(self._folder),
            "tokenizer_fingerprint": tokenizer.fingerprint,
            "text_fingerprint": self._generator.text.fingerprint,
            "parameters": sum(weight.numel() for weight in self._model.parameters()),
        }

    def steps(self, world: int) -> int:
        """Steps of an epoch."""
        return self._batches.steps(world)

    def epoch(self, number: int, rank: int, world: int) -> Iterator[PathBatch]:
        """Batches of an epoch for one process."""
        return self._batches.epoch(number, rank, world)

    def validate(self, accelerator: Accelerator) -> dict[str, float]:
        """Write the first batch of the split val along paths that are drawn from it, without refinement.

        Returns:
            Mean error in metres and the share of points more than 50 cm away; the same without control.
        """
        if self._val is None:
            return {}
        random = torch.Generator().manual_seed(_VAL_SEED)
        batch = next(self._val.epoch(0))
        held = draw_held(batch.lengths, random)
        batch = batch.to(accelerator.device)
        wanted = Wanted(batch.joints, held.to(accelerator.device), batch.lengths)
        led, alone = self._errors(batch, wanted, True), self._errors(batch, wanted, False)
        return {
            "average_error_m": led.average_m,
            "location_error_50cm": led.location[1],
            "uncontrolled_error_m": alone.average_m,
        }

    def _errors(self, batch: PathBatch, wanted: Wanted, led: bool) -> ControlErrors:
        """Write the motions of a batch, and measure how far they are from their paths."""
        model, sight = self._generator.model, Sight(self._generator.tokenizer)
        seeds = list(range(len(batch)))
        asked = Asked(batch.latents, batch.present, batch.lengths.cpu(), seeds)
        control = PathControl(self._model, sight, wanted, model.base.mask) if led else None
        tokens = sample(model, asked, self._generator.config.sampling, model.levels[-1], control)
        latents = control.settle(tokens) if control else sight.embed(tokens, wanted)
        joints = sight.joints(latents, wanted).cpu().numpy()
        positions, held = wanted.positions.cpu().numpy(), wanted.held.cpu().numpy()
        return control_errors(list(joints), list(positions), list(held))

    def save(self, folder: Path) -> None:
        """Write weights and config, and beside them the generator: the folder needs no other."""
        weights = {name: weight.contiguous() for name, weight in self._model.state_dict().items()}
        save_file(weights, folder / WEIGHTS)
        (folder / CONFIG).write_text(to_yaml(self.config), "utf-8")
        copy_model(self._folder, folder / GENERATOR)


def train_control(
    dataset: Path,
    out: Path,
    config: ControlConfig,
    generator: Path,
    *,
    resume: bool = True,
    cache_dir: Path | None = None,
    progress: Stages | None = None,
    console: Console | None = None,
) -> Outcome:
    """Train the branches beside a frozen generator, or go on training them.

    Args:
        dataset: the folder that `kinmo annotate run` wrote; best the one that the generator learned from.
        out: the RUN folder.
        config: all settings.
        generator: folder of a generator, which `kinmo train generator` wrote.
        resume: False begins over; True goes on with what is in `out`.
        cache_dir: root of the caches; None is the user's.
        progress: told of the preparation.
        console: where the training shows its progress; None for silence.

    Raises:
        DatasetError: the dataset cannot be trained on.
        TrainingError: the generator cannot be opened; or see `training.loop.train`.
        LanguageModelError: the language model cannot be opened.
    """
    work = ControlWork(dataset, generator, config, cache_dir=cache_dir, progress=progress)
    return train(work, config.training, out, resume=resume, console=console)
