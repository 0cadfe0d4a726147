"""`kinmo evaluate retrieval`: how well trained models find motions by text, and texts by motion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._common import WRONG_USAGE, JsonOption, console, fail, messages, print_json, warn
from ._progress import stages
from ._tables import add_row, new_table

if TYPE_CHECKING:
    from kinmo_models.retrieval.evaluate import Evaluation, Key
    from kinmo_models.retrieval.table5 import Table5

_ABLATION = "With --table5"


def retrieval(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN", help="A trained model; several, one a seed, are averaged."),
    ] = None,
    *,
    dataset: Annotated[Path, typer.Argument(help="An annotated dataset.", show_default=False)],
    split: Annotated[str, typer.Option(help="Which motions are searched.")] = "test",
    threshold: Annotated[
        float,
        typer.Option(
            help="Protocol (b): captions more alike than this count; (cosine + 1) / 2.", min=0, max=1
        ),
    ] = 0.95,
    subset: Annotated[
        Path | None,
        typer.Option(help="Protocol (c): file of ids, one a line, such as TMR's nsim_test.txt."),
    ] = None,
    reasoner: Annotated[
        str | None, typer.Option(help="What `kinmo train reasoner` wrote: fills the rows `reasoner`.")
    ] = None,
    table5: Annotated[
        bool, typer.Option("--table5", help="Train and measure the ablation of the paper's Table 5.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for runs and tables; runs are gone on with.", rich_help_panel=_ABLATION),
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="Seeds of training, comma between.", rich_help_panel=_ABLATION)
    ] = "0,1,2",
    config: Annotated[
        str, typer.Option(help="tiny, base or a YAML file.", rich_help_panel=_ABLATION)
    ] = "tiny",
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of training, SECTION.KEY=VALUE.", rich_help_panel=_ABLATION),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", "--cache-dir", help="Where features and embeddings are kept.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Rank a split's motions by text and its texts by motion: R@k and MedR by four protocols, or Table 5.

    Example: kinmo evaluate retrieval RUN D

    With finer texts from the captions alone: kinmo evaluate retrieval RUN D --reasoner REASONER

    Mean and 95 % interval over seeds: kinmo evaluate retrieval RUN0 RUN1 RUN2 D

    The ablation: kinmo evaluate retrieval D --table5 --out ablation --seeds 0,1,2 --config tiny
    """
    if table5:
        if reasoner:
            fail("--reasoner is not for --table5", "Leave one of both out.", WRONG_USAGE)
        if runs:
            fail(
                f"--table5 trains its own models, and {runs[0]} is named.",
                "Name the dataset alone.",
                WRONG_USAGE,
            )
        if out is None:
            fail("--table5 needs a folder.", "Say where runs and tables go: --out FOLDER.", WRONG_USAGE)
        _table5(dataset, split, out, read_seeds(seeds), config, sets or [], cache, as_json)
        return
    if out or sets:
        fail("--out and --set belong to --table5.", "Leave them out, or add --table5.", WRONG_USAGE)
    if not runs:
        remedy = f"Name one before the dataset: kinmo evaluate retrieval RUN {dataset}."
        fail("no trained model is named.", remedy, WRONG_USAGE)
    _measure(runs, dataset, split, threshold, subset, reasoner, cache, as_json)


