"""The public checkpoint: its layout, an independent forward in float64, and files that are not it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinmo_models.evaluator.config import ModelConfig
from kinmo_models.evaluator.evaluator import Evaluator
from kinmo_models.evaluator.networks import EvaluatorNetworks
from kinmo_models.evaluator.public import read_networks
from kinmo_models.evaluator.tags import TAGS
from kinmo_models.training.errors import TrainingError

Weights = dict[str, np.ndarray]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.2 * x)


def gru(w: Weights, end: str, steps: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The last state of a GRU over steps (L, inputs)."""
    w_i, w_h, b_i, b_h = (
        w[f"gru.{name}_l0{end}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    for x in steps:
        (r_i, z_i, n_i), (r_h, z_h, n_h) = np.split(w_i @ x + b_i, 3), np.split(w_h @ h + b_h, 3)
        z = sigmoid(z_i + z_h)
        h = (1 - z) * np.tanh(n_i + sigmoid(r_i + r_h) * n_h) + z * h
    return h


def sequence(w: Weights, rows: np.ndarray) -> np.ndarray:
    """Linear, bidirectional GRU, and the head over both last states."""
    steps = rows @ w["input_emb.weight"].T + w["input_emb.bias"]
    ends = gru(w, "", steps, w["hidden"][0, 0]), gru(w, "_reverse", steps[::-1], w["hidden"][1, 0])
    x = w["output_net.0.weight"] @ np.concatenate(ends) + w["output_net.0.bias"]
    x = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * w["output_net.1.weight"] + w["output_net.1.bias"]
    return w["output_net.3.weight"] @ leaky(x) + w["output_net.3.bias"]


def conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Four rows wide, every second place, one row of zeros on either side: (T, c) to (T/2, d)."""
    x = np.pad(x, ((1, 1), (0, 0)))
    windows = np.stack([x[start : start + 4] for start in range(0, len(x) - 3, 2)])
    return np.einsum("tkc,dck->td", windows, weight) + bias


def motion_latent(weights: dict[str, Weights], normalised: np.ndarray) -> np.ndarray:
    """As T2M: pad with zeros to 196 rows, leave the contacts out, and read as many tokens as there are."""
    tokens = len(normalised) // 4
    rows = np.zeros((196, 259))
    rows[: 4 * tokens] = normalised[: 4 * tokens, :259]
    w = weights["movement_encoder"]
    x = leaky(conv(rows, w["main.0.weight"], w["main.0.bias"]))
    x = leaky(conv(x, w["main.3.weight"], w["main.3.bias"])) @ w["out_net.weight"].T + w["out_net.bias"]
    return sequence(weights["motion_encoder"], x[:tokens])


def text_latent(weights: dict[str, Weights], vectors: np.ndarray, tags: list[str]) -> np.ndarray:
    w = weights["text_encoder"]
    one_hot = np.array([[tag == name for name in TAGS] for tag in tags], float)
    return sequence(w, vectors + one_hot @ w["pos_emb.weight"].T + w["pos_emb.bias"])


@pytest.fixture
def doubles(weights: dict[str, Any]) -> dict[str, Weights]:
    parts = ("movement_encoder", "motion_encoder", "text_encoder")
    return {part: {name: x.double().numpy() for name, x in weights[part].items()} for part in parts}


def test_it_has_the_sizes_of_the_public_one(finest: Path):
    networks = read_networks(finest)
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in networks.named_children()}
    assert counts == {
        "movement_encoder": 1_842_688,
        "motion_encoder": 15_747_584,
        "text_encoder": 4_100_288,
    }


def test_latents_are_those_of_an_independent_forward(
    finest: Path, glove: Path, doubles: dict[str, Weights], make_features: Callable[..., np.ndarray]
):
    evaluator = Evaluator.from_pretrained(finest, vectors=glove, device="cpu")
    meta = finest.parents[2] / "Comp_v6_KLD005/meta"
    mean, std = (np.load(meta / f"{name}.npy").astype(float) for name in ("mean", "std"))
    motions = [make_features(rows) for rows in (196, 16, 61, 192, 100)]
    expected = [motion_latent(doubles, (one - mean) / std) for one in motions]
    np.testing.assert_allclose(evaluator.encode_motions(motions), expected, atol=1e-5)

    lines = [line.split(" ") for line in glove.read_text().splitlines()]
    known = {word: np.array(numbers, np.float32).astype(float) for word, *numbers in lines}
    words = ["sos", "a", "person", "walk", "forward", "slowly", "to", "the", "unk", "eos"]
    tags = ["OTHER", "DET", "NOUN", "Act_VIP", "Loc_VIP", "Desc_VIP", "ADP", "DET", "OTHER", "OTHER"]
    expected = text_latent(doubles, np.stack([known[word] for word in words]), tags)
    found = evaluator.encode_texts(["A person walks forward slowly to the elephant."])
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_a_text_of_more_than_20_words_is_cut(finest: Path, glove: Path):
    evaluator = Evaluator.from_pretrained(finest, vectors=glove, device="cpu")
    first, longer, other = evaluator.encode_texts(["a " * 20, "a " * 20 + "hand", "a " * 19])
    np.testing.assert_allclose(first, longer, atol=1e-6)
    assert np.abs(first - other).max() > 1e-4


def test_its_name_tells_weights_words_and_statistics_apart(finest: Path, glove: Path):
    def named() -> str:
        return Evaluator.from_pretrained(finest, vectors=glove, device="cpu").name

    first = named()
    assert first.startswith("T2M@")
    assert named() == first
    glove.write_text(glove.read_text().replace("walks ", "ran "))
    second = named()
    np.save(finest.parents[2] / "Comp_v6_KLD005/meta/std.npy", np.ones(263))
    third = named()
    torch.save(torch.load(finest, weights_only=True) | {"epoch": 8}, finest)
    assert len({first, second, third, named()}) == 4


class Trap:
    """Runs code where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._mark),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path):
    torch.save({"movement_encoder": Trap(tmp_path / "mark")}, tmp_path / "finest.tar")
    with pytest.raises(TrainingError, match="more than tensors"):
        read_networks(tmp_path / "finest.tar")
    assert not (tmp_path / "mark").exists()


