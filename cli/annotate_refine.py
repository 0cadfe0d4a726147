"""`kinmo annotate refine` and `loop`: a better prompt from what people found wrong, round after round."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ._common import JsonOption, console, ctrl_c, fail, messages, print_json, warn
from ._tables import plain

if TYPE_CHECKING:
    from kinmo_annotate.review.lineage import Lineage, Version
    from kinmo_annotate.review.loop import Loop, Stop
    from kinmo_annotate.review.loop_plan import Plan
    from kinmo_annotate.review.rounds import Round
    from kinmo_annotate.review.store import Store
    from kinmo_annotate.settings import Settings

_DECISION: Final = "Your decision"
_STYLES: Final = {"+++": "bold", "---": "bold", "@@": "cyan", "+": "green", "-": "red"}
_SHOWN: Final = ("sentences", "agreement", "kappa", "ac1", "error_rate")
# Options of `loop` that may be given again once it is begun.
_ANEW: Final = frozenset(
    {"dataset", "gate", "gate_on", "base_url", "refiner", "accept", "reject", "edited", "replace", "as_json"}
)


class GateOn(StrEnum):
    """Which figure over all sentences the gate is about."""

    kappa = "kappa"
    ac1 = "ac1"
    low_end = "low-end-of-interval"


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


def refine(
    dataset: Annotated[Path, typer.Argument(help="The dataset whose sentences were reviewed.")],
    round_name: Annotated[
        str | None, typer.Option("--round", help="Whose errors to answer; else the newest finished round.")
    ] = None,
    prompt: Annotated[
        Path | None, typer.Option(help="The prompt that wrote the sentences, where it was your own.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model that refines; else the one that wrote the sentences.")
    ] = None,
    base_url: UrlOption = None,
    accept: AcceptOption = False,
    reject: RejectOption = False,
    edited: EditedOption = None,
    lineage: Annotated[
        bool, typer.Option("--lineage", help="Show the versions of the prompt, and ask nothing.")
    ] = False,
    workers: WorkersOption = 0,
    concurrency: ConcurrencyOption = 64,
    budget: BudgetOption = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a language model propose the next prompt from what people found wrong, and open the next round.

    The proposal is shown as a diff and used only once you accept it (y), or change it in $EDITOR (e). Then
    the motions of the round are annotated with it, in DATASET/rounds, and opened as the next round.

    Example: [bold]kinmo annotate refine dataset[/bold], and in a script
    [bold]kinmo annotate refine dataset --accept --json[/bold]
    """
    from kinmo_annotate.review.lineage import Lineage
    from kinmo_annotate.review.store import open_store
    from kinmo_annotate.settings import Asking, Settings

    if lineage:
        _show_lineage(Lineage(dataset), as_json)
        return
    asking = Asking(base_url=base_url, concurrency=concurrency, budget_usd=budget)
    ways = Settings(describer="openai", workers=workers, cache_dir=cache, asking=asking)
    decision = _decision(accept, reject, edited, as_json)
    with open_store(dataset) as store:
        desk = _Desk(store, Lineage(dataset), _finished_round(store, round_name), ways, as_json)
        version = None if edited or reject else desk.accepted()
        if version is None:
            version = desk.proposal(prompt, model, ask=edited is None and not reject)
            version = desk.decide(version, decision)
        following = desk.open_next(version) if version and version.status == "accepted" else None
    _report_refined(desk, version, following, as_json)


