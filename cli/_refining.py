"""What `kinmo annotate refine` and `loop` share: options, a proposal on the screen, the decision about it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ._common import INTERRUPTED, console, ctrl_c, fail, messages, warn
from ._tables import plain

if TYPE_CHECKING:
    from kinmo_annotate.review.lineage import Lineage, Version
    from kinmo_annotate.review.rounds import Round

_DECISION: Final = "Your decision"
_STYLES: Final = {"+++": "bold", "---": "bold", "@@": "cyan", "+": "green", "-": "red"}

AcceptOption = Annotated[
    bool, typer.Option("--accept", help="Accept the proposed prompt.", rich_help_panel=_DECISION)
]
RejectOption = Annotated[
    bool, typer.Option("--reject", help="Turn it down; the next call asks again.", rich_help_panel=_DECISION)
]
EditedOption = Annotated[
    Path | None,
    typer.Option("--edited", help="Accept this file in its place.", rich_help_panel=_DECISION),
]
UrlOption = Annotated[str | None, typer.Option("--base-url", help="An OpenAI-compatible endpoint.")]
CacheOption = Annotated[Path | None, typer.Option("--cache", "--cache-dir", help="Where answers are kept.")]
WorkersOption = Annotated[int, typer.Option(min=0, help="Worker processes; 0: one per core.")]
ConcurrencyOption = Annotated[int, typer.Option(min=1, help="Requests in flight at most.")]
BudgetOption = Annotated[float | None, typer.Option(min=0, help="US dollars for the dataset; then stop.")]


Decision = Callable[["Lineage", "Round", "Version"], "Version | None"]


def decision_of(accept: bool, reject: bool, edited: Path | None, as_json: bool) -> Decision | None:
    """Tell how a proposal is decided on: by an option, by a question at a terminal, or not now."""
    from kinmo_annotate.review import proposals

    if accept + reject + (edited is not None) > 1:
        raise typer.BadParameter("choose one of --accept, --reject and --edited")
    if accept:
        return lambda lineage, round, version: proposals.accept(lineage, round)
    if reject:
        return lambda lineage, round, version: proposals.reject(lineage, round)
    if edited is not None:
        text = _read(edited)
        return lambda lineage, round, version: proposals.accept_edited(lineage, round, text)
    return _question if not as_json and _at_terminal() else None


@contextmanager
def watched(as_json: bool) -> Iterator[tuple[Any, Callable[[], bool]]]:
    """Give what an annotation tells its progress to, and what it asks whether to end.

    Raises:
        typer.Exit: the user ended it.
    """
    from kinmo_annotate.schema.records import MotionError

    from ._progress import watch

    with ctrl_c("shard") as interrupted, watch(messages(), silent=as_json) as progress:
        try:
            yield progress, interrupted.is_set
        except MotionError as error:
            if not interrupted.is_set():
                raise
            fail(f"stopped by Ctrl-C: {error}", code=INTERRUPTED)


def _at_terminal() -> bool:
    import sys

    return sys.stdin.isatty() and console().is_terminal


def _question(lineage: Lineage, round: Round, version: Version) -> Version | None:
    """Ask at the terminal until there is an answer; what cannot be used is said, and asked again."""
    from kinmo_annotate.review import proposals
    from kinmo_annotate.schema.records import MotionError

    while True:
        answer = typer.prompt(
            "Accept this prompt? y: yes, n: no, e: edit it, l: later", default="l", err=True
        )
        if answer == "y":
            return proposals.accept(lineage, round)
        if answer == "n":
            return proposals.reject(lineage, round)
        if answer == "l":
            return None
        if answer == "e":
            try:
                return proposals.accept_edited(lineage, round, _edit(lineage.text(version.fingerprint)))
            except MotionError as error:
                warn(str(error))


def _edit(text: str) -> str:
    """Have a text changed in the user's editor."""
    import shlex
    import subprocess
    import tempfile

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("notepad" if os.name == "nt" else "vi")
    with tempfile.TemporaryDirectory(prefix="kinmo-prompt-") as folder:
        path = Path(folder) / "prompt.md"
        path.write_text(text, encoding="utf-8")
        try:
            ended = subprocess.run([*shlex.split(editor), str(path)], check=False).returncode
        except (OSError, ValueError) as error:
            fail(f"the editor {editor!r} cannot be run ({error})", "Set EDITOR, or use --edited FILE.")
        if ended:
            fail(f"the editor {editor!r} ended with {ended}", "Nothing was accepted; run the command again.")
        return _read(path)


def _read(path: Path) -> str:
    from kinmo_annotate.describe.llm.prompt import prompt_text

    return prompt_text(path)


def show_proposal(version: Version, diff: list[str]) -> None:
    """Print what a proposal changes, and why its author says so."""
    for line in diff:
        style = next((style for mark, style in _STYLES.items() if line.startswith(mark)), "")
        console().print(plain(line, style), soft_wrap=True)
    for change in version.changes:
        console().print(plain(f"- {change.what} Why: {change.why}"), soft_wrap=True)


def print_todo(line: str, todo: list[str]) -> None:
    console().print(plain(line, "bold"), soft_wrap=True)
    for number, one in enumerate(todo, 1):
        console().print(plain(f"  {number}. {one}" if len(todo) > 1 else f"  next: {one}"), soft_wrap=True)
