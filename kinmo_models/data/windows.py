"""Windows of motions as batches of one shape, without texts: what a motion tokenizer is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kinmo_annotate.schema.features import NUM_FEATURES
from kinmo_annotate.schema.shards import DatasetError
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.statistics import Statistics


@dataclass
class Windows:
    """B windows of motions.

    Attributes:
        features: (B, W, 263) float32, normalised; 0 behind the end of a motion shorter than the window.
        lengths: (B,) rows of each that are a motion's.
    """

    features: torch.Tensor
    lengths: torch.Tensor

    def to(self, device: torch.device | str) -> Windows:
        """Copy to a device."""
        moved = (one.to(device, non_blocking=True) for one in (self.features, self.lengths))
        return Windows(*moved)


class WindowBatches:
    """Windows drawn from motions: of each motion, in an epoch, as many as lie in it side by side.

    A motion shorter than a window is shown whole, cut to a multiple of `unit` rows. Everything drawn is a
    function of seed and epoch alone, so that any number of processes sees the same batches.

    Motions shorter than `unit` rows are left out.

    Attributes:
        count: windows of an epoch.
    """

    def __init__(
        self,
        store: MotionStore,
        statistics: Statistics,
        indices: Sequence[int],
        *,
        batch_size: int,
        window: int,
        unit: int,
        mirror: bool,
        seed: int,
    ) -> None:
        """Plan what an epoch shows.

        Args:
            store: the motions.
            statistics: how the features are normalised.
            indices: the motions to show.
            batch_size: windows of a batch, over all processes together.
            window: rows of a window, a multiple of `unit`.
            unit: rows of a motion token.
            mirror: show a window in the mirror half of the time.
            seed: of everything drawn.

        Raises:
            DatasetError: the motions hold too few windows for one batch.
        """
        self._store, self._statistics = store, statistics
        self._size, self._window, self._unit, self._mirror, self._seed = (
            batch_size,
            window,
            unit,
            mirror,
            seed,
        )
        lengths = store.lengths[indices]
        if mirror:
            lengths = np.minimum(lengths, store.mirrored_lengths[indices])
        kept = lengths >= unit
        times = np.maximum(lengths[kept] // window, 1)
        self._motion: NDArray[np.int64] = np.repeat(np.asarray(indices, np.int64)[kept], times)
        self._length: NDArray[np.int64] = np.repeat(lengths[kept], times)
        self.count = len(self._motion)
        if self.count < batch_size:
            raise DatasetError(
                store.dataset,
                f"has {self.count} windows of {window} frames to train on,"
                f" too few for one batch of {batch_size}",
                "Annotate more motions, or make batches smaller with --set data.batch_size=...",
            )

    def steps(self, world: int = 1) -> int:
        """Batches of an epoch, the same on every process.

        Raises:
            ValueError: the batch size is no multiple of `world`.
        """
        if self._size % world:
            raise ValueError(f"batches of {self._size} cannot be shared by {world} processes equally")
        return self.count // self._size

    def epoch(self, number: int, rank: int = 0, world: int = 1) -> Iterator[Windows]:
        """Give this process's share of each batch of an epoch; windows left over at its end are not shown."""
        random = np.random.default_rng([self._seed, number])
        mirrored = (random.random(self.count) < 0.5) & self._mirror
        room = np.maximum(self._length - self._window, 0)
        start = random.integers(room, endpoint=True)
        order = random.permutation(self.count)
        for step in range(self.steps(world)):
            places = order[step * self._size + rank : (step + 1) * self._size : world]
            yield self._batch(places, mirrored, start)

    def _batch(
        self, places: NDArray[np.int64], mirrored: NDArray[np.bool_], start: NDArray[np.int64]
    ) -> Windows:
        lengths = np.minimum(self._length[places] // self._unit * self._unit, self._window)
        features = np.zeros((len(places), self._window, NUM_FEATURES), np.float32)
        for row, place, length in zip(features, places.tolist(), lengths.tolist(), strict=True):
            first = int(start[place])
            rows = self._store.features(int(self._motion[place]), bool(mirrored[place]))
            row[:length] = self._statistics.normalise(rows[first : first + length])
        return Windows(torch.from_numpy(features), torch.from_numpy(lengths))
