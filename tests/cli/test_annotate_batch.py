"""`kinmo annotate run --batch` and `kinmo annotate batch`, as a user and as a script meet them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pytest
from kinmo_cli import main
from typer.testing import CliRunner

from kinmo_annotate.describe.llm.batch import Api, ChunkWriter, load_state
from kinmo_annotate.describe.llm.batch.chunks import MOST_BYTES
from kinmo_annotate.schema.shards import Manifest, read_failures, read_groups

USAGE = {"prompt_tokens": 3000, "completion_tokens": 700, "cached_tokens": 0}
FAULTS = {"refusal": 0.2, "invalid_json": 0.1}
MOTIONS, A_CHUNK = 30, 8
SECONDS = 60.0


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-cli-batch")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setattr(ChunkWriter.__init__, "__defaults__", (A_CHUNK, MOST_BYTES))


def kinmo(*arguments: object):
    return CliRunner().invoke(main.app, [str(one) for one in arguments])


def run_options(source, out, url, *more):
    options = ["--describer", "openai", "--base-url", url, "--workers", 1, "--cache-dir", f"{out}-cache"]
    return ["annotate", "run", source, "--out", out, *options, *more]


@pytest.fixture
def batch_endpoint(endpoint):
    """An endpoint with faults that answers a request alike, at once or in a batch."""

    def start(batch=(), faults=FAULTS, **options):
        timing = {"run_s": 0.1, "cancel_s": 0.0, "faults": faults} | dict(batch)
        return endpoint(faults=faults, batch=timing, usage=USAGE, **options)

    return start


def tables(out):
    """All rows, without what may differ, and all failures."""
    found = []
    for shard in Manifest.load(out).shards:
        found += read_groups(out / "data" / shard.name)
    rows = pa.concat_tables(found).to_pylist()
    costs = [row["provenance"].pop("cost_usd") for row in rows]
    for row in rows:
        del row["provenance"]["created_at"]
    return rows, read_failures(out), costs


@pytest.mark.usefixtures("quick_encoder")
class TestTheCommands:
    def test_submitted_collected_and_written(self, batch_endpoint, make_folder, tmp_path):
        one = batch_endpoint(batch={"run_s": 60.0})
        source, out = make_folder(MOTIONS), tmp_path / "d"
        result = kinmo(*run_options(source, out, one.url, "--batch"))
        assert result.exit_code == 0, result.output
        assert f"{MOTIONS} requests" in result.stderr
        assert f"kinmo annotate batch collect {out} --wait" in result.stderr
        told = json.loads(kinmo("annotate", "batch", "status", out, "--json").stdout)
        assert [batch["requests"] for batch in told["batches"]] == [8, 8, 8, 6]
        assert told["outstanding"] == MOTIONS
        early = kinmo("annotate", "batch", "collect", out)
        assert early.exit_code == 0
        assert "outstanding" in early.stdout
        one.control(batch={"run_s": 0.0})
        ended = kinmo("annotate", "batch", "status", out, "--wait", "--every", 0.05)
        assert ended.exit_code == 0
        assert ended.stdout.count("completed") == 4
        done = kinmo("annotate", "batch", "collect", out, "--wait", "--every", 0.05)
        assert done.exit_code == 0, done.output
        rows, failures, _ = tables(out)
        assert len(rows) + len(failures) == MOTIONS
        assert f"{len(rows)} of {MOTIONS} motions written, {len(failures)} failures" in done.stdout
        assert {row["provenance"]["describer"] for row in rows} == {"openai"}

    def test_the_same_rows_as_at_once_with_an_expired_batch_at_the_batch_price(
        self, batch_endpoint, make_folder, tmp_path
    ):
        source = make_folder(MOTIONS)
        at_once = kinmo(*run_options(source, tmp_path / "now", batch_endpoint().url))
        assert at_once.exit_code == 0, at_once.output
        one = batch_endpoint(batch={"expire": [2]})
        kinmo(*run_options(source, tmp_path / "later", one.url, "--batch"))
        done = kinmo("annotate", "batch", "collect", tmp_path / "later", "--wait", "--every", 0.05)
        assert done.exit_code == 0, done.output
        *now, costs = tables(tmp_path / "now")
        *later, batch_costs = tables(tmp_path / "later")
        assert later == now
        assert batch_costs == pytest.approx([cost / 2 for cost in costs])
        assert one.stats()["answered_again"] == {}

    def test_a_repair_goes_into_further_batches(self, batch_endpoint, make_folder, tmp_path):
        wrong = {
            "left_arm": "The left arm swings to and fro 9 times.",
            "right_leg": "The right leg kicks high.",
        }
        source, one = make_folder(10), batch_endpoint(answers=wrong, faults={})
        at_once = kinmo(*run_options(source, tmp_path / "now", one.url, "--repair"))
        assert at_once.exit_code == 0, at_once.output
        asked = one.stats()["requests"]
        assert asked > 10
        kinmo(*run_options(source, tmp_path / "later", one.url, "--repair", "--batch"))
        done = kinmo("annotate", "batch", "collect", tmp_path / "later", "--wait", "--every", 0.05)
        assert done.exit_code == 0, done.output
        assert tables(tmp_path / "later")[:2] == tables(tmp_path / "now")[:2]
        state = load_state(tmp_path / "later")
        assert [chunk.requests for chunk in state.chunks[:2]] == [8, 2]
        assert sum(chunk.requests for chunk in state.chunks) == asked

    def test_cancel_keeps_the_answers_and_the_run_goes_on(self, batch_endpoint, make_folder, tmp_path):
        one = batch_endpoint(batch={"run_s": 60.0})
        source, out = make_folder(MOTIONS), tmp_path / "d"
        kinmo(*run_options(source, out, one.url, "--batch"))
        assert "4 batches" in kinmo("annotate", "batch", "cancel", out).stdout
        collected = kinmo("annotate", "batch", "collect", out, "--wait", "--every", 0.05)
        assert collected.exit_code == 0, collected.output
        assert "run the same" in collected.stderr
        one.control(batch={"run_s": 0.0})
        kinmo(*run_options(source, out, one.url, "--batch"))
        assert kinmo("annotate", "batch", "collect", out, "--wait", "--every", 0.05).exit_code == 0
        rows, failures, _ = tables(out)
        assert len(rows) + len(failures) == MOTIONS

    def test_a_refused_submission_says_why_and_goes_on_later(self, batch_endpoint, make_folder, tmp_path):
        one = batch_endpoint(script=[{"path": "/v1/batches", "method": "POST", "fault": "quota", "after": 2}])
        source, out = make_folder(MOTIONS), tmp_path / "d"
        refused = kinmo(*run_options(source, out, one.url, "--batch"))
        assert refused.exit_code == 1
        assert "insufficient_quota" in refused.stderr
        at_once = kinmo(*run_options(source, out, one.url))
        assert at_once.exit_code == 1
        assert f"{MOTIONS} requests with the batch API" in at_once.stderr
        one.control(script=[])
        assert kinmo(*run_options(source, out, one.url, "--batch")).exit_code == 0
        assert kinmo("annotate", "batch", "collect", out, "--wait", "--every", 0.05).exit_code == 0
        assert Manifest.load(out).settings["complete"]

    def test_a_failed_batch_shows_its_errors(self, batch_endpoint, make_folder, tmp_path):
        one = batch_endpoint(batch={"fail": {"1": "model_not_found"}})
        source, out = make_folder(4), tmp_path / "d"
        kinmo(*run_options(source, out, one.url, "--batch"))
        failed = kinmo("annotate", "batch", "collect", out, "--wait", "--every", 0.05)
        assert failed.exit_code == 1
        assert "model_not_found" in failed.stderr
        assert "model_not_found" in kinmo("annotate", "batch", "status", out).stderr

    def test_a_budget_submits_what_it_pays_for(self, batch_endpoint, make_folder, tmp_path):
        source, one = make_folder(MOTIONS), batch_endpoint()
        result = kinmo(*run_options(source, tmp_path / "d", one.url, "--batch", "--budget", 0.01))
        state = load_state(tmp_path / "d")
        assert 0 < state.outstanding < MOTIONS, result.output
        assert state.expected_usd <= 0.01
        kinmo("annotate", "batch", "collect", tmp_path / "d")
        short = kinmo("annotate", "batch", "collect", tmp_path / "d", "--wait", "--every", 0.05)
        assert "larger --budget" in short.stderr
        told = json.loads(kinmo("annotate", "batch", "collect", tmp_path / "d", "--json").stdout)
        assert told["summary"]["rows"] < MOTIONS
        assert told["summary"]["spent_usd"] <= 0.0105


@pytest.mark.parametrize("command", ["status", "collect", "cancel"])
def test_without_batches_there_is_a_next_step(command, make_dataset):
    result = kinmo("annotate", "batch", command, make_dataset())
    assert result.exit_code == 1
    assert "annotate run SRC --out" in result.stderr


def test_help_has_an_example_each():
    for command in ("status", "collect", "cancel"):
        assert (
            f"kinmo annotate batch {command} dataset" in kinmo("annotate", "batch", command, "--help").stdout
        )


# ---------------------------------------------------------------- killed

CHILD = """
import importlib.util, sys
from kinmo_annotate import keyframes
from kinmo_annotate.describe.llm.batch.chunks import MOST_BYTES, ChunkWriter
spec = importlib.util.spec_from_file_location("kinmo_tests_conftest", sys.argv.pop(1))
conftest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conftest)
keyframes.open_encoder = lambda model, cache_dir=None: conftest.WordCounts()
ChunkWriter.__init__.__defaults__ = (8, MOST_BYTES)
from kinmo_cli.main import run
run()
"""


def killed(repository, out, step, *arguments):
    """Run a command as a program of its own, and kill it once a chunk has come to a step."""
    words = [sys.executable, "-c", CHILD, repository / "tests/conftest.py", *arguments]
    process = subprocess.Popen(
        [str(word) for word in words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ.copy(),
    )
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and process.poll() is None:
        state = load_state(out)
        if state and any(chunk.step == step for chunk in state.chunks):
            break
        time.sleep(0.01)
    ended = process.poll()
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    assert ended is None, said.decode()


@pytest.mark.slow
def test_submitted_killed_collected_killed_one_batch_expired_the_same_rows(
    batch_endpoint, make_folder, tmp_path, quick_encoder, repository
):
    source = make_folder(MOTIONS)
    assert kinmo(*run_options(source, tmp_path / "now", batch_endpoint().url)).exit_code == 0
    one = batch_endpoint(batch={"expire": [1], "run_s": 0.5}, api_latency_s=0.15)
    out = tmp_path / "later"
    submission = run_options(source, out, one.url, "--batch")
    killed(repository, out, "creating", *submission)
    killed(repository, out, "submitted", *submission)
    assert kinmo(*submission).exit_code == 0
    collection = ["annotate", "batch", "collect", out, "--wait", "--every", 0.1]
    killed(repository, out, "collecting", *collection)
    killed(repository, out, "collected", *collection)
    done = kinmo(*collection)
    assert done.exit_code == 0, done.output
    assert tables(out)[:2] == tables(tmp_path / "now")[:2]
    assert one.stats()["answered_again"] == {}
    api = Api(one.url)
    begun = [remote["id"] for remote in api._listed("/batches", {})]
    api.close()
    assert sorted(begun) == sorted(chunk.batch_id for chunk in load_state(out).chunks)
