"""`kinmo train generator`, `kinmo generate` and `kinmo evaluate generation` from the outside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from kinmo_cli import main
from typer.testing import CliRunner

TOKENIZER = (
    "model.width=16", "model.code_width=8", "model.depth=1", "model.levels=2", "model.codes=8",
    "data.batch_size=4", "data.window=16", "training.epochs=1",
)  # fmt: skip
GENERATOR = (
    "model.heads=2", "model.width=16", "model.layers=1", "model.inner=16", "model.token_width=8",
    "data.batch_size=4", "data.min_frames=8", "training.epochs=1", "sampling.passes=[2,1,1]",
)  # fmt: skip
EVALUATOR = (
    "training.epochs=1", "data.batch_size=4",
    *(f"model.{size}=16" for size in ("movement", "motion", "text", "latent")),
)  # fmt: skip


def kinmo(*arguments: object, **more: str):
    words = [str(one) for one in arguments]
    return CliRunner().invoke(main.app, words, env={"COLUMNS": "140"}, **more)


def train(room: str, dataset: Path, out: Path, sets: tuple[str, ...], *options: object) -> str:
    laid = [word for one in sets for word in ("--set", one)]
    cache = ["--cache", out.parent / "cache"]
    result = kinmo("train", room, dataset, "--out", out, "--config", "tiny", *cache, *laid, *options)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def dataset(make_dataset: Callable[..., Path]) -> Path:
    return make_dataset(12)


@pytest.fixture
def model(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A very small generator, trained by the commands."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    train("tokenizer", dataset, tmp_path / "tokenizer", TOKENIZER)
    out = tmp_path / "generator"
    said = train("generator", dataset, out, GENERATOR, "--tokenizer", tmp_path / "tokenizer")
    assert f"--model {out} --out clip.mp4" in said.replace("\n", "")
    return out


def test_one_prompt_becomes_one_file_of_any_kind(model: Path, tmp_path: Path):
    for name in ("clip.npy", "clip.bvh", "clip.png", "clip.gif"):
        out = tmp_path / name
        result = kinmo("generate", "a person waves", "--model", model, "--out", out, "--seconds", 1)
        assert result.exit_code == 0, result.output
        assert out.stat().st_size > 0
        assert f"next: kinmo play {out}" in result.stdout.replace("\n", "")
    joints = np.load(tmp_path / "clip.npy", allow_pickle=False)
    assert joints.shape == (20, 22, 3)
    options = ["--seconds", 1, "--features", "--out", tmp_path / "rows.npy"]
    assert kinmo("generate", "a person waves", "--model", model, *options).exit_code == 0
    assert np.load(tmp_path / "rows.npy", allow_pickle=False).shape == (20, 263)


def test_many_prompts_become_a_numbered_folder_with_an_index(model: Path, tmp_path: Path):
    out = tmp_path / "folder"
    options = ["--model", model, "--out", out, "--count", 2, "--as", "npy", "--seed", 5, "--clean-feet"]
    prompts = "a person walks for 1 second\n# a comment\na person bows for 2 s\n"
    result = kinmo("generate", "-", *options, "--json", input=prompts)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)["motions"]
    assert [(one["prompt"], one["seed"], one["seconds"]) for one in told] == [
        ("a person walks for 1 second", 5, 1.0),
        ("a person walks for 1 second", 6, 1.0),
        ("a person bows for 2 s", 5, 2.0),
        ("a person bows for 2 s", 6, 2.0),
    ]
    lines = [json.loads(line) for line in (out / "index.jsonl").read_text("utf-8").splitlines()]
    assert [(line["file"], line["length"], line["level"]) for line in lines] == [
        ("000000.npy", 20, "G"), ("000001.npy", 20, "G"), ("000002.npy", 40, "G"), ("000003.npy", 40, "G"),
    ]  # fmt: skip
    other = kinmo("generate", "-", *options, input="a person runs\n")
    assert other.exit_code == 1
    assert "--force" in other.stderr
    assert kinmo("generate", "-", *options, "--force", input=prompts).exit_code == 0


def test_a_folder_that_was_stopped_in_is_gone_on_with(model: Path, tmp_path: Path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    options = ["--model", model, "--as", "npy", "--seconds", 1, "--count", 3, "--json"]

    def told(out: Path) -> list[dict[str, object]]:
        result = kinmo("generate", "a person walks", *options, "--out", out)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)["motions"]

    told(whole)
    shutil.copytree(whole, stopped)
    lines = (whole / "index.jsonl").read_bytes().splitlines(keepends=True)
    (stopped / "index.jsonl").write_bytes(lines[0] + lines[1][:20])  # as a kill leaves it
    (stopped / "000001.npy").unlink()
    before = (stopped / "000000.npy").stat().st_mtime_ns
    assert [Path(one["files"][0]).name for one in told(stopped)] == ["000000.npy", "000001.npy", "000002.npy"]
    assert (stopped / "000000.npy").stat().st_mtime_ns == before
    for path in whole.iterdir():
        assert (stopped / path.name).read_bytes() == path.read_bytes()


def test_finer_texts_by_hand_and_from_a_row(model: Path, dataset: Path, tmp_path: Path):
    finer = tmp_path / "finer.yaml"
    finer.write_text("left_arm: The left arm waves.\nneck:\n", "utf-8")
    options = ["--model", model, "--out", tmp_path / "a.npy", "--seconds", 1, "--json"]
    result = kinmo("generate", "a person waves", "--fields", finer, *options)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["motions"][0]["level"] == "GJI"
    finer.write_text("left_arm: The left arm waves.\n", "utf-8")
    alone = kinmo("generate", finer, *options)
    assert alone.exit_code == 0, alone.output
    result = kinmo("generate", "--row", dataset, "000003", "--level", "GJ", *options)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["motions"][0]["level"] == "GJ"


def test_a_reasoner_writes_what_is_not_given(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from kinmo_annotate.schema.skeleton import FIELDS

    asked: list[tuple] = []

    class Says:
        def reason(self, captions, seed, *, given, progress):
            asked.append((captions, seed, given))
            return [dict.fromkeys(FIELDS, "It moves.") for _ in captions]

    monkeypatch.setattr("kinmo_cli._reasoning.open_reasoner", lambda name, silent=False: Says())
    options = ["--model", model, "--out", tmp_path / "a.npy", "--seconds", 1, "--seed", 3, "--json"]
    result = kinmo("generate", "a person waves", "--reasoner", "R", *options)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["motions"][0]["level"] == "GJI"
    assert asked == [(["a person waves"], 3, [{}])]


def test_wrong_use_is_told_before_anything_is_written(model: Path, tmp_path: Path):
    out = tmp_path / "clip.npy"

    def told(*arguments: object) -> str:
        result = kinmo("generate", *arguments)
        assert result.exit_code in (1, 2), result.output
        assert not out.exists()
        return " ".join(result.stderr.split())

    here = ["--model", model, "--out", out]
    assert "--model RUN" in told("a person waves")
    assert "--row DATASET ID" in told(*here)
    assert "levels G, GJ, GJI" in told("x", "--level", "X", *here)
    assert "writes up to 9.8 s" in told("a person waves for 30 seconds", *here)
    assert "Name a folder" in told("x", "--count", 2, *here)
    assert ".bvh" in told("x", "--model", model, "--out", tmp_path / "clip.fbx")
    assert "Leave out one" in told("x", "--features", "--clean-feet", *here)
    assert "Did you mean guidance" in told("x", "--set", "guidence=3", *here)
    assert "there is no such folder" in told("x", "--model", "./nowhere", "--out", out)


def test_generated_motions_are_scored_beside_the_real_ones(model: Path, dataset: Path, tmp_path: Path):
    judge = tmp_path / "evaluator"
    train("evaluator", dataset, judge, EVALUATOR)
    options = ["--evaluator", judge, "--pools", "standard", "--pool", 4, "--cache", tmp_path / "cache"]
    less = ["--runs", 2, "--captions", 3, "--motions", 10, "--level", "G", "--level", "GJI"]
    result = kinmo("evaluate", "generation", model, dataset, *options, *less, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    of_metric = {(row["motions"], row["metric"]): row for row in found["figures"]}
    for motions in ("real", "G, caption", "GJI, annotation"):
        for metric in ("R-precision top 1", "MM-Dist", "Diversity", "foot skating"):
            assert of_metric[motions, metric]["evaluator"] == found["evaluator"]
    assert of_metric["G, caption", "FID"]["samples"] == [12, 12]
    assert of_metric["GJI, annotation", "MultiModality"]["samples"] == [3, 10]
    none = kinmo("evaluate", "generation", model, dataset)
    assert none.exit_code == 2
    assert "kinmo train evaluator" in " ".join(none.stderr.split())
    parts = [word for name in ("--out", "--tokenizer", "--text") for word in (name, tmp_path / name)]
    wrong = kinmo("evaluate", "generation", dataset, "--fig8", *options, *parts, "--variant", "HTMA-X")
    assert wrong.exit_code == 2
    assert "sentence-G, sentence-J" in " ".join(wrong.stderr.split())


@pytest.mark.slow
def test_the_ablation_trains_scores_and_draws_its_variants(dataset: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    train("tokenizer", dataset, tmp_path / "tokenizer", TOKENIZER)
    train("evaluator", dataset, tmp_path / "evaluator", EVALUATOR)
    sizes = ("model.width=16", "model.layers=1", "model.heads=2", "model.inner=16")
    retrieval = (*sizes, "data.batch_size=4", "training.epochs=1")
    train("retrieval", dataset, tmp_path / "text", retrieval)
    out = tmp_path / "fig8"
    # The made-up dataset has no split val: validation curves are empty, all else is there.
    options = ["--out", out, "--pools", "standard", "--pool", 4, "--runs", 1]
    some = ["--seeds", 1, "--variant", "HTMA-I", "--variant", "sentence-G"]
    parts = [word for one in ("tokenizer", "text", "evaluator") for word in (f"--{one}", tmp_path / one)]
    sets = [word for one in GENERATOR for word in ("--set", one)]
    asked = ["evaluate", "generation", dataset, "--fig8", *options, *parts, *sets, "--captions", 0, "--json"]
    begun = kinmo(*asked, *some)
    assert begun.exit_code == 0, begun.output
    assert list(json.loads(begun.stdout)["figures"])[1:] == ["sentence-G (MoMask)", "HTMA-I"]
    result = kinmo(*asked, "--seeds", "0,1")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert list(found["figures"])[1:] == [
        "sentence-G (MoMask)", "sentence-J", "sentence-I", "HTMA-G", "HTMA-J", "HTMA-I",
    ]  # fmt: skip
    assert found["figures"]["HTMA-I"]["FID"]["runs"] == 2
    assert "HTMA-S GJI" in found["figures"]["HTMA-I"]
    assert (out / "fig8.md").read_text("utf-8").count("\n| HTMA-") == 3
    assert (out / "fig8.png").stat().st_size > 0
