"""What every trained model's folder holds, written and read: weights, settings, statistics, meta.json."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import nn

from kinmo_annotate.schema.shards import sha256_of
from kinmo_models.data.statistics import STATISTICS_NAME, Statistics
from kinmo_models.training.checkpoint import META, PROGRESS, STATE, WEIGHTS
from kinmo_models.training.config import to_yaml
from kinmo_models.training.errors import TrainingError
from kinmo_models.training.folder import CONFIG

AGAIN: Final = "Copy the model's folder again, or train it again."
_MODEL_FILES: Final = frozenset({WEIGHTS, CONFIG, STATISTICS_NAME})


def save_pretrained(folder: Path, module: nn.Module, config: Any, statistics: Statistics) -> None:
    """Write weights (tensors that are shared once), config and statistics."""
    save_model(module, str(folder / WEIGHTS))
    (folder / CONFIG).write_text(to_yaml(config), "utf-8")
    statistics.save(folder)


def read_meta(folder: Path, kind: str) -> dict[str, Any]:
    """Read meta.json.

    Args:
        folder: of the model.
        kind: the room that it must be of, such as "retrieval".

    Raises:
        TrainingError: it is damaged, or of another kind of model.
    """
    path = folder / META
    try:
        meta: dict[str, Any] = json.loads(path.read_text("utf-8"))
        found = meta["kind"]
    except (OSError, ValueError, KeyError, TypeError):
        raise TrainingError(path, "is damaged", AGAIN) from None
    if found != kind:
        remedy = f"Give a folder that `kinmo train {kind}` wrote."
        raise TrainingError(folder, f"holds a model of the kind {found}, not {kind}", remedy)
    return meta


def load_weights(module: nn.Module, folder: Path) -> None:
    """Read the weights of a folder into a module.

    Raises:
        TrainingError: they are missing, damaged, or another model's.
    """
    path = folder / WEIGHTS
    try:
        load_model(module, str(path))
    except (OSError, SafetensorError, RuntimeError):
        reason = "does not hold the weights that config.yaml speaks of" if path.exists() else "is missing"
        raise TrainingError(path, reason, AGAIN) from None


def copy_model(source: Path, target: Path) -> None:
    """Copy what `from_pretrained` needs of a checkpoint's folder, to let a model carry another inside."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        if path.is_dir():
            copy_model(path, target / path.name)
        elif path.name not in (STATE, PROGRESS) and path.suffix in (".safetensors", ".yaml", ".json"):
            shutil.copyfile(path, target / path.name)


def model_fingerprint(folder: Path) -> str:
    """Digest what makes the output of a trained model: weights, settings, statistics.

    Args:
        folder: the folder that `resolve_model` gives.
    """
    names = sorted(path.name for path in folder.iterdir() if path.name in _MODEL_FILES)
    parts = "".join(f"{name} {sha256_of(folder / name)}\n" for name in names)
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def best_device(device: str | None) -> str:
    """Name the device: as given, else a GPU where there is one, else the CPU."""
    return device or ("cuda" if torch.cuda.is_available() else "cpu")
