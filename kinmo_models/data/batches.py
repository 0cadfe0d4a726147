"""Batches of motions with their texts, packed without padding and the same on any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch

from kinmo_annotate.schema.records import NOT_DETERMINED
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES
from kinmo_models.data.epochs import DataSettings, Epochs, Ints, Plan
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.statistics import Statistics
from kinmo_models.data.tokens import TextStore

_GROUPS: Final = len(GROUP_NAMES)


@dataclass
class Texts:
    """Texts of a batch, each distinct one once.

    Attributes:
        tokens: (M, width) float32, token features of U distinct texts one after the other.
        lengths: (U,) tokens of each; they sum to M.
        which: places among the U texts, in the shape in which the batch asks for them.
    """

    tokens: torch.Tensor
    lengths: torch.Tensor
    which: torch.Tensor

    def to(self, device: torch.device | str) -> Texts:
        """Copy to a device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Texts:
        """Move to memory from which a GPU copies fast."""
        return self._with(torch.Tensor.pin_memory)

    def _with(self, move: Callable[[torch.Tensor], torch.Tensor]) -> Texts:
        return Texts(move(self.tokens), move(self.lengths), move(self.which))


@dataclass
class Batch:
    """B motions with their texts.

    Attributes:
        indices: (B,) places in the store.
        features: (N, 263) float32, normalised, the motions one after the other.
        lengths: (B,) rows of each; they sum to N.
        caption: one global text a motion; `which` is (B,).
        groups: texts of the six groups; `which` is (B, 6).
        interactions: texts of the 15 pairs; `which` is (B, 15).
        caption_sentence: (B, D) float32, unit sentence embeddings of the captions.
        field_ids: (B, 21) ids of the texts of the fields: equal texts have equal ids in all batches.
        motion_ids: B ids. Those of mirrored motions are the ids of the motions that they mirror.
    """

    indices: torch.Tensor
    features: torch.Tensor
    lengths: torch.Tensor
    caption: Texts
    groups: Texts
    interactions: Texts
    caption_sentence: torch.Tensor
    field_ids: torch.Tensor
    motion_ids: list[str]

    def __len__(self) -> int:
        """How many motions there are."""
        return len(self.motion_ids)

    def to(self, device: torch.device | str) -> Batch:
        """Copy to a device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Move to memory from which a GPU copies fast."""
        return self._with(torch.Tensor.pin_memory)

    def _with(self, move: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        return replace(
            self,
            indices=move(self.indices),
            features=move(self.features),
            lengths=move(self.lengths),
            caption=self.caption._with(move),
            groups=self.groups._with(move),
            interactions=self.interactions._with(move),
            caption_sentence=move(self.caption_sentence),
        )


class MotionBatches:
    """Motions of a store as batches; `Epochs` says which there are.

    Attributes:
        settings: as given.
        left_out: how many motions or parts are left out, by reason.
    """

    def __init__(
        self,
        store: MotionStore,
        tokens: TextStore,
        statistics: Statistics,
        indices: Sequence[int],
        settings: DataSettings,
        seed: int,
        train: bool,
        sentences: TextStore | None = None,
    ) -> None:
        """Prepare batches.

        Args:
            store: the motions.
            tokens: token features of at least `store.distinct_texts(indices)`.
            statistics: how the features are normalised.
            indices: the motions to show; their order is that of the batches unless `train`.
            settings: see `DataSettings`.
            seed: of everything drawn.
            train: draw, shuffle and drop the last incomplete batch.
            sentences: where the captions' sentence embeddings are; None is `tokens`.

        Raises:
            DatasetError: nothing is left to show, or too little for one batch of training.
        """
        self._epochs = Epochs(store, indices, settings, seed, train)
        self.settings, self.left_out = settings, self._epochs.left_out
        self._store, self._tokens, self._statistics = store, tokens, statistics
        self._sentences = sentences or tokens
        self._captions = self._caption_ids(tokens)
        self._sentence_ids = self._caption_ids(sentences) if sentences else self._captions
        self._fields = self._field_ids()
        self._epochs.bring_together(lambda: self._sentences.sentences(self._sentence_ids[0]))
        self._not_determined = int(tokens.ids([NOT_DETERMINED])[0])

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._epochs)

    def steps(self, world: int = 1) -> int:
        """Batches of an epoch, the same on every process."""
        return self._epochs.steps(world)

    def epoch(self, number: int, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Give one process's batches of an epoch; see `Epochs.batches`."""
        return self._epochs.batches(number, rank, world, self._batch)

    def _caption_ids(self, known: TextStore) -> Ints:
        """Ids (2, captions) of the captions and of the mirrored ones."""
        texts, captions = self._store.texts, self._epochs.captions
        plain = known.ids(texts[index].captions[place].text for index, place in captions)
        if not self._epochs.mirrors:
            return np.stack([plain, plain])
        turned = known.ids(texts[index].mirrored_captions[place].text for index, place in captions)
        return np.stack([plain, turned])

    def _field_ids(self) -> Ints:
        """Ids (2, n, 21) of the fields of each item's motion and of its mirror image."""
        texts = [self._store.texts[index] for index in self._epochs.items.motion]
        plain, mirrors = self._tokens.ids(text for one in texts for text in one.fields), self._epochs.mirrors
        turned = self._tokens.ids(t for one in texts for t in one.mirrored_fields) if mirrors else plain
        return np.stack([plain, turned]).reshape(2, -1, len(FIELDS))

    def _batch(self, items: Ints, plan: Plan) -> Batch:
        """Gather one batch."""
        motions, mirrored = self._epochs.items.motion[items], plan.mirrored[items]
        rows = [
            self._store.features(index, turned)[start : start + length : self.settings.stride]
            for index, turned, start, length in zip(
                motions.tolist(),
                mirrored.tolist(),
                plan.start[items].tolist(),
                plan.length[items].tolist(),
                strict=True,
            )
        ]
        turned = mirrored.astype(np.int64)
        fields = self._fields[turned, items]
        fields = np.where(plan.dropped[items], self._not_determined, fields)
        said = turned, plan.caption[items]
        return Batch(
            indices=torch.from_numpy(motions),
            features=torch.from_numpy(self._statistics.normalise(np.concatenate(rows))),
            lengths=torch.from_numpy(-(-plan.length[items] // self.settings.stride)),
            caption=self._texts(self._captions[said]),
            groups=self._texts(fields[:, :_GROUPS]),
            interactions=self._texts(fields[:, _GROUPS:]),
            caption_sentence=torch.from_numpy(self._sentences.sentences(self._sentence_ids[said])),
            field_ids=torch.from_numpy(fields),
            motion_ids=[self._store.motion_ids[index] for index in motions],
        )

    def _texts(self, ids: Ints) -> Texts:
        """Gather each distinct text once."""
        distinct, which = np.unique(ids, return_inverse=True)
        packed, lengths = self._tokens.gather(distinct)
        return Texts(
            torch.from_numpy(packed), torch.from_numpy(lengths), torch.from_numpy(which.reshape(ids.shape))
        )
