"""A checkpoint with the layout of T2M's finest.tar and random weights, and what it needs beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinmo_annotate.schema import shards
from kinmo_annotate.schema.records import Row

WORDS = ["unk", "sos", "eos", "a", "person", "walk", "walks", "forward", "slowly", "hand", "the", "to"]


def _gru(inputs: int, width: int) -> dict[str, tuple[int, ...]]:
    shapes = {"weight_ih": (3 * width, inputs), "weight_hh": (3 * width, width)}
    shapes |= {"bias_ih": (3 * width,), "bias_hh": (3 * width,)}
    return {f"gru.{name}_l0{end}": shape for end in ("", "_reverse") for name, shape in shapes.items()}


def _output(width: int, latent: int) -> dict[str, tuple[int, ...]]:
    layers = {"0": (width, 2 * width), "1": (width,), "3": (latent, width)}
    weights = {f"output_net.{name}.weight": shape for name, shape in layers.items()}
    return weights | {f"output_net.{name}.bias": shape[:1] for name, shape in layers.items()}


# Names and shapes as the specification of the public checkpoint lists them.
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "movement_encoder": {
        "main.0.weight": (512, 259, 4), "main.0.bias": (512,), "main.3.weight": (512, 512, 4),
        "main.3.bias": (512,), "out_net.weight": (512, 512), "out_net.bias": (512,),
    },
    "text_encoder": {
        "hidden": (2, 1, 512), "pos_emb.weight": (300, 15), "pos_emb.bias": (300,),
        "input_emb.weight": (512, 300), "input_emb.bias": (512,), **_gru(512, 512), **_output(512, 512),
    },
    "motion_encoder": {
        "hidden": (2, 1, 1024), "input_emb.weight": (1024, 512), "input_emb.bias": (1024,),
        **_gru(1024, 1024), **_output(1024, 512),
    },
}  # fmt: skip


@pytest.fixture(scope="session")
def weights() -> dict[str, Any]:
    """The content of finest.tar: three state dicts with random weights, two optimisers, two counts."""
    generator = torch.Generator().manual_seed(0)

    def drawn(shape: tuple[int, ...]) -> torch.Tensor:
        return torch.randn(shape, generator=generator) / max(np.prod(shape[1:]), 4) ** 0.5

    found: dict[str, Any] = {
        part: {name: drawn(shape) for name, shape in shapes.items()} for part, shapes in SHAPES.items()
    }
    optimiser = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4}]}
    return {**found, "opt_text_encoder": optimiser, "opt_motion_encoder": optimiser, "epoch": 7, "iter": 11}


@pytest.fixture
def finest(tmp_path: Path, weights: dict[str, Any]) -> Path:
    """T2M's folders: finest.tar, and mean and deviation where T2M keeps them."""
    path = tmp_path / "t2m/text_mot_match/model/finest.tar"
    meta = tmp_path / "t2m/Comp_v6_KLD005/meta"
    path.parent.mkdir(parents=True)
    meta.mkdir(parents=True)
    torch.save(weights, path)
    rng = np.random.default_rng(1)
    np.save(meta / "mean.npy", rng.normal(size=263).astype(np.float32))
    np.save(meta / "std.npy", rng.uniform(0.5, 2, 263).astype(np.float32))
    return path


@pytest.fixture
def glove(tmp_path: Path) -> Path:
    """A GloVe text file of a few words."""
    path, rng = tmp_path / "glove.txt", np.random.default_rng(2)
    lines = [f"{word} {' '.join(f'{x:.5f}' for x in rng.normal(size=300))}\n" for word in WORDS]
    path.write_text("".join(lines))
    return path


@pytest.fixture
def make_features() -> Callable[..., np.ndarray]:
    """Make up features (rows, 263)."""

    def make(rows: int, seed: int = 0) -> np.ndarray:
        return np.random.default_rng([seed, rows]).normal(size=(rows, 263)).astype(np.float32)

    return make


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as the split test of a dataset."""

    def write(rows: list[Row], name: str = "rows") -> Path:
        folder = tmp_path / name
        info = shards.write_shard(shards.rows_to_table(rows), folder / "data" / shards.shard_name("test", 0))
        shards.write_failures([], folder / "failures.parquet")
        shards.Manifest({"seed": 7}, "1", [info]).save(folder)
        return folder

    return write
