"""`kinmo index` as typed, with a stand-in for the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from kinmo_cli import main
from typer.testing import CliRunner

from kinmo_models.retrieval.index import MotionIndex
from kinmo_models.training.pretrained import model_fingerprint


class StandIn:
    """Embeds a motion by its features' means."""

    def __init__(self, run):
        self.fingerprint = model_fingerprint(run)

    def encode_features(self, features):
        rows = np.stack([motion[:, 4:67].mean(axis=0) for motion in features])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def encode_sentences(self, texts):
        return np.tile(np.array([[0.6, 0.8]], np.float32), (len(texts), 1))


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "meta.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(
        "kinmo_cli._searching.load_retriever", lambda name, cache_dir, silent: StandIn(Path(name))
    )
    return folder


def kinmo(*words):
    return CliRunner().invoke(main.app, ["index", *map(str, words)], env={"COLUMNS": "140"})


def test_it_is_made_inside_the_run_and_the_next_step_is_told(run, make_dataset):
    dataset = make_dataset(4)
    done = kinmo(run, dataset)
    assert done.exit_code == 0, done.stderr
    (folder,) = (run / "index").iterdir()
    assert f"the index of 12 motions is made: {folder}" in done.stdout
    assert f'next: kinmo search "a person waves" --model {run} --index {dataset}' in done.stdout
    assert len(MotionIndex.open(folder)) == 12


def test_a_current_one_is_left_unless_forced(run, make_dataset):
    dataset = make_dataset(4)
    assert json.loads(kinmo(run, dataset, "--json").stdout)["made"]
    assert not json.loads(kinmo(run, dataset, "--json").stdout)["made"]
    assert "is current" in kinmo(run, dataset).stdout
    assert json.loads(kinmo(run, dataset, "--force", "--json").stdout)["made"]


def test_it_goes_where_out_says_but_replaces_nothing_else(run, make_dataset, tmp_path):
    dataset = make_dataset(4)
    assert kinmo(run, dataset, "--out", tmp_path / "mine").exit_code == 0
    assert len(MotionIndex.open(tmp_path / "mine")) == 12
    done = kinmo(run, dataset, "--out", dataset)
    assert done.exit_code == 1
    assert "is no index. Give a new folder with --out" in done.stderr
    assert (dataset / "kinmo.json").exists()


def test_what_cannot_be_indexed_says_so(run, make_dataset, tmp_path):
    assert "is not a folder" in kinmo(run, tmp_path / "nowhere").stderr
    done = kinmo(tmp_path / "no run", make_dataset(4))
    assert done.exit_code == 1
    assert "no such folder" in done.stderr
