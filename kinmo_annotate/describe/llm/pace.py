"""How fast to ask: how many requests at once, how many requests and tokens a minute, and when to hold back.

Limits come from the user and from what the endpoint says: `x-ratelimit-*` headers, `retry-after`, 429. A 429
now and then concerns one request alone; when most answers are 429 the whole run slows down.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import Final

_WINDOW: Final = 48  # outcomes looked at
_STORM: Final = 0.4  # share of them refused for their rate: too many are asked at once
_FULL: Final = 0.2  # share up to which more are tried at once
_LAST: Final = 8  # of so many outcomes
_LAST_REFUSED: Final = 7  # so many refused: there is nothing left at the moment
_SHRINK: Final = 0.5
_CALM_S: Final = 30.0  # after the last shrinking the limit grows fast again
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 60.0
_MINUTE_S: Final = 60.0
_ROUNDING: Final = 1e-9
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

Headers = Mapping[str, str]


@dataclass(slots=True)
class _Bucket:
    """So much a minute: it fills evenly, and holds at most what a second brings, or one.

    It fills so slowly that what it held to begin with is not too much for the first minute: of whole requests
    no minute sees more than `per_minute`; of tokens at most one request more.
    """

    per_minute: float
    level: float = field(init=False)
    filled_at: float = -math.inf

    def __post_init__(self) -> None:
        self.level = self.capacity

    def wait_for(self, amount: float, now: float) -> float:
        """Tell how long until so much may be taken, seconds; what is too much waits until it is full."""
        rate = (self.per_minute + 1 - self.capacity) / _MINUTE_S
        self.level = min(self.capacity, self.level + (now - self.filled_at) * rate)
        self.filled_at = now
        missing = min(amount, self.capacity) - self.level
        return missing / rate if missing > _ROUNDING * self.capacity else 0.0

    @property
    def capacity(self) -> float:
        """What it holds at most."""
        return max(1.0, self.per_minute / _MINUTE_S)


@dataclass(slots=True)
class Pace:
    """When the next request may go.

    Attributes:
        most: requests in flight at most.
        limit: requests in flight at the moment; less than `most` after the endpoint was overrun.
        in_flight: requests that are on their way.
    """

    most: int
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    limit: float = field(init=False)
    in_flight: int = 0
    _paused_until: float = 0.0
    _shrunk_at: float = -math.inf
    _stale: int = 0  # replies to come that say how it was before the limit shrank
    _recent: deque[bool] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    _random: Random = field(default_factory=lambda: Random(0))

    def __post_init__(self) -> None:
        self.limit = float(self.most)

    def wait(self, tokens: float, now: float) -> float:
        """Tell how long until a request may go, seconds; infinite while as many as may be are in flight.

        Args:
            tokens: that it will take, in and out.
            now: monotonic time, seconds.
        """
        if self.in_flight >= max(1, int(self.limit)):
            return math.inf
        waits = [bucket.wait_for(amount, now) for bucket, amount in self._taken(tokens)]
        return max([0.0, self._paused_until - now, *waits])

    def start(self, tokens: float, now: float) -> None:
        """Count a request that goes now."""
        self.in_flight += 1
        for bucket, amount in self._taken(tokens):
            bucket.level -= amount

    def _taken(self, tokens: float) -> list[tuple[_Bucket, float]]:
        limits = (("requests", self.requests_per_minute, 1.0), ("tokens", self.tokens_per_minute, tokens))
        taken = []
        for name, per_minute, amount in limits:
            if per_minute:
                bucket = self._buckets.setdefault(name, _Bucket(per_minute))
                taken.append((bucket, amount))
        return taken

    def answered(self, headers: Headers, tokens: float, now: float) -> None:
        """Hear of a request that the endpoint took, with what it says of its limits."""
        self.in_flight -= 1
        self._note(refused=False)
        if self._share_refused() <= _FULL:
            step = 1.0 if now - self._shrunk_at > _CALM_S else 1 / self.limit  # doubles, or one more, a round
            self.limit = min(self.most, self.limit + step)
        reset = _reset_s(headers, tokens)
        if reset is not None:
            self._paused_until = max(self._paused_until, now + reset)

    def refused(self, headers: Headers, attempt: int, now: float) -> float:
        """Hear of a 429; give the seconds after which that request may be sent again.

        Args:
            headers: of the answer.
            attempt: how often this request was refused before.
            now: monotonic time, seconds.
        """
        self.in_flight -= 1
        self._note(refused=True)
        told = retry_after_s(headers)
        if told is None:
            told = _reset_s(headers, 0.0)
        delay = self.backoff(attempt) if told is None else min(told, _MINUTE_S * 10)
        if self._storms():
            self._shrink(now)
            self._paused_until = max(self._paused_until, now + delay)
        return delay

    def failed(self, now: float, *, overrun: bool) -> None:
        """Hear of a request that got no answer; `overrun` when the endpoint seems to have too much to do."""
        self.in_flight -= 1
        fresh = self._stale == 0
        self._stale = max(0, self._stale - 1)
        if overrun and fresh:
            self._shrink(now)

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after failure number `attempt` (from 0): doubling, with half of it at random."""
        wait = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0**attempt)
        return wait * (0.5 + 0.5 * self._random.random())

    def _note(self, *, refused: bool) -> None:
        if self._stale:
            self._stale -= 1
        else:
            self._recent.append(refused)

    def _share_refused(self) -> float:
        return sum(self._recent) / len(self._recent) if self._recent else 0.0

    def _storms(self) -> bool:
        last = list(self._recent)[-_LAST:]
        often = len(self._recent) >= _WINDOW // 2 and self._share_refused() > _STORM
        return often or (len(last) == _LAST and sum(last) >= _LAST_REFUSED)

    def _shrink(self, now: float) -> None:
        """Ask fewer at once; what is in flight has been asked before and tells nothing of that."""
        self.limit = max(1.0, self.limit * _SHRINK)
        self._shrunk_at = now
        self._stale = self.in_flight
        self._recent.clear()


def retry_after_s(headers: Headers) -> float | None:
    """Read `retry-after-ms` or `retry-after` (seconds or a date); None where absent or not understood."""
    with_ms = _number(headers.get("retry-after-ms"))
    if with_ms is not None:
        return max(0.0, with_ms / 1000)
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or text is None:
        return None if seconds is None else max(0.0, seconds)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _reset_s(headers: Headers, tokens: float) -> float | None:
    """Tell how long the endpoint wants to be left alone: until what is used up has come back.

    By then a bucket is full again, so that waiting for all of it costs nothing on the whole.
    """
    resets = []
    for name, needed in (("requests", 0.0), ("tokens", tokens)):
        left = _number(headers.get(f"x-ratelimit-remaining-{name}"))
        reset = _duration_s(headers.get(f"x-ratelimit-reset-{name}"))
        if left is not None and reset is not None and left <= needed:
            resets.append(min(reset, _MINUTE_S * 10))
    return max(resets, default=None)


def _duration_s(text: str | None) -> float | None:
    """Read "6m0s", "120ms", "1.5s" or plain seconds."""
    if not text:
        return None
    parts = _PART.findall(text)
    if parts:
        return sum(float(amount) * _UNITS[unit] for amount, unit in parts)
    return _number(text)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None