def loop(
    context: typer.Context,
    dataset: Annotated[Path, typer.Argument(help="The dataset to make, or one that is annotated already.")],
    source: Annotated[
        Path | None, typer.Option("--source", help="Folder of the motions, where the loop begins.")
    ] = None,
    motions: Annotated[int, typer.Option(min=1, help="How many motions are reviewed.")] = 20,
    seed: Annotated[int, typer.Option(help="Of their draw, and of every choice of words.")] = 0,
    groups: Annotated[str, typer.Option(help="Groups and pairs to judge.")] = "left_leg,right_leg",
    evaluators: Annotated[str, typer.Option(help="Who judges, with commas between.")] = "a,b",
    gate: Annotated[float, typer.Option(help="The figure has to be above this.")] = 0.8,
    gate_on: Annotated[GateOn, typer.Option(help="Figure that the gate is about.")] = GateOn.kappa,
    model: Annotated[str, typer.Option(help="Model that writes the sentences.")] = "gpt-4o-mini",
    refiner: Annotated[str | None, typer.Option(help="Model that refines; else the same.")] = None,
    prompt: Annotated[Path | None, typer.Option(help="A prompt of your own to begin with.")] = None,
    base_url: UrlOption = None,
    encoder: Annotated[str, typer.Option(help="caption or sentence, as for annotate run.")] = "caption",
    kind: Annotated[str | None, typer.Option(help="humanml3d, bvh, amass or arrays; else detected.")] = None,
    mapping: Annotated[Path | None, typer.Option(help="For BVH: YAML from its joint names to ours.")] = None,
    accept: AcceptOption = False,
    reject: RejectOption = False,
    edited: EditedOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write rows anew that an older prompt wrote.")
    ] = False,
    workers: WorkersOption = 0,
    concurrency: ConcurrencyOption = 64,
    budget: BudgetOption = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go round until the evaluators agree: annotate a sample, review it, better the prompt; then the rest.

    It stops wherever a person is needed and says what to do; give the same command again to go on. Options
    are given once, when the loop begins.

    Example: [bold]kinmo annotate loop dataset --source HumanML3D --evaluators ann,bob[/bold], then always
    [bold]kinmo annotate loop dataset[/bold]
    """
    from kinmo_annotate.review.loop_plan import Plan
    from kinmo_annotate.settings import Asking, Settings

    asking = Asking(model, base_url, prompt, concurrency=concurrency, budget_usd=budget)
    settings = Settings(
        describer="openai", encoder=encoder, seed=seed, workers=workers, cache_dir=cache, asking=asking
    )
    names = tuple(name for part in evaluators.split(",") if (name := part.strip()))
    plan = Plan(
        settings, source, kind, mapping, motions, seed, _fields(groups), names, gate, gate_on.value
    )  # fmt: skip
    given = {name for name in context.params if _is_given(context, name)}
    plan = _plan(dataset, plan, given)
    decision = _decision(accept, reject, edited, as_json)
    stop = _go(dataset, plan, refiner, replace, decision, as_json)
    if as_json:
        from dataclasses import asdict

        print_json(asdict(stop) | {"dataset": str(dataset)})
    else:
        _print_stop(stop)


# ---------------------------------------------------------------- deciding

Decision = Callable[["Lineage", "Round", "Version"], "Version | None"]


def _decision(accept: bool, reject: bool, edited: Path | None, as_json: bool) -> Decision | None:
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


# ---------------------------------------------------------------- refine


class _Desk:
    """The refining of one round."""

    def __init__(self, store: Store, lineage: Lineage, round: Round, ways: Settings, as_json: bool) -> None:
        self.store, self.lineage, self.round, self.ways = store, lineage, round, ways
        self.as_json = as_json
        self.diff: list[str] = []

    def accepted(self) -> Version | None:
        """Give the version that was accepted before, so that a call that was cut off goes on from there."""
        from kinmo_annotate.review import proposals

        waiting = proposals.pending(self.lineage, self.round)
        return None if waiting else proposals.accepted(self.lineage, self.round)

    def proposal(self, prompt: Path | None, model: str | None, *, ask: bool) -> Version | None:
        """Give the proposal that waits, or ask for one and show it."""
        from kinmo_annotate.review import proposals

        found = proposals.measured(self.store, self.lineage, self.round, prompt)
        version = proposals.pending(self.lineage, self.round)
        if version is None and ask:
            version, brought = proposals.ask(self.store, self.lineage, found, self.ways, model)
            paid = "price not known" if brought.cost_usd is None else f"${brought.cost_usd:.4f}"
            how = "from the archive" if brought.archived else paid
            messages().print(f"asked {brought.model}: {how}", style="dim", markup=False)
        if version is not None:
            self.diff = proposals.diff(self.lineage, version)
            if not self.as_json:
                _show_proposal(version, self.diff)
        return version

    def decide(self, version: Version | None, decision: Decision | None) -> Version | None:
        """Take the decision; without one the proposal waits."""
        if decision is None:
            return version
        decided = decision(self.lineage, self.round, version)  # type: ignore[arg-type]
        return decided or version

    def open_next(self, version: Version) -> Round:
        """Annotate the round's motions with the new prompt and open them as the next round, once."""
        from kinmo_annotate.review.rewrite import open_next_round

        from ._progress import watch

        for round in self.store.rounds():
            if round.parent == self.round.name and round.prompt_version == version.fingerprint:
                return round
        prompt = self.lineage.file(version.fingerprint)
        with ctrl_c("shard") as interrupted, watch(messages(), silent=self.as_json) as progress:
            return open_next_round(
                self.store, self.round, prompt, self.ways, progress=progress, stop=interrupted.is_set
            )[0]


def _finished_round(store: Store, name: str | None) -> Round:
    """Give the round asked for, or the newest that all have finished."""
    rounds = [store.round(name)] if name else store.rounds()
    done = [one for one in rounds if set(one.evaluators) <= store.finished(one.name)]
    if not done:
        what = f"round {name}" if name else f"every round of {store.dataset}"
        where = (
            f"kinmo annotate review {store.dataset}" if rounds else f"kinmo annotate sample {store.dataset}"
        )
        fail(f"{what} waits for evaluators" if rounds else f"{store.dataset} has no round", f"Next: {where}")
    return done[-1]


