"""Writing the demo set in HumanML3D's layout, with the truth beside it."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.sources.procedural.captions import caption_line
from kinmo_annotate.sources.procedural.motions import DemoMotion, make_motion

TRUTH: Final = "truth.jsonl"
_SPLITS: Final = ("train", "val", "test")


def write_demo(out: Path, motions: int, seed: int, progress: Callable[[int], None] | None = None) -> None:
    """Write a demo set: new_joints/, texts/, train/val/test/all.txt and truth.jsonl.

    Every file is written whole and then renamed, the lists and the truth last, so that a folder that has an
    all.txt is complete. A demo set that is already there is replaced; any other folder with files is refused.

    Args:
        out: the folder.
        motions: how many.
        seed: the same seed gives the same bytes; a motion does not depend on how many are made.
        progress: told how many are done, after each.

    Raises:
        MotionError: fewer than one motion, a negative seed, or a folder that cannot be used.
    """
    if motions < 1 or seed < 0:
        raise MotionError(
            str(out),
            f"cannot make {motions} motions with seed {seed}",
            "Ask for at least one motion and a seed from 0.",
        )
    try:
        _clear(out)
        made = []
        for index in range(motions):
            demo = make_motion(seed, index)
            _write_motion(out, demo)
            made.append((demo.motion.motion_id, demo.motion.split, truth_line(demo)))
            if progress is not None:
                progress(index + 1)
        _write_lists(out, made)
    except OSError as error:
        reason = f"cannot be written ({error.strerror or error})"
        raise MotionError(
            str(out), reason, "Choose a folder that you may write to, on a disk with room."
        ) from error


def truth_line(demo: DemoMotion) -> str:
    """What the motion really does, as one line of truth.jsonl."""
    row = {
        "motion_id": demo.motion.motion_id,
        "kind": demo.kind,
        "events": [event.as_dict() for event in demo.events],
    }
    return json.dumps(row, separators=(",", ":"))


def _clear(out: Path) -> None:
    """Make the folder; take away a former demo set, its lists first; refuse anything else."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / TRUTH).is_file())):
        raise MotionError(
            str(out), "is not empty and holds no demo set", "Give a new folder, or empty this one."
        )
    for folder in ("new_joints", "texts"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    if not (out / TRUTH).is_file():
        return
    stale = _motions_of(out / TRUTH)
    for name in ("all", *_SPLITS):
        (out / f"{name}.txt").unlink(missing_ok=True)
    for motion_id in stale:
        (out / "new_joints" / f"{motion_id}.npy").unlink(missing_ok=True)
        (out / "texts" / f"{motion_id}.txt").unlink(missing_ok=True)


def _motions_of(truth: Path) -> list[str]:
    """The motions of a former demo set; only names that a demo set gives, so that nothing else is removed."""
    try:
        names = [json.loads(line)["motion_id"] for line in truth.read_text(encoding="utf-8").splitlines()]
    except (ValueError, KeyError, TypeError) as error:
        reason = f"is no list of demo motions ({error})"
        raise MotionError(str(truth), reason, "Give a new folder, or remove this one yourself.") from error
    return [name for name in names if isinstance(name, str) and name.isdigit()]


def _write_motion(out: Path, demo: DemoMotion) -> None:
    motion = demo.motion
    array = io.BytesIO()
    np.save(array, motion.joints, allow_pickle=False)
    _replace(out / "new_joints" / f"{motion.motion_id}.npy", array.getvalue())
    lines = "".join(caption_line(caption.text) + "\n" for caption in motion.captions)
    _replace(out / "texts" / f"{motion.motion_id}.txt", lines.encode())


def _write_lists(out: Path, made: list[tuple[str, str, str]]) -> None:
    """The truth, the splits, and last the list of all."""
    _replace(out / TRUTH, "".join(f"{line}\n" for *_, line in made).encode())
    for name in _SPLITS:
        _replace(out / f"{name}.txt", "".join(f"{i}\n" for i, split, _ in made if split == name).encode())
    _replace(out / "all.txt", "".join(f"{motion_id}\n" for motion_id, *_ in made).encode())


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole: beside its place first, then renamed into it."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_bytes(data)
    os.replace(beside, path)
