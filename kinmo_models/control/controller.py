"""A trained control branch with its generator, to write motions that follow paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from kinmo_annotate.schema.features import features_to_joints
from kinmo_annotate.schema.skeleton import FPS
from kinmo_models.control.config import ControlConfig
from kinmo_models.control.model import ControlModel, PathControl, Sight, wanted_of
from kinmo_models.control.paths import JointPath
from kinmo_models.control.refine import refine as refined
from kinmo_models.data.cache import Progress
from kinmo_models.generation.config import SamplingConfig
from kinmo_models.generation.generator import Generated, Generator, Prompt, to_prompts
from kinmo_models.generation.sample import Asked, sample
from kinmo_models.tokenizer.config import UNIT
from kinmo_models.training.checkpoint import resolve_model
from kinmo_models.training.config import from_yaml
from kinmo_models.training.folder import CONFIG
from kinmo_models.training.pretrained import best_device, load_weights, read_meta

KIND: Final = "control"
GENERATOR: Final = "generator"  # folder of a checkpoint


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
        model = ControlModel(self.config.model, self.generator.model)
        load_weights(model, folder)
        self._model, self._device = model.to(device).eval(), device
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
        tokens: Sequence[NDArray[np.integer]] | None = None,
        editable: Sequence[NDArray[np.bool_]] | None = None,
        progress: Progress | None = None,
    ) -> list[Generated]:
        """Write a motion for each prompt, along its path.

        Args:
            prompts: texts, or texts with finer sentences and seed. A length is that of the path or not said.
            paths: for each prompt one of a multiple of 4 frames, in the motion's own frame of reference.
                Where it holds nothing, the motion is the one that the generator writes.
            level: of text; see `Generator.generate`.
            refine: passes of test-time optimisation; 0 is none. They change features and joints, not tokens.
            sampling: passes, guidance, ...; None is that of the generator.
            tokens: for each prompt (n, L) tokens that are there already; None where all is written.
            editable: for each prompt (n,) which tokens are written; the others stay. None is all.
            progress: told passes of refinement.

        Returns:
            As many motions, in order. A motion does not depend on those beside it.

        Raises:
            ValueError: a path or tokens of another length, or as `Generator.generate`.
        """
        asked = [_with_length(prompt, path) for prompt, path in zip(to_prompts(prompts), paths, strict=True)]
        _check_known(paths, tokens, editable)
        found: dict[int, Generated] = {}
        for chosen, part in self.generator.portions(asked, level):
            motions = self._generate(
                [asked[n] for n in part],
                [paths[n] for n in part],
                chosen,
                sampling or self.generator.config.sampling,
                None if tokens is None else np.concatenate([tokens[n] for n in part]),
                None if editable is None else np.concatenate([editable[n] for n in part]),
            )
            found.update(zip(part, motions, strict=True))
        written = [found[place] for place in range(len(asked))]
        return self._refined(written, paths, refine, editable, progress) if refine else written

    def _generate(
        self,
        prompts: list[Prompt],
        paths: list[JointPath],
        level: str,
        sampling: SamplingConfig,
        tokens: NDArray[np.integer] | None,
        editable: NDArray[np.bool_] | None,
    ) -> list[Generated]:
        """Write some motions in one batch."""
        latents, present = self.generator.encode(prompts)
        lengths = torch.tensor([len(path) // UNIT for path in paths])
        asked = Asked(
            latents,
            present,
            lengths,
            [prompt.seed for prompt in prompts],
            None if tokens is None else torch.from_numpy(tokens.astype(np.int64)).to(self._device),
            None if editable is None else torch.from_numpy(editable.astype(bool)).to(self._device),
        )
        control = self._control(paths, lengths)
        written = sample(self.generator.model, asked, sampling, level, control).cpu().numpy()
        self.decodes = control.decodes
        parts = np.split(written, np.cumsum(lengths.numpy())[:-1])
        return [
            Generated(prompt, level, rows, features_to_joints(rows), part)
            for prompt, rows, part in zip(prompts, self.generator.tokenizer.decode(parts), parts, strict=True)
        ]

    def _control(self, paths: Sequence[JointPath], lengths: torch.Tensor) -> PathControl:
        """Put paths beside the branches."""
        wanted = wanted_of(paths, lengths, self._device)
        sight = Sight(self.generator.tokenizer)
        return PathControl(self._model, sight, wanted, self.generator.model.base.mask)

    def _refined(
        self,
        written: Sequence[Generated],
        paths: Sequence[JointPath],
        steps: int,
        editable: Sequence[NDArray[np.bool_]] | None,
        progress: Progress | None,
    ) -> list[Generated]:
        """Optimise what was written, all motions together."""
        features = refined(
            self.generator.tokenizer,
            [one.tokens for one in written],
            paths,
            steps,
            editable=editable,
            progress=progress,
        )
        return [
            replace(one, features=rows, joints=features_to_joints(rows))
            for one, rows in zip(written, features, strict=True)
        ]


def _with_length(prompt: Prompt, path: JointPath) -> Prompt:
    """Let a prompt ask for the length of its path."""
    if not len(path) or len(path) % UNIT:
        raise ValueError(f"a path has {len(path)} frames, and must have a multiple of {UNIT}")
    seconds = len(path) / FPS
    if prompt.seconds is not None and round(prompt.seconds * FPS / UNIT) != len(path) // UNIT:
        raise ValueError(f"a motion of {prompt.seconds:g} s is asked for, with a path of {seconds:g} s")
    return replace(prompt, seconds=seconds)


def _check_known(
    paths: Sequence[JointPath],
    tokens: Sequence[NDArray[np.integer]] | None,
    editable: Sequence[NDArray[np.bool_]] | None,
) -> None:
    """Refuse tokens that are not as many as the frames of the paths."""
    if editable is not None and tokens is None:
        raise ValueError("editable says which tokens stay, but no tokens are given")
    for name, given in (("tokens", tokens), ("editable", editable)):
        if given is not None and [len(one) for one in given] != [len(path) // UNIT for path in paths]:
            raise ValueError(f"{name} do not have one row for each {UNIT} frames of the paths")
