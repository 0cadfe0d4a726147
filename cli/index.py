"""`kinmo index`: encode the motions of a dataset with a trained model, for `kinmo search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._common import JsonOption, console, print_json, warn
from ._searching import CacheOption, Place

app = typer.Typer(add_completion=False)


@app.command()
def index(
    model: Annotated[
        str, typer.Argument(metavar="RUN", help="Folder that train retrieval wrote, or a name on the hub.")
    ],
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Folder written by annotate run.")],
    out: Annotated[Path | None, typer.Option("--out", help="Where the index goes; else inside RUN.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Make it again although it is current.")] = False,
    cache_dir: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Encode the motions of a dataset with a trained model, so that `kinmo search` finds them.

    An index that is current already is left as it is. Ctrl-C keeps what is encoded; the same command goes on.

    Example: [bold]kinmo index run dataset[/bold]
    """
    from kinmo_models.retrieval.index import MotionIndex

    place = Place(model, dataset, cache_dir, as_json)
    folder = out or place.folder
    current = not force and place.is_current(folder)
    found = MotionIndex.open(folder) if current else place.build(folder)
    if as_json:
        print_json({"index": str(folder), "made": not current, **found.meta, "note": found.note})
        return
    if found.note:
        warn(found.note)
    said = "is current" if current else "is made"
    console().print(f"the index of {len(found):,} motions {said}: {folder}", markup=False, soft_wrap=True)
    hint = f'next: kinmo search "a person waves" --model {model} --index {out or dataset}'
    console().print(hint, markup=False, soft_wrap=True)
