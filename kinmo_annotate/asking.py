"""Batches of motions through a language model: composed by workers, asked here, checked by workers.

One thread holds the event loop in which all requests of the run wait for their answers, so that as many as
the endpoint allows are in flight whatever shard they belong to, while the main thread goes on preparing.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from kinmo_annotate.describe.llm.answers import Answer, Answers, open_answers
from kinmo_annotate.describe.llm.ask import Asker, Halt, Oracle, Tally, Unanswered
from kinmo_annotate.describe.llm.batch import (
    Api,
    BatchOracle,
    State,
    Submission,
    begin,
    refuse_two_ways,
    submit_wanted,
)
from kinmo_annotate.describe.llm.client import Client
from kinmo_annotate.describe.llm.pace import Pace
from kinmo_annotate.describe.llm.prices import ModelPrice, load_prices
from kinmo_annotate.describe.llm.prompt import Prompt, load_prompt
from kinmo_annotate.describe.llm.request import Asked, Request, with_messages
from kinmo_annotate.engines.local import Engine, Result
from kinmo_annotate.schema.records import Failure, MotionError, Provenance
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.settings import Asking, Settings
from kinmo_annotate.stages import Answered, Composed, Finished, Prepared, Vectors, compose, conclude, dispute

_T = TypeVar("_T")
_WAITING: Final = 64
_LOOK_EVERY_S: Final = 0.2  # for a stop that the user asked for
_IN_FLIGHT_ENDS_S: Final = 30.0  # how long an ending run waits for answers that are paid for
_OFFLINE_REMEDY: Final = "Run without --offline to ask for it."


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run asks, in what words, at what price."""

    asked: Asked
    price: ModelPrice | None
    asking: Asking

    @property
    def prompt(self) -> Prompt:
        """The words."""
        return self.asked.prompt


def terms_of(asking: Asking) -> Terms:
    """Read the prompt and the prices that a run's settings name.

    Raises:
        MotionError: a file cannot be used, or there is a budget and no price.
    """
    price = load_prices(asking.prices).of(asking.model)
    if price is None and asking.budget_usd is not None:
        remedy = "Give its prices in a file with --prices, or leave --budget out."
        raise MotionError("--budget", f"no price is known for the model {asking.model}", remedy)
    options: dict[str, Any] = {"temperature": 0}
    if price:
        options = {name: value for name, value in options.items() if name not in price.refuses}
        options |= price.options
    options |= dict(asking.options)
    return Terms(
        Asked(asking.model, load_prompt(asking.prompt), asking.output_tokens, options), price, asking
    )


async def keep_going(asker: Asker, stop: Callable[[], bool]) -> None:
    """Send what is asked for; a mistake in that ends the asking, so that nobody waits for ever.

    Args:
        asker: is halted when the user wants the run to stop.
        stop: tells whether they do.
    """
    watching = asyncio.ensure_future(_watch(asker, stop))
    try:
        await asker.run()
    except Exception as error:
        asker.halt(Halt("refused", f"unexpected {error!r}"[:300], "Please report it."))
    finally:
        watching.cancel()


async def _watch(asker: Asker, stop: Callable[[], bool]) -> None:
    while not asker.halted:
        if stop():
            asker.halt(Halt("stopped", "stopped by Ctrl-C", "Run the same command again to go on."))
        await asyncio.sleep(_LOOK_EVERY_S)


class Archived:
    """Answers from the cache and the archive alone, for a model that is gone."""

    def __init__(self, answers: Answers, model: str) -> None:
        self._answers, self._model = answers, model

    async def ask(self, request: Request) -> Answer:
        """Give the archived answer to a request, or to the same motion in the same words.

        Raises:
            MotionError: there is none.
        """
        answer = self._answers.get(request.key)
        answer = answer or self._answers.of_motion(request.motion_id, self._model, request.prompt_version)
        if answer is None:
            raise MotionError(request.motion_id, "no answer is cached or archived", _OFFLINE_REMEDY)
        return answer


@dataclass(slots=True)
class _Batch:
    """A batch on its way, with what came of it so far."""

    prepared: Prepared
    composed: Composed
    provenance: Provenance
    answers: dict[int, Answer] = field(default_factory=dict)
    answered: dict[int, Answered] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchWishes:
    """What the user wants of the batch API besides the settings.

    Attributes:
        plan: what the run was given (`batch.plan_of`), so that a collection can go on from there; None for
            the pass that follows a collection.
        retry_failures: ask anew for what was given up.
    """

    plan: Mapping[str, Any] | None = None
    retry_failures: bool = False


