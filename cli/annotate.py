"""`kinmo annotate`: motions in, a dataset out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._common import FAILED, INTERRUPTED, JsonOption, console, ctrl_c, messages, print_error, print_json, warn

if TYPE_CHECKING:
    from kinmo_annotate.pipeline import Summary

app = typer.Typer(no_args_is_help=True, help="Write the sentences: motions in, a Parquet dataset out.")


class Encoder(StrEnum):
    """How texts become keyframes."""

    caption = "caption"
    sentence = "sentence"


@app.callback()
def _group() -> None:
    """Write the sentences: motions in, a Parquet dataset out."""


@app.command()
def run(
    src: Annotated[Path, typer.Argument(help="HumanML3D folder, or folder or file of BVH, AMASS or arrays.")],
    out: Annotated[Path, typer.Option("--out", help="The dataset folder to write or to go on with.")],
    captioner: Annotated[
        str, typer.Option(help="posecodes, or text2pose where it is installed.")
    ] = "posecodes",
    describer: Annotated[str, typer.Option(help="Who writes the sentences: kinematic.")] = "kinematic",
    encoder: Annotated[
        Encoder, typer.Option(help="caption: as in the paper; sentence: far faster on a CPU.")
    ] = Encoder.caption,
    sbert: Annotated[
        str | None, typer.Option("--sbert", "--sbert-model", help="sentence-transformers name or folder.")
    ] = None,
    keyframe_threshold: Annotated[
        float, typer.Option(min=-1, max=1, help="A frame less similar to the last keyframe becomes one.")
    ] = 0.8,
    keyframe_gap: Annotated[int, typer.Option(min=1, help="Frames between keyframes at least.")] = 5,
    seed: Annotated[int, typer.Option(help="Of every choice of words.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many motions.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Worker processes; 0: one per core.")] = 0,
    mapping: Annotated[Path | None, typer.Option(help="For BVH: YAML from its joint names to ours.")] = None,
    kind: Annotated[str | None, typer.Option(help="humanml3d, bvh, amass or arrays; else detected.")] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", "--cache-dir", help="Where embeddings are kept.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Begin over where a dataset is already.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Annotate every motion in SRC into a Parquet dataset: 6 group and 15 interaction sentences each.

    A motion that cannot be used is listed in failures.parquet and the others go on. Ctrl-C finishes the
    shard in hand; the same command again goes on from there, also after a crash.

    Example: [bold]kinmo annotate run HumanML3D --out dataset --encoder sentence[/bold]
    """
    from kinmo_annotate.pipeline import Settings, annotate
    from kinmo_annotate.sources import open_source

    from ._progress import watch

    settings = Settings(
        captioner=captioner,
        describer=describer,
        encoder=encoder.value,
        sbert_model=sbert,
        keyframe_threshold=keyframe_threshold,
        keyframe_gap=keyframe_gap,
        seed=seed,
        limit=limit,
        workers=workers,
        cache_dir=cache,
    )
    source = open_source(src, mapping=mapping, kind=kind)
    for note in source.notes():
        messages().print(note, style="dim", markup=False)
    with ctrl_c("shard") as interrupted, watch(messages(), silent=as_json) as progress:
        summary = annotate(source, out, settings, progress=progress, stop=interrupted.is_set, force=force)
    _report(summary, as_json)
    raise typer.Exit(_exit_code(summary))


def _report(summary: Summary, as_json: bool) -> None:
    """Print what the run did."""
    if as_json:
        print_json(summary.as_json())
    else:
        _print_tables(summary)
    if not summary.complete:
        warn(f"stopped before the end: {summary.rows} motions are safe. Run the same command again to go on.")
    elif not summary.rows:
        print_error(f"no motion could be annotated; {summary.out}/failures.parquet says why of each.")


def _exit_code(summary: Summary) -> int:
    if not summary.complete:
        return INTERRUPTED
    return 0 if summary.rows else FAILED


def _print_tables(summary: Summary) -> None:
    """Print the summary for people."""
    from rich.table import Table

    table = Table(title="Annotated" if summary.complete else "Annotated so far", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _facts(summary).items():
        table.add_row(name, value)
    console().print(table)


def _facts(summary: Summary) -> dict[str, str]:
    """Put the summary into words and numbers, a line each."""
    from rich.markup import escape

    kept = f" ({summary.kept} from before)" if summary.kept else ""
    facts = {"motions": f"{summary.rows} of {summary.asked}{kept}, {summary.frames} frames"}
    facts["failures"] = str(len(summary.failures))
    reasons = list(summary.failures_by_reason().items())
    lines = [f"{count} x {escape(reason)}" for reason, count in reasons[:8]]
    if len(reasons) > 8:
        lines.append(f"and {len(reasons) - 8} other reasons, in failures.parquet")
    if lines:
        facts["why"] = "\n".join(lines)
    facts["keyframes"] = f"{summary.keyframes_per_motion:.1f} per motion"
    busy = [f"{stage} {seconds:.1f} s" for stage, seconds in summary.seconds.items()]
    facts["work"] = ", ".join(busy) or "nothing was left to do"
    facts["time"] = f"{summary.wall_seconds:.1f} s, {summary.motions_per_s:.1f} motions a second"
    facts["dataset"] = escape(str(summary.out))
    facts["next"] = f"kinmo dataset info {escape(str(summary.out))}"
    return facts
