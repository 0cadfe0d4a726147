"""Ask an endpoint for many answers at once: in order, within its limits and the budget, never twice.

A request that failed and waits takes no place among those in flight, and goes before newer ones when its time
has come. What is wrong with one motion ends in a `MotionError` for that motion; what is wrong with the
endpoint, the account or the disk halts everything, with what was answered kept.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from kinmo_annotate.describe.llm.answers import Answer, Answers
from kinmo_annotate.describe.llm.client import Client, Outcome, Reply
from kinmo_annotate.describe.llm.form import AnswerError
from kinmo_annotate.describe.llm.pace import Pace
from kinmo_annotate.describe.llm.prices import ModelPrice
from kinmo_annotate.describe.llm.request import Request, sent_body, with_messages
from kinmo_annotate.describe.llm.response import answer_text, finish_reason, usage_of
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import DatasetError

_MOST_BROKEN: Final = 8
_PATIENCE_S: Final = 60.0  # with no answer at all, once there were some
_FIRST_PATIENCE_S: Final = 10.0  # before the first answer
_RATE_PATIENCE_S: Final = 600.0  # with nothing but 429
_TURNS: Final = 2  # of the event loop: the next request is chosen in the first, and sent in the second
_FEW: Final = 8  # requests that are left at the end: they may be to blame, and not the endpoint
_MOST_REFUSED: Final = 20  # motions one after the other, with no answer between them
_GRACE_S: Final = {"refused": 3.0, "stopped": 30.0}  # for what is in flight when asking ends
_CHARACTERS_PER_TOKEN: Final = 3.5  # to begin with; then as the endpoint counts
_FIRST_OUTPUT_TOKENS: Final = 700.0
# Values that an endpoint may do without.
ESSENTIAL: Final = ("model", "messages", "response_format")
LONGER: Final = 2.0  # room for an answer that was cut off, when it is asked for again


class Unanswered(Exception):
    """A request that this run leaves open; another run asks it."""


class Task(Protocol):
    """What a run asks for: of whom, what counts as an answer, and what is said of one that does not."""

    @property
    def model(self) -> str:
        """Name at the endpoint."""

    @property
    def again(self) -> str:
        """What to do for a motion that got no answer."""

    def check(self, text: str) -> None:
        """See whether an answer can be used.

        Raises:
            AnswerError: it cannot.
        """

    def retry_message(self, reason: str) -> str:
        """Say to the model why its last answer could not be used."""


class Oracle(Protocol):
    """Who answers requests."""

    async def ask(self, request: Request) -> Answer:
        """Give the answer to a request.

        Raises:
            MotionError: this motion gets none.
            Unanswered: not in this run.
        """
        ...


@dataclass(frozen=True, slots=True)
class Halt:
    """Why asking ended early.

    Attributes:
        kind: "stopped" (by the user), "budget", or "refused" (by the endpoint, the account or the disk).
        reason: in words.
        remedy: what to do.
    """

    kind: str
    reason: str
    remedy: str


@dataclass(order=True, slots=True)
class _Job:
    """A request on its way; older ones go first."""

    number: int
    request: Request = field(compare=False)
    future: asyncio.Future[Answer] = field(compare=False)
    key: str = field(compare=False)
    broken: int = field(default=0, compare=False)
    limited: int = field(default=0, compare=False)
    broke_at: float = field(default=math.inf, compare=False)
    earlier: Answer | None = field(default=None, compare=False)


@dataclass(slots=True)
class Tally:
    """What was asked in this run.

    Attributes:
        requests: sent, whatever became of them.
        answered: of them, with an answer that can be used.
        rate_limited, broken, unusable: of them, refused for the rate, without an answer, with a wrong one.
        input_tokens, output_tokens, cached_tokens: as the endpoint counted.
        usd: paid; None where no price is known.
        started_at, ended_at: loop times of the first request and the last reply, seconds.
        busy_s: sum over requests of the time that each was in flight.
        most_in_flight: at one time.
    """

    requests: int = 0
    answered: int = 0
    rate_limited: int = 0
    broken: int = 0
    unusable: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    usd: float | None = 0.0
    started_at: float = math.inf
    ended_at: float = 0.0
    busy_s: float = 0.0
    most_in_flight: int = 0

    @property
    def wall_s(self) -> float:
        """Seconds from the first request to the last reply."""
        return max(0.0, self.ended_at - self.started_at) if self.requests else 0.0

    def as_json(self) -> dict[str, Any]:
        """Give JSON values."""
        names = ("requests", "answered", "rate_limited", "broken", "unusable", "input_tokens",
                 "output_tokens", "cached_tokens", "most_in_flight")  # fmt: skip
        values: dict[str, Any] = {name: getattr(self, name) for name in names}
        values["usd"] = None if self.usd is None else round(self.usd, 6)
        values["wall_seconds"] = round(self.wall_s, 3)
        values["mean_in_flight"] = round(self.busy_s / self.wall_s, 2) if self.wall_s else 0.0
        return values


class Asker:
    """Asks an endpoint. Lives in one event loop: `run` must be going while `ask` is awaited.

    Attributes:
        tally: counts so far.
        halted: why asking ended early; None while it goes on.
    """

    def __init__(
        self,
        client: Client,
        answers: Answers,
        pace: Pace,
        task: Task,
        price: ModelPrice | None,
        budget_usd: float | None = None,
        on_halt: Callable[[Halt], None] = lambda halt: None,
    ) -> None:
        self.tally = Tally(usd=0.0 if price else None)
        self.halted: Halt | None = None
        self._client, self._answers, self._pace = client, answers, pace
        self._task, self._price, self._budget_usd = task, price, budget_usd
        self._on_halt = on_halt
        self._by_key: dict[str, asyncio.Future[Answer]] = {}
        self._ready: list[_Job] = []
        self._later: list[tuple[float, _Job]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._numbers = 0
        self._left_out: set[str] = set()
        self._reserved_usd = 0.0
        self._characters_counted = 0  # of requests whose tokens the endpoint told
        self._outputs_counted = 0
        self._most_per_character = self._most_output = 0.0  # tokens of the dearest so far
        self._silent_since: float | None = None  # since when requests end without an answer
        self._answered_at = -math.inf
        self._refused_in_row = 0

    async def ask(self, request: Request) -> Answer:
        """Give the answer to a request, from the cache or the endpoint.

        Raises:
            MotionError: this motion gets none.
            Unanswered: asking was halted.
        """
        known = self._by_key.get(request.key)
        if known is None:
            answer = self._recalled(request.key)
            if answer is not None:
                return answer
            if self.halted:
                raise Unanswered
            known = asyncio.get_running_loop().create_future()
            known.add_done_callback(_look)  # whoever asked may be gone
            self._by_key[request.key] = known
            self._numbers += 1
            heapq.heappush(self._ready, _Job(self._numbers, request, known, request.key))
            self._changed.set()
        return await asyncio.shield(known)

    def _recalled(self, key: str) -> Answer | None:
        try:
            return self._answers.get(key)
        except DatasetError as error:
            self._no_disk(error)
            raise Unanswered from None

    async def run(self) -> None:
        """Send what is asked for until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            delay = self._next(loop.time())
            if delay is None:
                continue
            self._changed.clear()
            timer = loop.call_later(delay, self._changed.set) if math.isfinite(delay) else None
            await self._changed.wait()
            if timer:
                timer.cancel()

    def halt(self, halt: Halt) -> None:
        """Send nothing more; what is in flight may still be answered, for a while."""
        if self.halted:
            return
        self.halted = halt
        self._drop()
        if halt.kind in _GRACE_S:
            asyncio.get_running_loop().call_later(_GRACE_S[halt.kind], self._give_up)
        self._on_halt(halt)

    async def close(self) -> None:
        """Drop what was not sent, and wait for what is in flight: it is paid for."""
        self._drop()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _give_up(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _no_disk(self, error: DatasetError) -> None:
        """Halt: the disk does not take what was paid for."""
        self.halt(Halt("refused", f"{error.where}: {error.reason}", error.remedy))

    def _drop(self) -> None:
        for job in [*self._ready, *(job for _, job in self._later)]:
            self._fail(job, Unanswered())
        self._ready.clear()
        self._later.clear()

    def _next(self, now: float) -> float | None:
        """Send the next request if it may go; else give the seconds until something can change."""
        while self._later and self._later[0][0] <= now:
            heapq.heappush(self._ready, heapq.heappop(self._later)[1])
        soonest = self._later[0][0] - now if self._later else math.inf
        if not self._ready or self.halted:
            return soonest
        job = self._ready[0]
        tokens = self._expected_tokens(job)
        wait = self._pace.wait(sum(tokens), now)
        if wait > 0:
            return min(wait, soonest)
        usd = self._price.cost(*self._most_tokens(job, tokens)) if self._price else 0.0
        if not self._affordable(usd):
            return soonest
        heapq.heappop(self._ready)
        self._pace.start(sum(tokens), now)
        self._reserved_usd += usd
        task = asyncio.get_running_loop().create_task(self._send(job, usd, sum(tokens)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return None

    def _affordable(self, usd: float) -> bool:
        """Tell whether the budget has room for one more; where nothing is in flight either, asking ends."""
        if self._budget_usd is None or self._answers.spent_usd + self._reserved_usd + usd <= self._budget_usd:
            return True
        if not self._pace.in_flight:
            reason = f"the budget of ${self._budget_usd:g} is used up (${self._answers.spent_usd:.4f} paid)"
            self.halt(Halt("budget", reason, "Give a larger --budget to go on."))
        return False

    def _expected_tokens(self, job: _Job) -> tuple[float, float]:
        """Tokens that a request will take, in and out, going by those before it."""
        t = self.tally
        characters = job.request.characters
        if not t.input_tokens or not t.output_tokens:
            return characters / _CHARACTERS_PER_TOKEN, _FIRST_OUTPUT_TOKENS
        per_character = t.input_tokens / max(1, self._characters_counted)
        return characters * per_character, t.output_tokens / max(1, self._outputs_counted)

    def _most_tokens(self, job: _Job, expected: tuple[float, float]) -> tuple[float, int, float]:
        """Tokens in, cached and out that a budget keeps free for a request: as the dearest before it took."""
        most_in = job.request.characters * self._most_per_character
        return max(expected[0], most_in), 0, max(expected[1], self._most_output)

    async def _send(self, job: _Job, reserved_usd: float, tokens: float) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        body = sent_body(job.request.body, self._left_out)
        self.tally.requests += 1
        self.tally.started_at = min(self.tally.started_at, started)
        self.tally.most_in_flight = max(self.tally.most_in_flight, self._pace.in_flight)
        reply = None
        try:
            reply = await self._client.send(body)
            self.tally.ended_at = loop.time()
            self.tally.busy_s += self.tally.ended_at - started
            self._heard(job, reply, body, tokens, self.tally.ended_at)
            if reply.outcome is Outcome.ANSWERED:
                await self._read_after_others(job, reply.body)
        except DatasetError as error:
            self._fail(job, Unanswered())
            self._no_disk(error)
        except asyncio.CancelledError:
            self._fail(job, Unanswered())
            raise
        except Exception as error:
            reason = self._client.scrub(f"unexpected {error!r}")[:300]
            self._fail_motion(job, reason, "Please report it.")
        finally:
            if reply is None:
                self._pace.failed(loop.time(), overrun=False)
            self._reserved_usd -= reserved_usd
            self._changed.set()

    def _heard(self, job: _Job, reply: Reply, body: dict[str, Any], tokens: float, now: float) -> None:
        if reply.outcome is Outcome.ANSWERED:
            self._pace.answered(reply.headers, tokens, now)
            self._silent_since, self._answered_at = None, now
            self._refused_in_row = 0
        elif reply.outcome is Outcome.RATE_LIMITED:
            self.tally.rate_limited += 1
            delay = self._pace.refused(reply.headers, job.limited, now)
            job.limited += 1
            self._again(job, now, delay, self._no_patience(_RATE_PATIENCE_S, now), reply)
        elif reply.outcome is Outcome.BROKEN:
            self._broke(job, reply, now)
        else:
            self._pace.failed(now, overrun=False)
            self._refused(job, reply, body)

    def _broke(self, job: _Job, reply: Reply, now: float) -> None:
        """Ask again after a while; give the motion up where it seems to be to blame."""
        self.tally.broken += 1
        self._pace.failed(now, overrun=reply.overrun)
        delay = self._pace.backoff(job.broken)
        job.broken += 1
        patience = _PATIENCE_S if self.tally.answered else _FIRST_PATIENCE_S
        impatient = self._no_patience(patience, now)
        often = job.broken >= _MOST_BROKEN
        others_answered = self._answered_at > job.broke_at  # since the last time
        job.broke_at = now
        few = self.tally.answered > 0 and not self.halted and len(self._by_key) <= _FEW
        if often and (others_answered or (few and impatient)):
            self._fail_motion(job, f"{reply.reason}, {job.broken} times", self._task.again)
        else:
            self._again(job, now, delay, impatient and often, reply)

    def _no_patience(self, seconds: float, now: float) -> bool:
        if self._silent_since is None:
            self._silent_since = now
        return now - self._silent_since >= seconds

    def _again(self, job: _Job, now: float, delay: float, give_up: bool, reply: Reply) -> None:
        if give_up:
            self._fail(job, Unanswered())
            remedy = "Check --base-url and the endpoint, then run the same command again."
            self.halt(Halt("refused", f"the endpoint gives no answers: {reply.reason}", remedy))
        elif self.halted:
            self._fail(job, Unanswered())
        else:
            heapq.heappush(self._later, (now + delay, job))

    def _at_once(self, job: _Job) -> None:
        if self.halted:
            self._fail(job, Unanswered())
        else:
            heapq.heappush(self._ready, job)

    def _refused(self, job: _Job, reply: Reply, body: dict[str, Any]) -> None:
        """The endpoint will not answer this request, or none at all.

        Args:
            job: the request.
            reply: what came back.
            body: what was sent; a value in it that the endpoint refuses is left out from now on.
        """
        if reply.outcome is Outcome.STOP and reply.parameter in body and reply.parameter not in ESSENTIAL:
            self._left_out.add(reply.parameter)
            self._at_once(job)
            return
        self._refused_in_row += 1
        others_answered = self.tally.answered and self._refused_in_row <= _MOST_REFUSED
        if reply.outcome is Outcome.STOP and not (reply.status in (400, 422) and others_answered):
            self._fail(job, Unanswered())
            self.halt(Halt("refused", reply.reason, reply.remedy))
        else:
            self._fail_motion(job, reply.reason, "Leave the motion out, or choose another model.")

    async def _read_after_others(self, job: _Job, body: dict[str, Any]) -> None:
        """Read an answer, after the free place in flight is filled; where a budget is kept, before."""
        try:
            if self._budget_usd is None:
                self._changed.set()
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
        finally:  # whatever ends this task, the answer is paid for
            self._read(job, body)

    def _read(self, job: _Job, body: dict[str, Any]) -> None:
        """Keep a good answer; ask once more, with the reason, for one that cannot be used."""
        answer, paid_usd = self._counted_answer(job, body)
        try:
            text = answer_text(body)
            self._task.check(text)
        except AnswerError as error:
            self.tally.unusable += 1
            self._answers.put_unusable(answer, str(error), body, paid_usd)
            self._unusable(job, answer, str(error), body)
            return
        self.tally.answered += 1
        answer = replace(answer, text=text)
        self._answers.put(answer, body, paid_usd)
        if not job.future.done():
            job.future.set_result(answer)
        self._by_key.pop(job.key, None)

    def _unusable(self, job: _Job, answer: Answer, reason: str, body: dict[str, Any]) -> None:
        if job.earlier is not None:
            self._fail_motion(job, f"the model's answer cannot be used: {reason}", self._task.again)
            return
        message = {"role": "user", "content": self._task.retry_message(reason)}
        share = LONGER if finish_reason(body) == "length" else 1.0
        job.request = with_messages(job.request, [message], output_share=share)
        job.earlier = answer
        self._at_once(job)

    def _counted_answer(self, job: _Job, body: dict[str, Any]) -> tuple[Answer, float | None]:
        """Count a response's tokens and price, and add those of the answer before it to the motion's."""
        tokens_in, tokens_out, cached = usage_of(body)
        t = self.tally
        t.input_tokens += tokens_in
        t.output_tokens += tokens_out
        t.cached_tokens += cached
        self._characters_counted += job.request.characters if tokens_in else 0
        self._outputs_counted += 1 if tokens_out else 0
        self._most_per_character = max(self._most_per_character, tokens_in / max(1, job.request.characters))
        self._most_output = max(self._most_output, tokens_out)
        usd = self._usd(job, tokens_in, cached, tokens_out)
        if usd is not None and t.usd is not None:
            t.usd += usd
        before = job.earlier or Answer(job.key, "", "", "", "", cost_usd=0.0)
        total_usd = None if usd is None or before.cost_usd is None else before.cost_usd + usd
        return (
            Answer(
                job.key, job.request.motion_id, self._task.model, job.request.prompt_version, "",
                before.input_tokens + tokens_in, before.output_tokens + tokens_out,
                before.cached_tokens + cached, total_usd,
            ),
            usd,
        )  # fmt: skip

    def _usd(self, job: _Job, tokens_in: int, cached: int, tokens_out: int) -> float | None:
        """Price a response; tokens that it does not tell count as before, so that budgets hold."""
        if self._price is None:
            return None
        expected_in, expected_out = self._expected_tokens(job)
        all_in, out = tokens_in or expected_in, tokens_out or expected_out
        # Where writing into the prompt cache costs more, all that was not read from it may have been.
        written = all_in - cached if self._price.cache_write else 0
        return self._price.cost(all_in, cached, out, written_tokens=written)

    def _fail_motion(self, job: _Job, reason: str, remedy: str) -> None:
        self._fail(job, MotionError(job.request.motion_id, reason, remedy))

    def _fail(self, job: _Job, error: Exception) -> None:
        self._by_key.pop(job.key, None)
        if not job.future.done():
            job.future.set_exception(error)


def _look(future: asyncio.Future[Answer]) -> None:
    """Take note of a future's exception, so that asyncio does not complain of one that nobody awaits."""
    if not future.cancelled():
        future.exception()
