"""Keyframes: the frames at which the pose caption has changed enough.

The first and the last frame always are. A frame t between them is one when cos(e_t, e_k) < threshold, k
being the last keyframe, and it lies at least `min_gap` frames from k and from the end. Source: KinMo
section 3.2. The embedding e_t is that of the whole caption (`caption`, as in the paper) or the normalised
sum over its sentences (`sentence`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.embeddings import TextEncoder, Vectors, open_encoder
from kinmo_annotate.posecodes import PoseCaptions
from kinmo_annotate.schema.records import Keyframe

__all__ = [
    "FrameEmbeddings",
    "TextEncoder",
    "frame_embeddings",
    "open_encoder",
    "select_keyframes",
    "texts_to_embed",
]

Mode = Literal["caption", "sentence"] | str

THRESHOLD: Final = 0.8  # reported for the published version of the paper
# Sums of sentences are more alike than whole captions: on real motions, the threshold that gives as many
# keyframes lies this many times nearer to 1 (docs/log.md). Stretched by it, one threshold means the same in
# both modes.
SENTENCE_STRETCH: Final = 1.6
MIN_GAP: Final = 5  # frames: 0.25 s, as long as a caption holds; nothing between can have changed


@dataclass(frozen=True, slots=True)
class FrameEmbeddings:
    """Embeddings of the frames of one motion.

    Attributes:
        vectors: (C, D) float64 unit rows, one for each distinct caption of the motion.
        index: (T,) which of them each frame has.
        stretch: by how much differences are stretched: a similarity is 1 - stretch (1 - cosine).
    """

    vectors: NDArray[np.float64]
    index: NDArray[np.int32]
    stretch: float = 1.0

    def similarities(self) -> NDArray[np.float64]:
        """Similarity (C, C) of every two captions, rounded to six decimals.

        Rounded float64 sums hide the last bits, in which machines differ: a tie with a threshold is a tie
        everywhere.
        """
        cosine = self.vectors @ self.vectors.T
        return np.round(1 - self.stretch * (1 - cosine), 6)


def texts_to_embed(captions: Sequence[PoseCaptions], mode: Mode) -> list[str]:
    """List the distinct texts whose embeddings the frames of these motions need, in order of first use.

    Raises:
        ValueError: `mode` is neither "caption" nor "sentence".
    """
    if mode == "caption":
        return list(dict.fromkeys(text for one in captions for text in one.texts))
    if mode == "sentence":
        rows = (row for one in captions for row in one.sentences)
        return list(dict.fromkeys(sentence for row in rows for sentence in row))
    raise ValueError(f"encoder {mode!r}: choose 'caption' or 'sentence'")


def frame_embeddings(captions: PoseCaptions, known: Mapping[str, Vectors], mode: Mode) -> FrameEmbeddings:
    """Look up or add up the embeddings of a motion's distinct captions.

    Args:
        captions: of one motion.
        known: unit vector (D,) of each text in `texts_to_embed([captions], mode)`.
        mode: "caption" or "sentence".

    Raises:
        KeyError: a text was not embedded.
        ValueError: `mode` is neither.
    """
    if mode == "caption":
        vectors = np.stack([known[text] for text in captions.texts]).astype(np.float64)
        return FrameEmbeddings(vectors, captions.index)
    if mode == "sentence":
        vectors = np.stack([_sum(known, row) for row in captions.sentences])
        return FrameEmbeddings(vectors, captions.index, SENTENCE_STRETCH)
    raise ValueError(f"encoder {mode!r}: choose 'caption' or 'sentence'")


def _sum(known: Mapping[str, Vectors], sentences: Sequence[str]) -> NDArray[np.float64]:
    """Sum of the sentences' embeddings, scaled to length 1."""
    total = np.sum([known[sentence] for sentence in sentences], axis=0, dtype=np.float64)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12))


def select_keyframes(
    captions: PoseCaptions,
    embed: FrameEmbeddings,
    threshold: float = THRESHOLD,
    min_gap: int = MIN_GAP,
) -> list[Keyframe]:
    """Choose the keyframes of one motion.

    Args:
        captions: of the motion.
        embed: its frames' embeddings.
        threshold: similarity to the last keyframe below which a frame becomes one.
        min_gap: smallest distance between keyframes, in frames; only the first and last frame may lie closer.

    Returns:
        Keyframes in time; at least one.
    """
    similar = embed.similarities()
    index, last = embed.index, len(embed.index) - 1
    chosen, frame = [Keyframe(0, 1.0, captions.frame_caption(0))], 0
    while frame < last:
        ahead = similar[index[frame], index[frame + min_gap : max(last - min_gap + 1, 0)]] < threshold
        following = frame + min_gap + int(ahead.argmax()) if ahead.any() else last
        similarity = float(similar[index[frame], index[following]])
        chosen.append(Keyframe(following, similarity, captions.frame_caption(following)))
        frame = following
    return chosen
