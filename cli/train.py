"""`kinmo train`: train models on a dataset."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._common import INTERRUPTED, JsonOption, console, messages, print_json, warn
from ._progress import stages

if TYPE_CHECKING:
    from kinmo_models.training.loop import Outcome

_HELP = """Train models on a dataset.

A training writes a folder: the best and the last checkpoint, losses, TensorBoard, a report. The same command
again goes on where it was, after Ctrl-C as after a crash.
"""
app = typer.Typer(no_args_is_help=True, help=_HELP)

DatasetArgument = Annotated[Path | None, typer.Argument(help="The folder that annotate run wrote.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="The folder of the training, to write or to go on with.")
]
ConfigOption = Annotated[
    str, typer.Option("--config", help="tiny, base, or a YAML file of what differs from base.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as training.epochs=20; repeatable."),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume/--force", help="Go on with what is in --out, or begin over.")
]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", "--cache-dir", help="Where features and token features are kept between runs."),
]
PrintOption = Annotated[
    bool, typer.Option("--print-config", help="Print all settings as YAML, and train nothing.")
]


@app.callback()
def group() -> None:
    """Train models on a dataset."""


def _add(name: str, what: str, for_whom: str) -> None:
    """Add the command that trains the models of a room.

    Args:
        name: of the room; its config.py has load_config, its train.py has train_NAME.
        what: the first sentence of the help.
        for_whom: what base and tiny are for.
    """

    def train(
        dataset: DatasetArgument = None,
        out: OutOption = None,
        config: ConfigOption = "base",
        sets: SetOption = None,
        resume: ResumeOption = True,
        cache: CacheOption = None,
        print_config: PrintOption = False,
        as_json: JsonOption = False,
    ) -> None:
        asked = _Asked(name, dataset, out, config, sets, resume, cache, print_config, as_json)
        _train(asked, f"kinmo evaluate {name} {out} {dataset}")

    app.command(name, help=_PAGE.format(name=name, what=what, for_whom=for_whom))(train)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a command that trains was given."""

    name: str  # of the room
    dataset: Path | None
    out: Path | None
    config: str
    sets: list[str] | None
    resume: bool
    cache: Path | None
    print_config: bool
    as_json: bool


def _train(asked: _Asked, next_command: str, more: Callable[[], dict[str, Any]] = dict) -> None:
    """Train the model of a room; `more` gives what its train_NAME wants beside what all want."""
    from kinmo_models.training.config import to_yaml

    name = asked.name
    settings = import_module(f"kinmo_models.{name}.config").load_config(asked.config, asked.sets or [])
    if asked.print_config:
        console().print(to_yaml(settings), markup=False, soft_wrap=True, end="")
        return
    dataset, out = _needed(name, asked.dataset, asked.out)
    given = more()
    train_model = getattr(import_module(f"kinmo_models.{name}.train"), f"train_{name}")
    silent = asked.as_json or not _first_process()
    with stages(silent) as told:
        outcome = train_model(
            dataset,
            out,
            config=settings,
            resume=asked.resume,
            cache_dir=asked.cache,
            progress=told,
            console=None if silent else messages(),
            **given,
        )
    _finish(outcome, asked.as_json, next_command)


_PAGE = """{what}

{for_whom}

Example: [bold]kinmo train {name} dataset --out run --config tiny --set training.epochs=20[/bold]

Several processes share each batch, one for each GPU, or on CPUs as many as you ask for:

Example: accelerate launch --multi_gpu --num_processes 2 -m kinmo_cli train {name} D --out run

All settings and their values: [bold]kinmo train {name} --config tiny --print-config[/bold]
"""
_add(
    "retrieval",
    "Train the model that finds motions by text: what kinmo index and kinmo search work with.",
    "base has the paper's sizes and wants a GPU; tiny learns something real on two CPU cores in minutes.",
)
_add(
    "evaluator",
    "Train what generated motions are scored with, where T2M's public checkpoint is not at hand.",
    "base has T2M's sizes and wants a GPU; tiny learns something real on two CPU cores in minutes.",
)
_add(
    "tokenizer",
    "Train the model that turns motions into tokens and back: what motions are generated with.",
    "base has MoMask's sizes and wants a GPU; tiny learns something real on two CPU cores in minutes.",
)


