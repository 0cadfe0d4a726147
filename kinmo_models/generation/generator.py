"""A trained generator, to write motions with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from kinmo_annotate.schema.features import features_to_joints
from kinmo_annotate.schema.records import NOT_DETERMINED
from kinmo_annotate.schema.skeleton import FPS
from kinmo_models.generation.conditions import TextEncoder, open_text_encoder
from kinmo_models.generation.config import GeneratorConfig, SamplingConfig
from kinmo_models.generation.model import GeneratorModel
from kinmo_models.generation.sample import Asked, Control, sample
from kinmo_models.retrieval.retriever import sentences_of
from kinmo_models.tokenizer.config import UNIT
from kinmo_models.tokenizer.tokenizer import Tokenizer
from kinmo_models.training.checkpoint import resolve_model
from kinmo_models.training.config import from_yaml
from kinmo_models.training.folder import CONFIG
from kinmo_models.training.pretrained import best_device, load_weights, model_fingerprint, read_meta

Array = NDArray[np.float32]

KIND: Final = "generator"
TOKENIZER, TEXT = "tokenizer", "text"  # folders of a checkpoint
_AT_ONCE: Final = 32  # motions written together


@dataclass(frozen=True)
class Prompt:
    """What a motion is written from.

    Attributes:
        caption: the global text; "" where there are finer texts alone.
        fields: sentences by joint group or pair; those that are missing or empty are left to the model.
        seconds: how long the motion shall be; None lets the model guess.
        seed: of all chance; the same prompt and seed give the same motion.
    """

    caption: str
    fields: Mapping[str, str] | None = None
    seconds: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Known:
    """A motion that is written anew in part.

    Attributes:
        tokens: (n, L) all of its tokens; where they are editable they need not mean anything.
        editable: (n,) which of them are written.
    """

    tokens: NDArray[np.integer]
    editable: NDArray[np.bool_]


Lead: TypeAlias = Callable[[list[int]], Control]


@dataclass(frozen=True)
class Generated:
    """A motion that was written.

    Attributes:
        prompt: what it was written from.
        level: of text that was used.
        features: (T, 263) float32 HumanML3D features, not normalised; T is a multiple of 4.
        joints: (T, 22, 3) float32, metres, y up, 20 frames per second, from the origin, facing +z at first.
        tokens: (T / 4, L) int64.
    """

    prompt: Prompt
    level: str
    features: Array
    joints: Array
    tokens: NDArray[np.int64]


class Generator:
    """Writes motions from text.

    `Generator.from_pretrained("RUN").generate(["a person walks forward"])[0].joints`

    Attributes:
        levels: of text that the model knows: "G", "GJ", "GJI", or the first of these.
        meta: what its meta.json says: dataset, seed, validation, ...
        config: the settings that it was trained with.
        fingerprint: digest of its weights and settings.
        tokenizer: of its motion tokens.
        text: the encoder of its texts.
        model: the transformers, in eval mode.
        most_seconds: length of the longest motion that it writes.
    """

    def __init__(self, folder: Path, device: str, cache_dir: Path | None) -> None:
        self.meta = read_meta(folder, KIND)
        self.config = from_yaml(GeneratorConfig, folder / CONFIG)
        self.fingerprint = model_fingerprint(folder)
        self.tokenizer = Tokenizer.from_pretrained(folder / TOKENIZER, device=device)
        text = folder / TEXT
        self.text: TextEncoder = open_text_encoder(text if text.is_dir() else None, device, cache_dir)
        self._most = self.config.data.max_frames // UNIT
        model = GeneratorModel(
            self.config.model,
            text_width=self.text.width,
            levels=self.tokenizer.levels,
            codes=self.tokenizer.codes,
            most=self._most,
        )
        load_weights(model, folder)
        self.model, self._device = model.to(device).eval(), device
        self.levels = model.levels
        self.most_seconds = self._most * UNIT / FPS

    @classmethod
    def from_pretrained(
        cls, model: str | Path, *, device: str | None = None, cache_dir: Path | None = None
    ) -> Generator:
        """Load a trained generator.

        Args:
            model: a RUN folder (its best checkpoint), a checkpoint's folder, or a name on the hub.
            device: "cpu", "cuda", ...; None is a GPU where there is one.
            cache_dir: root of the caches; None is the user's.

        Raises:
            TrainingError: there is no such model, it is damaged, or it is of another kind.
        """
        return cls(resolve_model(model), best_device(device), cache_dir)

    def generate(
        self,
        prompts: Sequence[str | Prompt],
        *,
        level: str | None = None,
        sampling: SamplingConfig | None = None,
    ) -> list[Generated]:
        """Write a motion for each prompt.

        Args:
            prompts: texts, or texts with finer sentences, length and seed. A text's seed is 0.
            level: of text to write down to, "G", "GJ" or "GJI"; None is, for each prompt, the finest that the
                model has where it has fields, else "G".
            sampling: passes, guidance, ...; None is that of the model.

        Returns:
            As many motions, in order. A motion does not depend on the prompts beside its own.

        Raises:
            ValueError: a level that the model does not have, an unknown field, or a length that cannot be.
        """
        return self.write(to_prompts(prompts), level=level, sampling=sampling)

    def write(
        self,
        prompts: Sequence[Prompt],
        known: Sequence[Known] | None = None,
        *,
        level: str | None = None,
        sampling: SamplingConfig | None = None,
        lead: Lead | None = None,
    ) -> list[Generated]:
        """Write motions, or some of their tokens anew; the others stay, at all levels of quantisation.

        Args:
            prompts: as of `generate`; where tokens are known, a length that is asked for does not count.
            known: for each prompt the tokens that there are, and which of them are written; None writes all.
            level: as of `generate`.
            sampling: as of `generate`.
            lead: gives what leads the passes of the prompts at some places, written together.

        Raises:
            ValueError: as of `generate`, tokens of another shape, or more than the model writes.
        """
        for one in known or ():
            self._check_known(one)
        by_level: dict[str, list[int]] = defaultdict(list)
        for place, prompt in enumerate(prompts):
            self._check(prompt)
            by_level[self._level(level, prompt)].append(place)
        found: dict[int, Generated] = {}
        for chosen, places in by_level.items():
            for start in range(0, len(places), _AT_ONCE):
                part = places[start : start + _AT_ONCE]
                there = None if known is None else [known[n] for n in part]
                asked = self._ask([prompts[n] for n in part], there)
                control = None if lead is None else lead(part)
                tokens = sample(self.model, asked, sampling or self.config.sampling, chosen, control)
                parts = np.split(tokens.cpu().numpy(), np.cumsum(asked.lengths.numpy())[:-1])
                for place, rows, own in zip(part, self.tokenizer.decode(parts), parts, strict=True):
                    found[place] = Generated(prompts[place], chosen, rows, features_to_joints(rows), own)
        return [found[place] for place in range(len(prompts))]

    def _ask(self, prompts: Sequence[Prompt], known: Sequence[Known] | None) -> Asked:
        """Encode what is to be written together."""
        latents, present = self.encode(prompts)
        seeds = [prompt.seed for prompt in prompts]
        if known is None:
            return Asked(latents, present, self._lengths(prompts, latents), seeds)
        return Asked(
            latents,
            present,
            torch.tensor([len(one.tokens) for one in known]),
            seeds,
            _joined([one.tokens.astype(np.int64) for one in known], self._device),
            _joined([one.editable.astype(bool) for one in known], self._device),
        )

    def encode(self, prompts: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode the texts of prompts: latents (B, C, w), and which of them there are (B, C)."""
        fields = [sentences_of(prompt.fields or {}) for prompt in prompts]
        latents = self.text.encode([prompt.caption for prompt in prompts], fields)
        said = [
            [bool(prompt.caption.strip()), *(text != NOT_DETERMINED for text in one)]
            for prompt, one in zip(prompts, fields, strict=True)
        ]
        places = self.model.places
        there = torch.tensor(said)[:, :places].to(self._device)
        return torch.from_numpy(latents[:, :places]).float().to(self._device), there

    def _lengths(self, prompts: Sequence[Prompt], latents: torch.Tensor) -> torch.Tensor:
        """Motion tokens (B,) of each prompt, on the CPU: as asked, or the likeliest for its caption."""
        with torch.inference_mode():
            guessed = 1 + self.model.length(latents[:, 0]).argmax(1).cpu()
        asked = [
            round(prompt.seconds * FPS / UNIT) if prompt.seconds else int(guess)
            for prompt, guess in zip(prompts, guessed, strict=True)
        ]
        return torch.tensor([max(1, count) for count in asked])

    def _level(self, level: str | None, prompt: Prompt) -> str:
        if level is None:
            return self.levels[-1] if prompt.fields else self.levels[0]
        if level not in self.levels:
            raise ValueError(f"the model has the levels {', '.join(self.levels)}, not {level}")
        return level

    def _check_known(self, known: Known) -> None:
        shape = (len(known.editable), self.tokenizer.levels)
        if known.tokens.shape != shape:
            raise ValueError(f"tokens have the shape {known.tokens.shape}, and {shape} is needed")
        if not 0 < len(known.tokens) <= self._most:
            raise ValueError(
                f"a motion of {len(known.tokens) * UNIT / FPS:g} s is to be rewritten; this model writes up"
                f" to {self.most_seconds:g} s"
            )

    def _check(self, prompt: Prompt) -> None:
        if prompt.seconds is not None and not 0 < prompt.seconds <= self.most_seconds + 1e-9:
            raise ValueError(
                f"a motion of {prompt.seconds:g} s is asked for; this model writes up to "
                f"{self.most_seconds:g} s"
            )
        if not (prompt.caption.strip() or prompt.fields):
            raise ValueError("a prompt is empty")


def to_prompts(prompts: Sequence[str | Prompt]) -> list[Prompt]:
    """Make prompts of texts; those that are prompts stay so."""
    return [Prompt(one) if isinstance(one, str) else one for one in prompts]


def _joined(parts: Sequence[NDArray[Any]], device: str) -> torch.Tensor:
    """Put the arrays of motions one after the other."""
    return torch.from_numpy(np.concatenate(parts)).to(device)


def with_seeds(prompts: Sequence[Prompt], count: int) -> list[Prompt]:
    """Give each prompt so many times, with seeds that follow on its own."""
    return [replace(prompt, seed=prompt.seed + n) for prompt in prompts for n in range(count)]
