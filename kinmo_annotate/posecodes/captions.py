"""Pose captions of motions: one caption per distinct signature, shared by every frame that has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.posecodes.extract import signatures, unpack
from kinmo_annotate.posecodes.wording import Words, word_pose
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import FIELDS

_Key = tuple[int, tuple[str, ...] | None, bytes]
_WORDED: dict[_Key, Words] = {}
_MOST_WORDED: Final = 100_000  # about 100 MB of text; beyond it the cache starts again


@dataclass(frozen=True, slots=True)
class PoseCaptions:
    """The pose captions of one motion.

    Attributes:
        texts: its distinct captions, in order of first appearance.
        index: (T,) int32; which of them each frame has.
        sentences: for each caption, its statements as sentences of their own, for the `sentence` encoder.
    """

    texts: list[str]
    index: NDArray[np.int32]
    sentences: list[list[str]]

    def frame_caption(self, frame: int) -> str:
        """Caption of one frame."""
        return self.texts[self.index[frame]]


def caption_motions(
    motions: Sequence[NDArray[np.floating]], *, seed: int, fields: tuple[str, ...] | None = None
) -> list[PoseCaptions]:
    """Caption every frame of every motion.

    Equal poses get equal captions in every motion, process and run with the same seed. A caption holds for
    at least a quarter of a second, and each thing it says was true of the body, up to the tolerance of its
    threshold (the dead bands in `facts.MARGIN`), at most 0.1 s away.

    Args:
        motions: joints (T, 22, 3), metres, y up, feet on y = 0, 20 fps; T may differ.
        seed: of every choice of words.
        fields: say only what is about these groups or pairs (`skeleton.FIELDS`); None is the whole body.

    Returns:
        One `PoseCaptions` per motion, in order.

    Raises:
        MotionError: `fields` names something that is neither a group nor a pair.
    """
    _check(fields)
    return [
        _worded(seed, fields, stretches, len(motion))
        for motion, stretches in zip(motions, signatures(motions, fields), strict=True)
    ]


def caption_motion(
    joints: NDArray[np.floating], *, seed: int, fields: tuple[str, ...] | None = None
) -> PoseCaptions:
    """Caption every frame of one motion; see `caption_motions`, which is faster for many."""
    return caption_motions([joints], seed=seed, fields=fields)[0]


def caption_signature(seed: int, fields: tuple[str, ...] | None, signature: bytes) -> Words:
    """Word one packed signature without any cache of whole captions."""
    return word_pose(seed, unpack(signature), fields)


def _check(fields: tuple[str, ...] | None) -> None:
    unknown = sorted(set(fields or ()) - set(FIELDS))
    if unknown or fields == ():
        raise MotionError(
            f"fields {', '.join(unknown) or '()'}",
            "are no groups or pairs of the body",
            f"Use {', '.join(FIELDS)}.",
        )


def _worded(
    seed: int, fields: tuple[str, ...] | None, stretches: list[tuple[int, bytes]], total: int
) -> PoseCaptions:
    """Word the stretches of one motion, each distinct signature once a process."""
    if len(_WORDED) > _MOST_WORDED:
        _WORDED.clear()
    texts: dict[str, int] = {}
    sentences: list[list[str]] = []
    numbers = []
    for _, signature in stretches:
        words = _WORDED.get((seed, fields, signature))
        if words is None:
            words = _WORDED[seed, fields, signature] = caption_signature(seed, fields, signature)
        if words.text not in texts:
            texts[words.text] = len(texts)
            sentences.append(list(words.sentences))
        numbers.append(texts[words.text])
    lengths = [b - a for a, b in pairwise([*(first for first, _ in stretches), total])]
    return PoseCaptions(list(texts), np.repeat(np.array(numbers, np.int32), lengths), sentences)
