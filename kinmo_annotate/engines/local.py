"""Runs the stages on this machine: batches of motions in worker processes, or with one worker here.

Workers are started afresh (spawn), never import torch, leave Ctrl-C to the main process and end with it, even
when it is killed. Files are written by the main process alone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Final, Generic, Protocol, TypeVar

from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.settings import Settings
from kinmo_annotate.sources.base import MotionSource

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

# Each worker works on one thread: there are as many workers as cores.
_THREAD_SETTINGS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Result(Protocol[_T_co]):
    """Something that is being worked out."""

    def result(self) -> _T_co:
        """Wait for it."""
        ...


class Engine(Protocol):
    """Where batches of motions go through the stages. Results come back for the asking, in any order."""

    def submit(self, stage: Callable[..., _T], *inputs: Any) -> Result[_T]:
        """Do `stage(source, settings, *inputs)`, one of the functions of `stages`."""
        ...


class _Later(Generic[_T]):
    """Work that this process does when its result is asked for."""

    def __init__(self, work: Callable[[], _T]) -> None:
        self._work = work

    def result(self) -> _T:
        return self._work()


class InProcess:
    """The engine of one worker: this process."""

    def __init__(self, source: MotionSource, settings: Settings) -> None:
        self._source, self._settings = source, settings

    def submit(self, stage: Callable[..., _T], *inputs: Any) -> Result[_T]:
        """Do it when its result is asked for."""
        return _Later(lambda: stage(self._source, self._settings, *inputs))


class _Watched(Generic[_T]):
    """A worker's result, whose loss is told in words."""

    def __init__(self, future: Any) -> None:
        self._future = future

    def result(self) -> _T:
        try:
            return self._future.result()
        except BrokenProcessPool:
            reason = "a worker process died, most often because memory ran out"
            remedy = (
                "Run the same command again with --workers 1; finished shards are kept. A program that calls"
                " annotate() itself must do so under `if __name__ == '__main__':`."
            )
            raise DatasetError("kinmo annotate", reason, remedy) from None


class Processes:
    """The engine of several worker processes."""

    def __init__(self, source: MotionSource, settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(
            settings.processes, mp_context=context, initializer=_start_worker, initargs=(source, settings)
        )
        with _one_thread_each():
            self._pool.submit(os.getpid)  # the first task starts all workers

    def submit(self, stage: Callable[..., _T], *inputs: Any) -> Result[_T]:
        """Send it to a worker."""
        return _Watched(self._pool.submit(_do, stage, *inputs))

    def close(self) -> None:
        """Drop what is queued and let the workers end by themselves, after the batch in hand.

        That takes a second or two. One that is killed instead may take a queue's lock with it, or be cut off
        while it sends, and whoever waits for that would wait for ever.
        """
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def open_engine(source: MotionSource, settings: Settings) -> Iterator[Engine]:
    """Start the engine that the settings ask for, and stop it in the end."""
    if settings.processes == 1:
        yield InProcess(source, settings)
        return
    engine = Processes(source, settings)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes started meanwhile use one thread each in numpy."""
    before = {name: os.environ.get(name) for name in _THREAD_SETTINGS}
    os.environ.update(dict.fromkeys(_THREAD_SETTINGS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_worker: dict[str, Any] = {}


def _start_worker(source: MotionSource, settings: Settings) -> None:
    """Set a worker process up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker.update(source=source, settings=settings)


def _end_with_parent() -> None:
    """End this worker when the main process is gone: nobody would take its results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(stage: Callable[..., _T], *inputs: Any) -> _T:
    return stage(_worker["source"], _worker["settings"], *inputs)
