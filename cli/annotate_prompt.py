"""`kinmo annotate prompt`: the words that a language model gets, to read, to copy and to try on a motion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._common import JsonOption, fail, print_json

if TYPE_CHECKING:
    from kinmo_annotate.describe.llm.request import Request


def prompt(
    src: Annotated[
        Path | None, typer.Argument(help="Show what is sent of a motion of this source instead.")
    ] = None,
    motion: Annotated[str | None, typer.Option(help="Which motion of SRC; else its first.")] = None,
    of: Annotated[Path | None, typer.Option("--prompt", help="A prompt of your own.")] = None,
    edits: Annotated[bool, typer.Option("--edits", help="The prompt of annotate edits instead.")] = False,
    encoder: Annotated[str, typer.Option(help="caption or sentence, as for the run.")] = "caption",
    mapping: Annotated[Path | None, typer.Option(help="For BVH: YAML from its joint names to ours.")] = None,
    kind: Annotated[str | None, typer.Option(help="humanml3d, bvh, amass or arrays; else detected.")] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", "--cache-dir", help="Where embeddings are kept.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the prompt, or with SRC the messages that are sent of one of its motions.

    Example: [bold]kinmo annotate prompt > mine.md[/bold], change it, then look at it with
    [bold]kinmo annotate prompt HumanML3D --motion 000021 --prompt mine.md[/bold]
    """
    from kinmo_annotate import instructions
    from kinmo_annotate.describe.llm.prompt import prompt_text

    if edits and src is not None:
        raise typer.BadParameter("a source has no edits: leave SRC out", param_hint="--edits")
    if src is None:
        text = instructions.prompt_text(of) if edits else prompt_text(of)
        if as_json:
            print_json({"prompt": text})
        else:
            typer.echo(text, nl=False)
        return
    from kinmo_annotate.settings import Asking, Settings

    settings = Settings(describer="openai", encoder=encoder, cache_dir=cache, asking=Asking(prompt=of))
    request = _request(src, motion, settings, {"mapping": mapping, "kind": kind})
    if as_json:
        print_json(request.body)
        return
    for message in request.body["messages"]:
        typer.echo(f"--- {message['role']} ---\n{message['content']}\n")


def _request(src: Path, motion: str | None, settings: Any, options: dict[str, Any]) -> Request:
    """Compose the request of one motion, as a run would."""
    from kinmo_annotate.asking import terms_of
    from kinmo_annotate.estimate import compose
    from kinmo_annotate.sources import open_source

    source = open_source(src, **options)
    entries = [entry for entry in source.entries() if motion in (None, entry.motion_id)][:1]
    if not entries:
        fail(f"{src} has no motion {motion}" if motion else f"{src} lists no motion", "Check the id.")
    composed = list(compose(source, entries, settings, terms_of(settings.asking).asked))
    if not composed:
        fail(f"{entries[0].motion_id} cannot be used", "`kinmo annotate run` with it says why.")
    return composed[0].request
