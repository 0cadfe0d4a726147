"""Batches under way: how they are, what those that ended brought, and how to end them early."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from kinmo_annotate.describe.llm.answers import Answers
from kinmo_annotate.describe.llm.batch.api import ENDED, TOO_MUCH, Api, BatchError
from kinmo_annotate.describe.llm.batch.chunks import (
    ChunkWriter,
    clear_files,
    read_bodies,
    read_owners,
    requests_path,
)
from kinmo_annotate.describe.llm.batch.join import Join
from kinmo_annotate.describe.llm.batch.report import Report
from kinmo_annotate.describe.llm.batch.state import CREATING, FAILED, SUBMITTED, UPLOADED, Chunk, State
from kinmo_annotate.describe.llm.batch.submit import remember
from kinmo_annotate.describe.llm.prices import ModelPrice
from kinmo_annotate.describe.llm.prompt import Prompt

_LIMIT: Final = re.compile(r"Limit: ([\d,]+)")
_BYTES_PER_TOKEN: Final = 4
_LIMIT_SHARE: Final = 0.8  # of the account's limit that a part of a chunk may fill
_GONE: Final = (
    "Check --base-url and that the key in OPENAI_API_KEY is of the project that submitted it; "
    "`kinmo annotate batch cancel` gives it up."
)
_FEWEST: Final = 64  # requests of a chunk that is cut further where the limit is not told


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
        join = Join(state, chunk, answers(), prompt, price, new_writer(state, price), budget_usd)
        report.add(join.collect(api))
    if report.stop or report.failed:
        state.paused = True
    state.save()
    clear_files(state)
    return report


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