class Dialogue:
    """The asking of one run. Use it as a context manager.

    Attributes:
        answers: cache and archive.
        halted: why asking ended early; None while it goes on.
    """

    def __init__(
        self,
        out: Path,
        settings: Settings,
        terms: Terms,
        engine: Engine,
        *,
        wishes: BatchWishes,
        stop: Callable[[], bool],
        answered: Callable[[int], None],
    ) -> None:
        self.halted: Halt | None = None
        self._out, self._wishes = out, wishes
        self._state: State | None = None
        self._settings, self._terms, self._engine = settings, terms, engine
        self._stop, self._answered = stop, answered
        self.answers = open_answers(out, settings.cache_dir)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="asking", daemon=True)
        self._asker: Asker | None = None
        self._client: Client | None = None
        # Threads that only wait for workers; without workers one that does the work.
        self._threads = ThreadPoolExecutor(_WAITING if settings.processes > 1 else 1)
        try:
            self._oracle = self._open_oracle()
        except (MotionError, DatasetError):
            self.answers.close()
            raise

    @property
    def tally(self) -> Tally | None:
        """What was asked of the endpoint so far; None where nothing is asked now."""
        return self._asker.tally if self._asker else None

    def submit(self) -> Submission | None:
        """Hand what a batch run wants over to the batch API; nothing where the run was stopped or asks now.

        Raises:
            DatasetError: the state of the batches cannot be written.
        """
        if self._state is None or not isinstance(self._oracle, BatchOracle):
            return None
        if self._stop():
            self._oracle.discard()
            return None
        try:
            asking = self._terms.asking
            handed = submit_wanted(self._state, self._oracle, asking.base_url, timeout_s=asking.timeout_s)
        except MotionError as error:
            self.halted = Halt("refused", f"{error.where}: {error.reason}", error.remedy)
            return None
        if handed.over_budget:
            reason = f"the budget of ${asking.budget_usd:g} leaves {handed.over_budget} requests out"
            self._halt(Halt("budget", reason, "Give a larger --budget to submit them too."))
        return handed

    def _open_oracle(self) -> Oracle:
        asking, terms = self._terms.asking, self._terms
        if asking.mode == "offline":
            return Archived(self.answers, asking.model)
        if asking.mode == "batch":
            Api(asking.base_url, asking.timeout_s).close()  # tells of a missing key before the work
            wishes = self._wishes
            self._state = begin(self._out, asking.base_url, wishes.plan, retry_failures=wishes.retry_failures)
            return BatchOracle(
                self.answers, self._state, terms.prompt, terms.price, budget_usd=asking.budget_usd
            )
        refuse_two_ways(self._out)
        self._client = Client(asking.base_url, asking.concurrency, asking.timeout_s)
        pace = Pace(asking.concurrency, asking.requests_per_minute, asking.tokens_per_minute)
        self._asker = Asker(
            self._client, self.answers, pace, terms.asked, terms.price, asking.budget_usd, self._halt
        )
        return self._asker

    def __enter__(self) -> Dialogue:
        self._thread.start()
        if self._asker:
            self._start(keep_going(self._asker, self._stop))
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(Exception):  # an endpoint that hangs does not keep the run from ending
            self._start(self._end()).result(_IN_FLIGHT_ENDS_S + 5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            self._loop.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.answers.close()

    def describe(self, prepared: Prepared, vectors: Vectors, provenance: Provenance) -> Result[Finished]:
        """Send a batch on its way; the result is there when all of its motions are answered or given up."""
        return self._start(self._describe(prepared, vectors, provenance))

    def _start(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _halt(self, halt: Halt) -> None:
        self.halted = halt

    async def _end(self) -> None:
        if self._asker:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asker.close(), _IN_FLIGHT_ENDS_S)
        current = asyncio.current_task()
        for task in asyncio.all_tasks():
            if task is not current:
                task.cancel()
        if self._client:
            await self._client.close()

    async def _in_worker(self, stage: Callable[..., _T], *inputs: Any) -> _T:
        result = self._engine.submit(stage, *inputs)
        return await self._loop.run_in_executor(self._threads, result.result)

    async def _describe(self, prepared: Prepared, vectors: Vectors, provenance: Provenance) -> Finished:
        composed = await self._in_worker(compose, prepared, vectors, self._terms.asked)
        batch = _Batch(prepared, composed, provenance)
        await asyncio.gather(*(self._ask(batch, position) for position in composed.requests))
        if self._terms.asking.repair and batch.answers:
            await self._repair(batch)
        return await self._in_worker(conclude, prepared, composed, batch.answered, batch.failures)

    async def _ask(self, batch: _Batch, position: int) -> None:
        """Ask for one motion of a batch; its answer, its failure, or neither."""
        try:
            answer = await self._oracle.ask(batch.composed.requests[position])
        except Unanswered:
            return
        except MotionError as error:
            path = batch.prepared.motions[position].source.path
            request = batch.composed.requests[position]
            failure = Failure(request.motion_id, path, "ask", error.reason, error.remedy)
            batch.failures[position] = failure
        else:
            batch.answers[position] = answer
            batch.answered[position] = Answered(answer.text, _paid(batch.provenance, [answer]))
        self._answered(1)

    async def _repair(self, batch: _Batch) -> None:
        """Send contradicted sentences back once; what comes back replaces those sentences alone."""
        texts = {position: answer.text for position, answer in batch.answers.items()}
        disputed = await self._in_worker(dispute, batch.prepared, texts)
        await asyncio.gather(*(self._mend(batch, *item) for item in disputed.items()))

    async def _mend(self, batch: _Batch, position: int, contradictions: Mapping[str, str]) -> None:
        answer = batch.answers[position]
        listed = "\n".join(contradictions.values())
        request = with_messages(
            batch.composed.requests[position],
            [
                {"role": "assistant", "content": answer.text},
                {"role": "user", "content": self._terms.prompt.repair_message(listed)},
            ],
        )
        try:
            second = await self._oracle.ask(request)
        except Unanswered:
            del batch.answered[position]  # its first answer is kept; the next run asks for the second
            return
        except MotionError:
            return  # the first answer stands, with what contradicts it in its checks
        paid = _paid(batch.provenance, [answer, second])
        batch.answered[position] = Answered(answer.text, paid, second.text, tuple(contradictions))


def _paid(provenance: Provenance, answers: list[Answer]) -> Provenance:
    """Put tokens and cost of a motion's answers into its provenance."""
    costs = [answer.cost_usd for answer in answers]
    return replace(
        provenance,
        input_tokens=sum(answer.input_tokens for answer in answers),
        output_tokens=sum(answer.output_tokens for answer in answers),
        cached_tokens=sum(answer.cached_tokens for answer in answers),
        cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
    )
