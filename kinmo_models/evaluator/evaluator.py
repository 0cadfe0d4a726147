"""A trained evaluator, to encode texts and motions with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from kinmo_annotate.schema.features import NUM_FEATURES
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import sha256_of
from kinmo_models.data.statistics import Statistics
from kinmo_models.evaluator.config import EvaluatorConfig
from kinmo_models.evaluator.networks import LONGEST, UNIT, EvaluatorNetworks
from kinmo_models.evaluator.public import read_networks, read_statistics
from kinmo_models.evaluator.tags import read_tags
from kinmo_models.evaluator.words import WORDS, WordVectors
from kinmo_models.training.checkpoint import resolve_model
from kinmo_models.training.config import from_yaml
from kinmo_models.training.errors import TrainingError
from kinmo_models.training.folder import CONFIG
from kinmo_models.training.pretrained import best_device, load_weights, model_fingerprint, read_meta

Vectors = NDArray[np.float32]

KIND: Final = "evaluator"
LEAST_ROWS: Final = 4 * UNIT
_AT_ONCE: Final = 128  # motions or texts in one forward
_DIGITS: Final = 8  # of the fingerprint, in the name


class Evaluator:
    """Encodes texts and motions as latents that lie close, by Euclidean distance, where they belong together.

    `Evaluator.from_pretrained("RUN").encode_texts(["a person waves"])`

    Attributes:
        name: stands beside every figure: "own@..." of one that was trained here, "T2M@..." of a public one.
        fingerprint: digest of all that makes its latents.
        meta: what its meta.json says; empty of a public one.
        width: numbers of a latent, 512 of T2M.
    """

    def __init__(
        self,
        networks: EvaluatorNetworks,
        statistics: Statistics,
        words: WordVectors,
        *,
        kind: str,
        fingerprint: str,
        meta: Mapping[str, Any],
        device: str,
    ) -> None:
        self.name, self.fingerprint = f"{kind}@{fingerprint[:_DIGITS]}", fingerprint
        self.meta = dict(meta)
        self.width = networks.width
        self._networks = networks.to(device).eval().requires_grad_(False)
        self._statistics, self._words, self._device = statistics, words, device

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        vectors: Path | None = None,
        statistics: Path | None = None,
        texts: Path | None = None,
        device: str | None = None,
    ) -> Evaluator:
        """Load an evaluator: a trained one, or the public checkpoint.

        Args:
            model: a RUN folder, a checkpoint's folder, a name on the hub, or T2M's finest.tar.
            vectors: of finest.tar: words and their GloVe vectors, see `WordVectors.load`.
            statistics: of finest.tar: folder of mean.npy and std.npy; None looks where T2M keeps them.
            texts: HumanML3D's folder `texts`, with the captions' words and tags; None reads them by rule.
            device: "cpu", "cuda", ...; None is a GPU where there is one.

        Raises:
            TrainingError: there is no such model, it is damaged, of another kind, or lacks what it needs.
        """
        tags = read_tags(texts) if texts is not None else None
        chosen = best_device(device)
        if Path(model).is_file() or Path(model).suffix == ".tar":
            return cls._public(Path(model), vectors, statistics, tags, chosen)
        folder = resolve_model(model)
        meta = read_meta(folder, KIND)
        config = from_yaml(EvaluatorConfig, folder / CONFIG)
        words = WordVectors.load(folder / WORDS, tags)
        networks = EvaluatorNetworks(config.model, words.width)
        load_weights(networks, folder)
        fingerprint = _digest(model_fingerprint(folder), sha256_of(folder / WORDS))
        found = Statistics.load(folder)
        return cls(networks, found, words, kind="own", fingerprint=fingerprint, meta=meta, device=chosen)

    @classmethod
    def _public(
        cls, path: Path, vectors: Path | None, statistics: Path | None, tags: Any, device: str
    ) -> Evaluator:
        networks = read_networks(path)
        if vectors is None:
            remedy = "Name a file of GloVe's vectors with 300 numbers a word: --vectors FILE."
            raise TrainingError(path, "reads words as GloVe vectors, and none are named", remedy)
        words, found = WordVectors.load(vectors, tags), read_statistics(path, statistics)
        wanted = networks.text_encoder.input_emb.in_features
        if words.width != wanted:
            remedy = f"Give those with {wanted} numbers."
            raise TrainingError(vectors, f"holds vectors of {words.width} numbers a word", remedy)
        parts = (
            "\n".join(words.words).encode(),
            words.vectors.tobytes(),
            found.mean.tobytes(),
            found.std.tobytes(),
        )
        fingerprint = _digest(sha256_of(path), *(hashlib.sha256(part).hexdigest() for part in parts))
        return cls(networks, found, words, kind="T2M", fingerprint=fingerprint, meta={}, device=device)

    def encode_texts(self, captions: Sequence[str]) -> Vectors:
        """Encode texts: n captions to (n, width) float32."""
        rows = [self._words.rows(caption) for caption in captions]
        return self._encode(rows, self._networks.encode_texts)

    def encode_motions(self, features: Sequence[NDArray[np.float32]]) -> Vectors:
        """Encode motions.

        Rows beyond the last multiple of 4, and beyond 196, are left out.

        Args:
            features: n arrays (T', 263), not normalised, of 16 rows or more.

        Returns:
            (n, width) float32.

        Raises:
            MotionError: one is shorter, of another width, or not finite.
        """
        for number, one in enumerate(features, 1):
            _check(one, f"motion {number}")
        normalised = [self._statistics.normalise(np.asarray(one[:LONGEST], np.float32)) for one in features]
        return self._encode(normalised, self._networks.encode_motions)

    def _encode(self, rows: Sequence[Vectors], network: Any) -> Vectors:
        """Run a network over sequences, those of like length together."""
        latents = np.empty((len(rows), self.width), np.float32)
        order = np.argsort([len(one) for one in rows], kind="stable")
        for start in range(0, len(order), _AT_ONCE):
            places = order[start : start + _AT_ONCE]
            packed = torch.from_numpy(np.concatenate([rows[place] for place in places]))
            lengths = torch.tensor([len(rows[place]) for place in places])
            with torch.inference_mode():
                latents[places] = network(packed.to(self._device), lengths).float().cpu().numpy()
        return latents


def _check(features: NDArray[np.float32], where: str) -> None:
    if features.ndim != 2 or features.shape[1] != NUM_FEATURES or not np.isfinite(features).all():
        remedy = "Give HumanML3D features, not normalised."
        raise MotionError(where, f"holds no finite rows of {NUM_FEATURES} features", remedy)
    if len(features) < LEAST_ROWS:
        reason = f"has {len(features)} rows, fewer than {LEAST_ROWS}"
        raise MotionError(where, reason, "Leave it out: the evaluator reads motions from 0.8 s on.")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
