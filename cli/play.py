"""`kinmo play`: motions in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._common import WRONG_USAGE, JsonOption, console, fail, messages, print_json

if TYPE_CHECKING:
    from kinmo_annotate.review.app.motions import ShownMotion

app = typer.Typer(add_completion=False)


@app.command()
def play(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="MOTION...",
            help="Files: .bvh, .npy, .npz. Or the folder of a dataset, and after it ids of its motions.",
        ),
    ],
    mapping: Annotated[
        Path | None, typer.Option(help="For BVH files: YAML from their joint names to ours.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Play motions in the browser: files or rows of a dataset, up to nine side by side; Ctrl-C ends the page.

    An array is joints (T, 22, 3) or HumanML3D vectors (T, 263). One motion of a dataset stands beside its
    sentences, and what a sentence is about is coloured on the body.

    Example: [bold]kinmo play walk.bvh out/000000.npy[/bold], or [bold]kinmo play dataset 000021[/bold]
    """
    from kinmo_annotate.review.app.player import play as serve

    motions = _read(names, mapping)

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "motions": [motion.motion_id for motion in motions]})
        else:
            console().print(f"played at {url}", markup=False, soft_wrap=True)
            messages().print("Ctrl-C ends the page.", style="dim")
        if not no_open and console().is_terminal:
            typer.launch(url)

    serve(motions, port, ready)


def _read(names: list[str], mapping: Path | None) -> list[ShownMotion]:
    """Read what is to be played, in the order in which it was named."""
    from kinmo_annotate.review.app.motions import load_file, load_row

    dataset, *ids = names
    if not Path(dataset).is_dir():
        return [load_file(Path(name), mapping) for name in names]
    if mapping is not None:
        fail("--mapping is for BVH files, and this is a dataset", "Leave it out.", WRONG_USAGE)
    if not ids:
        fail(f"{dataset}: is a folder", "Name its motions too: kinmo play DATASET ID.", WRONG_USAGE)
    return [load_row(Path(dataset), name) for name in ids]
