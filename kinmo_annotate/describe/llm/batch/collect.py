"""From batches that have ended to answers: joined by key, kept, and what is missing asked again.

A chunk is collected in this order, so that a kill at any moment loses nothing and pays for nothing twice: its
files are downloaded; each answer goes into the archive and the cache; what is to be asked again is written
into new chunks; then one write of the state says all of that at once. A collection that was cut off begins
anew, and passes over the answers that it finds kept.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from kinmo_annotate.describe.llm.answers import ARCHIVE_DIR, Answer, Answers, read_archive
from kinmo_annotate.describe.llm.ask import AGAIN, ESSENTIAL, LONGER
from kinmo_annotate.describe.llm.batch.api import ENDED, TOO_MUCH, Api, BatchError
from kinmo_annotate.describe.llm.batch.chunks import (
    ChunkWriter,
    clear_files,
    expected_usd,
    read_bodies,
    read_owners,
    requests_path,
    result_path,
)
from kinmo_annotate.describe.llm.batch.lines import CANCELLED, Line, has_choices, read_results
from kinmo_annotate.describe.llm.batch.state import (
    COLLECTED,
    COLLECTING,
    CREATING,
    FAILED,
    SUBMITTED,
    UPLOADED,
    Again,
    Chunk,
    State,
)
from kinmo_annotate.describe.llm.batch.submit import asked_again, remember
from kinmo_annotate.describe.llm.client import Outcome, Reply, status_reply
from kinmo_annotate.describe.llm.form import AnswerError, parse_answer
from kinmo_annotate.describe.llm.prices import ModelPrice
from kinmo_annotate.describe.llm.prompt import Prompt
from kinmo_annotate.describe.llm.request import Request
from kinmo_annotate.describe.llm.response import answer_text, finish_reason, usage_of
from kinmo_annotate.schema.shards import DatasetError

MOST_TRIES: Final = 5  # of a request that batches end without answering
_UNFIT_REMEDY: Final = "Leave the motion out, or choose another model."
_LIMIT: Final = re.compile(r"Limit: ([\d,]+)")
_BYTES_PER_TOKEN: Final = 4
_LIMIT_SHARE: Final = 0.8  # of the account's limit that a part of a chunk may fill
_GONE: Final = (
    "Check --base-url and that the key in OPENAI_API_KEY is of the project that submitted it; "
    "`kinmo annotate batch cancel` gives it up."
)
_FEWEST: Final = 64  # requests of a chunk that is cut further where the limit is not told


@dataclass(slots=True)
class Report:
    """What a collection found.

    Attributes:
        batches: that ended.
        answered: requests with all 21 sentences.
        unusable: answers that were not.
        again: requests put into a new chunk.
        given_up: requests that will fail.
        dropped: requests that were cancelled or refused for all, and are in no chunk now.
        missing: requests of which no line came.
        doubled, unknown, garbage: lines that said something twice, of a request nobody made, or nothing.
        cut: chunks that were too large for the account, and are cut smaller.
        failed: batches that failed as a whole, with the reasons.
        stop: reason and remedy, where every further request would be refused.
    """

    batches: int = 0
    answered: int = 0
    unusable: int = 0
    again: int = 0
    given_up: int = 0
    dropped: int = 0
    missing: int = 0
    doubled: int = 0
    unknown: int = 0
    garbage: int = 0
    cut: int = 0
    failed: dict[str, list[str]] = field(default_factory=dict)
    stop: tuple[str, str] | None = None

    def add(self, other: Report) -> None:
        """Count another collection in."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.failed |= other.failed
        self.stop = self.stop or other.stop

    def as_json(self) -> dict[str, Any]:
        """Give JSON values."""
        counts: dict[str, Any] = {name: getattr(self, name) for name in _COUNTS}
        return counts | {"failed": self.failed, "stopped": self.stop and self.stop[0]}


_COUNTS: Final = (
    "batches", "answered", "unusable", "again", "given_up", "dropped", "missing", "doubled", "unknown",
    "garbage", "cut",
)  # fmt: skip


def refresh(state: State, api: Api, *, save: bool = True) -> None:
    """Ask the endpoint how the batches under way are.

    Args:
        state: of the dataset.
        api: the endpoint.
        save: write down what it says; without, the dataset's lock is not needed.

    Raises:
        BatchError: it cannot be asked, or does not know one.
    """
    for chunk in state.chunks:
        if chunk.step == SUBMITTED and chunk.status not in ENDED:
            try:
                remember(chunk, api.retrieve(chunk.batch_id))
            except BatchError as error:
                if error.kind == "gone":
                    error = BatchError("gone", f"batch {chunk.batch_id}: {error.reason}", _GONE)
                raise error from None
    if save:
        state.save()


