"""The training loop: going on exactly, validation that changes nothing, errors that say what to do."""

from __future__ import annotations

import errno
import io
import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from kinmo_models.training import checkpoint, loop
from kinmo_models.training.config import resolve
from kinmo_models.training.errors import ConfigError, TrainingError
from kinmo_models.training.loop import seed_all


def lines(out: Path, name: str = "losses.jsonl") -> list[dict]:
    """The lines of a file of a run, without times."""
    read = [json.loads(line) for line in (out / name).read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in read]


@pytest.fixture
def run(toy, tmp_path: Path, monkeypatch):
    """Train the toy in a folder of this name with these settings; the report has tests of its own."""
    monkeypatch.setattr(loop, "write_report", lambda *_: [])

    def start(name: str, *sets: str, work=None, **options):
        config = resolve(toy.ToyConfig, None, list(sets))
        return loop.train(work or toy.ToyWork(config), config.training, tmp_path / name, **options)

    return start


def test_a_training_learns_and_leaves_what_a_run_holds(run, tmp_path: Path) -> None:
    outcome = run("RUN", "training.epochs=20", "training.learning_rate=0.03")
    losses = [line["loss"] for line in lines(tmp_path / "RUN")]
    assert len(losses) == outcome.step == 120
    assert np.mean(losses[-12:]) < 0.8 * np.mean(losses[:12])
    assert outcome.epochs == 20
    assert not outcome.interrupted
    names = {path.name for path in (tmp_path / "RUN").iterdir()}
    wanted = "run.json config.yaml losses.jsonl validation.jsonl last best tensorboard"
    assert names == set(wanted.split())
    meta = json.loads((tmp_path / "RUN" / "best" / "meta.json").read_text())
    assert meta["kind"] == "toy"
    assert meta["dataset_fingerprint"] == "f"
    assert meta["step"] == outcome.best_step
    assert meta["validation"]["noise"] == outcome.best


def test_a_line_has_the_terms_and_their_sum(run, tmp_path: Path) -> None:
    run("RUN", "training.warmup_steps=6")
    first, *_, last = lines(tmp_path / "RUN")
    assert first["step"] == first["epoch"] == 1
    assert first["learning_rate"] == pytest.approx(0.01 / 6)
    assert (last["step"], last["epoch"], last["learning_rate"]) == (18, 3, 0.01)
    assert set(last["terms"]) == {"contrastive", "distance", "_norm"}
    assert last["loss"] == pytest.approx(last["terms"]["contrastive"] + last["terms"]["distance"])


class Stopped(Exception):
    """Ends a training as no training ends."""


@pytest.mark.parametrize("step", [4, 6, 9, 17])
def test_going_on_within_an_epoch_gives_the_same_losses(run, toy, tmp_path: Path, step: int) -> None:
    sets = ("dropout=0.3", "training.keep_every_s=0", "training.schedule=cosine")
    run("whole", *sets)
    work = toy.ToyWork(resolve(toy.ToyConfig, None, list(sets)))
    forward = work.module.forward

    def stopping(batch):
        if batch.number == step:
            raise Stopped
        return forward(batch)

    work.module.forward = stopping
    with pytest.raises(Stopped):
        run("RUN", *sets, work=work)
    assert json.loads((tmp_path / "RUN" / "last" / "progress.json").read_text())["step"] == step
    run("RUN", *sets)
    for name in ("losses.jsonl", "validation.jsonl"):
        assert lines(tmp_path / "RUN", name) == lines(tmp_path / "whole", name)
    states = [load_file(tmp_path / name / "last" / "state.safetensors") for name in ("whole", "RUN")]
    assert all(states[0][name].equal(states[1][name]) for name in states[0])
    assert states[0]["module.seen"] == 18


def test_validating_more_often_changes_no_loss(run, tmp_path: Path) -> None:
    for every in (1, 3):
        run(f"{every}", "dropout=0.3", f"training.validate_every={every}")
    assert lines(tmp_path / "1") == lines(tmp_path / "3")
    assert [line["epoch"] for line in lines(tmp_path / "1", "validation.jsonl")] == [0, 1, 2, 3]
    assert [line["epoch"] for line in lines(tmp_path / "3", "validation.jsonl")] == [0, 3]


def test_the_module_trains_again_after_validation(run, toy) -> None:
    work = toy.ToyWork(toy.ToyConfig())
    seen = []
    forward = work.module.forward
    work.module.forward = lambda batch: seen.append(work.module.training) or forward(batch)
    run("RUN", work=work)
    assert seen == [True] * 18


