"""Checkpoints: a kill or a full disk at any moment leaves a whole one."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from kinmo_models.training import checkpoint
from kinmo_models.training.checkpoint import (
    Progress,
    read_progress,
    read_state,
    recover,
    replace_folder,
    resolve_model,
    state_tensors,
    write_state,
)
from kinmo_models.training.errors import TrainingError


class Killed(BaseException):
    """Stands for SIGKILL: nothing may run after it."""


def write_of(text: str):
    return lambda folder: (folder / "text").write_text(text)


def content(folder: Path) -> str:
    return (folder / "text").read_text()


@pytest.mark.parametrize("call", range(1, 9))
def test_killed_at_any_change_of_the_disk_one_whole_folder_is_left(tmp_path, monkeypatch, call) -> None:
    target = tmp_path / "last"
    replace_folder(target, write_of("one"))
    calls = 0

    def killing(change):
        def changed(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == call:
                raise Killed
            if calls > call:
                raise AssertionError("something ran after the kill")
            return change(*arguments, **options)

        return changed

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", killing(os.rename))
        patched.setattr(shutil, "rmtree", killing(shutil.rmtree))
        patched.setattr(os, "fsync", killing(os.fsync))
        # After a kill no clean-up runs either: `except BaseException` there catches nothing.
        patched.setattr(checkpoint, "BaseException", (), raising=False)
        try:
            replace_folder(target, write_of("two"))
        except Killed:
            pass
        else:
            assert calls < call
    recover(target)
    assert content(target) in ("one", "two")
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_the_folder_before_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "last"
    replace_folder(target, write_of("one"))

    def broken(folder: Path) -> None:
        assert content(target) == "one"
        (folder / "text").write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        replace_folder(target, broken)
    assert content(target) == "one"
    assert not (tmp_path / "last.new").exists()


def test_a_first_folder_that_was_never_finished_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "last.new").mkdir()
    recover(tmp_path / "last")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_the_checkpoint_before_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "last"
    replace_folder(target, write_of("one"))

    def full(folder: Path) -> None:
        (folder / "text").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(TrainingError, match=r"the disk is full.*Free some space") as error:
        replace_folder(target, full)
    assert error.value.where == str(target)
    assert content(target) == "one"


def test_a_full_disk_is_told_by_safetensors_too(tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(TrainingError, match="the disk is full"):
        replace_folder(tmp_path / "last", full)


# ---------------------------------------------------------------- state


def trained() -> tuple[nn.Module, torch.optim.Optimizer]:
    """Two steps of a module with a frozen layer and a normalisation with statistics."""
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    module[2].requires_grad_(False)
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], fused=True)
    for _ in range(2):
        module(torch.randn(5, 3)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return module, optimizer


def test_state_names_parameters_buffers_and_moments_but_nothing_frozen(tmp_path: Path) -> None:
    module, optimizer = trained()
    write_state(tmp_path, state_tensors(module, optimizer), Progress(step=2, steps=5))
    found = load_file(tmp_path / "state.safetensors")
    names = {f"{layer}.{part}" for layer in (0, 1) for part in ("weight", "bias")}
    moments = {f"optimizer.{key}.{n}" for key in ("exp_avg", "exp_avg_sq", "step") for n in names}
    buffers = {f"module.1.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")}
    assert set(found) == {f"module.{n}" for n in names} | buffers | moments
    assert found["optimizer.exp_avg.0.weight"].equal(optimizer.state[module[0].weight]["exp_avg"])


def test_state_goes_back_where_it_came_from(tmp_path: Path) -> None:
    module, optimizer = trained()
    progress = Progress(step=2, steps=5, seconds=1.5, best=0.25, best_step=1, validation={"a": 0.1})
    write_state(tmp_path, state_tensors(module, optimizer), progress)
    kept = {name: x.clone() for name, x in state_tensors(module, optimizer).items()}
    with torch.no_grad():
        for tensor in state_tensors(module, optimizer).values():
            tensor.fill_(7)
    read_state(tmp_path, state_tensors(module, optimizer))
    now = state_tensors(module, optimizer)
    assert all(now[name].equal(x) for name, x in kept.items())
    assert read_progress(tmp_path) == progress


def test_state_of_another_model_is_refused(tmp_path: Path) -> None:
    module, optimizer = trained()
    write_state(tmp_path, state_tensors(module, optimizer), Progress())
    with pytest.raises(TrainingError, match=r"another model: 1 tensors differ, such as module\.0\.weight"):
        read_state(tmp_path, state_tensors(module, optimizer) | {"module.0.weight": torch.zeros(2, 2)})


@pytest.mark.parametrize("name", ["state.safetensors", "progress.json"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    module, optimizer = trained()
    write_state(tmp_path, state_tensors(module, optimizer), Progress())
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:20])
    read = {"state.safetensors": lambda: read_state(tmp_path, state_tensors(module, optimizer))}
    with pytest.raises(TrainingError, match=name):
        read.get(name, lambda: read_progress(tmp_path))()


# ---------------------------------------------------------------- models


def test_a_run_gives_its_best_then_its_last_and_a_folder_itself(tmp_path: Path) -> None:
    for name in ("last.old", "last", "best.old", "best"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "meta.json").write_text(json.dumps({}))
        assert resolve_model(tmp_path) == tmp_path / name
    assert resolve_model(str(tmp_path / "last")) == tmp_path / "last"


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere", "no such folder"), ("./a/b", "no such folder"), ("owner/no-such-model", "the hub gives")],
)
def test_no_model_is_told(monkeypatch, name: str, said: str) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(TrainingError, match=said):
        resolve_model(name)


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds no trained model"):
        resolve_model(tmp_path)
