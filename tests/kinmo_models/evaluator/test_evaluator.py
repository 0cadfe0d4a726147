"""A trained evaluator's folder, and what it says of motions that it cannot read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kinmo_annotate.schema.records import MotionError
from kinmo_models.data.statistics import Statistics
from kinmo_models.evaluator.config import EvaluatorConfig, ModelConfig
from kinmo_models.evaluator.evaluator import Evaluator
from kinmo_models.evaluator.networks import EvaluatorNetworks
from kinmo_models.evaluator.words import WordVectors
from kinmo_models.training.errors import TrainingError
from kinmo_models.training.pretrained import save_pretrained

WORDS = ["unk", "sos", "eos", "a", "person", "walk", "run"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint with random weights."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    config = EvaluatorConfig(model=ModelConfig(movement=16, motion=16, text=16, latent=8))
    words = WordVectors(WORDS, rng.normal(size=(len(WORDS), 6)).astype(np.float32))
    mean, std = rng.normal(size=263).astype(np.float32), np.full(263, 2, np.float32)
    path = tmp_path / "run" / "best"
    path.mkdir(parents=True)
    save_pretrained(path, EvaluatorNetworks(config.model, 6), config, Statistics(mean, std))
    words.save(path)
    (path / "meta.json").write_text(json.dumps({"kind": "evaluator"}))
    return path


def test_many_motions_are_encoded_as_each_alone(folder: Path, make_features: Callable[..., np.ndarray]):
    evaluator = Evaluator.from_pretrained(folder.parent, device="cpu")
    motions = [make_features(16 + 37 * n % 190, n) for n in range(140)]
    together = evaluator.encode_motions(motions)
    assert together.shape == (140, evaluator.width)
    for place in (0, 1, 77, 139):
        np.testing.assert_allclose(together[place], evaluator.encode_motions([motions[place]])[0], atol=1e-6)
    captions = ["a person walks", "a person runs and walks", "a", ""]
    texts = evaluator.encode_texts(captions)
    for place, caption in enumerate(captions):
        np.testing.assert_allclose(texts[place], evaluator.encode_texts([caption])[0], atol=1e-6)
    assert evaluator.encode_texts([]).shape == (0, 8)


def test_motions_are_normalised_by_its_own_statistics(folder: Path, make_features: Callable[..., np.ndarray]):
    motion = make_features(40)
    found = Evaluator.from_pretrained(folder, device="cpu")
    with torch.no_grad():
        rows = torch.from_numpy(found._statistics.normalise(motion))
        expected = found._networks.encode_motions(rows, torch.tensor([40]))
    np.testing.assert_allclose(found.encode_motions([motion]), expected.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("motion", "said"),
    [
        (np.zeros((15, 263)), "has 15 rows, fewer than 16"),
        (np.zeros((40, 262)), "holds no finite rows of 263"),
        (np.full((40, 263), np.nan), "holds no finite rows of 263"),
    ],
)
def test_motions_that_it_cannot_read_are_named(folder: Path, motion: np.ndarray, said: str):
    evaluator = Evaluator.from_pretrained(folder, device="cpu")
    with pytest.raises(MotionError, match=f"motion 2: {said}"):
        evaluator.encode_motions([np.zeros((40, 263), np.float32), motion.astype(np.float32)])


def test_its_name_follows_weights_words_and_settings(folder: Path):
    def named() -> str:
        return Evaluator.from_pretrained(folder, device="cpu").name

    first = named()
    assert first.startswith("own@")
    (folder / "meta.json").write_text(json.dumps({"kind": "evaluator", "seconds": 3}))
    assert named() == first
    WordVectors(WORDS, np.ones((len(WORDS), 6), np.float32)).save(folder)
    assert named() != first


def test_other_and_damaged_folders_are_refused(folder: Path, tmp_path: Path):
    (folder / "words.safetensors").unlink()
    with pytest.raises(TrainingError, match=r"words\.safetensors: there is no such file"):
        Evaluator.from_pretrained(folder)
    (folder / "meta.json").write_text(json.dumps({"kind": "retrieval"}))
    with pytest.raises(TrainingError, match="of the kind retrieval, not evaluator"):
        Evaluator.from_pretrained(folder)
    with pytest.raises(TrainingError, match="no such folder"):
        Evaluator.from_pretrained(tmp_path / "absent")
    with pytest.raises(TrainingError, match="no such file"):
        Evaluator.from_pretrained(tmp_path / "absent.tar")
