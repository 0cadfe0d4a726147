"""What a demo motion really did: events read from its authored phases, not found in a noisy signal.

For every word of the vocabulary the geometric quantity that defines it is evaluated on the noise-free joints, at the
beginning and the end of every authored phase. Cyclic phases give counted events, and their authored words (steps,
waves, jumps, ...). An event is *salient* when no careful description could leave it out (1.5 times notable, or a
counted cycle); from 0.7 times notable on it is listed, not salient, so that a describer who says it is not wrong.

Readings of the vocabulary that its one-line meanings leave open:
- `lift` and `lower` of a leg are the ankle's height above the ground, so that a crouch lifts no foot.
- `above`/`below`, `in_front`/`behind` and `cross`: the amount is the smaller of the distances before and after.
- `open`/`close`: upper arm against the trunk's downward line; thigh against the trunk's upward line; head (said of
  torso__neck, never salient) against the trunk's downward line.
- `cross` of two arms or two legs is also listed, not salient, when only the wrists or ankles change sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from kinmo_annotate.schema.records import Event
from kinmo_annotate.schema.skeleton import FPS, GROUPS, JOINT, PAIRS, mirror_field
from kinmo_annotate.schema.vocabulary import action_of, mirror_action
from kinmo_annotate.sources.procedural.body import SIGN, Array
from kinmo_annotate.sources.procedural.stage import Phase, Word

SALIENT: Final = 1.5
LISTED: Final = 0.7
_RUN: Final = 0.35

# What a change of a quantity from one value to another is called: (action, amount) pairs.
Rule = Callable[[float, float], list[tuple[str, float]]]


@dataclass(frozen=True, slots=True)
class TruthEvent(Event):
    """An event that really happened; `salient` tells whether a description must mention it."""

    salient: bool = True

    def as_dict(self) -> dict[str, object]:
        """The event as a line of truth.jsonl holds it: times to 0.01 s, amounts to 0.001."""
        row = asdict(self)
        return row | {key: round(row[key], digits) for key, digits in (("start_s", 2), ("end_s", 2), ("amount", 3))}


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


def mirror_event(event: TruthEvent) -> TruthEvent:
    """The event as a mirror shows it; in_front and above of a left-right pair keep sense by naming the first group."""
    field, action = mirror_field(event.field), mirror_action(event.action)
    a, _, b = event.field.partition("__")
    if b and field.partition("__")[0] != mirror_field(a):
        flip = {"above": "below", "below": "above", "in_front": "behind", "behind": "in_front"}
        action = flip.get(action, action)
    return TruthEvent(field, action, event.start_s, event.end_s, event.count, event.amount, event.salient)


def derive_truth(joints: Array, phases: Sequence[Phase]) -> tuple[TruthEvent, ...]:
    """All events of a motion.

    Args:
        joints: (T, 22, 3) noise-free positions.
        phases: the authored timeline.

    Returns:
        Events in order of time; times in seconds from the first frame.
    """
    events = [_event(word, phase) for phase in phases for word in phase.words]
    for quantity in quantities(joints):
        measured = [event for phase in phases for event in _of_phase(quantity, phase)]
        events += measured + list(_missed(quantity, measured))
    events += _together(events)
    return tuple(sorted(_once(events), key=lambda e: (e.start_s, e.end_s, e.field, e.action)))


def _event(word: Word, phase: Phase) -> TruthEvent:
    return TruthEvent(
        word.field, word.action, phase.start / FPS, phase.end / FPS, word.count, word.amount, word.salient
    )


def _of_phase(quantity: Quantity, phase: Phase) -> Iterator[TruthEvent]:
    """Events of one quantity in one phase: its net change, or its counted runs when the phase is cyclic."""
    if quantity.name in phase.mute or (phase.only and quantity.name not in phase.only):
        return
    values = quantity.values[phase.start : phase.end + 1]
    said: set[str] = set()
    if quantity.net or not phase.cyclic:
        for action, amount in quantity.rule(values[0], values[-1]):
            yield from _measured(quantity, phase, action, [amount], loud=quantity.field not in phase.quiet)
            said.add(action)
    if quantity.net:
        return
    for action, amounts in _run_amounts(quantity, values).items():
        if action not in said:
            yield from _measured(quantity, phase, action, amounts, loud=phase.cyclic and quantity.field not in phase.quiet)


def _measured(quantity: Quantity, phase: Phase, action: str, amounts: list[float], loud: bool) -> Iterator[TruthEvent]:
    notable = action_of(quantity.field, action).notable
    amounts = [amount for amount in amounts if amount >= LISTED * notable]
    if amounts:
        amount = float(np.mean(amounts))
        salient = loud and not quantity.faint and amount >= SALIENT * notable
        yield TruthEvent(
            quantity.field, action, phase.start / FPS, phase.end / FPS, len(amounts), amount, salient
        )  # fmt: skip


def _run_amounts(quantity: Quantity, values: Array) -> dict[str, list[float]]:
    """The amounts of each action over the monotone runs of a noise-free quantity."""
    found: dict[str, list[float]] = {}
    ends = turning_points(values, _RUN * quantity.step)
    for start, end in zip(ends[:-1], ends[1:], strict=True):
        for action, amount in quantity.rule(values[start], values[end]):
            found.setdefault(action, []).append(amount)
    return found


def turning_points(values: Array, least: float) -> list[int]:
    """Frames between which a signal runs one way, runs smaller than `least` left out; first and last included."""
    ends, low, high, way = [0], 0, 0, 0
    for frame in range(1, len(values)):
        low = frame if values[frame] < values[low] else low
        high = frame if values[frame] > values[high] else high
        if way >= 0 and values[high] - values[frame] >= least:
            if high > ends[-1]:
                ends.append(high)
            way, low, high = -1, frame, frame
        elif way <= 0 and values[frame] - values[low] >= least:
            if low > ends[-1]:
                ends.append(low)
            way, low, high = 1, frame, frame
    return ends if ends[-1] == len(values) - 1 else [*ends, len(values) - 1]


def _missed(quantity: Quantity, measured: list[TruthEvent]) -> Iterator[TruthEvent]:
    """Slow changes that add up over several phases, each too small alone: listed, never salient."""
    ends = turning_points(quantity.values, _RUN * quantity.step)
    for start, end in zip(ends[:-1], ends[1:], strict=True):
        for action, amount in quantity.rule(quantity.values[start], quantity.values[end]):
            begin, stop = start / FPS, end / FPS
            known = any(e.action == action and e.start_s < stop and e.end_s > begin for e in measured)
            if not known and amount >= LISTED * action_of(quantity.field, action).notable:
                yield TruthEvent(quantity.field, action, begin, stop, 1, amount, salient=False)


def _together(events: list[TruthEvent]) -> list[TruthEvent]:
    """Both arms or both legs doing one thing at the same time."""
    found = []
    for limb in ("arm", "leg"):
        left, right = ([e for e in events if e.field == f"{side}_{limb}"] for side in ("left", "right"))
        for a in left:
            for b in right:
                if a.action == b.action and (a.start_s, a.end_s, a.count) == (b.start_s, b.end_s, b.count):
                    if a.action not in ("step", "swing"):
                        field = f"left_{limb}__right_{limb}"
                        found.append(TruthEvent(field, "together", a.start_s, a.end_s, a.count, 0.0, salient=False))
    return found


def _once(events: list[TruthEvent]) -> list[TruthEvent]:
    """Leave out events that repeat another's field, action and time; the salient and larger one stays."""
    kept: dict[tuple[str, str, float, float], TruthEvent] = {}
    for event in events:
        key = (event.field, event.action, event.start_s, event.end_s)
        old = kept.get(key)
        if old is None or (event.salient, event.count, event.amount) > (old.salient, old.count, old.amount):
            kept[key] = event
    return list(kept.values())


