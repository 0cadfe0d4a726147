"""Several processes learn what one would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from kinmo_models.training.distributed import gather_rows, mean_count, on_main, world_size


def test_alone_nothing_changes() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    assert world_size() == 1
    assert gather_rows(x) is x
    assert mean_count(torch.tensor(5)) == 5.0
    assert mean_count(7) == 7.0
    assert on_main(lambda: {"a": 1}) == {"a": 1}


def test_processes_that_would_each_train_alone_are_told() -> None:
    code = "from kinmo_models.training.distributed import open_processes; open_processes()"
    lonely = {k: v for k, v in os.environ.items() if k != "LOCAL_RANK"} | {"WORLD_SIZE": "2", "RANK": "0"}
    # Another launcher's variable, that accelerate does not take for its own on a CPU.
    probe = "import accelerate; accelerate.PartialState(cpu=False); " + code
    answer = subprocess.run([sys.executable, "-c", probe], env=lonely, capture_output=True, text=True)
    assert answer.returncode == 1
    assert "each would train alone" in answer.stderr


@pytest.mark.slow
def test_gradients_of_two_processes_are_those_of_one(tmp_path: Path, toy_process) -> None:
    """Seven rows, four in one process and three in the other, and different numbers of unmasked values."""
    for processes in (1, 2):
        process = toy_process("--gradients", tmp_path / f"{processes}", processes=processes)
        output = process.communicate(timeout=120)[0]
        assert process.returncode == 0, output
    with safe_open(str(tmp_path / "2"), "pt") as file:
        assert file.metadata() == {"world": "2"}
    one, two = load_file(tmp_path / "1"), load_file(tmp_path / "2")
    assert one.keys() == two.keys()
    for name, gradient in one.items():
        assert gradient.abs().max() > 1e-2
        torch.testing.assert_close(two[name], gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_losses_of_two_processes_are_those_of_one(tmp_path: Path, toy_process) -> None:
    runs = []
    for processes in (1, 2):
        out = tmp_path / f"{processes}"
        process = toy_process(out, "training.clip_norm=1", processes=processes)
        output = process.communicate(timeout=120)[0]
        assert process.returncode == 0, output
        assert json.loads((out / "last" / "meta.json").read_text())["processes"] == processes
        runs.append([json.loads(line) for line in (out / "losses.jsonl").read_text().splitlines()])
    assert len(runs[0]) == len(runs[1]) == 18
    for one, two in zip(*runs, strict=True):
        assert one["step"] == two["step"]
        assert one["terms"] == pytest.approx(two["terms"], rel=1e-5)


@pytest.mark.slow
def test_two_processes_go_on_from_a_checkpoint_of_one(tmp_path: Path, toy_process) -> None:
    """The first process reads it and shares it; nothing that a step draws depends on their number here."""
    whole, split = tmp_path / "whole", tmp_path / "split"
    for out, epochs, processes in ((whole, 3, 1), (split, 1, 1), (split, 3, 2)):
        process = toy_process(out, f"training.epochs={epochs}", processes=processes)
        output = process.communicate(timeout=120)[0]
        assert process.returncode == 0, output
    losses = [
        [json.loads(line)["loss"] for line in (out / "losses.jsonl").read_text().splitlines()]
        for out in (whole, split)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
