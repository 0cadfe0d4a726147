"""`kinmo dataset`: look into a dataset, check it, and make others from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ._common import FAILED, WRONG_USAGE, JsonOption, console, fail, print_json, warn
from ._progress import dataset_progress
from ._tables import add_row, harmless, new_table
from .dataset_checks import checks

if TYPE_CHECKING:
    from rich.table import Table

    from kinmo_annotate.dataset import Found, Info
    from kinmo_annotate.dataset.info import Spent
    from kinmo_annotate.dataset.verdicts import FactCheck, Rate
    from kinmo_annotate.schema.shards import Manifest

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Look into a dataset: info, checks, show, validate, export, join, mirror.",
)

DatasetArgument = Annotated[Path, typer.Argument(metavar="DATASET", help="Folder written by annotate run.")]
HereArgument = Annotated[
    Path, typer.Argument(metavar="[DATASET]", help="Folder written by annotate run; else this folder.")
]
OutOption = Annotated[Path, typer.Option("--out", help="The folder of the new dataset.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a dataset that is at --out already.")]

_SHOWN_PROBLEMS: Final = 50


@app.command()
def info(dataset: HereArgument = Path(), as_json: JsonOption = False) -> None:
    """Count what a dataset holds: motions, words, contradictions per group and pair, cost, failures.

    Example: [bold]kinmo dataset info dataset[/bold]
    """
    from kinmo_annotate.dataset import info as count

    found = count(dataset)
    if as_json:
        print_json(found.to_json())
        return
    for table in (_facts(dataset, found), _fields(found), _worst(found), _failures(found)):
        if table.row_count:
            console().print(table)
    if found.fact_check.total.contradicted:
        text = f"see them: kinmo dataset checks {dataset} --worst"
        console().print(harmless(text), markup=False, soft_wrap=True)


def _facts(dataset: Path, found: Info) -> Table:
    """Put the totals into words, a line each."""
    splits = ", ".join(f"{rows:,} {name}" for name, rows in found.splits.items()) or "none"
    keyframes = found.keyframes or {"mean": 0, "min": 0, "max": 0}
    facts = {
        "motions": f"{found.motions:,} ({splits})",
        "not complete": "" if found.complete else _goes_on(found),
        "length": f"{found.frames:,} frames, {found.hours:.2f} h",
        "keyframes a motion": f"{keyframes['mean']:g} on average, {keyframes['min']} to {keyframes['max']}",
        "fact check": _fact_check(found.fact_check) if found.motions else "",
        "tokens": _tokens(found.spent),
        "cost": _cost(found.spent),
        "reviews": _counts(found.reviews),
        "could not be annotated": f"{sum(found.failures.values()):,}",
        "size": f"{found.size_bytes / 1e6:,.1f} MB" + (", texts only" if found.texts_only else ""),
    }
    facts |= {name.replace("_", " "): ", ".join(values) for name, values in found.provenance.items()}
    table = new_table(str(dataset), show_header=False)
    for name, value in facts.items():
        if value:
            add_row(table, name, value)
    return table


def _goes_on(found: Info) -> str:
    """Say what goes on with a dataset that is not whole."""
    if not found.goes_on:
        return "the same `kinmo annotate run` command goes on"
    return f"its review is not at its end: `{found.goes_on}` goes on"


def _fact_check(found: FactCheck) -> str:
    """Say the fact check's totals in three lines."""
    if not found.motions_checked:
        return "no motion carries checks; `kinmo dataset checks --again` checks them now"
    total, checked = found.total, found.motions_checked
    lines = [
        f"{total.claims:,} claims: {total.supported:,} supported, {total.contradicted:,} contradicted, "
        f"{total.not_checkable:,} not checkable",
        f"{_percent(total.contradiction_rate, 2)} of what can be checked is contradicted",
        f"{found.motions_contradicted:,} of {checked:,} motions have a contradiction "
        f"({_percent(found.contradicted_share, 1)})",
    ]
    if found.motions_unchecked:
        lines.append(f"{found.motions_unchecked:,} motions carry no checks")
    if found.unknown:
        lines.append(f"{found.unknown:,} claims are not understood: see `kinmo dataset validate`")
    return "\n".join(lines)


def _tokens(spent: Spent) -> str:
    """Say how many tokens a language model read and wrote; nothing where none was asked."""
    if not spent.input_tokens:
        return ""
    read = f"{spent.input_tokens:,} read, {spent.cached_tokens:,} of them from the provider's cache"
    return f"{read}; {spent.output_tokens:,} written"


def _cost(spent: Spent) -> str:
    """Say what that cost; nothing where it cost nothing."""
    known = f"${spent.cost_usd:,.4f}" if spent.cost_usd else ""
    unknown = f"{spent.unpriced:,} motions of unknown price" if spent.unpriced else ""
    return ", and ".join(part for part in (known, unknown) if part)


