"""`kinmo train` from the outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from kinmo_cli import main
from typer.testing import CliRunner

SMALL = ("training.epochs=2", "data.batch_size=4", "model.width=16", "model.layers=1", "model.inner=16")


def kinmo(*arguments: object):
    return CliRunner().invoke(main.app, [str(one) for one in arguments], env={"COLUMNS": "100"})


def sets(*settings: str) -> list[str]:
    return [word for one in (*SMALL, *settings) for word in ("--set", one)]


@pytest.fixture
def dataset(make_dataset) -> Path:
    return make_dataset(6)


@pytest.fixture
def small(dataset: Path, tmp_path: Path) -> list[object]:
    """The words of a command that trains a very small model."""
    place = ["train", "retrieval", dataset, "--out", tmp_path / "RUN", "--config", "tiny"]
    return [*place, "--cache", tmp_path / "cache", *sets()]


def test_a_training_ends_with_a_model_and_the_next_command(small, dataset: Path, tmp_path: Path) -> None:
    result = kinmo(*small)
    assert result.exit_code == 0, result.output
    run = tmp_path / "RUN"
    assert f"next: kinmo evaluate retrieval {run} {dataset}" in result.stdout.replace("\n", "")
    assert f"see {run}/report.md" in result.stdout.replace("\n", "")
    meta = json.loads((run / "last" / "meta.json").read_text())
    assert meta["kind"] == "retrieval"
    assert meta["split_fingerprints"].keys() == {"train", "test"}
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["width"] == 16
    assert {path.name for path in (run / "last").iterdir()} >= {"model.safetensors", "statistics.safetensors"}


def test_the_same_command_goes_on_another_is_refused_and_force_begins_over(small, tmp_path: Path) -> None:
    first = kinmo(*small, "--json")
    assert first.exit_code == 0, first.output
    outcome = json.loads(first.stdout)
    assert outcome["epochs"] == 2
    assert not outcome["interrupted"]
    assert json.loads(kinmo(*small, "--json").stdout)["step"] == outcome["step"]
    refused = kinmo(*small, "--set", "loss.kl=0.5")
    assert refused.exit_code == 1
    assert "loss.kl was 1e-05, now 0.5" in refused.stderr
    assert "--force" in refused.stderr
    over = kinmo(*small, "--set", "loss.kl=0.5", "--force")
    assert over.exit_code == 0, over.output
    assert yaml.safe_load((tmp_path / "RUN" / "config.yaml").read_text())["loss"]["kl"] == 0.5


def test_print_config_needs_no_data_and_is_a_config(tmp_path: Path) -> None:
    result = kinmo("train", "retrieval", "--config", "tiny", "--print-config", "--set", "training.epochs=7")
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.stdout)["training"]["epochs"] == 7
    (tmp_path / "mine.yaml").write_text(result.stdout)
    again = kinmo("train", "retrieval", "--config", tmp_path / "mine.yaml", "--print-config")
    assert again.stdout == result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "name the dataset folder"),
        (("D",), 2, "name the folder of the training"),
        (("D", "--out", "R", "--set", "training.epoch=3"), 1, "Did you mean training.epochs?"),
        (("D", "--out", "R", "--set", "training.epochs=some"), 1, "Give a whole number."),
        (("D", "--out", "R", "--config", "huge"), 1, "Give base, tiny, or a YAML file"),
        (("D", "--out", "R"), 1, "kinmo annotate run"),
    ],
)
def test_a_wrong_command_says_what_to_do(monkeypatch, tmp_path, arguments, code: int, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    result = kinmo("train", "retrieval", *arguments)
    assert result.exit_code == code
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_a_folder_of_others_is_refused_before_the_data_are_opened(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    for choice in ("--resume", "--force"):
        result = kinmo("train", "retrieval", tmp_path / "no dataset", "--out", tmp_path / "mine", choice)
        assert result.exit_code == 1
        assert "no RUN folder" in result.stderr
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def test_too_little_data_says_what_to_change(small) -> None:
    result = kinmo(*small, "--set", "data.batch_size=500")
    assert result.exit_code == 1
    assert "data.batch_size" in result.stderr


def test_help_has_examples_also_for_several_processes() -> None:
    text = " ".join(kinmo("train", "retrieval", "--help").stdout.split())
    assert "kinmo train retrieval dataset --out run --config tiny" in text
    assert "accelerate launch --multi_gpu --num_processes 2 -m kinmo_cli train retrieval" in text


def test_python_can_start_the_program_as_a_module() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "kinmo_cli", "--version"], capture_output=True, text=True, check=True
    )
    assert answer.stdout.startswith("kinmo ")


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_learned_and_exits_with_130(small, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kinmo_cli", *map(str, small), "--set", "training.epochs=400"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    losses, until = tmp_path / "RUN" / "losses.jsonl", time.monotonic() + 120
    while not (losses.exists() and losses.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert "Run the same command again" in output
    step = json.loads((tmp_path / "RUN" / "last" / "progress.json").read_text())["step"]
    assert len(losses.read_text().splitlines()) == step > 0


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(small, dataset: Path, tmp_path: Path) -> None:
    """The batches are the same, the latents are drawn anew in each process: equal within that noise.

    Where nothing is drawn they are equal to rounding: tests/kinmo_models/training/test_distributed.py.
    """
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
    launch += ["--num_processes", "2", "--main_process_port", "0", "--mixed_precision", "no"]
    launch += ["--dynamo_backend", "no", "-m", "kinmo_cli"]
    alone = [sys.executable, "-m", "kinmo_cli"]
    losses = {}
    for name, program in (("two", launch), ("one", alone)):
        words = [str(tmp_path / name) if word == tmp_path / "RUN" else str(word) for word in small]
        answer = subprocess.run(
            [*program, *words, "--set", "model.dropout=0"],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.count("next: kinmo evaluate") == 1
        lines = [json.loads(line) for line in (tmp_path / name / "losses.jsonl").read_text().splitlines()]
        losses[name] = [line["loss"] for line in lines]
    assert json.loads((tmp_path / "two" / "last" / "meta.json").read_text())["processes"] == 2
    assert len(losses["one"]) == len(losses["two"]) > 4
    assert sum(losses["one"]) == pytest.approx(sum(losses["two"]), rel=0.1)
