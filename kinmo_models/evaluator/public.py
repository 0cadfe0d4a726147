"""The public checkpoint of the T2M evaluator, `finest.tar`, and the files that it needs beside it.

The checkpoint is read with `weights_only`, the rest are plain arrays: nothing can run code.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from kinmo_annotate.schema.features import NUM_FEATURES
from kinmo_models.data.statistics import Statistics
from kinmo_models.evaluator.config import ModelConfig
from kinmo_models.evaluator.networks import EvaluatorNetworks
from kinmo_models.training.errors import TrainingError

_PARTS: Final = ("movement_encoder", "motion_encoder", "text_encoder")
_REMEDY: Final = "Give T2M's text_mot_match/model/finest.tar, or a folder that `kinmo train evaluator` wrote."
_MEANS: Final = (("mean.npy", "std.npy"), ("t2m_mean.npy", "t2m_std.npy"))
# Where T2M keeps them, seen from the folder of finest.tar; the first is beside it.
_META: Final = ("", "../../Comp_v6_KLD005/meta", "../meta")


def read_networks(path: Path) -> EvaluatorNetworks:
    """Read the networks of a checkpoint with T2M's layout; their sizes are those of its tensors.

    Raises:
        TrainingError: it is missing, damaged, or holds other networks.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        weights = {f"{part}.{name}": tensor for part in _PARTS for name, tensor in found[part].items()}
        networks = EvaluatorNetworks(_sizes(weights), len(weights["text_encoder.pos_emb.weight"]))
        networks.load_state_dict(weights)
    except FileNotFoundError:
        raise TrainingError(path, "there is no such file", _REMEDY) from None
    except pickle.UnpicklingError:
        raise TrainingError(
            path, "holds more than tensors, or is damaged; it is not opened", _REMEDY
        ) from None
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"is no T2M evaluator ({' '.join(str(error).split())[:160]})"
        raise TrainingError(path, reason, _REMEDY) from None
    return networks


def _sizes(weights: dict[str, Any]) -> ModelConfig:
    return ModelConfig(
        movement=len(weights["movement_encoder.out_net.bias"]),
        motion=len(weights["motion_encoder.input_emb.bias"]),
        text=len(weights["text_encoder.input_emb.bias"]),
        latent=len(weights["motion_encoder.output_net.3.bias"]),
    )


def read_statistics(checkpoint: Path, folder: Path | None) -> Statistics:
    """Read the mean and deviation that the evaluator was trained with.

    They are not those of HumanML3D: the deviations of root and contacts are divided by 25 there.

    Args:
        checkpoint: finest.tar.
        folder: holds mean.npy and std.npy, or t2m_mean.npy and t2m_std.npy; None looks where T2M keeps them.

    Raises:
        TrainingError: they are missing or damaged.
    """
    folders = [folder] if folder is not None else [checkpoint.parent / where for where in _META]
    for place in folders:
        for mean, std in _MEANS:
            if (place / mean).is_file():
                return Statistics(_numbers(place / mean, -np.inf), _numbers(place / std, 0.0))
    raise TrainingError(
        folders[0],
        "lacks mean.npy and std.npy of the evaluator",
        "Name the folder that holds T2M's Comp_v6_KLD005/meta, or MDM's t2m_mean.npy and t2m_std.npy:"
        " --statistics FOLDER.",
    )


def _numbers(path: Path, above: float) -> NDArray[np.float32]:
    remedy = "Copy it again."
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        reason = "is damaged" if path.exists() else "is missing"
        raise TrainingError(path, reason, remedy) from None
    if found.shape != (NUM_FEATURES,) or not np.isfinite(found).all() or (found <= above).any():
        raise TrainingError(path, f"does not hold {NUM_FEATURES} usable numbers", remedy)
    return np.asarray(found, np.float32)
