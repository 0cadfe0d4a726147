"""`kinmo annotate estimate`: tokens and money before anything is asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._common import JsonOption, console, messages, print_json, warn

if TYPE_CHECKING:
    from kinmo_annotate.estimate import Amount, Estimate

_KEY = "OPENAI_API_KEY"  # for a --base-url that wants one; nothing is asked without
_WAYS = {
    "standard": "standard",
    "batch": "batch API",
    "cached": "prompt caching",
    "batch_cached": "batch API and prompt caching",
}


def estimate(
    src: Annotated[Path, typer.Argument(help="HumanML3D folder, or folder or file of BVH, AMASS or arrays.")],
    model: Annotated[str, typer.Option(help="Model that would write the sentences.")] = "gpt-4o-mini",
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Count with the tokenizer of this llama.cpp or vLLM.")
    ] = None,
    prompt: Annotated[Path | None, typer.Option(help="A prompt of your own.")] = None,
    prices: Annotated[Path | None, typer.Option(help="YAML of prices, laid over those of KinMo.")] = None,
    sample: Annotated[int, typer.Option(min=0, help="Motions to look at, spread evenly; 0: all.")] = 200,
    motions: Annotated[
        int | None, typer.Option(min=1, help="Scale to a dataset of so many such motions.")
    ] = None,
    probe: Annotated[
        int, typer.Option(min=0, help="Ask so many motions for real, which costs money, and correct by it.")
    ] = 0,
    encoder: Annotated[str, typer.Option(help="caption or sentence, as for the run.")] = "caption",
    sbert: Annotated[
        str | None, typer.Option("--sbert", "--sbert-model", help="sentence-transformers name or folder.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of every choice of words, as for the run.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many motions.")] = None,
    mapping: Annotated[Path | None, typer.Option(help="For BVH: YAML from its joint names to ours.")] = None,
    kind: Annotated[str | None, typer.Option(help="humanml3d, bvh, amass or arrays; else detected.")] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", "--cache-dir", help="Where embeddings and answers are kept.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Estimate requests, tokens and money of `annotate run --describer openai`, before anything is asked.

    Needs no key and no network, unless --base-url or --probe asks for them. Prices come from a dated list;
    --prices lays your own over it.

    Example: [bold]kinmo annotate estimate HumanML3D --model gpt-4o-mini --sample 200[/bold]
    """
    from kinmo_annotate.estimate import estimate_run
    from kinmo_annotate.settings import Asking, Settings
    from kinmo_annotate.sources import open_source

    asking = Asking(model=model, base_url=base_url, prompt=prompt, prices=prices)
    settings = Settings(
        describer="openai",
        encoder=encoder,
        sbert_model=sbert,
        seed=seed,
        limit=limit,
        cache_dir=cache,
        asking=asking,
    )
    source = open_source(src, mapping=mapping, kind=kind)
    if probe:
        warn(f"asking {probe} motions for real; what the endpoint takes for that is paid for.")
    with messages().status("looking at a sample of the motions"):
        found = estimate_run(
            source, settings, sample=sample, motions=motions, probes=probe, key=os.environ.get(_KEY)
        )
    print_estimate(found, as_json=as_json)


def print_estimate(found: Estimate, *, as_json: bool) -> None:
    """Print an estimate, for people or as JSON, and its warnings on stderr."""
    if as_json:
        print_json(found.as_json())
    else:
        _print_table(found)
    for line in found.warnings:
        warn(line)


def _print_table(found: Estimate) -> None:
    """Print the estimate for people."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"Estimate for {escape(found.model)}", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _facts(found).items():
        table.add_row(name, escape(value))
    console().print(table)


def _facts(found: Estimate) -> dict[str, str]:
    """Put the estimate into words and numbers, a line each."""
    looked = f"{found.sampled} of {found.listed} looked at"
    facts = {"motions": f"{found.motions:,} ({looked})"}
    if found.unusable:
        facts["unusable"] = f"{found.unusable} of those looked at"
    if found.answered:
        facts["answered already"] = f"{found.answered} of those looked at: they cost nothing"
    facts["requests"] = f"{found.requests:,}"
    facts["tokens in"] = _tokens(found.input_tokens)
    facts["  the same in each"] = (
        f"{found.static_tokens:,.0f} a request, {found.cached_tokens:,} of them cached"
    )
    facts["  of the motions"] = _tokens(found.motion_tokens)
    facts["tokens out"] = _tokens(found.output_tokens)
    facts["counted by"] = found.way + (f", corrected by {found.probed} answers" if found.probed else "")
    for way, words in _WAYS.items():
        if way in found.costs:
            facts[f"cost, {words}"] = _usd(found.costs[way])
    facts["prices read on"] = (
        str(found.prices_as_of) if found.prices_as_of else "not known: no cost can be told"
    )
    facts["notes"] = "\n".join(found.notes)
    facts["time"] = f"{found.seconds:.1f} s"
    return facts


def _tokens(amount: Amount) -> str:
    return _with_interval(amount, lambda tokens: f"{tokens:,.0f}")


def _usd(amount: Amount) -> str:
    digits = 2 if amount.value >= 1 else 4
    return _with_interval(amount, lambda usd: f"${usd:,.{digits}f}")


def _with_interval(amount: Amount, write: Callable[[float], str]) -> str:
    if amount.low is None or amount.high is None or amount.low == amount.high:
        return write(amount.value)
    return f"{write(amount.value)} ({write(amount.low)} to {write(amount.high)})"
