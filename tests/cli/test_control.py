"""`kinmo train control`, `kinmo control` and `kinmo evaluate control` from the outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from kinmo_cli import main
from typer.testing import CliRunner

SETS = {
    "tokenizer": (
        "model.width=16", "model.code_width=8", "model.depth=1", "model.levels=2", "model.codes=8",
        "data.batch_size=4", "data.window=16",
    ),
    "generator": (
        "model.heads=2", "model.width=16", "model.layers=1", "model.inner=16", "model.token_width=8",
        "data.batch_size=4", "data.min_frames=8", "sampling.passes=[2,1,1]",
    ),
    "control": ("model.encoder_width=8", "data.batch_size=4", "data.min_frames=8"),
    "evaluator": (
        "model.movement=16", "model.motion=16", "model.text=16", "model.latent=16", "data.batch_size=4",
    ),
}  # fmt: skip


def kinmo(*arguments: object):
    words = [str(one) for one in arguments]
    return CliRunner().invoke(main.app, words, env={"COLUMNS": "160"})


def train(room: str, out: Path, *arguments: object) -> str:
    laid = [word for one in (*SETS[room], "training.epochs=1") for word in ("--set", one)]
    cache = ["--cache", out.parent / "cache"]
    result = kinmo("train", room, *arguments, "--out", out, "--config", "tiny", *cache, *laid)
    assert result.exit_code == 0, result.output
    return result.stdout.replace("\n", "")


@pytest.fixture
def dataset(make_dataset: Callable[..., Path]) -> Path:
    return make_dataset(8)


@pytest.fixture
def model(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Very small models, trained by the commands."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    train("tokenizer", tmp_path / "tokenizer", dataset)
    train("generator", tmp_path / "generator", dataset, "--tokenizer", tmp_path / "tokenizer")
    out = tmp_path / "led"
    assert f"--model {out} --out clip.mp4" in train("control", out, tmp_path / "generator", dataset)
    return out


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    path = tmp_path / "walk.csv"
    rows = [f"{frame},pelvis,0,0.9,{frame / 20}" for frame in range(0, 24, 4)]
    path.write_text("\n".join(["frame,joint,x,y,z", *rows]), "utf-8")
    return path


def test_a_path_becomes_a_motion_of_any_kind(model: Path, walk: Path, tmp_path: Path):
    for name in ("clip.npy", "clip.png", "clip.gif"):
        out = tmp_path / name
        result = kinmo("control", "a person walks", "--path", walk, "--model", model, "--out", out)
        assert result.exit_code == 0, result.output
        assert out.stat().st_size > 0
        assert "cm from the path on average" in result.stdout
        assert "6 points" in result.stdout
        assert "nearer: add --refine 100" in result.stdout
    assert np.load(tmp_path / "clip.npy", allow_pickle=False).shape == (24, 22, 3)


def test_refinement_comes_nearer_and_json_says_how_near(model: Path, walk: Path, tmp_path: Path):
    told = []
    for refine in (0, 20):
        given = ["--path", walk, "--at", "1s left_wrist 0.3 1.2 1.1", "--refine", refine, "--seconds", 2]
        out = tmp_path / "clip.npy"
        result = kinmo("control", "a person walks", *given, "--model", model, "--out", out, "--json")
        assert result.exit_code == 0, result.output
        told.append(json.loads(result.stdout))
    assert told[0]["points"] == 7
    assert told[0]["seconds"] == 2.0
    assert told[0]["passes"] == {"forward": 11, "refinement": 0}
    assert told[1]["passes"]["refinement"] == 20
    assert told[1]["average_error_m"] < told[0]["average_error_m"]
    assert told[1]["average_error_m"] <= told[1]["largest_error_m"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "no path is given"),
        (["--at", "1s left_hand 0 1 0"], "there is no joint 'left_hand'"),
        (["--at", "1s left_wrist 0 nan 0"], "y is 'nan', not a finite number"),
        (["--at", "3s head 0 1 0", "--seconds", 1], "frame 60 lies outside the motion of 20 frames"),
        (["--path", "path.txt"], "neither .csv nor .npy"),
        (["--path", "missing.csv"], "No such file"),
    ],
)
def test_bad_paths_end_in_one_line_before_a_model_is_opened(options: list[object], said: str, tmp_path: Path):
    result = kinmo("control", "a person walks", *options, "--model", "none", "--out", tmp_path / "clip.npy")
    assert result.exit_code != 0
    assert said in result.output.replace("\n", "")
    assert "Traceback" not in result.output


def test_a_path_without_a_prompt_is_told_what_to_add(tmp_path: Path):
    at = ["--at", "1s head 0 1 0"]
    result = kinmo("control", *at, "--model", "none", "--out", tmp_path / "clip.npy")
    assert result.exit_code == 2
    assert "kinmo control" in result.output
    assert "--row" not in result.output


def test_what_nobody_can_do_is_a_warning_with_its_row(model: Path, tmp_path: Path):
    path = tmp_path / "fast.csv"
    path.write_text("frame,joint,x,y,z\n0,pelvis,1,0.9,0\n7,pelvis,1,0.9,9\n", "utf-8")
    options = ["--path", path, "--model", model, "--out", tmp_path / "clip.npy"]
    said = kinmo("control", "a person walks", *options).output.replace("\n", "")
    assert "fast.csv, row 3: pelvis moves 26 m/s from frame 0 to 7" in said
    assert "fast.csv, row 2: the pelvis is held at x 1.00" in said
    assert "row 2" not in kinmo("control", "a person walks", *options, "--relative").output


def test_control_is_evaluated_in_labelled_rows(model: Path, dataset: Path, tmp_path: Path):
    options = ["--density", "1,100%", "--refine", 3, "--count", 2, "--cache", tmp_path / "cache"]
    result = kinmo("evaluate", "control", model, dataset, *options)
    assert result.exit_code == 0, result.output
    for name in ("uncontrolled", "feed-forward", "refined 3", "mean", "100%"):
        assert name in result.stdout
    sheets = ["--pictures", tmp_path / "sheets"]
    told = json.loads(kinmo("evaluate", "control", model, dataset, *options, *sheets, "--json").stdout)
    assert len(told["rows"]) == 9
    assert told["pictures"] == [str(tmp_path / "sheets" / name) for name in ("1.png", "2.png")]
    assert all(Path(one).stat().st_size > 10_000 for one in told["pictures"])
    assert told["joints"] == "pelvis"
    wrong = kinmo("evaluate", "control", model, dataset, "--density", "1,200%")
    assert wrong.exit_code == 2
    assert "'200%' is no density" in wrong.output
    taken = tmp_path / "taken"
    taken.write_text("", "utf-8")
    wrong = kinmo("evaluate", "control", model, dataset, "--pictures", taken)
    assert wrong.exit_code == 2
    assert "Name another folder." in wrong.output


def test_an_evaluator_scores_each_way_of_control(model: Path, dataset: Path, tmp_path: Path):
    train("evaluator", tmp_path / "judge", dataset)
    options = ["--density", "5", "--refine", 2, "--cache", tmp_path / "cache", "--json"]
    judged = ["--evaluator", tmp_path / "judge", "--pools", "standard", "--pool", 4]
    result = kinmo("evaluate", "control", model, dataset, *options, *judged)
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)["scores"]
    figures = {(one["motions"], one["metric"]): one for one in scores["figures"]}
    for way in ("uncontrolled", "feed-forward, 5", "refined 2, 5"):
        assert figures[way, "FID"]["samples"] == [8, 8]
        assert figures[way, "R-precision top 3"]["evaluator"] == scores["evaluator"]
    assert ("real", "MM-Dist") in figures
