"""Test-time optimisation: move the embedding of a motion's tokens until its joints meet a path.

It stands on a tokenizer alone, and so works without a control branch, on any tokens. In the place of the
1,600 passes of Adam that MaskControl takes there are a hundred of L-BFGS, and the motion is pulled back to
where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinmo_models.control.distance import path_error
from kinmo_models.control.lbfgs import Told, minimise
from kinmo_models.control.model import Sight, wanted_of
from kinmo_models.control.paths import JointPath, check_lengths
from kinmo_models.data.cache import Progress
from kinmo_models.tokenizer.coder import Coder, Features, portions
from kinmo_models.tokenizer.config import UNIT
from kinmo_models.tokenizer.model import token_mask


@dataclass(frozen=True)
class RefineSettings:
    """What is minimised beside the squared distance to the path (Eq. 6), in square metres.

    Attributes:
        pull: weight of how far the embedding went, as a share of its own size: keeps the motion one that the
            decoder knows.
        smooth: weight of the acceleration, metres a squared frame, of what the joints are moved by, so that
            few points are not met in a jerk.
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
    start: Sequence[NDArray[np.float32]] | None = None,
    editable: Sequence[NDArray[np.bool_]] | None = None,
    progress: Progress | None = None,
) -> list[Features]:
    """Bring the joints of motions to their paths.

    The embedding, the sum of the codes of all levels, is what moves; the tokens themselves stay.

    Args:
        tokenizer: decodes.
        tokens: for each motion (n, levels), -1 for nothing at a level.
        paths: for each motion one of 4 n frames.
        steps: passes through the decoder, there and back, for each motion; all motions of a batch share them.
            0 decodes the tokens as they are, and so does a path that holds nothing.
        settings: see `RefineSettings`.
        start: for each motion (n, code width) the embedding to begin from; None is that of its tokens.
        editable: for each motion (n,) tokens whose embedding may move; None is all. A frame follows the
            tokens near it too, not its own alone.
        progress: told passes done, of all portions together.

    Returns:
        For each motion (4 n, 263) float32 features, not normalised. It does not depend on those beside it.

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
            None if start is None else [start[place] for place in places],
            None if editable is None else [editable[place] for place in places],
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
        start: Sequence[NDArray[np.float32]] | None,
        editable: Sequence[NDArray[np.bool_]] | None,
    ) -> None:
        device = coder.codebooks.device
        self._sight, self._settings = Sight(coder), settings
        self._wanted = wanted_of(paths, torch.tensor([len(one) for one in tokens]), device)
        flat = torch.full((sum(map(len, tokens)), coder.levels), -1, device=device)
        for rows, one in zip(flat.split([len(one) for one in tokens]), tokens, strict=True):
            rows[:, : one.shape[1]] = torch.from_numpy(one.astype(np.int64))
        self._start = self._sight.embed(flat, self._wanted)
        if start is not None:
            begun = torch.from_numpy(np.concatenate(start)).to(device)
            self._start = self._sight.padded(begun, self._wanted)
        moves = np.ones(len(flat), bool) if editable is None else np.concatenate(editable)
        moving = torch.from_numpy(moves).to(device).float()
        self._moving = self._sight.padded(moving[:, None], self._wanted)
        lengths = self._wanted.lengths
        self._lengths = lengths
        self._size = self._start.square().mean(2).sum(1) / lengths  # (B,) mean square of a number
        self._inner = token_mask(lengths * UNIT, self._wanted.held.shape[1])[:, 2:]
        self._before: Tensor | None = None

    def solve(self, passes: int, told: Told) -> list[Features]:
        """Give the refined features of each motion."""
        start = self._start.flatten(1)
        step = self._settings.first_step * start.norm(dim=1, keepdim=True)
        best = minimise(self._evaluate, start, step, passes, told)
        with torch.inference_mode():
            decoded = self._sight.features(best.view_as(self._start), self._wanted).cpu().numpy()
        counts = self._lengths.tolist()
        return [rows[: count * UNIT].copy() for rows, count in zip(decoded, counts, strict=True)]

    def _evaluate(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Give values (B,) and gradients at embeddings (B, n * width)."""
        with torch.enable_grad():
            latents = flat.view_as(self._start).detach().requires_grad_()
            value = self._value(latents)
            (gradient,) = torch.autograd.grad(value.sum(), latents)
        return value.detach(), (gradient * self._moving).flatten(1)

    def _value(self, latents: Tensor) -> Tensor:
        """Sum the terms (B,)."""
        joints = self._sight.joints(latents, self._wanted)
        if self._before is None:  # the first place that is asked for is the start
            self._before = joints.detach()
        away = (latents - self._start).square().mean(2).sum(1) / self._lengths / self._size
        bent = (joints - self._before).diff(n=2, dim=1).square().sum(3).mean(2) * self._inner
        return (
            path_error(joints, self._wanted.positions, self._wanted.held)
            + self._settings.pull * away
            + self._settings.smooth * bent.sum(1) / self._inner.sum(1).clamp(min=1)
        )
