"""What the generator is told: text latents of the frozen text encoder, computed once and kept on disk.

Two encoders stand behind one protocol: the hierarchical one of a trained retrieval model (HTMA), and a plain
sentence encoder, as MoMask has one.

    <cache>/conditions/<dataset>-<encoder>-<format>/latents.f16    (rows, C, w), memory-mapped

Row of a motion's caption k, in the mirror or not: `starts[motion] + 2 * k + mirrored`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.places import cache_folder
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_models.data.cache import Progress, locked, new_folder
from kinmo_models.data.motions import MotionStore, MotionTexts
from kinmo_models.data.tokens import TokenStore
from kinmo_models.generation.model import LEVELS, PLACES
from kinmo_models.layers.language import LanguageModel
from kinmo_models.retrieval.retriever import Retriever
from kinmo_models.training.pretrained import copy_model

Latents = NDArray[np.float32]

_FILE: Final = "latents.f16"
_FORMAT: Final = "1"  # of the cache; another number computes every cache anew
_AT_ONCE: Final = 128  # captions encoded together


class TextEncoder(Protocol):
    """A frozen encoder of a caption and 21 fields.

    Attributes:
        name: what it is called in reports.
        fingerprint: encoders with the same give the same latents.
        width: w, of a latent.
        levels: of text that it knows, G first.
    """

    name: str
    fingerprint: str
    width: int
    levels: tuple[str, ...]

    def encode(self, captions: Sequence[str], fields: Sequence[Sequence[str]]) -> Latents:
        """Encode n captions with their 21 fields each: (n, C, w), C being the places of all its levels."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `open_text_encoder` needs; nothing, where the encoder comes with KinMo."""
        ...


class HtmaText:
    """The text side of a trained retrieval model: T_global, T_joint and T_inter of KinMo, 3.4.

    Attributes:
        retriever: the model, which knows motions too.
    """

    def __init__(self, folder: Path, device: str | None = None, cache_dir: Path | None = None) -> None:
        self._folder = folder
        self.retriever = Retriever.from_pretrained(folder, device=device, cache_dir=cache_dir)
        self.name, self.fingerprint = "HTMA", self.retriever.fingerprint
        self.width = self.retriever.config.model.width
        self.levels = self.retriever.levels

    def encode(self, captions: Sequence[str], fields: Sequence[Sequence[str]]) -> Latents:
        """See `TextEncoder`."""
        said = [dict(zip(FIELDS, one, strict=True)) for one in fields]
        return self.retriever.encode_latents(captions, said)

    def save(self, folder: Path) -> None:
        """Copy the retrieval model."""
        copy_model(self._folder, folder)


class SentenceText:
    """A plain sentence encoder, text by text: what MoMask is told, by all-MiniLM-L6-v2 instead of CLIP."""

    def __init__(self, device: str | None = None, cache_dir: Path | None = None) -> None:
        self._language, self._cache_dir = LanguageModel.open(device=device), cache_dir
        self.name, self.fingerprint = "sentence", self._language.fingerprint
        self.width = self._language.width
        self.levels: tuple[str, ...] = LEVELS

    def encode(self, captions: Sequence[str], fields: Sequence[Sequence[str]]) -> Latents:
        """See `TextEncoder`."""
        texts = [text for caption, rest in zip(captions, fields, strict=True) for text in (caption, *rest)]
        distinct = list(dict.fromkeys(texts))
        place = {text: number for number, text in enumerate(distinct)}
        known = self._known(distinct)
        return known[[place[text] for text in texts]].reshape(len(captions), PLACES[-1], self.width)

    def _known(self, texts: list[str]) -> Latents:
        """Sentence embeddings of a few texts, or those kept on disk of many."""
        if len(texts) < _AT_ONCE:
            means = np.stack([one.mean(0) for one in self._language.encode(texts)])
            return means / np.linalg.norm(means, axis=1, keepdims=True)
        store = TokenStore.of(texts, self._language, self._cache_dir)
        return store.sentences(store.ids(texts))

    def save(self, folder: Path) -> None:
        """Write nothing: the encoder comes with KinMo."""


def open_text_encoder(
    folder: Path | None, device: str | None = None, cache_dir: Path | None = None
) -> TextEncoder:
    """Open the text side of a retrieval model, or without one the sentence encoder that comes with KinMo.

    Raises:
        TrainingError: there is no such retrieval model, or it is damaged.
        LanguageModelError: the language model cannot be opened.
    """
    if folder is None:
        return SentenceText(device, cache_dir)
    return HtmaText(folder, device, cache_dir)


def places_of(levels: Sequence[str]) -> int:
    """Count the places of text of some levels."""
    return PLACES[len(levels) - 1]


class ConditionStore:
    """Latents of all texts of a dataset, memory-mapped."""

    def __init__(self, store: MotionStore, latents: NDArray[np.float16]) -> None:
        self._starts, self._latents = _starts(store), latents

    @classmethod
    def of(
        cls,
        store: MotionStore,
        encoder: TextEncoder,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> ConditionStore:
        """Open the latents of a dataset; the first time, compute them.

        Raises:
            DatasetError: the cache cannot be written.
        """
        root = cache_folder(cache_dir, "conditions")
        folder = root / f"{store.fingerprint}-{encoder.name}-{encoder.fingerprint}-{_FORMAT}"
        shape = (_starts(store)[-1], places_of(encoder.levels), encoder.width)
        found = _map(folder / _FILE, shape)
        if found is None:
            with locked(root):
                found = _map(folder / _FILE, shape)
                if found is None:
                    with new_folder(folder) as temporary:
                        _make(store, encoder, temporary / _FILE, progress)
                    found = _map(folder / _FILE, shape)
        if found is None:
            raise DatasetError(folder, "cannot be read although it was just written", "Check the disk.")
        return cls(store, found)

    def latents(self, motion: int, caption: int, mirrored: bool) -> NDArray[np.float16]:
        """Latents (C, w) of a motion's caption and fields."""
        return self._latents[self._starts[motion] + 2 * caption + mirrored]


def _starts(store: MotionStore) -> list[int]:
    return [0, *np.cumsum([2 * len(texts.captions) for texts in store.texts]).tolist()]


def _map(path: Path, shape: tuple[int, ...]) -> NDArray[np.float16] | None:
    """Map the file of latents; None where it is missing or of another size."""
    try:
        if path.stat().st_size != 2 * int(np.prod(shape)):
            return None
        return np.asarray(np.memmap(path, dtype="<f2", mode="r", shape=shape))
    except (OSError, ValueError):
        return None


def _make(store: MotionStore, encoder: TextEncoder, path: Path, progress: Progress | None) -> None:
    """Encode all captions, with the fields of their motion, as they are and in the mirror."""
    rows = list(_said(store.texts))
    with path.open("wb") as file:
        for start in range(0, len(rows), _AT_ONCE):
            captions, fields = zip(*rows[start : start + _AT_ONCE], strict=True)
            latents = encoder.encode(captions, fields)
            file.write(latents.astype("<f2").tobytes())
            if progress:
                progress(min(start + _AT_ONCE, len(rows)), len(rows))


def _said(texts: Sequence[MotionTexts]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give captions with fields in the order of the rows."""
    for one in texts:
        for plain, turned in zip(one.captions, one.mirrored_captions, strict=True):
            yield plain.text, one.fields
            yield turned.text, one.mirrored_fields
