"""The program `kinmo`: its groups of commands, loaded only when used, and one place where errors end.

Loading a group costs the import of its file alone, and listing the groups costs nothing, so that
`kinmo --help` answers at once.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from ._common import FAILED, debugging, explain, print_error

# Name of the group and of its file in this folder -> one line of help.
GROUPS: Final = {
    "data": "Make demo motions, and import BVH, AMASS and arrays.",
    "annotate": "Write the sentences: motions in, a Parquet dataset out.",
    "dataset": "Look into a dataset: info, checks, show, validate, export, join, mirror.",
    "train": "Train models on a dataset.",
    "evaluate": "Measure how right descriptions are, and models.",
    "index": "Encode the motions of a dataset with a trained model, for search.",
    "search": "Find motions by what is said of them, or by a motion like them.",
    "reason": "Write the sentences of groups and pairs from a caption, or edit them.",
    "generate": "Write motions from text.",
    "control": "Write a motion from text whose joints follow a path.",
    "edit": "Change motions: in time, under other texts, or in some joint groups.",
    "play": "Play motions in the browser.",
}


class LazyGroup(TyperGroup):
    """A group whose sub-groups are imported when one of their commands runs, not when they are listed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # Stand-ins that carry name and help: enough for help pages, shell completion and "Did you mean".
        self.commands = {name: TyperCommand(name, help=text) for name, text in GROUPS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load the group that is about to run."""
        if args[0] in GROUPS:
            return args[0], load_group(args[0]), args[1:]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; whatever it raises ends here as one line and an exit code."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if is_ours_to_explain(error) and not debugging():
                raise typer.Exit(report(error)) from None
            raise
        except KeyboardInterrupt as error:
            raise typer.Exit(report(error)) from None


def load_group(name: str) -> Any:
    """Import a group's file and give its command."""
    module = importlib.import_module(f".{name}", __package__)
    command = typer.main.get_command(module.app)
    command.name = name
    return command


def is_ours_to_explain(error: Exception) -> bool:
    """Tell our errors from those with which typer ends a command or says that it was used wrongly."""
    of_typer = type(error).__module__.partition(".")[0] in ("typer", "click")
    return not of_typer and not isinstance(error, BrokenPipeError)


def report(error: BaseException) -> int:
    """Print what went wrong and the next step; give the exit code."""
    text, code = explain(error)
    print_error(text)
    return code


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Try it: [bold]kinmo data demo demo --motions 20[/bold], then"
    " [bold]kinmo annotate run demo --out dataset[/bold].",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"kinmo {version('kinmo')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    """Fine-grained text for 3D human motion: 6 body groups and their 15 pairs, as Parquet."""


def run() -> None:
    """Be the program: run the command line, and never end in a traceback unless KINMO_DEBUG=1."""
    # Read when torch is first imported: on shared cores, threads that wait asleep are several times as fast
    # as threads that spin.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except BrokenPipeError:
        sys.exit(FAILED)
    except (Exception, KeyboardInterrupt) as error:
        if debugging():
            raise
        sys.exit(report(error))
