"""`kinmo annotate sample`, `sheet` and `reviews`: draw a round of review, judge it offline, carry it out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ._common import FAILED, WRONG_USAGE, JsonOption, console, fail, messages, print_error, print_json
from ._tables import new_table, plain

if TYPE_CHECKING:
    from kinmo_annotate.review.rounds import Round
    from kinmo_annotate.review.sheet import Imported
    from kinmo_annotate.review.store import Store

sheet = typer.Typer(no_args_is_help=True, help="Judge a round without a browser: CSV and GIFs.")

_AT: Final = "http://127.0.0.1:8490/review/"  # where `kinmo annotate review` serves unless told otherwise
_SHOWN: Final = 20

DatasetArgument = Annotated[Path, typer.Argument(help="Folder that kinmo annotate run wrote.")]


def sample(
    dataset: DatasetArgument,
    motions: Annotated[int, typer.Option(min=1, help="How many motions to draw, from all splits.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the draw; the same seed draws the same motions.")] = 0,
    groups: Annotated[
        str, typer.Option(help="Groups and pairs to judge, with commas between; all: all 21.")
    ] = "left_leg,right_leg",
    stratify: Annotated[
        bool, typer.Option("--stratify", help="Take turns between sources and kinds of action.")
    ] = False,
    contradicted_first: Annotated[
        bool,
        typer.Option("--contradicted-first", help="Most contradicted sentences first."),
    ] = False,
    evaluators: Annotated[str, typer.Option(help="Who judges, with commas between.")] = "a,b",
    name: Annotated[str | None, typer.Option(help="Of the round; else round-1, round-2 and so on.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw motions for a round of review and make each evaluator's personal link.

    Without options: the setting of the paper, 20 motions, sentences of both legs, two evaluators. The links
    are shown this once; only hashes of them are kept.

    Example: [bold]kinmo annotate sample dataset --motions 20 --seed 1[/bold]

    Example: [bold]kinmo annotate sample dataset --groups all --contradicted-first --evaluators ann,bob[/bold]
    """
    from kinmo_annotate.review.rounds import sample_round
    from kinmo_annotate.review.store import open_store

    fields = fields_in(groups)
    with open_store(dataset) as store:
        drawn = sample_round(
            dataset,
            name=name or _free_name(store),
            motions=motions,
            seed=seed,
            fields=fields,
            stratify=stratify,
            contradicted_first=contradicted_first,
            evaluators=names_in(evaluators),
        )
        store.add_round(drawn)
        tokens = store.issue_tokens(drawn.name)
    if as_json:
        print_json(_round_as_json(drawn) | {"tokens": tokens})
    else:
        _print_round(drawn, tokens)


def names_in(text: str) -> tuple[str, ...]:
    """Read names between commas."""
    return tuple(name for part in text.split(",") if (name := part.strip()))


def fields_in(text: str) -> tuple[str, ...]:
    """Read groups and pairs; of a pair either group may come first."""
    import difflib

    from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES, pair_name

    if text.strip() == "all":
        return FIELDS
    fields = []
    for name in names_in(text):
        parts = name.split("__")
        known = len(parts) == 2 and parts[0] != parts[1] and set(parts) <= set(GROUP_NAMES)
        field = pair_name(*parts) if known else name
        if field not in FIELDS:
            close = difflib.get_close_matches(name, FIELDS, n=3) or FIELDS
            fail(f"{name} is no group or pair", f"Choose from {', '.join(close)}.", WRONG_USAGE)
        fields.append(field)
    return tuple(dict.fromkeys(fields))


def _free_name(store: Store) -> str:
    taken = {round.name for round in store.rounds()}
    return next(name for number in range(1, len(taken) + 2) if (name := f"round-{number}") not in taken)


def _round_as_json(round: Round) -> dict[str, Any]:
    return {
        "round": round.name,
        "motions": list(round.motion_ids),
        "fields": list(round.fields),
        "sentences": len(round.items),
        "prompt_version": round.prompt_version,
        "seed": round.seed,
        "evaluators": list(round.evaluators),
        "created_at": round.created_at,
    }


def _print_round(round: Round, tokens: dict[str, str]) -> None:
    """Tell what was drawn, and each evaluator's link."""
    table = new_table(f"Round {round.name}", show_header=False)
    motions = ", ".join(round.motion_ids[:_SHOWN])
    more = len(round.motion_ids) - _SHOWN
    table.add_row("motions", plain(f"{motions}{f' and {more} more' if more > 0 else ''}"))
    table.add_row("sentences", plain(f"{len(round.items)}: {', '.join(round.fields)}"))
    table.add_row("prompt version", plain(round.prompt_version))
    console().print(table)
    for evaluator, token in tokens.items():
        console().print(f"{evaluator}: {_AT}{token}", markup=False, soft_wrap=True)
    messages().print("Give each evaluator their own link; it is not shown again.", style="yellow")
    console().print(
        f"next: kinmo annotate review {round.dataset} --round {round.name}\n"
        f"or, without a browser: kinmo annotate sheet export {round.dataset} --round {round.name} "
        f"--evaluator {round.evaluators[0]} --out sheets",
        markup=False,
        soft_wrap=True,
    )


