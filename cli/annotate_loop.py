"""`kinmo annotate loop`: round after round until the evaluators agree, then the rest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ._common import JsonOption, messages, print_json
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
from .annotate_agreement import GateOn
from .annotate_sample import fields_in, names_in

if TYPE_CHECKING:
    from kinmo_annotate.review.loop import Loop, Stop
    from kinmo_annotate.review.loop_plan import Plan

# Options that may be given again once a loop is begun: those that are kept then, and those of one call.
_OF_PLAN: Final = ("gate", "gate_on", "max_error_rate", "refiner", "batch")
_MOVED: Final = frozenset({*_OF_PLAN, "workers", "concurrency", "budget"})
_ANEW: Final = _MOVED | {"dataset", "base_url", "accept", "reject", "edited", "replace", "as_json"}


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
    max_error_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Nor may more of the judgements say wrong.")
    ] = 1.0,
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
    batch: Annotated[
        bool,
        typer.Option(
            "--batch/--at-once", help="Once the gate holds, hand the rest over to the batch API: cheaper."
        ),
    ] = False,
    workers: WorkersOption = 0,
    concurrency: ConcurrencyOption = 64,
    budget: BudgetOption = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go round until the evaluators agree: annotate a sample, review it, better the prompt; then the rest.

    It stops wherever a person is needed and says what to do; give the same command again to go on. Options
    are given once, when the loop begins; what no row depends on may be changed later: the gate, the budget,
    who refines. Samples are asked for at once, as people wait for them; --batch is for the rest.

    Example: [bold]kinmo annotate loop dataset --source HumanML3D --evaluators ann,bob[/bold], then always
    [bold]kinmo annotate loop dataset[/bold]
    """
    from kinmo_annotate.review.loop_plan import Plan
    from kinmo_annotate.settings import Asking, Settings

    asking = Asking(model, base_url, prompt, concurrency=concurrency, budget_usd=budget)
    settings = Settings(
        describer="openai", encoder=encoder, seed=seed, workers=workers, cache_dir=cache, asking=asking
    )
    names = names_in(evaluators)
    plan = Plan(
        settings, source, kind, mapping, motions, seed, fields_in(groups), names, gate, gate_on.value,
        max_error_rate=max_error_rate, refiner=refiner, batch=batch,
    )  # fmt: skip
    given = {name for name in context.params if _is_given(context, name)}
    plan = _plan(dataset, plan, given)
    decision = decision_of(accept, reject, edited, as_json)
    stop = _go(dataset, plan, replace, decision, as_json)
    if as_json:
        from dataclasses import asdict

        print_json(asdict(stop) | {"dataset": str(dataset)})
    else:
        print_todo(stop.what, list(stop.todo))


# ---------------------------------------------------------------- loop


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _plan(dataset: Path, plan: Plan, given: set[str]) -> Plan:
    """Begin the loop, or go on with it as it was begun; what no row depends on may be moved."""
    from kinmo_annotate.review.loop_plan import begin, is_begun, load_plan, save_plan

    if not is_begun(dataset):
        return begin(dataset, plan)
    late = sorted(given - _ANEW)
    if late:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in late)
        raise typer.BadParameter(f"the loop of {dataset} goes on as it was begun: leave out {names}")
    known = load_plan(dataset, plan.settings.asking.base_url)
    if given & _MOVED:
        known = _moved(known, plan, given)
        save_plan(dataset, known)
    return known


def _moved(known: Plan, now: Plan, given: set[str]) -> Plan:
    """Take over what was given anew of a plan that goes on."""
    from dataclasses import replace

    own = {name: getattr(now, name) for name in _OF_PLAN if name in given}
    names = {"concurrency": "concurrency", "budget": "budget_usd"}
    asking = {to: getattr(now.settings.asking, to) for name, to in names.items() if name in given}
    settings = replace(known.settings, asking=replace(known.settings.asking, **asking))
    if "workers" in given:
        settings = replace(settings, workers=now.settings.workers)
    return replace(known, settings=settings, **own)


def _go(dataset: Path, plan: Plan, replace: bool, decision: Decision | None, as_json: bool) -> Stop:
    """Go as far as it goes, with one decision of the user's on the way."""
    from kinmo_annotate.review.loop import DECIDE, Loop

    def tell(line: str) -> None:
        messages().print(plain(line), soft_wrap=True)

    with watched(as_json) as (progress, ending):
        moving = Loop(dataset, plan, replace, progress, ending, tell)
        stop = moving.go()
    if stop.step != DECIDE or not _decided(moving, stop, decision, as_json):
        return stop
    with watched(as_json) as (progress, ending):
        return Loop(dataset, plan, replace, progress, ending, tell).go()


def _decided(loop: Loop, stop: Stop, decision: Decision | None, as_json: bool) -> bool:
    """Show the proposal that waits, and take the decision; tell whether there is one to go on with."""
    from kinmo_annotate.review import proposals
    from kinmo_annotate.review.lineage import Lineage
    from kinmo_annotate.review.store import open_store

    lineage = Lineage(loop.dataset)
    version = lineage.version(str(stop.proposal))
    if not as_json:
        show_proposal(version, proposals.diff(lineage, version))
    if decision is None:
        return False
    with open_store(loop.dataset) as store:
        decided = decision(lineage, store.round(stop.round), version)
    return decided is not None and decided.status == "accepted"