@app.command()
def generator(
    dataset: DatasetArgument = None,
    out: OutOption = None,
    tokenizer: Annotated[
        Path | None, typer.Option("--tokenizer", help="What `kinmo train tokenizer` wrote.")
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option(
            "--text", help="What `kinmo train retrieval` wrote; without it a plain sentence encoder (MoMask)."
        ),
    ] = None,
    config: ConfigOption = "base",
    sets: SetOption = None,
    resume: ResumeOption = True,
    cache: CacheOption = None,
    print_config: PrintOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the model that writes motions from text: what kinmo generate works with.

    It stands on a tokenizer, and on the text side of a retrieval model; both are copied into its folder.

    Example: [bold]kinmo train generator dataset --out gen --tokenizer tok --text run --config tiny[/bold]
    """

    def parts() -> dict[str, Any]:
        if tokenizer is None:
            missing = "name the folder of a tokenizer, which kinmo train tokenizer writes"
            raise typer.BadParameter(missing, param_hint="--tokenizer")
        from kinmo_models.generation.train import Parts

        return {"parts": Parts(tokenizer, text)}

    asked = _Asked("generation", dataset, out, config, sets, resume, cache, print_config, as_json)
    _train(asked, f'kinmo generate "a person walks forward" --model {out} --out clip.mp4', parts)


@app.command()
def control(
    generator: Annotated[
        Path | None, typer.Argument(help="What `kinmo train generator` wrote; it stays as it is.")
    ] = None,
    dataset: DatasetArgument = None,
    config: ConfigOption = "base",
    sets: SetOption = None,
    out: OutOption = None,
    resume: ResumeOption = True,
    cache: CacheOption = None,
    print_config: PrintOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train what leads a generator along paths of joints: what kinmo control works with.

    Example: [bold]kinmo train control gen dataset --out led --config tiny[/bold]
    """

    def parts() -> dict[str, Any]:
        if generator is None:
            missing = "name the folder of a generator, which kinmo train generator writes"
            raise typer.BadParameter(missing, param_hint="GENERATOR")
        return {"generator": generator}

    asked = _Asked("control", dataset, out, config, sets, resume, cache, print_config, as_json)
    _train(asked, f'kinmo control "a person walks" --path FILE --model {out} --out clip.mp4', parts)


@app.command()
def reasoner(
    dataset: DatasetArgument = None,
    out: OutOption = None,
    config: ConfigOption = "base",
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            help="A causal language model by name, folder or GGUF file, or smollm2; else as the config says.",
        ),
    ] = None,
    edits: Annotated[
        Path | None,
        typer.Option("--edits", help="Worded edits to learn from too, as annotate edits writes."),
    ] = None,
    sets: SetOption = None,
    resume: ResumeOption = True,
    cache: CacheOption = None,
    print_config: PrintOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the language model that writes 21 sentences from a caption: what kinmo reason works with.

    base fine-tunes a LLaMA 3 model with adapters and wants a GPU; tiny is a small one from scratch.

    Example: [bold]kinmo train reasoner dataset --out reasoner --config tiny[/bold]

    Of another model: [bold]kinmo train reasoner dataset --out reasoner --base smollm2[/bold]

    With instructions that a language model worded:
    [bold]kinmo train reasoner dataset --out reasoner --config tiny --edits edits.parquet[/bold]
    """
    from json import dumps

    laid = [*(sets or []), *([] if base is None else [f"model.base={dumps(base)}"])]
    asked = _Asked("reasoner", dataset, out, config, laid, resume, cache, print_config, as_json)
    _train(asked, f'kinmo reason "a person walks forward" --model {out}', lambda: {"edits": edits})


def _needed(name: str, dataset: Path | None, out: Path | None) -> tuple[Path, Path]:
    """Ask for what only --print-config goes without; refuse a folder of others before any work is done.

    Raises:
        TrainingError: `out` is no RUN folder.
    """
    if dataset is None:
        raise typer.BadParameter(f"name the dataset folder, such as: kinmo train {name} dataset --out run")
    if out is None:
        raise typer.BadParameter("name the folder of the training, such as --out run", param_hint="--out")
    from kinmo_models.training.folder import read_run

    read_run(out)
    return dataset, out


def _first_process() -> bool:
    """Tell whether this is the process that prints, of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def _finish(outcome: Outcome, as_json: bool, next_command: str) -> None:
    """Print how a training ended and what comes next; leave with 130 after Ctrl-C."""
    if _first_process():
        _print(outcome, as_json, next_command)
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)


def _print(outcome: Outcome, as_json: bool, next_command: str) -> None:
    if as_json:
        from dataclasses import asdict

        print_json(asdict(outcome))
        return
    from datetime import timedelta

    took = timedelta(seconds=round(outcome.seconds))
    lines = [f"{outcome.epochs} epochs, {outcome.step:,} steps in {took}"]
    if outcome.best is not None:
        lines.append(f"best: {outcome.best:.4g} at step {outcome.best_step:,}")
    lines.append(f"see {outcome.folder / 'report.md'}")
    if not outcome.interrupted:
        lines.append(f"next: {next_command}")
    for line in lines:
        console().print(line, markup=False, soft_wrap=True)
    if outcome.interrupted:
        warn("stopped before the end. Run the same command again to go on.")
