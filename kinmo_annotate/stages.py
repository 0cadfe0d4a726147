"""What is done to a motion, stage by stage, in two halves with the embedding of texts between them.

    prepare: load -> pose captions          one worker, a batch of motions
    embed                                   the main process, all texts of a shard at once
    finish:  keyframes -> describe -> rows  one worker, the same batch

Every stage is a pure function of its input and the settings. A motion that fails leaves its batch as a
`Failure` and the others go on.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kinmo_annotate.schema.records import Failure, Keyframe, Motion, MotionError, Provenance, Row
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_annotate.settings import Settings
from kinmo_annotate.sources.base import Entry, MotionSource

if TYPE_CHECKING:
    from kinmo_annotate.posecodes import PoseCaptions

STAGES: Final = ("load", "pose captions", "embeddings", "keyframes", "describe", "rows", "write")

# Name -> the function that does it, imported when first used.
CAPTIONERS: Final = {
    "posecodes": "kinmo_annotate.posecodes:caption_motions",
    "text2pose": "kinmo_annotate.posecodes.text2pose:caption_motions",
}
DESCRIBERS: Final = {"kinematic": "kinmo_annotate.describe.kinematic:describe_motion"}

Vectors = NDArray[np.float32]
Describe = Callable[..., dict[str, str]]
_T = TypeVar("_T")


@dataclass(slots=True)
class Prepared:
    """A batch after the first half: motions with their captions, by position in the shard."""

    motions: dict[int, Motion] = field(default_factory=dict)
    captions: dict[int, PoseCaptions] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    failures: dict[int, Failure] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Finished:
    """A batch after the second half: its rows as a table, its failures by position, and counts."""

    table: pa.Table
    failures: dict[int, Failure]
    seconds: dict[str, float]
    keyframes: int
    frames: int


def prepare(source: MotionSource, batch: Sequence[tuple[int, Entry]], settings: Settings) -> Prepared:
    """Load and caption a batch of motions."""
    from kinmo_annotate.keyframes import texts_to_embed

    done = Prepared()
    for position, entry in batch:
        guard = _Guard(done.failures, done.seconds, position, entry.motion_id, entry.path)
        motion = guard.run("load", source.load, entry)
        if motion is not None:
            done.motions[position] = motion
    caption_batch(done, settings)
    done.texts = texts_to_embed(list(done.captions.values()), settings.encoder)
    return done


def caption_batch(done: Prepared, settings: Settings) -> None:
    """Caption the motions of a batch together, which is fast, or where that fails one by one."""
    caption = resolve(settings.captioner, CAPTIONERS, "captioner")
    started = time.perf_counter()
    try:
        found = caption([motion.joints for motion in done.motions.values()], seed=settings.seed)
        done.captions = dict(zip(done.motions, found, strict=True))
    except Exception:  # one of them is to blame: find out which
        for position, motion in list(done.motions.items()):
            guard = _Guard(done.failures, {}, position, motion.motion_id, motion.source.path)
            one = guard.run("pose captions", caption, [motion.joints], seed=settings.seed)
            if one is None:
                del done.motions[position]
            else:
                done.captions[position] = one[0]
    done.seconds["pose captions"] = time.perf_counter() - started


def finish(prepared: Prepared, vectors: Vectors, settings: Settings, provenance: Provenance) -> Finished:
    """Find keyframes and describe a batch, and make its rows.

    Args:
        prepared: the batch.
        vectors: (N, D) unit rows, the embeddings of `prepared.texts`.
        settings: of the run.
        provenance: of every row.
    """
    failures, seconds = dict(prepared.failures), dict(prepared.seconds)
    known = dict(zip(prepared.texts, vectors, strict=True))
    describe = resolve(settings.describer, DESCRIBERS, "describer")
    rows: list[tuple[int, Row]] = []
    for position, motion in prepared.motions.items():
        guard = _Guard(failures, seconds, position, motion.motion_id, motion.source.path)
        captions = prepared.captions[position]
        found = guard.run("keyframes", keyframes, captions, known, settings)
        if found is None:
            continue
        sentences = guard.run("describe", described, motion, describe, settings.seed)
        if sentences is not None:
            rows.append((position, Row(motion, tuple(found), sentences, provenance)))
    table = make_table(rows, failures, seconds)
    kept = [row for position, row in rows if position not in failures]
    counts = sum(len(row.keyframes) for row in kept), sum(len(row.motion.joints) for row in kept)
    return Finished(table, failures, seconds, *counts)


def keyframes(captions: PoseCaptions, known: Mapping[str, Vectors], settings: Settings) -> list[Keyframe]:
    """Choose the keyframes of one motion from its captions and the embeddings of their texts."""
    from kinmo_annotate.keyframes import frame_embeddings, select_keyframes

    frames = frame_embeddings(captions, known, settings.encoder)
    return select_keyframes(
        captions, frames, threshold=settings.keyframe_threshold, min_gap=settings.keyframe_gap
    )


def described(motion: Motion, describe: Describe, seed: int) -> dict[str, str]:
    """Describe one motion and check that every field got a sentence.

    Raises:
        MotionError: the describer left fields out or empty.
    """
    sentences = describe(motion, seed=seed)
    empty = [name for name in FIELDS if not sentences.get(name, "").strip()]
    if empty:
        reason = f"the describer wrote nothing for {', '.join(empty)}"
        raise MotionError(motion.source.path or motion.motion_id, reason, "Please report it with the motion.")
    return {name: sentences[name] for name in FIELDS}


def make_table(
    rows: Sequence[tuple[int, Row]], failures: dict[int, Failure], seconds: dict[str, float]
) -> pa.Table:
    """Turn the rows of a batch into a table; a row that Arrow cannot hold becomes a failure alone."""
    from kinmo_annotate.schema.shards import rows_to_table

    started = time.perf_counter()
    try:
        table = rows_to_table([row for _, row in rows])
    except (pa.ArrowException, ValueError, TypeError):
        good = []
        for position, row in rows:
            source = row.motion.source
            guard = _Guard(failures, {}, position, row.motion.motion_id, source.path)
            if guard.run("rows", rows_to_table, [row]) is not None:
                good.append(row)
        table = rows_to_table(good)
    seconds["rows"] = seconds.get("rows", 0.0) + time.perf_counter() - started
    return table


@dataclass(slots=True)
class _Guard:
    """Runs the stages of one motion: times them, and turns what they raise into the motion's failure."""

    failures: dict[int, Failure]
    seconds: dict[str, float]
    position: int
    motion_id: str
    path: str

    def run(self, stage: str, work: Callable[..., _T], *inputs: Any, **options: Any) -> _T | None:
        """Run one stage; None when it failed."""
        started = time.perf_counter()
        try:
            return work(*inputs, **options)
        except MotionError as error:
            self._fail(stage, error.reason, error.remedy)
        except Exception as error:  # whatever one motion does to us, the others go on
            if os.environ.get("KINMO_DEBUG", "0") not in ("", "0"):
                raise
            reason = f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            self._fail(stage, reason, "Run again with KINMO_DEBUG=1 to see where, and please report it.")
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started
        return None

    def _fail(self, stage: str, reason: str, remedy: str) -> None:
        self.failures[self.position] = Failure(self.motion_id, self.path, stage, reason, remedy)


@cache
def _import(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def resolve(name: str, registry: Mapping[str, str], what: str) -> Any:
    """Find the function behind a name in a registry, or behind "module:function".

    Raises:
        MotionError: there is no such name, or it cannot be imported.
    """
    target = name if ":" in name else registry.get(name, "")
    if not target:
        raise MotionError(
            f"--{what} {name}", f"there is no such {what}", f"Choose one of: {', '.join(registry)}."
        )
    try:
        return _import(target)
    except (ImportError, AttributeError) as error:
        raise MotionError(f"--{what} {name}", str(error), f"Install what the {what} needs.") from None
