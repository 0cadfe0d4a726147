"""Motions to reviewed fine-grained text, as Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinmo_annotate.dataset.read import load_dataset

__all__ = ["load_dataset"]


def __getattr__(name: str) -> Any:
    """Import what is exported when it is first used, so that importing the package costs nothing."""
    if name in __all__:
        from kinmo_annotate.dataset import read

        return getattr(read, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
