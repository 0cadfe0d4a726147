"""A page and a picture of a training, beside its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write_report(out: Path, work: Any, config: Any, outcome: Any, accelerator: Any) -> None:
    """Write report.md and losses.png."""
