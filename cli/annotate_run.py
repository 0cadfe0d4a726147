"""`kinmo annotate run`: motions in, a dataset out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._common import FAILED, INTERRUPTED, JsonOption, console, ctrl_c, messages, print_error, print_json, warn
from .annotate_estimate import print_estimate

if TYPE_CHECKING:
    from kinmo_annotate.pipeline import Summary
    from kinmo_annotate.settings import Settings
    from kinmo_annotate.sources.base import MotionSource

STOPPED = 3  # by the budget; the other codes are those of every command
_ASKING = "Describer openai"


class Encoder(StrEnum):
    """How texts become keyframes."""

    caption = "caption"
    sentence = "sentence"


def run(
    src: Annotated[Path, typer.Argument(help="HumanML3D folder, or folder or file of BVH, AMASS or arrays.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The dataset folder to write or to go on with.")
    ] = None,
    captioner: Annotated[
        str, typer.Option(help="posecodes, or text2pose where it is installed.")
    ] = "posecodes",
    describer: Annotated[
        str, typer.Option(help="Who writes the sentences: kinematic (rules), or openai (a language model).")
    ] = "kinematic",
    encoder: Annotated[
        Encoder, typer.Option(help="caption: as in the paper; sentence: far faster on a CPU.")
    ] = Encoder.caption,
    sbert: Annotated[
        str | None, typer.Option("--sbert", "--sbert-model", help="sentence-transformers name or folder.")
    ] = None,
    keyframe_threshold: Annotated[
        float, typer.Option(min=-1, max=1, help="A frame less similar to the last keyframe becomes one.")
    ] = 0.8,
    keyframe_gap: Annotated[int, typer.Option(min=1, help="Frames between keyframes at least.")] = 5,
    seed: Annotated[int, typer.Option(help="Of every choice of words.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many motions.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Worker processes; 0: one per core.")] = 0,
    mapping: Annotated[Path | None, typer.Option(help="For BVH: YAML from its joint names to ours.")] = None,
    kind: Annotated[str | None, typer.Option(help="humanml3d, bvh, amass or arrays; else detected.")] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", "--cache-dir", help="Where embeddings are kept.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Begin over where a dataset is already.")] = False,
    retry_failures: Annotated[
        bool, typer.Option("--retry-failures", help="Do the motions again that failed before.")
    ] = False,
    model: Annotated[
        str, typer.Option(help="Model that writes the sentences.", rich_help_panel=_ASKING)
    ] = "gpt-4o-mini",
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", help="An OpenAI-compatible endpoint.", rich_help_panel=_ASKING),
    ] = None,
    prompt: Annotated[
        Path | None, typer.Option(help="A prompt of your own.", rich_help_panel=_ASKING)
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Send contradicted sentences back once.", rich_help_panel=_ASKING),
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(min=0, help="US dollars for the whole dataset; then stop.", rich_help_panel=_ASKING),
    ] = None,
    batch: Annotated[
        bool,
        typer.Option("--batch", help="Hand over to the batch API: cheaper, later.", rich_help_panel=_ASKING),
    ] = False,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Ask nothing: cached and archived answers.", rich_help_panel=_ASKING),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only estimate tokens and price.", rich_help_panel=_ASKING),
    ] = False,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Requests in flight at most.", rich_help_panel=_ASKING)
    ] = 64,
    rpm: Annotated[
        int | None,
        typer.Option(
            "--rpm",
            "--requests-per-minute",
            min=1,
            help="Requests a minute at most.",
            rich_help_panel=_ASKING,
        ),
    ] = None,
    tpm: Annotated[
        int | None,
        typer.Option(
            "--tpm", "--tokens-per-minute", min=1, help="Tokens a minute at most.", rich_help_panel=_ASKING
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds for one answer.", rich_help_panel=_ASKING)
    ] = 600.0,
    output_tokens: Annotated[
        int, typer.Option(min=100, help="Most tokens of an answer.", rich_help_panel=_ASKING)
    ] = 2500,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="NAME=JSON for the request's body.", rich_help_panel=_ASKING),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(help="YAML of prices, laid over those of KinMo.", rich_help_panel=_ASKING),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Annotate every motion in SRC into a Parquet dataset: 6 group and 15 interaction sentences each.

    A motion that cannot be used is listed in failures.parquet and the others go on. Ctrl-C finishes the
    shard in hand; the same command again goes on from there, also after a crash.

    Example: [bold]kinmo annotate run HumanML3D --out dataset --encoder sentence[/bold]

    A language model writes the sentences with --describer openai and its key in OPENAI_API_KEY. Answers are
    kept: none is paid for twice.

    Example: [bold]kinmo annotate run HumanML3D --out dataset --describer openai --budget 20[/bold]
    """
    from kinmo_annotate.pipeline import Settings, annotate
    from kinmo_annotate.settings import Asking
    from kinmo_annotate.sources import open_source

    from ._progress import watch

    asking = Asking(
        model=model,
        base_url=base_url,
        prompt=prompt,
        prices=prices,
        mode=_mode(batch, offline),
        repair=repair,
        concurrency=concurrency,
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        timeout_s=timeout,
        budget_usd=budget,
        output_tokens=output_tokens,
        options=_options(option or []),
    )
    settings = Settings(
        captioner=captioner,
        describer=describer,
        encoder=encoder.value,
        sbert_model=sbert,
        keyframe_threshold=keyframe_threshold,
        keyframe_gap=keyframe_gap,
        seed=seed,
        limit=limit,
        workers=workers,
        cache_dir=cache,
        asking=asking,
    )
    source = open_source(src, mapping=mapping, kind=kind)
    if dry_run:
        _estimate(source, settings, as_json)
        return
    if out is None:
        raise typer.BadParameter("name the dataset folder, such as --out dataset", param_hint="--out")
    _warn_of_model(settings)
    for note in source.notes():
        messages().print(note, style="dim", markup=False)
    with ctrl_c("shard") as interrupted, watch(messages(), silent=as_json) as progress:
        summary = annotate(
            source, out, settings, progress=progress, stop=interrupted.is_set, force=force,
            retry_failures=retry_failures, batch_plan=_plan(src, kind, mapping, settings),
        )  # fmt: skip
    _report(summary, as_json)
    raise typer.Exit(_exit_code(summary))


