"""What is shown of a motion in the browser: its joints, captions, keyframes, sentences and fact check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinmo_annotate.dataset import find
from kinmo_annotate.motion_out import read_index
from kinmo_annotate.schema.arrow import Frames, Record, table_to_records
from kinmo_annotate.schema.records import Check, MotionError
from kinmo_annotate.schema.shards import DATA_DIR, DatasetError, Manifest, open_shard
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_annotate.sources import load_motion


@dataclass(frozen=True, slots=True)
class ShownMotion:
    """One motion as the page shows it.

    Attributes:
        motion_id: its id in the dataset.
        joints: T x 22 x 3 little-endian float32, metres, y up: the bytes that the browser plays.
        num_frames: T.
        fps: frames per second.
        captions: its global action texts.
        keyframes: numbers of its keyframes, rising.
        sentences: the sentence of each field that is shown.
        checks: what the fact check found, by field; fields without claims are absent.
    """

    motion_id: str
    joints: bytes
    num_frames: int
    fps: float
    captions: tuple[str, ...]
    keyframes: tuple[int, ...]
    sentences: dict[str, str]
    checks: dict[str, tuple[Check, ...]]


def load_motions(dataset: Path, motion_ids: Sequence[str], fields: Sequence[str]) -> list[ShownMotion]:
    """Read motions in the order asked for, touching only the row groups they lie in.

    Raises:
        DatasetError: the dataset cannot be read.
        MotionError: it lacks one of the motions, or carries no joints.
    """
    wanted, found = set(motion_ids), {}
    for record, joints in _records(dataset, wanted):
        found[record["motion_id"]] = _shown(record, joints, fields)
    missing = [motion_id for motion_id in motion_ids if motion_id not in found]
    if missing:
        reason = f"has no motion with the id {missing[0]}, which the round asks for ({len(missing)} missing)"
        raise MotionError(str(dataset), reason, "Give the dataset that the round was sampled from.")
    return [found[motion_id] for motion_id in motion_ids]


def _records(dataset: Path, wanted: set[str]) -> Iterator[tuple[Record, Frames | None]]:
    """Find rows by id; ids are read first, and the rest only where one of them is wanted."""
    for shard in Manifest.load(dataset).shards:
        file = open_shard(dataset / DATA_DIR / shard.name)
        for group in range(file.num_row_groups):
            names = file.read_row_group(group, ["motion_id"])["motion_id"].to_pylist()
            rows = [row for row, name in enumerate(names) if name in wanted]
            if rows:
                for record, joints, _ in table_to_records(file.read_row_group(group).take(rows)):
                    yield record, joints


def load_file(path: Path, mapping: Path | None = None) -> ShownMotion:
    """Read the motion of one file; its caption is the prompt that an index beside the file says, if any does.

    Args:
        path: .bvh, .npy or .npz, joints or HumanML3D vectors.
        mapping: for BVH, a YAML file that maps its joint names to the SMPL joints.

    Raises:
        MotionError: there is no such file, or it holds no usable motion.
    """
    motion = load_motion(path, mapping)
    captions: list[str] = []
    with suppress(DatasetError):  # an index of something else
        captions = [
            str(line.get("prompt") or "")
            for line in read_index(path.parent)
            if Path(line["file"]).stem == path.stem
        ]
    return ShownMotion(
        motion_id=path.name,
        joints=_as_bytes(motion.joints),
        num_frames=len(motion.joints),
        fps=motion.fps,
        captions=tuple(filter(None, captions)),
        keyframes=(),
        sentences={},
        checks={},
    )


def load_row(dataset: Path, motion_id: str) -> ShownMotion:
    """Read one motion of a dataset with all its sentences.

    Raises:
        DatasetError: the dataset cannot be read, or has no such motion.
        MotionError: it carries no joints.
    """
    found = find(dataset, motion_id)
    return _shown(found.record, found.joints, FIELDS)


def _as_bytes(joints: Frames) -> bytes:
    return np.ascontiguousarray(joints, dtype="<f4").tobytes()


def _shown(record: Record, joints: Frames | None, fields: Sequence[str]) -> ShownMotion:
    """Take from a row what is shown of it."""
    motion_id = record["motion_id"]
    if joints is None or not len(joints):
        remedy = "Put the motions of your own copy back first: `kinmo dataset join`."
        raise MotionError(motion_id, "carries no joints, so there is nothing to look at", remedy)
    texts = {**(record["groups"] or {}), **(record["interactions"] or {})}
    checks = [Check(**check) for check in record["checks"] or ()]
    return ShownMotion(
        motion_id=motion_id,
        joints=_as_bytes(joints),
        num_frames=len(joints),
        fps=float(record["fps"]),
        captions=tuple(caption["text"] for caption in record["captions"] or ()),
        keyframes=tuple(keyframe["frame"] for keyframe in record["keyframes"] or ()),
        sentences={field: texts.get(field) or "" for field in fields},
        checks={field: tuple(c for c in checks if c.field == field) for field in fields},
    )
