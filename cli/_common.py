"""What all commands share: where text goes, how errors read, and the `--json` option.

Results go to stdout, everything else (progress, warnings, errors) to stderr, so that
`kinmo ... --json | jq` works.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

OK, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, for scripts.")]

_OS_REMEDIES = {
    errno.ENOSPC: "Free some space or write to another disk, then run the same command again.",
    errno.EDQUOT: "Your disk quota is used up: free some space, then run the same command again.",
    errno.EACCES: "Choose a place that you may write to, or change its permissions.",
    errno.EPERM: "Choose a place that you may write to, or change its permissions.",
    errno.EROFS: "That file system is read-only: choose another place.",
    errno.ENOENT: "Check the path for typing mistakes.",
    errno.ENOTDIR: "A part of that path is a file, not a folder: choose another path.",
    errno.EISDIR: "That is a folder, and a file is needed: choose another path.",
    errno.EMFILE: "Too many files are open: use fewer --workers or raise `ulimit -n`.",
}
_OTHER_REMEDY = "Check the path and the disk, then run the same command again."
_INTERRUPTED = "stopped by Ctrl-C. Run the same command again; what was finished is kept."


@cache
def console() -> Console:
    """Give the console for results (stdout)."""
    from rich.console import Console

    return Console(highlight=False)


@cache
def messages() -> Console:
    """Give the console for progress, warnings and errors (stderr)."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Print one JSON object on stdout, on one line when piped and indented at a terminal."""
    import json

    indent = 2 if sys.stdout.isatty() else None
    print(json.dumps(value, indent=indent, ensure_ascii=False, default=str))  # noqa: T201


def warn(text: str) -> None:
    """Print a warning line on stderr."""
    typer.secho("warning: ", fg="yellow", bold=True, err=True, nl=False)
    typer.echo(text, err=True)


def print_error(text: str) -> None:
    """Print an error line on stderr; plain text, so that brackets in a path are not taken for markup."""
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    typer.echo(text, err=True)


def fail(reason: str, remedy: str = "", code: int = FAILED) -> NoReturn:
    """Print an error with its next step and leave with `code`.

    Raises:
        typer.Exit: always.
    """
    print_error(sentence(reason, remedy))
    raise typer.Exit(code)


def sentence(reason: str, remedy: str = "") -> str:
    """Join a reason and a next step into one line."""
    reason = " ".join(reason.split())
    if reason and reason[-1] not in ".!?":
        reason += "."
    return f"{reason} {' '.join(remedy.split())}".strip()


def explain(error: BaseException) -> tuple[str, int]:
    """Say in one line what went wrong and what to do, and give the exit code.

    Errors of ours (anything with a `remedy`) already carry both; those of the operating system get a next
    step by their number; anything else is a mistake in KinMo and asks for a report.
    """
    if isinstance(error, KeyboardInterrupt):
        return _INTERRUPTED, INTERRUPTED
    if isinstance(error, MemoryError):
        return "out of memory. Use fewer --workers or close other programs, then run again.", FAILED
    if hasattr(error, "remedy"):
        return " ".join(str(error).split()), FAILED
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or str(error) or type(error).__name__
        return sentence(f"{where}{reason}", _OS_REMEDIES.get(error.errno or 0, _OTHER_REMEDY)), FAILED
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("kinmo"):
        return f"this needs the package {error.name}. Install it with `pip install {error.name}`.", FAILED
    what = sentence(f"unexpected {type(error).__name__}: {error}")
    return f"{what} Run again with KINMO_DEBUG=1 to see where, and please report it.", FAILED


def debugging() -> bool:
    """Tell whether the user asked for tracebacks with KINMO_DEBUG=1."""
    return os.environ.get("KINMO_DEBUG", "") not in ("", "0")


@contextmanager
def ctrl_c(unit: str) -> Iterator[threading.Event]:
    """Let the first Ctrl-C ask for an end after the shard or motion in hand, and the second end at once."""
    asked = threading.Event()

    def handle(number: int, frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        typer.echo(f"\nfinishing the {unit} in hand; Ctrl-C again stops at once", err=True)

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