def has_ended(chunk: Chunk) -> bool:
    """Tell whether there is something to collect."""
    return chunk.under_way and chunk.status in ENDED


def collect(
    state: State,
    api: Api,
    answers: Callable[[], Answers],
    prompt: Prompt,
    price: ModelPrice | None,
    *,
    budget_usd: float | None = None,
    new_writer: Callable[..., ChunkWriter] = ChunkWriter,
) -> Report:
    """Collect all batches that have ended; `refresh` first.

    Args:
        state: of the dataset.
        api: the endpoint.
        answers: opens cache and archive when first needed; the caller closes them.
        prompt: for asking again.
        price: of the model; None where it is not known.
        budget_usd: for the dataset; what it does not pay for is left to the next pass of the pipeline.
        new_writer: makes the writer of chunks of what is asked again.

    Raises:
        BatchError: a file cannot be downloaded; what was collected before is kept.
        DatasetError: something cannot be written.
    """
    report = Report()
    for chunk in [chunk for chunk in state.chunks if has_ended(chunk)]:
        if chunk.status == "failed":
            report.add(_failed(state, chunk, price, new_writer))
            continue
        join = _Join(state, chunk, answers(), prompt, price, new_writer(state, price), budget_usd)
        report.add(join.collect(api))
    if report.stop or report.failed:
        state.paused = True
    state.save()
    clear_files(state)
    return report


