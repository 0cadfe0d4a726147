"""What stops a training, said so that the user knows what to change."""

from __future__ import annotations

from pathlib import Path


class TrainingError(Exception):
    """A training that cannot start or go on: where, why, and what the user can do about it."""

    def __init__(self, where: str | Path, reason: str, remedy: str) -> None:
        self.where, self.reason, self.remedy = str(where), reason, remedy
        super().__init__(f"{where}: {reason}. {remedy}")


class ConfigError(TrainingError):
    """A setting that is unknown, of the wrong type or out of range; `where` is its key."""
