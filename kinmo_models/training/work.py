"""What a room gives to the training loop, and what it gets back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import nn

if TYPE_CHECKING:
    from accelerate import Accelerator


class Work(Protocol):
    """What a room trains."""

    @property
    def module(self) -> nn.Module:
        """What learns.

        Its forward takes a batch and gives the weighted loss terms by name, tensors without dimensions, whose
        sum is minimised; names that begin with "_" are figures that are only recorded. Of several processes
        the mean is minimised (see `kinmo_models.training.distributed`).
        """

    @property
    def config(self) -> Any:
        """The room's whole config, a frozen dataclass with a section `training`."""

    @property
    def about(self) -> Mapping[str, Any]:
        """JSON values for meta.json: `kind` ("retrieval", ...), `dataset`, `dataset_fingerprint`, ...

        A run goes on only while `kind` and all whose names end in `fingerprint(s)` stay as they were.
        """

    def steps(self, world: int) -> int:
        """Steps of an epoch over so many processes."""

    def epoch(self, number: int, rank: int, world: int) -> Iterator[Any]:
        """The batches of an epoch, from 0, of one process; each has `.to(device)`.

        They depend on the config and these numbers alone.
        """

    def validate(self, accelerator: Accelerator) -> dict[str, float]:
        """Figures on the split val; the module is in eval mode, without gradients, under autocast.

        Called in every process; what the first gives counts. No figures where there is no such split.
        """

    def save(self, folder: Path) -> None:
        """Write what `from_pretrained` needs: model.safetensors, config.yaml, ...; meta.json is added."""


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        folder: the RUN folder.
        step: steps taken in all.
        epochs: epochs finished.
        seconds: of training over all starts.
        interrupted: by Ctrl-C; the same command goes on.
        validation: figures of the last validation.
        best: the best value of the figure `TrainingConfig.best`, None without a validation.
        best_step: its step.
    """

    folder: Path
    step: int
    epochs: int
    seconds: float
    interrupted: bool
    validation: dict[str, float] = field(default_factory=dict)
    best: float | None = None
    best_step: int = 0
