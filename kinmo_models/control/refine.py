"""Test-time optimisation: move the embedding of a motion's tokens until its joints meet a path.

It stands on a tokenizer alone, and so works without a control branch, on any tokens. Instead of the 1,600 passes
of Adam that MaskControl takes, it takes a hundred of L-BFGS, and pulls the motion back to where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinmo_models.control.lbfgs import Told, minimise
from kinmo_models.control.loss import path_error
from kinmo_models.control.paths import JointPath, check_lengths
from kinmo_models.data.cache import Progress
from kinmo_models.motion.recovery import features_to_joints
from kinmo_models.tokenizer.coder import Coder, Features, portions
from kinmo_models.tokenizer.config import UNIT
from kinmo_models.tokenizer.model import token_mask


@dataclass(frozen=True)
class RefineSettings:
    """What is minimised beside the squared distance to the path (Eq. 6), in square metres.

    Attributes:
        pull: weight of how far the embedding went, as a share of its own size: keeps the motion one that the
            decoder knows.
        smooth: weight of the acceleration, metres a squared frame, of what the joints are moved by: few points
            shall not be met in a jerk.
        first_step: how far the first step goes, as a share of the embedding's own size.
    """

    pull: float = 1e-3
    smooth: float = 1.0
    first_step: float = 0.05


def refine(
    tokenizer: Coder,
    tokens: Sequence[NDArray[np.integer]],
    paths: Sequence[JointPath],
    steps: int,
    *,
    settings: RefineSettings | None = None,
    progress: Progress | None = None,
) -> list[Features]:
    """Bring the joints of motions to their paths.

    The sum of the codes of all levels is what moves; the tokens themselves stay.

    Args:
        tokenizer: decodes.
        tokens: for each motion (n, levels), -1 for nothing at a level.
        paths: for each motion one of 4 n frames.
        steps: passes through the decoder, there and back, for each motion; all motions of a batch share them.
            0 decodes the tokens as they are, and so does a path that holds nothing.
        settings: see `RefineSettings`.
        progress: told passes done, of all portions together.

    Returns:
        For each motion (4 n, 263) float32 features, not normalised. A motion does not depend on those beside it.

    Raises:
        ValueError: another number of paths than motions, a path of another length, or no such codes.
    """
    check_lengths(paths, [len(one) * UNIT for one in tokens])
    found = tokenizer.decode(tokens)
    moved = [place for place, path in enumerate(paths) if path.points] if steps else []
    parts = [[moved[n] for n in part] for part in portions([len(tokens[place]) for place in moved])]
    for number, places in enumerate(parts):
        problem = _Problem(
            tokenizer,
            [tokens[place] for place in places],
            [paths[place] for place in places],
            settings or RefineSettings(),
        )

        def told(done: int, before: int = number * steps) -> None:
            if progress:
                progress(before + done, len(parts) * steps)

        for place, rows in zip(places, problem.solve(steps, told), strict=True):
            found[place] = rows
    return found


class _Problem:
    """Some motions with their paths, padded to the longest."""

    def __init__(
        self,
        coder: Coder,
        tokens: Sequence[NDArray[np.integer]],
        paths: Sequence[JointPath],
        settings: RefineSettings,
    ) -> None:
        device = coder.codebooks.device
        self._coder, self._settings = coder, settings
        self._lengths = torch.tensor([len(one) for one in tokens], device=device)
        self._counts = [len(one) for one in tokens]
        longest = max(self._counts)
        padded = torch.full((len(tokens), longest, coder.levels), -1)
        for row, one in zip(padded, tokens, strict=True):
            row[: len(one), : one.shape[1]] = torch.from_numpy(one.astype(np.int64))
        inside = token_mask(self._lengths, longest)
        self._start = (coder.embed(padded.to(device)) * inside[..., None]).detach()
        fitted = [path.fitted(longest * UNIT) for path in paths]
        self._target, self._held = (
            torch.from_numpy(np.stack(one)).to(device)
            for one in ([path.positions for path in fitted], [path.held for path in fitted])
        )
        self._inner = token_mask(self._lengths * UNIT, longest * UNIT)[:, 2:]
        self._size = self._start.square().mean(2).sum(1) / self._lengths  # (B,) mean square of a number
        self._before: Tensor | None = None

    def solve(self, passes: int, told: Told) -> list[Features]:
        """Give the refined features of each motion."""
        step = self._settings.first_step * self._size.sqrt()[:, None]
        best = minimise(self._evaluate, self._start.flatten(1), step, passes, told)
        with torch.inference_mode():
            rows = self._features(best.view_as(self._start)).cpu().numpy()
        return [row[: count * UNIT].copy() for row, count in zip(rows, self._counts, strict=True)]

    def _features(self, latents: Tensor) -> Tensor:
        decoded = self._coder.decode_latents(latents, self._lengths)
        return self._coder.statistics.denormalise(decoded.float())

    def _evaluate(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Give values (B,) and gradients at embeddings (B, n * width)."""
        with torch.enable_grad():
            latents = flat.view_as(self._start).detach().requires_grad_()
            value = self._value(latents)
            (gradient,) = torch.autograd.grad(value.sum(), latents)
        return value.detach(), gradient.flatten(1)

    def _value(self, latents: Tensor) -> Tensor:
        """Sum the terms (B,)."""
        joints = features_to_joints(self._features(latents))
        if self._before is None:  # the first place that is asked for is the start
            self._before = joints.detach()
        away = (latents - self._start).square().mean(2).sum(1) / self._lengths / self._size
        bent = (joints - self._before).diff(n=2, dim=1).square().sum(3).mean(2) * self._inner
        return (
            path_error(joints, self._target, self._held)
            + self._settings.pull * away
            + self._settings.smooth * bent.sum(1) / self._inner.sum(1).clamp(min=1)
        )
