"""`kinmo annotate run --describer openai`: an endpoint that goes wrong, kills, budgets, the key."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from kinmo_annotate.describe.llm.answers import ARCHIVE_DIR, read_archive
from kinmo_annotate.pipeline import annotate
from kinmo_annotate.schema.shards import Manifest, read_failures, read_rows
from kinmo_annotate.settings import Asking, Settings
from kinmo_annotate.sources import open_source

KEY = "sk-kinmo-test-0123456789abcdef"
FAULTS = {
    "rate_limit": 0.05,
    "rate_limit_ms": 0.05,
    "rate_limit_bare": 0.05,
    "error_500": 0.03,
    "cut": 0.01,
    "cut_body": 0.01,
    "invalid_json": 0.02,
}


def command(source: Path, out: Path, cache: Path, url: str, *more: str) -> list[str]:
    return [
        sys.executable, "-c", "from kinmo_cli.main import run; run()",
        "annotate", "run", str(source), "--out", str(out), "--describer", "openai", "--base-url", url,
        "--cache", str(cache), "--encoder", "sentence", "--json", *more,
    ]  # fmt: skip


def environment() -> dict[str, str]:
    return os.environ | {"OPENAI_API_KEY": KEY, "HF_HUB_OFFLINE": "1"}


def finish(arguments: list[str], timeout_s: float = 300) -> tuple[dict, subprocess.CompletedProcess[str]]:
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=timeout_s, env=environment(), check=False
    )
    return json.loads(done.stdout) if done.stdout.strip() else {}, done


def kill_after(arguments: list[str], answered: int, out: Path, timeout_s: float = 240) -> float:
    """Start a run, SIGKILL it once so many answers are in its archive, and give the time of its end."""
    process = subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(),
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + timeout_s
    while len(archived(out)) < answered and time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return time.time()


def archived(out: Path) -> list[dict]:
    return list(read_archive(out / ARCHIVE_DIR))


@pytest.mark.slow
def test_a_thousand_real_motions_three_kills(endpoint, shared_data, tmp_path):
    server = endpoint(latency_s=0.2, retry_after_s=0.5, faults=FAULTS, key=KEY)
    out = tmp_path / "d"
    arguments = command(shared_data / "mocap", out, tmp_path / "cache", server.url, "--limit", "1000")
    kept: set[str] = set()
    kills = []
    for number in range(1, 4):
        kills.append(kill_after(arguments, 200 * number, out))
        kept = {record["key"] for record in archived(out) if record["outcome"] == "accepted"}
    summary, done = finish(arguments)
    assert done.returncode == 0, done.stderr
    assert summary["rows"] + summary["failures"] == 1000
    rows = list(read_rows(out))
    ids = [row.motion.motion_id for row in rows] + [failure.motion_id for failure in read_failures(out)]
    assert len(ids) == len(set(ids)) == 1000
    assert summary["failures"] <= 10, summary["failures_by_reason"]  # twice invalid: 0.04 percent of motions
    # What the run had kept before the last kill is not asked for again.
    again = Counter(r["key"] for r in archived(out) if r["outcome"] == "accepted" and r["paid_usd"])
    assert {key for key, times in again.items() if times > 1} == set()
    assert kept <= set(again)
    # Nor what the endpoint had answered, but for answers in the very moment of a kill that nobody could keep.
    for times in server.stats()["answered_again"].values():
        assert len(times) == 2
        assert min(abs(times[0] - kill) for kill in kills) < 0.3


# ---------------------------------------------------------------- in this process, with made-up motions


@pytest.fixture
def run(tmp_path, make_folder, quick_encoder, monkeypatch):
    """Annotate 40 made-up motions into tmp_path/NAME in this process."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    source = open_source(make_folder(40))

    def go(url: str, name: str = "d", cache: str = "cache", asking: dict | None = None, **options):
        settings = Settings(
            describer="openai", workers=1, shard_size=16, cache_dir=tmp_path / cache,
            asking=Asking(base_url=url, **{"concurrency": 8, **(asking or {})}),
        )  # fmt: skip
        return annotate(source, tmp_path / name, settings, **options)

    return go


def rows_of(folder: Path) -> dict[str, object]:
    """Rows by id, without what differs between equal runs."""
    found = {}
    for row in read_rows(folder):
        made = replace(row.provenance, created_at="", cached_tokens=0, cost_usd=0.0)
        found[row.motion.motion_id] = (row.keyframes, row.descriptions, row.checks, made)
    return found


def test_rows_tell_what_they_cost_and_who_wrote_them(run, endpoint, tmp_path):
    server = endpoint()
    summary = run(server.url)
    assert (summary.rows, summary.failures, summary.complete) == (40, [], True)
    rows = list(read_rows(tmp_path / "d"))
    stats = server.stats()
    assert stats["requests"] == 40
    assert sum(row.provenance.input_tokens for row in rows) == stats["usage"]["prompt_tokens"]
    assert sum(row.provenance.output_tokens for row in rows) == stats["usage"]["completion_tokens"]
    assert sum(row.provenance.cost_usd for row in rows) == pytest.approx(stats["cost_usd"])
    assert summary.spent_usd == pytest.approx(stats["cost_usd"])
    made = {(row.provenance.describer, row.provenance.model, row.provenance.prompt_version) for row in rows}
    assert made == {("openai", "gpt-4o-mini", Manifest.load(tmp_path / "d").prompt_version)}
    assert all(row.checks for row in rows)


