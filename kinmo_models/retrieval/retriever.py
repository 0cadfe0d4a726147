"""A trained retrieval model, to encode motions and texts with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from kinmo_annotate.schema.features import joints_to_features
from kinmo_annotate.schema.records import NOT_DETERMINED
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES
from kinmo_models.data.batches import Texts
from kinmo_models.data.statistics import Statistics
from kinmo_models.data.tokens import TokenStore
from kinmo_models.layers.language import DEFAULT_NAME, LanguageModel
from kinmo_models.retrieval.config import RetrievalConfig
from kinmo_models.retrieval.model import LEVELS, RetrievalModel
from kinmo_models.training.checkpoint import META, resolve_model
from kinmo_models.training.config import from_yaml
from kinmo_models.training.errors import TrainingError
from kinmo_models.training.folder import CONFIG
from kinmo_models.training.pretrained import AGAIN, best_device, load_weights, model_fingerprint, read_meta

Vectors = NDArray[np.float32]

KIND: Final = "retrieval"
_AT_ONCE: Final = 128  # motions or queries in one forward
_KEPT: Final = 64  # from so many texts on, token features are kept on disk: a search need not write any


class Retriever:
    """Encodes motions and texts as unit vectors whose dot product is their cosine similarity.

    `Retriever.from_pretrained("RUN").encode_texts(["a person waves"])`

    Attributes:
        levels: of text that the model knows: "G", "GJ", "GJI", or the first of these.
        meta: what its meta.json says: dataset, seed, validation, ...
        config: the settings that it was trained with.
        fingerprint: digest of weights, settings and statistics.
    """

    def __init__(self, folder: Path, device: str, cache_dir: Path | None) -> None:
        self.meta = _read_meta(folder)
        self.config = from_yaml(RetrievalConfig, folder / CONFIG)
        self.fingerprint = model_fingerprint(folder)
        self._statistics = Statistics.load(folder)
        self._device, self._cache_dir = device, cache_dir
        model = RetrievalModel(self.config.model, int(self.meta["language"]["width"]))
        load_weights(model, folder)
        self._model = model.to(device).eval()
        self.levels = self._model.levels

    @classmethod
    def from_pretrained(
        cls, model: str | Path, *, device: str | None = None, cache_dir: Path | None = None
    ) -> Retriever:
        """Load a trained model.

        Args:
            model: a RUN folder (its best checkpoint), a checkpoint's folder, or a name on the hub.
            device: "cpu", "cuda", ...; None is a GPU where there is one.
            cache_dir: root of the caches; None is the user's.

        Raises:
            TrainingError: there is no such model, it is damaged, or it is of another kind.
        """
        return cls(resolve_model(model), best_device(device), cache_dir)

    # motions -----------------------------------------------------------------------------------------------

    def encode_motions(self, joints: Sequence[ArrayLike]) -> Vectors:
        """Encode motions.

        Args:
            joints: n motions (T, 22, 3), metres, y up, 20 frames per second.

        Returns:
            (n, d) float32 unit rows.

        Raises:
            MotionError: one of them is not usable.
        """
        return self.encode_features(
            [joints_to_features(one, f"motion {n}") for n, one in enumerate(joints, 1)]
        )

    def encode_features(self, features: Sequence[NDArray[np.float32]]) -> Vectors:
        """Encode motions given as HumanML3D features.

        Of longer motions than the model was trained with, the first frames count.

        Args:
            features: n arrays (T', 263), not normalised.

        Returns:
            (n, d) float32 unit rows.
        """
        data = self.config.data
        rows = [one[: data.max_frames : data.stride] for one in features]
        order = np.argsort([len(one) for one in rows], kind="stable")  # neighbours of like length
        vectors = np.empty((len(rows), self.config.model.width), np.float32)
        for places in _portions(order):
            packed = torch.from_numpy(np.concatenate([rows[place] for place in places]))
            lengths = torch.tensor([len(rows[place]) for place in places])
            normalised = self._statistics.normalise(packed).to(self._device)
            with torch.inference_mode():
                vectors[places] = _unit(self._model.encode_motion(normalised, lengths).mean)
        return vectors

    # texts -------------------------------------------------------------------------------------------------

    def encode_texts(
        self,
        captions: Sequence[str],
        fields: Sequence[Mapping[str, str]] | None = None,
        level: str | None = None,
    ) -> Vectors:
        """Encode texts.

        Args:
            captions: n global texts.
            fields: for each, sentences by group or pair; those that are missing or empty are not determined.
            level: "G", "GJ" or "GJI"; None is the finest that the model has where there are fields, else "G".

        Returns:
            (n, d) float32 unit rows.

        Raises:
            ValueError: a level that the model does not have, or an unknown field.
        """
        depth = self._depth(level, fields is not None)
        vectors = np.empty((len(captions), self.config.model.width), np.float32)
        for places, texts in self._asked(captions, fields, depth):
            with torch.inference_mode():
                vectors[places] = _unit(self._model.encode_text(*texts)[depth].mean)
        return vectors

    def encode_sentences(self, texts: Sequence[str]) -> Vectors:
        """Embed texts by the frozen sentence encoder alone, to compare them with captions.

        Its space knows no motions. Models whose language model is no sentence encoder use all-MiniLM-L6-v2,
        which comes with KinMo.

        Args:
            texts: n texts.

        Returns:
            (n, D) float32 unit rows.
        """
        language = self._sentence_encoder
        if len(texts) >= _KEPT:
            store = TokenStore.of(texts, language, self._cache_dir)
            return store.sentences(store.ids(texts))
        return _unit(torch.from_numpy(np.stack([tokens.mean(0) for tokens in language.encode(texts)])))

    def encode_latents(self, captions: Sequence[str], fields: Sequence[Mapping[str, str]]) -> Vectors:
        """Encode every text by itself, told by the coarser levels; see `RetrievalModel.text_latents`.

        Args:
            captions: n global texts.
            fields: for each, sentences by group or pair; those that are missing or empty are not determined.

        Returns:
            (n, C, d) float32: the caption, then the texts of the groups and pairs as far as the model has
            these levels (C is 1, 7 or 22). Not of unit length.

        Raises:
            ValueError: an unknown field.
        """
        parts = []
        for _, texts in self._asked(captions, fields, len(self.levels) - 1):
            with torch.inference_mode():
                parts.append(self._model.text_latents(*texts).float().cpu().numpy())
        return np.concatenate(parts)

    def _asked(
        self, captions: Sequence[str], fields: Sequence[Mapping[str, str]] | None, depth: int
    ) -> Iterator[tuple[NDArray[np.intp], list[Texts]]]:
        """Give captions and the texts of the finer levels down to `depth`, a portion at a time."""
        sentences = [sentences_of(one) for one in fields or [{}] * len(captions)]
        if len(sentences) != len(captions):
            raise ValueError(f"{len(captions)} captions, but fields for {len(sentences)}")
        tokens = self._tokens(captions, sentences if depth else [])
        for places in _portions(np.arange(len(captions))):
            chosen = [sentences[place] for place in places]
            groups, rest = ([one[part] for one in chosen] for part in _PARTS)
            asked: list[Any] = [[captions[place] for place in places], groups, rest]
            yield places, [tokens.texts(one).to(self._device) for one in asked[: depth + 1]]

    def _depth(self, level: str | None, has_fields: bool) -> int:
        if level is None:
            return len(self.levels) - 1 if has_fields else 0
        if level not in self.levels:
            raise ValueError(f"the model has the levels {', '.join(self.levels)}, not {level}")
        return LEVELS.index(level)

    def _tokens(self, captions: Sequence[str], sentences: Sequence[Sequence[str]]) -> _TokenFeatures:
        distinct = list(dict.fromkeys([*captions, *(text for one in sentences for text in one)]))
        if len(distinct) < _KEPT:
            # in the precision in which they are kept, so that a text's vector is the same either way
            features = [one.astype(np.float16).astype(np.float32) for one in self._language.encode(distinct)]
            return _TokenFeatures(dict(zip(distinct, features, strict=True)))
        store = TokenStore.of(distinct, self._language, self._cache_dir)
        packed, lengths = store.gather(store.ids(distinct))
        return _TokenFeatures(dict(zip(distinct, np.split(packed, np.cumsum(lengths)[:-1]), strict=True)))

    @cached_property
    def _language(self) -> LanguageModel:
        language = LanguageModel.open(self.config.language, self._device)
        trained = self.meta["language"]["fingerprint"]
        if language.fingerprint != trained:
            reason = f"is not the {language.name} that the model was trained with"
            raise TrainingError(language.name, reason, "Give the same language model, or train again.")
        return language

    @cached_property
    def _sentence_encoder(self) -> LanguageModel:
        own = self._language
        return own if own.name == DEFAULT_NAME else LanguageModel.open(device=self._device)


class _TokenFeatures:
    """Token features by text."""

    def __init__(self, known: Mapping[str, Vectors]) -> None:
        self._known = known

    def texts(self, asked: Sequence[str] | Sequence[Sequence[str]]) -> Texts:
        """Give each distinct text once: of n texts, or of n lists of equally many."""
        array = np.array(asked, dtype=object)
        number = {text: place for place, text in enumerate(dict.fromkeys(array.ravel()))}
        features = [self._known[text] for text in number]
        which = np.array([number[text] for text in array.ravel()]).reshape(array.shape)
        lengths = torch.tensor([len(one) for one in features])
        return Texts(torch.from_numpy(np.concatenate(features)), lengths, torch.from_numpy(which))


_PARTS: Final = (slice(0, len(GROUP_NAMES)), slice(len(GROUP_NAMES), len(FIELDS)))


def sentences_of(fields: Mapping[str, str]) -> list[str]:
    """Give the 21 sentences in order; those that are missing or empty are not determined.

    Raises:
        ValueError: an unknown field.
    """
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown:
        raise ValueError(f"unknown fields {', '.join(unknown)}; there are {', '.join(FIELDS)}")
    return [text if (text := fields.get(name)) and text.strip() else NOT_DETERMINED for name in FIELDS]


def _portions(order: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(order), _AT_ONCE):
        yield order[start : start + _AT_ONCE]


def _unit(latents: torch.Tensor) -> Vectors:
    vectors: Vectors = torch.nn.functional.normalize(latents.float(), dim=1).cpu().numpy()
    return vectors


def _read_meta(folder: Path) -> dict[str, Any]:
    """Read meta.json of a retrieval model."""
    meta = read_meta(folder, KIND)
    language = meta.get("language")
    if not isinstance(language, dict) or not {"width", "fingerprint"} <= set(language):
        raise TrainingError(folder / META, "is damaged", AGAIN)
    return meta
