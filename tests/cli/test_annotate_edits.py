"""`kinmo annotate edits` from the outside, and a reasoner that learns from what it wrote."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kinmo_cli import main
from typer.testing import CliRunner

from kinmo_annotate.instructions import SCHEMA_NAME, prompt_text
from kinmo_annotate.schema.skeleton import FIELDS

KEY = "sk-kinmo-edits-0123456789abcdef"
SAID = {"command": "Lift [red]ZZZ[/red] now.", "wish": "I would like zzz, please", "terse": "zzz"}
COUNT = 4  # the fixture's motions give no more edits that differ
SETS = (
    "model.width=16", "model.layers=1", "model.heads=2", "model.inner=16", "data.batch_size=4",
    "training.epochs=1", "sampling.sentence_tokens=8",
)  # fmt: skip


SCRIPT = [{"containing": SCHEMA_NAME, "answers": SAID}]


def kinmo(*arguments: object):
    return CliRunner().invoke(main.app, [str(one) for one in arguments], env={"COLUMNS": "140"})


class Place:
    """A dataset, and where its edits are written."""

    def __init__(self, dataset: Path, folder: Path) -> None:
        self.dataset, self.out, self.cache = dataset, folder / "edits.parquet", folder / "cache"

    def edits(self, url: str, *more: object, count: int = COUNT):
        ways = ("--base-url", url, "--cache", self.cache, "--count", count)
        return kinmo("annotate", "edits", self.dataset, "--out", self.out, *ways, *more)

    def told(self, url: str, *more: object, code: int = 0) -> dict:
        result = self.edits(url, "--json", *more)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def train(self, *more: object):
        laid = [word for one in SETS for word in ("--set", one)]
        place = ("train", "reasoner", self.dataset, "--out", self.out.with_name("run"), "--config", "tiny")
        return kinmo(*place, "--cache", self.cache, *laid, *more)


@pytest.fixture
def place(make_dataset: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return Place(make_dataset(6), tmp_path)


def test_edits_are_worded_and_a_reasoner_learns_from_them(place: Place, endpoint):
    server = endpoint(fields=3, key=KEY, script=SCRIPT)
    result = place.edits(server.url)
    assert result.exit_code == 0, result.output
    shown = " ".join(result.stdout.split())
    assert f"{COUNT} edits in {3 * COUNT} ways" in shown
    assert "lift red zzz /red now" in shown
    following = f"train reasoner {place.dataset} --out reasoner --config tiny --edits {place.out}"
    assert f"next: kinmo {following}" in result.stdout
    rows = pq.read_table(place.out).to_pylist()
    assert len(rows) == 3 * COUNT
    assert [row["instruction"] for row in rows[:3]] == [
        "lift red zzz /red now", "i would like zzz, please", "zzz",
    ]  # fmt: skip
    assert all("a person lifts" in row["caption"] for row in rows)
    assert all(any(row[name] for name in FIELDS) for row in rows)
    assert sum(row["cost_usd"] for row in rows) == pytest.approx(server.stats()["cost_usd"])
    assert {row["model"] for row in rows} == {"gpt-4o-mini"}
    trained = place.train("--edits", place.out)
    assert trained.exit_code == 0, trained.output
    assert "edits_fingerprint was" in place.train().stderr
    assert KEY.encode() not in b"".join(
        p.read_bytes() for p in place.dataset.parent.rglob("*") if p.is_file()
    )


def test_the_same_command_asks_nothing_twice_and_writes_the_same(place: Place, endpoint):
    server = endpoint(fields=3, script=SCRIPT)
    first = place.told(server.url)
    assert (first["drawn"], first["edits"], first["failures"]) == (COUNT, COUNT, [])
    assert first["requests"]["answered"] == COUNT
    written = place.out.read_bytes()
    place.out.unlink()
    again = place.told(server.url)
    assert (again["from_cache"], again["requests"]["requests"]) == (COUNT, 0)
    assert place.out.read_bytes() == written
    assert again["spent_usd"] == pytest.approx(server.stats()["cost_usd"])
    assert place.told(server.url, "--seed", 5)["out"] == str(place.out), "its own kind is written over"


def test_failures_are_told_and_do_not_lose_the_others(place: Place, endpoint):
    server = endpoint(fields=3, script=[
        {"at": 1, "fault": "invalid_json"},
        {"containing": "That answer could not be used", "times": 1, "fault": "invalid_json"},
        *SCRIPT,
    ])  # fmt: skip
    first = place.edits(server.url)
    assert first.exit_code == 0, first.output
    assert "1 x the model's answer cannot be used" in " ".join(first.stderr.split())
    assert "Run the same command again" in first.stderr
    assert f"{COUNT - 1} edits in" in " ".join(first.stdout.split())
    again = place.told(server.url)
    assert (again["edits"], again["failures"], again["from_cache"]) == (COUNT, [], COUNT - 1)
    assert server.stats()["requests"] == COUNT + 2


def test_wordings_of_the_wrong_side_are_left_out(place: Place, endpoint):
    """Each edit of the fixture is about one arm, or about both."""
    both = {"command": "raise the left arm", "wish": "raise the right arm", "terse": "raise it"}
    told = place.told(endpoint(fields=3, script=[{"containing": SCHEMA_NAME, "answers": both}]).url)
    assert told["left_out"] > 0
    assert told["instructions"] == 3 * COUNT - told["left_out"]
    for row in pq.read_table(place.out).to_pylist():
        sides = {side for side in ("left", "right") if side in row["caption_after"]}
        before = {side for side in ("left", "right") if side in row["caption"]}
        if len(sides) == 1 and sides != before:
            assert {side for side in ("left", "right") if side in row["instruction"]} <= sides


def test_where_every_wording_is_wrong_the_edit_fails(place: Place, endpoint):
    answers = [{"containing": SCHEMA_NAME, "answers": dict.fromkeys(SAID, "raise the left arm")}]
    told = place.told(endpoint(fields=3, script=answers).url)
    reasons = {one["reason"] for one in told["failures"]}
    assert reasons == {"no wording can be used: they contradict the edit or copy its sentences"}
    assert 0 < told["edits"] == COUNT - len(told["failures"])
    assert told["instructions"] == told["edits"], "equal wordings come once"


def test_a_budget_ends_it_with_its_own_code(place: Place, endpoint):
    server = endpoint(fields=3, script=SCRIPT)
    result = place.edits(server.url, "--budget", "0.00000001")
    assert result.exit_code == 3
    assert "larger --budget" in result.stderr
    assert not place.out.exists()
    assert place.told(server.url, "--budget", "1")["edits"] == COUNT


def test_ctrl_c_keeps_what_was_answered(place: Place, endpoint, monkeypatch: pytest.MonkeyPatch):
    server = endpoint(fields=3, script=[{"at": 3, "fault": "slow", "answers": SAID}, *SCRIPT], slow_s=1.0)
    from kinmo_annotate import instructions

    word = instructions.word

    def interrupted(*arguments, stop, answered, **more):
        def after_two() -> None:
            answered()
            if server.stats()["requests"] == 2:
                signal.raise_signal(signal.SIGINT)

        return word(*arguments, stop=stop, answered=after_two, **more)

    monkeypatch.setattr(instructions, "word", interrupted)
    stopped = place.edits(server.url, "--concurrency", 1)
    assert stopped.exit_code == 130, stopped.output
    assert "Run the same command again to go on" in stopped.stderr
    monkeypatch.undo()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    kept = len(pq.read_table(place.out).to_pylist())
    whole = place.told(server.url)
    assert 2 <= whole["from_cache"] < COUNT
    assert (whole["edits"], server.stats()["requests"]) == (COUNT, COUNT)
    assert whole["instructions"] > kept


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--split", "nobody"), "holds no motion of a split named 'nobody'"),
        (("--prompt", "no-such-file.md"), "kinmo annotate prompt --edits > my_edit.md"),
        (("--model", "mine", "--budget", "1"), "--prices"),
        (("--base-url", "ftp://x"), "is no http address"),
    ],
)
def test_a_wrong_command_says_what_to_do(place: Place, more: tuple[str, ...], said: str):
    result = place.edits("http://127.0.0.1:9/v1", *more)
    assert result.exit_code == 1
    assert said in " ".join(result.stderr.split())
    assert not place.out.exists()


def test_another_kind_of_file_is_kept(place: Place, endpoint):
    server = endpoint(fields=3)
    pq.write_table(pa.table({"mine": [1]}), place.out)
    result = place.edits(server.url)
    assert result.exit_code == 1
    assert "is no file of worded edits" in " ".join(result.stderr.split())
    assert pq.read_table(place.out).column_names == ["mine"]
    assert server.stats()["requests"] == 0
    assert "it has no column motion_id" in " ".join(place.train("--edits", place.out).stderr.split())


def test_the_prompt_can_be_copied():
    assert kinmo("annotate", "prompt", "--edits").stdout == prompt_text()
    refused = kinmo("annotate", "prompt", "motions", "--edits")
    assert refused.exit_code == 2
    assert "leave SRC out" in " ".join(refused.stderr.split())
