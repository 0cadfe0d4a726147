"""What is said of motions, beside what they are: a second ground on which an index orders what it found.

A model that was trained on few captions is misled by words that it has not met; the sentence encoder that it
hears through has met them. So a motion whose captions lie near to the text in that frozen space is moved up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from kinmo_models.retrieval.neighbours import Rows, Vectors

if TYPE_CHECKING:
    from kinmo_models.data.motions import MotionStore

# Of 0.5, 1 and 2 this found most prompts of benchmarks/bench_prompts.py over six trainings: docs/search.md.
WEIGHT: Final = 2.0
_BATCH: Final = 32_768  # motions whose captions are encoded at once: the cache is opened anew for each
_LEAST: Final = 1000  # motions at least are ordered anew, however few are asked for
_TIMES: Final = 10  # so many times those that are asked for


class SentenceEncoder(Protocol):
    """What is needed of a model: `Retriever` has it."""

    def encode_sentences(self, texts: Sequence[str]) -> Vectors:
        """Embed texts by a frozen sentence encoder: (n, D) unit rows."""
        ...


def write_captions(
    encoder: SentenceEncoder, store: MotionStore, path: Path, tell: Callable[[int], None]
) -> bool:
    """Write the mean sentence embedding of each motion's captions: (n, D) float32, unit rows.

    A motion without a caption has a row of zeros. Where no motion has one, no file is written.

    Args:
        encoder: embeds the captions.
        store: the motions.
        path: of the .npy file.
        tell: told of how many more motions the captions are encoded.

    Returns:
        Whether there is a file.

    Raises:
        OSError: it cannot be written.
    """
    said = [[caption.text for caption in texts.captions] for texts in store.texts]
    if not any(said):
        return False
    written: np.memmap[tuple[int, int], np.dtype[np.float32]] | None = None
    for start in range(0, len(said), _BATCH):
        part = said[start : start + _BATCH]
        means = _means(encoder, part)
        if written is None:
            shape = (len(said), means.shape[1])
            written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        written[start : start + len(part)] = means
        tell(len(part))
    if written is not None:
        written.flush()
    return True


def _means(encoder: SentenceEncoder, said: Sequence[Sequence[str]]) -> Vectors:
    """Unit mean (n, D) of the embeddings of each motion's captions; zeros where it has none."""
    distinct = list(dict.fromkeys(text for one in said for text in one)) or [""]
    place = {text: number for number, text in enumerate(distinct)}
    vectors = encoder.encode_sentences(distinct)
    means = np.zeros((len(said), vectors.shape[1]), np.float32)
    for row, texts in enumerate(said):
        means[row] = vectors[[place[text] for text in texts]].sum(0)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    return means


def candidates(top: int) -> int:
    """How many of the most similar motions are ordered anew, where `top` are asked for."""
    return max(_LEAST, _TIMES * top)


def order_anew(
    similarities: Vectors, rows: Rows, captions: Vectors, sentence: NDArray[np.float32], weight: float
) -> tuple[NDArray[np.intp], Vectors]:
    """Order what was found by its own similarity plus, so many times, that of its captions.

    Args:
        similarities: (k,) cosines of the motions' embeddings with the query's.
        rows: (k,) their rows.
        captions: (n, D) of all motions, see `write_captions`.
        sentence: (D,) unit embedding of the text.
        weight: of the captions; the motion's own is 1.

    Returns:
        The new order (k,), best first, and the cosine of the captions with the text (k,) in the order given.
        For a motion without captions, of which nothing is known, it is NaN and counts as the mean of the
        others.
    """
    part = captions[rows]
    alike = (part @ sentence).astype(np.float32)
    alike[~part.any(axis=1)] = np.nan
    known = alike[~np.isnan(alike)]
    neutral = known.mean() if len(known) else np.float32(0)
    scores = similarities + weight * np.where(np.isnan(alike), neutral, alike)
    return np.argsort(-scores, kind="stable"), alike
