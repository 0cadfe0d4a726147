"""What a checkpoint says of itself: meta.json."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kinmo_models.training.checkpoint import Progress
from kinmo_models.training.config import TrainingConfig

if TYPE_CHECKING:
    from accelerate import Accelerator


def write_meta(
    path: Path, about: Mapping[str, Any], config: TrainingConfig, progress: Progress, accelerator: Accelerator
) -> None:
    """Write meta.json: the room's facts, and where the training stood.

    Args:
        path: of the file.
        about: the room's facts (`Work.about`).
        config: of the training.
        progress: of the training.
        accelerator: tells device and processes.
    """
    meta = {
        **about,
        "kinmo_version": version("kinmo"),
        "git_revision": git_revision(),
        "torch_version": torch.__version__,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": config.seed,
        "device": device_name(accelerator.device),
        "processes": accelerator.num_processes,
        "seconds": round(progress.seconds, 1),
        "epoch": progress.step // progress.steps,
        "step": progress.step,
        "validation": progress.validation,
    }
    path.write_text(json.dumps(meta, indent=2, ensure_ascii=False) + "\n", "utf-8")


def device_name(device: torch.device) -> str:
    """Name a device: the GPU's name, or its type."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@cache
def git_revision() -> str | None:
    """The commit of the source that runs, `-dirty` where files differ from it; None outside of a checkout."""
    here = Path(__file__)
    if _git("ls-files", "--error-unmatch", here.name) is None:
        return None  # installed, perhaps inside a checkout of something else
    return _git("describe", "--always", "--abbrev=40", "--dirty", "--match", "no tag")


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