def _fields(found: Info) -> Table:
    """Show how much the sentences of each field say, and how much of it holds."""
    heads = ("words", "still", "unknown", "claims", "checkable", "contradicted")
    table = new_table("Sentences", "group or pair", *(f">{head}" for head in heads))
    for name, words in found.words.items():
        said = (f"{words:.1f}", f"{found.still[name]:.0%}", f"{found.not_determined[name]:.0%}")
        add_row(table, name, *said, *_rates(found.fact_check.fields[name]))
    if table.row_count:
        table.add_section()
        add_row(table, "all", "", "", "", *_rates(found.fact_check.total))
    return table


def _rates(rate: Rate) -> tuple[str, str, str]:
    contradicted = f"{rate.contradicted:,} ({_percent(rate.contradiction_rate, 1)})"
    return f"{rate.claims:,}", _percent(rate.checkable_share, 0), contradicted


def _percent(share: float | None, digits: int) -> str:
    """Write a share; nothing to take a share of is a dash."""
    return "-" if share is None else f"{share:.{digits}%}"


def _worst(found: Info) -> Table:
    """List the motions of which most is contradicted."""
    table = new_table("Most contradicted", "motion", ">contradicted", ">claims")
    for motion in found.fact_check.worst:
        add_row(table, motion.motion_id, str(motion.contradicted), str(motion.claims))
    return table


def _failures(found: Info) -> Table:
    """List why motions failed."""
    table = new_table("Could not be annotated", "motions", "reason")
    for reason, count in found.failures.items():
        add_row(table, f"{count:,}", reason)
    return table


def _counts(counts: Mapping[str, int]) -> str:
    """Write counts by name in one line."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


app.command()(checks)


@app.command()
def show(
    names: Annotated[
        list[str],
        typer.Argument(metavar="[DATASET] ID", help="Dataset folder (else this one) and motion id."),
    ],
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Draw keyframes and sentences as a .png.")
    ] = None,
    film: Annotated[Path | None, typer.Option("--film", help="Film the motion as a .gif or .mp4.")] = None,
    bvh: Annotated[Path | None, typer.Option("--bvh", help="Write the motion for Blender as a .bvh.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show one motion: its captions, its 21 sentences, its keyframes; as a picture, a film or BVH too.

    Example: [bold]kinmo dataset show dataset 000021 --picture sheet.png --film motion.gif[/bold]
    """
    from kinmo_annotate.dataset import find

    if len(names) > 2:
        fail("show takes a dataset and one id", "Try `kinmo dataset show DATASET ID`.", WRONG_USAGE)
    dataset, motion_id = (Path(), names[0]) if len(names) == 1 else (Path(names[0]), names[1])
    found = find(dataset, motion_id)
    written = _draw(found, dataset, picture, film, bvh)
    if as_json:
        print_json({"split": found.split, **found.record, "written": [str(path) for path in written]})
        return
    _print_motion(found)
    for path in written:
        console().print(f"wrote {path}", markup=False)


def _draw(
    found: Found, dataset: Path, picture: Path | None, film: Path | None, bvh: Path | None
) -> list[Path]:
    """Write what was asked for."""
    wanted = [path for path in (picture, film, bvh) if path is not None]
    if not wanted:
        return []
    from kinmo_annotate.motion_out import MotionOut, write_motion
    from kinmo_annotate.render.film import FILM_SUFFIXES
    from kinmo_annotate.render.paper import check_suffix
    from kinmo_annotate.render.sheet import SHEET_SUFFIXES

    endings = {
        "a picture": (picture, SHEET_SUFFIXES),
        "a film": (film, FILM_SUFFIXES),
        "BVH": (bvh, (".bvh",)),
    }
    for what, (path, known) in endings.items():
        if path is not None:
            check_suffix(path, known, what)
    record, joints = found.record, found.joints
    if joints is None:
        reason = f"{dataset} carries texts only, so there is no motion to draw"
        fail(reason, "Put your own copy of the motions back with `kinmo dataset join`.")
    sentences = {**record["groups"], **record["interactions"]}
    name, text = record["motion_id"], _title(found)
    motion = MotionOut(joints, record["fps"], name, text, _keyframes(found), sentences)
    for path in wanted:
        write_motion(motion, path)
    return wanted


def _keyframes(found: Found) -> list[Any]:
    from kinmo_annotate.schema.records import Keyframe

    return [Keyframe(**keyframe) for keyframe in found.record["keyframes"]]


def _title(found: Found) -> str:
    """Name a motion by the first thing that was said of it."""
    captions = found.record["captions"]
    return captions[0]["text"] if captions else ""


def _print_motion(found: Found) -> None:
    """Print one motion for people."""
    record = found.record
    fps, source = record["fps"], record["source"]
    table = new_table(record["motion_id"], show_header=False)
    seconds = record["num_frames"] / fps
    add_row(table, "length", f"{seconds:.2f} s, {record['num_frames']} frames at {fps:g} fps, {found.split}")
    add_row(table, "source", f"{source['dataset']}: {source['path']}")
    for caption in record["captions"]:
        add_row(table, "caption", caption["text"])
    console().print(table)
    for title, column in (("Groups", "groups"), ("Pairs", "interactions")):
        table = new_table(title, show_header=False)
        for name, text in record[column].items():
            add_row(table, name.replace("__", " + ").replace("_", " "), text)
        console().print(table)
    table = new_table("Keyframes", "time", "frame", "similarity", "pose caption")
    for keyframe in record["keyframes"]:
        time = f"{keyframe['frame'] / fps:.2f} s"
        add_row(table, time, str(keyframe["frame"]), f"{keyframe['similarity']:.2f}", keyframe["caption"])
    console().print(table)
    _print_checks(record)


