"""What the endpoint remembers of every request, and its sums."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO


@dataclass(slots=True)
class Record:
    """One chat request (or batch line).

    Attributes:
        number: from 1, in the order of arrival.
        digest: SHA-256 of model, messages and response_format.
        attempt: how often this digest has been asked, this time included.
        time_in: seconds since the epoch, when the request was whole.
        time_out: when its answer was written, or the client or the server gave up.
        in_flight: requests being worked on, this one included.
        authorization: whether the header was there; its value is not kept.
        key_as_expected: whether it carried the expected key; None if no key is expected.
        written: whether the whole answer was handed to the kernel and not thrown away unread. What was thrown
            away is known a moment later: the log then has a second line for it.
    """

    number: int
    digest: str
    attempt: int
    time_in: float
    in_flight: int
    authorization: bool
    key_as_expected: bool | None
    body_bytes: int
    model: str
    time_out: float = 0.0
    outcome: str = ""
    status: int = 0
    written: bool = False
    batch: str = ""


class Ledger:
    """Records in memory, and in a JSONL log if asked for."""

    def __init__(self, log: Path | None = None) -> None:
        self._log: TextIO | None = log.open("a", encoding="utf-8", buffering=1) if log else None
        self.reset()

    def reset(self) -> None:
        """Forget everything; requests still in flight keep counting as in flight."""
        self.records: list[Record] = []
        self.attempts: Counter[str] = Counter()
        self.usage: Counter[str] = Counter()
        self.cost_usd = self.unheard_usd = 0.0
        self.in_flight = getattr(self, "in_flight", 0)
        self.peak = 0
        self._area = 0.0  # integral of in-flight requests over time
        self._since = time.monotonic()
        self._first: float | None = None

    def open(self, digest: str, model: str, size: int, authorization: bool, key_ok: bool | None) -> Record:
        """Note that a request has come."""
        self._change(1)
        return self._new(digest, model, size, authorization, key_ok)

    def line(self, digest: str, model: str, batch: str) -> Record:
        """Note that a line of a batch is executed."""
        record = self._new(digest, model, 0, True, None)
        record.batch = batch
        return record

    def _new(self, digest: str, model: str, size: int, authorization: bool, key_ok: bool | None) -> Record:
        self.attempts[digest] += 1
        record = Record(
            len(self.records) + 1, digest, self.attempts[digest], time.time(), self.in_flight,
            authorization, key_ok, size, model,
        )  # fmt: skip
        self.records.append(record)
        return record

    def close(self, record: Record, outcome: str, status: int, written: bool) -> None:
        """Note how it ended."""
        self._change(-1)
        self.settle(record, outcome, status, written)

    def settle(self, record: Record, outcome: str, status: int, written: bool) -> None:
        """Fill in the end of a record and log it."""
        record.outcome, record.status, record.written = outcome, status, written
        record.time_out = time.time()
        self.log(record)

    def log(self, record: Record) -> None:
        """Append the record as it stands to the log."""
        if self._log:
            self._log.write(json.dumps(asdict(record)) + "\n")

    def unread(self, record: Record) -> None:
        """The client closed its connection without having read this answer."""
        record.written = False
        self.log(record)

    def bill(
        self, usage: dict[str, Any], prices: dict[str, float], share: float = 1.0, heard: bool = True
    ) -> None:
        """Add up tokens and cost; what the client did not hear of is summed up apart.

        Args:
            usage: of the answer.
            prices: USD for a million tokens.
            share: of the price that is due, 0.5 in a batch.
            heard: whether the answer went out whole.
        """
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        fresh, written = usage["prompt_tokens"] - cached, usage["completion_tokens"]
        cost = fresh * prices.get("input", 0.0) + written * prices.get("output", 0.0)
        cost += cached * prices.get("cached", prices.get("input", 0.0))
        if not heard:
            self.unheard_usd += share * cost / 1e6
            return
        self.usage.update(prompt_tokens=fresh + cached, cached_tokens=cached, completion_tokens=written)
        self.cost_usd += share * cost / 1e6

    def _change(self, step: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = self._since = now
        self._area += self.in_flight * (now - self._since)
        self._since = now
        self.in_flight += step
        self.peak = max(self.peak, self.in_flight)

    def stats(self) -> dict[str, Any]:
        """Counts and sums of everything since the start or the last reset."""
        ended = [record for record in self.records if record.outcome]
        good = [record for record in ended if record.outcome == "ok" and record.written]
        answered: dict[str, list[float]] = {}
        for record in good:
            answered.setdefault(record.digest, []).append(record.time_out)
        seconds = self._since - self._first if self._first is not None else 0.0
        return {
            "requests": len(self.records),
            "distinct": len(self.attempts),
            "outcomes": dict(Counter(record.outcome for record in ended)),
            "statuses": dict(Counter(str(record.status) for record in ended)),
            "answered": {digest: len(times) for digest, times in answered.items()},
            "answered_again": {digest: times for digest, times in answered.items() if len(times) > 1},
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak,
            "mean_in_flight": self._area / seconds if seconds else 0.0,
            "seconds": seconds,
            "usage": dict(self.usage),
            "cost_usd": self.cost_usd,
            "unheard_usd": self.unheard_usd,
            "authorization": dict(Counter(_key(record) for record in self.records)),
        }


def _key(record: Record) -> str:
    if not record.authorization:
        return "absent"
    return {None: "present", True: "as expected", False: "wrong"}[record.key_as_expected]
