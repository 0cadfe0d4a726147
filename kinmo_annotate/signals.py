"""What is measured of a motion over time: one number a frame for each thing that a group or pair can do.

Everything is taken in the body frame (origin at the pelvis, y up, z where the body faces, x to its own left;
yaw removed, pitch and roll kept), so that a word such as "forward" means forward to the person. The
quantities follow KinMo Eq. 1 and 3: group positions and their differences, angles at connecting joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from kinmo_annotate.kinematics import heading
from kinmo_annotate.schema.skeleton import (
    FORWARD,
    GROUP_NAMES,
    GROUPS,
    JOINT,
    LATERAL,
    NUM_JOINTS,
    PAIR_NAMES,
    PAIRS,
    UP,
)

Array = NDArray[np.float64]

# Motion capture trembles by millimetres; 0.075 s of smoothing hides that and keeps a wave of the hand.
_SMOOTH_S = 0.075
# Heading for travel: the pelvis yaws with each step, the direction of walking does not.
_HEADING_SMOOTH_S = 0.25
# Where the line across hips and shoulders stands steeper than this sine leaves, `heading` takes more care.
_LEVEL = 0.25


# Averages the joints of each group, (6, 22).
_FIRST = [GROUP_NAMES.index(a) for a, _ in PAIRS]
_SECOND = [GROUP_NAMES.index(b) for _, b in PAIRS]
_MEANS = np.array([[(j in group) / len(group) for j in range(NUM_JOINTS)] for group in GROUPS.values()])


@dataclass(frozen=True)
class Signals:
    """Measured quantities of one motion.

    Attributes:
        fps: frames per second.
        values: (field, channel) -> (T,). Metres, or degrees for angles. Channels by kind of field:
            torso: pitch, roll, twist, heading, forward, left, height;
            neck: pitch, roll (relative to the trunk), upright_pitch, upright_roll (against the vertical);
            arm: up, forward, out (wrist relative to shoulder), flexion (elbow), over_elbow (wrist above
            elbow), trunk_up, trunk_forward, trunk_out (the first three, along the trunk's own axes);
            leg: up, forward, out (ankle relative to hip), flexion (knee), height (ankle above the floor);
            pair: distance, left, up, forward (b minus a) and, for the five connected pairs, angle.
        feet: side -> (T, 2, 3) positions of ankle and foot, metres, world frame.
        lowest: (C,) the lowest value of each signal, in the order of `values`.
        highest: (C,) the highest.
    """

    fps: float
    values: dict[tuple[str, str], Array]
    feet: dict[str, Array]
    lowest: Array
    highest: Array

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self.values["torso", "pitch"])


def measure(joints: NDArray[np.floating], fps: float) -> Signals:
    """Measure every signal of a motion.

    Args:
        joints: (T, 22, 3) positions, metres, y up.
        fps: frames per second.

    Returns:
        The signals, each (T,).
    """
    return measure_many([joints], fps)[0]


def measure_many(motions: Sequence[NDArray[np.floating]], fps: float) -> list[Signals]:
    """Measure many motions in one pass over all their frames, several times faster than one by one.

    Args:
        motions: joints (T, 22, 3) of each, metres, y up; T may differ.
        fps: frames per second of all of them.

    Returns:
        The signals of each, the same as `measure` gives.
    """
    if not motions:
        return []
    parts = _Parts.of([len(m) for m in motions])
    flat = np.concatenate(motions, dtype=np.float64).reshape(-1, 3 * NUM_JOINTS).T
    joints = parts.smoothed(np.ascontiguousarray(flat), fps * _SMOOTH_S).reshape(NUM_JOINTS, 3, -1)
    yaw = _headings(joints, parts)
    body = _turn(joints - joints[:1] * np.array([[1.0], [0.0], [1.0]]), -yaw)
    values: dict[tuple[str, str], Array] = {}
    values.update({("torso", k): v for k, v in _torso(joints, body, yaw, fps, parts).items()})
    values.update({("neck", k): v for k, v in _neck(body, parts).items()})
    axes = _trunk_axes(body)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        values.update({(f"{side}_arm", k): v for k, v in _arm(body, axes, side, sign).items()})
        values.update({(f"{side}_leg", k): v for k, v in _leg(joints, body, side, sign).items()})
    values.update(_pairs(body))
    return _taken_apart(values, joints, fps, parts)


def _taken_apart(
    values: dict[tuple[str, str], Array], joints: Array, fps: float, parts: _Parts
) -> list[Signals]:
    """The signals of each motion out of those of all of them."""
    feet = {
        side: joints[[JOINT[f"{side}_ankle"], JOINT[f"{side}_foot"]]].transpose(2, 0, 1).copy()
        for side in ("left", "right")
    }
    names, block = list(values), np.stack(list(values.values()))
    starts = [a for a, _ in parts.bounds]
    lows, highs = (f.reduceat(block, starts, axis=1).T for f in (np.minimum, np.maximum))
    return [
        Signals(
            fps,
            dict(zip(names, block[:, a:b], strict=True)),
            {side: foot[a:b] for side, foot in feet.items()},
            low,
            high,
        )
        for (a, b), low, high in zip(parts.bounds, lows, highs, strict=True)
    ]


@dataclass(frozen=True)
class _Parts:
    """Motions one after the other in arrays of all their frames (N, ...).

    Attributes:
        bounds: first frame of each, and the frame after its last.
        first: (N,) the first frame of the motion that each frame belongs to.
    """

    bounds: list[tuple[int, int]]
    first: NDArray[np.intp]

    @classmethod
    def of(cls, lengths: Sequence[int]) -> _Parts:
        ends = np.cumsum(lengths)
        starts = ends - lengths
        return cls(list(zip(starts.tolist(), ends.tolist(), strict=True)), np.repeat(starts, lengths))

    def smoothed(self, x: Array, sigma: float) -> Array:
        """Gaussian over time within each motion, its first and last frame going on outside of it."""
        smooth = np.empty_like(x)
        for a, b in self.bounds:
            gaussian_filter1d(x[:, a:b], sigma, mode="nearest", output=smooth[:, a:b])
        return smooth

    def unwrapped(self, angles: Array) -> Array:
        """Angles (N,) in radians without jumps of a full turn, each motion from its own first frame."""
        whole = np.unwrap(angles)
        turns = whole - angles
        return whole - turns[self.first]

    def summed(self, steps: Array) -> Array:
        """Sums (..., N) of steps from the first frame of each motion, where the sum is 0."""
        total = np.cumsum(steps, axis=-1)
        return total - total[..., self.first]


def _headings(joints: Array, parts: _Parts) -> Array:
    """`kinematics.heading` (N,) of each motion; those that stand upright throughout in one pass."""
    across = _across(joints, "hip") + _across(joints, "shoulder")
    yaw = parts.unwrapped(_yaw_of(across))
    ground = across[LATERAL] ** 2 + across[FORWARD] ** 2
    steep = np.flatnonzero(ground <= _LEVEL**2 * _dot(across, across))
    for first in np.unique(parts.first[steep]):
        a, b = next(bounds for bounds in parts.bounds if bounds[0] == first)
        yaw[a:b] = heading(joints[..., a:b].transpose(2, 0, 1))
    return yaw


def _across(joints: Array, name: str) -> Array:
    """From the right to the left of a pair of joints, (3, N)."""
    return joints[JOINT[f"left_{name}"]] - joints[JOINT[f"right_{name}"]]


def _turn(vectors: Array, yaw: Array) -> Array:
    """Rotate (..., 3, N) about the vertical by `yaw` radians; positive turns +z towards +x (to the left)."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    x, z = vectors[..., LATERAL, :], vectors[..., FORWARD, :]
    turned = np.empty_like(vectors)
    turned[..., LATERAL, :], turned[..., FORWARD, :] = cos * x + sin * z, cos * z - sin * x
    turned[..., UP, :] = vectors[..., UP, :]
    return turned


def _pitch_roll(vectors: Array, parts: _Parts) -> tuple[Array, Array]:
    """Pitch (forward positive) and roll (left positive) of (3, N) directions off the vertical, degrees."""
    length = np.maximum(_length(vectors), 1e-9)
    pitch = np.degrees(parts.unwrapped(np.arctan2(vectors[FORWARD], vectors[UP])))
    return pitch, np.degrees(np.arcsin(np.clip(vectors[LATERAL] / length, -1, 1)))


def _angle(a: Array, b: Array) -> Array:
    """Angle between (3, N) vectors, degrees; 0 where one of them has no length."""
    norms = np.maximum(_length(a) * _length(b), 1e-12)
    return np.degrees(np.arccos(np.clip(_dot(a, b) / norms, -1, 1)))


def _dot(a: Array, b: Array) -> Array:
    """Dot products (N,) of (3, N) vectors."""
    product: Array = np.einsum("in,in->n", a, b)
    return product


def _length(a: Array) -> Array:
    return np.sqrt(_dot(a, a))


def _yaw_of(across: Array) -> Array:
    """Yaw in radians of a line that points to the body's left, (3, N) -> (N,)."""
    return np.arctan2(-across[FORWARD], across[LATERAL])


def _trunk(body: Array) -> Array:
    return body[JOINT["neck"]] - body[JOINT["pelvis"]]


def _torso(joints: Array, body: Array, yaw: Array, fps: float, parts: _Parts) -> dict[str, Array]:
    pitch, roll = _pitch_roll(_trunk(body), parts)
    shoulders = _yaw_of(_across(body, "shoulder"))
    hips = _yaw_of(_across(body, "hip"))
    twist = np.degrees((shoulders - hips + np.pi) % (2 * np.pi) - np.pi)
    pelvis = joints[JOINT["pelvis"]]
    # a person turns with the hips; shoulders that go further twist
    slow_yaw, hip_yaw = parts.smoothed(np.stack([yaw, parts.unwrapped(yaw + hips)]), fps * _HEADING_SMOOTH_S)
    step = np.zeros_like(pelvis)
    step[:, 1:] = _turn(np.diff(pelvis), -slow_yaw[:-1])
    travel = parts.summed(step)
    return {
        "pitch": pitch,
        "roll": roll,
        "twist": twist,
        "heading": np.degrees(hip_yaw),
        "forward": travel[FORWARD],
        "left": travel[LATERAL],
        "height": pelvis[UP],
    }


def _neck(body: Array, parts: _Parts) -> dict[str, Array]:
    pitch, roll = _pitch_roll(body[JOINT["head"]] - body[JOINT["neck"]], parts)
    trunk_pitch, trunk_roll = _pitch_roll(_trunk(body), parts)
    return {
        "pitch": pitch - trunk_pitch,
        "roll": roll - trunk_roll,
        "upright_pitch": pitch,
        "upright_roll": roll,
    }


def _limb(body: Array, root: str, middle: str, end: str, sign: float) -> dict[str, Array]:
    a, b, c = (body[JOINT[name]] for name in (root, middle, end))
    relative = c - a
    return {
        "up": relative[UP],
        "forward": relative[FORWARD],
        "out": sign * relative[LATERAL],
        "flexion": 180 - _angle(a - b, c - b),
    }


def _arm(body: Array, axes: tuple[Array, Array, Array], side: str, sign: float) -> dict[str, Array]:
    arm = _limb(body, f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist", sign)
    wrist = body[JOINT[f"{side}_wrist"]]
    arm["over_elbow"] = wrist[UP] - body[JOINT[f"{side}_elbow"], UP]
    left, up, forward = axes
    relative = wrist - body[JOINT[f"{side}_shoulder"]]
    arm["trunk_up"] = _dot(relative, up)
    arm["trunk_forward"] = _dot(relative, forward)
    arm["trunk_out"] = sign * _dot(relative, left)
    return arm


def _trunk_axes(body: Array) -> tuple[Array, Array, Array]:
    """Unit axes (3, N) of the trunk: to its left, up along the spine, forward out of the chest."""
    up = _unit(_trunk(body))
    across = _across(body, "shoulder")
    left = _unit(across - _dot(across, up) * up)
    return left, up, np.cross(left, up, axis=0)


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(_length(vectors), 1e-9)


def _leg(joints: Array, body: Array, side: str, sign: float) -> dict[str, Array]:
    leg = _limb(body, f"{side}_hip", f"{side}_knee", f"{side}_ankle", sign)
    leg["height"] = joints[JOINT[f"{side}_ankle"], UP]
    return leg


def _pairs(body: Array) -> dict[tuple[str, str], Array]:
    centres = (_MEANS @ body.reshape(NUM_JOINTS, -1)).reshape(len(GROUPS), 3, -1)
    apart = centres[_SECOND] - centres[_FIRST]  # (15, 3, N)
    distance = np.sqrt(np.einsum("pin,pin->pn", apart, apart))
    values: dict[tuple[str, str], Array] = {}
    for field, far, delta in zip(PAIR_NAMES, distance, apart, strict=True):
        values[field, "distance"] = far
        values[field, "left"], values[field, "up"], values[field, "forward"] = delta
    trunk = _trunk(body)
    for side in ("left", "right"):
        arm = body[JOINT[f"{side}_elbow"]] - body[JOINT[f"{side}_shoulder"]]
        thigh = body[JOINT[f"{side}_knee"]] - body[JOINT[f"{side}_hip"]]
        values[f"torso__{side}_arm", "angle"] = _angle(arm, -trunk)
        values[f"torso__{side}_leg", "angle"] = _angle(thigh, trunk)
    values["torso__neck", "angle"] = _angle(body[JOINT["head"]] - body[JOINT["neck"]], -trunk)
    return values
