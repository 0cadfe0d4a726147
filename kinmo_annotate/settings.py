"""How a run is set up: what changes the rows, and what only changes how fast they come."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from kinmo_annotate.schema.records import MotionError

ENCODERS: Final = ("caption", "sentence")

# These change where and how fast the work is done, never its result.
_NOT_IN_ROWS: Final = ("workers", "cache_dir")


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one run.

    Attributes:
        captioner: name in `stages.CAPTIONERS`.
        describer: name in `stages.DESCRIBERS`, or "module:function" of your own.
        encoder: "caption" embeds whole captions, "sentence" sums the embeddings of their sentences.
        sbert_model: sentence-transformers name or folder; None is the model that comes with KinMo.
        keyframe_threshold: cosine similarity to the last keyframe below which a frame becomes one.
        keyframe_gap: smallest distance between keyframes, frames.
        seed: of every choice of words.
        limit: annotate only the first so many motions; None for all.
        shard_size: motions per shard.
        workers: processes that load, caption and describe; 1 works in this process, 0 is one per core.
        cache_dir: where embeddings are kept between runs; None is the user's cache folder.
    """

    captioner: str = "posecodes"
    describer: str = "kinematic"
    encoder: str = "caption"
    sbert_model: str | None = None
    keyframe_threshold: float = 0.8
    keyframe_gap: int = 5
    seed: int = 0
    limit: int | None = None
    shard_size: int = 256
    workers: int = 0
    cache_dir: Path | None = None

    def __post_init__(self) -> None:
        _check(self.encoder in ENCODERS, f"--encoder {self.encoder}", f"Choose {' or '.join(ENCODERS)}.")
        _check(-1 <= self.keyframe_threshold <= 1, "--keyframe-threshold", "Give a cosine from -1 to 1.")
        _check(self.keyframe_gap >= 1, "--keyframe-gap", "Give at least 1 frame.")
        _check(self.limit is None or self.limit >= 1, "--limit", "Give at least 1 motion.")
        _check(self.shard_size >= 1, "shard_size", "Give at least 1 motion per shard.")
        _check(self.workers >= 0, "--workers", "Give 1 or more, or 0 for one per core.")

    @property
    def processes(self) -> int:
        """Count the worker processes to use."""
        return self.workers or available_cores()

    def in_rows(self) -> dict[str, Any]:
        """Give the settings that the rows depend on, as JSON values."""
        return {name: value for name, value in asdict(self).items() if name not in _NOT_IN_ROWS}


def available_cores() -> int:
    """Count the cores that this process may use, which in a container are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check(right: bool, what: str, remedy: str) -> None:
    if not right:
        raise MotionError(what, "is out of range", remedy)
