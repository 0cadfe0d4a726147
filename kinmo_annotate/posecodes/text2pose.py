"""The captioner of PoseScript's authors, for users who have installed it (`--captioner text2pose`).

It is not on the package index and its licence allows non-commercial use only, so KinMo neither carries nor
needs it. It captions each pose by itself, with noise: expect other words for equal poses, and more keyframes.
Its call follows the published `text2pose.posescript.captioning.main`; in KinMo's tests a stand-in takes its
place.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.posecodes.captions import PoseCaptions
from kinmo_annotate.posecodes.points import face_forward
from kinmo_annotate.schema.records import MotionError

_WHERE = "--captioner text2pose"


def caption_motions(
    motions: Sequence[NDArray[np.floating]], *, seed: int, fields: tuple[str, ...] | None = None
) -> list[PoseCaptions]:
    """Caption motions with the upstream package, one call for each.

    Args:
        motions: joints (T, 22, 3), metres, y up.
        seed: given to the random generators that upstream draws from, before each motion.
        fields: must be None; upstream captions the whole body only.

    Raises:
        MotionError: the package is missing, of another version, or `fields` is given.
    """
    if fields is not None:
        raise MotionError(_WHERE, "captions the whole body only", "Use --captioner posecodes for groups.")
    upstream = _load()
    return [_caption(upstream, np.asarray(motion, np.float32), seed) for motion in motions]


def _load() -> Callable[..., Any]:
    try:
        from text2pose.posescript import captioning
    except ImportError as error:
        raise MotionError(
            _WHERE,
            f"the package text2pose cannot be imported ({error})",
            "Install it from https://github.com/naver/posescript (non-commercial), or leave the "
            "option out to use KinMo's own captioner.",
        ) from None
    main: Callable[..., Any] = captioning.main
    return main


def _caption(upstream: Callable[..., Any], joints: NDArray[np.float32], seed: int) -> PoseCaptions:
    import torch

    random.seed(seed)
    torch.manual_seed(seed)
    poses = torch.from_numpy(np.ascontiguousarray(face_forward(joints).transpose(2, 1, 0)))
    try:
        found = upstream(poses, joint_rotations=None, save_dir=None, random_skip=False, verbose=False)
    except TypeError as error:
        raise MotionError(
            _WHERE,
            f"the installed text2pose is called differently ({error})",
            "Install its current version from https://github.com/naver/posescript.",
        ) from None
    return _gather(_texts(found, len(joints)))


def _texts(found: Any, frames: int) -> list[str]:
    """Read upstream's answer: a list in order, or a mapping from the pose's number."""
    texts = (
        [found[key] for key in sorted(found, key=int)] if isinstance(found, Mapping) else list(found or ())
    )
    if len(texts) != frames:
        raise MotionError(
            _WHERE,
            f"text2pose gave {len(texts)} captions for {frames} frames",
            "Install its current version from https://github.com/naver/posescript.",
        )
    return [str(text).strip() or "The person is in a neutral pose." for text in texts]


def _gather(texts: list[str]) -> PoseCaptions:
    distinct = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    index = np.array([distinct[text] for text in texts], np.int32)
    return PoseCaptions(list(distinct), index, [_sentences(text) for text in distinct])


def _sentences(text: str) -> list[str]:
    ends = [
        place + 1 for place, mark in enumerate(text) if mark == "." and text[place + 1 :][:1] in ("", " ")
    ]
    parts = [text[a:b].strip() for a, b in pairwise([0, *ends])] or [text]
    return list(dict.fromkeys(part for part in parts if part))
