"""The RUN folder: whose it is, what it was begun with, and the files that grow while it trains.

RUN/
  run.json          marks the folder as ours: kind, config, fingerprints, every start
  config.yaml       the whole config, for people and for --config
  losses.jsonl      a line a step;  validation.jsonl  a line a validation
  tensorboard/
  last/  best/      checkpoints
  losses.png  report.md
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from kinmo_annotate.schema.shards import atomic_write
from kinmo_models.training.checkpoint import BEST, LAST, PROGRESS, recover
from kinmo_models.training.config import differences, flat, plain, to_yaml
from kinmo_models.training.errors import TrainingError

RUN: Final = "run.json"
CONFIG: Final = "config.yaml"
LOSSES: Final = "losses.jsonl"
VALIDATION: Final = "validation.jsonl"
BOARD: Final = "tensorboard"
PICTURE: Final = "losses.png"
REPORT: Final = "report.md"

_FORMAT: Final = "kinmo-run"
_OURS: Final = (
    LOSSES, VALIDATION, BOARD, PICTURE, REPORT, CONFIG,
    *(f"{name}{end}" for name in (LAST, BEST) for end in ("", ".new", ".old")), RUN,
)  # fmt: skip
_UNFINISHED: Final = f".{RUN}.tmp"  # left by a kill while the very first file was written
# These say when checkpoints are written, never what is learned.
_FREE: Final = frozenset({"training.keep_every_s"})


def check_run(out: Path, config: Any, about: Mapping[str, Any], *, resume: bool) -> bool:
    """Tell whether a folder holds a checkpoint to go on from; touch nothing.

    Args:
        out: the RUN folder, there or not.
        config: the room's whole config, a dataclass; its section of training is named `training`.
        about: the room's facts; `kind` and whatever ends in `fingerprint(s)` must be as before.
        resume: False begins over.

    Raises:
        TrainingError: the folder is not a run's, or of a run with another config or dataset.
    """
    run = read_run(out)
    if run is None or not resume or not _has_checkpoint(out):
        return False
    # A setting that came to KinMo after the run began had the effect of its default.
    began_with = {**flat(plain(type(config)())), **flat(run["config"])}
    old = {**began_with, **_identity(run["about"])}
    new = {**plain(config), **_identity(about)}
    changed = {key: pair for key, pair in differences(old, new).items() if key not in _allowed(config)}
    if "kind" in changed:  # all else differs then too
        changed = {"kind": changed["kind"]}
    if changed:
        listed = ", ".join(f"{key} was {was}, now {now}" for key, (was, now) in changed.items())
        remedy = "Take those as they were, choose another --out, or begin over with --force."
        raise TrainingError(out, f"was begun otherwise: {listed}", remedy)
    return True


def read_run(out: Path) -> dict[str, Any] | None:
    """Read run.json; None where there is no folder yet, or an empty one.

    Raises:
        TrainingError: the folder holds something else.
    """
    if not out.exists() or (out.is_dir() and not {p.name for p in out.iterdir()} - {_UNFINISHED}):
        return None
    try:
        run = json.loads((out / RUN).read_text("utf-8"))
        if run["format"] == _FORMAT:
            return dict(run)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    remedy = "Choose another --out; only folders that `kinmo train` wrote are gone on with or begun over."
    raise TrainingError(out, "is there already and is no RUN folder", remedy)


@contextmanager
def lock_run(out: Path) -> Iterator[None]:
    """Keep a second training out of the folder; made where it is not there. A kill frees it.

    Raises:
        TrainingError: another training holds it, or it is a file.
    """
    try:
        import fcntl
    except ImportError:  # not a POSIX system: the user sees to it
        yield
        return
    read_run(out)
    out.mkdir(parents=True, exist_ok=True)
    folder = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        remedy = "Wait until it ends, or choose another --out."
        raise TrainingError(out, "another training runs there", remedy) from None
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
        os.close(folder)


def begin_run(out: Path, config: Any, about: Mapping[str, Any], *, resume: bool) -> bool:
    """Make the folder, or make it ready to go on; tell whether there is a checkpoint to go on from.

    Raises:
        TrainingError, DatasetError: as `check_run`, or the folder cannot be written.
    """
    going_on = check_run(out, config, about, resume=resume)
    run = read_run(out)
    starts = run["starts"] if run and going_on else []
    if run and not going_on:
        for name in _OURS:
            _remove(out / name)
    start = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "command": command_line()}
    marker = {"format": _FORMAT, "config": plain(config), "about": dict(about), "starts": [*starts, start]}
    text = json.dumps(marker, indent=2, ensure_ascii=False) + "\n"
    atomic_write(out / RUN, lambda file: file.write(text.encode()))
    atomic_write(out / CONFIG, lambda file: file.write(to_yaml(config).encode()))
    recover(out / LAST)
    recover(out / BEST)
    return going_on


def command_line() -> str:
    """The command as it was given, without the folders of the program itself."""
    import shlex

    name = Path(sys.argv[0]).name
    return shlex.join(["kinmo" if name == "__main__.py" else name, *sys.argv[1:]])


def cut_back(path: Path, step: int) -> None:
    """Drop the lines of steps that a checkpoint does not have, and a line that a kill left unfinished."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        end = 0
        for line in file:
            if not line.endswith(b"\n") or _step_of(line) > step:
                break
            end += len(line)
        file.truncate(end)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read a file of JSON lines, nothing where there is none."""
    if path.exists():
        with path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)


def _step_of(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _has_checkpoint(out: Path) -> bool:
    return any((out / f"{LAST}{end}" / PROGRESS).is_file() for end in ("", ".old"))


def _identity(about: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in about.items() if k == "kind" or k.endswith(("fingerprint", "fingerprints"))}


def _allowed(config: Any) -> frozenset[str]:
    """Keys that may change between starts; more epochs too where no step depends on their number."""
    training = config.training
    return _FREE | {"training.epochs"} if training.schedule == "constant" else _FREE


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
