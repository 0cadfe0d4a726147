"""Ask a language model for the next version of the prompt: one request, archived beside the dataset.

It goes through the same client as the sentences do. One answer is wanted and no crowd of them, so that there
is no pace to keep: what fails is tried again a few times, with growing pauses.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from kinmo_annotate.asking import Terms, terms_of
from kinmo_annotate.describe.llm.answers import ARCHIVE_DIR, Answer, Answers, open_answers, read_archive
from kinmo_annotate.describe.llm.ask import ESSENTIAL, LONGER
from kinmo_annotate.describe.llm.client import Client, Outcome, Reply
from kinmo_annotate.describe.llm.form import AnswerError
from kinmo_annotate.describe.llm.pace import Pace, retry_after_s
from kinmo_annotate.describe.llm.prompt import fill
from kinmo_annotate.describe.llm.request import MOST_TOKENS, Request, keyed, sent_body, with_messages
from kinmo_annotate.describe.llm.response import answer_text, finish_reason, usage_of
from kinmo_annotate.review.refine import RESPONSE_FORMAT, Proposal, Task, parse_proposal, refining_words
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.settings import Asking

_TRIES: Final = 6
_SLOW_COUNTS: Final = 3  # tries that an answer counts which did not come in time
_LONGEST_PAUSE_S: Final = 60.0
_OUTCOME: Final = "prompt proposal"  # how the archive tells these answers from sentences
_WHERE: Final = "the refining model"
_AGAIN: Final = "Run the same command again, or name a larger model with --model."


@dataclass(frozen=True, slots=True)
class Consulted:
    """What asking brought.

    Attributes:
        proposal: the checked proposal.
        model: that wrote it.
        archived: it was there from an earlier call, and nothing was asked.
        cost_usd: paid now; None where no price is known.
    """

    proposal: Proposal
    model: str
    archived: bool
    cost_usd: float | None


def consult(dataset: Path, task: Task, asking: Asking, cache_dir: Path | None = None) -> Consulted:
    """Ask for the next version of the prompt.

    Args:
        dataset: the reviewed dataset, whose archive keeps the answer and whose budget it counts against.
        task: what is asked.
        asking: model and endpoint.
        cache_dir: of all caches; None is the user's.

    Raises:
        MotionError: the endpoint gives no answer, the answer cannot be used twice, or the budget is used up.
        DatasetError: the archive cannot be read or written.
    """
    terms = terms_of(replace(asking, prompt=None))
    request = _request(task, terms)
    archived = _archived(dataset, request.key, task)
    if archived is not None:
        return Consulted(archived, asking.model, True, 0.0 if terms.price else None)
    if asking.mode == "offline":
        raise MotionError(_WHERE, "no answer is archived", "Run without --offline to ask for one.")
    answers = open_answers(dataset, cache_dir)
    try:
        return asyncio.run(_ask(task, request, terms, answers))
    finally:
        answers.close()


def _request(task: Task, terms: Terms) -> Request:
    body: dict[str, Any] = {
        "model": terms.asked.model,
        "messages": task.messages,
        "response_format": RESPONSE_FORMAT,
        MOST_TOKENS: task.output_tokens,
        **terms.asked.options,
    }
    return keyed("", task.prompt.fingerprint, body)


def _archived(dataset: Path, key: str, task: Task) -> Proposal | None:
    """Find the answer to an equal request."""
    for record in read_archive(dataset / ARCHIVE_DIR):
        if record["key"] == key and record.get("outcome") == _OUTCOME:
            try:
                return parse_proposal(str(record["text"]), task)
            except AnswerError:
                continue
    return None


async def _ask(task: Task, request: Request, terms: Terms, answers: Answers) -> Consulted:
    """Ask, and once more with the reason where the answer cannot be used."""
    client = Client(terms.asking.base_url, 1, terms.asking.timeout_s)
    paid: list[float | None] = []
    try:
        for last in (False, True):
            _check_budget(request, terms, answers)
            body = await _send(client, request.body)
            try:
                text = answer_text(body)
                proposal = parse_proposal(text, task)
            except AnswerError as error:
                paid.append(_archive(request, terms, answers, body, "", str(error)))
                if last:
                    reason = f"its answer cannot be used: {error.reason}"
                    raise MotionError(_WHERE, reason, _AGAIN) from None
                request = _once_more(request, error.reason, cut_off=finish_reason(body) == "length")
            else:
                first = _request(task, terms)  # under whose key the answer is looked for
                paid.append(_archive(first, terms, answers, body, text, _OUTCOME))
                break
    finally:
        await client.close()
    usd = None if None in paid else sum(one for one in paid if one is not None)
    return Consulted(proposal, terms.asked.model, False, usd)


def _once_more(request: Request, reason: str, *, cut_off: bool) -> Request:
    words = fill(refining_words()["Retry"], {"reason": reason})
    return with_messages(request, [{"role": "user", "content": words}], output_share=LONGER if cut_off else 1)


def _check_budget(request: Request, terms: Terms, answers: Answers) -> None:
    """Refuse a request that the dataset's budget has no room for, if it has one.

    Raises:
        MotionError: it has not.
    """
    budget = terms.asking.budget_usd
    if budget is None or terms.price is None:
        return
    expected = terms.price.cost(request.characters / 3.5, 0, request.body[MOST_TOKENS])
    if answers.spent_usd + expected > budget:
        reason = f"may cost ${expected:.4f}, and ${answers.spent_usd:.4f} of ${budget:g} are used up"
        raise MotionError(_WHERE, reason, "Give a larger --budget.")


def _archive(
    request: Request, terms: Terms, answers: Answers, body: dict[str, Any], text: str, outcome: str
) -> float | None:
    """Keep a response beside the dataset and count its price; give it."""
    tokens_in, tokens_out, cached = usage_of(body)
    usd = terms.price.cost(tokens_in, cached, tokens_out) if terms.price else None
    answer = Answer(
        request.key, "", terms.asked.model, request.prompt_version, text, tokens_in, tokens_out, cached, usd
    )
    answers.put_unusable(answer, outcome, body, usd)  # as sentences it cannot be used
    return usd


async def _send(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    """Send a request until it is answered.

    Raises:
        MotionError: it is refused, or fails again and again.
    """
    left_out: set[str] = set()
    pace, tries, failures = Pace(1, None, None), 0, 0
    while True:
        reply = await client.send(sent_body(body, left_out))
        if reply.outcome is Outcome.ANSWERED:
            return reply.body
        if reply.outcome is Outcome.STOP and reply.parameter in set(body) - left_out - {*ESSENTIAL}:
            left_out.add(reply.parameter)
            continue
        if reply.outcome in (Outcome.STOP, Outcome.UNFIT):
            raise MotionError(_WHERE, reply.reason, reply.remedy or "Choose another model with --model.")
        tries += _SLOW_COUNTS if reply.overrun else 1
        if tries >= _TRIES:
            break
        await asyncio.sleep(_pause(reply, failures, pace))
        failures += 1
    remedy = "Check --base-url and the endpoint, then run the same command again."
    raise MotionError(_WHERE, f"gives no answer: {reply.reason}", remedy)


def _pause(reply: Reply, attempt: int, pace: Pace) -> float:
    told = retry_after_s(reply.headers)
    return min(_LONGEST_PAUSE_S, pace.backoff(attempt) if told is None else told)