# --- quantities ------------------------------------------------------------------------------------------------
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
    hips, shoulders = (local[:, JOINT[f"left_{j}"]] - local[:, JOINT[f"right_{j}"]] for j in ("hip", "shoulder"))
    twist = np.arctan2(-shoulders[:, 2], shoulders[:, 0]) - np.arctan2(-hips[:, 2], hips[:, 0])
    yield Quantity("torso", "twist", np.rad2deg(twist), _linear("twist_left", "twist_right"), 25.0)
    yaw = body_yaw(joints)
    yield Quantity("torso", "heading", np.rad2deg(yaw), _linear("turn_left", "turn_right"), 35.0, net=True)
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
    if a.startswith("left") and b.startswith("right"):
        yield Quantity(field, "across", apart[:, 0], _sides("cross", "cross"), 0.05)
        kind = a.partition("_")[2]
        if kind == b.partition("_")[2]:
            tip = {"arm": "wrist", "leg": "ankle"}[kind]
            tips = local[:, JOINT[f"left_{tip}"], 0] - local[:, JOINT[f"right_{tip}"], 0]
            yield Quantity(field, "tips_across", tips, _sides("cross", "cross"), 0.05, faint=True)
    elif b.startswith("right") or (a.startswith("right") and b.startswith("left")):
        if a.partition("_")[0] != b.partition("_")[0] and a not in ("torso", "neck"):
            yield Quantity(field, "across", apart[:, 0], _sides("cross", "cross"), 0.05)


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