def test_other_files_are_refused_with_a_remedy(tmp_path: Path, weights: dict[str, Any]):
    path = tmp_path / "finest.tar"
    with pytest.raises(TrainingError, match="no such file"):
        read_networks(path)
    path.write_text("no checkpoint")
    with pytest.raises(TrainingError, match=r"finest\.tar"):
        read_networks(path)
    torch.save({"movement_encoder": {}}, path)
    with pytest.raises(TrainingError, match="no T2M evaluator"):
        read_networks(path)
    lacking = {**weights, "text_encoder": {**weights["text_encoder"]}}
    del lacking["text_encoder"]["gru.bias_hh_l0"]
    torch.save(lacking, path)
    with pytest.raises(TrainingError, match=r"gru\.bias_hh_l0"):
        read_networks(path)


def test_words_and_statistics_have_to_be_there(finest: Path, glove: Path, tmp_path: Path):
    with pytest.raises(TrainingError, match="--vectors FILE"):
        Evaluator.from_pretrained(finest)
    meta = finest.parents[2] / "Comp_v6_KLD005/meta"
    np.save(meta / "std.npy", np.zeros(263))
    with pytest.raises(TrainingError, match="263 usable numbers"):
        Evaluator.from_pretrained(finest, vectors=glove)
    np.save(meta / "std.npy", np.array([{}], object))
    with pytest.raises(TrainingError, match="is damaged"):
        Evaluator.from_pretrained(finest, vectors=glove)
    (meta / "mean.npy").unlink()
    with pytest.raises(TrainingError, match="--statistics FOLDER"):
        Evaluator.from_pretrained(finest, vectors=glove)
    np.save(tmp_path / "t2m_mean.npy", np.zeros(263))
    np.save(tmp_path / "t2m_std.npy", np.ones(263))
    assert Evaluator.from_pretrained(finest, vectors=glove, statistics=tmp_path).width == 512


def test_networks_of_random_weights_have_the_same_names(weights: dict[str, Any]):
    ours = {name: tuple(x.shape) for name, x in EvaluatorNetworks(ModelConfig(), 300).state_dict().items()}
    parts = ("movement_encoder", "motion_encoder", "text_encoder")
    theirs = {f"{part}.{name}": tuple(x.shape) for part in parts for name, x in weights[part].items()}
    assert ours == theirs
