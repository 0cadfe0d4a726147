"""A body that can be posed: channels (angles, hand and foot targets) in, joint positions out.

The rest pose is anatomical and has the uniform target bone lengths, so every pose of it has exactly those
bones. Trunk and head are posed by angles; arms and legs by two-bone inverse kinematics from hand and toe
targets, which keeps planted feet where they are whatever the pelvis does. Angles are radians, lengths metres.
Signs: pitch forward, roll to the body's left, yaw and twist anticlockwise from above are positive.

Head turns (yaw) are missing on purpose: the 22 joint positions do not show them, so no motion here shakes
its head.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from kinmo_annotate.schema.skeleton import JOINT, NUM_JOINTS, TARGET_LENGTHS

Array = NDArray[np.float64]
Channels = dict[str, Array]

SIDES: Final = ("left", "right")
SIGN: Final = {"left": 1.0, "right": -1.0}

_SCALARS: Final = (
    "x", "z", "yaw", "shift_left", "shift_forward", "rise", "pitch", "roll", "twist", "head_pitch",
    "head_roll", "left_heel", "right_heel", "left_toe_yaw", "right_toe_yaw",
)  # fmt: skip
_VECTORS: Final = ("left_hand", "right_hand", "left_elbow", "right_elbow", "left_toe", "right_toe")
_SPINE: Final = ("pelvis", "spine1", "spine2", "spine3", "neck")
CHANNELS: Final = _SCALARS + _VECTORS

# Rest directions for the left side and the midline (x to the left, y up, z forward); the right side mirrors
# them.
_REST: Final = {
    "hip": (0.60, -0.80, 0.0),
    "spine1": (0.0, 1.0, -0.12),
    "spine2": (0.0, 1.0, 0.10),
    "spine3": (0.0, 1.0, 0.06),
    "neck": (0.0, 1.0, -0.02),
    "collar": (0.53, 0.84, -0.06),
    "shoulder": (0.93, 0.33, -0.08),
    "head": (0.0, 0.94, 0.34),
    "foot": (0.10, -0.40, 0.90),
}
# How much of the trunk's pitch, roll and twist the pelvis and each spine joint carry (hips hinge, the spine
# bends).
_PITCH: Final = (0.60, 0.82, 1.0, 1.0)
_ROLL: Final = (0.20, 0.50, 0.85, 1.0)
_TWIST: Final = (0.0, 0.35, 0.75, 1.0)
# Arms hang by gravity: of the chest's pitch and roll they follow only this part.
_ARM_FOLLOW: Final = 0.25
_MAX_FLEXION: Final = np.deg2rad(150.0)
_STAND_REACH: Final = 0.990
_MAX_REACH: Final = 0.998


def rest_offset(joint: str) -> Array:
    """Offset of a joint (not a knee, ankle, elbow or wrist) from its parent in the rest pose, (3,) metres."""
    side, _, part = joint.rpartition("_")
    direction = np.array(_REST[part])
    if side == "right":
        direction[0] *= -1
    return direction / np.linalg.norm(direction) * float(TARGET_LENGTHS[JOINT[joint]])


def frames_of(yaw: Array, pitch: Array, roll: Array) -> Array:
    """Rotations (T, 3, 3) that yaw, then pitch forward, then roll to the left, from angles (T,)."""
    cy, sy, cp, sp, cr, sr = (
        np.cos(yaw),
        np.sin(yaw),
        np.cos(pitch),
        np.sin(pitch),
        np.cos(roll),
        np.sin(roll),
    )
    rows = (
        (cy * cr - sy * sp * sr, cy * sr + sy * sp * cr, sy * cp),
        (-cp * sr, cp * cr, -sp),
        (-sy * cr - cy * sp * sr, -sy * sr + cy * sp * cr, cy * cp),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def turned(rotation: Array, vector: Array) -> Array:
    """Apply rotations (T, 3, 3) to one vector (3,) or to one a frame (T, 3)."""
    return np.einsum("tij,tj->ti", rotation, np.broadcast_to(vector, (len(rotation), 3)))


def arm_length(side: str) -> float:
    """Upper arm plus forearm, metres."""
    return float(TARGET_LENGTHS[JOINT[f"{side}_elbow"]] + TARGET_LENGTHS[JOINT[f"{side}_wrist"]])


def leg_lengths(side: str) -> tuple[float, float]:
    """Thigh and shank, metres."""
    return float(TARGET_LENGTHS[JOINT[f"{side}_knee"]]), float(TARGET_LENGTHS[JOINT[f"{side}_ankle"]])


def home_toe(side: str, width: float) -> Array:
    """Where the toe joint stands below a neutral pelvis at the origin, (3,); `width` is half the stance."""
    foot = rest_offset(f"{side}_foot")
    return np.array([SIGN[side] * width + foot[0], 0.0, foot[2] - 0.02])


def standing_height(width: float) -> float:
    """Height of the pelvis above the toes when both legs are almost straight, metres."""
    heights = []
    for side in SIDES:
        hip, foot = rest_offset(f"{side}_hip"), rest_offset(f"{side}_foot")
        ankle = home_toe(side, width) - foot
        flat = np.hypot(*(ankle - hip)[[0, 2]])
        heights.append(ankle[1] - hip[1] + np.sqrt((_STAND_REACH * sum(leg_lengths(side))) ** 2 - flat**2))
    return float(min(heights))


def two_bones(start: Array, target: Array, lengths: tuple[float, float], pole: Array) -> tuple[Array, Array]:
    """Place the middle and end joints of a limb that reaches from `start` for `target`.

    Args:
        start: (T, 3) shoulder or hip.
        target: (T, 3) where the wrist or ankle should be; brought within reach if it is not.
        lengths: upper and lower bone.
        pole: (T, 3) the way the elbow or knee points; only its part across the limb counts.

    Returns:
        Elbow or knee (T, 3) and wrist or ankle (T, 3); the bones have exactly `lengths`.
    """
    upper, lower = lengths
    shortest = float(np.sqrt(upper**2 + lower**2 + 2 * upper * lower * np.cos(_MAX_FLEXION)))
    away = target - start
    distance = np.linalg.norm(away, axis=-1, keepdims=True)
    along = away / np.maximum(distance, 1e-9)
    distance = np.clip(distance, shortest, 0.9995 * (upper + lower))
    across = pole - (pole * along).sum(-1, keepdims=True) * along
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    cosine = (upper**2 + distance**2 - lower**2) / (2 * upper * distance)
    middle = start + upper * (cosine * along + np.sqrt(1 - cosine**2) * across)
    return middle, start + distance * along


def pose_body(channels: Channels, width: float) -> Array:
    """Pose the body: channels of T frames to joint positions (T, 22, 3), metres, world frame.

    The pelvis is lowered, smoothly, wherever a foot target would otherwise be out of reach.
    """
    count = len(channels["x"])
    joints = np.zeros((count, NUM_JOINTS, 3))
    spine = _spine_rotations(channels)
    ankles = {side: _ankle(channels, side) for side in SIDES}
    joints[:, JOINT["pelvis"]] = _pelvis(channels, spine[0], ankles, width)
    for (parent, child), rotation in zip(pairwise(_SPINE), spine, strict=True):
        joints[:, JOINT[child]] = joints[:, JOINT[parent]] + turned(rotation, rest_offset(child))
    _pose_head(joints, channels, spine[3])
    for side in SIDES:
        _pose_arm(joints, channels, spine[3], side)
        _pose_leg(joints, channels, spine[0], ankles[side], side)
    return joints


def _spine_rotations(channels: Channels) -> list[Array]:
    """World rotations (T, 3, 3) of pelvis, spine1, spine2 and spine3."""
    return [
        frames_of(
            channels["yaw"] + twist * channels["twist"], pitch * channels["pitch"], roll * channels["roll"]
        )
        for pitch, roll, twist in zip(_PITCH, _ROLL, _TWIST, strict=True)
    ]


def _ankle(channels: Channels, side: str) -> Array:
    """Ankle targets (T, 3): the foot stands on its toe joint, its heel raised by the heel angle."""
    zeros = np.zeros_like(channels["x"])
    foot = frames_of(channels[f"{side}_toe_yaw"], channels[f"{side}_heel"], zeros)
    return channels[f"{side}_toe"] - turned(foot, rest_offset(f"{side}_foot"))


def _pelvis(channels: Channels, rotation: Array, ankles: dict[str, Array], width: float) -> Array:
    """Pelvis positions (T, 3): the wanted ones, lowered to where both legs reach their ankles."""
    shift = np.stack(
        [channels["shift_left"], np.zeros_like(channels["x"]), channels["shift_forward"]], axis=-1
    )
    zeros = np.zeros_like(channels["x"])
    pelvis = turned(frames_of(channels["yaw"], zeros, zeros), shift)
    pelvis += np.stack([channels["x"], standing_height(width) + channels["rise"], channels["z"]], axis=-1)
    excess = np.zeros_like(channels["x"])
    for side in SIDES:
        hip = pelvis + turned(rotation, rest_offset(f"{side}_hip"))
        flat = np.hypot(*(ankles[side] - hip)[:, [0, 2]].T)
        reach = np.sqrt(np.maximum((_MAX_REACH * sum(leg_lengths(side))) ** 2 - flat**2, 0.01))
        excess = np.maximum(excess, hip[:, 1] - ankles[side][:, 1] - reach)
    pelvis[:, 1] -= gaussian_filter1d(maximum_filter1d(excess, 5), 1.3, mode="nearest")
    return pelvis


def _pose_head(joints: Array, channels: Channels, chest: Array) -> None:
    tilt = frames_of(np.zeros_like(channels["x"]), channels["head_pitch"], channels["head_roll"])
    joints[:, JOINT["head"]] = joints[:, JOINT["neck"]] + turned(chest @ tilt, rest_offset("head"))


def _pose_arm(joints: Array, channels: Channels, chest: Array, side: str) -> None:
    """Shrug the collar with the arm's height, then reach for the hand target."""
    hand, elbow = channels[f"{side}_hand"], channels[f"{side}_elbow"]
    height = np.clip(hand[:, 1] / np.maximum(np.linalg.norm(hand, axis=-1), 1e-9), -1, 1)
    shrug = -SIGN[side] * np.deg2rad(22.0) * ((1 + height) / 2) ** 2
    zeros = np.zeros_like(shrug)
    lifted = chest @ frames_of(zeros, zeros, shrug)
    collar = joints[:, JOINT["spine3"]] + turned(chest, rest_offset(f"{side}_collar"))
    shoulder = collar + turned(lifted, rest_offset(f"{side}_shoulder"))
    hanging = frames_of(
        channels["yaw"] + channels["twist"], _ARM_FOLLOW * channels["pitch"], _ARM_FOLLOW * channels["roll"]
    )
    own = np.array([SIGN[side], 1.0, 1.0])
    target = shoulder + turned(hanging, hand * own * arm_length(side))
    lengths = float(TARGET_LENGTHS[JOINT[f"{side}_elbow"]]), float(TARGET_LENGTHS[JOINT[f"{side}_wrist"]])
    middle, end = two_bones(shoulder, target, lengths, turned(hanging, elbow * own))
    for name, position in (("collar", collar), ("shoulder", shoulder), ("elbow", middle), ("wrist", end)):
        joints[:, JOINT[f"{side}_{name}"]] = position


def _pose_leg(joints: Array, channels: Channels, pelvis: Array, ankle: Array, side: str) -> None:
    """Reach for the ankle target, the knee pointing where pelvis and foot face, a little outward."""
    hip = joints[:, JOINT["pelvis"]] + turned(pelvis, rest_offset(f"{side}_hip"))
    facing = (channels["yaw"] + channels[f"{side}_toe_yaw"]) / 2 + SIGN[side] * np.deg2rad(8.0)
    hinge = np.stack([np.cos(facing), np.zeros_like(facing), -np.sin(facing)], axis=-1)
    knee, end = two_bones(hip, ankle, leg_lengths(side), np.cross(ankle - hip, hinge))
    foot = frames_of(channels[f"{side}_toe_yaw"], channels[f"{side}_heel"], np.zeros_like(facing))
    for name, position in (("hip", hip), ("knee", knee), ("ankle", end)):
        joints[:, JOINT[f"{side}_{name}"]] = position
    joints[:, JOINT[f"{side}_foot"]] = end + turned(foot, rest_offset(f"{side}_foot"))