class _Join:
    """The collection of one chunk."""

    def __init__(
        self,
        state: State,
        chunk: Chunk,
        answers: Answers,
        prompt: Prompt,
        price: ModelPrice | None,
        writer: ChunkWriter,
        budget_usd: float | None,
    ) -> None:
        self._budget_usd = math.inf if budget_usd is None else budget_usd
        self._state, self._chunk, self._answers = state, chunk, answers
        self._prompt, self._price, self._writer = prompt, price, writer
        self._report = Report(batches=1)
        self._owners: dict[str, tuple[str, str]] = {}
        self._archived: set[tuple[str, str]] = set()  # unusable answers kept before a kill
        self._requeued: set[str] = set()
        self._refused: list[tuple[str, Reply]] = []
        # What is to change in the state, all at once at the end.
        self._again: dict[str, Again] = {}
        self._given_up: dict[str, list[str]] = {}
        self._tries: dict[str, int] = {}
        self._left_out: set[str] = set()
        self._settled: set[str] = set()

    def collect(self, api: Api) -> Report:
        """Download, join, and write down what came of it."""
        cut_off = self._chunk.step == COLLECTING
        self._owners = self._read_owners()
        self._chunk.step = COLLECTING
        self._state.save()
        paths = self._download(api)
        if cut_off:
            self._archived = _archived_unusable(self._state.folder.parent)
        seen: set[str] = set()
        for path in paths:
            for line in read_results(path, api.scrub):
                self._count(line, seen)
        for key in self._owners.keys() - seen:
            self._not_answered(key)
        self._settle_refused()
        self._requeue()
        self._write_down()
        return self._report

    def _read_owners(self) -> dict[str, tuple[str, str]]:
        try:
            return read_owners(self._state.folder, self._chunk.tag)
        except DatasetError:
            if self._chunk.status == "cancelled":  # the user gave it up
                return {}
            raise

    def _download(self, api: Api) -> list[Path]:
        """Fetch the output first: a good answer counts before an error of the same request."""
        paths = []
        for kind, file_id in (("output", self._chunk.output_file_id), ("errors", self._chunk.error_file_id)):
            if file_id:
                path = result_path(self._state.folder, self._chunk.tag, kind)
                api.download(file_id, path)
                paths.append(path)
        return paths

    def _count(self, line: Line | None, seen: set[str]) -> None:
        """Read one line, unless it says nothing, or nothing new."""
        if line is None:
            self._report.garbage += 1
        elif line.key not in self._owners:
            self._report.unknown += 1
        elif line.key in seen:
            self._report.doubled += 1
        else:
            seen.add(line.key)
            self._read(line)

    def _read(self, line: Line) -> None:
        if line.status == 0:
            if line.code == CANCELLED:
                self._report.dropped += 1
            else:
                self._try_again(line.key, ": ".join(filter(None, (line.code, line.message))))
        elif line.status == 200:
            if has_choices(line.body):
                self._read_answer(line)
            else:
                self._try_again(line.key, "the endpoint's answer has no choices")
        else:
            self._read_error(line.key, status_reply(line.status, json.dumps(line.body), {}))

    def _read_error(self, key: str, reply: Reply) -> None:
        if reply.outcome in (Outcome.RATE_LIMITED, Outcome.BROKEN):
            self._try_again(key, reply.reason)
        elif reply.outcome is Outcome.UNFIT:
            self._give_up(key, reply.reason, _UNFIT_REMEDY)
        elif reply.parameter and reply.parameter not in ESSENTIAL:
            self._left_out.add(reply.parameter)
            self._requeued.add(key)
        else:
            self._refused.append((key, reply))

    def _settle_refused(self) -> None:
        """Where others were answered it is the motion that is refused, else it is all requests."""
        for key, reply in self._refused:
            if reply.status in (400, 422) and self._report.answered:
                self._give_up(key, reply.reason, _UNFIT_REMEDY)
            else:
                self._report.dropped += 1
                self._report.stop = (reply.reason, reply.remedy)

    def _not_answered(self, key: str) -> None:
        """Neither file says anything of a request."""
        if self._chunk.status == "cancelled":
            self._report.dropped += 1
        else:
            self._report.missing += 1
            self._try_again(key, f"the batch {self._chunk.status} without a word on it")

    def _try_again(self, key: str, reason: str) -> None:
        tries = self._state.tries.get(key, 0) + 1
        if tries >= MOST_TRIES:
            self._give_up(key, f"{reason}, {tries} times", AGAIN)
        else:
            self._tries[key] = tries
            self._requeued.add(key)

    def _give_up(self, key: str, reason: str, remedy: str) -> None:
        self._report.given_up += 1
        self._given_up[key] = [reason, remedy]

    # ------------------------------------------------------------ answers

    def _read_answer(self, line: Line) -> None:
        """Keep a good answer; ask once more, with the reason, for one that cannot be used."""
        if self._answers.get(line.key) is not None:  # kept before a kill
            self._report.answered += 1
            self._settled.add(line.key)
            return
        answer, paid_usd = self._priced(line)
        try:
            text = answer_text(line.body)
            parse_answer(text)
        except AnswerError as error:
            self._unusable(line, answer, str(error), paid_usd)
            return
        self._answers.put(replace(answer, text=text), line.body, paid_usd)
        self._report.answered += 1
        self._settled.add(line.key)

    def _unusable(self, line: Line, answer: Answer, reason: str, paid_usd: float | None) -> None:
        self._report.unusable += 1
        if (line.key, str(line.body.get("id"))) not in self._archived:
            self._answers.put_unusable(answer, reason, line.body, paid_usd)
        if line.key in self._state.again:
            self._give_up(line.key, f"the model's answer cannot be used: {reason}", AGAIN)
            return
        share = LONGER if finish_reason(line.body) == "length" else 1.0
        tokens = answer.input_tokens, answer.output_tokens, answer.cached_tokens
        self._again[line.key] = Again(reason, share, *tokens, answer.cost_usd)
        self._requeued.add(line.key)

    def _priced(self, line: Line) -> tuple[Answer, float | None]:
        """Price a response, and add tokens and cost of the answer before it to the motion's."""
        tokens_in, tokens_out, cached = usage_of(line.body)
        usd = None
        if self._price is not None:
            usd = self._price.cost(tokens_in, cached, tokens_out, batch=True)
            if not tokens_in and not tokens_out:  # it does not tell: as estimated
                usd = (self._chunk.expected_usd or 0.0) / self._chunk.requests
        before = self._state.again.get(line.key) or Again("", cost_usd=0.0)
        total = None if usd is None or before.cost_usd is None else before.cost_usd + usd
        motion_id, version = self._owners[line.key]
        answer = Answer(
            line.key, motion_id, self._chunk.model, version, "", before.input_tokens + tokens_in,
            before.output_tokens + tokens_out, before.cached_tokens + cached, total,
        )  # fmt: skip
        return answer, usd

    # ------------------------------------------------------------ what comes of it

    def _requeue(self) -> None:
        """Write what is to be asked again into new chunks; what is lost the next pass composes."""
        new = [name for name in self._left_out if name not in self._state.left_out]
        self._state.left_out += sorted(new)
        others_usd = self._state.expected_usd - (self._chunk.expected_usd or 0.0)
        left_usd = self._budget_usd - self._answers.spent_usd - others_usd
        bodies = read_bodies(self._state.folder, self._chunk.tag, self._requeued)
        for key, body in bodies:
            left_usd -= expected_usd(body, self._price) or 0.0
            if left_usd < 0:
                break
            motion_id, version = self._owners[key]
            if key in self._again:
                request = Request(key, motion_id, version, body)
                body = asked_again(request, self._again[key], self._prompt).body
            self._writer.add(key, motion_id, version, body)

    def _write_down(self) -> None:
        self._report.again = self._writer.requests
        state = self._state
        new = self._writer.finish()
        state.settle([*self._settled, *self._given_up])
        state.again |= self._again
        state.tries |= self._tries
        state.given_up |= self._given_up
        self._chunk.step = COLLECTED
        state.chunks += new
        state.save()


