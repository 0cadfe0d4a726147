"""Mean and standard deviation of features: fitted on the training split, kept with the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from kinmo_annotate.schema.features import BLOCKS, NUM_FEATURES
from kinmo_annotate.schema.shards import DatasetError, atomic_write

STATISTICS_NAME: Final = "statistics.safetensors"
_ROWS_AT_ONCE: Final = 16_384
_CONSTANT: Final = 1e-8  # a dimension that varies less is not scaled
# No deviation is below this share of its block's average. Rotations of joints that hardly turn vary by
# rounding alone: scaled to 1, that noise is all that a model sees of a motion decoded from tokens.
_LEAST_SHARE: Final = 0.1
_WEIGHTED: Final = ("root_yaw_velocity", "root_velocity", "root_height", "contacts")

Rows = TypeVar("Rows", NDArray[np.float32], torch.Tensor)


class Store(Protocol):
    """What is needed of a `MotionStore`."""

    def features(self, index: int, mirrored: bool = False) -> NDArray[np.float32]:
        """Features of a motion: (rows, 263)."""
        ...


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and standard deviation of each feature.

    Attributes:
        mean: (263,) float32.
        std: (263,) float32, above 0; 1 where a feature is constant.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        store: Store,
        indices: Sequence[int],
        mirrored: bool,
        *,
        families: bool = False,
        feat_bias: float = 1.0,
    ) -> Statistics:
        """Fit over the rows of motions, in float64, holding a bounded number of rows.

        By default mean and standard deviation of each dimension, as TMR, but none far below its block's.

        Args:
            store: the motions.
            indices: which of them; the training split.
            mirrored: their mirror images count too.
            families: put the average of each of HumanML3D's blocks in the place of its deviations (T2M).
            feat_bias: divides the deviations of root and contacts, which gives them more weight (T2M).

        Raises:
            ValueError: there are no rows.
        """
        count, mean, squares = 0, np.zeros(NUM_FEATURES), np.zeros(NUM_FEATURES)
        for rows in _chunks(store, indices, mirrored):
            # Two groups of rows become one (Chan, Golub and LeVeque 1979), without large sums of squares.
            shift = rows.mean(axis=0) - mean
            total = count + len(rows)
            squares += ((rows - rows.mean(axis=0)) ** 2).sum(axis=0) + shift**2 * (count * len(rows) / total)
            mean += shift * (len(rows) / total)
            count = total
        if not count:
            raise ValueError("statistics need at least one row of features")
        std = np.sqrt(squares / count)
        for block in BLOCKS.values():
            average = std[block].mean()
            std[block] = average if families else std[block].clip(_LEAST_SHARE * average)
        std[std < _CONSTANT] = 1.0
        for name in _WEIGHTED:
            std[BLOCKS[name]] /= feat_bias
        return cls(mean.astype(np.float32), std.astype(np.float32))

    def normalise(self, features: Rows) -> Rows:
        """Bring features (..., 263) to mean 0 and deviation 1."""
        mean, std = self._like(features)
        return (features - mean) / std

    def denormalise(self, features: Rows) -> Rows:
        """Bring normalised features (..., 263) back to metres and radians."""
        mean, std = self._like(features)
        return features * std + mean

    def _like(self, features: Rows) -> tuple[Rows, Rows]:
        """Mean and deviation of the kind, and on the device, of `features`."""
        if isinstance(features, torch.Tensor):
            mean, std = torch.from_numpy(self.mean), torch.from_numpy(self.std)
            return mean.to(features.device), std.to(features.device)
        return self.mean, self.std

    def save(self, folder: Path) -> None:
        """Write `statistics.safetensors`, whole or not at all.

        Raises:
            DatasetError: it cannot be written.
        """
        content = save({"mean": self.mean, "std": self.std})
        atomic_write(Path(folder) / STATISTICS_NAME, lambda file: file.write(content))

    @classmethod
    def load(cls, folder: Path) -> Statistics:
        """Read `statistics.safetensors`.

        Raises:
            DatasetError: it is missing or damaged.
        """
        path = Path(folder) / STATISTICS_NAME
        remedy = "Copy the model's folder again, or train it again."
        try:
            found = load_file(path)
            mean, std = found["mean"], found["std"]
        except (OSError, SafetensorError, KeyError):
            reason = "is damaged" if path.exists() else "is missing"
            raise DatasetError(path, reason, remedy) from None
        right = all(a.shape == (NUM_FEATURES,) and np.isfinite(a).all() for a in (mean, std))
        if not right or (std <= 0).any():
            raise DatasetError(path, f"does not hold mean and deviation of {NUM_FEATURES} features", remedy)
        return cls(mean.astype(np.float32), std.astype(np.float32))


def _chunks(store: Store, indices: Sequence[int], mirrored: bool) -> Iterator[NDArray[np.float64]]:
    """Give the rows of motions, a bounded number at a time."""
    gathered: list[NDArray[np.float32]] = []
    rows = 0
    for index in indices:
        for turned in (False, True)[: 1 + mirrored]:
            gathered.append(store.features(index, turned))
            rows += len(gathered[-1])
            if rows >= _ROWS_AT_ONCE:
                yield np.concatenate(gathered, dtype=np.float64)
                gathered, rows = [], 0
    if rows:
        yield np.concatenate(gathered, dtype=np.float64)
