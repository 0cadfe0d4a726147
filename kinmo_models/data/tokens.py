"""Token features of every distinct text, computed once by a frozen language model and kept on disk.

    <cache>/tokens/<model>/part-00000/    texts in the order in which they were computed
      keys.npy         (n, 16) uint8, digest of each text
      lengths.npy      (n,) int32, tokens of each text
      sentences.npy    (n, D) float32, unit sentence embeddings
      tokens.npy       (N, D) float16, the token features of all texts one after the other

A text that is in any part is never computed again, whatever dataset it came from. Parts are written whole and
renamed: what a killed run had in hand is computed again, nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from kinmo_annotate.schema.places import cache_folder
from kinmo_models.data.cache import Progress, locked, new_folder

Vectors: TypeAlias = NDArray[np.float32]
Ids: TypeAlias = NDArray[np.int64]

_FORMAT: Final = "1"  # of the parts; another number computes everything anew
_KEY_BYTES: Final = 16
_FILES: Final = ("keys", "lengths", "sentences", "tokens")
# A part is written after so much work, which is the most that a kill can lose. Every part keeps two files
# open, so there must not be too many of them.
_PART_TOKENS: Final = 1 << 18
_PART_S: Final = 60.0


class Encoder(Protocol):
    """What is needed of a `LanguageModel`."""

    name: str
    fingerprint: str
    width: int

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Vectors]]:
        """Encode texts batch by batch: places in `texts`, and features (n, L, width)."""
        ...


class TextStore(Protocol):
    """What batches need of a store of texts: `TokenStore` has it."""

    def ids(self, texts: Iterable[str]) -> Ids:
        """Find texts: (n,) ids."""
        ...

    def gather(self, ids: ArrayLike) -> tuple[Vectors, Ids]:
        """Read token features (N, width) of texts, one after the other, and their lengths (n,)."""
        ...

    def sentences(self, ids: ArrayLike) -> Vectors:
        """Read sentence embeddings: (n, D) unit rows."""
        ...


@dataclass(frozen=True, slots=True)
class _Part:
    """The four arrays of a part; the large two are mapped."""

    keys: NDArray[np.uint8]
    lengths: NDArray[np.int32]
    sentences: Vectors
    tokens: NDArray[np.float16]


class TokenStore:
    """Token features by text, opened with `TokenStore.of`. Ids are valid for this object alone.

    Attributes:
        width: size of a token's features.
    """

    def __init__(self, width: int, parts: Sequence[_Part]) -> None:
        self.width = width
        self._parts = list(parts)
        self._lengths = np.concatenate([np.empty(0, np.int64), *(part.lengths for part in parts)])
        self._part = np.repeat(np.arange(len(parts)), [len(part.lengths) for part in parts])
        self._row = np.concatenate([np.empty(0, np.int64), *(np.arange(len(p.lengths)) for p in parts)])
        ends = [np.cumsum(part.lengths, dtype=np.int64) for part in parts]
        self._end = np.concatenate([np.empty(0, np.int64), *ends])
        keys = b"".join(part.keys.tobytes() for part in parts)
        self._ids = {
            keys[place * _KEY_BYTES : (place + 1) * _KEY_BYTES]: place for place in range(len(self._lengths))
        }

    @classmethod
    def of(
        cls,
        texts: Iterable[str],
        language: Encoder,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> TokenStore:
        """Open the features of texts; those that are not known yet are computed first.

        It may be killed at any time and goes on where it was when it is called again.

        Args:
            texts: repeats allowed.
            language: computes the features.
            cache_dir: root of the caches; None is the user's (`XDG_CACHE_HOME` or `~/.cache`, then kinmo).
            progress: told how many distinct texts of how many are known; called only when some are not.

        Raises:
            DatasetError: the cache cannot be written.
        """
        wanted = {_key(text): text for text in texts}
        model = f"{Path(language.name).name}-{language.fingerprint}-{_FORMAT}"
        folder = cache_folder(cache_dir, "tokens") / model
        store = cls(language.width, _open_parts(folder, language.width))
        if store._lacks(wanted):
            with locked(folder):
                # another process may have computed them meanwhile
                store = cls(language.width, _open_parts(folder, language.width))
                missing = store._lacks(wanted)
                _compute(folder, missing, language, len(wanted), progress)
            store = cls(language.width, _open_parts(folder, language.width))
        return store

    def __len__(self) -> int:
        """How many texts are known, of whatever dataset."""
        return len(self._lengths)

    def _lacks(self, wanted: dict[bytes, str]) -> list[str]:
        return [text for key, text in wanted.items() if key not in self._ids]

    def ids(self, texts: Iterable[str]) -> Ids:
        """Find texts: (n,) ids.

        Raises:
            KeyError: a text was not among those that the store was opened with.
        """
        found = self._ids
        return np.fromiter((found[_key(text)] for text in texts), np.int64)

    def length(self, ids: ArrayLike) -> Ids:
        """Tokens of each text, in the shape of `ids`."""
        return self._lengths[np.asarray(ids)]

    def gather(self, ids: ArrayLike) -> tuple[Vectors, Ids]:
        """Read the token features of texts.

        Args:
            ids: (n,) ids.

        Returns:
            (N, width) float32, the texts one after the other, and their lengths (n,), which sum to N.
        """
        places = np.asarray(ids, np.int64)
        lengths = self._lengths[places]
        ends = self._end[places]
        slices = [
            self._parts[part].tokens[start:end]
            for part, start, end in zip(
                self._part[places].tolist(), (ends - lengths).tolist(), ends.tolist(), strict=True
            )
        ]
        packed = np.concatenate([np.empty((0, self.width), np.float16), *slices])
        # torch turns half into single precision several times as fast as numpy
        return torch.from_numpy(packed).float().numpy(), lengths

    def sentences(self, ids: ArrayLike) -> Vectors:
        """Read sentence embeddings: (n, width) float32, the mean of a text's token features at length 1.

        Of all-MiniLM-L6-v2 this is its sBERT embedding.
        """
        places = np.asarray(ids, np.int64)
        rows = zip(self._part[places].tolist(), self._row[places].tolist(), strict=True)
        found = [self._parts[part].sentences[row] for part, row in rows]
        return np.stack(found) if found else np.empty((0, self.width), np.float32)


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "backslashreplace"), digest_size=_KEY_BYTES).digest()


def _open_parts(folder: Path, width: int) -> list[_Part]:
    """Map the parts of a model; damaged ones count as absent."""
    found = (_open_part(path, width) for path in sorted(folder.glob("part-*")))
    return [part for part in found if part is not None]


def _open_part(folder: Path, width: int) -> _Part | None:
    try:
        arrays = [np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _FILES]
    except (OSError, ValueError, EOFError):
        return None
    keys, lengths, sentences, tokens = (np.asarray(array) for array in arrays)
    n = len(lengths)
    kinds = [(a.dtype, a.shape) for a in (keys, lengths, sentences, tokens)]
    right = [
        (np.dtype(np.uint8), (n, _KEY_BYTES)),
        (np.dtype(np.int32), (n,)),
        (np.dtype(np.float32), (n, width)),
        (np.dtype(np.float16), (int(lengths.sum()), width)),
    ]
    if kinds != right:
        return None
    return _Part(keys.copy(), lengths.copy(), sentences, tokens)  # small, and need no open file


def _compute(
    folder: Path, texts: list[str], language: Encoder, total: int, progress: Progress | None
) -> None:
    """Compute the features of texts and write them, part by part."""
    done = total - len(texts)
    if progress:
        progress(done, total)
    pending, began = _Pending(folder), time.monotonic()
    try:
        for places, features in language.batches(texts):
            pending.add([texts[place] for place in places], features)
            done += len(places)
            if pending.tokens >= _PART_TOKENS or time.monotonic() - began > _PART_S:
                pending.write()
                began = time.monotonic()
            if progress:
                progress(done, total)
    except KeyboardInterrupt:
        pending.write()
        raise
    pending.write()


class _Pending:
    """Texts whose features are computed and not yet written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clear()

    def _clear(self) -> None:
        self.tokens = 0
        self._keys: list[bytes] = []
        self._lengths: list[int] = []
        self._sentences: list[Vectors] = []
        self._features: list[NDArray[np.float16]] = []

    def add(self, texts: list[str], features: Vectors) -> None:
        """Take n texts with features (n, L, width)."""
        self._keys += [_key(text) for text in texts]
        self._lengths += [features.shape[1]] * len(texts)
        means = features.mean(axis=1)
        self._sentences.append(means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12))
        most = np.finfo(np.float16).max
        half = np.clip(features, -most, most).astype(np.float16)
        self._features.append(half.reshape(-1, features.shape[2]))
        self.tokens += len(self._features[-1])

    def write(self) -> None:
        """Write a part of them."""
        if not self._keys:
            return
        arrays: dict[str, NDArray[Any]] = {
            "keys": np.frombuffer(b"".join(self._keys), np.uint8).reshape(-1, _KEY_BYTES),
            "lengths": np.array(self._lengths, np.int32),
            "sentences": np.concatenate(self._sentences),
            "tokens": np.concatenate(self._features),
        }
        with new_folder(self._folder / f"part-{self._number():05d}") as temporary:
            for name, array in arrays.items():
                np.save(temporary / f"{name}.npy", array, allow_pickle=False)
        self._clear()

    def _number(self) -> int:
        """Number of the first part that is absent or damaged."""
        number, width = 0, self._features[0].shape[1]
        while _open_part(self._folder / f"part-{number:05d}", width) is not None:
            number += 1
        return number
