"""Made-up bodies and files for the tests of the sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import JOINTS, PARENTS
from kinmo_annotate.sources.amass import rest_offsets

# The SMPL joints under other people's names.
_NAMES = """Hips LeftUpLeg RightUpLeg Spine LeftLeg RightLeg Spine1 LeftFoot RightFoot Spine2 LeftToeBase
RightToeBase Neck LeftShoulder RightShoulder Head LeftArm RightArm LeftForeArm RightForeArm LeftHand
RightHand"""
MIXAMO = dict(zip(JOINTS, _NAMES.split(), strict=True))


def walk(frames: int = 30, seed: int = 0) -> np.ndarray:
    """A T-pose body that travels forwards and moves its arms a little: (T, 22, 3) metres, placed."""
    pose = np.zeros((len(JOINTS), 3))
    for joint in range(1, len(JOINTS)):
        pose[joint] = pose[PARENTS[joint]] + rest_offsets()[joint]
    motion = np.tile(pose, (frames, 1, 1))
    motion[..., 1] -= motion[..., 1].min()
    motion[..., 2] += np.linspace(0, 1, frames)[:, None]
    swing = np.sin(np.arange(frames) / 5 + seed)[:, None] * 0.1
    motion[:, [20, 21], 1] += swing
    motion[..., [0, 2]] -= motion[0, 0, [0, 2]]
    across = (motion[0, 1] - motion[0, 2]) + (motion[0, 16] - motion[0, 17])
    yaw = np.arctan2(across[2], across[0])  # the rest pose is almost, not exactly, symmetric
    x, z = motion[..., 0].copy(), motion[..., 2].copy()
    motion[..., 0] = np.cos(yaw) * x + np.sin(yaw) * z
    motion[..., 2] = np.cos(yaw) * z - np.sin(yaw) * x
    return motion.astype(np.float32)


def bvh_text(
    names: dict[str, str] | None = None, scale: float = 100.0, frames: int = 5, fps: float = 30
) -> str:
    """A BVH of the T-pose body that walks and bends its left elbow, joint names by `names`, y up."""
    names = names or MIXAMO
    offsets = rest_offsets() * scale
    lines = ["HIERARCHY"]
    _joint(0, names, offsets, lines)
    lines += ["MOTION", f"Frames: {frames}", f"Frame Time: {1 / fps:.8f}"]
    for t in range(frames):
        values = np.zeros(3 + 3 * len(JOINTS))
        values[1], values[2] = 0.95 * scale, 0.02 * scale * t
        values[3 + 3 * _depth_first().index(18) + 1] = -2.0 * t
        lines.append(" ".join(f"{value:.6f}" for value in values))
    return "\n".join(lines) + "\n"


def _depth_first(joint: int = 0) -> list[int]:
    children = [child for child in range(len(JOINTS)) if PARENTS[child] == joint]
    return [joint, *(found for child in children for found in _depth_first(child))]


def _joint(joint: int, names: dict[str, str], offsets: np.ndarray, lines: list[str]) -> None:
    lines.append(f"{'ROOT' if joint == 0 else 'JOINT'} {names[JOINTS[joint]]}")
    lines.append("{")
    lines.append("OFFSET " + " ".join(f"{value:.6f}" for value in offsets[joint]))
    positions = "6 Xposition Yposition Zposition" if joint == 0 else "3"
    lines.append(f"CHANNELS {positions} Zrotation Yrotation Xrotation")
    children = [child for child in range(len(JOINTS)) if PARENTS[child] == joint]
    for child in children:
        _joint(child, names, offsets, lines)
    if not children:
        lines += ["End Site", "{", "OFFSET 0 1 0", "}"]
    lines.append("}")


def attempt(call: Callable[[], Any]) -> Any:
    """Do something that may be refused, but only politely: any other exception fails the test."""
    try:
        return call()
    except MotionError as error:
        refusal = error
    assert refusal.reason
    assert refusal.remedy
    return refusal


def humanml3d_folder(root: Path, ids: dict[str, str]) -> Path:
    """A folder in HumanML3D layout with a motion for each id -> split."""
    for folder in ("new_joints", "texts"):
        (root / folder).mkdir(parents=True)
    for number, (motion_id, split) in enumerate(ids.items()):
        np.save(root / "new_joints" / f"{motion_id}.npy", walk(seed=number))
        text = "a person raises the left arm.#a/DET person/NOUN#0.0#0.0\n"
        (root / "texts" / f"{motion_id}.txt").write_text(text)
        with (root / f"{split}.txt").open("a") as file:
            file.write(f"{motion_id}\n")
    (root / "all.txt").write_text("".join(f"{motion_id}\n" for motion_id in ids))
    return root