def _print_checks(record: Mapping[str, Any]) -> None:
    """Print the fact check, where there is one."""
    if not record["checks"]:
        return
    table = new_table("Fact check", "group or pair", "claim", "verdict")
    for check in record["checks"]:
        add_row(table, check["field"], check["claim"], check["verdict"])
    console().print(table)


@app.command()
def validate(dataset: HereArgument = Path(), as_json: JsonOption = False) -> None:
    """Check that a dataset is whole and sound: files, digests, columns, and every row. Exit code 1 if not.

    Example: [bold]kinmo dataset validate dataset[/bold]
    """
    from dataclasses import asdict

    from kinmo_annotate.dataset import validate as check
    from kinmo_annotate.schema.shards import Manifest

    problems = check(dataset)
    manifest = Manifest.load(dataset)
    if as_json:
        print_json(
            {
                "valid": not problems,
                "rows": manifest.rows,
                "failures": manifest.failures,
                "problems": [asdict(problem) for problem in problems],
            }
        )
    elif problems:
        for problem in problems[:_SHOWN_PROBLEMS]:
            console().print(harmless(str(problem)), markup=False, soft_wrap=True)
        more = len(problems) - _SHOWN_PROBLEMS
        tail = f", {more} of them not shown (--json lists all)" if more > 0 else ""
        console().print(f"{dataset}: {len(problems)} problems{tail}", style="bold red", markup=False)
    else:
        parts = f"{manifest.rows:,} motions in {len(manifest.shards)} shards, {manifest.failures:,} failures"
        console().print(f"{dataset}: sound. {parts}.", style="green", markup=False, soft_wrap=True)
    if problems:
        raise typer.Exit(FAILED)


@app.command()
def export(
    dataset: DatasetArgument,
    out: OutOption,
    texts_only: Annotated[bool, typer.Option("--texts-only", help="Leave the motions out.")] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a copy without motions, to share texts where the motions' licence forbids passing them on.

    Example: [bold]kinmo dataset export dataset --texts-only --out texts[/bold]
    """
    from kinmo_annotate.dataset import export_texts

    if not texts_only:
        remedy = "Add --texts-only; a copy with its motions is a plain copy of the folder."
        fail("export writes texts without motions", remedy, WRONG_USAGE)
    with dataset_progress(dataset, as_json) as tick:
        manifest = export_texts(dataset, out, force=force, progress=tick)
    _report(manifest, out, as_json)


@app.command()
def join(
    dataset: Annotated[Path, typer.Argument(metavar="TEXTS", help="Dataset that export --texts-only wrote.")],
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Your own copy of the motions.")],
    out: OutOption,
    mapping: Annotated[Path | None, typer.Option(help="For BVH: YAML from its joint names to ours.")] = None,
    kind: Annotated[str | None, typer.Option(help="humanml3d, bvh, amass or arrays; else detected.")] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put the motions of your own copy back into a texts-only dataset. Exit code 1 if some are missing.

    Example: [bold]kinmo dataset join texts HumanML3D --out dataset[/bold]
    """
    from kinmo_annotate.dataset import join as put_back

    with dataset_progress(dataset, as_json) as tick:
        manifest, missing = put_back(
            dataset, source, out, mapping=mapping, kind=kind, force=force, progress=tick
        )
    _report(manifest, out, as_json, missing=[failure.motion_id for failure in missing])
    if missing:
        first = missing[0]
        warn(f"{len(missing)} motions are not in {out}; its failures.parquet says why of each.")
        warn(f"the first: {first.motion_id}: {first.reason}. {first.remedy}")
        raise typer.Exit(FAILED)


@app.command()
def mirror(
    dataset: DatasetArgument, out: OutOption, force: ForceOption = False, as_json: JsonOption = False
) -> None:
    """Write a copy with left and right exchanged, in the motions and in every text; ids get an M in front.

    Example: [bold]kinmo dataset mirror dataset --out mirrored[/bold]
    """
    from kinmo_annotate.dataset import mirror as turn

    with dataset_progress(dataset, as_json) as tick:
        manifest = turn(dataset, out, force=force, progress=tick)
    _report(manifest, out, as_json)


def _report(manifest: Manifest, out: Path, as_json: bool, **more: Any) -> None:
    """Say what was written."""
    if as_json:
        print_json({"out": str(out), "rows": manifest.rows, "failures": manifest.failures, **more})
        return
    console().print(f"wrote {manifest.rows:,} motions to {out}", markup=False, soft_wrap=True)
