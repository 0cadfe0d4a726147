"""Batches of motion tokens with the true places of all joints, of which a part will be the path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinmo_annotate.schema.features import features_to_joints
from kinmo_annotate.schema.skeleton import JOINT, NUM_JOINTS
from kinmo_models.data.epochs import Ints, Plan
from kinmo_models.data.motions import MotionStore
from kinmo_models.generation.batches import TokenBatch, TokenBatches
from kinmo_models.tokenizer.config import UNIT
from kinmo_models.tokenizer.model import token_mask

# Joints that are controlled in OmniControl.
USUAL = tuple(
    JOINT[name] for name in ("pelvis", "left_foot", "right_foot", "head", "left_wrist", "right_wrist")
)
# Those that go together.
_PAIRS = ((JOINT["left_wrist"], JOINT["right_wrist"]), (JOINT["left_foot"], JOINT["right_foot"]))
# Shares of the motions: one usual joint is held, the pelvis, such a pair, some usual joints, any one joint.
_SHARES = (0.3, 0.15, 0.15, 0.25, 0.15)


@dataclass
class PathBatch(TokenBatch):
    """B motions as tokens, with texts and joints.

    Attributes:
        joints: (B, T, 22, 3) metres, each motion from the origin, facing +z; 0 behind its end.
    """

    joints: Tensor


class PathBatches(TokenBatches):
    """Motions of a store as batches of tokens with joints; see `TokenBatches`."""

    def __init__(self, store: MotionStore, *rest: Any) -> None:
        super().__init__(store, *rest)
        self._store = store

    def epoch(self, number: int, rank: int = 0, world: int = 1) -> Iterator[PathBatch]:
        """Give one process's batches of an epoch; see `Epochs.batches`."""
        return self._epochs.batches(number, rank, world, self._batch)

    def _batch(self, items: Ints, plan: Plan) -> PathBatch:
        batch = super()._batch(items, plan)
        joints = np.zeros((len(items), int(batch.lengths.max()) * UNIT, NUM_JOINTS, 3), np.float32)
        motions, mirrored = self._epochs.items.motion[items].tolist(), plan.mirrored[items].tolist()
        spans = self._spans(items, plan)
        for row, motion, turned, span in zip(joints, motions, mirrored, spans, strict=True):
            rows = self._store.features(motion, turned)[span.start * UNIT : span.stop * UNIT]
            row[: len(rows)] = features_to_joints(rows)
        rest = (batch.tokens, batch.lengths, batch.latents, batch.present)
        return PathBatch(*rest, torch.from_numpy(joints))


def draw_held(lengths: Tensor, random: torch.Generator | None = None) -> Tensor:
    """Draw what is held of motions while control learns.

    Joints: one of the six that are usual, the pelvis, both wrists or both feet, some of the six together, or
    any one of the 22 (`_SHARES`). Frames: all in a quarter of the motions, up to five in a quarter, any
    number in the others.

    Args:
        lengths: (B,) motion tokens of each.
        random: where chance comes from; None is torch's own.

    Returns:
        (B, T, 22) bool on the device of `lengths`, T that of the longest; true in at least one place of each.
    """
    count, frames = len(lengths), int(lengths.max()) * UNIT

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=random).to(lengths.device)

    kind, one = uniform(count, 1), uniform(count, 1)
    usual = torch.tensor(USUAL, device=lengths.device)
    numbers = torch.arange(NUM_JOINTS, device=lengths.device)
    among = torch.zeros(count, NUM_JOINTS, dtype=torch.bool, device=lengths.device)
    among[:, usual] = uniform(count, len(USUAL)) < 0.5
    chosen = usual[(one * len(USUAL)).long()] == numbers
    among |= chosen  # never none
    pair = torch.tensor(_PAIRS, device=lengths.device)[(one[:, 0] * len(_PAIRS)).long()]
    both = (pair[..., None] == numbers).any(1)
    pelvis, any_one = (numbers == USUAL[0]).expand_as(among), (one * NUM_JOINTS).long() == numbers
    which = torch.bucketize(kind[:, 0], torch.tensor(_SHARES, device=lengths.device).cumsum(0)[:-1])
    kinds = torch.stack([chosen, pelvis, both, among, any_one])
    joints = kinds[which, torch.arange(count, device=lengths.device)]
    rows = lengths * UNIT
    how, share = uniform(count), uniform(count)
    wanted = torch.where(how < 0.5, 1 + (share * 5).long(), 1 + (share * rows).long())
    wanted = torch.where(how < 0.25, rows, wanted).minimum(rows)
    inside = token_mask(rows, frames)
    order = (uniform(count, frames) + ~inside).argsort(1).argsort(1)
    return (order < wanted[:, None])[..., None] & joints[:, None]
