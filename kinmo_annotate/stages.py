"""What is done to a motion, stage by stage, in halves with work of the main process between them.

    prepare: load -> pose captions                    one worker, a batch of motions
    embed                                             the main process, all texts of a shard at once
    finish:  keyframes -> describe -> check -> rows   one worker, the same batch

A describer that asks a language model leaves the describing to the main process, which waits for many answers
at once:

    compose: keyframes -> requests                    one worker
    ask                                               the main process
    dispute: check -> requests for a repair           one worker, and asked again, where it is wanted
    conclude: check -> rows                           one worker

Every stage is a pure function of its input and the settings. A motion that fails leaves its batch as a
`Failure` and the others go on.
"""

from __future__ import annotations

import importlib
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kinmo_annotate.schema.records import (
    Check,
    Failure,
    Keyframe,
    Motion,
    MotionError,
    Provenance,
    Row,
)
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_annotate.settings import ASKING_DESCRIBER, Settings
from kinmo_annotate.sources.base import Entry, MotionSource

if TYPE_CHECKING:
    from kinmo_annotate.describe.llm.request import Asked, Request
    from kinmo_annotate.posecodes import PoseCaptions

STAGES: Final = (
    "load", "pose captions", "embeddings", "keyframes", "describe", "ask", "check", "rows",
    "write",
)  # fmt: skip

# Name -> the function that does it, imported when first used.
CAPTIONERS: Final = {
    "posecodes": "kinmo_annotate.posecodes:caption_motions",
    "text2pose": "kinmo_annotate.posecodes.text2pose:caption_motions",
}
DESCRIBERS: Final = {"kinematic": "kinmo_annotate.describe.kinematic:describe_motion"}
ALL_DESCRIBERS: Final = (*DESCRIBERS, ASKING_DESCRIBER)

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
class Composed:
    """A batch whose sentences a language model is to write: what it is asked, by position in the shard."""

    keyframes: dict[int, tuple[Keyframe, ...]] = field(default_factory=dict)
    requests: dict[int, Request] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Finished:
    """A batch after the second half: its rows as a table, its failures by position, and counts.

    `left` are motions that are neither: asking was halted before their answers came.
    """

    table: pa.Table
    failures: dict[int, Failure]
    seconds: dict[str, float]
    keyframes: int
    frames: int
    left: int
    verdicts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Written:
    """What a describer wrote of one motion: 21 sentences, and how they were made."""

    sentences: dict[str, str]
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Answered:
    """What a language model wrote of one motion.

    Attributes:
        text: its JSON.
        provenance: of the row.
        mended: the JSON of its second answer, after a dispute; empty where there was none.
        disputed: the fields that the second answer is taken for.
    """

    text: str
    provenance: Provenance
    mended: str = ""
    disputed: tuple[str, ...] = ()


def prepare(source: MotionSource, settings: Settings, batch: Sequence[tuple[int, Entry]]) -> Prepared:
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
    """Caption the motions of a batch."""
    caption = resolve(settings.captioner, CAPTIONERS, "captioner")

    def captioned(positions: Sequence[int]) -> dict[int, PoseCaptions]:
        joints = [done.motions[position].joints for position in positions]
        return dict(zip(positions, caption(joints, seed=settings.seed), strict=True))

    done.captions = _all_or_each(
        "pose captions", captioned, list(done.motions), done, done.failures, done.seconds
    )
    done.motions = {position: done.motions[position] for position in done.captions}


def finish(
    source: MotionSource, settings: Settings, prepared: Prepared, vectors: Vectors, provenance: Provenance
) -> Finished:
    """Find keyframes, describe and check a batch, and make its rows.

    Args:
        source: not needed, as the motions are loaded.
        settings: of the run.
        prepared: the batch.
        vectors: (N, D) unit rows, the embeddings of `prepared.texts`.
        provenance: of every row.
    """
    failures, seconds = dict(prepared.failures), dict(prepared.seconds)
    found = _all_keyframes(prepared, vectors, settings, failures, seconds)
    describe = resolve(settings.describer, DESCRIBERS, "describer")
    written: dict[int, Written] = {}
    for position in found:
        motion = prepared.motions[position]
        guard = _Guard(failures, seconds, position, motion.motion_id, motion.source.path)
        sentences = guard.run("describe", described, motion, describe, settings.seed)
        if sentences is not None:
            written[position] = Written(sentences, provenance)
    return _finished(prepared, found, written, failures, seconds)


def compose(
    source: MotionSource, settings: Settings, prepared: Prepared, vectors: Vectors, asked: Asked
) -> Composed:
    """Find the keyframes of a batch and write the request for each of its motions."""
    from kinmo_annotate.describe.llm.payload import motions_fields
    from kinmo_annotate.describe.llm.request import make_request

    done = Composed(failures=dict(prepared.failures), seconds=dict(prepared.seconds))
    done.keyframes = _all_keyframes(prepared, vectors, settings, done.failures, done.seconds)

    def requests(positions: Sequence[int]) -> dict[int, Request]:
        motions = [prepared.motions[position] for position in positions]
        keys = [done.keyframes[position] for position in positions]
        fields = motions_fields(motions, keys, seed=settings.seed)
        return {
            position: make_request(motion.motion_id, texts, asked)
            for position, motion, texts in zip(positions, motions, fields, strict=True)
        }

    done.requests = _all_or_each(
        "describe", requests, list(done.keyframes), prepared, done.failures, done.seconds
    )
    return done


