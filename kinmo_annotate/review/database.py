"""An SQLite file that many threads and processes append to: each write is on the disk when it returns."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from kinmo_annotate.schema.records import MotionError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_WAIT_S: Final = 30.0  # for another process to end its transaction
_DAMAGED: Final = "Put a copy back from your backup; move the file away to begin the reviews anew."
_UNWRITABLE: Final = "Check that you may write to its folder and that the disk has room, then try again."

_Result = TypeVar("_Result")
Work = Callable[[sqlite3.Connection], _Result]


class _Job(Generic[_Result]):
    """One write that waits for its turn."""

    def __init__(self, work: Work[_Result]) -> None:
        self.work, self.done = work, False
        self.result: _Result | None = None
        self.error: MotionError | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        """Do the work; undo what it wrote where it refuses."""
        connection.execute("SAVEPOINT job")
        try:
            self.result, self.error = self.work(connection), None
        except MotionError as error:
            connection.execute("ROLLBACK TO job")
            self.error = error
        connection.execute("RELEASE job")


class Database:
    """One file, opened by this process; its methods may be called from any thread.

    Writes that arrive while another is being flushed to the disk wait, and then share one transaction and one
    flush.
    """

    def __init__(self, path: Path, tables: str, version: int) -> None:
        """Open the file, or make it.

        Args:
            path: of the file.
            tables: SQL that makes the tables; run where the file is new.
            version: of the tables; a newer file is refused.

        Raises:
            MotionError: it is damaged, no such file of ours, newer than this package, or cannot be written.
        """
        self._path = path
        self._jobs: deque[_Job[Any]] = deque()
        self._turn, self._reading = threading.Lock(), threading.Lock()
        self._queue = _Queue(path.with_name(f".{path.name}.lock"))
        self._log = _Log(path.with_name(f"{path.name}-wal"))
        with self._explained():
            self._writer = self._connect()
            _prepare(self._writer, path, tables, version)
            if self._log.flushes:
                self._writer.execute("PRAGMA synchronous = NORMAL")  # `_Log` does what FULL would
            self._reader = self._connect()
            self._reader.execute("PRAGMA query_only = ON")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous = FULL")  # flush at every commit, not only now and then
        connection.execute("PRAGMA trusted_schema = OFF")
        return connection

    def read(self, sql: str, *values: object) -> list[Any]:
        """Give all rows of a query.

        Raises:
            MotionError: the file cannot be read.
        """
        with self._reading, self._explained():
            return self._reader.execute(sql, values).fetchall()

    def write(self, work: Work[_Result]) -> _Result:
        """Run `work` in a transaction of its own or with others; when this returns it is on the disk.

        Args:
            work: gets the connection. It may be run twice; where it raises MotionError nothing of it is kept.

        Raises:
            MotionError: what `work` raised, or the file cannot be written.
        """
        job = _Job(work)
        self._jobs.append(job)
        with self._turn:
            if not job.done:
                self._run_waiting()
        if job.error:
            raise job.error
        return job.result  # type: ignore[return-value]  # a job without error has its result

    def _run_waiting(self) -> None:
        """Do all that waits in one transaction. Only for who holds the turn."""
        jobs = [self._jobs.popleft() for _ in range(len(self._jobs))]
        try:
            with self._explained():
                with self._queue.turn(), _transaction(self._writer):
                    for job in jobs:
                        job.run(self._writer)
                self._log.flush()
        except MotionError as error:
            for job in jobs:
                job.error = MotionError(error.where, error.reason, error.remedy)
        except BaseException:
            for job in jobs:
                job.error = MotionError(str(self._path), "saving was broken off", "Save it again.")
            raise
        finally:
            for job in jobs:
                job.done = True

    def close(self) -> None:
        """Close the file; what was written is safe without it."""
        with self._turn, self._reading:
            self._writer.close()
            self._reader.close()
            self._queue.close()
            self._log.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except (OSError, sqlite3.OperationalError, sqlite3.ProgrammingError) as error:
            raise MotionError(str(self._path), f"cannot be used ({error})", _UNWRITABLE) from None
        except sqlite3.DatabaseError as error:
            raise MotionError(str(self._path), f"is damaged ({error})", _DAMAGED) from None


class _Queue:
    """Lets the processes that write to one file take turns.

    SQLite alone has those who wait sleep and try again, longer each time, so that some never come through
    while many write. The system wakes them instead, in order. Where it has no such lock, SQLite's own does.
    """

    def __init__(self, path: Path) -> None:
        self._handle: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o666) if fcntl else None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for this process's turn, and hold it."""
        if self._handle is None:
            yield
            return
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def close(self) -> None:
        """Leave for good."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class _Log:
    """Brings what was committed to the disk, after the turn is given on.

    SQLite would flush its write-ahead log within the turn, so that fifty processes waited for fifty flushes
    one after the other. Flushes side by side are done together by the system. The log is whole in any order:
    SQLite still flushes it before it moves anything from there into the file.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._handle = path, -1
        self.flushes = fcntl is not None

    def flush(self) -> None:
        """Return once all that was committed until now is on the disk."""
        if not self.flushes:
            return
        if self._handle < 0:  # there is a log once something was committed, and it stays while we are here
            self._handle = os.open(self._path, os.O_RDWR)
            folder = os.open(self._path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        os.fsync(self._handle)

    def close(self) -> None:
        """Leave for good."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the file's one lock for writing; commit at the end, undo everything on an error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _prepare(connection: sqlite3.Connection, path: Path, tables: str, version: int) -> None:
    """Make the tables where they are not there yet; refuse those of a newer version."""
    _use_write_ahead_log(connection)
    with _transaction(connection):
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found > version:
            reason = f"was written by a newer kinmo (version {found} of the tables, this one knows {version})"
            raise MotionError(str(path), reason, "Upgrade with `pip install --upgrade kinmo`.")
        if found == 0:
            for statement in tables.split(";\n\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version:d}")


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Let people read while others write. SQLite does not wait here for others who open the file too."""
    end = time.monotonic() + _WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)
