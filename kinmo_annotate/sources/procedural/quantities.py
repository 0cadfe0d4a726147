"""What the vocabulary's words measure: a number per frame for each of them, on joint positions.

Readings of the vocabulary that its one-line meanings leave open:
- `lift` and `lower` of a leg are the ankle's height above the ground, so that a crouch lifts no foot.
- `above`/`below`, `in_front`/`behind` and `cross`: the amount is the smaller of the distances before and
  after.
- `open`/`close`: upper arm against the trunk's downward line; thigh against the trunk's upward line; head
  (said of torso__neck, never salient) against the trunk's downward line.
- `cross` of two arms or two legs is also listed, not salient, when only the wrists or ankles change sides.
- `turn_left`/`turn_right` are never salient while the hips stay (a twist alone turns the body frame a
  little).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from kinmo_annotate.schema.skeleton import GROUPS, JOINT, PAIRS
from kinmo_annotate.sources.procedural.body import SIGN, Array

# What a change of a quantity from one value to another is called: (action, amount) pairs.
Rule = Callable[[float, float], list[tuple[str, float]]]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number per frame that defines some words of one field.

    Attributes:
        field: the group or pair.
        name: what is measured.
        values: (T,) metres or degrees.
        rule: names a change.
        step: the notable amount that the smallest of its words asks for.
        net: only its change over a whole phase counts, even in a cyclic phase (travel, heading).
        faint: never salient.
    """

    field: str
    name: str
    values: Array
    rule: Rule
    step: float
    net: bool = False
    faint: bool = False


def _linear(up: str, down: str) -> Rule:
    return lambda a, b: [(up if b > a else down, abs(b - a))]


def _tilt(plus: str, minus: str, back: str) -> Rule:
    """Away from zero is `plus` or `minus`, towards zero is `back`; a change through zero is both."""

    def rule(a: float, b: float) -> list[tuple[str, float]]:
        if a * b < 0:
            return [(back, abs(a)), (plus if b > 0 else minus, abs(b))]
        away = (plus if b > 0 else minus, abs(b) - abs(a))
        return [away] if away[1] > 0 else [(back, -away[1])]

    return rule


def _sides(plus: str, minus: str) -> Rule:
    """Crossing zero, by the smaller distance from it before and after."""
    return lambda a, b: [(plus if b > 0 else minus, min(abs(a), abs(b)))] if a * b < 0 else []


def body_yaw(joints: Array) -> Array:
    """Heading (T,) radians, unwrapped: across the hips plus across the shoulders, turned to the front."""
    across = joints[:, JOINT["left_hip"]] - joints[:, JOINT["right_hip"]]
    across = across + joints[:, JOINT["left_shoulder"]] - joints[:, JOINT["right_shoulder"]]
    return np.unwrap(np.arctan2(-across[:, 2], across[:, 0]))


def in_body_frame(joints: Array) -> Array:
    """Joints (T, 22, 3) relative to the pelvis, turned so that the body faces +z."""
    yaw = body_yaw(joints)
    local = joints - joints[:, :1]
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    x = cos * local[..., 0] - sin * local[..., 2]
    z = sin * local[..., 0] + cos * local[..., 2]
    return np.stack([x, local[..., 1], z], axis=-1)


def _angles(direction: Array) -> tuple[Array, Array]:
    """Pitch (forward positive) and roll (left positive) of directions (T, 3), degrees."""
    unit = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    return np.rad2deg(np.arctan2(unit[:, 2], unit[:, 1])), np.rad2deg(np.arcsin(np.clip(unit[:, 0], -1, 1)))


def _between(u: Array, v: Array) -> Array:
    """Angle between directions (T, 3), degrees."""
    cosine = (u * v).sum(-1) / (np.linalg.norm(u, axis=-1) * np.linalg.norm(v, axis=-1))
    return np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))


def _relative_head(local: Array) -> tuple[Array, Array]:
    """Pitch and roll of the head in the frame of the trunk, degrees."""
    trunk = local[:, JOINT["neck"]]
    pitch, roll = (np.deg2rad(angle) for angle in _angles(trunk))
    x, y, z = (local[:, JOINT["head"]] - trunk).T
    y, z = np.cos(pitch) * y + np.sin(pitch) * z, -np.sin(pitch) * y + np.cos(pitch) * z
    x, y = np.cos(roll) * x - np.sin(roll) * y, np.sin(roll) * x + np.cos(roll) * y
    return _angles(np.stack([x, y, z], axis=-1))


def quantities(joints: Array) -> Iterator[Quantity]:
    """Everything the vocabulary measures, of every group and pair; joints (T, 22, 3) in the world."""
    local = in_body_frame(joints)
    yield from _torso(joints, local)
    pitch, roll = _relative_head(local)
    yield Quantity("neck", "head_pitch", pitch, _linear("lower", "raise"), 15.0)
    yield Quantity("neck", "head_roll", roll, _tilt("tilt_left", "tilt_right", "straighten"), 15.0)
    for side in ("left", "right"):
        yield from _arm(local, side)
        yield from _leg(joints, local, side)
    for a, b in PAIRS:
        yield from _pair(local, a, b)


