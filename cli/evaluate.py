"""`kinmo evaluate`: how right the descriptions are where the truth is known, and how good models are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._common import FAILED, JsonOption, console, fail, print_json
from .evaluate_control import control
from .evaluate_editing import editing
from .evaluate_evaluator import evaluator
from .evaluate_generation import generation
from .evaluate_reasoner import reasoner
from .evaluate_retrieval import retrieval
from .evaluate_tokenizer import tokenizer

if TYPE_CHECKING:
    from rich.table import Table

    from kinmo_annotate.scoring import Report, Score

app = typer.Typer(no_args_is_help=True, help="Measure how right descriptions are, and models.")
app.command()(retrieval)
app.command()(generation)
app.command()(control)
app.command()(editing)
app.command()(evaluator)
app.command()(tokenizer)
app.command()(reasoner)


@app.callback()
def group() -> None:
    """Measure how right descriptions are, and models."""


@app.command()
def descriptions(
    dataset: Annotated[Path, typer.Argument(help="A dataset made from demo motions.")],
    truth: Annotated[
        Path | None,
        typer.Option(help="truth.jsonl of the motions; else the one in a folder beside the dataset."),
    ] = None,
    mistakes: Annotated[int, typer.Option(help="Show so many of the mistakes.", min=0)] = 0,
    least: Annotated[float, typer.Option(help="Exit with 1 if precision or recall is below.")] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Precision and recall of what the sentences claim, per group, against the demo motions' known truth.

    Example: kinmo data demo motions --motions 60 --seed 1 && kinmo annotate run motions --out D
    && kinmo evaluate descriptions D --truth motions/truth.jsonl
    """
    from kinmo_annotate.schema.shards import read_rows
    from kinmo_annotate.scoring import Report, read_truth, score_motion

    known = read_truth(truth or _find_truth(dataset))
    report = Report()
    for row in read_rows(dataset):
        motion = row.motion
        if motion.motion_id in known:
            real = known[motion.motion_id]
            score_motion(report, motion.motion_id, row.descriptions, real, motion.duration_s)
    if report.motions == 0:
        remedy = "Give --truth the truth.jsonl that was written with these motions."
        fail(f"{dataset}: none of its motions is in the truth.", remedy)
    total = report.total()
    if as_json:
        print_json(_as_json(report))
    else:
        _show(report, mistakes)
    if min(total.precision, total.recall) < least:
        raise typer.Exit(FAILED)


def _find_truth(dataset: Path) -> Path:
    """Look for the one truth.jsonl in the dataset or in a folder beside it.

    Raises:
        typer.Exit: there is none, or more than one.
    """
    dataset = dataset.resolve()
    found = sorted({*dataset.glob("truth.jsonl"), *dataset.parent.glob("*/truth.jsonl")})
    if len(found) != 1:
        what = "no truth.jsonl" if not found else f"{len(found)} files truth.jsonl"
        fail(f"{dataset}: {what} in it or in a folder beside it.", "Name one: --truth MOTIONS/truth.jsonl.")
    return found[0]


def _as_json(report: Report) -> dict[str, object]:
    return {
        "motions": report.motions,
        "fields": {name: score.as_dict() for name, score in report.scores.items()},
        "groups": _groups(report).as_dict(),
        "interactions": _interactions(report).as_dict(),
        "total": report.total().as_dict(),
    }


def _groups(report: Report) -> Score:
    from kinmo_annotate.schema.skeleton import GROUP_NAMES

    return report.total(GROUP_NAMES)


def _interactions(report: Report) -> Score:
    from kinmo_annotate.schema.skeleton import PAIR_NAMES

    return report.total(PAIR_NAMES)


def _show(report: Report, mistakes: int) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"Descriptions against the truth of {report.motions} motions")
    table.add_column("field", no_wrap=True)
    for name in ("claims", "precision", "truths", "recall", "swapped"):
        table.add_column(name, justify="right")
    for name, score in report.scores.items():
        _add(table, name, score)
    table.add_section()
    sums = (("groups", _groups(report)), ("interactions", _interactions(report)), ("total", report.total()))
    for name, score in sums:
        _add(table, name, score, "bold")
    console().print(table)
    for m in report.mistakes[:mistakes]:
        e = m.event
        what = f"{m.motion_id} {e.field}: {m.kind} {e.action} x{e.count} {e.start_s:.1f}-{e.end_s:.1f} s"
        console().print(escape(f"{what} | {m.sentence}"))


def _add(table: Table, name: str, score: Score, style: str = "") -> None:
    shares = f"{score.precision:.3f}", f"{score.recall:.3f}"
    table.add_row(
        name, str(score.claims), shares[0], str(score.truths), shares[1], str(score.swapped), style=style
    )
