"""`kinmo evaluate evaluator` from the outside: train one, score with it, and what is printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from kinmo_cli import main
from typer.testing import CliRunner

SIZES = ("movement", "motion", "text", "latent")


def kinmo(*arguments: object):
    return CliRunner().invoke(main.app, [str(one) for one in arguments], env={"COLUMNS": "120"})


@pytest.fixture
def dataset(make_dataset: Callable[..., Path]) -> Path:
    return make_dataset(12)


@pytest.fixture
def run(dataset: Path, tmp_path: Path) -> Path:
    """A very small evaluator, trained by the command."""
    sets = ["training.epochs=1", "data.batch_size=4", *(f"model.{size}=16" for size in SIZES)]
    options = [word for one in sets for word in ("--set", one)]
    folder = tmp_path / "RUN"
    place = ["--out", folder, "--config", "tiny", "--cache", tmp_path / "cache"]
    result = kinmo("train", "evaluator", dataset, *place, *options)
    assert result.exit_code == 0, result.output
    assert f"next: kinmo evaluate evaluator {folder} {dataset}" in result.stdout.replace("\n", "")
    return folder


def test_every_line_names_evaluator_split_and_sample_size(run: Path, dataset: Path, tmp_path: Path):
    options = ["--pools", "standard", "--pool", 4, "--repeats", 3, "--cache", tmp_path / "cache"]
    written = kinmo("evaluate", "evaluator", run, dataset, *options, "--json")
    assert written.exit_code == 0, written.output
    found = json.loads(written.stdout)
    assert {row["metric"] for row in found["figures"]} >= {"R-precision top 3", "MM-Dist", "Diversity", "FID"}
    assert {row["evaluator"] for row in found["figures"]} == {found["evaluator"]}
    assert all(row["samples"] and row["split_fingerprint"] for row in found["figures"])
    shown = kinmo("evaluate", "evaluator", run, dataset, *options)
    assert shown.exit_code == 0, shown.output
    lines = [line for line in shown.stdout.splitlines() if found["evaluator"] in line]
    assert len(lines) == len(found["figures"])
    assert all(f"test@{found['split_fingerprint'][:8]}" in line for line in lines)
    assert sum("6 + 6" in line for line in lines) == 2
    assert "pools of 4: any motions" in shown.stdout
    seen = kinmo("evaluate", "evaluator", run, dataset, *options, "--split", "train")
    assert "warning: the model was trained on these very motions" in seen.stderr


def test_wrong_use_is_told_with_the_remedy(run: Path, dataset: Path, tmp_path: Path):
    def told(*arguments: object) -> str:
        result = kinmo("evaluate", "evaluator", *arguments, "--cache", tmp_path / "cache")
        assert result.exit_code == 1, result.output
        return " ".join(result.stderr.split())

    assert "make no pool of 32" in told(run, dataset, "--pools", "standard")
    assert "such as 000024" in told(run, dataset, "--labels", _labels(tmp_path))
    assert "holds no trained model" in told(dataset, dataset)
    (tmp_path / "finest.tar").write_text("x")
    assert "finest.tar" in told(tmp_path / "finest.tar", dataset)


def _labels(folder: Path) -> Path:
    path = folder / "index.csv"
    path.write_text("id,content,style\n")
    return path
