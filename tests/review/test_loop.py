"""The loop: two simulated evaluators with known error rates, three rounds, a faulty endpoint, the gate."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinmo_annotate.dataset import info, validate
from kinmo_annotate.describe.llm.prompt import load_prompt
from kinmo_annotate.pipeline import annotate
from kinmo_annotate.resume import locked
from kinmo_annotate.review import loop as loops
from kinmo_annotate.review import proposals
from kinmo_annotate.review.lineage import ACCEPTED, Lineage
from kinmo_annotate.review.loop import Loop, Stop, draw
from kinmo_annotate.review.loop_plan import Plan, begin, is_begun, load_plan
from kinmo_annotate.review.refine import SCHEMA_NAME
from kinmo_annotate.review.rewrite import rows_of, spent_usd
from kinmo_annotate.review.rounds import ADJUDICATION, Round, sample_round
from kinmo_annotate.review.store import CORRECT, WRONG, Judgement, open_store
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import DatasetError, Manifest, read_rows
from kinmo_annotate.settings import Asking, Settings
from kinmo_annotate.sources import open_source

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


def judge_all(dataset: Path, name: str, wrong: int) -> None:
    """Let both find the first so many sentences wrong, and one of them one more."""
    with open_store(dataset) as store:
        round = store.round(name)
        rows = rows_of(round.dataset, round.motion_ids)
        for who in round.evaluators:
            for number, (motion_id, field) in enumerate(round.items):
                right = number >= wrong + (who == "a" and wrong > 1)
                sentence = rows[motion_id].descriptions[field]
                store.save(said(round, who, (motion_id, field), right, sentence))
            store.finish(name, who)


def decide(dataset: Path, stop: Stop) -> None:
    with open_store(dataset) as store:
        proposals.accept(Lineage(dataset), store.round(stop.round))


@pytest.fixture
def server(endpoint):
    return endpoint(script=script(), fields=None, faults={"error_500": 0.05}, retry_after_s=0.05)


@pytest.fixture
def settings(server, tmp_path, quick_encoder):
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
            decide(dataset, stop)
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


# ---------------------------------------------------------------- cut off, and begun otherwise


class Crash(BaseException):
    """The end of the process, as far as a test can play it."""


def begun(dataset: Path, plan: Plan) -> Loop:
    """The loop as a new process finds it."""
    return Loop(dataset, load_plan(dataset) if is_begun(dataset) else begin(dataset, plan))


@pytest.mark.slow
def test_crashes_at_any_file_cost_nothing(settings, server, make_folder, tmp_path, monkeypatch):
    dataset, written = tmp_path / "dataset", []
    plan = Plan(settings, make_folder(6), motions=4)
    real = os.replace

    def crashing(source, target):
        written.append(target)
        if len(written) % 5 == 0:
            raise Crash
        real(source, target)

    monkeypatch.setattr("os.replace", crashing)
    crashes, steps = 0, []
    while not steps or steps[-1] != loops.DONE:
        assert crashes < 60
        try:
            stop = begun(dataset, plan).go()
            steps.append(stop.step)
            if stop.step == loops.REVIEW:
                judge_all(dataset, stop.round, {"round-1": 4, "round-2": 1}[stop.round])
            elif stop.step == loops.ADJUDICATE:
                settle(dataset, stop.round)
            elif stop.step == loops.DECIDE:
                decide(dataset, stop)
        except Crash:
            crashes += 1
    assert crashes > 5
    monkeypatch.undo()
    with open_store(dataset) as store:
        rounds = store.rounds()
    assert [round.name for round in rounds] == ["round-1", "round-2"]
    versions = Lineage(dataset).versions.values()
    assert [one.fingerprint for one in versions] == [round.prompt_version for round in rounds]
    assert [one.status for one in versions] == [ACCEPTED, ACCEPTED]
    assert {row.provenance.prompt_version for row in read_rows(dataset)} == {rounds[-1].prompt_version}
    good = [one for one in server.records() if one["outcome"] == "ok"]
    assert len(good) == 4 + 1 + 4 + 2, "each motion once with each prompt, one proposal, and the rest"


@pytest.fixture
def annotated(settings, make_folder, tmp_path):
    """Six motions annotated in full with the first prompt, and their source."""
    source, dataset = make_folder(6), tmp_path / "dataset"
    annotate(open_source(source), dataset, settings)
    return dataset, source


def to_the_gate(dataset: Path, plan: Plan) -> Stop:
    """Two rounds: in the first the evaluators do not agree, in the second they do."""
    begun(dataset, plan).go()
    with open_store(dataset) as store:
        first = store.rounds()[-1].name
    judge_all(dataset, first, 4)
    settle(dataset, first)
    decide(dataset, begun(dataset, plan).go())
    stop = begun(dataset, plan).go()
    judge_all(dataset, stop.round, 1)
    return begun(dataset, plan).go()


def test_rows_of_an_older_prompt_are_replaced_only_when_told_to(annotated, settings):
    dataset, source = annotated
    stop = to_the_gate(dataset, Plan(settings, source, motions=4))
    assert stop.step == loops.REPLACE
    assert stop.todo == (f"kinmo annotate loop {dataset} --replace",)
    assert {row.provenance.prompt_version for row in read_rows(dataset)} == {load_prompt().fingerprint}
    loop = begun(dataset, Plan(settings))
    loop.replace_rows = True
    done = loop.go()
    assert done.step == loops.DONE
    assert {row.provenance.prompt_version for row in read_rows(dataset)} == {done.prompt_version}


def test_without_the_source_one_is_told_how_to_annotate_the_rest(annotated, settings):
    dataset, _ = annotated
    with open_store(dataset) as store:
        store.add_round(sample_round(dataset, name="legs", motions=4, seed=1))
    stop = to_the_gate(dataset, Plan(settings))
    assert (stop.step, stop.round) == (loops.REPLACE, "legs-2"), "the round that was there is the first"
    (command,) = stop.todo
    assert f"--prompt {dataset}/prompts/{stop.prompt_version}.md" in command


def test_a_gate_that_holds_at_once_leaves_nothing_to_do(annotated, settings, server):
    dataset, source = annotated
    plan = Plan(settings, source, motions=4)
    begun(dataset, plan).go()
    asked = server.stats()["requests"]
    judge_all(dataset, "round-1", 1)
    assert begun(dataset, plan).go().step == loops.DONE
    assert server.stats()["requests"] == asked


def test_the_budget_is_for_all_rounds_together(settings, make_folder, tmp_path):
    dataset, source = tmp_path / "dataset", make_folder(6)
    plan = Plan(settings, source, motions=4)
    begun(dataset, plan).go()
    judge_all(dataset, "round-1", 4)
    settle(dataset, "round-1")
    paid = spent_usd(dataset / "rounds/round-1")
    assert paid > 0
    known = load_plan(dataset)
    asking = replace(known.settings.asking, budget_usd=paid + 1e-6)
    loop = Loop(dataset, replace(known, settings=replace(known.settings, asking=asking)))
    with pytest.raises(MotionError, match="larger --budget"):
        loop.go()


def test_a_dataset_before_the_gate_says_what_goes_on(settings, make_folder, tmp_path, monkeypatch):
    dataset = tmp_path / "dataset"
    plan = Plan(settings, make_folder(6), motions=4)
    begin(dataset, plan)
    command = f"kinmo annotate loop {dataset}"
    with open_store(dataset) as store, pytest.raises(MotionError, match=f"no round of review yet.*{command}"):
        store.newest()
    with pytest.raises(MotionError, match=f"0 motions.*{command}"):
        sample_round(dataset, name="x", motions=4)
    begun(dataset, plan).go()
    (problem,) = validate(dataset)
    assert problem.reason == "its review is not at its end"
    assert command in problem.remedy
    assert (info(dataset).motions, info(dataset).goes_on) == (0, command)
    sample = dataset / "rounds/round-1"
    assert validate(sample) == []
    assert info(sample).goes_on is None
    manifest = Manifest.load(sample)
    manifest.settings["complete"] = False
    manifest.save(sample)
    assert command in validate(sample)[0].remedy
    monkeypatch.chdir(sample)
    assert command in validate(Path())[0].remedy
    (dataset / "rounds/loop.json").unlink()
    assert f"kinmo annotate refine {dataset}" in validate(sample)[0].remedy


def test_one_loop_at_a_time(settings, make_folder, tmp_path):
    dataset = tmp_path / "dataset"
    loop = begun(dataset, Plan(settings, make_folder(6), motions=4))
    with locked(dataset / "rounds"), pytest.raises(DatasetError, match="written by another run"):
        loop.go()


def test_a_draw_from_the_source_is_that_of_a_dataset(annotated):
    dataset, source = annotated
    ids = [entry.motion_id for entry in open_source(source).entries()]
    assert draw(ids, 4, 7) == sample_round(dataset, name="x", motions=4, seed=7).motion_ids
    with pytest.raises(MotionError, match="lists 6 motions"):
        draw(ids, 7, 0)


def test_a_plan_that_cannot_be_used_is_refused_before_anything_is_written(settings, make_folder, tmp_path):
    source = make_folder(6)
    for plan in (
        Plan(settings),
        Plan(replace(settings, describer="kinematic"), source),
        Plan(settings, source, evaluators=("a", "a")),
        Plan(settings, source, gate_on="mood"),
    ):
        with pytest.raises(MotionError):
            begin(tmp_path / "dataset", plan)
    assert not (tmp_path / "dataset").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("")
    with pytest.raises(DatasetError, match="thesis"):
        begin(tmp_path / "mine", Plan(settings, source))


def test_a_damaged_plan_is_told(settings, make_folder, tmp_path):
    dataset = tmp_path / "dataset"
    begin(dataset, Plan(settings, make_folder(6)))
    path = dataset / "rounds/loop.json"
    content = json.loads(path.read_text())
    for bad in ("{", json.dumps(content | {"version": 2}), json.dumps(content | {"plan": {}})):
        path.write_text(bad)
        with pytest.raises(DatasetError, match="damaged"):
            load_plan(dataset)


def test_no_secret_of_the_address_is_written(settings, make_folder, tmp_path):
    asking = replace(settings.asking, base_url="http://user:hunter2@127.0.0.1:1/v1?key=hunter2")
    begin(tmp_path / "dataset", Plan(replace(settings, asking=asking), make_folder(6)))
    assert "hunter2" not in (tmp_path / "dataset/rounds/loop.json").read_text()