def test_a_finished_run_does_nothing_and_more_epochs_go_on(run, tmp_path: Path) -> None:
    first = run("RUN")
    text = (tmp_path / "RUN" / "losses.jsonl").read_text()
    again = run("RUN")
    assert (again.step, again.best, again.validation) == (first.step, first.best, first.validation)
    assert (tmp_path / "RUN" / "losses.jsonl").read_text() == text
    assert run("RUN", "training.epochs=4").step == 24
    run("whole", "training.epochs=4")
    assert lines(tmp_path / "RUN") == lines(tmp_path / "whole")


def test_beginning_over_is_asked_for(run, tmp_path: Path) -> None:
    run("RUN")
    with pytest.raises(TrainingError, match=r"training\.seed was 0, now 1"):
        run("RUN", "training.seed=1")
    run("RUN", "training.seed=1", resume=False)
    assert len(lines(tmp_path / "RUN")) == 18


def test_best_is_the_checkpoint_with_the_best_figure(run, toy, tmp_path: Path) -> None:
    config = resolve(toy.ToyConfig, None, ["training.epochs=5", "training.best_mode=max"])
    work = toy.ToyWork(config)
    figures = iter([9.0, float("nan"), 0.2, 0.7, 0.7, 0.1])
    work.validate = lambda accelerator: {"noise": next(figures)}
    outcome = loop.train(work, config.training, tmp_path / "RUN")
    assert (outcome.best, outcome.best_step) == (0.7, 18)
    assert json.loads((tmp_path / "RUN" / "best" / "meta.json").read_text())["epoch"] == 3


def test_without_a_split_to_validate_on_there_is_no_best(run, toy, tmp_path: Path) -> None:
    config = toy.ToyConfig()
    work = toy.ToyWork(config)
    work.validate = lambda accelerator: {}
    outcome = loop.train(work, config.training, tmp_path / "RUN")
    assert outcome.best is None
    assert not (tmp_path / "RUN" / "best").exists()
    assert checkpoint.resolve_model(tmp_path / "RUN").name == "last"


def test_a_figure_that_validation_does_not_give_is_told_before_the_first_step(run, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"training\.best: validation gives no recall\. Choose one of noise"
    ):
        run("RUN", "training.best=recall")
    assert lines(tmp_path / "RUN") == []


