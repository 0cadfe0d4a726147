"""`kinmo generate`: motions from text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from ._common import WRONG_USAGE, JsonOption, console, fail, print_json
from ._progress import stages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kinmo_models.generation.config import SamplingConfig
    from kinmo_models.generation.generator import Generated, Generator, Prompt

    from ._prompts import Prompt as Asked

app = typer.Typer(add_completion=False)

Write: TypeAlias = Callable[..., list[Path]]  # the next motion, with what is said of it

FieldsOption = Annotated[
    Path | None, typer.Option("--fields", help="YAML with sentences by group or pair, any left empty.")
]
LevelOption = Annotated[
    str | None, typer.Option(help="G: the caption alone; GJ: and the groups; GJI: and the pairs.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="The same seed gives the same motion.")]
FeaturesOption = Annotated[
    bool, typer.Option("--features", help=".npy holds HumanML3D's 263 numbers a frame, not joints.")
]
SamplingOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting of sampling, such as guidance=3."),
]

_AT_ONCE: Final = 32  # motions written in one go, between two tellings
_SHOWN: Final = 20  # lines


@app.command()
def generate(
    prompt: Annotated[
        str | None,
        typer.Argument(help="What the person does; a file of prompts (.txt, .jsonl, .yaml); or - for stdin."),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="What `kinmo train generator` wrote, or a name on the hub.")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="clip.mp4, .gif, .png (a sheet), .npy (joints) or .bvh; of several motions a folder.",
        ),
    ] = None,
    row: Annotated[
        tuple[Path, str] | None,
        typer.Option("--row", metavar="DATASET ID", help="Ask with the words and the length of a row."),
    ] = None,
    fields: FieldsOption = None,
    reasoner: Annotated[
        str | None,
        typer.Option(help="What `kinmo train reasoner` wrote: writes the sentences that are not given."),
    ] = None,
    level: LevelOption = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.2, help="Length; else as the text says, else guessed.")
    ] = None,
    seed: SeedOption = 0,
    count: Annotated[int, typer.Option(min=1, help="Motions of each prompt, with seeds that follow.")] = 1,
    kind: Annotated[
        list[str] | None,
        typer.Option("--as", help="In a folder: npy, mp4, gif, png, bvh; repeatable. Default: npy, gif."),
    ] = None,
    features: FeaturesOption = False,
    clean_feet: Annotated[
        bool, typer.Option("--clean-feet", help="Hold feet still while they stand on the floor.")
    ] = False,
    sets: SamplingOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the motions of a folder.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write motions from text.

    Example: [bold]kinmo generate "a person waves with the left hand" --model run --out clip.mp4[/bold]

    With finer texts by a reasoner: [bold]kinmo generate "a person walks" --reasoner R ...[/bold]

    With your own: [bold]kinmo generate "a person walks" --fields finer.yaml --level GJI ...[/bold]

    Many, in one go: [bold]kinmo generate prompts.txt --model run --out folder --count 4[/bold]
    Stopped on the way, the same command goes on with the folder.
    """
    from kinmo_models.generation.generator import Generator, with_seeds

    if not model or out is None:
        fail("name the model and what to write", "Add --model RUN --out clip.mp4.", WRONG_USAGE)
    if features and clean_feet:
        fail("--clean-feet mends joints, not features", "Leave out one of both.", WRONG_USAGE)
    asked = read_asked(prompt, row, fields, seconds)
    if reasoner is not None:
        from ._reasoning import complete

        asked = complete(asked, reasoner, seed, as_json)
    single = len(asked) * count == 1 and bool(out.suffix)
    suffixes = (out.suffix,) if single else tuple(f".{one.lstrip('.')}" for one in kind or ("npy", "gif"))
    check_suffixes(out, suffixes, single)
    opened = Generator.from_pretrained(model)
    prompts = with_seeds([with_seed(one, seed) for one in asked], count)
    check_asked(opened, prompts, level)
    sampling = read_sampling(opened, sets or [])
    written: list[dict[str, Any]] = []
    if single:
        add = writer_to(out)
    else:
        asked_alike = (opened.fingerprint, level, sampling, suffixes, features, clean_feet)
        add, written = _series(out, suffixes, [_recipe(one, asked_alike) for one in prompts], force)
    with stages(as_json) as told:
        for start in range(len(written), len(prompts), _AT_ONCE):
            for motion in opened.generate(prompts[start : start + _AT_ONCE], level=level, sampling=sampling):
                written.append(write_out(motion, add, features=features, clean_feet=clean_feet))
                told("motions", len(written), len(prompts))
    _tell(written, opened, as_json)


def read_asked(
    prompt: str | None, row: tuple[Path, str] | None, fields: Path | None, seconds: float | None
) -> list[Asked]:
    """Read what is to be generated."""
    from ._prompts import from_row, read_fields, read_prompts

    if (prompt is None) == (row is None):
        remedy = 'Such as: kinmo generate "a person waves" --model run --out clip.mp4.'
        fail("give a prompt, or --row DATASET ID", remedy, WRONG_USAGE)
    asked = read_prompts(prompt) if prompt is not None else [from_row(*row)] if row else []
    if fields is not None:
        said = read_fields(fields)
        asked = [replace(one, fields={**one.fields, **said}) for one in asked]
    return [replace(one, seconds=seconds) for one in asked] if seconds is not None else asked


