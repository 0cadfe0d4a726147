"""Folders of a cache on disk: made by one process at a time, whole or not at all, and never unpickled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias

from filelock import FileLock

from kinmo_annotate.schema.shards import DatasetError

# Told how many of how many are done: progress(done, total).
Progress: TypeAlias = Callable[[int, int], None]
# Told what is being done, too: stages(what, done, total).
Stages: TypeAlias = Callable[[str, int, int], None]


def stage(what: str, stages: Stages | None) -> Progress | None:
    """Give what is told of one stage."""
    return None if stages is None else partial(stages, what)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, made where it is missing, so that two processes do not make the same thing at once.

    The system frees what a killed process held.

    Raises:
        DatasetError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire()
    except OSError as error:
        raise unwritable(folder, error) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder to write into; it takes the place of `target` when nothing went wrong.

    The caller holds the lock of the folder around it (`locked`), so that what lies there half-written was
    left by a killed process; it is removed.

    Raises:
        DatasetError: it cannot be written; nothing is left behind.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        for left in target.parent.glob(".*.tmp"):
            _remove(left)
        temporary.mkdir(parents=True)
        yield temporary
        for path in temporary.iterdir():
            _flush(path)
        _remove(target)
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            _remove(temporary)
        if not isinstance(error, OSError):
            raise
        raise unwritable(target, error) from None


def unwritable(folder: Path, error: OSError) -> DatasetError:
    """Say that a cache cannot be written, and what to do."""
    remedy = (
        "Free some space, or name a folder that you may write to with --cache-dir "
        "(XDG_CACHE_HOME moves the caches of all programs)."
    )
    return DatasetError(
        folder, f"the cache cannot be written ({(error.strerror or str(error)).lower()})", remedy
    )


def _remove(folder: Path) -> None:
    """Remove a folder, or a file in its place, where there is one."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """See a file onto the disk, so that no loss of power leaves a whole name with half a file."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
