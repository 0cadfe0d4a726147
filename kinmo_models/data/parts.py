"""Captions of a part of a motion: which rows they mean, and whether the fields hold for them."""

from __future__ import annotations

from typing import Final

from kinmo_annotate.schema.records import Caption
from kinmo_annotate.schema.skeleton import FPS

_WHOLE_FROM: Final = 0.8


def is_whole(caption: Caption) -> bool:
    """Whether a caption is said of the whole motion: from 0 to 0."""
    return caption.start_s == 0.0 and caption.end_s == 0.0


def rows_of(caption: Caption) -> tuple[int, int]:
    """First row of a caption's part, and the row after its last (TMR: int(start * 20) and int(end * 20))."""
    return int(caption.start_s * FPS), int(caption.end_s * FPS)


def keeps_fields(start: int, stop: int, length: int) -> bool:
    """Whether the fields, which are said of the whole motion, may be said of some of its rows.

    They may where these are at least 80 % of the motion.

    Args:
        start: first row.
        stop: row after the last.
        length: rows of the motion.
    """
    return min(stop, length) - start >= _WHOLE_FROM * length
