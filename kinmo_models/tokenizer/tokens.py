"""The tokens of a dataset's motions, computed once and memory-mapped: training never encodes a motion."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.places import cache_folder
from kinmo_annotate.schema.shards import DatasetError
from kinmo_models.data.cache import Progress, locked, new_folder
from kinmo_models.data.motions import MotionStore
from kinmo_models.tokenizer.coder import Tokens
from kinmo_models.tokenizer.tokenizer import Tokenizer

_FORMAT: Final = "1"  # of the cache; another number computes every cache anew
_FILES: Final = ("plain.npy", "mirrored.npy")
_AT_ONCE: Final = 256  # motions encoded between two tellings


class TokenisedMotions:
    """Tokens by motion, opened with `TokenisedMotions.of`. Places are those of the store.

    Attributes:
        lengths: (M,) tokens of each motion.
        mirrored_lengths: (M,) tokens of each mirrored motion.
    """

    def __init__(self, store: MotionStore, tokenizer: Tokenizer, arrays: list[Tokens]) -> None:
        self.lengths: NDArray[np.int64] = store.lengths // tokenizer.unit
        self.mirrored_lengths: NDArray[np.int64] = store.mirrored_lengths // tokenizer.unit
        self._arrays = arrays
        self._starts = [
            np.concatenate([[0], np.cumsum(lengths)]) for lengths in (self.lengths, self.mirrored_lengths)
        ]

    @classmethod
    def of(
        cls,
        store: MotionStore,
        tokenizer: Tokenizer,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> TokenisedMotions:
        """Open the tokens of a dataset; the first time, compute them. Each motion is encoded whole.

        The cache belongs to one state of the dataset and one tokenizer. It is made again where it is lost or
        damaged.

        Args:
            store: the motions.
            tokenizer: encodes them.
            cache_dir: root of the caches; None is the user's.
            progress: told how many motions of how many are done, mirrored ones counted too.

        Raises:
            DatasetError: the cache cannot be written.
        """
        root = cache_folder(cache_dir, "motion-tokens")
        folder = root / f"{store.fingerprint}-{tokenizer.fingerprint}-{_FORMAT}"
        arrays = _load(folder, store, tokenizer)
        if arrays is None:
            with locked(root):
                arrays = _load(folder, store, tokenizer)  # another process may have made it meanwhile
                if arrays is None:
                    with new_folder(folder) as temporary:
                        _make(temporary, store, tokenizer, progress)
                    arrays = _load(folder, store, tokenizer)
        if arrays is None:
            raise DatasetError(folder, "cannot be read although it was just written", "Check the disk.")
        return cls(store, tokenizer, arrays)

    def __len__(self) -> int:
        """How many motions there are."""
        return len(self.lengths)

    def tokens(self, index: int, mirrored: bool = False) -> Tokens:
        """Give the tokens of a motion: (n, levels) int16, a read-only mapped view."""
        starts = self._starts[mirrored]
        return self._arrays[mirrored][starts[index] : starts[index + 1]]


def _rows(store: MotionStore, tokenizer: Tokenizer) -> list[int]:
    """Tokens of all motions, and of all mirrored ones."""
    return [int((lengths // tokenizer.unit).sum()) for lengths in (store.lengths, store.mirrored_lengths)]


def _load(folder: Path, store: MotionStore, tokenizer: Tokenizer) -> list[Tokens] | None:
    """Map a cache; None where it is missing or damaged."""
    try:
        arrays = [np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in _FILES]
    except (OSError, ValueError, EOFError):
        return None
    kinds = [(array.dtype, array.shape) for array in arrays]
    right = [(np.dtype(np.int16), (rows, tokenizer.levels)) for rows in _rows(store, tokenizer)]
    return [np.asarray(array) for array in arrays] if kinds == right else None


def _make(folder: Path, store: MotionStore, tokenizer: Tokenizer, progress: Progress | None) -> None:
    """Encode all motions into a folder."""
    total = 2 * len(store)
    for mirrored, name in enumerate(_FILES):
        found: list[Tokens] = []
        for first in range(0, len(store), _AT_ONCE):
            places = range(first, min(first + _AT_ONCE, len(store)))
            found += tokenizer.encode([store.features(place, bool(mirrored)) for place in places])
            if progress:
                progress(mirrored * len(store) + places.stop, total)
        np.save(folder / name, np.concatenate(found), allow_pickle=False)
