"""`kinmo data`: demo motions with known truth, and the import of anything into HumanML3D's layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._common import FAILED, INTERRUPTED, JsonOption, console, ctrl_c, messages, print_error, print_json, warn

if TYPE_CHECKING:
    from kinmo_annotate.sources.importing import ImportSummary

app = typer.Typer(no_args_is_help=True, help="Make demo motions, and import BVH, AMASS and arrays.")
_SHOWN = 5  # failures printed in full


@app.callback()
def _group() -> None:
    """Make demo motions, and import BVH, AMASS and arrays into HumanML3D's layout."""


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="The folder to write; a demo set already there is replaced.")],
    motions: Annotated[int, typer.Option(min=1, help="How many motions.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same motions.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write demo motions in HumanML3D's layout, with captions and with truth.jsonl: what each body part does.

    They are made by rule, so they may be used for anything, and what `kinmo annotate run` writes about
    them can be checked with `kinmo evaluate descriptions`.

    Example: [bold]kinmo data demo demo --motions 100 --seed 1[/bold]
    """
    from kinmo_annotate.sources.base import counted
    from kinmo_annotate.sources.procedural import write_demo

    with _progress("making motions", motions, as_json) as advance:
        write_demo(out, motions, seed, lambda done: advance())
    if as_json:
        print_json({"out": str(out), "motions": motions, "seed": seed})
        return
    console().print(f"{counted(motions, 'motion')} in {out}", markup=False, soft_wrap=True)
    console().print(f"next: kinmo annotate run {out} --out dataset", markup=False, soft_wrap=True)


@app.command("import")
def import_(
    src: Annotated[
        Path, typer.Argument(help="Folder or file of BVH, AMASS or arrays, or a HumanML3D folder.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder to write or to go on with.")],
    mapping: Annotated[Path | None, typer.Option(help="For BVH: YAML from its joint names to ours.")] = None,
    kind: Annotated[str | None, typer.Option(help="humanml3d, bvh, amass or arrays; else detected.")] = None,
    skip: Annotated[
        float, typer.Option(min=0, help="For BVH: seconds to leave out at the start of each file.")
    ] = 0.0,
    force: Annotated[bool, typer.Option("--force", help="Begin over where an import is already.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write motions of any kind in HumanML3D's layout: new_joints, new_joint_vecs, texts, split files.

    Skeleton, unit and up-axis of BVH files are detected and printed. What cannot be read is listed in
    failures.csv and the others go on. Ctrl-C stops after the motion in hand; the same command goes on there.

    Example: [bold]kinmo data import mocap --out motions[/bold] (for CMU's BVH files add --skip 0.11)
    """
    from kinmo_annotate.sources import open_source
    from kinmo_annotate.sources.importing import import_motions, settings_of

    source = open_source(src, mapping=mapping, kind=kind, skip_s=skip)
    _refuse_own_folder(src, out)
    for note in source.notes():
        messages().print(note, style="dim", markup=False)
    settings = settings_of(src, mapping, skip)
    with ctrl_c("motion") as stop, _progress("importing", len(source.entries()), as_json) as advance:
        summary = import_motions(
            source, out, settings=settings, advance=lambda _: advance(), stop=stop.is_set, force=force
        )
    if as_json:
        print_json(summary.as_json())
    else:
        _report(summary)
    if not summary.complete:
        warn("stopped before the end; run the same command again to go on.")
        raise typer.Exit(INTERRUPTED)
    if not summary.written + summary.kept:
        print_error(f"no motion could be imported; {out}/failures.csv says why of each.")
        raise typer.Exit(FAILED)


def _refuse_own_folder(src: Path, out: Path) -> None:
    """Keep an import from being read as motions of its own source."""
    from kinmo_annotate.schema.records import MotionError

    if out.resolve().is_relative_to(src.resolve()):
        raise MotionError(str(out), f"lies in {src}, which is being read", "Give an --out outside of it.")


def _report(summary: ImportSummary) -> None:
    """Print what was detected, what failed, and what to do next."""
    from kinmo_annotate.sources.base import counted

    show = console()
    for note, count in summary.notes.most_common():
        if note:
            show.print(f"{counted(count, 'motion')}: {note}", markup=False, soft_wrap=True)
    kept = f" ({summary.kept} from before)" if summary.kept else ""
    total = summary.written + summary.kept
    line = f"{counted(total, 'motion')} in {summary.out}{kept}, {counted(len(summary.failures), 'failure')}"
    show.print(line, markup=False, soft_wrap=True)
    _print_failures(summary)
    if total:
        show.print(f"next: kinmo annotate run {summary.out} --out dataset", markup=False, soft_wrap=True)


def _print_failures(summary: ImportSummary) -> None:
    """Print the first failures of different reasons in full: a mapping to complete keeps its lines."""
    by_reason = {failed.reason: failed for failed in reversed(summary.failures)}
    for failed in list(by_reason.values())[::-1][:_SHOWN]:
        warn(f"{failed.path}: {failed.reason}. {failed.remedy}")
    if len(by_reason) > _SHOWN:
        warn(f"and {len(by_reason) - _SHOWN} other reasons, in {summary.out}/failures.csv")


@contextmanager
def _progress(what: str, total: int, silent: bool) -> Iterator[Callable[[], None]]:
    """Show a bar with rate and time left at a terminal, nothing elsewhere; gives what moves it on."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ._progress import _rate_column

    text, left = TextColumn("{task.description}"), TimeRemainingColumn()
    columns = (text, BarColumn(), MofNCompleteColumn(), _rate_column(), left)
    shown = messages()
    with Progress(*columns, console=shown, disable=silent or not shown.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
