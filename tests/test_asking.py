"""Batches through a language model: what a run asks, how it ends, and that nobody waits for ever."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kinmo_annotate import asking as asking_module
from kinmo_annotate.asking import BatchWishes, Dialogue, terms_of
from kinmo_annotate.describe.llm.answers import ARCHIVE_DIR, read_archive
from kinmo_annotate.describe.llm.ask import Asker
from kinmo_annotate.describe.llm.request import make_request
from kinmo_annotate.schema.records import Failure, MotionError
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.settings import Asking, Settings
from kinmo_annotate.stages import Composed, Prepared, compose, conclude, dispute

KEY = "sk-kinmo-asking-0123456789"
NAMES = ("length", "differences", "fps", "captions", "keyframes")
GONE = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


class Worker:
    """An engine that composes requests of texts, disputes what it is told to, and gives back what it gets.

    `breaks` names a stage that raises.
    """

    def __init__(self, texts: dict[int, str], disputed: dict[int, dict[str, str]], breaks: str = "") -> None:
        self.texts, self.disputed, self.breaks = texts, disputed, breaks
        self.pool = ThreadPoolExecutor(2)

    def submit(self, stage: Callable[..., Any], *inputs: Any) -> Any:
        return self.pool.submit(self.work, stage, *inputs)

    def work(self, stage: Callable[..., Any], *inputs: Any) -> Any:
        if stage.__name__ == self.breaks:
            raise RuntimeError(f"{self.breaks} broke")
        if stage is compose:
            asked = inputs[2]
            return Composed(requests={p: self.request(p, self.texts[p], asked) for p in inputs[0].motions})
        if stage is dispute:
            return {p: found for p, found in self.disputed.items() if p in inputs[1]}
        assert stage is conclude
        return inputs[2], inputs[3]  # what was answered, what failed

    @staticmethod
    def request(position: int, text: str, asked: Any) -> Any:
        return make_request(f"m{position}", {name: f"{name} of {text}." for name in NAMES}, asked)


@pytest.fixture
def dialogue(tmp_path, make_rows):
    """Hold a dialogue: gives what was answered and what failed of each batch, and the dialogue."""
    row = make_rows(1)[0]

    def go(
        url: str, batches: list[dict[int, str]], *, name: str = "d", cache: str = "cache", stop=lambda: False,
        disputed: dict[int, dict[str, str]] | None = None, breaks: str = "", **options: Any,
    ):  # fmt: skip
        asking = Asking(base_url=url, **{"concurrency": 4, **options})
        settings = Settings(describer="openai", workers=2, cache_dir=tmp_path / cache, asking=asking)
        worker = Worker({p: text for batch in batches for p, text in batch.items()}, disputed or {}, breaks)
        told: list[int] = []
        one = Dialogue(
            tmp_path / name, settings, terms_of(asking), worker, wishes=BatchWishes(), stop=stop,
            answered=told.append,
        )  # fmt: skip
        with one:
            results = [
                one.describe(Prepared(motions=dict.fromkeys(batch, row.motion)), None, row.provenance)
                for batch in batches
            ]
            found = [result.result(60) for result in results]
        one.told = sum(told)
        return found, one

    return go


def texts(count: int, first: int = 0) -> dict[int, str]:
    return {number: f"motion m{number}" for number in range(first, first + count)}


# ---------------------------------------------------------------- what a run asks


def test_what_a_model_does_not_take_is_not_sent(tmp_path):
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "as_of: 2026-01-01\nsource: https://example.org\nmodels:\n"
        "  thinker: {input: 1, output: 2, refuses: [temperature], options: {reasoning_effort: none}}\n"
        "  plain: {input: 1, output: 2}\n"
    )
    plain = terms_of(Asking(model="plain", prices=prices)).asked
    thinker = terms_of(Asking(model="thinker", prices=prices)).asked
    mine = terms_of(Asking(model="thinker", prices=prices, options=(("reasoning_effort", "low"),))).asked
    assert plain.options == {"temperature": 0}
    assert thinker.options == {"reasoning_effort": "none"}
    assert mine.options == {"reasoning_effort": "low"}


def test_a_budget_needs_a_price():
    with pytest.raises(MotionError, match="--budget") as raised:
        terms_of(Asking(model="nobody-knows-it", budget_usd=1.0))
    assert "--prices" in raised.value.remedy
    assert terms_of(Asking(model="nobody-knows-it")).price is None


# ---------------------------------------------------------------- batches


def test_batches_wait_for_their_answers_together(dialogue, endpoint):
    server = endpoint(latency_s=0.3)
    found, one = dialogue(server.url, [texts(4), texts(4, 4)], concurrency=8)
    assert [len(answered) for answered, _ in found] == [4, 4]
    assert server.stats()["peak_in_flight"] > 4
    assert one.told == 8


def test_provenance_tells_tokens_and_cost(dialogue, endpoint):
    server = endpoint(faults={"refusal": 0.3})
    ((answered, _),), one = dialogue(server.url, [texts(12)])
    paid = sum(answer.provenance.cost_usd for answer in answered.values())
    unusable = sum(
        record["paid_usd"]
        for record in read_archive(one._out / ARCHIVE_DIR)
        if record["outcome"] != "accepted"
    )
    assert one.answers.spent_usd == pytest.approx(server.stats()["cost_usd"])
    assert paid <= one.answers.spent_usd <= paid + unusable + 1e-9


def test_one_motion_that_is_refused_is_a_failure_of_its_own(dialogue, endpoint):
    server = endpoint(script=[{"fault": "refusal", "containing": "motion m3.", "times": 9}])
    ((answered, failures),), one = dialogue(server.url, [texts(6)])
    assert sorted(answered) == [0, 1, 2, 4, 5]
    assert list(failures) == [3]
    assert isinstance(failures[3], Failure)
    assert (failures[3].motion_id, failures[3].stage) == ("m3", "ask")
    assert one.told == 6


def test_equal_motions_are_asked_once_and_both_answered(dialogue, endpoint):
    server = endpoint(latency_s=0.1)
    ((answered, _),), _ = dialogue(server.url, [{0: "the same", 1: "the same", 2: "another"}])
    assert sorted(answered) == [0, 1, 2]
    assert answered[0].text == answered[1].text != answered[2].text
    assert server.stats()["requests"] == 2


# ---------------------------------------------------------------- contradictions


def test_what_is_contradicted_goes_back_once_with_the_evidence(dialogue, endpoint):
    evidence = {"torso": "- torso: torso leans. It stays upright."}
    script = [
        {"containing": "It stays upright", "times": 9, "answers": {"torso": "The torso stays upright."}}
    ]
    server = endpoint(script=script, answers={"torso": "The torso leans forward."})
    ((answered, _),), _ = dialogue(server.url, [texts(3)], disputed={1: evidence}, repair=True)
    assert server.stats()["requests"] == 4
    assert json.loads(answered[1].mended)["torso"] == "The torso stays upright."
    assert answered[1].disputed == ("torso",)
    assert answered[0].mended == answered[2].mended == ""
    assert answered[1].provenance.input_tokens > answered[0].provenance.input_tokens


def test_a_first_answer_stands_where_the_second_is_unusable(dialogue, endpoint):
    server = endpoint(script=[{"fault": "invalid_json", "containing": "It stays upright", "times": 9}])
    ((answered, failures),), _ = dialogue(
        server.url, [texts(2)], disputed={1: {"torso": "It stays upright."}}, repair=True
    )
    assert (sorted(answered), failures, answered[1].mended) == ([0, 1], {}, "")


def test_without_repair_nothing_goes_back(dialogue, endpoint):
    server = endpoint()
    dialogue(server.url, [texts(2)], disputed={1: {"torso": "It stays upright."}})
    assert server.stats()["requests"] == 2


# ---------------------------------------------------------------- how it ends


def test_a_stop_ends_the_wait_and_keeps_what_is_on_its_way(dialogue, endpoint):
    server = endpoint(latency_s=0.6)
    pressed = threading.Event()
    threading.Timer(0.3, pressed.set).start()
    started = time.monotonic()
    ((answered, failures),), one = dialogue(server.url, [texts(40)], stop=pressed.is_set)
    assert time.monotonic() - started < 5
    assert (one.halted.kind, failures) == ("stopped", {})
    assert len(answered) == server.stats()["outcomes"]["ok"] == 4


def test_an_endpoint_that_refuses_us_ends_the_run_with_what_was_answered(dialogue, endpoint):
    server = endpoint(latency_s=0.02, quota_after=6)
    found, one = dialogue(server.url, [texts(10), texts(10, 10)])
    assert one.halted.kind == "refused"
    assert sum(len(answered) for answered, _ in found) == 6
    assert [failures for _, failures in found] == [{}, {}]


def test_a_mistake_in_the_asker_ends_the_run_instead_of_keeping_it_waiting(dialogue, endpoint, monkeypatch):
    def broken(self, now):
        raise ArithmeticError("a mistake")

    monkeypatch.setattr(Asker, "_next", broken)
    ((answered, failures),), one = dialogue(endpoint().url, [texts(5)])
    assert (answered, failures) == ({}, {})
    assert "ArithmeticError" in one.halted.reason


@pytest.mark.parametrize("stage", ["compose", "dispute", "conclude"])
def test_a_stage_that_breaks_is_told_and_nobody_waits(dialogue, endpoint, stage):
    with pytest.raises(RuntimeError, match=f"{stage} broke"):
        dialogue(endpoint().url, [texts(3)], breaks=stage, repair=True)


def test_leaving_early_does_not_wait_for_an_endpoint_that_hangs(endpoint, tmp_path, make_rows, monkeypatch):
    monkeypatch.setattr(asking_module, "_IN_FLIGHT_ENDS_S", 0.5)
    server = endpoint(faults={"stall": 1.0})
    asking = Asking(base_url=server.url)
    settings = Settings(describer="openai", workers=2, cache_dir=tmp_path / "cache", asking=asking)
    row = make_rows(1)[0]
    worker = Worker(texts(3), {})
    one = Dialogue(
        tmp_path / "d", settings, terms_of(asking), worker, wishes=BatchWishes(), stop=lambda: False,
        answered=lambda motions: None,
    )  # fmt: skip
    results = []

    def interrupted() -> None:
        with one:
            motions = dict.fromkeys(range(3), row.motion)
            results.append(one.describe(Prepared(motions=motions), None, row.provenance))
            while server.stats()["in_flight"] < 3:
                time.sleep(0.02)
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - started < 8
    assert results[0].done()


def test_no_thread_is_left_behind(dialogue, endpoint):
    before = threading.active_count()
    dialogue(endpoint().url, [texts(3)])
    deadline = time.monotonic() + 5
    while any(thread.name == "asking" for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(thread.name == "asking" for thread in threading.enumerate())
    assert threading.active_count() <= before + 8  # what the pools of the tests hold


def test_what_cannot_be_opened_is_told_before_any_work(dialogue, monkeypatch, tmp_path):
    with pytest.raises(MotionError, match="no http address"):
        dialogue("ftp://example.org", [texts(1)])
    (tmp_path / "bad" / ARCHIVE_DIR / "0.jsonl.zst").mkdir(parents=True)
    with pytest.raises(DatasetError):
        dialogue(GONE, [texts(1)], name="bad")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(MotionError, match="OPENAI_API_KEY"):
        dialogue(None, [texts(1)])


# ---------------------------------------------------------------- without an endpoint


def test_offline_gives_what_is_cached_or_archived_and_fails_the_others(dialogue, endpoint):
    server = endpoint()
    ((first, _),), _ = dialogue(server.url, [texts(3)])
    server.stop()
    ((cached, failed),), one = dialogue(GONE, [texts(5)], mode="offline")
    assert {p: answer.text for p, answer in cached.items()} == {p: answer.text for p, answer in first.items()}
    assert sorted(failed) == [3, 4]
    assert "--offline" in failed[3].remedy
    assert one.tally is None
    ((archived, _),), _ = dialogue(GONE, [texts(3)], mode="offline", cache="another")
    assert sorted(archived) == [0, 1, 2]


def test_offline_finds_an_archived_motion_whose_request_was_another(dialogue, endpoint):
    server = endpoint()
    dialogue(server.url, [texts(2)])
    changed = {0: "motion m0 in other words", 1: "motion m1 in other words"}
    ((found, failed),), _ = dialogue(GONE, [changed], mode="offline", cache="another")
    assert (sorted(found), failed) == ([0, 1], {})


def test_rows_of_one_run_share_their_provenance_but_for_the_cost(dialogue, endpoint, make_rows):
    made = make_rows(1)[0].provenance
    ((answered, _),), _ = dialogue(endpoint().url, [texts(2)])
    for answer in answered.values():
        same = replace(answer.provenance, input_tokens=made.input_tokens, output_tokens=made.output_tokens,
                       cached_tokens=made.cached_tokens, cost_usd=made.cost_usd)  # fmt: skip
        assert same == made


def test_the_archive_lies_beside_the_dataset(dialogue, endpoint, tmp_path):
    dialogue(endpoint().url, [texts(2)], name="mine")
    folder: Path = tmp_path / "mine" / ARCHIVE_DIR
    assert len(list(read_archive(folder))) == 2