def reviews(dataset: DatasetArgument, as_json: JsonOption = False) -> None:
    """Write what people said: reviews.parquet, and the verdicts of finished rounds into the column review.

    Example: [bold]kinmo annotate reviews dataset[/bold]
    """
    from dataclasses import asdict

    from kinmo_annotate.review.export import export_reviews

    exported = export_reviews(dataset)
    if as_json:
        print_json(asdict(exported))
        return
    counts = ", ".join(f"{count:,} {status}" for status, count in exported.status.items() if count)
    lines = [f"{exported.judgements:,} judgements in {dataset / 'reviews.parquet'}", f"motions: {counts}"]
    if exported.rounds_open:
        open_ones = ", ".join(exported.rounds_open)
        lines.append(f"not in the column review, for not all evaluators have finished: {open_ones}")
    console().print("\n".join(lines), markup=False, soft_wrap=True)


# ------------------------------------------------------------ without a browser

RoundOption = Annotated[str | None, typer.Option("--round", help="Which round; else the newest.")]


@sheet.callback()
def _group() -> None:
    """Judge a round without a browser: CSV and GIFs."""


@sheet.command("export")
def export(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder for the CSV and a GIF a motion.")],
    evaluator: Annotated[str | None, typer.Option(help="Who is to fill it in.")] = None,
    adjudicate: Annotated[
        bool,
        typer.Option("--adjudicate", help="The sheet on which disagreements are settled, once all are in."),
    ] = False,
    round_name: RoundOption = None,
    films: Annotated[bool, typer.Option("--films/--no-films", help="Write a GIF of each motion.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Write an evaluator's sheet, or the adjudication's: a CSV with a row a sentence, and a GIF a motion.

    Fill in verdict (correct, wrong, unsure), category (side, direction, timing, invented, missing, wording)
    and note, and save it as CSV in UTF-8. In the GIFs the body's own left is blue and its right is orange.

    Example: [bold]kinmo annotate sheet export dataset --evaluator a --out sheets/a[/bold]

    Example: [bold]kinmo annotate sheet export dataset --adjudicate --out sheets[/bold]
    """
    from kinmo_annotate.review.rounds import ADJUDICATION
    from kinmo_annotate.review.sheet import export_sheet
    from kinmo_annotate.review.store import open_store

    from ._progress import watch

    if (evaluator is None) != adjudicate:
        raise typer.BadParameter("give either --evaluator NAME or --adjudicate")
    who = evaluator or ADJUDICATION
    # the lines that stand for bars in a log speak of descriptions
    silent = as_json or not messages().is_terminal
    with open_store(dataset) as store, watch(messages(), silent=silent) as progress:
        name = round_name or store.newest().name
        progress.expect("motions", len(store.round(name).motion_ids))
        path = export_sheet(
            store, name, who, out, films=films, progress=lambda done: progress.advance("motions", done)
        )
    if as_json:
        print_json({"round": name, "evaluator": who, "sheet": str(path)})
        return
    legend = "in the films the body's own left is blue, its right orange\n" if films else ""
    text = f"wrote {path}\n{legend}fill it in, then: kinmo annotate sheet import {dataset} {path}"
    console().print(text, markup=False, soft_wrap=True)


@sheet.command("import")
def import_(
    dataset: DatasetArgument,
    path: Annotated[Path, typer.Argument(metavar="CSV", help="The sheet, filled in.")],
    keep_open: Annotated[
        bool,
        typer.Option("--keep-open", help="Do not finish the round, even where all is judged."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read a sheet that was filled in; it says itself of which round and evaluator it is.

    Rows that cannot be taken are listed by their line and the others are saved; correct them and read the
    sheet again, nothing is saved twice. Who has judged every sentence has finished the round.

    Example: [bold]kinmo annotate sheet import dataset sheets/a/round-1-a.csv[/bold]
    """
    from dataclasses import asdict

    from kinmo_annotate.review.sheet import import_sheet
    from kinmo_annotate.review.store import open_store

    with open_store(dataset) as store:
        imported = import_sheet(store, path, finish=not keep_open)
    if as_json:
        print_json(asdict(imported))
    else:
        _print_imported(imported, path)
    raise typer.Exit(FAILED if imported.problems else 0)


def _print_imported(imported: Imported, path: Path) -> None:
    """Tell what was taken, and line by line what was not."""
    state = "finished" if imported.finished else f"{imported.left} sentences left"
    text = f"{imported.saved} saved, {imported.unchanged} as before; {imported.evaluator}: {state}"
    console().print(text, markup=False, soft_wrap=True)
    for problem in imported.problems[:_SHOWN]:
        print_error(f"{path.name} {problem}")
    more = len(imported.problems) - _SHOWN
    if more > 0:
        print_error(f"and {more} more rows; see them all with --json.")
