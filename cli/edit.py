"""`kinmo edit`: a motion under other texts, in a span of time, or in some joint groups."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._common import WRONG_USAGE, JsonOption, console, fail, print_json, warn
from ._edits import Asked, Texts, check_usage, held_groups, open_source, read_texts
from .generate import check_levels, read_sampling

if TYPE_CHECKING:
    from kinmo_models.editing.canvas import Canvas
    from kinmo_models.editing.editor import Edited
    from kinmo_models.generation.generator import Generator

    from ._edits import Opened

app = typer.Typer(add_completion=False)

_TIME, _TEXT = "Where in time", "What it shall do"


@app.command()
def edit(
    source: Annotated[
        Path | None, typer.Argument(metavar="[SRC]", help="A motion: .bvh, .npy or .npz.")
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="What `kinmo train generator` wrote, or a name on the hub.")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="clip.mp4, .gif, .png (a sheet), .npy (joints) or .bvh."),
    ] = None,
    row: Annotated[
        tuple[Path, str] | None,
        typer.Option("--row", metavar="DATASET ID", help="Edit a row of a dataset; its texts are known."),
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="For BVH files: YAML from their joint names to ours.")
    ] = None,
    prompt: Annotated[
        str, typer.Option("--prompt", help="What the person shall do.", rich_help_panel=_TEXT)
    ] = "",
    fields: Annotated[
        Path | None,
        typer.Option("--fields", help="YAML with sentences by group or pair.", rich_help_panel=_TEXT),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            "--field",
            metavar="NAME=SENTENCE",
            help='One sentence, such as left_arm="The left arm waves."; repeatable.',
            rich_help_panel=_TEXT,
        ),
    ] = None,
    instruction: Annotated[
        str,
        typer.Option("--instruction", help='Such as "raise the left hand".', rich_help_panel=_TEXT),
    ] = "",
    reasoner: Annotated[
        str,
        typer.Option(
            "--reasoner",
            help="What `kinmo train reasoner` wrote: carries out --instruction.",
            rich_help_panel=_TEXT,
        ),
    ] = "",
    hold: Annotated[
        str,
        typer.Option(
            "--hold",
            help="Groups that stay as they are, commas between; others: all whose sentences do not change.",
            rich_help_panel=_TEXT,
        ),
    ] = "",
    start: Annotated[
        float | None,
        typer.Option("--from", min=0, help="Seconds: write from here anew.", rich_help_panel=_TIME),
    ] = None,
    end: Annotated[
        float | None, typer.Option("--to", min=0, help="Seconds: up to here.", rich_help_panel=_TIME)
    ] = None,
    prepend: Annotated[
        str, typer.Option("--prepend", help="What the person does before.", rich_help_panel=_TIME)
    ] = "",
    append: Annotated[
        str, typer.Option("--append", help="What the person does afterwards.", rich_help_panel=_TIME)
    ] = "",
    blend: Annotated[
        Path | None,
        typer.Option(
            "--blend", help="A motion that follows; the way to it is written.", rich_help_panel=_TIME
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds",
            min=0.2,
            help="Length of what is prepended, appended (2) or lies between (1).",
            rich_help_panel=_TIME,
        ),
    ] = None,
    level: Annotated[
        str | None, typer.Option(help="G: the prompt alone; GJ: and the groups; GJI: and the pairs.")
    ] = None,
    tries: Annotated[int, typer.Option(min=1, help="Attempts; the one most like its texts is kept.")] = 1,
    refine: Annotated[
        int, typer.Option("--refine", min=0, help="Decoder passes of control with --hold.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same motion.")] = 0,
    compare: Annotated[
        Path | None,
        typer.Option("--compare", help="Source and result side by side: .png (a sheet), .gif or .mp4."),
    ] = None,
    features: Annotated[
        bool, typer.Option("--features", help=".npy holds HumanML3D's 263 numbers a frame, not joints.")
    ] = False,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting of sampling, such as guidance=3."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Change a motion: under other texts, in a span of time, or in some of its joint groups.

    A span: [bold]kinmo edit walk.bvh --from 1 --to 2.5 --prompt "a person jumps" --model run --out
    new.mp4[/bold]

    A group: [bold]kinmo edit walk.bvh --prompt "a person waves with the left hand"
    --field left_arm="The left arm waves." --hold others --model run --out new.bvh --compare both.gif[/bold]
    """
    asked = Asked(source, row, (start, end), prepend, append, blend, seconds)
    said = Texts(prompt or prepend or append, fields, tuple(field or ()), instruction, reasoner)
    out = check_usage(asked, said, model, out, hold, refine, prompt)
    _check_paths(out, compare)
    from kinmo_models.generation.generator import Generator

    opened = open_source(asked, mapping)
    generator = Generator.from_pretrained(model)
    check_levels([level] if level else [], generator.levels)
    texts = read_texts(said, opened)
    held = held_groups(hold, texts)
    if held and instruction:  # the edited caption tells of the held groups too, which come from the source
        texts = replace(texts, prompt=instruction)
    canvas = _canvas(asked, opened, generator, mapping)
    found = _edit(canvas, texts, held, seed, generator, level, tries, refine, sets or [])
    written = _written(found, out, compare, features, opened)
    if as_json:
        print_json({**written, "model": generator.meta})
        return
    _tell(written, opened, out)


