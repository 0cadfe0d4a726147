"""BVH motions of any humanoid skeleton, as 22 joints in metres at 20 fps."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.records import Motion, MotionError, Source, check_joints
from kinmo_annotate.schema.rotations import normalise
from kinmo_annotate.schema.skeleton import FORWARD, FPS, JOINT, LATERAL
from kinmo_annotate.sources.base import Entry, counted
from kinmo_annotate.sources.bvh_read import (
    Bvh,
    local_pose,
    read_bvh,
    read_skeleton,
    resample,
    world_positions,
)
from kinmo_annotate.sources.files import FileSource, entries_of_files, list_files, relative_path, to_float32
from kinmo_annotate.sources.mapping import Table, choose, read_table
from kinmo_annotate.sources.place import detect_up, facing, place

UNITS: Final = {"metres": 1.0, "centimetres": 0.01, "inches": 0.0254, "millimetres": 0.001}
# CMU's own unit: 1/0.45 inch, kept by BVH files made straight from its ASF skeletons.
UNITS_CMU: Final = {"CMU units of 1/0.45 inch": 0.0254 / 0.45}
# Leg plus trunk from pelvis to head of a grown body; a table body has 1.49 m, Bandai Namco's actors 1.28 m.
_BODY_LENGTH: Final = 1.4
_LEFT_LEG = tuple(JOINT[f"left_{name}"] for name in ("hip", "knee", "ankle"))
_RIGHT_LEG = tuple(JOINT[f"right_{name}"] for name in ("hip", "knee", "ankle"))
_TRUNK = tuple(JOINT[name] for name in ("pelvis", "spine1", "spine2", "spine3", "neck", "head"))


@dataclass
class BvhSource(FileSource):
    """A .bvh file, or all those below a folder.

    A motion begins with the first frame of its file, also where that is a rest pose as in CMU files: nothing
    is dropped unless `skip_s` says so; the notes of a motion mention it.

    Attributes:
        root: file or folder.
        mapping: a YAML table for skeletons that are not built in; None for the built-in tables.
        skip_s: seconds to leave out at the start of every file.
        name: "bvh".
    """

    root: Path
    mapping: Path | None = None
    skip_s: float = 0.0
    name: str = "bvh"
    _table: Table | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        self._table = read_table(self.mapping) if self.mapping else None
        self._entries, self._failures = entries_of_files(self.root, list_files(self.root, (".bvh",)))

    def notes(self) -> list[str]:
        """Say which skeletons the files have, by table, from their headers alone."""
        counts = Counter(self._skeleton_name(entry) for entry in self._entries)
        return [f"{counted(count, 'file')} with the skeleton {name}" for name, count in counts.most_common()]

    def _skeleton_name(self, entry: Entry) -> str:
        try:
            return choose(read_skeleton(Path(entry.path)).names, entry.path, self._table)[0].name
        except MotionError:
            return "unknown"

    def load(self, entry: Entry) -> Motion:
        """Read one motion.

        Raises:
            MotionError: damaged, an unknown skeleton, or no human body's size.
        """
        return self.load_with_notes(entry)[0]

    def load_with_notes(self, entry: Entry) -> tuple[Motion, list[str]]:
        """Read one motion, and say what was detected on the way: skeleton, unit, up-axis, frame rate.

        Raises:
            MotionError: as `load`.
        """
        path = Path(entry.path)
        bvh = read_bvh(path)
        bvh.values = bvh.values[round(self.skip_s * bvh.fps) :]
        with np.errstate(all="ignore"):  # absurd numbers end in infinity, which check_joints refuses
            joints, notes = to_joints(bvh, entry.path, self._table)
        source = Source("BVH", relative_path(path, self.root), start_s=self.skip_s)
        return Motion(entry.motion_id, joints, source, FPS, (), entry.split), notes


def to_joints(bvh: Bvh, where: str, table: Table | None = None) -> tuple[NDArray[np.float32], list[str]]:
    """Make the 22 joints of a BVH motion: mapped, 20 fps, metres, y up, on the floor, facing +z.

    Args:
        bvh: the file; at least two frames.
        where: its name, for messages.
        table: the user's mapping; None for the built-in tables.

    Returns:
        (T, 22, 3) float32, and notes on what was detected.

    Raises:
        MotionError: an unknown skeleton, fewer than two frames, or no body's size.
    """
    table, weights = choose(bvh.skeleton.names, where, table)
    if len(bvh.values) < 2:
        remedy = "Leave it out or export it again."
        raise MotionError(where, f"has {len(bvh.values)} frames, at least 2 are needed", remedy)
    pose = resample(*local_pose(bvh), bvh.fps, FPS)
    mapped = np.einsum("ij,tjk->tik", weights, world_positions(bvh.skeleton, *pose))
    _check_finite(mapped, where)
    up, mapped = detect_up(mapped)
    unit, scale = detect_unit(mapped, where)
    joints = to_float32(place(mapped * scale))
    check_joints(joints, where)
    notes = [
        f"skeleton {table.name}",
        f"unit {unit} (x {scale:g})",
        f"{up} up",
        f"{bvh.fps:g} fps to {FPS:g} fps",
    ]
    return joints, notes + _doubts(joints)


def _check_finite(mapped: NDArray[np.float64], where: str) -> None:
    if not np.isfinite(mapped).all() or np.abs(mapped).max() > 1e9:
        raise MotionError(where, "has positions too large to be a body's", "Check its offsets and positions.")


def detect_unit(joints: NDArray[np.float64], where: str) -> tuple[str, float]:
    """Tell the unit of length from the size of the body: the unit that makes it most like a grown person's.

    Args:
        joints: (T, 22, 3).
        where: the file, for messages.

    Returns:
        The unit's name and its length in metres; sizes that fit no unit are scaled to a body of middle size.

    Raises:
        MotionError: the body has no size.
    """
    length = (_chain(joints, _LEFT_LEG) + _chain(joints, _RIGHT_LEG)) / 2 + _chain(joints, _TRUNK)
    if not 1e-6 < length < 1e9:
        raise MotionError(where, "its body has no size", "Check the offsets of its skeleton.")
    units = UNITS | UNITS_CMU
    misfit = {name: abs(np.log(length * metres / _BODY_LENGTH)) for name, metres in units.items()}
    best = min(misfit, key=lambda name: misfit[name])
    if misfit[best] < np.log(1.75):
        return best, units[best]
    return f"unknown, scaled to a body of {_BODY_LENGTH:g} m from ankle to head", _BODY_LENGTH / length


def _chain(joints: NDArray[np.float64], chain: tuple[int, ...]) -> float:
    """Add up the bones along a chain, each at its median length over time."""
    bones = np.linalg.norm(np.diff(joints[:, list(chain)], axis=1), axis=-1)
    return float(np.median(bones, axis=0).sum())


def _doubts(joints: NDArray[np.float32]) -> list[str]:
    """Note what looks wrong but is left alone: a T-pose at the start, left and right exchanged."""
    notes = []
    in_t_pose = _arms_sideways(joints)
    if in_t_pose[0] and in_t_pose.mean() < 0.2:
        notes.append(
            "it begins in a T-pose, which is kept (`kinmo data import --skip SECONDS` leaves it out)"
        )
    toes = joints[:, [JOINT["left_foot"], JOINT["right_foot"]]]
    toes = (toes - joints[:, [JOINT["left_ankle"], JOINT["right_ankle"]]]).mean(axis=1)
    yaw = facing(joints)
    if np.median(toes[:, LATERAL] * np.sin(yaw) + toes[:, FORWARD] * np.cos(yaw)) < -0.03:
        notes.append("the toes point backwards: left and right may be exchanged in the file or its mapping")
    return notes


def _arms_sideways(joints: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell for each frame whether both arms lie along the line of the shoulders, within 20 degrees."""
    left, right = (joints[:, JOINT[f"{side}_wrist"]] for side in ("left", "right"))
    bones = (left - joints[:, JOINT["left_shoulder"]], joints[:, JOINT["right_shoulder"]] - right)
    across = normalise(joints[:, JOINT["left_shoulder"]] - joints[:, JOINT["right_shoulder"]])
    along = [np.einsum("ti,ti->t", normalise(bone), across) for bone in bones]
    return np.minimum(*along) > np.cos(np.deg2rad(20.0))
