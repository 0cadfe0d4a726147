"""`kinmo evaluate descriptions` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kinmo_cli import main
from typer.testing import CliRunner

from kinmo_annotate.sources.procedural import write_demo

pytestmark = pytest.mark.usefixtures("quick_encoder")


def kinmo(*arguments: object):
    return CliRunner().invoke(main.app, [str(one) for one in arguments])


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    write_demo(tmp_path / "motions", 6, seed=4)
    result = kinmo("annotate", "run", tmp_path / "motions", "--out", tmp_path / "D", "--workers", 1)
    assert result.exit_code == 0, result.output
    return tmp_path / "D"


def test_precision_and_recall_stand_per_field(demo: Path) -> None:
    result = kinmo("evaluate", "descriptions", demo, "--json")
    scores = json.loads(result.stdout)
    assert scores["motions"] == 6
    assert scores["fields"]["left_arm"].keys() >= {"precision", "recall", "swapped"}
    assert scores["total"]["claims"] > 0
    assert "torso__neck" in kinmo("evaluate", "descriptions", demo).output


def test_a_floor_sets_the_exit_code(demo: Path) -> None:
    assert kinmo("evaluate", "descriptions", demo, "--least", 0.5).exit_code == 0
    assert kinmo("evaluate", "descriptions", demo, "--least", 1.1).exit_code == 1


def test_truth_that_is_missing_or_of_other_motions_is_told(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "motions" / "truth.jsonl").rename(tmp_path / "elsewhere.jsonl")
    missing = kinmo("evaluate", "descriptions", demo)
    assert missing.exit_code == 1
    assert "--truth" in missing.output
    (tmp_path / "elsewhere.jsonl").write_text('{"motion_id": "other", "events": []}\n')
    other = kinmo("evaluate", "descriptions", demo, "--truth", tmp_path / "elsewhere.jsonl")
    assert other.exit_code == 1
    assert "none of its motions" in other.output