def _check_paths(out: Path, compare: Path | None) -> None:
    """Refuse what cannot be written before a model is loaded."""
    from kinmo_annotate.motion_out import check_path
    from kinmo_annotate.render.film import FILM_SUFFIXES
    from kinmo_annotate.render.paper import check_suffix
    from kinmo_annotate.render.sheet import SHEET_SUFFIXES

    check_path(out)
    if compare is not None:
        check_suffix(compare, (*SHEET_SUFFIXES, *FILM_SUFFIXES), "a comparison")
        check_path(compare)


def _canvas(asked: Asked, opened: Opened, generator: Generator, mapping: Path | None) -> Canvas:
    """Say what is to be written of the motion.

    Raises:
        MotionError: the motion is too short, or the span does not lie in it.
    """
    from kinmo_models.editing import canvas as of

    coder = generator.tokenizer
    source = of.open_canvas(coder, opened.features, opened.name)
    if asked.blend is not None:
        other = open_source(Asked(asked.blend), mapping)
        second = of.open_canvas(coder, other.features, other.name)
        return of.between(source, second, asked.seconds or 1.0)
    if asked.prepend:
        return of.before(source, asked.seconds or 2.0)
    if asked.append:
        return of.after(source, asked.seconds or 2.0)
    start, end = asked.span
    if start is None and end is None:
        return of.all_of(source)
    return of.within(source, start or 0.0, source.seconds if end is None else end)


def _edit(
    canvas: Canvas,
    texts: Texts,
    held: tuple[str, ...],
    seed: int,
    generator: Generator,
    level: str | None,
    tries: int,
    refine: int,
    sets: list[str],
) -> Edited:
    """Carry the edit out."""
    from kinmo_models.editing.editor import Edit, Editor
    from kinmo_models.generation.generator import Prompt

    asked = Edit(canvas, Prompt(texts.prompt, texts.sentences, seed=seed), held)
    editor = Editor(generator)
    if tries > 1 and editor.retriever is None:
        reason = "this generator carries no retrieval model to choose among several tries with"
        fail(reason, "Leave --tries out, or train one with --text RUN.", WRONG_USAGE)
    sampling = read_sampling(generator, sets)
    try:
        return editor.edit([asked], level=level, tries=tries, steps=refine, sampling=sampling)[0]
    except ValueError as error:  # a prompt that holds nothing at this level
        fail(str(error), "Say what shall happen with --prompt or --field.", WRONG_USAGE)


def _written(
    found: Edited, out: Path, compare: Path | None, features: bool, opened: Opened
) -> dict[str, Any]:
    """Write the motion; say what it is, where, and how far the edit reached."""
    from kinmo_annotate.motion_out import MotionOut, write_motion
    from kinmo_annotate.schema.skeleton import FPS
    from kinmo_models.editing.evaluate import moved_outside
    from kinmo_models.editing.measure import seam_jump

    edit = found.edit
    sentences = dict(edit.prompt.fields or {})
    shown = MotionOut(found.joints, text=edit.prompt.caption, sentences=sentences)
    write_motion(replace(shown, features=found.features if features else None), out)
    if compare is not None:
        _compare(found, compare, opened)
    moved, jump = moved_outside(found), seam_jump(edit.canvas, found.joints)
    return {
        "source": opened.name,
        "prompt": edit.prompt.caption,
        "fields": sentences,
        "held": list(edit.held),
        "level": found.level,
        "seed": found.seed,
        "seconds": len(found.joints) / FPS,
        "written_tokens": int(edit.canvas.editable.sum()),
        "tokens": len(edit.canvas.tokens),
        "moved_outside_mm": None if moved is None else round(1000 * moved, 2),
        "seam_jump": None if jump is None else round(jump, 3),
        "files": [str(one) for one in (out, compare) if one is not None],
    }


def _compare(found: Edited, path: Path, opened: Opened) -> None:
    """Show source and result side by side; what was written anew is shaded on a sheet."""
    from kinmo_annotate.render import Compared, comparison
    from kinmo_annotate.schema.features import features_to_joints

    before = Compared(features_to_joints(opened.features), f"source: {opened.caption or opened.name}")
    text = found.edit.prompt.caption or "; ".join((found.edit.prompt.fields or {}).values())
    comparison([before, Compared(found.joints, f"edited: {text}", found.edit.canvas.edited)], path)


def _tell(written: dict[str, Any], opened: Opened, out: Path) -> None:
    """Say what was written, and how far the edit reached."""
    from kinmo_models.editing.measure import MOST_JUMP

    counts = f"{written['written_tokens']} of {written['tokens']} tokens written"
    lines = [
        f"{', '.join(written['files'])}: {written['seconds']:g} s, level {written['level']}, {counts}, "
        f"seed {written['seed']}"
    ]
    if written["moved_outside_mm"] is not None:
        where = "held joints" if written["held"] else "joints outside, in the frame of the root,"
        lines.append(f"{where} moved {written['moved_outside_mm']:g} mm on average")
    if opened.path is not None:
        lines.append(f"next: kinmo play {opened.path} {out}")
    else:
        lines.append(f"next: kinmo play {out}")
    for line in lines:
        console().print(line, markup=False, soft_wrap=True)
    jump = written["seam_jump"]
    if jump is not None and jump > MOST_JUMP:
        warn(f"velocity jumps {jump:.1f} times as far at a seam as anywhere else: try another --seed.")