def _torso(joints: Array, local: Array) -> Iterator[Quantity]:
    pitch, roll = _angles(local[:, JOINT["neck"]])
    yield Quantity("torso", "pitch", pitch, _tilt("bend_forward", "bend_backward", "straighten"), 12.0)
    yield Quantity("torso", "roll", roll, _tilt("lean_left", "lean_right", "straighten"), 12.0)
    hips, shoulders = (
        local[:, JOINT[f"left_{j}"]] - local[:, JOINT[f"right_{j}"]] for j in ("hip", "shoulder")
    )
    twist = np.arctan2(-shoulders[:, 2], shoulders[:, 0]) - np.arctan2(-hips[:, 2], hips[:, 0])
    yield Quantity("torso", "twist", np.rad2deg(twist), _linear("twist_left", "twist_right"), 25.0)
    yaw = body_yaw(joints)
    across = joints[:, JOINT["left_hip"]] - joints[:, JOINT["right_hip"]]
    still = float(np.ptp(np.rad2deg(np.unwrap(np.arctan2(-across[:, 2], across[:, 0]))))) < 25.0
    turns = _linear("turn_left", "turn_right")
    yield Quantity("torso", "heading", np.rad2deg(yaw), turns, 35.0, net=True, faint=still)
    way = np.diff(joints[:, JOINT["pelvis"]], axis=0, prepend=joints[:1, JOINT["pelvis"]])
    forward = np.cumsum(way[:, 0] * np.sin(yaw) + way[:, 2] * np.cos(yaw))
    left = np.cumsum(way[:, 0] * np.cos(yaw) - way[:, 2] * np.sin(yaw))
    yield Quantity("torso", "travel", forward, _linear("move_forward", "move_backward"), 0.35, net=True)
    yield Quantity("torso", "sidle", left, _linear("move_left", "move_right"), 0.35, net=True)
    yield Quantity("torso", "height", joints[:, JOINT["pelvis"], 1], _linear("rise", "sink"), 0.12)


def _flexion(local: Array, upper: str, middle: str, end: str) -> Array:
    a, b, c = (local[:, JOINT[name]] for name in (upper, middle, end))
    return _between(b - a, c - b)


def _arm(local: Array, side: str) -> Iterator[Quantity]:
    field = f"{side}_arm"
    out, up, forward = (local[:, JOINT[f"{side}_wrist"]] - local[:, JOINT[f"{side}_shoulder"]]).T
    bend = _flexion(local, f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")
    yield Quantity(field, "up", up, _linear("raise", "lower"), 0.20)
    yield Quantity(field, "forward", forward, _linear("reach_forward", "pull_back"), 0.25)
    yield Quantity(field, "out", SIGN[side] * out, _linear("move_out", "move_in"), 0.25)
    yield Quantity(field, "elbow", bend, _linear("bend", "straighten"), 40.0)


def _leg(joints: Array, local: Array, side: str) -> Iterator[Quantity]:
    field = f"{side}_leg"
    out, _, forward = (local[:, JOINT[f"{side}_ankle"]] - local[:, JOINT[f"{side}_hip"]]).T
    ankle = joints[:, JOINT[f"{side}_ankle"]]
    planted = float(np.ptp(ankle[:, [0, 2]], axis=0).max()) < 0.12
    bend = _flexion(local, f"{side}_hip", f"{side}_knee", f"{side}_ankle")
    yield Quantity(field, "foot_height", ankle[:, 1], _linear("lift", "lower"), 0.12)
    yield Quantity(field, "forward", forward, _linear("swing_forward", "swing_back"), 0.25, faint=planted)
    yield Quantity(field, "out", SIGN[side] * out, _linear("move_out", "move_in"), 0.20, faint=planted)
    yield Quantity(field, "knee", bend, _linear("bend", "straighten"), 35.0)


def _pair(local: Array, a: str, b: str) -> Iterator[Quantity]:
    field = f"{a}__{b}"
    apart = local[:, GROUPS[a]].mean(axis=1) - local[:, GROUPS[b]].mean(axis=1)
    yield Quantity(field, "distance", np.linalg.norm(apart, axis=-1), _linear("part", "approach"), 0.15)
    yield Quantity(field, "height", apart[:, 1], _sides("above", "below"), 0.05)
    yield Quantity(field, "depth", apart[:, 2], _sides("in_front", "behind"), 0.08)
    if a == "torso":
        yield _joint_angle(local, b)
    if {a.partition("_")[0], b.partition("_")[0]} == {"left", "right"}:
        yield Quantity(field, "across", apart[:, 0], _sides("cross", "cross"), 0.05)
    tip = {"left_arm__right_arm": "wrist", "left_leg__right_leg": "ankle"}.get(field)
    if tip:
        tips = local[:, JOINT[f"left_{tip}"], 0] - local[:, JOINT[f"right_{tip}"], 0]
        yield Quantity(field, "tips_across", tips, _sides("cross", "cross"), 0.05, faint=True)


def _joint_angle(local: Array, group: str) -> Quantity:
    """The angle at the joint that connects the torso with a group."""
    up = local[:, JOINT["neck"]]
    side, _, part = group.rpartition("_")
    if part == "neck":
        angle = _between(local[:, JOINT["head"]] - local[:, JOINT["neck"]], -up)
    elif part == "arm":
        angle = _between(local[:, JOINT[f"{side}_elbow"]] - local[:, JOINT[f"{side}_shoulder"]], -up)
    else:
        angle = _between(local[:, JOINT[f"{side}_knee"]] - local[:, JOINT[f"{side}_hip"]], up)
    return Quantity(f"torso__{group}", "opening", angle, _linear("open", "close"), 30.0, faint=part == "neck")
