"""`kinmo annotate batch`: watch, collect and cancel the batches that `annotate run --batch` submitted."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ._common import FAILED, INTERRUPTED, JsonOption, console, ctrl_c, fail, messages, print_json, warn

if TYPE_CHECKING:
    from kinmo_annotate.describe.llm.batch import Api, Chunk, Report, State
    from kinmo_annotate.pipeline import Summary
    from kinmo_annotate.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Watch, collect and cancel the batches of a dataset.")

DatasetArgument = Annotated[
    Path, typer.Argument(metavar="DATASET", help="The --out of annotate run --batch.")
]
WaitOption = Annotated[bool, typer.Option("--wait", help="Look again and again until all batches ended.")]
EveryOption = Annotated[float, typer.Option("--every", min=0.01, help="Seconds between two looks.")]
UrlOption = Annotated[
    str | None, typer.Option("--base-url", help="The endpoint, in place of the one written down.")
]
_EVERY_S: Final = 30.0


@app.callback()
def _group() -> None:
    """Watch, collect and cancel the batches of a dataset."""


@app.command()
def status(
    dataset: DatasetArgument,
    wait: WaitOption = False,
    every: EveryOption = _EVERY_S,
    base_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell how the batches of a dataset are.

    Example: [bold]kinmo annotate batch status dataset --wait[/bold]
    """
    from kinmo_annotate.describe.llm.batch import has_ended

    state = _state(dataset)
    with ctrl_c("look") as interrupted:
        while any(chunk.under_way and not has_ended(chunk) for chunk in state.chunks):
            _patiently(wait, partial(_with_api, state, base_url, partial(_looked, state)))
            left = sum(chunk.under_way and not has_ended(chunk) for chunk in state.chunks)
            if not wait or not left or interrupted.is_set():
                break
            _say(f"{left} batches under way; looking again in {every:g} s", as_json)
            if interrupted.wait(every):
                break
            state = _state(dataset)
    _show(dataset, state, as_json)
    if interrupted.is_set():
        raise typer.Exit(INTERRUPTED)


