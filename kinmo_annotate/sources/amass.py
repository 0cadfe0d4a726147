"""AMASS .npz motions (SMPL, SMPL-H, SMPL-X poses) by forward kinematics on a skeleton of our own.

No licensed body model is needed: the 22 body joints turn as the file says, and their bones are those of
HumanML3D's uniform skeleton. What only the body model knows (the actor's proportions from betas, gender, soft
tissue) is not used, so positions differ from the model's by the difference in proportions: centimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.joint_rotations import forward_kinematics, global_rotations
from kinmo_annotate.schema.records import Motion, MotionError, Source, check_joints
from kinmo_annotate.schema.rotations import axis_angle_to_quat, normalise, quat_to_matrix
from kinmo_annotate.schema.skeleton import FPS, NUM_JOINTS, TARGET_LENGTHS
from kinmo_annotate.sources.base import Entry
from kinmo_annotate.sources.bvh_read import resample
from kinmo_annotate.sources.files import (
    EXPORT_AGAIN,
    FileSource,
    as_float,
    entries_of_files,
    list_files,
    read_arrays,
    relative_path,
    to_float32,
)
from kinmo_annotate.sources.place import detect_up, place

Array = NDArray[np.float64]

# A T-pose that faces +z, y up, left at +x: the pose in which all SMPL rotations are zero. Directions from the
# parent, rough anatomy in round numbers, ours; HumanML3D's raw directions are not a body's (arms point down).
_LEFT: Final = {
    1: (0.6, -0.8, -0.1), 4: (0.1, -1.0, 0.0), 7: (0.0, -1.0, -0.1), 10: (0.2, -0.45, 0.9),
    13: (0.55, 0.8, -0.1), 16: (1.0, 0.3, -0.1), 18: (1.0, 0.0, -0.05), 20: (1.0, 0.0, 0.0),
}  # fmt: skip
_MIDDLE: Final = {3: (0.0, 1.0, -0.2), 6: (0.0, 1.0, 0.1), 9: (0.0, 1.0, 0.05), 12: (0.0, 1.0, -0.15),
                  15: (0.0, 0.9, 0.4)}  # fmt: skip
_BODY = 3 * NUM_JOINTS
_KEYS = ("poses", "root_orient", "pose_body", "trans", "mocap_framerate", "mocap_frame_rate")
_NOT_MOTIONS = ("shape.npz",)
_HOW = "Give AMASS .npz files with poses (or root_orient and pose_body), trans and mocap_framerate."


def rest_offsets() -> Array:
    """Give the offsets (22, 3) in metres of each joint from its parent in the T-pose; 0 at the pelvis."""
    directions = np.zeros((NUM_JOINTS, 3))
    for joint, direction in _MIDDLE.items():
        directions[joint] = direction
    for joint, (x, y, z) in _LEFT.items():  # in SMPL's order a right joint follows its left one
        directions[joint], directions[joint + 1] = (x, y, z), (-x, y, z)
    return normalise(directions) * TARGET_LENGTHS.astype(np.float64)[:, None]


@dataclass
class AmassSource(FileSource):
    """An AMASS .npz, or all those below a folder; files that hold only a body's shape are passed over.

    Attributes:
        root: file or folder.
        name: "amass".
    """

    root: Path
    name: str = "amass"

    def __post_init__(self) -> None:
        paths = [path for path in list_files(self.root, (".npz",)) if not _is_shape(path)]
        self._entries, self._failures = entries_of_files(self.root, paths)

    def notes(self) -> list[str]:
        """Say whose skeleton the motions get."""
        return ["AMASS poses on HumanML3D's uniform skeleton: betas, gender and hands are not used"]

    def load(self, entry: Entry) -> Motion:
        """Read one motion.

        Raises:
            MotionError: damaged, not AMASS, or no frame rate.
        """
        return self.load_with_notes(entry)[0]

    def load_with_notes(self, entry: Entry) -> tuple[Motion, list[str]]:
        """Read one motion, and say which axis is up and what its frame rate was.

        Raises:
            MotionError: as `load`.
        """
        path = Path(entry.path)
        poses, trans, fps = _read(path)
        with np.errstate(all="ignore"):  # absurd numbers end in infinity, which check_joints refuses
            up, joints = detect_up(_joints(poses, trans, fps), usual="z")
            placed = to_float32(place(joints))
        check_joints(placed, entry.path)
        relative = relative_path(path, self.root)
        dataset = relative.split("/")[0] if "/" in relative else "AMASS"
        motion = Motion(entry.motion_id, placed, Source(dataset, relative), FPS, (), entry.split)
        return motion, [f"{up} up", f"{fps:g} fps to {FPS:g} fps"]


def _is_shape(path: Path) -> bool:
    return path.name in _NOT_MOTIONS or path.stem.endswith("_stagei")


def _read(path: Path) -> tuple[Array, Array, float]:
    """Read poses (T, 22, 3) as rotation vectors in radians, translation (T, 3) in metres, and fps."""
    arrays, where = read_arrays(path, _KEYS), str(path)
    if "poses" not in arrays and {"root_orient", "pose_body"} <= arrays.keys():
        parts = [_table(arrays[key], key, where) for key in ("root_orient", "pose_body")]
        if len(parts[0]) != len(parts[1]):
            raise MotionError(where, "root_orient and pose_body have different lengths", EXPORT_AGAIN)
        poses = np.concatenate(parts, axis=1)
    elif "poses" in arrays:
        poses = _table(arrays["poses"], "poses", where)
    else:
        raise MotionError(where, "has no poses", _HOW)
    if poses.shape[1] < _BODY:
        raise MotionError(
            where, f"has {poses.shape[1]} pose values a frame, at least {_BODY} are needed", _HOW
        )
    if "trans" not in arrays:
        raise MotionError(where, "has no trans", _HOW)
    trans = _table(arrays["trans"], "trans", where)
    if trans.shape != (len(poses), 3):
        reason = f"its trans has shape {trans.shape}, expected ({len(poses)}, 3)"
        raise MotionError(where, reason, EXPORT_AGAIN)
    if len(poses) < 2:
        raise MotionError(where, f"has {len(poses)} frames, at least 2 are needed", "Leave it out.")
    return poses[:, :_BODY].reshape(-1, NUM_JOINTS, 3), trans, _frame_rate(arrays, where)


def _table(array: NDArray[np.generic], key: str, where: str) -> Array:
    """Check that an array is (T, N) finite numbers."""
    table = as_float(array, where, key)
    if table.ndim != 2:
        raise MotionError(where, f"its {key} has shape {table.shape}, expected one row a frame", EXPORT_AGAIN)
    bad = ~np.isfinite(table).all(axis=1)
    if bad.any():
        raise MotionError(
            where, f"its {key} has NaN or infinite values, first at {bad.argmax()}", EXPORT_AGAIN
        )
    return table


def _frame_rate(arrays: dict[str, NDArray[np.generic]], where: str) -> float:
    found = arrays.get("mocap_framerate", arrays.get("mocap_frame_rate"))
    if found is None:
        raise MotionError(where, "has no mocap_framerate", _HOW)
    value = as_float(found, where, "mocap_framerate")
    if value.size != 1 or not 1.0 <= value.item() <= 10_000.0:
        raise MotionError(where, "its mocap_framerate is not a number of frames per second", _HOW)
    return float(value.item())


def _joints(poses: Array, trans: Array, fps: float) -> Array:
    """Turn rotation vectors (T, 22, 3) and translation (T, 3) into positions (T', 22, 3) at 20 fps.

    The root moves by trans alone: the pelvis' constant offset in the body model disappears in placing.
    """
    root, turns = resample(trans[:, None], axis_angle_to_quat(poses), fps, FPS)
    return forward_kinematics(global_rotations(quat_to_matrix(turns)), rest_offsets(), root[:, 0])
