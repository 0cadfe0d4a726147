"""Checkpoints: folders written beside their place and renamed into it, so that a kill leaves a whole one.

    RUN/last/     what `Work.save` writes, meta.json, and to go on from: state.safetensors, progress.json
    RUN/best/     what `Work.save` writes, and meta.json

Tensors are safetensors, everything else JSON; nothing is pickled.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kinmo_models.training.errors import TrainingError

LAST: Final = "last"
BEST: Final = "best"
WEIGHTS: Final = "model.safetensors"
META: Final = "meta.json"
STATE: Final = "state.safetensors"
PROGRESS: Final = "progress.json"

_DISK: Final = "Free some space, then run the same command again: it goes on from the checkpoint before."
_DAMAGED: Final = "Begin over with --force, or restore the folder from a copy."


@dataclass
class Progress:
    """How far a training is, apart from its tensors.

    Attributes:
        step: steps taken.
        steps: steps of an epoch.
        seconds: spent so far, over all starts.
        best: figure of the best validation, None before there is one.
        best_step: its step.
        validation: figures of the last validation.
        scaler: state of the gradient scaler, empty unless precision is fp16.
    """

    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    validation: dict[str, float] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)


# ---------------------------------------------------------------- folders


def replace_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Write a folder beside its place, then put it there in the place of the one before.

    At every moment `target`, or else `target.old` together with a whole `target.new`, is a whole folder;
    `recover` tidies up after a kill.

    Raises:
        TrainingError: it cannot be written (such as a full disk); what was there before is as it was.
    """
    new, old = _beside(target)
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        write(new)
        _sync(new)
    except BaseException as error:
        shutil.rmtree(new, ignore_errors=True)
        if isinstance(error, OSError | SafetensorError):
            raise TrainingError(target, f"cannot be written ({_why(error)})", _DISK) from None
        raise
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.rename(target, old)
    os.rename(new, target)
    shutil.rmtree(old, ignore_errors=True)


def recover(target: Path) -> None:
    """Finish or undo what a kill interrupted in `replace_folder`."""
    new, old = _beside(target)
    if not target.exists() and old.exists():
        os.rename(new if new.exists() else old, target)
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _beside(target: Path) -> tuple[Path, Path]:
    return target.with_name(f"{target.name}.new"), target.with_name(f"{target.name}.old")


def _sync(folder: Path) -> None:
    """Have every file on the disk before the folder takes its place."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


def _why(error: Exception) -> str:
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
        return "the disk is full"
    return getattr(error, "strerror", None) or " ".join(str(error).split())


# ---------------------------------------------------------------- state


def write_state(folder: Path, tensors: Mapping[str, Tensor], progress: Progress) -> None:
    """Write what a training goes on from into a folder."""
    save_file({name: x.detach().contiguous().cpu() for name, x in tensors.items()}, str(folder / STATE))
    (folder / PROGRESS).write_text(json.dumps(asdict(progress), indent=2) + "\n", "utf-8")


def read_progress(folder: Path) -> Progress:
    """Read how far a training is.

    Raises:
        TrainingError: the file is damaged.
    """
    try:
        return Progress(**json.loads((folder / PROGRESS).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(folder / PROGRESS, f"cannot be read ({error})", _DAMAGED) from None


def read_state(folder: Path, wanted: Mapping[str, Tensor]) -> None:
    """Read tensors into those that are there.

    Args:
        folder: of the checkpoint.
        wanted: name -> tensor that takes the values, in place.

    Raises:
        TrainingError: the file is damaged, or holds other names or shapes.
    """
    path = folder / STATE
    try:
        found = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise TrainingError(path, f"cannot be read ({error})", _DAMAGED) from None
    other = sorted(
        {n for n in wanted if n not in found or found[n].shape != wanted[n].shape} | set(found) - set(wanted)
    )
    if other:
        reason = f"holds another model: {len(other)} tensors differ, such as {other[0]}"
        raise TrainingError(path, reason, "Go on with the version of kinmo that began it, or use --force.")
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(found[name])


def state_tensors(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Name the tensors that training changes: parameters, buffers, and the optimiser's by parameter name.

    Frozen parameters are left out; the room brings them along.
    """
    named = {name: p for name, p in module.named_parameters() if p.requires_grad}
    kept = module.state_dict().keys()
    found: dict[str, Tensor] = {f"module.{name}": p for name, p in named.items()}
    found |= {f"module.{name}": b for name, b in module.named_buffers() if name in kept}
    for name, p in named.items():
        found |= {f"optimizer.{key}.{name}": x for key, x in optimizer.state[p].items() if torch.is_tensor(x)}
    return found


# ---------------------------------------------------------------- models


def resolve_model(model: str | Path) -> Path:
    """Find the folder of a trained model, by path or by its name on the Hugging Face hub.

    Of a RUN folder it is `best`, else `last`; else the folder itself.

    Raises:
        TrainingError: there is no model, or the hub cannot be asked.
    """
    path = Path(model)
    for name in (BEST, f"{BEST}.old", LAST, f"{LAST}.old", "."):
        if (path / name / META).is_file():
            return path / name
    if path.exists():
        reason = "holds no trained model"
        raise TrainingError(path, reason, "Give the folder that `kinmo train` wrote with --out.")
    if path.is_absolute() or len(path.parts) != 2 or str(model).startswith((".", "~")):
        raise TrainingError(path, "there is no such folder", "Check the path for typing mistakes.")
    return _from_hub(str(model))


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = f"is neither a folder here nor a model that the hub gives ({type(error).__name__})"
        remedy = "Check the name, and the network unless HF_HUB_OFFLINE is set on purpose."
        raise TrainingError(name, reason, remedy) from None
