"""Training on a dataset: what is learned, kept and repeated exactly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from kinmo_annotate.schema import shards
from kinmo_annotate.schema.shards import DatasetError
from kinmo_models.data.motions import MotionStore
from kinmo_models.tokenizer.train import TokenizerWork, train_tokenizer

_RUNNER = """
import sys
from pathlib import Path
from kinmo_models.tokenizer.config import load_config
from kinmo_models.tokenizer.train import train_tokenizer
dataset, out, cache, *sets = sys.argv[1:]
train_tokenizer(Path(dataset), Path(out), load_config("tiny", sets), cache_dir=Path(cache))
"""


def losses(run: Path) -> list[dict]:
    """What each step recorded, but for the time."""
    lines = [json.loads(line) for line in (run / "losses.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def with_val(make_rows, folder: Path) -> Path:
    """Write a dataset with a split val."""
    infos = []
    for split, count, first in (("train", 8, 0), ("val", 3, 8), ("test", 2, 11)):
        table = shards.rows_to_table(make_rows(count, split, first))
        infos.append(shards.write_shard(table, folder / "data" / shards.shard_name(split, 0)))
    shards.write_failures([], folder / "failures.parquet")
    shards.Manifest({"seed": 7}, "1", infos).save(folder)
    return folder


def test_a_run_tells_where_it_comes_from(run):
    meta = json.loads((run / "last/meta.json").read_text("utf-8"))
    assert meta["kind"] == "tokenizer"
    assert set(meta["split_fingerprints"]) == {"train", "test"}
    assert meta["windows"] == sum(max(rows // 16, 1) for rows in (29 + 3 * (n % 7) for n in range(12)))
    assert meta["parameters"] > 0
    assert {path.name for path in (run / "last").iterdir()} == {
        "model.safetensors", "statistics.safetensors", "config.yaml", "meta.json", "state.safetensors",
        "progress.json",
    }  # fmt: skip
    assert np.isfinite([line["loss"] for line in losses(run)]).all()


def test_statistics_are_those_of_the_training_split_by_family(make_dataset, small, tmp_path):
    dataset = make_dataset(6)
    work = TokenizerWork(dataset, small(), cache_dir=tmp_path / "cache")
    statistics = work._statistics
    store = MotionStore.open(dataset, tmp_path / "cache")
    rows = np.concatenate(
        [store.features(index, turned) for index in store.select("train") for turned in (False, True)]
    )
    np.testing.assert_allclose(statistics.mean, rows.mean(0), atol=1e-4)
    np.testing.assert_allclose(statistics.std[4:67], rows[:, 4:67].std(0).mean(), rtol=1e-3)
    np.testing.assert_allclose(statistics.std[3], rows[:, 3].std() / 5, rtol=1e-3)


def test_validation_shows_val_alone_and_nothing_before_the_first_step(make_rows, small, tmp_path):
    dataset = with_val(make_rows, tmp_path / "dataset")
    outcome = train_tokenizer(
        dataset, tmp_path / "run", small("training.validate_every=1"), cache_dir=tmp_path
    )
    lines = [json.loads(line) for line in (tmp_path / "run/validation.jsonl").read_text("utf-8").splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    names = {"joint_error_mm", "root_aligned_error_mm", "reconstruction"}
    assert set(lines[0]["figures"]) == names | {f"perplexity/{level}" for level in (1, 2, 3)}
    assert outcome.best == min(line["figures"]["joint_error_mm"] for line in lines)


def test_equal_seeds_learn_the_same_and_others_do_not(make_dataset, small, tmp_path):
    dataset = make_dataset(6)
    found = []
    for number, sets in enumerate(([], [], ["training.seed=1"])):
        out = tmp_path / str(number)
        config = small("quantiser.temperature=0.5", "model.dropout=0.1", *sets)
        train_tokenizer(dataset, out, config, cache_dir=tmp_path / "cache")
        found.append(losses(out))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_it_learns(make_dataset, small, tmp_path):
    config = small("training.epochs=30", "training.validate_every=30", "quantiser.level_drop=0")
    train_tokenizer(make_dataset(6), tmp_path / "run", config, cache_dir=tmp_path / "cache")
    steps = [line["loss"] for line in losses(tmp_path / "run")]
    assert np.mean(steps[-5:]) < 0.8 * np.mean(steps[:5])


def test_a_split_too_small_for_a_batch_is_refused(make_dataset, small, tmp_path):
    with pytest.raises(DatasetError, match=r"too few for one batch of 500.*data\.batch_size"):
        train_tokenizer(make_dataset(6), tmp_path / "run", small("data.batch_size=500"), cache_dir=tmp_path)
    assert not (tmp_path / "run").exists()


def test_stopped_and_taken_up_again_it_is_one_run_to_the_bit(make_dataset, small, tmp_path):
    """Codes, their averages and whether they were begun come back: MoMask's own training loses them."""
    dataset, always = make_dataset(6), ("training.keep_every_s=0", "training.schedule=constant")
    config = small(*always, "training.epochs=4", "quantiser.temperature=0.5", "quantiser.dead_below=0.8")
    train_tokenizer(dataset, tmp_path / "whole", config, cache_dir=tmp_path / "cache")
    first = small(*always, "training.epochs=2", "quantiser.temperature=0.5", "quantiser.dead_below=0.8")
    for settings in (first, config):
        train_tokenizer(dataset, tmp_path / "halves", settings, cache_dir=tmp_path / "cache")
    assert losses(tmp_path / "halves") == losses(tmp_path / "whole")
    ends = [load_file(tmp_path / name / "last/state.safetensors") for name in ("whole", "halves")]
    assert any(name.endswith("embed_avg") for name in ends[0])
    for name, tensor in ends[0].items():
        assert torch.equal(tensor, ends[1][name]), name


