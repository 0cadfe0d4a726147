"""Training on a dataset: what is learned, kept and repeated exactly."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kinmo_annotate.schema.shards import DatasetError
from kinmo_models.data.motions import MotionStore
from kinmo_models.layers.language import LanguageModel
from kinmo_models.retrieval.config import load_config
from kinmo_models.retrieval.train import _sentence_store, train_retrieval
from kinmo_models.training.config import from_yaml
from kinmo_models.training.errors import ConfigError

SMALL = [
    "model.width=16", "model.layers=1", "model.heads=2", "model.inner=16", "data.batch_size=4",
    "training.epochs=3", "training.keep_every_s=0",
]  # fmt: skip


def losses(run: Path) -> list[dict]:
    """What each step recorded, but for the time."""
    lines = [json.loads(line) for line in (run / "losses.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def test_a_run_tells_where_it_comes_from(make_dataset, tmp_path):
    dataset = make_dataset(6)
    train_retrieval(dataset, tmp_path / "run", load_config("tiny", SMALL), cache_dir=tmp_path / "cache")
    meta = json.loads((tmp_path / "run/last/meta.json").read_text("utf-8"))
    assert meta["kind"] == "retrieval"
    assert meta["dataset"] == str(dataset)
    assert set(meta["split_fingerprints"]) == {"train", "test"}
    assert meta["motions"] == {"train": 12, "test": 6}
    assert meta["language"]["name"] == "all-MiniLM-L6-v2"
    assert from_yaml(type(load_config()), tmp_path / "run/last/config.yaml") == load_config("tiny", SMALL)
    assert len(losses(tmp_path / "run")) == 9


def test_equal_seeds_learn_the_same_and_others_do_not(make_dataset, tmp_path):
    dataset = make_dataset(6)
    found = []
    for number, sets in enumerate(([], [], ["training.seed=1"])):
        out = tmp_path / str(number)
        train_retrieval(dataset, out, load_config("tiny", SMALL + sets), cache_dir=tmp_path / "cache")
        found.append(losses(out))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_dataset_without_motions_to_train_on_is_refused(make_dataset, tmp_path):
    config = load_config("tiny", [*SMALL, "data.min_frames=190"])
    with pytest.raises(DatasetError, match=r"shorter than 190 frames.*data\.min_frames"):
        train_retrieval(make_dataset(6), tmp_path / "run", config, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["model.level=G"], "Did you mean model.levels"),
        (["model.levels=X"], "one of G, GJ, GJI"),
        (["model.width=30"], "no even multiple of 4 heads"),
        (["loss.temperature=0"], "at least 0.0001"),
    ],
)
def test_wrong_settings_name_the_right_ones(sets, said):
    with pytest.raises(ConfigError, match=said):
        load_config("tiny", sets)


def test_an_unknown_preset_lists_those_that_there_are():
    with pytest.raises(ConfigError, match="base, tiny"):
        load_config("huge")


def test_likeness_of_captions_is_judged_by_one_encoder_whatever_the_language_model(make_dataset, tmp_path):
    store = MotionStore.open(make_dataset(2), tmp_path / "cache")
    indices = store.select("train")
    language = LanguageModel.open()
    assert _sentence_store(store, indices, language, tmp_path / "cache") is None
    language.name = "roberta-base"
    found = _sentence_store(store, indices, language, tmp_path / "cache")
    text = store.texts[indices[0]].mirrored_captions[0].text
    np.testing.assert_allclose(np.linalg.norm(found.sentences(found.ids([text]))), 1, atol=1e-5)


@pytest.mark.slow
def test_killed_and_taken_up_again_the_losses_are_those_of_one_run(make_dataset, tmp_path):
    dataset = make_dataset(8)
    sets = [part for one in SMALL for part in ("--set", one)]

    def start(out: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "kinmo_cli", "train", "retrieval", str(dataset), "--config", "tiny"]
        where = ["--out", str(tmp_path / out), "--cache", str(tmp_path / "cache")]
        return subprocess.Popen([*command, *where, *sets], stderr=subprocess.DEVNULL)

    assert start("whole").wait() == 0
    expected = losses(tmp_path / "whole")
    kept = tmp_path / "killed/losses.jsonl"
    for steps in (2, 7):
        process = start("killed")
        while process.poll() is None and (not kept.exists() or kept.read_bytes().count(b"\n") < steps):
            time.sleep(0.01)
        process.kill()
        process.wait()
        assert kept.read_bytes().count(b"\n") < len(expected)
    assert start("killed").wait() == 0
    assert losses(tmp_path / "killed") == expected