def _estimate(source: MotionSource, settings: Settings, as_json: bool) -> None:
    """Tell what the run would cost, instead of running."""
    from kinmo_annotate.estimate import estimate_run

    if not settings.asks:
        raise typer.BadParameter("only --describer openai has a price", param_hint="--dry-run")
    print_estimate(estimate_run(source, settings), as_json=as_json)


def _warn_of_model(settings: Settings) -> None:
    """Say in time that a model is about to go, or that its prices are old."""
    if not settings.asks or settings.asking.base_url:
        return
    from datetime import date

    from kinmo_annotate.describe.llm.prices import load_prices

    prices = load_prices(settings.asking.prices)
    price = prices.of(settings.asking.model)
    lines = (price.warning(date.today()), prices.note(date.today(), price.name)) if price else ()
    for line in filter(None, lines):
        warn(line)


def _plan(src: Path, kind: str | None, mapping: Path | None, settings: Settings) -> dict[str, Any] | None:
    """Write down what a collection of batches has to know of this command."""
    if settings.asking.mode != "batch":
        return None
    from kinmo_annotate.describe.llm.batch import plan_of

    return plan_of(src, kind, mapping, settings)


def _mode(batch: bool, offline: bool) -> str:
    if batch and offline:
        raise typer.BadParameter("choose one of --batch and --offline")
    return "batch" if batch else "offline" if offline else "ask"


def _options(given: list[str]) -> tuple[tuple[str, Any], ...]:
    """Read NAME=JSON; what is no JSON is text."""
    import json

    read: list[tuple[str, Any]] = []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text} is not NAME=VALUE", param_hint="--option")
        try:
            read.append((name, json.loads(value)))
        except ValueError:
            read.append((name, value))
    return tuple(read)


