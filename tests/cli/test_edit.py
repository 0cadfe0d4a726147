"""`kinmo edit` and `kinmo evaluate editing` from the outside."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from kinmo_cli import main
from typer.testing import CliRunner

from kinmo_annotate.schema.records import Row
from kinmo_models.evaluator.config import load_config as of_evaluator
from kinmo_models.evaluator.train import train_evaluator
from kinmo_models.generation.config import load_config as of_generator
from kinmo_models.generation.train import Parts, train_generation
from kinmo_models.tokenizer.config import load_config as of_tokenizer
from kinmo_models.tokenizer.train import train_tokenizer

WAVE = "left_arm=The left arm waves."


@pytest.fixture(scope="session")
def make_rows(make_rows: Callable[..., list[Row]]) -> Callable[..., list[Row]]:
    """Make up rows whose features are computed from their joints."""

    def make(*given: object) -> list[Row]:
        return [replace(row, motion=replace(row.motion, features=None)) for row in make_rows(*given)]

    return make


@pytest.fixture
def dataset(make_dataset: Callable[..., Path]) -> Path:
    return make_dataset(6)


@pytest.fixture
def run(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A generator as small as can be."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    sizes = ["model.width=16", "training.epochs=1", "data.batch_size=4"]
    coder = ["model.code_width=8", "model.depth=1", "model.levels=2", "model.codes=8"]
    train_tokenizer(dataset, tmp_path / "coder", of_tokenizer("tiny", [*coder, *sizes, "data.window=16"]))
    writer = ["model.heads=2", "model.layers=1", "model.inner=16", "model.token_width=8", "data.min_frames=8"]
    settings = of_generator("tiny", [*writer, *sizes])
    train_generation(dataset, tmp_path / "run", settings, Parts(tmp_path / "coder", None))
    return tmp_path / "run"


@pytest.fixture
def walk(arm_motion: Callable[[int], np.ndarray], tmp_path: Path) -> Path:
    np.save(tmp_path / "walk.npy", np.concatenate([arm_motion(2), arm_motion(2)])[:43])
    return tmp_path / "walk.npy"


def edit(*words: object) -> tuple[int, str]:
    """Run the command: exit code, and all that it printed."""
    result = CliRunner().invoke(main.app, ["edit", *map(str, words)], env={"COLUMNS": "140"})
    return result.exit_code, " ".join(result.output.split())


def found(*words: object) -> dict:
    code, said = edit(*words, "--json")
    assert code == 0, said
    return json.loads(said)


def test_a_motion_is_edited_in_every_way(run: Path, dataset: Path, walk: Path, tmp_path: Path):
    out, both = tmp_path / "new.npy", tmp_path / "both.png"
    here = ["--model", run, "--out", out]
    one = found(walk, *here, "--prompt", "a person jumps", "--from", 0.4, "--to", 1.2, "--compare", both)
    assert (one["written_tokens"], one["tokens"], one["level"], one["seconds"]) == (4, 10, "G", 2.1)
    assert np.load(out, allow_pickle=False).shape == (42, 22, 3)
    assert both.stat().st_size > 0
    assert one["moved_outside_mm"] is not None
    held = found(walk, *here, "--field", WAVE, "--hold", "others", "--features", "--seed", 3)
    assert held["held"] == ["torso", "neck", "right_arm", "left_leg", "right_leg"]
    assert held["fields"] == {"left_arm": "The left arm waves."}
    assert held["moved_outside_mm"] < 0.01
    assert np.load(out, allow_pickle=False).shape == (40, 263)
    assert found(walk, *here, "--prepend", "a person sits", "--seconds", 1)["seconds"] == 3.1
    assert found(walk, *here, "--append", "a person sits", "--seconds", 1)["seconds"] == 3.0
    blended = found(walk, *here, "--blend", walk, "--prompt", "a person stands", "--seconds", 0.6)
    assert blended["seconds"] == pytest.approx(2.0 + 0.6 + 2.1)
    code, said = edit("--row", dataset, "000004", *here)
    assert code == 0, said
    assert "tokens written" in said
    assert "next: kinmo play" in said


def test_a_reasoner_carries_out_an_instruction(
    run: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    class Reasoner:
        @classmethod
        def from_pretrained(cls, model: str) -> Reasoner:
            return cls()

        def edit(self, edits):
            asked.extend(edits)
            caption, fields, _ = edits[0]
            return [(f"{caption} and waves", {**fields, "left_arm": "The left arm waves."})]

    module = ModuleType("kinmo_models.reasoner.reasoner")
    module.Reasoner = Reasoner  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kinmo_models.reasoner", ModuleType("kinmo_models.reasoner"))
    monkeypatch.setitem(sys.modules, "kinmo_models.reasoner.reasoner", module)
    said = ["--instruction", "wave the left hand", "--reasoner", "there", "--hold", "others"]
    one = found("--row", dataset, "000004", "--model", run, "--out", tmp_path / "new.npy", *said)
    assert asked[0][2] == "wave the left hand"
    assert one["prompt"] == "wave the left hand"  # the held groups are not told of
    assert one["fields"]["left_arm"] == "The left arm waves."
    assert "left_arm" not in one["held"]
    assert len(one["held"]) == 5
    whole = found("--row", dataset, "000004", "--model", run, "--out", tmp_path / "new.npy", *said[:4])
    assert whole["prompt"].endswith("and waves")
    assert not whole["held"]


def test_wrong_use_is_told_before_a_model_is_loaded(walk: Path, dataset: Path, tmp_path: Path):
    here = [walk, "--model", "nowhere", "--out", tmp_path / "new.npy"]

    def told(*words: object) -> str:
        code, said = edit(*words)
        assert code in (1, 2), said
        return said

    assert "--model RUN" in told(walk)
    assert "--row DATASET ID" in told(*here[1:])
    assert "One of both" in told(*here, "--row", dataset, "000003")
    assert "--from and --to and --append do not go together" in told(*here, "--from", 1, "--append", "sits")
    assert "Leave out all but one" in told(*here, "--append", "sits", "--prompt", "walks")
    assert "--seconds is the length of what is added" in told(*here, "--prompt", "sits", "--seconds", 2)
    assert "no source to hold" in told(*here, "--append", "sits", "--hold", "torso")
    assert "Give both" in told(*here, "--instruction", "raise the left arm")
    assert "Leave out the instruction" in told(
        *here, "--instruction", "x", "--reasoner", "y", "--prompt", "sits"
    )
    assert "nothing is held" in told(*here, "--prompt", "sits", "--refine", 5)
    assert ".bvh" in told(walk, "--model", "nowhere", "--out", tmp_path / "new.fbx", "--prompt", "sits")
    assert ".png" in told(*here, "--prompt", "sits", "--compare", tmp_path / "both.bvh")
    assert "does not exist" in told(tmp_path / "no.bvh", *here[1:], "--prompt", "sits")
    np.save(tmp_path / "short.npy", np.load(walk)[:4])
    assert "at least 5 frames" in told(tmp_path / "short.npy", *here[1:], "--prompt", "sits")
    assert "there is no such folder" in told(walk, "--model", "./nowhere", *here[3:], "--prompt", "sits")


def test_wrong_use_that_the_model_tells(run: Path, walk: Path, dataset: Path, tmp_path: Path):
    here = [walk, "--model", run, "--out", tmp_path / "new.npy"]

    def told(*words: object) -> str:
        code, said = edit(*here, *words)
        assert code in (1, 2), said
        assert not (tmp_path / "new.npy").exists()
        return said

    assert "no text to write the motion under" in told()
    assert "no text" in told("--from", 1)
    assert "holds nothing" in told("--prompt", "sits", "--from", 2, "--to", 1)
    assert "End it at 2.1 s or before" in told("--prompt", "sits", "--from", 1, "--to", 9)
    assert "writes up to 9.8 s" in told("--append", "sits", "--seconds", 20)
    assert "Did you mean left_arm" in told("--field", "left_amr=The arm waves.")
    assert "has no sentence" in told("--field", "left_arm=")
    assert "no sentence of a group changes" in told("--prompt", "sits", "--hold", "others")
    assert "The groups are torso" in told("--prompt", "sits", "--hold", "tail")
    assert "all six groups" in told(
        "--prompt", "sits", "--hold", "torso,neck,left_arm,right_arm,left_leg,right_leg"
    )
    assert "nothing says what it does" in told("--instruction", "x", "--reasoner", "y")
    assert "levels G, GJ, GJI" in told("--prompt", "sits", "--level", "X")
    assert "no retrieval model" in told("--prompt", "sits", "--tries", 2)


def test_edits_of_a_split_are_measured(run: Path, dataset: Path, tmp_path: Path):
    words = ["evaluate", "editing", run, dataset, "--count", 2, "--level", "G", "--cache", tmp_path / "cache"]
    result = CliRunner().invoke(main.app, [*map(str, words), "--json"], env={"COLUMNS": "140"})
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [one["edits"] for one in told["reach"]] == ["group edits, G", "time edits, G"]
    assert [one["tokens_kept"] for one in told["reach"]] == [1.0, 1.0]
    assert told["reach"][0]["moved_mm"] < 0.01
    assert told["split_fingerprint"]
    shown = CliRunner().invoke(main.app, [str(word) for word in words], env={"COLUMNS": "160"})
    assert shown.exit_code == 0, shown.output
    assert "Reach of edits" in shown.stdout


def test_an_evaluator_scores_edits_against_their_sources(run: Path, dataset: Path, tmp_path: Path):
    sizes = [f"model.{one}=16" for one in ("movement", "motion", "text", "latent")]
    settings = of_evaluator("tiny", [*sizes, "training.epochs=1", "data.batch_size=4"])
    train_evaluator(dataset, tmp_path / "judge", settings)
    words = [
        "evaluate",
        "editing",
        run,
        dataset,
        "--count",
        4,
        "--level",
        "G",
        "--evaluator",
        tmp_path / "judge",
    ]
    less = ["--pools", "standard", "--pool", 4, "--cache", tmp_path / "cache", "--json"]
    result = CliRunner().invoke(main.app, [*map(str, [*words, *less])], env={"COLUMNS": "140"})
    assert result.exit_code == 0, result.output
    figures = {(one["motions"], one["metric"]) for one in json.loads(result.stdout)["figures"]}
    for edits in ("group edits", "time edits"):
        assert {
            (f"{edits}, G", metric) for metric in ("FID", "R-precision top 1", "MM-Dist", "Diversity")
        } <= figures
        assert (f"{edits}, sources", "FID") not in figures
