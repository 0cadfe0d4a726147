"""Caches on disk that outlive a run: plain bytes by key, never anything that would have to be unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import diskcache

from kinmo_annotate.schema.records import MotionError

_UNLIMITED: Final = 1 << 50


class _BytesOnly(diskcache.Disk):
    """A cache file that holds plain bytes and never unpickles, whoever wrote it."""

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        """Read a value; anything but plain bytes counts as absent."""
        if mode != diskcache.core.MODE_RAW or not isinstance(value, bytes):
            return None
        return bytes(value)


def open_cache(folder: Path, holds: str, most_bytes: int | None = None) -> diskcache.Cache:
    """Open a cache of bytes, or make it.

    Args:
        folder: where it lies.
        holds: what is in it, for the error message.
        most_bytes: beyond it the oldest values go; None keeps everything.

    Raises:
        MotionError: it cannot be opened.
    """
    try:
        return diskcache.Cache(
            str(folder),
            disk=_BytesOnly,
            size_limit=most_bytes or _UNLIMITED,
            eviction_policy="least-recently-stored" if most_bytes else "none",
            disk_min_file_size=1 << 20,
        )
    except Exception as error:  # sqlite3 and the file system raise their own kinds
        raise MotionError(
            str(folder),
            f"the cache of {holds} cannot be opened: {error}",
            "Give a folder that you may write to with --cache-dir, or delete this one if it is damaged.",
        ) from None
