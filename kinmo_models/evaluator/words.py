"""Vectors of words, and captions as the rows of numbers that the text encoder reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from kinmo_annotate.schema.records import NOT_DETERMINED
from kinmo_annotate.schema.shards import atomic_write
from kinmo_models.data.tokens import TokenStore
from kinmo_models.evaluator.tags import TAGS, Token, framed, tagged
from kinmo_models.layers.language import LanguageModel
from kinmo_models.training.errors import TrainingError

Vectors = NDArray[np.float32]

WORDS: Final = "words.safetensors"
UNKNOWN: Final = "unk"
_FRAME: Final = {"sos": "[CLS]", "eos": "[SEP]", UNKNOWN: "[UNK]"}  # what a BERT calls them
_TAG_PLACE: Final = {tag: place for place, tag in enumerate(TAGS)}
_FORMS: Final = (
    "Give a GloVe text file, .npz (words, vectors) or .safetensors (vectors; words in its metadata)."
)


class WordVectors:
    """A frozen vector for each of some words; every other word has that of "unk", and the tag OTHER.

    Attributes:
        vectors: (V, width) float32.
        width: 300 of GloVe.
    """

    def __init__(
        self, words: Sequence[str], vectors: Vectors, tags: Mapping[str, list[Token]] | None = None
    ) -> None:
        """Take words with their vectors.

        Args:
            words: V words, "unk" among them.
            vectors: (V, width).
            tags: captions whose words and tags are known, from `tags.read_tags`; the others are read by rule.

        Raises:
            ValueError: they do not fit, or "unk" is missing.
        """
        if vectors.ndim != 2 or len(set(words)) != len(vectors) or UNKNOWN not in words:
            raise ValueError(
                f'{len(words)} words, vectors {vectors.shape}; wanted is one each, "unk" with them'
            )
        self.vectors = np.ascontiguousarray(vectors, np.float32)
        self.width = int(vectors.shape[1])
        self._place = {word: place for place, word in enumerate(words)}
        self._tags = tags or {}

    @classmethod
    def of_captions(cls, captions: Iterable[str], language: LanguageModel) -> WordVectors:
        """Give the words of captions the vectors that a language model reads them with, at deviation 1."""
        words = sorted({word for caption in captions for word, _ in framed(tagged(caption))} | set(_FRAME))
        vectors = language.word_vectors([_FRAME.get(word, word) for word in words])
        return cls(words, vectors / vectors.std())

    def rows(self, caption: str) -> Vectors:
        """Read a caption: (L, width + 15), of each word its vector and its tag as 0 or 1; L is at most 22."""
        tokens = framed(self._tags.get(caption.strip()) or tagged(caption))
        unknown = self._place[UNKNOWN]
        places = [self._place.get(word, unknown) for word, _ in tokens]
        rows = np.zeros((len(tokens), self.width + len(TAGS)), np.float32)
        rows[:, : self.width] = self.vectors[places]
        for row, (word, tag) in zip(rows, tokens, strict=True):
            row[self.width + _TAG_PLACE[tag if word in self._place else "OTHER"]] = 1.0
        return rows

    @property
    def words(self) -> list[str]:
        """The V words, in the order of their vectors."""
        return list(self._place)

    def save(self, folder: Path) -> None:
        """Write `words.safetensors`."""
        content = save({"vectors": self.vectors}, {"words": json.dumps(self.words)})
        atomic_write(Path(folder) / WORDS, lambda file: file.write(content))

    @classmethod
    def load(cls, path: Path, tags: Mapping[str, list[Token]] | None = None) -> WordVectors:
        """Read words and vectors: a GloVe text file, .npz or .safetensors. Nothing is unpickled.

        Raises:
            TrainingError: the file is missing, damaged or of another form.
        """
        read = {".npz": _read_npz, ".safetensors": _read_safetensors}.get(path.suffix, _read_text)
        try:
            words, vectors = read(path)
            return cls(words, vectors, tags)
        except FileNotFoundError:
            raise TrainingError(path, "there is no such file", _FORMS) from None
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            reason = f"holds no vectors of words ({' '.join(str(error).split())[:120]})"
            raise TrainingError(path, reason, _FORMS) from None


def _read_npz(path: Path) -> tuple[list[str], Vectors]:
    with np.load(path, allow_pickle=False) as found:
        return found["words"].tolist(), found["vectors"]


def _read_safetensors(path: Path) -> tuple[list[str], Vectors]:
    with safe_open(path, "numpy") as found:
        return json.loads((found.metadata() or {})["words"]), found.get_tensor("vectors")


def _read_text(path: Path) -> tuple[list[str], Vectors]:
    """Read `word number number ...` a line; some of GloVe's words hold spaces, and some stand twice."""
    found: dict[str, Vectors] = {}
    width = 0
    with path.open(encoding="utf-8") as file:
        for line in file:
            width = width or line.count(" ")
            word, *numbers = line.rstrip().rsplit(" ", width)
            found.setdefault(word, np.array(numbers, np.float32))
    return list(found), np.stack(list(found.values()))


class CaptionWords:
    """Captions as rows of numbers, by text: what `MotionBatches` asks of a `TokenStore`, for captions alone.

    Any text that is no caption, such as the sentences of the 21 fields, reads as `NOT_DETERMINED`: the
    evaluator has no use for it.
    """

    def __init__(self, captions: Iterable[str], words: WordVectors, sentences: TokenStore) -> None:
        """Read captions.

        Args:
            captions: repeats allowed.
            words: their vectors.
            sentences: where the sentence embeddings of the captions, and of `NOT_DETERMINED`, are.
        """
        texts = list(dict.fromkeys([NOT_DETERMINED, *captions]))
        self._rows = [words.rows(text) for text in texts]
        self._ids = {text: place for place, text in enumerate(texts)}
        self._sentences = sentences
        self._sentence_ids = sentences.ids(texts)

    def ids(self, texts: Iterable[str]) -> NDArray[np.int64]:
        """Find texts: (n,) ids, 0 for those that are no captions."""
        return np.fromiter((self._ids.get(text, 0) for text in texts), np.int64)

    def gather(self, ids: ArrayLike) -> tuple[Vectors, NDArray[np.int64]]:
        """Read captions: (N, width + 15), one after the other, and their lengths (n,)."""
        rows = [self._rows[place] for place in np.asarray(ids).tolist()]
        return np.concatenate(rows), np.array([len(one) for one in rows], np.int64)

    def sentences(self, ids: ArrayLike) -> Vectors:
        """Read sentence embeddings: (n, D) unit rows."""
        found: Any = self._sentences.sentences(self._sentence_ids[np.asarray(ids)])
        return found