def _report_refined(desk: _Desk, version: Version | None, following: Round | None, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        told = {"round": desk.round.name, "version": asdict(version) if version else None}
        opened = following and {"name": following.name, "dataset": str(following.dataset)}
        print_json(told | {"diff": desk.diff, "next_round": opened})
        return
    if following:
        line = (
            f"{following.name} is open: {len(following.items)} sentences, prompt {following.prompt_version}."
        )
        todo = [f"kinmo annotate review {desk.store.dataset} --round {following.name}"]
    else:
        status = version.status if version else "none"
        line = f"The proposal for {desk.round.name} is {status}."
        again = f"kinmo annotate refine {desk.store.dataset}"
        todo = [f"{again} --accept, or --edited FILE, or --reject"] if status == "proposed" else [again]
    _print_todo(line, todo)


def _show_proposal(version: Version, diff: list[str]) -> None:
    """Print what a proposal changes, and why its author says so."""
    for line in diff:
        style = next((style for mark, style in _STYLES.items() if line.startswith(mark)), "")
        console().print(plain(line, style), soft_wrap=True)
    for change in version.changes:
        console().print(plain(f"- {change.what} Why: {change.why}"), soft_wrap=True)


def _show_lineage(lineage: Lineage, as_json: bool) -> None:
    """Print the versions as a tree, with how the rounds turned out that were judged with them."""
    if as_json:
        print_json({"versions": lineage.as_json()})
        return
    if not lineage.versions:
        console().print(plain(f"{lineage.folder} has no version of a prompt yet."))
    for depth, one in lineage.tree():
        after = f", after {one.round}" if one.round else ""
        head = f"{'  ' * depth}{one.fingerprint}: {one.status}, by {one.author}{after}, {one.created_at[:10]}"
        console().print(plain(head, "bold" if one.status == "accepted" else "dim"), soft_wrap=True)
        for round, figures in one.figures.items():
            told = ", ".join(f"{name} {_number(figures.get(name))}" for name in _SHOWN)
            console().print(plain(f"{'  ' * depth}  {round}: {told}"), soft_wrap=True)
        for change in one.changes:
            console().print(plain(f"{'  ' * depth}  - {change.what}"), soft_wrap=True)


def _number(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.2f}"


# ---------------------------------------------------------------- loop


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _fields(groups: str) -> tuple[str, ...]:
    from .annotate_sample import _fields as read

    return read(groups)


def _plan(dataset: Path, plan: Plan, given: set[str]) -> Plan:
    """Begin the loop, or go on with it as it was begun; the gate alone may be moved."""
    from dataclasses import replace

    from kinmo_annotate.review.loop_plan import begin, is_begun, load_plan, save_plan

    if not is_begun(dataset):
        return begin(dataset, plan)
    late = sorted(given - _ANEW)
    if late:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in late)
        raise typer.BadParameter(f"the loop of {dataset} goes on as it was begun: leave out {names}")
    known = load_plan(dataset, plan.settings.asking.base_url)
    moved = {name: getattr(plan, name) for name in ("gate", "gate_on") if name in given}
    if moved:
        known = replace(known, **moved)
        save_plan(dataset, known)
    return known


def _go(
    dataset: Path, plan: Plan, refiner: str | None, replace: bool, decision: Decision | None, as_json: bool
) -> Stop:
    """Go as far as it goes, with one decision of the user's on the way."""
    from kinmo_annotate.review.loop import DECIDE, Loop

    from ._progress import watch

    def tell(line: str) -> None:
        messages().print(plain(line), soft_wrap=True)

    with ctrl_c("shard") as interrupted, watch(messages(), silent=as_json) as progress:
        moving = Loop(dataset, plan, refiner, replace, progress, interrupted.is_set, tell)
        stop = moving.go()
    if stop.step != DECIDE or not _decided(moving, stop, decision, as_json):
        return stop
    with ctrl_c("shard") as interrupted, watch(messages(), silent=as_json) as progress:
        return Loop(dataset, plan, refiner, replace, progress, interrupted.is_set, tell).go()


def _decided(loop: Loop, stop: Stop, decision: Decision | None, as_json: bool) -> bool:
    """Show the proposal that waits, and take the decision; tell whether there is one to go on with."""
    from kinmo_annotate.review import proposals
    from kinmo_annotate.review.lineage import Lineage
    from kinmo_annotate.review.store import open_store

    lineage = Lineage(loop.dataset)
    version = lineage.version(str(stop.proposal))
    if not as_json:
        _show_proposal(version, proposals.diff(lineage, version))
    if decision is None:
        return False
    with open_store(loop.dataset) as store:
        decided = decision(lineage, store.round(stop.round), version)
    return decided is not None and decided.status == "accepted"


def _print_stop(stop: Stop) -> None:
    _print_todo(stop.what, list(stop.todo))


def _print_todo(line: str, todo: list[str]) -> None:
    console().print(plain(line, "bold"), soft_wrap=True)
    for number, one in enumerate(todo, 1):
        console().print(plain(f"  {number}. {one}" if len(todo) > 1 else f"  next: {one}"), soft_wrap=True)