@pytest.mark.slow
def test_killed_and_taken_up_again_the_losses_are_those_of_one_run(make_dataset, tmp_path):
    dataset = make_dataset(8)
    sets = ["model.width=16", "model.code_width=8", "model.levels=3", "model.codes=8", "data.batch_size=4"]
    sets += ["data.window=16", "training.epochs=3", "training.keep_every_s=0", "quantiser.temperature=0.5"]

    def start(out: str) -> subprocess.Popen[bytes]:
        places = [str(one) for one in (dataset, tmp_path / out, tmp_path / "cache")]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen([sys.executable, "-c", _RUNNER, *places, *sets], env=environment)

    assert start("whole").wait() == 0
    expected = losses(tmp_path / "whole")
    kept = tmp_path / "killed/losses.jsonl"
    process = start("killed")
    while process.poll() is None and (not kept.exists() or kept.read_bytes().count(b"\n") < 4):
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert kept.read_bytes().count(b"\n") < len(expected)
    assert start("killed").wait() == 0
    assert losses(tmp_path / "killed") == expected


@pytest.mark.slow
def test_two_processes_learn_one_codebook_from_the_windows_of_both(make_dataset, tmp_path):
    """They draw otherwise than one process does, such as new places for codes: equal within that noise."""
    (tmp_path / "runner.py").write_text(_RUNNER)
    sets = ["model.width=16", "model.code_width=8", "model.levels=3", "model.codes=8", "data.batch_size=8"]
    sets += ["data.window=16", "training.epochs=6"]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
    launch += ["--num_processes", "2", "--main_process_port", "0", "--mixed_precision", "no"]
    launch += ["--dynamo_backend", "no"]
    ends = {}
    for name, program in (("two", launch), ("one", [sys.executable])):
        places = [str(one) for one in (make_dataset(8, name), tmp_path / f"run {name}", tmp_path / name)]
        answer = subprocess.run(
            [*program, str(tmp_path / "runner.py"), *places, *sets],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert answer.returncode == 0, answer.stderr
        ends[name] = [line["loss"] for line in losses(tmp_path / f"run {name}")]
    assert json.loads((tmp_path / "run two/last/meta.json").read_text("utf-8"))["processes"] == 2
    state = load_file(tmp_path / "run two/last/model.safetensors")
    used = state["quantiser.layers.0._codebook.cluster_size"].sum()
    tokens = 8 * 16 // 4  # of a batch, over both processes
    assert used == pytest.approx(tokens, rel=0.3)
    assert len(ends["one"]) == len(ends["two"]) > 10
    assert np.mean(ends["one"]) == pytest.approx(np.mean(ends["two"]), rel=0.1)