def _measure(
    runs: list[Path],
    dataset: Path,
    split: str,
    threshold: float,
    subset: Path | None,
    reasoner: str | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Measure trained models and print the four protocols."""
    from kinmo_models.retrieval.evaluate import evaluate_runs

    from ._reasoning import open_reasoner

    listed = subset.read_text("utf-8").split() if subset else None
    opened = None if reasoner is None else open_reasoner(reasoner)
    options: dict[str, Any] = {"threshold": threshold, "listed": listed, "reasoner": opened}
    with stages(as_json) as progress:
        evaluations = evaluate_runs(runs, dataset, split, **options, cache_dir=cache, progress=progress)
    for text in dict.fromkeys(text for one in evaluations for text in one.warnings):
        warn(text)
    if as_json:
        print_json(_as_json(evaluations))
    else:
        _show(evaluations)


def _as_json(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """One evaluation as it is; several with mean and interval of each row."""
    from dataclasses import asdict

    from kinmo_models.retrieval.evaluate import describe, over_runs

    if len(evaluations) == 1:
        return evaluations[0].as_dict()
    means = over_runs([one.results for one in evaluations])
    rows = [
        {**describe(key), **{name: asdict(value) for name, value in figures.items()}}
        for key, figures in means.items()
    ]
    return {"runs": [one.as_dict() for one in evaluations], "mean": rows}


def _show(evaluations: Sequence[Evaluation]) -> None:
    """Print a block a protocol, then what the figures belong to."""
    from kinmo_models.retrieval.evaluate import over_runs
    from kinmo_models.retrieval.protocols import TITLES

    figures = over_runs([one.results for one in evaluations])
    first = evaluations[0]
    for letter in TITLES:
        keys = [key for key in figures if key[0] == letter]
        if keys:
            _show_protocol(letter, keys, figures, first)
    stamp = first.stamp
    lines = [
        *dict.fromkeys(note for one in evaluations for note in one.notes),
        "finer texts: none = the caption alone, what a user types; reasoner = written from the caption;"
        " annotation = written from the very motion that is searched for, the paper's setting",
        f"{stamp['split']} (fingerprint {stamp['split_fingerprint']}) of {stamp['dataset']}, "
        + ", ".join(f"{one.stamp['model']} (seed {one.stamp['seed']})" for one in evaluations),
    ]
    if len(evaluations) > 1:
        lines.append(f"mean of {len(evaluations)} runs, ± 95 % interval (Student's t)")
    for line in lines:
        console().print(line, markup=False)


def _show_protocol(letter: str, keys: list[Key], figures: dict[Key, Any], first: Evaluation) -> None:
    from kinmo_models.metrics.ranking import RECALLS
    from kinmo_models.retrieval.evaluate import NOT_ASKED
    from kinmo_models.retrieval.protocols import DIRECTIONS, TITLES

    names = [*(f"R@{k}" for k in RECALLS), "MedR"]
    for direction in DIRECTIONS:
        title = f"({letter}) {TITLES[letter]}: {direction}"
        table = new_table(title, "level", "finer texts", "counts", *(f">{name}" for name in names))
        for key in keys:
            if key[1] == direction:
                cells = [_cell(figures[key][name]) for name in names]
                add_row(table, key[3], key[4], key[2], *cells)
        for level, source in first.missing:
            add_row(table, level, source, NOT_ASKED, *("-" for _ in names))
        console().print(table)


def _cell(figure: Any) -> str:
    reach = "" if figure.interval is None else f"\n±{figure.interval:.2f}"
    return f"{figure.mean:.2f}{reach}"


def _table5(
    dataset: Path,
    split: str,
    out: Path,
    seeds: list[int],
    config: str,
    sets: list[str],
    cache: Path | None,
    as_json: bool,
) -> None:
    """Train and measure the ablation, and print it beside the paper's."""
    from kinmo_models.retrieval.table5 import run_table5

    table = run_table5(dataset, out, config, sets, seeds, split, cache_dir=cache, console=messages())
    if as_json:
        print_json(table.as_dict())
    else:
        _show_table5(table)
        console().print(f"written: {out / 'table5.md'}, {out / 'table5.json'}", markup=False)


def _show_table5(table: Table5) -> None:
    from kinmo_models.retrieval.protocols import DIRECTIONS
    from kinmo_models.retrieval.table5 import SHOWN, cell, preface, verdict

    for direction in DIRECTIONS:
        columns = ("variant", "level", "finer texts", *(f">{name}" for name in SHOWN))
        printed = new_table(f"Table 5: {direction}", *columns)
        for row in table.rows:
            if row.direction == direction:
                add_row(printed, row.variant, row.level, row.source, *(cell(row, name) for name in SHOWN))
        console().print(printed)
    for line in [*preface(table), *verdict(table)]:
        console().print(line, markup=False)


def read_seeds(text: str) -> list[int]:
    """Read `0,1,2`."""
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        fail(f"--seeds {text}: not a list of different seeds.", "Write it like --seeds 0,1,2.", WRONG_USAGE)
    return seeds