@app.command()
def collect(
    dataset: DatasetArgument,
    wait: WaitOption = False,
    every: EveryOption = _EVERY_S,
    base_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Collect what the batches answered; once nothing is outstanding, write the rows.

    What expired or failed at the endpoint is submitted again by itself; answers that cannot be used are asked
    for once more, with the reason.

    Example: [bold]kinmo annotate batch collect dataset --wait[/bold]
    """
    from kinmo_annotate.describe.llm.batch import Report

    _state(dataset)
    total, summary = Report(), None
    with ctrl_c("round") as interrupted:
        while True:
            state = _patiently(wait, lambda: _round(dataset, base_url, total, as_json)) or _state(dataset)
            if not state.goes_on and not interrupted.is_set():
                summary = _write_rows(dataset, state, base_url, interrupted.is_set, as_json)
                state = _state(dataset)
            if not wait or not state.goes_on or interrupted.is_set() or interrupted.wait(every):
                break
    _report(dataset, state, total, summary, as_json)
    if interrupted.is_set():
        raise typer.Exit(INTERRUPTED)
    if total.stop or total.failed or (summary and summary.halted and summary.halted.kind == "refused"):
        raise typer.Exit(FAILED)


@app.command()
def cancel(dataset: DatasetArgument, base_url: UrlOption = None, as_json: JsonOption = False) -> None:
    """End all batches; what they have answered by then can still be collected.

    Nothing new is submitted before you run `kinmo annotate run ... --batch` again.

    Example: [bold]kinmo annotate batch cancel dataset[/bold]
    """
    from kinmo_annotate.describe.llm.batch import cancel as end
    from kinmo_annotate.describe.llm.batch import open_state
    from kinmo_annotate.resume import locked

    _state(dataset)
    with locked(dataset):
        state = open_state(dataset)
        told = _with_api(state, base_url, lambda api: end(state, api)) if state.goes_on else 0
    if as_json:
        print_json({"dataset": str(dataset), "cancelled": told, "outstanding": state.outstanding})
        return
    plain = f"{told} batches were told to end; collect what they answered by then:"
    console().print(plain if told else "no batch is under way.", markup=False, soft_wrap=True)
    if told:
        console().print(f"kinmo annotate batch collect {dataset}", markup=False, soft_wrap=True)


# ---------------------------------------------------------------- rounds


def _state(dataset: Path) -> State:
    """Read the batches of a dataset.

    Raises:
        typer.Exit: there never were any.
    """
    from kinmo_annotate.describe.llm.batch import load_state

    state = load_state(dataset)
    if state is None:
        remedy = f"Submit some: kinmo annotate run SRC --out {dataset} --describer openai --batch"
        fail(f"{dataset} has no batches", remedy)
    return state


def _with_api(state: State, base_url: str | None, work: Callable[[Api], Any]) -> Any:
    """Do something with the endpoint of a dataset's batches."""
    from kinmo_annotate.describe.llm.batch import Api

    api = Api(base_url or state.base_url or None)
    try:
        return work(api)
    finally:
        api.close()


def _looked(state: State, api: Api) -> None:
    from kinmo_annotate.describe.llm.batch import refresh

    refresh(state, api, save=False)


def _patiently(wait: bool, work: Callable[[], Any]) -> Any:
    """Do something; where the user waits anyway, an endpoint that cannot be reached is asked again later."""
    from kinmo_annotate.describe.llm.batch import BatchError

    try:
        return work()
    except BatchError as error:
        if not wait or error.kind not in ("unclear", "limit"):
            raise
        warn(f"{error.reason}; looking again later, Ctrl-C ends the waiting")
        return None


def _round(dataset: Path, base_url: str | None, total: Report, as_json: bool) -> State:
    """Look at all batches, collect those that ended, submit what is to be asked again."""
    from kinmo_annotate.describe.llm.batch import open_state, refresh
    from kinmo_annotate.resume import locked

    with locked(dataset):
        state = open_state(dataset)
        if state.goes_on:
            settings = _settings(dataset, state, base_url)
            _with_api(state, base_url, lambda api: refresh(state, api))
            report = _with_api(state, base_url, lambda api: _collected(dataset, state, settings, api))
            total.add(report)
            if not state.paused:
                _with_api(state, base_url, lambda api: _submitted(state, api, report, as_json))
    if state.goes_on:
        _say(f"{state.outstanding} requests are outstanding", as_json)
    return state


def _settings(dataset: Path, state: State, base_url: str | None) -> Settings:
    """Read the settings of the run that submitted the batches."""
    from kinmo_annotate.describe.llm.batch import settings_of

    return settings_of(state.plan, dataset, base_url or state.base_url or None)


def _collected(dataset: Path, state: State, settings: Settings, api: Api) -> Report:
    """Collect the batches that ended; cache and archive are opened only where there is one."""
    from kinmo_annotate.describe.llm.answers import Answers, open_answers
    from kinmo_annotate.describe.llm.batch import collect
    from kinmo_annotate.describe.llm.prices import load_prices
    from kinmo_annotate.describe.llm.prompt import load_prompt

    opened: list[Answers] = []

    def answers() -> Answers:
        if not opened:
            opened.append(open_answers(dataset, settings.cache_dir))
        return opened[0]

    prompt = load_prompt(settings.asking.prompt)
    price = load_prices(settings.asking.prices).of(settings.asking.model)
    try:
        return collect(state, api, answers, prompt, price, budget_usd=settings.asking.budget_usd)
    finally:
        for one in opened:
            one.close()


def _submitted(state: State, api: Api, report: Report, as_json: bool) -> None:
    """Submit what waits; where the account has no room, wait for batches that are under way to end."""
    from kinmo_annotate.describe.llm.batch import BatchError, submit

    def held(chunk: Chunk) -> bool:
        return bool(chunk.past) and not report.batches and any(one.under_way for one in state.chunks)

    try:
        submit(state, api, held=held, tell=lambda text: _say(text, as_json))
    except BatchError as error:
        if error.kind != "limit" or not any(chunk.under_way for chunk in state.chunks):
            raise
        _say(f"the endpoint takes no more for now ({error.reason}); the rest waits", as_json)


def _write_rows(
    dataset: Path, state: State, base_url: str | None, stop: Callable[[], bool], as_json: bool
) -> Summary:
    """Run the pipeline again: it finds the answers, and may want more, as after a repair."""
    from kinmo_annotate.pipeline import annotate
    from kinmo_annotate.sources import open_source

    from ._progress import watch

    settings = _settings(dataset, state, base_url)
    mapping = state.plan.get("mapping")
    source = open_source(
        Path(state.plan["source"]), mapping=Path(mapping) if mapping else None, kind=state.plan.get("kind")
    )
    with watch(messages(), silent=as_json) as progress:
        return annotate(source, dataset, settings, progress=progress, stop=stop)


# ---------------------------------------------------------------- words


def _say(text: str, silent: bool) -> None:
    if not silent:
        messages().print(text, style="dim", markup=False, soft_wrap=True)


def _report(dataset: Path, state: State, total: Report, summary: Summary | None, as_json: bool) -> None:
    """Print what was collected, and what is left to do."""
    if as_json:
        values = total.as_json() | {"dataset": str(dataset), "outstanding": state.outstanding}
        print_json(values | {"summary": summary.as_json() if summary else None})
        return
    for line in _facts(total, summary):
        console().print(line, markup=False, soft_wrap=True)
    for batch_id, errors in total.failed.items():
        warn(f"batch {batch_id} failed: {'; '.join(errors[:5])}")
    if total.stop:
        warn(" ".join(total.stop))
    next_step = f"kinmo annotate batch collect {dataset} --wait"
    if state.goes_on:
        console().print(f"{state.outstanding} requests are outstanding: {next_step}", markup=False)
    elif summary and summary.submission and summary.submission.over_budget:
        left = summary.submission.over_budget
        warn(f"the budget leaves {left} requests out: run the same command again with a larger --budget.")
    elif summary and not summary.complete:
        warn("some motions have no answer: run the same `kinmo annotate run ... --batch` command again.")
    elif summary:
        console().print(f"next: kinmo dataset info {dataset}", markup=False, soft_wrap=True)


def _facts(total: Report, summary: Summary | None) -> list[str]:
    """Put a collection into words."""
    lines = [f"{total.answered} answers of {total.batches} batches collected"] if total.batches else []
    words = {
        "unusable": "answers could not be used",
        "again": "requests were put into a new batch",
        "given_up": "requests are given up",
        "dropped": "requests were cancelled or refused",
        "missing": "requests had no line in the files",
        "doubled": "lines came twice and were passed over",
        "unknown": "lines were of requests that nobody made and were passed over",
        "garbage": "lines could not be read and were passed over",
        "cut": "batches were too large for the account and are cut",
    }
    lines += [f"{getattr(total, name)} {text}" for name, text in words.items() if getattr(total, name)]
    if summary:
        paid = "" if summary.spent_usd is None else f", ${summary.spent_usd:.4f} paid so far"
        failures = len(summary.failures)
        lines.append(f"{summary.rows} of {summary.asked} motions written, {failures} failures{paid}")
    return lines


def _show(dataset: Path, state: State, as_json: bool) -> None:
    """Print the batches as a table."""
    batches = [_batch_json(chunk) for chunk in state.chunks]
    if as_json:
        values = {"dataset": str(dataset), "base_url": state.base_url, "outstanding": state.outstanding}
        given_up = len(state.given_up)
        print_json(values | {"given_up": given_up, "paused": state.paused, "batches": batches})
        return
    console().print(_table(dataset, batches))
    for batch in batches:
        for error in batch["errors"][:5]:
            warn(f"batch {batch['id'] or batch['tag']}: {error}")
    if state.paused:
        warn("nothing new is submitted before you run `kinmo annotate run ... --batch` again.")
    if state.goes_on:
        text = f"{state.outstanding} requests are outstanding: kinmo annotate batch collect {dataset} --wait"
        console().print(text, markup=False, soft_wrap=True)


def _batch_json(chunk: Chunk) -> dict[str, Any]:
    now = time.time()
    return {
        "id": chunk.batch_id,
        "tag": chunk.tag,
        "model": chunk.model,
        "status": _status_word(chunk),
        "requests": chunk.requests,
        "completed": chunk.completed,
        "failed": chunk.failed,
        "total": chunk.total,
        "age_s": round(now - chunk.created_at) if chunk.created_at else None,
        "expires_in_s": round(chunk.expires_at - now) if chunk.expires_at else None,
        "expected_usd": chunk.expected_usd,
        "errors": chunk.errors,
    }


def _status_word(chunk: Chunk) -> str:
    if chunk.pending:
        return "not submitted"
    return chunk.step if chunk.step in ("collected", "failed") else chunk.status


def _table(dataset: Path, batches: list[dict[str, Any]]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(f"Batches of {dataset}"))
    for name in ("batch", "status", "requests", "answered", "failed", "age", "expires in"):
        table.add_column(name, overflow="fold", justify="left" if name in ("batch", "status") else "right")
    for batch in batches:
        over = batch["status"] in ("collected", "failed", "completed", "expired", "cancelled")
        expiry = "" if over else _duration(batch["expires_in_s"])
        counts = [str(batch[name]) for name in ("requests", "completed", "failed")]
        name, status = escape(batch["id"] or batch["tag"]), escape(batch["status"])
        table.add_row(name, status, *counts, _duration(batch["age_s"]), expiry)
    return table


def _duration(seconds: int | None) -> str:
    """Say a time in hours and minutes."""
    if seconds is None:
        return ""
    hours, minutes = divmod(max(0, seconds) // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
