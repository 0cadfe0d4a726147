"""What a checkpoint says of itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import torch

from kinmo_models.training import meta
from kinmo_models.training.checkpoint import Progress
from kinmo_models.training.config import TrainingConfig


def test_meta_has_the_facts_of_the_room_and_of_the_training(tmp_path: Path) -> None:
    accelerator = SimpleNamespace(device=torch.device("cpu"), num_processes=2)
    progress = Progress(step=12, steps=5, seconds=3.14159, validation={"recall": 0.5})
    about = {"kind": "toy", "dataset_fingerprint": "f", "split_fingerprints": {"train": "t"}}
    meta.write_meta(tmp_path / "meta.json", about, TrainingConfig(seed=4), progress, accelerator)
    read = json.loads((tmp_path / "meta.json").read_text())
    assert about.items() <= read.items()
    assert {
        "seed": 4,
        "device": "cpu",
        "processes": 2,
        "epoch": 2,
        "step": 12,
        "seconds": 3.1,
    }.items() <= read.items()
    assert read["validation"] == {"recall": 0.5}
    assert read["kinmo_version"]


def test_the_revision_is_the_commit_or_nothing(monkeypatch) -> None:
    revision = meta.git_revision()
    assert revision is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", revision)
    monkeypatch.setattr(meta, "_git", lambda *arguments: None)
    assert meta.git_revision.__wrapped__() is None
