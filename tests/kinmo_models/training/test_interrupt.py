"""Ctrl-C once, twice, and passed on by a launcher."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from kinmo_models.training.interrupt import interrupts


def test_the_first_asks_and_the_second_ends_at_once(monkeypatch) -> None:
    said: list[str] = []
    with interrupts(said.append) as interrupt:
        assert not interrupt.asked
        signal.raise_signal(signal.SIGINT)
        assert interrupt.asked
        signal.raise_signal(signal.SIGINT)  # at once: a launcher passes on what the terminal gave already
        later = time.monotonic() + 5
        monkeypatch.setattr(time, "monotonic", lambda: later)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert said == ["finishing the step in hand; Ctrl-C again stops at once"]


def test_the_end_that_a_cluster_announces_counts_too_and_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with interrupts(lambda text: None) as interrupt:
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.asked
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_in_a_thread_no_signal_is_watched() -> None:
    seen: list[bool] = []

    def work() -> None:
        with interrupts(lambda text: None) as interrupt:
            seen.append(interrupt.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
