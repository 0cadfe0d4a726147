"""`kinmo evaluate evaluator`: what an evaluator makes of real motions, and so what its figures are worth."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._common import JsonOption, console, print_json, warn
from ._evaluators import Judge, StatisticsOption, TextsOption, VectorsOption
from ._tables import add_row, new_table

if TYPE_CHECKING:
    from kinmo_models.evaluator.score import Figure, Scores


class Pools(StrEnum):
    """How pools of R-precision are drawn."""

    distinct = "distinct"
    standard = "standard"


def evaluator(
    model: Annotated[Path, typer.Argument(metavar="RUN", help="A trained evaluator, or T2M's finest.tar.")],
    dataset: Annotated[Path, typer.Argument(help="An annotated dataset.")],
    split: Annotated[str, typer.Option(help="Which motions are scored.")] = "test",
    pools: Annotated[
        Pools, typer.Option(help="standard: any motions, as T2M; distinct: no two that are alike.")
    ] = Pools.distinct,
    pool: Annotated[int, typer.Option(help="Motions of a pool.", min=2)] = 32,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV file with id, content, style: alike are motions that share both."),
    ] = None,
    repeats: Annotated[int, typer.Option(help="How often pools, pairs and halves are drawn.", min=1)] = 20,
    vectors: VectorsOption = None,
    statistics: StatisticsOption = None,
    texts: TextsOption = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", "--cache-dir", help="Where features and embeddings are kept.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score real motions: R-precision, MM-Dist, Diversity, foot skating, and two FIDs to compare others with.

    Example: kinmo evaluate evaluator evaluator dataset

    The public one: kinmo evaluate evaluator finest.tar D --vectors glove.txt --texts texts --pools standard
    """
    from kinmo_models.evaluator.score import ScoreSettings, score_dataset

    judge = Judge(model, vectors, statistics, texts).open()
    settings = ScoreSettings(pools=pools.value, pool=pool, repeats=repeats)
    scores = score_dataset(judge, dataset, split, settings, labels=labels, cache_dir=cache)
    for text in scores.warnings:
        warn(text)
    if as_json:
        print_json(scores.as_dict())
    else:
        show_scores(scores)


def show_scores(scores: Scores) -> None:
    """Print a line a figure, each with evaluator, split and sample size, then what they belong to."""
    stamp = scores.stamp
    table = new_table("Scores", "metric", "motions", ">mean ±95 %", ">samples", "evaluator", "split")
    where = f"{stamp['split']}@{stamp['split_fingerprint'][:8]}"
    for one in scores.figures:
        add_row(table, one.metric, one.motions, *_cells(one), stamp["evaluator"], where)
    console().print(table)
    for line in scores.notes:
        console().print(line, markup=False)


def _cells(figure: Figure) -> tuple[str, str]:
    value = figure.value
    reach = "" if value.interval is None else f" ±{value.interval:.3f}"
    return f"{value.mean:.3f}{reach}", " + ".join(map(str, figure.samples))
