"""The loop: a sample is annotated and reviewed and the prompt bettered until evaluators agree; then the rest.

    annotate the sample -> REVIEW -> agreement -> the gate holds -> annotate the rest [-> COLLECT] -> DONE
                                          |
                                          v
              annotate the sample anew <- DECIDE <- refine <- ADJUDICATE

It stops at each step that is a person's (in capitals), and says what to do. The rest may go through the batch
API, and is collected later; a sample is always asked for at once, since people wait for it.

What has happened is read from the disk each time: the plan in `DATASET/rounds/loop.json`, the store of
judgements, the lineage of prompts and the manifests. So it may be killed anywhere, and every step that was
done is done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from kinmo_annotate.dataset.read import ROUNDS_DIR
from kinmo_annotate.describe.llm.batch import load_state, plan_of
from kinmo_annotate.pipeline import Progress, Summary, annotate
from kinmo_annotate.resume import locked
from kinmo_annotate.review import proposals
from kinmo_annotate.review.agreement import Agreement, gated, holds
from kinmo_annotate.review.disputes import count_unsettled
from kinmo_annotate.review.faults import gather
from kinmo_annotate.review.lineage import Lineage, ensure_root
from kinmo_annotate.review.loop_plan import Plan
from kinmo_annotate.review.rewrite import (
    SomeOf,
    next_name,
    open_next_round,
    open_round,
    within_budget,
)
from kinmo_annotate.review.rounds import Round, sample_round
from kinmo_annotate.review.store import Store, open_store
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import Manifest
from kinmo_annotate.settings import ASKING_DESCRIBER, Settings
from kinmo_annotate.sources import MotionSource, open_source

REVIEW: Final = "review"
ADJUDICATE: Final = "adjudicate"
DECIDE: Final = "decide"
UNDEFINED: Final = "undefined"
REPLACE: Final = "replace"
COLLECT: Final = "collect"
DONE: Final = "done"


@dataclass(frozen=True, slots=True)
class Stop:
    """Where the loop stands.

    Attributes:
        step: one of REVIEW, ADJUDICATE, DECIDE, UNDEFINED, REPLACE, COLLECT, DONE.
        round: name of the round in hand.
        what: the state, in a sentence.
        todo: what to do, a command or a sentence each.
        prompt_version: that wrote the round's sentences.
        proposal: the version to decide on, if one waits.
        gate_value: the figure that the gate is about; None before it is known or where it is undefined.
        error_rate: share of the judgements that say wrong; None before the round is judged.
    """

    step: str
    round: str
    what: str
    todo: tuple[str, ...] = ()
    prompt_version: str = ""
    proposal: str | None = None
    gate_value: float | None = None
    error_rate: float | None = None


@dataclass(slots=True)
class Loop:
    """The loop of one dataset.

    Attributes:
        dataset: its folder.
        plan: how it was begun.
        replace_rows: rows of DATASET that an older prompt wrote may be written anew.
        progress: told of annotations.
        stop: asked whether to end early.
        tell: told of each step that was done.
    """

    dataset: Path
    plan: Plan
    replace_rows: bool = False
    progress: Progress | None = None
    stop: Callable[[], bool] = lambda: False
    tell: Callable[[str], None] = lambda line: None
    _lineage: Lineage = field(init=False)

    def go(self) -> Stop:
        """Do what can be done without a person.

        Raises:
            MotionError: asking ended early, or something cannot be used.
            DatasetError: something cannot be read or written, or another loop is at work here.
        """
        folder = self.dataset / ROUNDS_DIR
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder), open_store(self.dataset) as store:
            self._lineage = Lineage(self.dataset)
            while True:
                stop = self._step(store)
                if stop is not None:
                    return stop

    def _step(self, store: Store) -> Stop | None:
        """Do one step; tell where a person is needed, or that all is done."""
        round = self._newest(store)
        if round is None:
            self._first_round(store)
            return None
        waiting = [name for name in round.evaluators if name not in store.finished(round.name)]
        if waiting:
            return self._review(store, round, waiting)
        found = proposals.measured(store, self._lineage, round, self.plan.settings.asking.prompt)
        stop = self._judged(store, found)
        return stop and replace(stop, error_rate=found.overall.error_rate.value)

    def _judged(self, store: Store, found: Agreement) -> Stop | None:
        """Go on from a round that all have finished."""
        plan, round, value = self.plan, found.round, gated(found, self.plan.gate_on)
        wrong = found.overall.error_rate.value
        if holds(found, plan.gate, plan.gate_on) and wrong <= plan.max_error_rate:
            what = f"the gate holds, {plan.gate_on} {value:.2f} > {plan.gate:g}"
            self.tell(f"{round.name}: {what}; {wrong:.0%} of the judgements say wrong")
            return self._rest(round, value)
        next_one = proposals.accepted(self._lineage, round)
        if next_one is not None:
            self._next_round(store, round, next_one.fingerprint)
            return None
        return self._refine(store, found, value)

    # ------------------------------------------------------------ rounds

    def _newest(self, store: Store) -> Round | None:
        """Follow the rounds from the first of this loop to the last."""
        chain: dict[str, Round] = {}
        for one in store.rounds():
            if one.name == self.plan.first or one.parent in chain:
                chain[one.name] = one
        return list(chain.values())[-1] if chain else None

    def _first_round(self, store: Store) -> None:
        plan = self.plan
        if Manifest.load(self.dataset).rows:
            drawn = sample_round(
                self.dataset, name=plan.first, motions=plan.motions, seed=plan.seed, fields=plan.fields,
                evaluators=plan.evaluators,
            )  # fmt: skip
            store.add_round(drawn)
            self.tell(f"{drawn.name}: {len(drawn.motion_ids)} motions drawn from {self.dataset}")
            return
        source = self._source()
        chosen = draw([entry.motion_id for entry in source.entries()], plan.motions, plan.seed)
        wanted = Round(plan.first, self.dataset, chosen, plan.fields, "", plan.seed, plan.evaluators)
        some = SomeOf(source, frozenset(chosen), source.name)
        settings = within_budget(self.dataset, plan.settings, plan.first)
        round, summary = open_round(store, wanted, some, settings, progress=self.progress, stop=self.stop)
        ensure_root(self._lineage, round.prompt_version, plan.settings.asking.prompt)
        self._tell_of(round, summary)

    def _next_round(self, store: Store, round: Round, fingerprint: str) -> None:
        name = next_name(store, round.name)
        ways = within_budget(self.dataset, self.plan.settings, name)
        prompt = self._lineage.file(fingerprint)
        opened, summary = open_next_round(
            store, round, prompt, ways, name=name, progress=self.progress, stop=self.stop
        )
        self._tell_of(opened, summary)

    def _tell_of(self, round: Round, summary: Summary) -> None:
        left_out = f", {len(summary.failures)} could not be" if summary.failures else ""
        self.tell(
            f"{round.name}: {len(round.motion_ids)} motions annotated with {round.prompt_version}{left_out}"
        )

    # ------------------------------------------------------------ what people do

    def _review(self, store: Store, round: Round, waiting: list[str]) -> Stop:
        judged = {
            name: sum(bool(one.verdict) for one in store.current(round.name, name).values())
            for name in waiting
        }
        each = ", ".join(f"{name} ({count} of {len(round.items)} judged)" for name, count in judged.items())
        what = f"{round.name} waits for {each}."
        todo = (f"kinmo annotate review {self.dataset} --round {round.name}", self._go_on())
        return Stop(REVIEW, round.name, what, todo, round.prompt_version)

    def _refine(self, store: Store, found: Agreement, value: float) -> Stop | None:
        """Ask for a better prompt, once all disagreements are settled."""
        round, number = found.round, None if value != value else value
        gate = f"{self.plan.gate_on} is {value:.2f} and has to be above {self.plan.gate:g}"
        if holds(found, self.plan.gate, self.plan.gate_on):
            wrong = found.overall.error_rate.value
            gate = f"{wrong:.0%} of the judgements say wrong, and {self.plan.max_error_rate:.0%} may"
        unsettled = count_unsettled(store, round)
        if unsettled:
            what = f"{round.name}: {gate}. {unsettled} disagreements are not settled."
            todo = (f"kinmo annotate review {self.dataset} --round {round.name}", self._go_on())
            return Stop(ADJUDICATE, round.name, what, todo, round.prompt_version, None, number)
        waiting = proposals.pending(self._lineage, round)
        if waiting is None:
            if not gather(store, round).faults:
                return self._undefined(round, gate, number)
            ways = within_budget(self.dataset, self.plan.settings)
            version, _ = proposals.ask(store, self._lineage, found, ways, self.plan.refiner)
            self.tell(f"{round.name}: {gate}. {version.author} proposes {version.fingerprint}")
            return None
        what = f"{round.name}: {gate}. The proposed prompt {waiting.fingerprint} waits for your decision."
        todo = (
            f"kinmo annotate refine {self.dataset} shows it",
            f"{self._go_on()} --accept, or --edited FILE, or --reject to ask for another",
        )
        return Stop(DECIDE, round.name, what, todo, round.prompt_version, waiting.fingerprint, number)

    def _undefined(self, round: Round, gate: str, number: float | None) -> Stop:
        """Nobody found anything wrong, so that nothing can be refined, and kappa says little or nothing."""
        what = f"{round.name}: {gate}, though no sentence was found wrong."
        todo = (
            "Kappa says little of labels that are nearly all alike; Gwet's AC1 bears them:",
            f"{self._go_on()} --gate-on ac1",
        )
        return Stop(UNDEFINED, round.name, what, todo, round.prompt_version, None, number)

    def _go_on(self) -> str:
        return f"kinmo annotate loop {self.dataset}"

    # ------------------------------------------------------------ the rest

    def _rest(self, round: Round, value: float) -> Stop:
        """Annotate everything with the prompt that the evaluators agreed about."""
        version, manifest = round.prompt_version, Manifest.load(self.dataset)
        same = manifest.prompt_version == version
        if not (same and manifest.settings.get("complete")):
            refusal = self._not_without_asking(manifest, version)
            if refusal:
                return Stop(REPLACE, round.name, *refusal, version, None, value)
            batches = load_state(self.dataset)
            if same and batches and batches.goes_on:
                return self._collect(round, value, batches.outstanding)
            summary = self._annotate_rest(version, anew=not same)
            if summary.submission and summary.submission.outstanding:
                return self._collect(round, value, summary.submission.outstanding)
            if summary.halted:
                raise MotionError(str(self.dataset), summary.halted.reason, summary.halted.remedy)
            if not summary.complete:
                raise MotionError(str(self.dataset), "was stopped before its end", f"Run {self._go_on()}")
            self.tell(f"{summary.rows} of {summary.asked} motions annotated with {version}")
        what = f"{round.name}: the gate holds. {Manifest.load(self.dataset).rows} rows, prompt {version}."
        todo = (f"kinmo annotate reviews {self.dataset}",)
        return Stop(DONE, round.name, what, todo, version, None, value)

    def _annotate_rest(self, version: str, *, anew: bool) -> Summary:
        """Ask for the sentences of all motions, or hand the requests over to the batch API."""
        settings = within_budget(self.dataset, self._with_prompt(version))
        plan = None
        if self.plan.batch and self.plan.source is not None:
            settings = replace(settings, asking=replace(settings.asking, mode="batch"))
            plan = plan_of(self.plan.source, self.plan.kind, self.plan.mapping, settings)
        return annotate(
            self._source(), self.dataset, settings, progress=self.progress, stop=self.stop, force=anew,
            batch_plan=plan,
        )  # fmt: skip

    def _collect(self, round: Round, value: float, outstanding: int) -> Stop:
        what = f"{round.name}: the gate holds. {outstanding} requests are with the batch API."
        todo = (f"kinmo annotate batch collect {self.dataset} --wait", self._go_on())
        return Stop(COLLECT, round.name, what, todo, round.prompt_version, None, value)

    def _not_without_asking(self, manifest: Manifest, version: str) -> tuple[str, tuple[str, ...]] | None:
        """Say why the rest is not annotated at once; None where it may be."""
        if self.plan.source is None:
            command = f"kinmo annotate run SRC --out NEW --describer {ASKING_DESCRIBER}"
            what = f"The gate holds. The loop does not know the source of {self.dataset}."
            return what, (f"{command} --prompt {self._lineage.file(version)}",)
        if manifest.rows and manifest.prompt_version != version and not self.replace_rows:
            what = (
                f"The gate holds. The {manifest.rows} rows of {self.dataset} were written with"
                f" {manifest.prompt_version} and would be written anew with {version}."
            )
            return what, (f"{self._go_on()} --replace",)
        return None

    def _with_prompt(self, version: str) -> Settings:
        """The settings of the rest: those of the first round, and the words of the last."""
        settings = self.plan.settings
        return replace(settings, asking=replace(settings.asking, prompt=self._lineage.file(version)))

    def _source(self) -> MotionSource:
        if self.plan.source is None:
            raise MotionError(str(self.dataset), "has no rows yet", "Name the motions with --source.")
        return open_source(self.plan.source, mapping=self.plan.mapping, kind=self.plan.kind)


def draw(motion_ids: list[str], motions: int, seed: int) -> tuple[str, ...]:
    """Draw motions; the same seed draws the same, in the same order, as `sample_round`.

    Raises:
        MotionError: there are fewer.
    """
    if not 1 <= motions <= len(motion_ids):
        reason = f"lists {len(motion_ids)} motions, and {motions} are to be drawn"
        raise MotionError("--source", reason, "Ask for fewer with --motions.")
    digests = {one: hashlib.sha256(f"{seed} {one}".encode("utf-8", "backslashreplace")) for one in motion_ids}
    return tuple(sorted(digests, key=lambda one: digests[one].digest())[:motions])
