"""Ctrl-C: the first asks for an end after the step in hand, the second ends at once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

# A launcher of several processes passes on the signal that the terminal has already given to each of them.
_SAME_S: Final = 2.0


class Interrupt:
    """Whether an end was asked for."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.asked = False
        self._at = 0.0
        self._tell = tell

    def handle(self, number: int, frame: Any) -> None:
        """Be the signal handler.

        Raises:
            KeyboardInterrupt: it is the second signal.
        """
        now = time.monotonic()
        if self.asked and now - self._at > _SAME_S:
            raise KeyboardInterrupt
        if not self.asked:
            self.asked, self._at = True, now
            self._tell("finishing the step in hand; Ctrl-C again stops at once")


@contextmanager
def interrupts(tell: Callable[[str], None]) -> Iterator[Interrupt]:
    """Watch for Ctrl-C and for the end that a cluster announces (SIGTERM)."""
    watched = Interrupt(tell)
    if threading.current_thread() is not threading.main_thread():
        yield watched
        return
    before = {number: signal.signal(number, watched.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield watched
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