def _archived_unusable(out: Path) -> set[tuple[str, str]]:
    """Find the unusable answers that a collection kept before it was cut off: their keys and the ids."""
    records = read_archive(out / ARCHIVE_DIR)
    return {(one["key"], str((one.get("raw") or {}).get("id"))) for one in records}


# ---------------------------------------------------------------- batches that failed as a whole


def _failed(
    state: State, chunk: Chunk, price: ModelPrice | None, new_writer: Callable[..., ChunkWriter]
) -> Report:
    """Put a chunk back where the account had no room for it; else drop it and tell why."""
    others = any(one.under_way and one is not chunk and one.status not in ENDED for one in state.chunks)
    if any(TOO_MUCH in error or "nqueued token limit" in error for error in chunk.errors):
        if not others and (most := _fitting(state, chunk)):
            return _cut(state, chunk, new_writer(state, price, most_requests=most))
        chunk.past.append(chunk.batch_id)
        chunk.batch_id, chunk.status, chunk.step = "", "", UPLOADED
        return Report(batches=1)
    chunk.step = FAILED
    return Report(1, dropped=chunk.requests, failed={chunk.batch_id: chunk.errors or ["no reason is told"]})


def _fitting(state: State, chunk: Chunk) -> int:
    """Count the requests that the account has room for at once; 0 where all of the chunk would fit."""
    told = _LIMIT.search(" ".join(chunk.errors))
    limit = int(told[1].replace(",", "")) if told else 0
    path = requests_path(state.folder, chunk.tag)
    tokens = path.stat().st_size / _BYTES_PER_TOKEN if path.exists() else 0
    if not tokens or chunk.requests == 1:
        return 0
    if limit:
        return max(1, int(chunk.requests * _LIMIT_SHARE * limit / tokens)) if tokens > limit else 0
    return chunk.requests // 2 if chunk.requests >= 2 * _FEWEST else 0


def _cut(state: State, chunk: Chunk, writer: ChunkWriter) -> Report:
    owners = read_owners(state.folder, chunk.tag)
    for key, body in read_bodies(state.folder, chunk.tag, set(owners)):
        writer.add(key, *owners[key], body)
    state.chunks += writer.finish()
    chunk.step = FAILED
    state.save()
    return Report(1, cut=1)


# ---------------------------------------------------------------- cancelling


def cancel(state: State, api: Api) -> int:
    """End all batches under way and drop what is not submitted; give the number of batches told to end.

    What they have answered by then is still there to be collected. Nothing new is submitted before the user
    runs `annotate run --batch` again.

    Raises:
        BatchError: the endpoint cannot be asked.
    """
    state.paused = True
    state.save()
    told = 0
    for chunk in state.chunks:
        if chunk.step == CREATING:
            found = api.find_batch(chunk.file_id, chunk.tag, chunk.past)
            if found:
                remember(chunk, found)
                chunk.step = SUBMITTED
        if chunk.pending:
            chunk.step, chunk.errors = FAILED, ["cancelled before it was submitted"]
        elif chunk.step == SUBMITTED and chunk.status not in ENDED:
            told += _cancel(api, chunk)
        state.save()
    return told


def _cancel(api: Api, chunk: Chunk) -> bool:
    try:
        remember(chunk, api.cancel(chunk.batch_id))
    except BatchError as error:
        if error.kind != "gone":
            raise
        chunk.step, chunk.errors = FAILED, ["the endpoint does not know this batch"]
        return False
    return True
