"""The endpoint's own limits: requests and tokens a minute, as buckets that fill up steadily."""

from __future__ import annotations

import time

from faults import Reply, duration, error_body


class Bucket:
    """A token bucket: `per_minute` units flow in a minute, at most `burst` lie in store."""

    def __init__(self, per_minute: float, burst: float | None = None) -> None:
        self.rate = per_minute / 60
        self.limit = per_minute
        self.burst = max(1.0, burst if burst is not None else self.rate)
        self.level, self.at = self.burst, time.monotonic()

    def fill(self) -> None:
        """Let in what has flowed since the last look."""
        now = time.monotonic()
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now

    def wait_for(self, amount: float) -> float:
        """Seconds until `amount` is there; 0 if it is."""
        self.fill()
        return max(0.0, (min(amount, self.burst) - self.level) / self.rate)

    def headers(self, unit: str) -> dict[str, str]:
        """The x-ratelimit headers of this bucket."""
        self.fill()
        return {
            f"x-ratelimit-limit-{unit}": f"{self.limit:.0f}",
            f"x-ratelimit-remaining-{unit}": f"{max(0.0, self.level):.0f}",
            f"x-ratelimit-reset-{unit}": duration((self.burst - self.level) / self.rate),
        }


class Limits:
    """Both buckets; either may be missing."""

    def __init__(self, rpm: float | None, tpm: float | None, burst: float | None) -> None:
        self.buckets: dict[str, Bucket] = {}
        if rpm:
            self.buckets["requests"] = Bucket(rpm, burst)
        if tpm:
            self.buckets["tokens"] = Bucket(tpm)

    def take(self, tokens: float) -> Reply | None:
        """Take one request and its tokens, or say how long to wait (429)."""
        amounts = {"requests": 1.0, "tokens": tokens}
        waits = {unit: bucket.wait_for(amounts[unit]) for unit, bucket in self.buckets.items()}
        unit = max(waits, key=lambda one: waits[one], default="requests")
        wait = waits.get(unit, 0.0)
        if wait <= 0:
            for one, bucket in self.buckets.items():
                bucket.level -= amounts[one]
            return None
        text = f"Rate limit reached on {unit} per min: Limit {self.buckets[unit].limit:.0f}. "
        body = error_body(text + f"Please try again in {duration(wait)}.", unit, None, "rate_limit_exceeded")
        headers = {"retry-after": f"{wait:.3f}", "retry-after-ms": f"{wait * 1000:.0f}", **self.headers()}
        return Reply(429, body, "over_limit", headers)

    def headers(self) -> dict[str, str]:
        """The x-ratelimit headers for a good answer."""
        found: dict[str, str] = {}
        for unit, bucket in self.buckets.items():
            found |= bucket.headers(unit)
        return found
