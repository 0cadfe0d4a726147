"""`kinmo control`: a motion from text whose joints follow a path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ._common import WRONG_USAGE, JsonOption, console, fail, print_json, warn
from ._progress import stages
from .generate import (
    FeaturesOption,
    FieldsOption,
    LevelOption,
    SamplingOption,
    SeedOption,
    check_asked,
    check_suffixes,
    read_asked,
    read_sampling,
    with_seed,
    write_out,
    writer_to,
)

if TYPE_CHECKING:
    from kinmo_models.control.controller import Controller
    from kinmo_models.control.paths import JointPath
    from kinmo_models.control.points import GivenPath
    from kinmo_models.generation.generator import Generated

app = typer.Typer(add_completion=False)

_NOTE: Final = "Metres, y up, 20 frames a second; a motion starts at x 0, z 0 and faces +z, its left at +x."


@app.command()
def control(
    prompt: Annotated[str | None, typer.Argument(help="What the person does.")] = None,
    model: Annotated[
        str, typer.Option("--model", help="What `kinmo train control` wrote, or a name on the hub.")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="clip.mp4, .gif, .png (a sheet), .npy (joints) or .bvh."),
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option(
            "--path", help=".csv with frame,joint,x,y,z, or .npy (T, 22, 3) with NaN where joints are free."
        ),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            "--at", metavar="POINT", help='A point, such as "0.5s left_wrist 0.2 1.4 0.3"; repeatable.'
        ),
    ] = None,
    relative: Annotated[
        bool, typer.Option("--relative", help="Move the path so that it starts at the origin.")
    ] = False,
    refine: Annotated[
        int, typer.Option(min=0, help="Passes of optimisation that bring the joints onto the path.")
    ] = 0,
    fields: FieldsOption = None,
    level: LevelOption = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.2, help="Length; else as the text says, else that of the path.")
    ] = None,
    seed: SeedOption = 0,
    features: FeaturesOption = False,
    sets: SamplingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a motion from text whose joints follow a path.

    Example: [bold]kinmo control "a person walks" --path walk.csv --model led --out clip.mp4[/bold]

    Nearer to the path: [bold]... --refine 100[/bold]

    A few points: [bold]kinmo control "a person waves" --at "1s left_wrist 0.4 1.6 0.2" --seconds 3 ...[/bold]

    Metres, y up, 20 frames a second; a motion starts at x 0, z 0 and faces +z, its left at +x.
    """
    from kinmo_annotate.schema.skeleton import FPS
    from kinmo_models.control.controller import Controller

    if not model or out is None:
        fail("name the model and what to write", "Add --model RUN --out clip.mp4.", WRONG_USAGE)
    if not out.suffix:
        fail(f"{out}: has no ending", "Name a file such as clip.mp4.", WRONG_USAGE)
    check_suffixes(out, (out.suffix,), True)
    if prompt is None:
        fail("give a prompt", f'Such as: kinmo control "a person walks" --out {out} ...', WRONG_USAGE)
    asked = read_asked(prompt, None, fields, seconds)
    if len(asked) != 1:
        fail(f"{prompt}: holds {len(asked)} prompts", "A path is of one motion: give one.", WRONG_USAGE)
    given = _read_path(path, at or [], asked[0].seconds, relative)
    opened = Controller.from_pretrained(model)
    wanted = given.path
    one = with_seed(replace(asked[0], seconds=len(wanted) / FPS), seed)
    check_asked(opened.generator, [one], level)
    sampling = read_sampling(opened.generator, sets or [])
    with stages(as_json) as told:
        (motion,) = opened.generate(
            [one],
            [wanted],
            level=level,
            refine=refine,
            sampling=sampling,
            progress=lambda done, total: told("refinement", done, total),
        )
    facts = write_out(motion, writer_to(out), features=features, wanted=wanted.wanted)
    _tell(facts, motion, wanted, opened, refine, as_json)


def _read_path(path: Path | None, at: list[str], seconds: float | None, relative: bool) -> GivenPath:
    """Read the points that are asked for, and warn of what nobody can do."""
    from kinmo_annotate.schema.skeleton import FPS
    from kinmo_models.control.points import gather, point_of, read_points
    from kinmo_models.tokenizer.config import UNIT

    if path is None and not at:
        remedy = 'Add --path FILE, or --at "0.5s left_wrist 0.2 1.4 0.3".'
        fail("no path is given", f"{remedy} {_NOTE}", WRONG_USAGE)
    points = [*(read_points(path) if path is not None else ()), *map(point_of, at)]
    frames = None if seconds is None else max(1, round(seconds * FPS / UNIT)) * UNIT
    given = gather(points, frames)
    if relative:
        given = given.relative()
    for text in given.warnings():
        warn(text)
    return given


def _tell(
    facts: dict[str, Any],
    motion: Generated,
    path: JointPath,
    model: Controller,
    refine: int,
    as_json: bool,
) -> None:
    """Say what was written, and how near it came to the path."""
    from kinmo_models.metrics.control import distances

    far = distances(motion.joints, path.positions, path.held)
    errors = {
        "points": path.points,
        "average_error_m": float(far.mean()),
        "largest_error_m": float(far.max()),
        "passes": {"forward": model.decodes + 1, "refinement": refine},
    }
    if as_json:
        print_json({**facts, **errors, "model": model.meta})
        return
    console().print(
        f"{facts['files'][0]}: {facts['seconds']:g} s, level {facts['level']}, seed {facts['seed']}",
        markup=False,
        soft_wrap=True,
    )
    near = f"{errors['average_error_m'] * 100:.1f} cm from the path on average"
    most = f"{errors['largest_error_m'] * 100:.1f} cm at most"
    console().print(f"{near}, {most}, over {path.points} points", markup=False)
    if not refine and errors["average_error_m"] > 0.02:
        console().print("nearer: add --refine 100", markup=False)
