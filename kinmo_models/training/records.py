"""What is written down of every step and validation: JSON lines, and TensorBoard where it is installed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from kinmo_models.training.folder import BOARD, LOSSES, VALIDATION, cut_back

_NO_BOARD = (
    "TensorBoard is not installed: losses go to losses.jsonl alone (pip install 'kinmo[train]' adds it)"
)

_BOARD_EVERY: Final = (
    10  # steps; a point takes TensorBoard a tenth of a millisecond, and there are many figures
)


class Records:
    """The files of a run that grow; opened at the step of the checkpoint that the run goes on from."""

    def __init__(self, out: Path, step: int, tell: Callable[[str], None]) -> None:
        for name in (LOSSES, VALIDATION):
            cut_back(out / name, step if step else -1)
        self._losses = (out / LOSSES).open("a", encoding="utf-8")
        self._validation = (out / VALIDATION).open("a", encoding="utf-8")
        self._board = _board(out / BOARD, step, tell)

    def step(self, line: Mapping[str, Any]) -> None:
        """Write one step: step, epoch, learning_rate, loss, terms, seconds."""
        self._losses.write(json.dumps(line) + "\n")
        if self._board is not None and (line["step"] - 1) % _BOARD_EVERY == 0:
            figures = {"loss": line["loss"], "learning_rate": line["learning_rate"], **line["terms"]}
            self._show("train", figures, line["step"])

    def validation(self, line: Mapping[str, Any]) -> None:
        """Write one validation: step, epoch, figures, seconds."""
        self._validation.write(json.dumps(line) + "\n")
        if self._board is not None:
            self._show("validation", line["figures"], line["step"])

    def flush(self, *, to_disk: bool = False) -> None:
        """Hand over what is buffered: to the system, or down to the disk before a checkpoint counts on it."""
        for file in (self._losses, self._validation):
            file.flush()
            if to_disk:
                os.fsync(file.fileno())

    def close(self) -> None:
        """Close all files."""
        self._losses.close()
        self._validation.close()
        if self._board is not None:
            self._board.close()

    def _show(self, where: str, figures: Mapping[str, float], step: int) -> None:
        for name, value in figures.items():
            self._board.add_scalar(f"{where}/{name.lstrip('_')}", value, step)


def _board(folder: Path, step: int, tell: Callable[[str], None]) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        tell(_NO_BOARD)
        return None
    # Events of steps that the checkpoint does not have are hidden.
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
