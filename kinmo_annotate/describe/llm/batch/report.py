"""What a collection found, in counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(slots=True)
class Report:
    """What a collection found.

    Attributes:
        batches: that ended.
        answered: requests with all 21 sentences.
        unusable: answers that were not.
        again: requests put into a new chunk.
        given_up: requests that will fail.
        dropped: requests that were cancelled or refused for all, and are in no chunk now.
        missing: requests of which no line came.
        doubled, unknown, garbage: lines that said something twice, of a request nobody made, or nothing.
        cut: chunks that were too large for the account, and are cut smaller.
        failed: batches that failed as a whole, with the reasons.
        stop: reason and remedy, where every further request would be refused.
    """

    batches: int = 0
    answered: int = 0
    unusable: int = 0
    again: int = 0
    given_up: int = 0
    dropped: int = 0
    missing: int = 0
    doubled: int = 0
    unknown: int = 0
    garbage: int = 0
    cut: int = 0
    failed: dict[str, list[str]] = field(default_factory=dict)
    stop: tuple[str, str] | None = None

    def add(self, other: Report) -> None:
        """Count another collection in."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.failed |= other.failed
        self.stop = self.stop or other.stop

    def as_json(self) -> dict[str, Any]:
        """Give JSON values."""
        counts: dict[str, Any] = {name: getattr(self, name) for name in _COUNTS}
        return counts | {"failed": self.failed, "stopped": self.stop and self.stop[0]}


_COUNTS: Final = (
    "batches", "answered", "unusable", "again", "given_up", "dropped", "missing", "doubled", "unknown",
    "garbage", "cut",
)  # fmt: skip
