"""A motion as a BVH file that opens in Blender: bones in their own lengths, rotations with twist resolved.

The joints carry their SMPL names. Units are metres, because Blender's importer takes a file's numbers as
metres at its default scale; y is up and the rest pose is the T-pose of `joint_rotations`. Rotation channels
come as Z, X, Y on every joint, the order of most public BVH files, and angles run on over time instead of
jumping by 360 degrees. Joints turn and do not move, except where the motion is not rigid.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kinmo_annotate.joint_rotations import bone_offsets, joint_rotations, local_rotations
from kinmo_annotate.schema import rotations as rot
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import atomic_write
from kinmo_annotate.schema.skeleton import FPS, JOINT, JOINTS, NUM_JOINTS, PARENTS, TARGET_LENGTHS

Array = NDArray[np.float64]

ORDER: Final = "zxy"
TOLERANCE: Final = 1e-4  # metres within which the file reproduces every joint
_ROUNDING: Final = 1e-5  # metres of it kept for six decimals a number along the longest chain
_POSITIONS: Final = " ".join(f"{axis}position" for axis in "XYZ")
_ROTATIONS: Final = " ".join(f"{axis.upper()}rotation" for axis in ORDER)
# What lies beyond the last joints of a body as tall as HumanML3D's, in metres; scaled with the legs.
_ENDS: Final = {
    "head": (0.0, 0.17, 0.0),
    "left_wrist": (0.09, 0.0, 0.0),
    "right_wrist": (-0.09, 0.0, 0.0),
    "left_foot": (0.0, 0.0, 0.06),
    "right_foot": (0.0, 0.0, 0.06),
}
_LEGS: Final = [JOINT[name] for name in ("left_knee", "right_knee", "left_ankle", "right_ankle")]


def write_bvh(joints: ArrayLike, path: Path | str, fps: float = FPS) -> None:
    """Write a motion as BVH; forward kinematics of the file gives every joint back within 0.1 mm.

    The pelvis has position channels. Any other joint gets them only where constant bones would put it off by
    more than 0.1 mm, because its bone changes length or the children of pelvis or spine3 move among
    themselves; they replace the joint's OFFSET, as importers read them. Written whole or not at all.

    Args:
        joints: (T, 22, 3) metres, y up.
        path: where to write.
        fps: frames per second.

    Raises:
        MotionError: not a usable (T, 22, 3) motion, or a frame rate that is not above zero.
        DatasetError: the file cannot be written.
    """
    if not (np.isfinite(fps) and fps > 0):
        raise MotionError(
            str(path), f"cannot be written at {fps} frames per second", "Give a rate above zero."
        )
    positions = np.asarray(joints, dtype=np.float64)
    turns = joint_rotations(positions, fps)
    offsets, moving = _place_bones(positions, turns)
    angles = np.degrees(rot.unwrap_euler(rot.matrix_to_euler(local_rotations(turns), ORDER)))
    channels = [part for j in _walk() for part in ([moving[j]] if j in moving else []) + [angles[:, j]]]
    text = "\n".join([*_hierarchy(offsets, moving), *_motion(np.concatenate(channels, axis=1), fps), ""])
    atomic_write(Path(path), lambda file: file.write(text.encode("ascii")))


def _place_bones(positions: Array, turns: Array) -> tuple[Array, dict[int, Array]]:
    """Find constant offsets (22, 3), and positions (T, 3) in the parent for the joints that need channels.

    Walks from the pelvis outwards and compares with where the file will have put the parent, so that errors
    along a chain do not add up beyond the tolerance.
    """
    offsets = bone_offsets(positions, turns).mean(axis=0)
    moving = {0: positions[:, 0]}
    written = positions.copy()
    for joint in range(1, NUM_JOINTS):
        parent = PARENTS[joint]
        written[:, joint] = written[:, parent] + turns[:, parent] @ offsets[joint]
        if np.linalg.norm(written[:, joint] - positions[:, joint], axis=-1).max() > TOLERANCE - _ROUNDING:
            bone = positions[:, joint] - written[:, parent]
            moving[joint] = np.einsum("tba,tb->ta", turns[:, parent], bone)
            written[:, joint] = positions[:, joint]
    return offsets, moving


def _walk(joint: int = 0) -> list[int]:
    """Joints from `joint` outwards, each before its children, branch by branch, as BVH lists them."""
    return [joint, *(j for child in _children(joint) for j in _walk(child))]


def _children(joint: int) -> list[int]:
    return [child for child in range(NUM_JOINTS) if PARENTS[child] == joint]


def _hierarchy(offsets: Array, moving: dict[int, Array]) -> list[str]:
    scale = np.linalg.norm(offsets[_LEGS], axis=-1).sum() / TARGET_LENGTHS[_LEGS].sum()
    return ["HIERARCHY", *_node(0, offsets, frozenset(moving), float(scale))]


def _node(joint: int, offsets: Array, moving: frozenset[int], scale: float) -> list[str]:
    """Lines of one joint and everything beyond it, indented by one level of tabs a generation."""
    channels = f"6 {_POSITIONS} {_ROTATIONS}" if joint in moving else f"3 {_ROTATIONS}"
    inside = [f"OFFSET {_numbers(offsets[joint])}", f"CHANNELS {channels}"]
    for child in _children(joint):
        inside += _node(child, offsets, moving, scale)
    if JOINTS[joint] in _ENDS:
        end = scale * np.array(_ENDS[JOINTS[joint]])
        inside += ["End Site", "{", f"\tOFFSET {_numbers(end)}", "}"]
    return [f"{'JOINT' if joint else 'ROOT'} {JOINTS[joint]}", "{", *(f"\t{line}" for line in inside), "}"]


def _motion(values: Array, fps: float) -> list[str]:
    return ["MOTION", f"Frames: {len(values)}", f"Frame Time: {1.0 / fps:.8f}", *map(_numbers, values)]


def _numbers(values: Array) -> str:
    return " ".join(["%.6f"] * len(values)) % tuple(values.tolist())
