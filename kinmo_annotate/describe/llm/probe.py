"""Ask a few requests for real, to see what they take. The answers go into the cache: nothing is lost."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kinmo_annotate.describe.llm.answers import Answer, Answers, open_answers
from kinmo_annotate.describe.llm.ask import Asker, Unanswered
from kinmo_annotate.describe.llm.client import Client
from kinmo_annotate.describe.llm.pace import Pace
from kinmo_annotate.describe.llm.prices import ModelPrice
from kinmo_annotate.describe.llm.request import Asked, Request
from kinmo_annotate.schema.records import MotionError

_IN_FLIGHT: Final = 4


def probe_requests(
    requests: Sequence[Request],
    asked: Asked,
    price: ModelPrice | None,
    *,
    base_url: str | None,
    timeout_s: float,
    cache_dir: Path | None,
) -> list[Answer | None]:
    """Ask requests of an endpoint, which costs money.

    Args:
        requests: to be asked; those in the cache are not asked again.
        asked: what they have in common.
        price: of the model.
        base_url: of the endpoint; None is OpenAI's.
        timeout_s: for one answer.
        cache_dir: of all caches; None is the user's.

    Returns:
        For each its answer, or None where there was none.

    Raises:
        MotionError: the endpoint refuses us altogether, or answers none of them.
    """
    with tempfile.TemporaryDirectory(prefix="kinmo-probe-") as folder:  # a run archives what the cache has
        answers = open_answers(Path(folder), cache_dir)
        try:
            return asyncio.run(_all(requests, asked, price, answers, base_url, timeout_s))
        finally:
            answers.close()


async def _all(
    requests: Sequence[Request],
    asked: Asked,
    price: ModelPrice | None,
    answers: Answers,
    base_url: str | None,
    timeout_s: float,
) -> list[Answer | None]:
    client = Client(base_url, _IN_FLIGHT, timeout_s)
    asker = Asker(client, answers, Pace(_IN_FLIGHT, None, None), asked, price)
    sending = asyncio.create_task(asker.run())
    try:
        found = await asyncio.gather(*(_one(asker, request) for request in requests))
    finally:
        sending.cancel()
        await client.close()
    if asker.halted:
        raise MotionError("--probe", asker.halted.reason, asker.halted.remedy)
    failed = [one for one in found if isinstance(one, MotionError)]
    if failed and len(failed) == len(found):
        reason = f"no answer came; the first failed: {failed[0].reason}"
        raise MotionError("--probe", reason, failed[0].remedy)
    return [None if isinstance(one, MotionError) else one for one in found]


async def _one(asker: Asker, request: Request) -> Answer | MotionError | None:
    try:
        return await asker.ask(request)
    except MotionError as error:
        return error
    except Unanswered:
        return None
