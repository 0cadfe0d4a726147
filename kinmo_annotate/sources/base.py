"""What every source of motions offers, whatever its files look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kinmo_annotate.schema.records import Failure, Motion

STAGE = "read"


@dataclass(frozen=True, slots=True)
class Entry:
    """One motion that a source can load.

    Attributes:
        motion_id: unique in the source.
        path: the file that holds the motion.
        split: "train", "val" or "test".
    """

    motion_id: str
    path: str
    split: str = "train"


class MotionSource(Protocol):
    """Where motions come from.

    Listing is cheap and reads no motion. Loading is a pure function of the entry, so worker processes may
    do it: sources can be pickled. `entries()` and `failures()` together are everything that was asked for.
    """

    name: str

    def entries(self) -> list[Entry]:
        """List what can be loaded, in an order that does not change from run to run, each id once."""
        ...

    def failures(self) -> list[Failure]:
        """List what was asked for and cannot be loaded, as far as listing can tell."""
        ...

    def notes(self) -> list[str]:
        """Say what a person should know about how this source is read, one line each."""
        ...

    def load(self, entry: Entry) -> Motion:
        """Read one motion.

        Raises:
            MotionError: the file is missing, damaged, or holds no usable motion.
        """
        ...


def counted(number: int, noun: str) -> str:
    """Write a number of things: "1 file", "2 files"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def failure(motion_id: str, path: str, reason: str, remedy: str) -> Failure:
    """Make the failure row of something that could not be read."""
    return Failure(motion_id, path, STAGE, reason, remedy)
