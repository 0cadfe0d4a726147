"""`kinmo dataset checks`: what the fact check found, claim by claim, on the screen or in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ._common import WRONG_USAGE, JsonOption, console, fail, print_json
from ._progress import dataset_progress
from ._tables import new_table, plain

if TYPE_CHECKING:
    from rich.text import Text

    from kinmo_annotate.dataset import CheckedClaim, Seen, Wanted

_SHOWN: Final = 30
_STYLES: Final = {"contradicted": "bold red", "supported": "green"}


class Verdict(StrEnum):
    """What to list."""

    contradicted = "contradicted"
    supported = "supported"
    not_checkable = "not-checkable"
    all = "all"


def checks(
    dataset: Annotated[
        Path, typer.Argument(metavar="[DATASET]", help="Folder written by annotate run; else this folder.")
    ] = Path(),
    verdict: Annotated[Verdict, typer.Option(help="List claims of this verdict.")] = Verdict.contradicted,
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="NAME", help="Only this group or pair; may be given again."),
    ] = None,
    motion: Annotated[
        str | None, typer.Option("--motion", metavar="ID", help="Only the sentences of this motion.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help=f"At most so many claims; else {_SHOWN} at a terminal, all in a file."),
    ] = None,
    worst: Annotated[
        bool, typer.Option("--worst", help="Motions with most contradicted claims first.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Check the sentences now, and say what the motion does instead.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write a .csv, .jsonl or .parquet for review.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List what the fact check found, a line a claim: on the screen, or in a file for review.

    Example: [bold]kinmo dataset checks dataset --worst --out contradicted.csv[/bold]

    Example: [bold]kinmo dataset checks dataset --motion 000021 --verdict all --again[/bold]
    """
    from kinmo_annotate.dataset import ENDINGS, Seen, write_checks

    if out is not None and out.suffix.lower() not in ENDINGS:
        fail(f"--out {out} has no known ending", f"End its name in {', '.join(ENDINGS)}.", WRONG_USAGE)
    wanted, seen = _wanted(verdict, field or (), motion, again), Seen()
    # a screen holds so many; the rest is only counted
    held = _SHOWN if limit is None and out is None and not as_json else limit
    with dataset_progress(dataset, silent=as_json or motion is not None) as tick:
        found = _found(dataset, wanted, seen, tick, worst, held, to_the_end=out is None)
        written = write_checks(found, out, dataset) if out is not None else None
        listed = [] if written is not None else list(found)
    if as_json:
        print_json(_as_json(seen, listed, out, written))
    elif written is not None:
        _say_nothing_found(dataset, verdict, seen)
        console().print(f"wrote {written:,} claims to {out}", markup=False, soft_wrap=True)
    else:
        _show(dataset, verdict, listed, seen)


def _wanted(verdict: Verdict, fields: Iterable[str], motion: str | None, again: bool) -> Wanted:
    """Turn the options into what to list; refuse a field that there is not."""
    import difflib

    from kinmo_annotate.dataset import Wanted
    from kinmo_annotate.schema.records import VERDICTS
    from kinmo_annotate.schema.skeleton import FIELDS

    for name in fields:
        if name not in FIELDS:
            close = difflib.get_close_matches(name, FIELDS, n=3) or FIELDS
            fail(f"{name} is no group or pair", f"Choose one of {', '.join(close)}.", WRONG_USAGE)
    verdicts = VERDICTS if verdict is Verdict.all else (verdict.value.replace("-", " "),)
    return Wanted(verdicts, tuple(fields) or FIELDS, motion, again)


def _found(
    dataset: Path,
    wanted: Wanted,
    seen: Seen,
    tick: Callable[[int], None],
    worst: bool,
    limit: int | None,
    to_the_end: bool,
) -> Iterator[CheckedClaim]:
    """Give at most `limit` claims; go through the rest too where they are to be counted."""
    from kinmo_annotate.dataset import list_checks, worst_first

    if worst:
        yield from worst_first(dataset, limit, wanted, seen, tick)
        return
    every = list_checks(dataset, wanted, seen, tick)
    yield from islice(every, limit)
    if to_the_end:
        for _ in every:
            pass


def _as_json(seen: Seen, listed: list[CheckedClaim], out: Path | None, written: int | None) -> dict[str, Any]:
    """What was found, for scripts."""
    if written is not None:
        return {"out": str(out), "claims": written}
    told = {"motions": seen.motions, "motions_without_checks": seen.unchecked, "claims": seen.claims}
    return {**told, "listed": [asdict(claim) for claim in listed]}


def _show(dataset: Path, verdict: Verdict, listed: list[CheckedClaim], seen: Seen) -> None:
    """Print claims, motion by motion: the claim, what the motion does, the sentence."""
    table = new_table(f"Fact check of {dataset}", "motion", "group or pair", "verdict, claim and sentence")
    for index, claim in enumerate(listed):
        first = index == 0 or claim.motion_id != listed[index - 1].motion_id
        last = index + 1 == len(listed) or claim.motion_id != listed[index + 1].motion_id
        name = claim.motion_id if first else ""
        table.add_row(plain(name), plain(claim.field), _cell(claim, first), end_section=last)
    if listed:
        console().print(table)
    _say_nothing_found(dataset, verdict, seen)
    more = seen.claims - len(listed)
    if more > 0:
        text = f"{more:,} more claims: see them with --limit, or write all with --out checks.csv"
        console().print(text, markup=False, soft_wrap=True)


def _cell(claim: CheckedClaim, with_caption: bool) -> Text:
    """All that is told of one claim, in a line each."""
    from rich.text import Text

    parts = [
        plain(claim.verdict, _STYLES.get(claim.verdict, "")).append(": ").append(plain(claim.claim, "bold"))
    ]
    if claim.evidence:
        parts.append(plain(f"seen: {claim.evidence}"))
    parts.append(plain(f"sentence: {claim.sentence}", "italic"))
    if with_caption and claim.caption:
        parts.append(plain(f"caption: {claim.caption}", "dim"))
    return Text("\n").join(parts)


def _say_nothing_found(dataset: Path, verdict: Verdict, seen: Seen) -> None:
    """Say why a list is empty, or that motions are missing from it."""
    if seen.unchecked:
        text = f"{seen.unchecked:,} of {seen.motions:,} motions carry no checks; --again checks them now"
        console().print(text, style="yellow", markup=False, soft_wrap=True)
    if not seen.claims:
        what = "" if verdict is Verdict.all else f"{verdict.value.replace('-', ' ')} "
        text = f"{dataset}: no {what}claim in {seen.motions:,} motions"
        console().print(text, markup=False, soft_wrap=True)
