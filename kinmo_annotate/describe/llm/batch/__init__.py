"""The batch API: requests handed over in files, answered within a day, at half the price.

    run --batch   BatchOracle writes what nobody has answered into chunks, `submit` makes batches of them
    collect       `refresh`, `collect`: answers are kept, what is to be asked again goes into new chunks
    then          the pipeline runs again and finds the answers

Everything that is known stands in `batches/state.json` of the dataset and is written before it is needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinmo_annotate.describe.llm.batch.api import Api, BatchError, Remote
from kinmo_annotate.describe.llm.batch.chunks import ChunkWriter, clear_files
from kinmo_annotate.describe.llm.batch.collect import cancel, collect, has_ended, refresh
from kinmo_annotate.describe.llm.batch.report import Report
from kinmo_annotate.describe.llm.batch.state import (
    BATCHES_DIR,
    Chunk,
    State,
    load_state,
    open_state,
    plan_of,
    settings_of,
)
from kinmo_annotate.describe.llm.batch.submit import BatchOracle, submit
from kinmo_annotate.schema.shards import DatasetError

__all__ = [
    "BATCHES_DIR", "Api", "BatchError", "BatchOracle", "Chunk", "ChunkWriter", "Remote", "Report", "State",
    "Submission", "begin", "cancel", "collect", "has_ended", "load_state", "open_state", "plan_of", "refresh",
    "refuse_two_ways", "settings_of", "submit", "submit_wanted",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Submission:
    """What a run handed over.

    Attributes:
        requests: new ones.
        batches: begun.
        outstanding: requests in all chunks that are not collected, those of runs before included.
        over_budget, paused: requests left out, see `BatchOracle`.
    """

    requests: int
    batches: int
    outstanding: int
    over_budget: int
    paused: int


def begin(
    out: Path,
    base_url: str | None,
    plan: Mapping[str, Any] | None = None,
    *,
    retry_failures: bool = False,
) -> State:
    """Open a dataset's batches for a run, which holds the dataset's lock.

    Args:
        out: the dataset.
        base_url: of the endpoint; None is that of the environment, or OpenAI's.
        plan: from `plan_of`, where the user asks for the run; None for the pass after a collection.
        retry_failures: ask anew for what was given up.

    Raises:
        DatasetError: the state cannot be read, or batches are under way at another endpoint.
    """
    state = open_state(out, base_url=base_url or os.environ.get("OPENAI_BASE_URL") or "", plan=plan)
    if retry_failures:
        state.retry_failures()
    clear_files(state)
    return state


def refuse_two_ways(out: Path) -> None:
    """Refuse to ask at once for what is with the batch API: it would be paid for twice.

    Raises:
        DatasetError: requests are outstanding, or the state cannot be read.
    """
    state = load_state(out)
    if state is not None and state.outstanding:
        remedy = f"Run `kinmo annotate batch collect {out}` first, or `kinmo annotate batch cancel {out}`."
        raise DatasetError(out, f"has {state.outstanding} requests with the batch API", remedy)


def submit_wanted(
    state: State,
    oracle: BatchOracle,
    base_url: str | None,
    *,
    timeout_s: float = 600.0,
    tell: Callable[[str], None] = lambda text: None,
) -> Submission:
    """Submit what a pass of the pipeline wanted, and what an earlier run left unsubmitted.

    Raises:
        MotionError: there is no key, or the endpoint refuses (`BatchError`); what is submitted is kept, and
            what is not is submitted by the next run or collection.
        DatasetError: the state cannot be written.
    """
    requests = oracle.finish()
    batches = 0
    if any(chunk.pending for chunk in state.chunks):
        api = Api(base_url, timeout_s)
        try:
            batches = submit(state, api, tell=tell)
        finally:
            api.close()
    return Submission(requests, batches, state.outstanding, oracle.over_budget, oracle.paused)
