"""Batches of motion tokens with the latents of their texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor

from kinmo_annotate.schema.records import NOT_DETERMINED
from kinmo_models.data.epochs import DataSettings, Epochs, Ints, Plan
from kinmo_models.data.motions import MotionStore
from kinmo_models.generation.conditions import ConditionStore
from kinmo_models.tokenizer.config import UNIT

if TYPE_CHECKING:
    from kinmo_models.tokenizer.tokens import TokenisedMotions


@dataclass
class TokenBatch:
    """B motions as tokens, with the latents of their texts.

    Attributes:
        tokens: (N, L) int64, the motions one after the other.
        lengths: (B,) tokens of each; they sum to N.
        latents: (B, C, w) float32 of caption, groups and interactions.
        present: (B, C) which of them are there.
    """

    tokens: Tensor
    lengths: Tensor
    latents: Tensor
    present: Tensor

    def __len__(self) -> int:
        """How many motions there are."""
        return len(self.lengths)

    def to(self, device: torch.device | str) -> Self:
        """Copy to a device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """Move to memory from which a GPU copies fast."""
        return self._with(torch.Tensor.pin_memory)

    def _with(self, move: Callable[[Tensor], Tensor]) -> Self:
        """Move every tensor, those of a subclass too."""
        return replace(self, **{one.name: move(getattr(self, one.name)) for one in fields(self)})


class TokenBatches:
    """Motions of a store as batches of tokens; `Epochs` says which there are.

    Windows begin at a whole token.
    """

    def __init__(
        self,
        store: MotionStore,
        tokens: TokenisedMotions,
        conditions: ConditionStore,
        indices: Sequence[int],
        settings: DataSettings,
        seed: int,
        train: bool,
        places: int,
    ) -> None:
        """Prepare batches.

        Args:
            store: the motions.
            tokens: of the motions.
            conditions: latents of their texts.
            indices: the motions to show; their order is that of the batches unless `train`.
            settings: see `DataSettings`.
            seed: of everything drawn.
            train: draw, shuffle and drop the last incomplete batch.
            places: C, of text that the model knows.

        Raises:
            DatasetError: nothing is left to show, or too little for one batch of training.
        """
        self._epochs = Epochs(store, indices, settings, seed, train)
        self._tokens, self._conditions, self._places = tokens, conditions, places
        texts = [store.texts[index].fields for index in self._epochs.items.motion]
        self._said = np.array([[text != NOT_DETERMINED for text in one] for one in texts])
        self._captions = np.array([place for _, place in self._epochs.captions])

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._epochs)

    def steps(self, world: int = 1) -> int:
        """Batches of an epoch, the same on every process."""
        return self._epochs.steps(world)

    def epoch(self, number: int, rank: int = 0, world: int = 1) -> Iterator[TokenBatch]:
        """Give one process's batches of an epoch; see `Epochs.batches`."""
        return self._epochs.batches(number, rank, world, self._batch)

    def _batch(self, items: Ints, plan: Plan) -> TokenBatch:
        """Gather one batch."""
        motions = self._epochs.items.motion[items].tolist()
        mirrored = plan.mirrored[items].tolist()
        captions = self._captions[plan.caption[items]].tolist()
        tokens = [
            self._tokens.tokens(motion, turned)[span]
            for motion, turned, span in zip(motions, mirrored, self._spans(items, plan), strict=True)
        ]
        latents = np.stack(
            [
                self._conditions.latents(*said)[: self._places]
                for said in zip(motions, captions, mirrored, strict=True)
            ]
        )
        fields = self._said[items] & ~plan.dropped[items]
        present = np.concatenate([np.ones((len(items), 1), bool), fields], 1)[:, : self._places]
        return TokenBatch(
            torch.from_numpy(np.concatenate(tokens).astype(np.int64)),
            torch.tensor([len(one) for one in tokens]),
            torch.from_numpy(latents).float(),
            torch.from_numpy(present),
        )

    def _spans(self, items: Ints, plan: Plan) -> Iterator[slice]:
        """Which tokens stand for the rows that are shown of each item, at least one."""
        for item in items.tolist():
            motion, mirrored = int(self._epochs.items.motion[item]), bool(plan.mirrored[item])
            there = len(self._tokens.tokens(motion, mirrored))
            count = min(max(int(plan.length[item]) // UNIT, 1), there)
            first = min(int(plan.start[item]) // UNIT, there - count)
            yield slice(first, first + count)
