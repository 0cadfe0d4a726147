"""`kinmo annotate review`: serve the page on which evaluators judge a round."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._common import JsonOption, console, messages, print_json, warn

if TYPE_CHECKING:
    from kinmo_annotate.review.app.serve import Review


def review(
    dataset: Annotated[Path, typer.Argument(help="The dataset that a round was sampled from.")],
    round_name: Annotated[str | None, typer.Option("--round", help="Which round; else the newest.")] = None,
    host: Annotated[str, typer.Option(help="Address to serve at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8490,
    token_required: Annotated[
        bool,
        typer.Option("--token-required", help="Serve to other machines; the links alone keep others out."),
    ] = False,
    new_links: Annotated[
        bool, typer.Option("--new-links", help="Make new links; the old ones stop working.")
    ] = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Serve the page on which evaluators judge the sentences of a round beside the moving figure.

    Each evaluator gets a personal link. Links are shown once, when they are made, and go on working after a
    restart at the same address. Every judgement is saved as it is made; Ctrl-C ends the page.

    Example: [bold]kinmo annotate review dataset --round legs-1[/bold]
    """
    from kinmo_annotate.review.app.serve import links, open_review, serve

    opened = open_review(dataset, round_name)

    def ready(url: str) -> None:
        made = links(opened, url, new_links)
        if as_json:
            print_json({"round": opened.round.name, "url": url, "links": made})
        else:
            _print(opened, url, made)
        if made and not no_open and console().is_terminal:
            typer.launch(next(iter(made.values())))

    if token_required and host not in ("127.0.0.1", "localhost", "::1"):
        warn(f"the page is served at {host} without encryption; its links are the only lock on it.")
    serve(opened, host, port, tokens_only=token_required, ready=ready)


def _print(opened: Review, url: str, made: dict[str, str]) -> None:
    """Tell evaluators' links, and how far each is."""
    round, store = opened.round, opened.store
    out, done = console(), store.finished(round.name)
    out.print(f"round {round.name} is served at {url}", markup=False)
    for name in round.evaluators:
        judged = sum(bool(one.verdict) for one in store.current(round.name, name).values())
        state = "handed in" if name in done else f"{judged} of {len(round.items)} judged"
        out.print(f"  {name}: {state}", markup=False)
        if name in made:
            out.print(f"    {made[name]}", markup=False, soft_wrap=True)
    if made:
        out.print("Give each evaluator their own link; they are not shown again.", markup=False)
    else:
        text = f"The links given out before still work at {url}; --new-links makes new ones."
        out.print(text, markup=False, soft_wrap=True)
    messages().print("Ctrl-C ends the page.", style="dim")
