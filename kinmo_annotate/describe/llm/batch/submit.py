"""From requests that nobody has answered to batches under way: the oracle, and submission."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kinmo_annotate.describe.llm.answers import Answer, Answers
from kinmo_annotate.describe.llm.ask import Unanswered
from kinmo_annotate.describe.llm.batch.api import Api, BatchError, Remote
from kinmo_annotate.describe.llm.batch.chunks import (
    ChunkWriter,
    expected_usd,
    keys_in_flight,
    requests_path,
)
from kinmo_annotate.describe.llm.batch.state import (
    CREATING,
    SUBMITTED,
    UPLOADED,
    UPLOADING,
    WRITTEN,
    Again,
    Chunk,
    State,
)
from kinmo_annotate.describe.llm.prices import ModelPrice
from kinmo_annotate.describe.llm.prompt import Prompt
from kinmo_annotate.describe.llm.request import Request, with_messages
from kinmo_annotate.schema.records import MotionError

_TRIES: Final = 4
_BATCH_LIMITS: Final = 2  # refusals for the rate of calls, of one chunk


def asked_again(request: Request, again: Again, prompt: Prompt) -> Request:
    """Continue a request with the reason why its first answer could not be used."""
    message = {"role": "user", "content": prompt.retry_message(again.reason)}
    return with_messages(request, [message], output_share=again.share)


class BatchOracle:
    """Answers what is answered already, and writes the rest into chunks for the batch API.

    Attributes:
        wanted: requests written so far.
        over_budget, paused: requests left out, because the budget would not pay for them, or because
            nothing new is to be submitted.
    """

    def __init__(
        self,
        answers: Answers,
        state: State,
        prompt: Prompt,
        price: ModelPrice | None,
        *,
        budget_usd: float | None = None,
        writer: ChunkWriter | None = None,
    ) -> None:
        self.over_budget = self.paused = 0
        self._answers, self._state, self._prompt, self._price = answers, state, prompt, price
        self._budget_usd = budget_usd
        self._writer = writer or ChunkWriter(state, price)
        self._known = keys_in_flight(state)
        self._expected_usd = state.expected_usd

    @property
    def wanted(self) -> int:
        """Count the requests written so far."""
        return self._writer.requests

    async def ask(self, request: Request) -> Answer:
        """Give the answer to a request, or remember that it is wanted.

        Raises:
            MotionError: no answer will come.
            Unanswered: none has come yet.
            DatasetError: the request cannot be written.
        """
        answer = self._answers.get(request.key)
        if answer is not None:
            return answer
        given_up = self._state.given_up.get(request.key)
        if given_up is not None:
            raise MotionError(request.motion_id, *given_up)
        if request.key not in self._known:
            self._want(request)
        raise Unanswered

    def _want(self, request: Request) -> None:
        usd = expected_usd(request.body, self._price) or 0.0
        if self._state.paused:
            self.paused += 1
            return
        paid = self._answers.spent_usd + self._expected_usd
        if self._budget_usd is not None and paid + usd > self._budget_usd:
            self.over_budget += 1
            return
        self._known.add(request.key)
        self._expected_usd += usd
        again = self._state.again.get(request.key)
        body = asked_again(request, again, self._prompt).body if again else request.body
        self._writer.add(request.key, request.motion_id, request.prompt_version, body)

    def finish(self) -> int:
        """Put what is wanted into the state, to be submitted; give the number of new requests.

        Raises:
            DatasetError: it cannot be written.
        """
        self._state.chunks += self._writer.finish()
        self._state.save()
        return self.wanted

    def discard(self) -> None:
        """Throw away what a pass that was cut off wanted."""
        self._writer.discard()


def submit(
    state: State,
    api: Api,
    *,
    tell: Callable[[str], None] = lambda text: None,
    held: Callable[[Chunk], bool] = lambda chunk: False,
) -> int:
    """Upload and submit the chunks that are not; give the number of batches begun.

    Each step is written down before it is taken. Where it is not known whether a step was taken, because the
    run was killed or the connection cut, its result is looked for at the endpoint first.

    Args:
        state: of the dataset.
        api: the endpoint.
        tell: told of each batch.
        held: whether a chunk has to wait.

    Raises:
        BatchError: the endpoint refuses; what is submitted is kept, and so is what is not.
        DatasetError: the state cannot be written or a file read.
    """
    done = 0
    for chunk in [one for one in state.chunks if one.pending and not held(one)]:
        _repeated(state, api, chunk, (WRITTEN, UPLOADING), _upload)
        _repeated(state, api, chunk, (UPLOADED, CREATING), _create)
        done += 1
        tell(f"batch {chunk.batch_id} begun with {chunk.requests} requests")
    return done


def _repeated(
    state: State,
    api: Api,
    chunk: Chunk,
    steps: tuple[str, str],
    take: Callable[[State, Api, Chunk], None],
) -> None:
    """Take a step; where it is unclear how that ended, look, and take it again if need be."""
    before, _ = steps
    if chunk.step not in steps:
        return
    limited = 0
    for attempt in range(1, _TRIES + 1):
        try:
            take(state, api, chunk)
            return
        except BatchError as error:
            if error.kind != "unclear":
                lost = error.kind == "gone" or "input_file_id" in error.reason
                chunk.step = WRITTEN if lost else before  # a file that is gone is uploaded anew
                state.save()
            limited += error.kind == "limit" and error.pause_s > 0
            again = error.kind == "unclear" or 0 < limited < _BATCH_LIMITS
            if not again or attempt == _TRIES:
                raise
            api.wait_a_little(attempt, error.pause_s)


def _upload(state: State, api: Api, chunk: Chunk) -> None:
    path = requests_path(state.folder, chunk.tag)
    found = None
    if chunk.step == UPLOADING and path.exists():
        found = api.find_file(path.name, path.stat().st_size)
    chunk.step = UPLOADING
    state.save()
    chunk.file_id = found or api.upload(path)
    chunk.step = UPLOADED
    state.save()


def _create(state: State, api: Api, chunk: Chunk) -> None:
    found = api.find_batch(chunk.file_id, chunk.tag, chunk.past) if chunk.step == CREATING else None
    chunk.step = CREATING
    state.save()
    remember(chunk, found or api.create(chunk.file_id, chunk.tag))
    chunk.step = SUBMITTED
    state.save()


def remember(chunk: Chunk, remote: Remote) -> None:
    """Write down what the endpoint says of a chunk's batch."""
    chunk.batch_id, chunk.status = remote.batch_id, remote.status
    chunk.completed, chunk.failed, chunk.total = remote.completed, remote.failed, remote.total
    chunk.created_at, chunk.expires_at = remote.created_at, remote.expires_at
    chunk.output_file_id, chunk.error_file_id = remote.output_file_id, remote.error_file_id
    chunk.errors = [f"{code}: {message}" if code else message for code, message in remote.errors]