def with_seed(asked: Asked, seed: int) -> Prompt:
    """Ask a generator, with the seed that a prompt has or else with this one."""
    from kinmo_models.generation.generator import Prompt

    return Prompt(asked.caption, asked.fields, asked.seconds, seed if asked.seed is None else asked.seed)


def check_suffixes(out: Path, suffixes: tuple[str, ...], single: bool) -> None:
    """Refuse what cannot be written before a model is loaded."""
    from kinmo_annotate.motion_out import MOTION_SUFFIXES, check_path

    for suffix in suffixes:
        check_path(out if single else out / f"motion{suffix}")
    if not single and out.suffix in MOTION_SUFFIXES:
        fail(f"{out}: several motions do not fit into a file", "Name a folder.", WRONG_USAGE)


def check_asked(model: Generator, prompts: list[Prompt], level: str | None) -> None:
    """Refuse what the model cannot do, before any motion is written."""
    check_levels([level] if level else [], model.levels)
    longest = max((one.seconds or 0.0 for one in prompts), default=0.0)
    if longest > model.most_seconds:
        reason = f"a motion of {longest:g} s is asked for; this model writes up to {model.most_seconds:g} s"
        fail(reason, f"Ask for less with --seconds {model.most_seconds:g}.", WRONG_USAGE)


def check_levels(asked: Sequence[str], known: Sequence[str]) -> None:
    """Refuse levels of text that a model does not have."""
    for level in asked:
        if level not in known:
            reason = f"this model knows the levels {', '.join(known)}, not {level}"
            fail(reason, "Choose another --level.", WRONG_USAGE)


def read_sampling(model: Generator, sets: list[str]) -> SamplingConfig:
    """Give the model's settings of sampling with those of the command line laid over them."""
    from kinmo_models.generation.config import SamplingConfig
    from kinmo_models.training.config import plain, resolve

    return resolve(SamplingConfig, plain(model.config.sampling), sets)


def writer_to(out: Path) -> Write:
    """Give what writes a motion into one file."""
    from kinmo_annotate.motion_out import MotionOut, write_motion

    def write(motion: MotionOut, **_: object) -> list[Path]:
        write_motion(motion, out)
        return [out]

    return write


def _recipe(prompt: Prompt, asked_alike: tuple[object, ...]) -> str:
    """Name all that a motion is made from by one word."""
    return blake2b(repr((prompt, asked_alike)).encode(), digest_size=16).hexdigest()


def _series(
    folder: Path, suffixes: tuple[str, ...], recipes: list[str], force: bool
) -> tuple[Write, list[dict[str, Any]]]:
    """Give what writes the next motion of a numbered series, and what is there already."""
    from kinmo_annotate.motion_out import MotionSeries

    series = MotionSeries(folder, suffixes, recipes=recipes, force=force)
    return series.add, [_facts(line, series.files(line), line["length"]) for line in series.found]


def _facts(said: Mapping[str, Any], files: Sequence[Path], frames: int) -> dict[str, Any]:
    """Say what a motion is, and where."""
    from kinmo_annotate.schema.skeleton import FPS

    known = {key: said[key] for key in ("prompt", "seed", "level")}
    return {**known, "seconds": frames / FPS, "files": [str(path) for path in files]}


def write_out(
    motion: Generated,
    add: Write,
    *,
    features: bool = False,
    clean_feet: bool = False,
    wanted: NDArray[np.floating] | None = None,
) -> dict[str, Any]:
    """Write a motion, drawn with where its joints were to be; say what it is and where."""
    from kinmo_annotate.foot_contacts import clean_feet as cleaned
    from kinmo_annotate.motion_out import MotionOut

    prompt = motion.prompt
    facts = {"seed": prompt.seed, "level": motion.level}
    shown = MotionOut(
        cleaned(motion.joints).joints if clean_feet else motion.joints,
        text=prompt.caption,
        sentences=dict(prompt.fields or {}),
        features=motion.features if features else None,
        wanted=wanted,
    )
    return _facts({"prompt": prompt.caption, **facts}, add(shown, **facts), len(motion.joints))


def _tell(written: list[dict[str, Any]], model: Generator, as_json: bool) -> None:
    """Say what was written, and what the model knows."""
    if as_json:
        print_json({"motions": written, "model": model.meta})
        return
    for one in written[:_SHOWN]:
        text = f"{', '.join(one['files'])}: {one['seconds']:g} s, level {one['level']}, seed {one['seed']}"
        console().print(text, markup=False, soft_wrap=True)
    if len(written) > _SHOWN:
        console().print(f"... and {len(written) - _SHOWN} more", markup=False)
    console().print(f"next: kinmo play {written[0]['files'][0]}", markup=False, soft_wrap=True)