def test_a_budget_is_kept_and_raised(run, endpoint, tmp_path):
    server = endpoint(latency_s=0.05)
    budget = 0.006
    first = run(server.url, asking={"budget_usd": budget})
    assert first.halted.kind == "budget"
    assert not first.complete
    assert 0 < server.stats()["cost_usd"] <= budget
    assert first.rows == len(list(read_rows(tmp_path / "d"))) == server.stats()["outcomes"]["ok"]
    again = run(server.url, asking={"budget_usd": budget})  # it is the dataset's, not the run's
    assert again.rows == first.rows
    assert server.stats()["cost_usd"] <= budget
    last = run(server.url, asking={"budget_usd": 1.0})
    assert (last.rows, last.complete) == (40, True)
    assert server.stats()["requests"] == 40


def test_no_quota_ends_the_run_at_once_with_all_that_was_answered(run, endpoint, tmp_path):
    server = endpoint(latency_s=0.05, quota_after=20)
    started = time.monotonic()
    summary = run(server.url)
    refused = [record["time_in"] for record in server.records() if record["outcome"] == "quota"]
    assert time.time() - refused[0] < 5
    assert time.monotonic() - started < 60
    assert summary.halted.kind == "refused"
    assert "quota" in summary.halted.reason
    assert summary.failures == []
    assert len(list(read_rows(tmp_path / "d"))) == summary.rows == 20
    server.control(quota_after=None)
    server.reset()
    assert run(server.url).complete
    assert server.stats()["requests"] == 20


def test_what_failed_is_asked_again_when_wanted(run, endpoint, tmp_path):
    server = endpoint(faults={"refusal": 0.3})
    first = run(server.url)
    assert first.complete
    assert 0 < len(first.failures) < 40
    assert {failure.stage for failure in first.failures} == {"ask"}
    assert "--retry-failures" in first.failures[0].remedy
    assert first.rows + len(first.failures) == 40
    server.control(faults={})
    server.reset()
    assert len(run(server.url).failures) == len(first.failures)
    assert server.stats()["requests"] == 0
    last = run(server.url, retry_failures=True)
    assert (last.rows, last.failures) == (40, [])
    assert server.stats()["requests"] == len(first.failures)
    assert read_failures(tmp_path / "d") == []


def test_a_dataset_is_rebuilt_from_its_archive_when_the_model_is_gone(run, endpoint, tmp_path):
    server = endpoint()
    run(server.url)
    server.stop()
    (tmp_path / "rebuilt").mkdir()
    (tmp_path / "d" / ARCHIVE_DIR).rename(tmp_path / "rebuilt" / ARCHIVE_DIR)
    summary = run("http://127.0.0.1:9/v1", "rebuilt", "another cache", {"mode": "offline"})
    assert summary.complete
    assert rows_of(tmp_path / "rebuilt") == rows_of(tmp_path / "d")


def test_repair_replaces_contradicted_sentences_alone(run, endpoint, tmp_path):
    lie = "The left arm waves five times, and the right leg kicks forward."
    good = "The left arm rises."
    script = [
        {
            "containing": "contradict what was measured",
            "times": 1000,
            "answers": {"left_arm": good, "torso": "The torso jumps."},
        }
    ]
    server = endpoint(answers={"left_arm": lie, "torso": "Not determined."})
    plain = run(server.url, "plain")
    assert plain.verdicts["contradicted"] > 0
    server.control(script=script)
    run(server.url, "mended", asking={"repair": True})
    mended = list(read_rows(tmp_path / "mended"))
    before = {row.motion.motion_id: row for row in read_rows(tmp_path / "plain")}
    assert any(
        row.provenance.input_tokens > before[row.motion.motion_id].provenance.input_tokens for row in mended
    )
    assert {row.descriptions["torso"] for row in mended} == {"Not determined."}
    disputed = {
        i
        for i, row in before.items()
        for c in row.checks
        if (c.field, c.verdict) == ("left_arm", "contradicted")
    }
    assert len(disputed) > 10
    assert all(row.descriptions["left_arm"] == good for row in mended if row.motion.motion_id in disputed)


@pytest.mark.slow
def test_the_key_is_nowhere(make_folder, endpoint, tmp_path):
    faults = {"key_echo": 0.2, "error_500": 0.1, "invalid_json": 0.1, "rate_limit_bare": 0.1, "html": 0.1}
    server = endpoint(faults=faults, key=KEY)
    out, cache = tmp_path / "d", tmp_path / "cache"
    arguments = command(make_folder(20), out, cache, server.url, "--workers", "1")
    _, first = finish(arguments)
    server.control(key="another one", faults={})
    _, refused = finish([*arguments, "--retry-failures"])
    debugged = subprocess.run(
        [*arguments, "--retry-failures", "--timeout", "0.001"], capture_output=True, text=True,
        env=environment() | {"KINMO_DEBUG": "1", "OPENAI_LOG": "debug"}, check=False, timeout=120,
    )  # fmt: skip
    said = "".join(done.stdout + done.stderr for done in (first, refused, debugged))
    assert server.stats()["authorization"]
    assert KEY not in said
    holders = [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert holders == []
    assert not any(KEY in json.dumps(record) for record in archived(out))


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_answered_and_what_is_on_its_way(make_folder, endpoint, tmp_path):
    server = endpoint(latency_s=0.5)
    out = tmp_path / "d"
    more = ("--workers", "1", "--concurrency", "2")
    arguments = command(make_folder(60), out, tmp_path / "cache", server.url, *more)
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    while len(archived(out)) < 5:
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    answered = server.stats()["outcomes"]["ok"]
    assert answered < 60
    assert json.loads(text)["rows"] == len(list(read_rows(out))) == answered
    summary, done = finish(arguments)
    assert (done.returncode, summary["rows"]) == (0, 60)
    assert server.stats()["requests"] == 60
