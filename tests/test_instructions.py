"""Instructions of edits from a language model: through the faulty endpoint, checked, archived, bounded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kinmo_annotate.describe.llm.answers import ARCHIVE_DIR, read_archive
from kinmo_annotate.instructions import SCHEMA_NAME, WORDINGS, Change, Worded, prompt_text, word
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.settings import Asking

KEY = "sk-kinmo-edits-0123456789abcdef"
GOOD = {"command": "Raise the left arm too.", "wish": "I'd like an arm up as well", "terse": "left arm up"}
IDS = ("000012", "walk", "M000012", "7")


def changes(count: int, first: int = 0) -> list[Change]:
    groups = {"left_arm": ("No notable movement.", "The left arm rises.")}
    return [
        Change("000012", f"a person walks {n} steps", f"a person walks {n} steps and raises the arm", groups)
        for n in range(first, first + count)
    ]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Worded]:
    """Ask an endpoint for the instructions of some changes."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def go(url: str, wanted: list[Change], *, name: str = "dataset", stop=lambda: False, **asking) -> Worded:
        values = {"base_url": url, "concurrency": 4, "timeout_s": 20.0, **asking}
        where = {"ids": IDS, "cache_dir": tmp_path / "cache", "stop": stop}
        return word(tmp_path / name, wanted, Asking(**values), **where)

    return go


def archive(tmp_path: Path, name: str = "dataset") -> list[dict]:
    return list(read_archive(tmp_path / name / ARCHIVE_DIR))


def test_each_change_gets_its_wordings_and_none_is_asked_twice(ask, endpoint, tmp_path: Path):
    server = endpoint(fields=3, key=KEY)
    first = ask(server.url, changes(6))
    assert sorted(first.found) == list(range(6))
    assert all(len(one.wordings) == 3 for one in first.found.values())
    assert len({one.wordings for one in first.found.values()}) == 6
    assert sum(one.cost_usd for one in first.found.values()) == pytest.approx(server.stats()["cost_usd"])
    again = ask(server.url, changes(8))
    assert server.stats()["requests"] == 8
    assert (again.from_cache, again.tally.answered) == (6, 2)
    assert {place: again.found[place] for place in range(6)} == first.found
    ask(server.url, changes(8), name="another")
    assert server.stats()["requests"] == 8, "the cache serves every dataset"
    assert {record["prompt_version"] for record in archive(tmp_path)} == {first.prompt_version}
    assert KEY not in json.dumps(archive(tmp_path))


def test_what_is_sent_tells_the_change_alone(ask, endpoint, tmp_path: Path):
    server = endpoint(fields=3, script=[{"containing": 'left_arm: \\"No notable', "answers": GOOD}])
    assert ask(server.url, changes(1)).found[0].wordings == tuple(GOOD.values())
    script = [{"containing": "none: the captions alone differ", "answers": GOOD}]
    server = endpoint(fields=3, script=script)
    alone = Change("1", "a person bows", "a person bows twice", {})
    assert ask(server.url, [alone]).found[0].wordings == tuple(GOOD.values())


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ({"wish": "a" * 161}, "wish has 161 characters"),
        ({"command": "up\nand down"}, "command holds line ends"),
        ({"terse": "up\u200b"}, "terse holds line ends or control"),
        ({"terse": " ?! "}, "terse is empty"),
        ({"terse": "[Terse]"}, "terse is the name of its place"),
        ({"command": "as in 000012, please"}, "command names a motion by its id"),
    ],
)
def test_an_answer_that_cannot_be_used_is_asked_for_once_more(ask, endpoint, tmp_path, spoilt, reason):
    server = endpoint(
        fields=3,
        script=[
            {"containing": SCHEMA_NAME, "times": 1, "answers": GOOD | spoilt},
            {"containing": "That answer could not be used: " + reason, "answers": GOOD},
        ],
    )
    found = ask(server.url, changes(1))
    assert found.found[0].wordings == tuple(GOOD.values())
    assert found.found[0].cost_usd == pytest.approx(server.stats()["cost_usd"]), "both answers are paid"
    assert (found.tally.unusable, server.stats()["requests"]) == (1, 2)
    outcomes = [record["outcome"] for record in archive(tmp_path)]
    assert reason in outcomes[0]
    assert outcomes[1] == "accepted"


