"""The evaluator that a command scores with: one of `kinmo train evaluator`, or T2M's public checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kinmo_models.evaluator.evaluator import Evaluator

_PUBLIC = "With T2M's finest.tar"

EvaluatorOption = Annotated[
    Path | None, typer.Option("--evaluator", help="What `kinmo train evaluator` wrote, or T2M's finest.tar.")
]
VectorsOption = Annotated[
    Path | None,
    typer.Option("--vectors", help="GloVe vectors: text, .npz or .safetensors.", rich_help_panel=_PUBLIC),
]
StatisticsOption = Annotated[
    Path | None,
    typer.Option(
        "--statistics",
        help="Folder of its mean.npy and std.npy; else where T2M has it.",
        rich_help_panel=_PUBLIC,
    ),
]
TextsOption = Annotated[
    Path | None,
    typer.Option("--texts", help="HumanML3D's folder texts, for words and tags.", rich_help_panel=_PUBLIC),
]


@dataclass(frozen=True, slots=True)
class Judge:
    """Where an evaluator is, and what the public one needs beside."""

    path: Path
    vectors: Path | None
    statistics: Path | None
    texts: Path | None

    def open(self) -> Evaluator:
        """Load it.

        Raises:
            TrainingError: there is no such evaluator, it is damaged, or lacks what it needs.
        """
        from kinmo_models.evaluator.evaluator import Evaluator

        return Evaluator.from_pretrained(
            self.path, vectors=self.vectors, statistics=self.statistics, texts=self.texts
        )
