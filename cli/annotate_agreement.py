"""`kinmo annotate agreement`: whether the evaluators of a round agree, and whether they agree enough."""

from __future__ import annotations

from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._common import FAILED, JsonOption, console, messages, print_json, warn

if TYPE_CHECKING:
    from kinmo_annotate.review.agreement import Agreement, Disagreement
    from kinmo_annotate.review.figures import Estimate, Figures
    from kinmo_annotate.review.store import Judgement, Store

_PAIRS_SHOWN = 3  # confusion tables; --json has those of all pairs of evaluators


class GateOn(StrEnum):
    """Which figure over all sentences the gate is about."""

    kappa = "kappa"
    ac1 = "ac1"
    low_end = "low-end-of-interval"


def agreement(
    dataset: Annotated[Path, typer.Argument(help="The dataset whose sentences were reviewed.")],
    round: Annotated[
        str | None, typer.Option("--round", help="Name of the review round; else the newest.")
    ] = None,
    gate: Annotated[float, typer.Option(help="Exit with 1 unless the figure is above this.")] = 0.8,
    gate_on: Annotated[
        GateOn, typer.Option(help="Figure that the gate is about; low-end-of-interval is kappa's.")
    ] = GateOn.kappa,
    leave_out_unsure: Annotated[
        bool,
        typer.Option("--leave-out-unsure", help="Take unsure as not judged, not as a label of its own."),
    ] = False,
    resamples: Annotated[
        int, typer.Option(min=100, max=100_000, help="Resamples of the motions for the intervals.")
    ] = 2000,
    plot: Annotated[
        Path | None, typer.Option(help="Draw kappa, AC1 and error rate over all rounds: FILE.png or .svg.")
    ] = None,
    disagreements: Annotated[
        int, typer.Option("--disagreements", min=0, help="Show at most so many; --json has all.")
    ] = 20,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Figures (no list) before all evaluators have finished.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say how far the evaluators of a review round agree, per group, per pair and over all sentences.

    Raw agreement, Cohen's kappa and Gwet's AC1 with 95 % intervals; Fleiss' kappa and Krippendorff's alpha
    for more than two evaluators. The exit code is 0 where the gate holds, else 1.

    Example: [bold]kinmo annotate agreement dataset --plot agreement.png[/bold]

    In a script: [bold]kinmo annotate agreement dataset --gate-on low-end-of-interval --gate 0.6 --json[/bold]
    """
    from kinmo_annotate.review.agreement import agreement as measured
    from kinmo_annotate.review.agreement import holds
    from kinmo_annotate.review.remarks import remarks
    from kinmo_annotate.review.store import open_store

    how: dict[str, Any] = {"leave_out_unsure": leave_out_unsure, "resamples": resamples}
    with open_store(dataset) as store:
        found = measured(store, round or store.newest().name, anyway=anyway, **how)
        if plot:
            _plot(store, plot, gate, how)
    said, passed = remarks(found), holds(found, gate, gate_on.value)
    if as_json:
        print_json(_as_json(found, said, gate, gate_on))
    else:
        _show(found, disagreements)
        for line in said:
            warn(line)
        _show_gate(dataset, found, gate, gate_on)
    if not passed:
        raise typer.Exit(FAILED)


def _plot(store: Store, path: Path, gate: float, how: dict[str, Any]) -> None:
    """Draw all finished rounds."""
    from kinmo_annotate.review.agreement import over_rounds
    from kinmo_annotate.review.plot import plot_rounds

    rounds = over_rounds(store, **how)
    plot_rounds(rounds, path, gate)
    messages().print(f"{len(rounds)} of {len(store.rounds())} rounds drawn into {path}", markup=False)


def _as_json(found: Agreement, said: list[str], gate: float, gate_on: GateOn) -> dict[str, Any]:
    from kinmo_annotate.review.agreement import gated, holds

    value = gated(found, gate_on.value)
    told = {"on": gate_on.value, "above": gate, "value": None if isnan(value) else value}
    return found.as_json() | {"remarks": said, "gate": told | {"holds": holds(found, gate, gate_on.value)}}


def _show_gate(dataset: Path, found: Agreement, gate: float, gate_on: GateOn) -> None:
    """Print whether the gate holds, and what to do where it does not."""
    from kinmo_annotate.review.agreement import gated, holds

    value = gated(found, gate_on.value)
    if holds(found, gate, gate_on.value):
        console().print(f"The gate holds: {gate_on.value} {_number(value)} is above {gate:g}.", style="green")
        return
    said = "undefined" if isnan(value) else _number(value)
    text = f"The gate does not hold: {gate_on.value} is {said}, and has to be above {gate:g}."
    by_prompt = found.round.prompt_version != "none"  # rules wrote the sentences, which follow no prompt
    if by_prompt and found.disagreements is not None and found.overall.error_rate.value > 0:
        text += f" Next: kinmo annotate refine {dataset} makes the prompt better by what was wrong."
    console().print(text, style="yellow", markup=False, soft_wrap=True)


def _show(found: Agreement, limit: int) -> None:
    """Print the tables for people."""
    _show_agreement(found)
    _show_errors(found)
    _show_confusion(found)
    _show_disagreements(found, limit)


def _rows(found: Agreement) -> tuple[Figures, ...]:
    """Give a row per group and pair, then all; one field alone is all."""
    return (*found.fields, found.overall) if len(found.fields) > 1 else (found.overall,)


def _show_agreement(found: Agreement) -> None:
    from ._tables import add_row, new_table

    round, many = found.round, len(found.round.evaluators) > 2
    kappa = ">Fleiss' kappa" if many else ">Cohen's kappa"
    columns = ["about", ">n", ">raw", kappa, ">Gwet's AC1", *([">Krippendorff's alpha"] if many else [])]
    title = f"Agreement of {', '.join(round.evaluators)} in {round.name}, with 95 % intervals"
    table = new_table(title, *columns)
    for row in _rows(found):
        estimates = (row.agreement, row.kappa, row.ac1, *([row.alpha] if row.alpha else []))
        cells = [_estimate(one) for one in estimates]
        if many:  # a column more: intervals stand below their figures
            cells = [cell.replace(" [", "\n[") for cell in cells]
        add_row(table, row.name, str(row.items), *cells)
    console().print(table)


def _show_errors(found: Agreement) -> None:
    from ._tables import add_row, new_table

    table = new_table("Judged wrong, % of the judgements", "about", ">wrong", "by category")
    for row in _rows(found):
        kinds = sorted(row.errors.items(), key=lambda kind: -kind[1])
        said = ", ".join(f"{name} {_number(100 * share, 1)}" for name, share in kinds if share > 0)
        add_row(table, row.name, _estimate(row.error_rate, 100, 1), said)
    console().print(table)


def _show_confusion(found: Agreement) -> None:
    """Print what one evaluator said against what the other said."""
    from ._tables import add_row, new_table

    for pair, counts in list(found.overall.confusion.items())[:_PAIRS_SHOWN]:
        first, _, second = pair.partition(" / ")
        heads = (f">{second}: {label}" for label in found.labels)
        table = new_table("Confusion, sentences", "", *heads)
        for label, row in zip(found.labels, counts, strict=True):
            add_row(table, f"{first}: {label}", *map(str, row))
        console().print(table)
    left = len(found.overall.confusion) - _PAIRS_SHOWN
    if left > 0:
        messages().print(f"{left} more pairs of evaluators: --json has their tables", style="dim")


def _show_disagreements(found: Agreement, limit: int) -> None:
    """Print the sentences judged differently, with what each evaluator wrote."""
    from ._tables import plain

    told = found.disagreements or ()
    for one in told[:limit]:
        console().print(plain("\n".join(_lines(one))), soft_wrap=True)
    if len(told) > limit:
        console().print(f"{len(told) - limit} more disagreements: --json lists all of {len(told)}")


def _lines(one: Disagreement) -> list[str]:
    said = [f"  {name}: {_verdict(judgement)}" for name, judgement in one.judgements.items()]
    final = [f"  settled: {_verdict(one.final)}"] if one.final else []
    return [f"{one.motion_id} {one.field}: {one.sentence}", *said, *final]


def _verdict(judgement: Judgement) -> str:
    words = ", ".join(filter(None, (judgement.verdict, judgement.category)))
    return f"{words}: {judgement.note}" if judgement.note else words


def _estimate(estimate: Estimate, scale: float = 1.0, digits: int = 2) -> str:
    """Write a figure with its interval, such as `0.85 [0.77, 0.92]`."""
    value, low, high = (_number(scale * one, digits) for one in estimate)
    return f"{value} [{low}, {high}]" if low != "-" else value


def _number(value: float, digits: int = 2) -> str:
    return "-" if value != value else f"{value:.{digits}f}"