def _report(summary: Summary, as_json: bool) -> None:
    """Print what the run did."""
    if as_json:
        print_json(summary.as_json())
    else:
        _print_tables(summary)
    if summary.submission and summary.submission.outstanding:
        handed = summary.submission
        warn(
            f"{handed.outstanding} requests are with the batch API, {handed.requests} of them new."
            f" Next: kinmo annotate batch collect {summary.out} --wait"
        )
    elif summary.halted and summary.halted.kind != "stopped":
        tell = warn if summary.halted.kind == "budget" else print_error
        tell(f"{summary.halted.reason}. {summary.rows} motions are safe. {summary.halted.remedy}")
    elif not summary.complete:
        warn(f"stopped before the end: {summary.rows} motions are safe. Run the same command again to go on.")
    elif not summary.rows:
        print_error(f"no motion could be annotated; {summary.out}/failures.parquet says why of each.")


def _exit_code(summary: Summary) -> int:
    if summary.submission and summary.submission.outstanding:
        return 0
    if summary.halted:
        return {"budget": STOPPED, "refused": FAILED}.get(summary.halted.kind, INTERRUPTED)
    if not summary.complete:
        return INTERRUPTED
    return 0 if summary.rows else FAILED


def _print_tables(summary: Summary) -> None:
    """Print the summary for people."""
    from rich.table import Table

    table = Table(title="Annotated" if summary.complete else "Annotated so far", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _facts(summary).items():
        table.add_row(name, value)
    console().print(table)


def _facts(summary: Summary) -> dict[str, str]:
    """Put the summary into words and numbers, a line each."""
    from rich.markup import escape

    kept = f" ({summary.kept} from before)" if summary.kept else ""
    facts = {"motions": f"{summary.rows} of {summary.asked}{kept}, {summary.frames} frames"}
    facts["failures"] = str(len(summary.failures))
    reasons = list(summary.failures_by_reason().items())
    lines = [f"{count} x {escape(reason)}" for reason, count in reasons[:8]]
    if len(reasons) > 8:
        lines.append(f"and {len(reasons) - 8} other reasons, in failures.parquet")
    if lines:
        facts["why"] = "\n".join(lines)
    facts |= _asking_facts(summary)
    if summary.verdicts:
        facts["fact check"] = ", ".join(f"{count} {name}" for name, count in summary.verdicts.items())
    facts["keyframes"] = f"{summary.keyframes_per_motion:.1f} per motion"
    busy = [f"{stage} {seconds:.1f} s" for stage, seconds in summary.seconds.items()]
    facts["work"] = ", ".join(busy) or "nothing was left to do"
    facts["time"] = f"{summary.wall_seconds:.1f} s, {summary.motions_per_s:.1f} motions a second"
    facts["dataset"] = escape(str(summary.out))
    facts["next"] = f"kinmo dataset info {escape(str(summary.out))}"
    return facts


def _asking_facts(summary: Summary) -> dict[str, str]:
    """Put into words what was asked of a language model, and what it cost."""
    facts = {"from cache": str(summary.from_cache)} if summary.from_cache else {}
    asked = summary.requests
    if asked is None:
        return facts
    wrong = [f"{asked[name]} {name.replace('_', ' ')}" for name in ("rate_limited", "broken", "unusable")]
    tokens = f"{asked['input_tokens']} in ({asked['cached_tokens']} cached), {asked['output_tokens']} out"
    paid = "price not known" if asked["usd"] is None else f"${asked['usd']:.4f} in this run"
    if summary.spent_usd is not None:
        paid += f", ${summary.spent_usd:.4f} for the dataset so far"
    return facts | {
        "requests": f"{asked['requests']}: {asked['answered']} answered, {', '.join(wrong)}",
        "in flight": f"{asked['mean_in_flight']} on average, for {asked['wall_seconds']:.1f} s",
        "tokens": tokens,
        "paid": paid,
    }
