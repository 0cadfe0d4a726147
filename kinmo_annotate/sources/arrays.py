"""Plain arrays in .npy or .npz files at 20 fps: joints (T, 22, 3) in metres, y up, or vectors (T, 263)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.features import NUM_FEATURES, features_to_joints
from kinmo_annotate.schema.records import Motion, MotionError, Source, check_joints
from kinmo_annotate.schema.skeleton import FPS
from kinmo_annotate.sources.base import Entry
from kinmo_annotate.sources.files import (
    FileSource,
    as_float,
    entries_of_files,
    list_files,
    read_arrays,
    relative_path,
    to_float32,
)
from kinmo_annotate.sources.place import is_placed, place

_KEY = "joints"


@dataclass
class ArraySource(FileSource):
    """A .npy or .npz file of joints, or all those below a folder.

    A .npz gives its array `joints`, or its only array. Arrays are taken to be y up, in metres, at 20 fps,
    since nothing in them says otherwise; HumanML3D vectors (T, 263) become joints. A motion that does not yet
    stand on the floor and face +z is placed so, as all motions are; one that does is given exactly as in the
    file.

    Attributes:
        root: file or folder.
        name: "arrays".
    """

    root: Path
    name: str = "arrays"

    def __post_init__(self) -> None:
        paths = list_files(self.root, (".npy", ".npz"))
        self._entries, self._failures = entries_of_files(self.root, paths)

    def notes(self) -> list[str]:
        """Say what is assumed."""
        return ["arrays are taken to be SMPL joints, y up, in metres, or HumanML3D vectors, at 20 fps"]

    def load(self, entry: Entry) -> Motion:
        """Read one motion.

        Raises:
            MotionError: damaged, several arrays and none called `joints`, or neither (T, 22, 3) nor (T, 263).
        """
        path = Path(entry.path)
        joints = _to_joints(_pick(read_arrays(path), entry.path))
        check_joints(joints, entry.path)
        if not is_placed(joints):
            joints = to_float32(place(joints))
        source = Source("arrays", relative_path(path, self.root))
        return Motion(entry.motion_id, joints, source, FPS, (), entry.split)


def _to_joints(array: NDArray[np.float64]) -> NDArray[np.float32]:
    """Recover joints where the array is one of HumanML3D vectors without gaps; else take it as it is."""
    if array.ndim == 2 and array.shape[1] == NUM_FEATURES and len(array) and np.isfinite(array).all():
        with np.errstate(all="ignore"):
            return features_to_joints(array)
    return to_float32(array)


def _pick(arrays: dict[str, NDArray[np.generic]], where: str) -> NDArray[np.float64]:
    """Choose the array of joints among those of a file."""
    if _KEY in arrays:
        return as_float(arrays[_KEY], where, _KEY)
    if len(arrays) == 1:
        return as_float(next(iter(arrays.values())), where)
    names = ", ".join(sorted(arrays)) or "none"
    remedy = f"Call the array of joints `{_KEY}`."
    raise MotionError(where, f"has the arrays {names} and none of them is called `{_KEY}`", remedy)
