"""`kinmo annotate refine`: a better prompt from what people found wrong, and the next round with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ._common import JsonOption, console, fail, messages, print_json
from ._refining import (
    AcceptOption,
    BudgetOption,
    CacheOption,
    ConcurrencyOption,
    Decision,
    EditedOption,
    RejectOption,
    UrlOption,
    WorkersOption,
    decision_of,
    print_todo,
    show_proposal,
    watched,
)
from ._tables import plain

if TYPE_CHECKING:
    from kinmo_annotate.review.lineage import Lineage, Version
    from kinmo_annotate.review.rounds import Round
    from kinmo_annotate.review.store import Store
    from kinmo_annotate.settings import Settings

_SHOWN: Final = ("sentences", "agreement", "kappa", "ac1", "error_rate")


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
    decision = decision_of(accept, reject, edited, as_json)
    with open_store(dataset) as store:
        desk = _Desk(store, Lineage(dataset), _finished_round(store, round_name), ways, as_json)
        version = None if edited or reject else desk.accepted()
        if version is None:
            version = desk.proposal(prompt, model, ask=edited is None and not reject)
            version = desk.decide(version, decision)
        following = desk.open_next(version) if version and version.status == "accepted" else None
    _report_refined(desk, version, following, as_json)


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
        from kinmo_annotate.review.rewrite import settings_like, within_budget

        settings_like(self.round.dataset, self.ways)  # tells it now where rules wrote the sentences
        found = proposals.measured(self.store, self.lineage, self.round, prompt)
        version = proposals.pending(self.lineage, self.round)
        if version is None and ask:
            ways = within_budget(self.store.dataset, self.ways)
            version, brought = proposals.ask(self.store, self.lineage, found, ways, model)
            paid = "price not known" if brought.cost_usd is None else f"${brought.cost_usd:.4f}"
            how = "from the archive" if brought.archived else paid
            messages().print(f"asked {brought.model}: {how}", style="dim", markup=False)
        if version is not None:
            self.diff = proposals.diff(self.lineage, version)
            if not self.as_json:
                show_proposal(version, self.diff)
        return version

    def decide(self, version: Version | None, decision: Decision | None) -> Version | None:
        """Take the decision; without one the proposal waits."""
        if decision is None:
            return version
        decided = decision(self.lineage, self.round, version)  # type: ignore[arg-type]
        return decided or version

    def open_next(self, version: Version) -> Round:
        """Annotate the round's motions with the new prompt and open them as the next round, once."""
        from kinmo_annotate.review.rewrite import next_name, open_next_round, within_budget

        for round in self.store.rounds():
            if round.parent == self.round.name and round.prompt_version == version.fingerprint:
                return round
        prompt = self.lineage.file(version.fingerprint)
        name = next_name(self.store, self.round.name)
        ways = within_budget(self.store.dataset, self.ways, name)
        with watched(self.as_json) as (progress, stop):
            return open_next_round(
                self.store, self.round, prompt, ways, name=name, progress=progress, stop=stop
            )[0]


def _finished_round(store: Store, name: str | None) -> Round:
    """Give the round asked for, or the newest that all have finished."""
    store.newest()  # tells it now where there is none
    rounds = [store.round(name)] if name else store.rounds()
    done = [one for one in rounds if set(one.evaluators) <= store.finished(one.name)]
    if not done:
        what = f"round {name}" if name else f"every round of {store.dataset}"
        fail(f"{what} waits for evaluators", f"Next: kinmo annotate review {store.dataset}")
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
    print_todo(line, todo)


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
