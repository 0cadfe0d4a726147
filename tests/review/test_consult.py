"""Asking for a better prompt: through the faulty endpoint, archived, asked once more, within the budget."""

from __future__ import annotations

import json

import pytest

from kinmo_annotate.describe.llm.answers import read_archive
from kinmo_annotate.describe.llm.prompt import load_prompt, prompt_text
from kinmo_annotate.review.consult import consult
from kinmo_annotate.review.faults import Fault, Faults
from kinmo_annotate.review.refine import SCHEMA_NAME, Task
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.settings import Asking

PROMPT = load_prompt()
BETTER = PROMPT.system.replace("You describe", "Describe", 1)
GOOD = {"system": BETTER, "changes": [{"what": "the first word", "why": "wording"}]}
BAD = GOOD | {"system": "Write well."}


@pytest.fixture
def task(judged_round):
    fault = Fault("000001", "left_leg", "The left leg lifts.", (), (), "", "left_leg | -", ())
    messages = [{"role": "system", "content": "better it"}, {"role": "user", "content": "its errors"}]
    round = judged_round("w", "w")[0]
    return Task(round, PROMPT, prompt_text(), Faults((fault,), 0, 0, 1), messages, frozenset())


@pytest.fixture
def ask(endpoint, task, tmp_path):
    """Give a function that asks an endpoint with a script of answers, and the endpoint."""

    def made(*answers, script=None, **values):
        rules = [{"containing": SCHEMA_NAME, "times": 1, "answers": one} for one in answers]
        server = endpoint(script=[*(script or []), *rules], fields=None)
        asking = Asking(base_url=server.url, timeout_s=10, **values)
        return server, lambda **more: consult(tmp_path, task, Asking(**_of(asking) | more), tmp_path / "c")

    return made


def _of(asking: Asking) -> dict:
    return {name: getattr(asking, name) for name in Asking.__dataclass_fields__}


def test_an_answer_is_archived_and_not_paid_for_twice(ask, tmp_path):
    server, again = ask(GOOD)
    first = again()
    assert first.proposal.prompt.system == BETTER
    assert (first.model, first.archived) == ("gpt-4o-mini", False)
    assert first.cost_usd == pytest.approx(server.stats()["cost_usd"])
    second = again()
    assert (second.archived, second.cost_usd) == (True, 0.0)
    assert second.proposal == first.proposal
    assert server.stats()["requests"] == 1
    records = list(read_archive(tmp_path / "answers"))
    assert [record["outcome"] for record in records] == ["prompt proposal"]
    assert json.loads(records[0]["text"]) == GOOD
    assert again(mode="offline").archived


def test_a_bad_answer_is_asked_for_once_more_with_the_reason(ask, tmp_path):
    server, again = ask(BAD, GOOD)
    assert again().proposal.prompt.system == BETTER
    assert server.stats()["requests"] == 2
    outcomes = [record["outcome"] for record in read_archive(tmp_path / "answers")]
    assert "characters" in outcomes[0]
    assert outcomes[1] == "prompt proposal"
    assert again().archived, "the second answer is found under the first request"


def test_two_bad_answers_end_with_a_next_step(ask):
    server, again = ask(BAD, BAD, GOOD)
    with pytest.raises(MotionError, match=r"cannot be used.*larger model"):
        again()
    assert server.stats()["requests"] == 2
    assert not again().archived, "another call asks anew"


def test_faults_of_the_endpoint_are_waited_out(ask):
    faults = [
        {"at": 1, "fault": "error_500"},
        {"at": 2, "fault": "rate_limit"},
        {"at": 3, "fault": "cut_body"},
    ]
    server, again = ask(GOOD, script=faults)
    server.control(retry_after_s=0.05)
    assert again().proposal.prompt.system == BETTER
    assert server.stats()["requests"] == 4


def test_a_refused_parameter_is_left_out(ask):
    server, again = ask(GOOD, GOOD)
    server.control(refuse_parameters=["temperature"])
    assert again().proposal.prompt.system == BETTER
    assert server.stats()["requests"] == 2


def test_an_endpoint_that_never_answers_is_given_up(ask):
    server, again = ask(GOOD)
    server.control(latency_s=5)
    with pytest.raises(MotionError, match=r"no answer within 0 s.*--base-url"):
        again(timeout_s=0.2)
    assert server.stats()["requests"] == 2


def test_a_bad_key_ends_at_once(ask):
    server, again = ask(GOOD)
    server.control(key="another")
    with pytest.raises(MotionError, match="Check the key"):
        again()
    assert server.stats()["requests"] == 1


def test_the_budget_holds(ask):
    server, again = ask(GOOD)
    with pytest.raises(MotionError, match="larger --budget"):
        again(budget_usd=0.0001)
    assert server.stats()["requests"] == 0


def test_offline_asks_nothing(ask):
    server, again = ask(GOOD)
    with pytest.raises(MotionError, match="--offline"):
        again(mode="offline")
    assert server.stats()["requests"] == 0