def test_a_loss_that_is_no_number_is_named_and_the_checkpoint_kept(run, tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as error:
        run("RUN", "poison=9", "training.keep_every_s=0")
    assert str(error.value).startswith("step 10: the loss term distance is nan.")
    assert "training.learning_rate" in error.value.remedy
    state = load_file(tmp_path / "RUN" / "last" / "state.safetensors")
    assert all(x.isfinite().all() for x in state.values())
    assert json.loads((tmp_path / "RUN" / "last" / "progress.json").read_text())["step"] == 9


def test_too_little_data_is_told_before_anything_is_written(run, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"too little data.*data\.batch_size"):
        run("RUN", "steps=0")
    assert not (tmp_path / "RUN").exists()


@pytest.mark.parametrize("device", ["GPU", "machine"])
def test_no_memory_says_what_to_change(run, toy, device: str) -> None:
    work = toy.ToyWork(toy.ToyConfig())

    def greedy(batch):
        if device == "GPU":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        torch.empty(1 << 50)

    work.module.forward = greedy
    with pytest.raises(TrainingError, match=r"step 1: out of memory.*data\.batch_size"):
        run("RUN", work=work)


def test_what_is_no_lack_of_memory_is_not_called_so(run, toy) -> None:
    work = toy.ToyWork(toy.ToyConfig())
    work.module.second = torch.nn.Linear(3, 3)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        run("RUN", work=work)


def test_a_disk_that_fills_up_leaves_the_checkpoint_before(run, toy, tmp_path: Path) -> None:
    work = toy.ToyWork(toy.ToyConfig())
    save, saved = work.save, []

    def full(folder: Path) -> None:
        saved.append(folder)
        if len(saved) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(folder)

    work.save = full
    with pytest.raises(TrainingError, match="the disk is full"):
        run("RUN", "training.keep_every_s=0", work=work)
    assert json.loads((tmp_path / "RUN" / "last" / "progress.json").read_text())["step"] == 2
    run("RUN", "training.keep_every_s=0")
    run("whole")
    assert lines(tmp_path / "RUN") == lines(tmp_path / "whole")


def test_fp16_on_a_cpu_is_told(run, monkeypatch) -> None:
    if torch.accelerator.is_available():
        pytest.skip("this machine has an accelerator")
    with pytest.raises(ConfigError, match=r"training\.precision: fp16 does not work on cpu\. Set it to bf16"):
        run("RUN", "training.precision=fp16")


def test_bf16_computes_in_bf16_and_keeps_float32_weights(run, toy) -> None:
    work = toy.ToyWork(resolve(toy.ToyConfig, None, ["training.precision=bf16"]))
    seen = []
    work.module.first.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
    outcome = run("RUN", "training.precision=bf16", work=work)
    assert set(seen) == {torch.bfloat16}
    assert work.module.first.weight.dtype == torch.float32
    assert outcome.step == 18
    run("float32")  # the next training in this process has its own precision


def test_clipping_bounds_what_a_step_may_change(run, toy) -> None:
    work = toy.ToyWork(toy.ToyConfig())
    norms = []
    work.module.first.weight.register_post_accumulate_grad_hook(lambda p: norms.append(p.grad.norm()))
    run("RUN", "training.clip_norm=0.001", "training.epochs=1", work=work)
    assert max(norms) > 0.01
    loose, tight = toy.ToyWork(toy.ToyConfig()), work
    run("loose", "training.epochs=1", work=loose)
    assert not torch.equal(loose.module.first.weight, tight.module.first.weight)


@pytest.mark.slow
def test_a_compiled_module_keeps_its_names_and_learns_the_same(run, tmp_path: Path) -> None:
    for name, compiled in (("plain", "false"), ("compiled", "true")):
        run(name, f"training.compile={compiled}", "training.epochs=1")
    names = [set(load_file(tmp_path / n / "last" / "model.safetensors")) for n in ("plain", "compiled")]
    assert names[0] == names[1]
    losses = [[line["loss"] for line in lines(tmp_path / n)] for n in ("plain", "compiled")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_seeds_differ_by_every_number_and_reach_all_generators() -> None:
    def draw(*numbers: int) -> tuple[float, ...]:
        seed_all(*numbers)
        return float(torch.rand(())), float(np.random.rand()), random.random()  # noqa: NPY002

    drawn = [draw(0, 1, 0), draw(0, 1, 1), draw(1, 1, 0), draw(0, 2, 0)]
    assert draw(0, 1, 0) == drawn[0]
    assert all(len(set(column)) == 4 for column in zip(*drawn, strict=True))


# ---------------------------------------------------------------- ends that come from outside


def test_ctrl_c_ends_after_the_step_in_hand_with_a_checkpoint(run, toy, tmp_path: Path) -> None:
    work = toy.ToyWork(toy.ToyConfig())
    forward = work.module.forward

    def interrupted(batch):
        if batch.number == 8:
            signal.raise_signal(signal.SIGINT)
        return forward(batch)

    work.module.forward = interrupted
    before = signal.getsignal(signal.SIGINT)
    said = Console(file=io.StringIO(), width=200)
    outcome = run("RUN", work=work, console=said)
    assert outcome.interrupted
    assert outcome.step == 9
    assert "finishing the step in hand" in said.file.getvalue()
    assert signal.getsignal(signal.SIGINT) is before
    assert not run("RUN").interrupted
    run("whole")
    assert lines(tmp_path / "RUN") == lines(tmp_path / "whole")


def wait_until(happened: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    until = time.monotonic() + 90
    while not happened():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.02)


def touched(out: Path) -> int:
    """When the losses were last written or cut back, in nanoseconds."""
    path = out / "losses.jsonl"
    return path.stat().st_mtime_ns if path.exists() else 0


def steps_in(out: Path) -> int:
    path = out / "losses.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


@pytest.mark.slow
def test_killed_at_random_moments_the_losses_are_those_of_an_uninterrupted_run(toy_process, tmp_path) -> None:
    out, chance = tmp_path / "RUN", random.Random(5)
    sets = ["training.epochs=5", "dropout=0.2", "training.schedule=cosine", "training.keep_every_s=0.05"]
    sets.append("delay_s=0.05")
    kept = []
    for _ in range(4):
        before = touched(out)
        process = toy_process(out, *sets)
        wait_until(lambda before=before: touched(out) > before)
        time.sleep(chance.uniform(0.05, 0.5))
        process.kill()
        output = process.communicate()[0]
        assert process.returncode == -signal.SIGKILL, output
        kept.append(steps_in(out))
    assert any(step % 6 for step in kept), "no kill hit the middle of an epoch"
    for place in (out, tmp_path / "whole"):
        process = toy_process(place, *sets)
        output = process.communicate(timeout=120)[0]
        assert process.returncode == 0, output
        assert ("going on from step" in output) == (place == out)
    for name in ("losses.jsonl", "validation.jsonl"):
        assert lines(out, name) == lines(tmp_path / "whole", name)


@pytest.mark.slow
def test_ctrl_c_over_two_processes_leaves_one_checkpoint(toy_process, tmp_path: Path) -> None:
    process = toy_process(tmp_path / "RUN", "training.epochs=50", "delay_s=0.05", processes=2)
    wait_until(lambda: steps_in(tmp_path / "RUN") > 0)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    progress = json.loads((tmp_path / "RUN" / "last" / "progress.json").read_text())
    assert 0 < progress["step"] < 300
    assert len(lines(tmp_path / "RUN")) == progress["step"]
