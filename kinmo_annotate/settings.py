"""How a run is set up: what changes the rows, and what only changes how fast they come."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from kinmo_annotate.schema.records import MotionError

ENCODERS: Final = ("caption", "sentence")
ASKING_DESCRIBER: Final = "openai"  # the describer that asks a language model
MODES: Final = ("ask", "batch", "offline")

# These change where and how fast the work is done, never its result.
_NOT_IN_ROWS: Final = ("workers", "cache_dir", "asking")


@dataclass(frozen=True, slots=True)
class Asking:
    """How a language model is asked; of use to the describer `openai` alone.

    Attributes:
        model: name at the endpoint.
        base_url: of an OpenAI-compatible endpoint; None is OpenAI's, or OPENAI_BASE_URL.
        prompt: file with the words; None is the one that comes with KinMo.
        prices: file of prices laid over ours.
        mode: "ask" now, hand over to the batch API ("batch"), or ask nothing and take what is cached or
            archived ("offline").
        repair: send sentences that the fact check contradicts back once.
        concurrency: requests in flight at most.
        requests_per_minute, tokens_per_minute: limits; None leaves them to the endpoint.
        timeout_s: for one answer, seconds.
        budget_usd: most to pay for the dataset, runs before included; None for no limit.
        output_tokens: most tokens of an answer.
        options: further values for the request's body, laid over those that the price file gives for the
            model.
    """

    model: str = "gpt-4o-mini"
    base_url: str | None = None
    prompt: Path | None = None
    prices: Path | None = None
    mode: str = "ask"
    repair: bool = False
    concurrency: int = 64
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    timeout_s: float = 600.0
    budget_usd: float | None = None
    output_tokens: int = 2500
    options: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        _check(bool(self.model.strip()), "--model", "Give the model's name at the endpoint.")
        _check(self.mode in MODES, f"mode {self.mode}", f"Choose one of {', '.join(MODES)}.")
        _check(1 <= self.concurrency <= 4096, "--concurrency", "Give 1 to 4096 requests at once.")
        _check((self.requests_per_minute or 1) >= 1, "--requests-per-minute", "Give at least 1.")
        _check((self.tokens_per_minute or 1) >= 1, "--tokens-per-minute", "Give at least 1.")
        _check(self.timeout_s > 0, "--timeout", "Give seconds, more than 0.")
        _check(self.budget_usd is None or self.budget_usd >= 0, "--budget", "Give dollars, 0 or more.")
        _check(self.output_tokens >= 100, "--output-tokens", "Give at least 100.")

    def in_rows(self) -> dict[str, Any]:
        """Give what the answers depend on besides the prompt, as JSON values."""
        options = json.dumps(dict(self.options), sort_keys=True)
        return {
            "model": self.model,
            "repair": self.repair,
            "output_tokens": self.output_tokens,
            "options": options,
        }


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
        cache_dir: where embeddings and answers are kept between runs; None is the user's cache folder.
        asking: how a language model is asked, where the describer is `openai`.
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
    asking: Asking = field(default_factory=Asking)

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
        values = {name: value for name, value in asdict(self).items() if name not in _NOT_IN_ROWS}
        return values | self.asking.in_rows() if self.asks else values

    @property
    def asks(self) -> bool:
        """Tell whether the describer asks a language model."""
        return self.describer == ASKING_DESCRIBER


def available_cores() -> int:
    """Count the cores that this process may use, which in a container are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check(right: bool, what: str, remedy: str) -> None:
    if not right:
        raise MotionError(what, "is out of range", remedy)
