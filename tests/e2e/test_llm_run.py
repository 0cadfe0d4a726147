"""`kinmo annotate run --describer openai` against an endpoint that goes wrong on purpose, killed and taken up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from kinmo_annotate.describe.llm.answers import ARCHIVE_DIR, read_archive
from kinmo_annotate.schema.shards import read_failures, read_rows
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

