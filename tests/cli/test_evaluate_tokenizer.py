"""`kinmo train tokenizer` and `kinmo evaluate tokenizer` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kinmo_cli import main
from typer.testing import CliRunner

SMALL = (
    "model.width=16", "model.code_width=8", "model.levels=3", "model.codes=8", "data.batch_size=4",
    "data.window=16", "training.epochs=1",
)  # fmt: skip


def kinmo(*arguments: object):
    return CliRunner().invoke(main.app, [str(one) for one in arguments], env={"COLUMNS": "120"})


@pytest.fixture
def trained(make_dataset, tmp_path: Path) -> tuple[Path, Path, Path]:
    """A run, the dataset that it was trained on, and their cache."""
    run, dataset, cache = tmp_path / "RUN", make_dataset(6), tmp_path / "cache"
    words = [word for one in SMALL for word in ("--set", one)]
    result = kinmo("train", "tokenizer", dataset, "--out", run, "--config", "tiny", "--cache", cache, *words)
    assert result.exit_code == 0, result.output
    assert f"next: kinmo evaluate tokenizer {run} {dataset}" in result.stdout.replace("\n", "")
    return run, dataset, cache


def test_errors_and_codes_in_use_are_printed_with_what_they_belong_to(trained):
    run, dataset, cache = trained
    result = kinmo("evaluate", "tokenizer", run, dataset, "--cache", cache)
    assert result.exit_code == 0, result.output
    for said in (
        "joint error, in the world",
        "joint error, pelvis aligned",
        "of level 3",
        "of 8",
        "6 motions",
    ):
        assert said in result.stdout
    assert "FID" not in result.stdout
    written = json.loads(kinmo("evaluate", "tokenizer", run, dataset, "--cache", cache, "--json").stdout)
    assert written["split"] == "test"
    assert written["motions"] == 6
    assert written["root_aligned_error_mm"] > 0
    assert len(written["perplexity"]) == 3
    assert f"{written['joint_error_mm']:.1f} mm" in result.stdout
    assert f"fingerprint {written['split_fingerprint']}" in result.stdout.replace("\n", "")


def test_motions_that_the_model_has_seen_draw_a_warning(trained):
    run, dataset, cache = trained
    result = kinmo("evaluate", "tokenizer", run, dataset, "--cache", cache, "--split", "train")
    assert "warning: the tokenizer was trained on the motions of train" in result.stderr


def test_a_wrong_split_or_model_says_what_there_is(trained):
    run, dataset, cache = trained
    result = kinmo("evaluate", "tokenizer", run, dataset, "--cache", cache, "--split", "vall")
    assert result.exit_code == 1
    assert "its splits: test (6), train (12)" in " ".join(result.stderr.split())
    result = kinmo("evaluate", "tokenizer", dataset, dataset, "--cache", cache)
    assert result.exit_code == 1
    assert "holds no trained model" in " ".join(result.stderr.split())
