"""The loop: two simulated evaluators with known error rates, three rounds, a faulty endpoint, the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinmo_annotate.describe.llm.prompt import load_prompt
from kinmo_annotate.review import loop as loops
from kinmo_annotate.review import proposals
from kinmo_annotate.review.lineage import ACCEPTED, Lineage
from kinmo_annotate.review.loop import Loop, Stop
from kinmo_annotate.review.loop_plan import Plan, begin, is_begun, load_plan
from kinmo_annotate.review.refine import SCHEMA_NAME
from kinmo_annotate.review.rewrite import rows_of
from kinmo_annotate.review.rounds import ADJUDICATION, Round
from kinmo_annotate.review.store import CORRECT, WRONG, Judgement, open_store
from kinmo_annotate.schema.shards import read_rows
from kinmo_annotate.settings import Asking, Settings

MOTIONS = 20
MARKS = {2: "Say when it happens, in words that can be checked.", 3: "Name the side and the way, always."}
# What the describer answers, by version of the prompt: from the third on every sentence can be checked.
CLEAR = {
    "left_leg": "The left leg lifts once at about 0.5 s.",
    "right_leg": "The right leg stays where it is.",
}
ANSWERS = {2: {"left_leg": CLEAR["left_leg"]}, 3: CLEAR}
# How often an evaluator errs about a sentence: one that is vague is a toss-up, a clear one is not.
ERRS = {"vague": 0.5, "clear": 0.01}


def system_of(version: int) -> str:
    """The System section of the version that the refining model proposes."""
    added = "".join(f"\n{11 + number}. {MARKS[number]}" for number in range(2, version + 1))
    return load_prompt().system.replace("no line breaks.", f"no line breaks.{added}", 1)


def script() -> list[dict[str, Any]]:
    """Proposals for two rounds, then better sentences once the new words are in the request."""
    proposed = [
        {
            "containing": SCHEMA_NAME,
            "times": 1,
            "answers": {"system": system_of(version), "changes": [{"what": MARKS[version], "why": "vague"}]},
        }
        for version in (2, 3)
    ]
    better = [{"containing": MARKS[v], "answers": ANSWERS[v]} for v in (3, 2)]
    return proposed + better


def is_true(motion_id: str, field: str) -> bool:
    """What the motion really shows, as far as the simulated evaluators are concerned."""
    return sum(f"{motion_id} {field}".encode()) % 2 == 0


class Evaluator:
    """Judges with known error rates, from the sentences that the round's rows hold."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.random = name, np.random.default_rng(seed)

    def judge(self, dataset: Path, round: Round) -> None:
        rows = rows_of(round.dataset, round.motion_ids)
        with open_store(dataset) as store:
            for motion_id, field in round.items:
                sentence = rows[motion_id].descriptions[field]
                rate = ERRS["clear" if sentence in CLEAR.values() else "vague"]
                right = is_true(motion_id, field) != (self.random.random() < rate)
                store.save(said(round, self.name, (motion_id, field), right, sentence))
            store.finish(round.name, self.name)


def said(round: Round, who: str, item: tuple[str, str], right: bool, sentence: str) -> Judgement:
    verdict, category = (CORRECT, "") if right else (WRONG, "timing")
    note = "" if right else "it does not say when"
    return Judgement(round.name, who, *item, verdict, category, note, sentence)


def settle(dataset: Path, name: str) -> int:
    """Adjudicate every disagreement by the truth."""
    with open_store(dataset) as store:
        round = store.round(name)
        first, second = store.both(name).values()
        differing = [item for item in round.items if first[item].verdict != second[item].verdict]
        for item in differing:
            store.save(said(round, ADJUDICATION, item, is_true(*item), first[item].sentence))
    return len(differing)


@pytest.fixture
def settings(endpoint, tmp_path, quick_encoder):
    server = endpoint(script=script(), fields=None, faults={"error_500": 0.05}, retry_after_s=0.05)
    asking = Asking(base_url=server.url, concurrency=8, timeout_s=20)
    return Settings(describer="openai", workers=1, cache_dir=tmp_path / "cache", asking=asking)


def walk(dataset: Path, plan: Plan, evaluators: list[Evaluator]) -> list[Stop]:
    """Go round, doing at each stop what it asks of people; the loop is read from the disk each time."""
    stops = []
    while not stops or stops[-1].step != loops.DONE:
        assert len(stops) < 12, stops
        stop = Loop(dataset, load_plan(dataset) if is_begun(dataset) else begin(dataset, plan)).go()
        stops.append(stop)
        assert stop.step == loops.DONE or stop.todo
        if stop.step == loops.REVIEW:
            with open_store(dataset) as store:
                round = store.round(stop.round)
            for one in evaluators:
                one.judge(dataset, round)
        elif stop.step == loops.ADJUDICATE:
            assert settle(dataset, stop.round) > 0
        elif stop.step == loops.DECIDE:
            with open_store(dataset) as store:
                proposals.accept(Lineage(dataset), store.round(stop.round))
    return stops


@pytest.mark.slow
def test_two_evaluators_reach_the_gate_in_three_rounds(settings, make_folder, tmp_path):
    source, dataset = make_folder(30), tmp_path / "dataset"
    plan = Plan(settings, source, motions=MOTIONS, seed=3)
    stops = walk(dataset, plan, [Evaluator("a", 4), Evaluator("b", 5)])

    steps = [stop.step for stop in stops]
    unhappy = [loops.REVIEW, loops.ADJUDICATE, loops.DECIDE]
    assert steps == [*unhappy, *unhappy, loops.REVIEW, loops.DONE]
    assert [stop.round for stop in stops if stop.step == loops.REVIEW] == ["round-1", "round-2", "round-3"]
    values = [stop.gate_value for stop in stops if stop.step in (loops.DECIDE, loops.DONE)]
    assert all(value is not None for value in values)
    assert values[0] < 0.5 < 0.8 < values[2]

    lineage = Lineage(dataset)
    versions = list(lineage.versions.values())
    assert [one.parent for one in versions] == [None, *(one.fingerprint for one in versions[:2])]
    assert [one.round for one in versions] == [None, "round-1", "round-2"]
    assert [one.author for one in versions] == ["kinmo", "model gpt-4o-mini", "model gpt-4o-mini"]
    assert all(one.status == ACCEPTED and one.decided_at for one in versions)
    assert [list(one.figures) for one in versions] == [["round-1"], ["round-2"], ["round-3"]]
    assert [one.figures[f"round-{n}"]["kappa"] for n, one in enumerate(versions, 1)][-1] > 0.8
    for number, one in enumerate(versions[1:], 2):
        assert lineage.prompt(one.fingerprint).system == system_of(number)

    with open_store(dataset) as store:
        rounds = store.rounds()
    assert [one.parent for one in rounds] == [None, "round-1", "round-2"]
    assert len({one.motion_ids for one in rounds}) == 1
    for round, version in zip(rounds, versions, strict=True):
        assert round.prompt_version == version.fingerprint
        wrote = {row.provenance.prompt_version for row in read_rows(round.dataset)}
        assert wrote == {version.fingerprint}, "rows carry the version that wrote them"

    rows = list(read_rows(dataset))
    assert len(rows) == 30
    assert {row.provenance.prompt_version for row in rows} == {versions[-1].fingerprint}
    assert {row.descriptions["left_leg"] for row in rows} == {CLEAR["left_leg"]}
