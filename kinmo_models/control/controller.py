"""A trained control branch with its generator, to write motions that follow paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from kinmo_annotate.schema.features import features_to_joints
from kinmo_annotate.schema.skeleton import FPS
from kinmo_models.control.config import ControlConfig
from kinmo_models.control.model import ControlModel, PathControl, Sight, wanted_of
from kinmo_models.control.paths import JointPath
from kinmo_models.control.refine import refine
from kinmo_models.data.cache import Progress
from kinmo_models.generation.config import SamplingConfig
from kinmo_models.generation.generator import Generated, Generator, Known, Prompt, to_prompts
from kinmo_models.tokenizer.coder import Features
from kinmo_models.tokenizer.config import UNIT
from kinmo_models.training.checkpoint import resolve_model
from kinmo_models.training.config import from_yaml
from kinmo_models.training.folder import CONFIG
from kinmo_models.training.pretrained import best_device, load_weights, read_meta

KIND: Final = "control"
GENERATOR: Final = "generator"  # folder of a checkpoint

Editable: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Led(Generated):
    """A motion that was written along a path.

    Attributes:
        latents: (T / 4, code width) float32: what was decoded, the sum of the tokens' codes moved towards the
            path.
    """

    latents: NDArray[np.float32]


class Controller:
    """Writes motions from text whose joints follow paths.

    `Controller.from_pretrained("RUN").generate(["a person walks"], [path], refine=100)[0].joints`

    Attributes:
        generator: the frozen generator that the branches stand beside; it carries tokenizer and text encoder.
        meta: what its meta.json says: dataset, seed, validation, ...
        config: the settings that it was trained with.
        decodes: decoder passes, without gradients, that the branches took for a motion written last.
    """

    def __init__(self, folder: Path, device: str, cache_dir: Path | None) -> None:
        self.meta = read_meta(folder, KIND)
        self.config = from_yaml(ControlConfig, folder / CONFIG)
        self.generator = Generator.from_pretrained(folder / GENERATOR, device=device, cache_dir=cache_dir)
        model = ControlModel(self.config.model, self.generator.model, self.generator.tokenizer.width)
        load_weights(model, folder)
        self._model, self._device = model.to(device).eval(), device
        self._sight = Sight(self.generator.tokenizer)
        self.decodes = 0

    @classmethod
    def from_pretrained(
        cls, model: str | Path, *, device: str | None = None, cache_dir: Path | None = None
    ) -> Controller:
        """Load trained branches with their generator; arguments and errors as `Generator.from_pretrained`."""
        return cls(resolve_model(model), best_device(device), cache_dir)

    def generate(
        self,
        prompts: Sequence[str | Prompt],
        paths: Sequence[JointPath],
        *,
        level: str | None = None,
        refine: int = 0,
        sampling: SamplingConfig | None = None,
        known: Sequence[Known] | None = None,
        progress: Progress | None = None,
    ) -> list[Led]:
        """Write a motion for each prompt, along its path.

        Args:
            prompts: texts, or texts with finer sentences and seed. A length is that of the path or not said.
            paths: for each prompt one of a multiple of 4 frames, in the motion's own frame of reference.
                Where it holds nothing, the motion is the one that the generator writes.
            level: of text; see `Generator.generate`.
            refine: passes of test-time optimisation; 0 is none. They change features and joints, not tokens.
            sampling: passes, guidance, ...; None is that of the generator.
            known: for each prompt the tokens that are there already, and which of them are written; None
                writes all.
            progress: told passes of refinement.

        Returns:
            As many motions, in order. A motion does not depend on those beside it.

        Raises:
            ValueError: a path or tokens of another length, or as `Generator.generate`.
        """
        asked = [_with_length(prompt, path) for prompt, path in zip(to_prompts(prompts), paths, strict=True)]
        _check_known(paths, known)
        led: list[tuple[list[int], PathControl]] = []

        def lead(places: list[int]) -> PathControl:
            led.append((places, self._control([paths[place] for place in places])))
            return led[-1][1]

        written = self.generator.write(asked, known, level=level, sampling=sampling, lead=lead)
        editable = None if known is None else [one.editable for one in known]
        found: dict[int, Led] = {}
        for places, control in led:
            there = None if editable is None else [editable[place] for place in places]
            settled = self._settled(control, [written[place] for place in places], there)
            found.update(zip(places, settled, strict=True))
            self.decodes = control.decodes
        motions = [found[place] for place in range(len(written))]
        return self.refined(motions, paths, refine, editable=editable, progress=progress)

    def _control(self, paths: Sequence[JointPath]) -> PathControl:
        """Put paths beside the branches."""
        lengths = torch.tensor([len(path) // UNIT for path in paths])
        wanted = wanted_of(paths, lengths, self._device)
        return PathControl(self._model, self._sight, wanted, self.generator.model.base.mask)

    @torch.inference_mode()
    def _settled(
        self, control: PathControl, written: Sequence[Generated], editable: Sequence[Editable] | None
    ) -> list[Led]:
        """Let the branch beside the decoder move what was written together."""
        tokens = torch.from_numpy(np.concatenate([one.tokens for one in written])).to(self._device)
        moves = None if editable is None else torch.from_numpy(np.concatenate(editable)).to(self._device)
        latents = control.settle(tokens, moves)
        rows = self._sight.features(latents, control.wanted)
        active = control.wanted.active.tolist()
        found = []
        for one, led, own, features in zip(
            written, active, latents.cpu().numpy(), rows.cpu().numpy(), strict=True
        ):
            motion = Led(**vars(one), latents=own[: len(one.tokens)].copy())
            found.append(_moved(motion, features[: len(one.features)].copy()) if led else motion)
        return found

    def refined(
        self,
        motions: Sequence[Led],
        paths: Sequence[JointPath],
        steps: int,
        *,
        editable: Sequence[Editable] | None = None,
        progress: Progress | None = None,
    ) -> list[Led]:
        """Bring motions to their paths by optimisation; see `kinmo_models.control.refine.refine`.

        Args:
            motions: from `generate`.
            paths: for each the one that it was written along.
            steps: passes; 0 leaves the motions as they are.
            editable: for each (n,) tokens whose embedding may move; None is all.
            progress: told passes done.

        Returns:
            As many motions, with other features and joints; tokens and latents stay.
        """
        if not steps:
            return list(motions)
        features = refine(
            self.generator.tokenizer,
            [one.tokens for one in motions],
            paths,
            steps,
            start=[one.latents for one in motions],
            editable=editable,
            progress=progress,
        )
        return [_moved(one, rows) for one, rows in zip(motions, features, strict=True)]


def _moved(motion: Led, features: Features) -> Led:
    """Give the motion with other features."""
    return replace(motion, features=features, joints=features_to_joints(features))


def _with_length(prompt: Prompt, path: JointPath) -> Prompt:
    """Let a prompt ask for the length of its path."""
    if not len(path) or len(path) % UNIT:
        raise ValueError(f"a path has {len(path)} frames, and must have a multiple of {UNIT}")
    seconds = len(path) / FPS
    if prompt.seconds is not None and round(prompt.seconds * FPS / UNIT) != len(path) // UNIT:
        raise ValueError(f"a motion of {prompt.seconds:g} s is asked for, with a path of {seconds:g} s")
    return replace(prompt, seconds=seconds)


def _check_known(paths: Sequence[JointPath], known: Sequence[Known] | None) -> None:
    """Refuse tokens that are not as many as the frames of the paths."""
    counts = [len(path) // UNIT for path in paths]
    if known is not None and [len(one.tokens) for one in known] != counts:
        raise ValueError(f"tokens do not have one row for each {UNIT} frames of the paths")
