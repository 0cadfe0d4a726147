"""A trained model's folder: its digest, and tensors that are shared."""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import nn

from kinmo_models.data.statistics import Statistics
from kinmo_models.training.config import TrainingConfig, from_yaml
from kinmo_models.training.pretrained import load_weights, model_fingerprint, save_pretrained


def test_a_models_fingerprint_follows_its_weights_and_settings_alone(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.yaml").write_text("levels: GJI")
    first = model_fingerprint(tmp_path)
    (tmp_path / "meta.json").write_text(json.dumps({"seconds": 3}))
    assert model_fingerprint(tmp_path) == first
    (tmp_path / "config.yaml").write_text("levels: GJ")
    assert model_fingerprint(tmp_path) != first


def test_a_tensor_that_two_layers_share_is_written_once_and_shared_again(tmp_path):
    def make():
        first, second = nn.Linear(3, 3), nn.Linear(3, 3)
        second.weight = first.weight
        return nn.Sequential(first, second)

    module, again = make(), make()
    statistics = Statistics(np.zeros(263, np.float32), np.ones(263, np.float32))
    save_pretrained(tmp_path, module, TrainingConfig(epochs=7), statistics)
    load_weights(again, tmp_path)
    assert again[0].weight is again[1].weight
    for one, other in zip(module.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert from_yaml(TrainingConfig, tmp_path / "config.yaml").epochs == 7
    np.testing.assert_array_equal(Statistics.load(tmp_path).std, statistics.std)