def test_wrong_twice_fails_that_change_alone_and_the_next_run_asks_anew(ask, endpoint):
    bad = {"containing": "walks 2 steps", "times": 2, "fault": "invalid_json"}
    server = endpoint(fields=3, script=[bad])
    found = ask(server.url, changes(4))
    assert sorted(found.found) == [0, 1, 3]
    (failure,) = found.failures
    assert (failure.where, found.halted) == ("000012", None)
    assert "cannot be used" in failure.reason
    assert failure.remedy == "Run the same command again to ask for it once more."
    again = ask(server.url, changes(4))
    assert (sorted(again.found), again.failures) == ([0, 1, 2, 3], [])
    assert server.stats()["requests"] == 6


@pytest.mark.parametrize("fault", ["missing_field", "extra_field", "not_text", "fenced"])
def test_the_form_is_asked_for_strictly_and_read_kindly(ask, endpoint, fault: str):
    server = endpoint(fields=3, script=[{"containing": SCHEMA_NAME, "times": 1, "fault": fault}])
    found = ask(server.url, changes(1))
    assert len(found.found[0].wordings) == len(WORDINGS)
    assert found.tally.unusable == (0 if fault == "fenced" else 1)


def test_words_that_are_ids_too_may_be_said(ask, endpoint):
    said = GOOD | {"command": "walk 7 steps"}
    server = endpoint(fields=3, script=[{"containing": SCHEMA_NAME, "answers": said}])
    assert ask(server.url, changes(1)).found[0].wordings[0] == "walk 7 steps"


def test_a_budget_ends_it_and_a_larger_one_goes_on(ask, endpoint):
    server = endpoint(fields=3)
    one = ask(server.url, changes(1)).spent_usd
    some = ask(server.url, changes(20), budget_usd=8 * one)
    assert some.halted is not None
    assert some.halted.kind == "budget"
    assert 1 < len(some.found) < 20
    assert some.spent_usd <= 8 * one
    rest = ask(server.url, changes(20), budget_usd=100 * one)
    assert (len(rest.found), rest.from_cache, rest.halted) == (20, len(some.found), None)
    assert server.stats()["requests"] == 20
    with pytest.raises(MotionError, match="no price is known for the model mine"):
        ask(server.url, changes(1), model="mine", budget_usd=1)


def test_a_stop_keeps_what_was_answered(ask, endpoint):
    server = endpoint(fields=3, latency_s=0.05)
    done = 0

    def stop() -> bool:
        return server.stats()["requests"] >= 8

    stopped = ask(server.url, changes(60), stop=stop)
    assert stopped.halted is not None
    assert stopped.halted.kind == "stopped"
    done = len(stopped.found)
    assert 0 < done < 60
    whole = ask(server.url, changes(60))
    assert (len(whole.found), whole.from_cache) == (60, done)
    assert server.stats()["requests"] == 60


def test_a_refusing_endpoint_is_told_once(ask, endpoint):
    server = endpoint(fields=3, key="sk-another-key-altogether")
    refused = ask(server.url, changes(10))
    assert (refused.found, refused.failures) == ({}, [])
    assert refused.halted is not None
    assert refused.halted.kind == "refused"
    assert "OPENAI_API_KEY" in refused.halted.remedy
    assert KEY not in refused.halted.reason


def test_a_prompt_of_ones_own(ask, endpoint, tmp_path: Path):
    server = endpoint(fields=3)
    mine = tmp_path / "mine.md"
    mine.write_text(prompt_text().replace("You write what", "Write what"), encoding="utf-8")
    found = ask(server.url, changes(1), prompt=mine)
    assert found.prompt_version.startswith("mine-")
    ask(server.url, changes(1))
    assert server.stats()["requests"] == 2, "other words are another question"
    mine.write_text(prompt_text().replace("{{after}}", "it"), encoding="utf-8")
    with pytest.raises(
        MotionError, match=r"lacks \{\{after\}\}.*kinmo annotate prompt --edits > my_edit\.md"
    ):
        ask(server.url, changes(1), prompt=mine)
