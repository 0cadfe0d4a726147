"""The motions that benchmarks run on: real ones where they are, else demo motions made on the spot."""

from __future__ import annotations

from pathlib import Path

REAL = Path(__file__).resolve().parents[1] / "../shared/data/mocap"


def source_or(folder: Path) -> Path:
    """The real motions beside the repository; demo motions written into `folder` where there are none."""
    if REAL.exists():
        return REAL
    from kinmo_annotate.sources.procedural import write_demo

    write_demo(folder, motions=200, seed=0)
    return folder
