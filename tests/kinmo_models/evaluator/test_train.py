"""Training on a dataset: what is kept, what is repeated exactly, and that something is learned."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kinmo_models.data.motions import MotionStore
from kinmo_models.data.statistics import Statistics
from kinmo_models.evaluator.config import EvaluatorConfig, load_config
from kinmo_models.evaluator.evaluator import Evaluator
from kinmo_models.evaluator.loss import EvaluatorLoss
from kinmo_models.evaluator.score import scored_pairs
from kinmo_models.evaluator.train import _precision, train_evaluator
from kinmo_models.training.config import from_yaml
from kinmo_models.training.errors import ConfigError

SMALL = [
    "model.movement=16", "model.motion=16", "model.text=16", "model.latent=16", "data.batch_size=4",
    "training.epochs=3", "training.keep_every_s=0",
]  # fmt: skip


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "losses.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture
def train(make_dataset: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Train a very small evaluator: `train("run", "training.seed=1")` gives its folder."""
    dataset = make_dataset(6)

    def start(name: str, *sets: str) -> Path:
        config = load_config("tiny", [*SMALL, *sets])
        train_evaluator(dataset, tmp_path / name, config, cache_dir=tmp_path / "cache")
        return tmp_path / name

    return start


def test_a_run_holds_all_that_the_evaluator_needs(train: Callable[..., Path], tmp_path: Path):
    folder = train("run") / "last"
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    assert meta["kind"] == "evaluator"
    assert set(meta["split_fingerprints"]) == {"train", "test"}
    assert meta["words"]["language"] == "all-MiniLM-L6-v2"
    assert from_yaml(EvaluatorConfig, folder / "config.yaml") == load_config("tiny", SMALL)
    std = Statistics.load(folder).std
    assert len(set(std[4:67].tolist())) == 1  # the average of the block
    evaluator = Evaluator.from_pretrained(tmp_path / "run", device="cpu")
    assert evaluator.encode_texts(["a person lifts the left arm [slowly]"]).shape == (1, 16)


def test_equal_seeds_learn_the_same_and_others_do_not(train: Callable[..., Path]):
    first, second, other = train("a"), train("b"), train("c", "training.seed=1")
    assert len(losses(first)) == 9
    assert losses(first) == losses(second)
    assert losses(first) != losses(other)


def test_a_training_that_was_stopped_goes_on_to_the_same_losses(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    whole = losses(train("whole"))
    real, calls = EvaluatorLoss.forward, []

    def forward(self: EvaluatorLoss, batch: object) -> object:
        calls.append(batch)
        if len(calls) == 6:
            raise KeyError("the machine goes down")
        return real(self, batch)

    monkeypatch.setattr(EvaluatorLoss, "forward", forward)
    with pytest.raises(KeyError):
        train("stopped")
    monkeypatch.undo()
    assert losses(train("stopped")) == whole


def test_feat_bias_divides_the_deviations_of_root_and_contacts(train: Callable[..., Path]):
    five, ten = (Statistics.load(train(f"b{bias}", f"feat_bias={bias}") / "last").std for bias in (5, 10))
    np.testing.assert_allclose(five[:4], 2 * ten[:4], rtol=1e-6)
    np.testing.assert_array_equal(five[4:259], ten[4:259])


def test_what_the_networks_cannot_read_is_no_setting():
    for wrong in ("data.crop=none", "data.stride=2"):
        with pytest.raises(ConfigError, match="units of 4 rows"):
            load_config("tiny", [wrong])


def test_a_validation_of_few_or_like_captions_still_measures():
    latents = np.eye(5)
    np.testing.assert_array_equal(_precision(latents, latents, np.eye(5, dtype=bool)), [1, 1, 1])
    np.testing.assert_array_equal(_precision(latents, latents, np.ones((5, 5), bool)), [1, 1, 1])


@pytest.mark.slow
def test_it_learns_which_arm_is_lifted(make_dataset: Callable[..., Path], tmp_path: Path):
    """Motions lift the left or the right arm; after training each is nearer to its own caption."""
    sets = [*SMALL, "training.epochs=60", "data.batch_size=16", "model.motion=32", "loss.alike_above=0.999"]
    dataset = make_dataset(24)
    train_evaluator(dataset, tmp_path / "run", load_config("tiny", sets), cache_dir=tmp_path / "cache")
    pairs = scored_pairs(MotionStore.open(dataset, tmp_path / "cache"), "test")
    evaluator = Evaluator.from_pretrained(tmp_path / "run", device="cpu")
    sides = ["left", "right"]
    texts = evaluator.encode_texts([f"a person lifts the {side} arm [slowly]" for side in sides])
    real = [n for n, motion_id in enumerate(pairs.motion_ids) if int(motion_id) % 3]  # the others are noise
    motions = evaluator.encode_motions([pairs.features[n] for n in real])
    nearest = np.linalg.norm(motions[:, None] - texts, axis=2).argmin(1)
    right = [sides[place] in pairs.captions[n] for n, place in zip(real, nearest.tolist(), strict=True)]
    assert np.mean(right) > 0.9