def dispute(
    source: MotionSource, settings: Settings, prepared: Prepared, answers: Mapping[int, str]
) -> dict[int, dict[str, str]]:
    """List what of the answers contradicts the motions, by position and field, where anything does.

    Args:
        source: not needed.
        settings: of the run.
        prepared: the batch.
        answers: the JSON that the model wrote, by position.
    """
    from kinmo_annotate.describe.llm.form import parse_answer
    from kinmo_annotate.verify import CONTRADICTED, check_motions

    motions = [prepared.motions[position] for position in answers]
    findings = check_motions(motions, [parse_answer(text) for text in answers.values()])
    disputed: dict[int, dict[str, str]] = {}
    for position, found in zip(answers, findings, strict=True):
        for one in found:
            if one.verdict == CONTRADICTED:
                lines = disputed.setdefault(position, {})
                line = f"- {one.field}: {one.claim}. {one.evidence}"
                lines[one.field] = "\n".join(filter(None, (lines.get(one.field), line)))
    return disputed


def conclude(
    source: MotionSource,
    settings: Settings,
    prepared: Prepared,
    composed: Composed,
    answered: Mapping[int, Answered],
    failures: Mapping[int, Failure],
) -> Finished:
    """Check what a language model wrote of a batch and make its rows.

    Args:
        source: not needed.
        settings: of the run.
        prepared: the batch.
        composed: its keyframes and requests.
        answered: what the model wrote, by position.
        failures: motions that got no answer; those in neither are left for another run.
    """
    from kinmo_annotate.describe.llm.form import parse_answer

    written = {}
    for position, one in answered.items():
        sentences = parse_answer(one.text)
        if one.mended:
            second = parse_answer(one.mended)
            sentences |= {name: second[name] for name in one.disputed}
        written[position] = Written(sentences, one.provenance)
    failed = composed.failures | dict(failures)
    return _finished(prepared, composed.keyframes, written, failed, dict(composed.seconds))


def _all_keyframes(
    prepared: Prepared,
    vectors: Vectors,
    settings: Settings,
    failures: dict[int, Failure],
    seconds: dict[str, float],
) -> dict[int, tuple[Keyframe, ...]]:
    known = dict(zip(prepared.texts, vectors, strict=True))
    found = {}
    for position, motion in prepared.motions.items():
        guard = _Guard(failures, seconds, position, motion.motion_id, motion.source.path)
        keys = guard.run("keyframes", keyframes, prepared.captions[position], known, settings)
        if keys is not None:
            found[position] = tuple(keys)
    return found


def _finished(
    prepared: Prepared,
    found: Mapping[int, tuple[Keyframe, ...]],
    written: Mapping[int, Written],
    failures: dict[int, Failure],
    seconds: dict[str, float],
) -> Finished:
    """Check sentences and make rows, in the order of the shard."""
    checks = check_batch(prepared, written, failures, seconds)
    rows = [
        (
            position,
            Row(prepared.motions[position], found[position], one.sentences, one.provenance, checks[position]),
        )
        for position, one in sorted(written.items())
        if position in checks
    ]
    table = make_table(rows, failures, seconds)
    kept = [row for position, row in rows if position not in failures]
    left = len({*prepared.motions} - {*failures} - {position for position, _ in rows})
    counts = sum(len(row.keyframes) for row in kept), sum(len(row.motion.joints) for row in kept)
    verdicts = Counter(check.verdict for row in kept for check in row.checks)
    return Finished(table, failures, seconds, *counts, left, dict(verdicts))


def check_batch(
    prepared: Prepared,
    written: Mapping[int, Written],
    failures: dict[int, Failure],
    seconds: dict[str, float],
) -> dict[int, tuple[Check, ...]]:
    """Hold the sentences of a batch against its motions."""
    from kinmo_annotate.verify import check_motions

    def checked(positions: Sequence[int]) -> dict[int, tuple[Check, ...]]:
        motions = [prepared.motions[position] for position in positions]
        found = check_motions(motions, [written[position].sentences for position in positions])
        return {p: tuple(f.check() for f in one) for p, one in zip(positions, found, strict=True)}

    return _all_or_each("check", checked, list(written), prepared, failures, seconds)


def _all_or_each(
    stage: str,
    work: Callable[[Sequence[int]], dict[int, _T]],
    positions: Sequence[int],
    prepared: Prepared,
    failures: dict[int, Failure],
    seconds: dict[str, float],
) -> dict[int, _T]:
    """Do a stage for a whole batch, which is fast, or where that fails motion by motion: one is to blame."""
    started = time.perf_counter()
    try:
        return work(positions) if positions else {}
    except Exception:
        done: dict[int, _T] = {}
        for position in positions:
            motion = prepared.motions[position]
            guard = _Guard(failures, {}, position, motion.motion_id, motion.source.path)
            done |= guard.run(stage, work, [position]) or {}
        return done
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started


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
        known = ALL_DESCRIBERS if registry is DESCRIBERS else registry
        raise MotionError(
            f"--{what} {name}", f"there is no such {what}", f"Choose one of: {', '.join(known)}."
        )
    try:
        return _import(target)
    except (ImportError, AttributeError) as error:
        raise MotionError(f"--{what} {name}", str(error), f"Install what the {what} needs.") from None
