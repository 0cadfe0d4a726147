"""A folder of motions to a dataset, shard by shard: the stages in reading order, resume, counts and report.

plan      every split's listing is cut into fixed shards; those finished before are kept
prepare   load and caption the motions of a shard         (workers, some shards ahead)
embed     each distinct text once                         (this process)
finish    keyframes, descriptions, checks, rows           (workers; a language model is asked in `asking`)
write     the shard, its record, the manifest             (this process, in order)
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kinmo_annotate.asking import BatchWishes, Dialogue, Terms, terms_of
from kinmo_annotate.describe.llm.ask import Halt
from kinmo_annotate.describe.llm.batch import Submission
from kinmo_annotate.engines.local import Engine, Result, open_engine
from kinmo_annotate.resume import RunFolder, ShardPlan, listing_digest, open_run_folder, plan_shards
from kinmo_annotate.schema.places import cache_folder
from kinmo_annotate.schema.records import Failure, MotionError, Provenance
from kinmo_annotate.schema.shards import DATA_DIR, SCHEMA
from kinmo_annotate.settings import Settings
from kinmo_annotate.sources.base import Entry, MotionSource, failure
from kinmo_annotate.stages import (
    CAPTIONERS,
    DESCRIBERS,
    STAGES,
    Finished,
    Prepared,
    Vectors,
    finish,
    prepare,
    resolve,
)

if TYPE_CHECKING:
    from kinmo_annotate.keyframes import TextEncoder

__all__ = ["STAGES", "Progress", "Settings", "Summary", "annotate"]

_BATCH: Final = 32  # motions that a worker takes at once
_AHEAD: Final = 4  # shards that are prepared meanwhile; enough to use the seconds that opening sBERT takes
_TEXTS_AT_ONCE: Final = 512  # between two looks at the progress and at Ctrl-C
_NO_PROMPT: Final = "none"  # the rules need none


class Progress(Protocol):
    """Someone who watches the run."""

    def expect(self, stage: str, amount: int) -> None:
        """Hear that a stage has so much more to do."""
        ...

    def advance(self, stage: str, amount: int) -> None:
        """Hear that a stage has done so much more."""
        ...


class _Nobody:
    """Watches nothing."""

    def expect(self, stage: str, amount: int) -> None:
        """Ignore it."""

    def advance(self, stage: str, amount: int) -> None:
        """Ignore it."""


@dataclass(slots=True)
class Summary:
    """What a run did.

    Attributes:
        out: the dataset.
        asked: motions that the source lists, those that cannot be read included.
        rows: motions in the dataset, also those of runs before.
        kept: rows that an earlier run had finished.
        failures: what could not be annotated, in the order of the listing.
        frames: frames of all rows.
        keyframes: keyframes of all rows.
        texts: texts embedded by this run.
        seconds: work per stage in this run, all workers together.
        wall_seconds: duration of this run.
        verdicts: claims of this run's sentences by what the fact check says of them.
        requests: counts of what a language model was asked in this run; None for other describers.
        from_cache: answers that were found instead of asked for.
        submission: what was handed over to the batch API, if anything was.
        spent_usd: paid for this dataset so far, runs before included.
        halted: why asking ended early, if it did.
        complete: whether every motion asked for is a row or a failure now, and nothing is left to retry.
    """

    out: Path
    asked: int
    rows: int = 0
    kept: int = 0
    failures: list[Failure] = field(default_factory=list)
    frames: int = 0
    keyframes: int = 0
    texts: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    wall_seconds: float = 0.0
    verdicts: dict[str, int] = field(default_factory=dict)
    requests: dict[str, Any] | None = None
    from_cache: int = 0
    submission: Submission | None = None
    spent_usd: float | None = None
    halted: Halt | None = None
    complete: bool = False

    @property
    def motions_per_s(self) -> float:
        """Speed of this run."""
        return max(0, self.rows - self.kept) / self.wall_seconds if self.wall_seconds else 0.0

    @property
    def keyframes_per_motion(self) -> float:
        """Mean number of keyframes."""
        return self.keyframes / self.rows if self.rows else 0.0

    def failures_by_reason(self) -> dict[str, int]:
        """Count failures by stage and reason, most frequent first."""
        return dict(Counter(f"{one.stage}: {one.reason}" for one in self.failures).most_common())

    def as_json(self) -> dict[str, Any]:
        """Give the summary as JSON values."""
        values = asdict(replace(self, failures=[], seconds={}))
        return values | {
            "out": str(self.out),
            "failures": len(self.failures),
            "failures_by_reason": self.failures_by_reason(),
            "keyframes_per_motion": round(self.keyframes_per_motion, 2),
            "seconds": {stage: round(self.seconds.get(stage, 0.0), 3) for stage in STAGES},
            "wall_seconds": round(self.wall_seconds, 3),
            "motions_per_s": round(self.motions_per_s, 2),
        }


def annotate(
    source: MotionSource,
    out: Path,
    settings: Settings | None = None,
    *,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
    force: bool = False,
    retry_failures: bool = False,
    batch_plan: Mapping[str, Any] | None = None,
) -> Summary:
    """Annotate every motion of a source into a dataset, going on where an earlier run was cut off.

    Args:
        source: the motions.
        out: the dataset folder, made where it is missing.
        settings: of the run.
        progress: told of every batch.
        stop: asked between shards; once it says True the shards in hand are finished and the run ends. A
            language model is asked nothing more then, and its shards are written as far as they are answered.
        force: begin over where a dataset is there already; answers that were paid for are used again.
        retry_failures: do the motions again that failed before.
        batch_plan: where requests go to the batch API, what a collection needs to know of this run.

    Raises:
        MotionError: the source lists nothing, or a setting names what is not there.
        DatasetError: the folder cannot be used or written; finished shards are kept.
    """
    settings = settings or Settings()
    started = time.perf_counter()
    entries, listed = _listing(source, settings.limit)
    resolve(settings.captioner, CAPTIONERS, "captioner")([], seed=settings.seed)  # tells what it lacks now
    terms = terms_of(settings.asking) if settings.asks else None
    if terms is None:
        resolve(settings.describer, DESCRIBERS, "describer")
    recorded = settings.in_rows() | {"source": source.name, "listing": listing_digest(entries, listed)}
    summary = Summary(out, len(entries) + len(listed))
    version_of_prompt = terms.prompt.fingerprint if terms else _NO_PROMPT
    with open_run_folder(out, recorded, version_of_prompt, force=force) as folder:
        plans = plan_shards(entries, settings.shard_size)
        wishes = BatchWishes(batch_plan, retry_failures)
        run = _Run(folder, settings, summary, progress or _Nobody(), stop, terms, wishes)
        run.go(source, plans, listed)
    summary.wall_seconds = time.perf_counter() - started
    return summary


def _listing(source: MotionSource, limit: int | None) -> tuple[list[Entry], list[Failure]]:
    """List what is asked for; an id that comes twice is kept once.

    Raises:
        MotionError: nothing at all.
    """
    listed = source.failures()
    entries: dict[str, Entry] = {}
    for entry in source.entries()[:limit]:
        if entry.motion_id in entries:
            reason = f"the id is used twice, first by {entries[entry.motion_id].path}"
            listed.append(failure(entry.motion_id, entry.path, reason, "Give each motion an id of its own."))
        else:
            entries[entry.motion_id] = entry
    if not entries and not listed:
        raise MotionError(
            source.name, "no motion is listed", "Check the folder, its split files, and --kind."
        )
    return list(entries.values()), listed


@dataclass(slots=True)
class _InHand:
    """A shard on its way, batch by batch."""

    plan: ShardPlan
    preparing: list[Result[Prepared]]
    finishing: list[Result[Finished]] = field(default_factory=list)


class _Run:
    """One run over the shards that are left to do."""

    def __init__(
        self,
        folder: RunFolder,
        settings: Settings,
        summary: Summary,
        progress: Progress,
        stop: Callable[[], bool],
        terms: Terms | None,
        wishes: BatchWishes,
    ) -> None:
        self.folder, self.settings, self.summary = folder, settings, summary
        self.wishes = wishes
        self.progress, self.stop, self.terms = progress, stop, terms
        self.dialogue: Dialogue | None = None
        self.shards_written = 0

    def go(self, source: MotionSource, plans: Sequence[ShardPlan], listed: Sequence[Failure]) -> None:
        """Do what is left, then close the dataset."""
        finished = self.folder.restore(plans, listed, retry_failures=self.wishes.retry_failures)
        for record in finished.values():
            self._count_kept(record.name, record.rows)
        left = [plan for plan in plans if plan.name not in finished]
        if left:
            self._expect(left)
            with open_engine(source, self.settings) as engine, self._asking(engine):
                self._through(engine, left)
        self.summary.failures = self.folder.close(plans, listed)
        self.summary.rows = self.folder.rows
        accounted = self.summary.rows + len(self.summary.failures) == self.summary.asked
        self.summary.complete = accounted and self.shards_written == len(left)

    def _expect(self, plans: Sequence[ShardPlan]) -> None:
        motions = sum(len(plan.entries) for plan in plans)
        for stage in STAGES:
            if stage != "ask" or self.terms:
                self.progress.expect(stage, {"embeddings": 0, "write": len(plans)}.get(stage, motions))

    @contextmanager
    def _asking(self, engine: Engine) -> Iterator[None]:
        """Hold the dialogue with a language model open, where there is one."""
        if self.terms is None:
            yield
            return
        dialogue = Dialogue(
            self.folder.out, self.settings, self.terms, engine, wishes=self.wishes, stop=self.stop,
            answered=lambda motions: self.progress.advance("ask", motions),
        )  # fmt: skip
        try:
            with dialogue:
                self.dialogue = dialogue
                yield
            self.summary.submission = dialogue.submit()
        finally:
            tally = dialogue.tally
            if tally:
                self.summary.requests = tally.as_json()
                self._spent("ask", tally.wall_s)
            self.summary.from_cache = dialogue.answers.from_cache
            self.summary.spent_usd = dialogue.answers.spent_usd if self.terms.price else None
            self.summary.halted = dialogue.halted

    def _through(self, engine: Engine, plans: Sequence[ShardPlan]) -> None:
        """Take shards through the stages: one is embedded while the next are prepared, the last finished."""
        encoder = _OpenEncoder(self.settings)
        created_at = _now()
        finishing: deque[_InHand] = deque()
        # A language model answers slowly and many at a time: several shards wait for it together.
        waiting = _AHEAD if self.dialogue else 1
        for shard in self._prepared_ahead(engine, plans):
            self._embed_and_finish(engine, shard, encoder, created_at)
            finishing.append(shard)
            if len(finishing) > waiting:
                self._write(finishing.popleft())
        for shard in finishing:
            self._write(shard)

    def _ending(self) -> bool:
        """Tell whether no further shard is to be begun."""
        return self.stop() or (self.dialogue is not None and self.dialogue.halted is not None)

    def _prepared_ahead(self, engine: Engine, plans: Sequence[ShardPlan]) -> Iterator[_InHand]:
        """Give shards in order, with the next ones already being prepared, until told to stop."""
        queue: deque[_InHand] = deque()
        for plan in plans:
            queue.append(_InHand(plan, [engine.submit(prepare, batch) for batch in _batches(plan.entries)]))
            if len(queue) > _AHEAD:
                yield queue.popleft()
            if self._ending():
                return
        while queue and not self._ending():
            yield queue.popleft()

    def _embed_and_finish(
        self, engine: Engine, shard: _InHand, encoder: _OpenEncoder, created_at: str
    ) -> None:
        """Embed the texts of a shard, each once, and send its batches on."""
        prepared = []
        for result, batch in zip(shard.preparing, _batches(shard.plan.entries), strict=True):
            prepared.append(result.result())
            for stage in ("load", "pose captions"):
                self.progress.advance(stage, len(batch))
        # Texts of like length stand together, because the encoder works on one length at a time.
        texts = sorted(
            {text for batch in prepared for text in batch.texts}, key=lambda text: (len(text), text)
        )
        known = self._embed(texts, encoder)
        provenance = _provenance(self.settings, self.terms, encoder.get().name, created_at)
        place = {text: index for index, text in enumerate(texts)}
        for one in prepared:
            vectors = known[[place[text] for text in one.texts]]
            shard.finishing.append(self._finish(engine, one, vectors, provenance))
        shard.preparing.clear()

    def _finish(
        self, engine: Engine, prepared: Prepared, vectors: Vectors, provenance: Provenance
    ) -> Result[Finished]:
        if self.dialogue:
            return self.dialogue.describe(prepared, vectors, provenance)
        return engine.submit(finish, prepared, vectors, provenance)

    def _embed(self, texts: list[str], encoder: _OpenEncoder) -> Vectors:
        """Embed texts a few at a time."""
        self.progress.expect("embeddings", len(texts))
        started = time.perf_counter()
        parts = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            some = texts[start : start + _TEXTS_AT_ONCE]
            parts.append(encoder.get().encode(some))
            self.progress.advance("embeddings", len(some))
        self._spent("embeddings", time.perf_counter() - started)
        self.summary.texts += len(texts)
        return np.concatenate(parts) if parts else np.empty((0, 1), np.float32)

    def _write(self, shard: _InHand) -> None:
        """Write a shard whose batches are finished."""
        done = []
        for result, batch in zip(shard.finishing, _batches(shard.plan.entries), strict=True):
            done.append(result.result())
            for stage in ("keyframes", "describe", "check", "rows"):
                self.progress.advance(stage, len(batch))
        started = time.perf_counter()
        table = pa.concat_tables([SCHEMA.empty_table(), *(one.table for one in done)]).combine_chunks()
        failures = [one.failures[position] for one in done for position in sorted(one.failures)]
        left = sum(one.left for one in done)
        self.folder.write(shard.plan, table, failures, complete=not left)
        self.shards_written += 1
        self._spent("write", time.perf_counter() - started)
        for one in done:
            for verdict, count in one.verdicts.items():
                self.summary.verdicts[verdict] = self.summary.verdicts.get(verdict, 0) + count
            for stage, seconds in one.seconds.items():
                self._spent(stage, seconds)
            self.summary.keyframes += one.keyframes
            self.summary.frames += one.frames
        self.progress.advance("write", 1)

    def _spent(self, stage: str, seconds: float) -> None:
        self.summary.seconds[stage] = self.summary.seconds.get(stage, 0.0) + seconds

    def _count_kept(self, name: str, rows: int) -> None:
        """Count the rows of a shard that an earlier run finished."""
        self.summary.kept += rows
        if rows:
            path = self.folder.out / DATA_DIR / name
            columns = pq.read_table(path, columns=["num_frames", "keyframes"])
            self.summary.frames += int(columns["num_frames"].to_numpy().sum())
            self.summary.keyframes += sum(len(one) for one in columns["keyframes"].to_pylist())


class _OpenEncoder:
    """The text encoder, opened in the background: importing what it needs takes seconds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._encoder: TextEncoder | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._open, daemon=True)
        self._thread.start()

    def _open(self) -> None:
        from kinmo_annotate.keyframes import open_encoder

        try:
            folder = cache_folder(self._settings.cache_dir, "embeddings")
            self._encoder = open_encoder(self._settings.sbert_model, folder)
        except Exception as error:  # told to whoever waits for the encoder
            self._error = error

    def get(self) -> TextEncoder:
        """Wait for the encoder.

        Raises:
            MotionError: the model cannot be opened.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._encoder is not None
        return self._encoder


def _batches(entries: Sequence[Entry]) -> list[list[tuple[int, Entry]]]:
    """Cut a shard into what workers take at once, with positions; the same cut whatever the workers."""
    numbered = list(enumerate(entries))
    return [numbered[start : start + _BATCH] for start in range(0, len(numbered), _BATCH)]


def _provenance(settings: Settings, terms: Terms | None, sbert_model: str, created_at: str) -> Provenance:
    rules = "rules" if settings.describer in DESCRIBERS else settings.describer
    return Provenance(
        describer=settings.describer,
        model=terms.asked.model if terms else rules,
        prompt_version=terms.prompt.fingerprint if terms else _NO_PROMPT,
        captioner=settings.captioner,
        sbert_model=sbert_model,
        keyframe_threshold=settings.keyframe_threshold,
        seed=settings.seed,
        kinmo_version=version("kinmo"),
        created_at=created_at,
    )


def _now() -> str:
    """Give the time of the run, or the one that SOURCE_DATE_EPOCH fixes for reproducible files.

    Raises:
        MotionError: SOURCE_DATE_EPOCH is no number of seconds.
    """
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.fromtimestamp(int(fixed), UTC) if fixed else datetime.now(UTC)
    except (ValueError, OverflowError, OSError):
        remedy = "Give whole seconds since 1970, or unset it."
        raise MotionError("SOURCE_DATE_EPOCH", f"{fixed!r} is no point in time", remedy) from None
    return moment.isoformat(timespec="seconds")
