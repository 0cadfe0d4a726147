"""The closed vocabulary of what a group or a pair can do, with the geometry that each word stands for.

Differences, sentences, claims and the truth of the demo motions all speak it. Definitions use the *body
frame*: origin at the pelvis, y up, z where the body faces (yaw of hips plus shoulders; pitch and roll are
kept out), x to the body's own left. An action is *notable* when its amount reaches `notable`; smaller
changes go unmentioned. Ours; the quantities follow KinMo section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Action:
    """One word of the vocabulary.

    Attributes:
        name: the word.
        fields: which kind of field it may be said of: "torso", "neck", "arm", "leg", "pair".
        notable: smallest amount worth a sentence, in `unit`.
        unit: "m", "deg" or "cycles".
        meaning: the geometry, in one line.
    """

    name: str
    fields: tuple[str, ...]
    notable: float
    unit: str
    meaning: str


_DEFINITIONS: Final = (
    # the trunk: direction from pelvis to neck in the body frame
    Action("bend_forward", ("torso",), 15.0, "deg", "trunk pitches forward, away from upright"),
    Action("bend_backward", ("torso",), 15.0, "deg", "trunk pitches backward, away from upright"),
    Action("lean_left", ("torso",), 12.0, "deg", "trunk rolls to its own left, away from upright"),
    Action("lean_right", ("torso",), 12.0, "deg", "trunk rolls to its own right, away from upright"),
    Action("straighten", ("torso",), 12.0, "deg", "trunk comes back towards upright from a bend or a lean"),
    Action("twist_left", ("torso",), 25.0, "deg", "shoulder line yaws to the left of the hip line"),
    Action("twist_right", ("torso",), 25.0, "deg", "shoulder line yaws to the right of the hip line"),
    Action("sway", ("torso",), 2, "cycles", "trunk rolls from side to side, two times or more"),
    # the whole body, said of the torso
    Action("turn_left", ("torso",), 35.0, "deg", "hips turn to the body's left (anticlockwise from above)"),
    Action("turn_right", ("torso",), 35.0, "deg", "hips turn to the body's right (clockwise from above)"),
    Action("move_forward", ("torso",), 0.35, "m", "pelvis travels to where the body faces"),
    Action("move_backward", ("torso",), 0.35, "m", "pelvis travels away from where the body faces"),
    Action("move_left", ("torso",), 0.35, "m", "pelvis travels to the body's left"),
    Action("move_right", ("torso",), 0.35, "m", "pelvis travels to the body's right"),
    Action("sink", ("torso",), 0.12, "m", "pelvis gets lower (crouch, sit, kneel)"),
    Action("rise", ("torso",), 0.12, "m", "pelvis gets higher"),
    Action("jump", ("torso",), 0.10, "m", "pelvis goes up and down with both feet in the air; count = jumps"),
    # the head: direction from neck to head relative to the trunk
    Action("lower", ("neck",), 15.0, "deg", "head pitches forward against the trunk (looks down)"),
    Action("raise", ("neck",), 15.0, "deg", "head pitches backward against the trunk (looks or comes up)"),
    Action("tilt_left", ("neck",), 15.0, "deg", "head rolls left against the trunk, away from upright"),
    Action("tilt_right", ("neck",), 15.0, "deg", "head rolls right against the trunk, away from upright"),
    Action("straighten", ("neck",), 15.0, "deg", "head comes back from a tilt"),
    Action("nod", ("neck",), 2, "cycles", "head pitches down and up, two times or more"),
    # arms: the wrist relative to its own shoulder, in the body frame
    Action("raise", ("arm",), 0.20, "m", "wrist gets higher relative to the shoulder"),
    Action("lower", ("arm",), 0.20, "m", "wrist gets lower relative to the shoulder"),
    Action("reach_forward", ("arm",), 0.25, "m", "wrist moves forward relative to the shoulder"),
    Action("pull_back", ("arm",), 0.25, "m", "wrist moves backward relative to the shoulder"),
    Action("move_out", ("arm",), 0.25, "m", "wrist moves sideways, away from the body's midline"),
    Action("move_in", ("arm",), 0.25, "m", "wrist moves sideways, towards or across the body's midline"),
    Action("bend", ("arm",), 40.0, "deg", "elbow flexes"),
    Action("straighten", ("arm",), 40.0, "deg", "elbow extends"),
    Action("swing", ("arm",), 2, "cycles", "hand goes forward and back, low or in a gait, twice or more"),
    Action("wave", ("arm",), 2, "cycles", "raised hand goes from side to side, two times or more"),
    Action("circle", ("arm",), 1, "cycles", "wrist goes round full circles about the shoulder"),
    # legs: the ankle relative to its own hip, in the body frame
    Action("step", ("leg",), 1, "cycles", "foot leaves the ground and lands elsewhere, or marches"),
    Action("jump", ("leg",), 1, "cycles", "both feet leave the ground together and land; count = jumps"),
    Action("hop", ("leg",), 1, "cycles", "this foot alone pushes off and lands while the other stays up"),
    Action("lift", ("leg",), 0.12, "m", "foot gets higher without taking a step"),
    Action("lower", ("leg",), 0.12, "m", "lifted foot comes down without having taken a step"),
    Action("swing_forward", ("leg",), 0.25, "m", "foot swings forward of the hip without taking a step"),
    Action("swing_back", ("leg",), 0.25, "m", "foot swings backward of the hip without taking a step"),
    Action("move_out", ("leg",), 0.20, "m", "foot moves sideways from the hip, away from the midline"),
    Action("move_in", ("leg",), 0.20, "m", "foot moves sideways from the hip, towards the midline"),
    Action("bend", ("leg",), 35.0, "deg", "knee flexes without taking a step (crouch, kneel, kick, lift)"),
    Action("straighten", ("leg",), 35.0, "deg", "knee extends without taking a step"),
    # pairs a__b: group positions (mean of the group's joints, Eq. 1) in the body frame
    Action("approach", ("pair",), 0.15, "m", "the distance between the two group positions shrinks"),
    Action("part", ("pair",), 0.15, "m", "the distance between the two group positions grows"),
    Action("above", ("pair",), 0.05, "m", "a comes to be above b, having been below it"),
    Action("below", ("pair",), 0.05, "m", "a comes to be below b, having been above it"),
    Action("in_front", ("pair",), 0.08, "m", "a comes to be in front of b, having been behind it"),
    Action("behind", ("pair",), 0.08, "m", "a comes to be behind b, having been in front of it"),
    Action("cross", ("pair",), 0.05, "m", "a left and a right limb change sides of each other"),
    Action("open", ("pair",), 30.0, "deg", "the joint opens: arm off the trunk, thigh in line with it"),
    Action("close", ("pair",), 30.0, "deg", "the joint closes: arm to the trunk, thigh to the belly"),
    Action("alternate", ("pair",), 2, "cycles", "the two limbs swing or step in opposition"),
    Action("together", ("pair",), 1, "cycles", "the two limbs make the same movement at the same time"),
)  # fmt: skip


def field_kind(field: str) -> str:
    """Tell which kind of field a group or pair is: "torso", "neck", "arm", "leg" or "pair"."""
    if "__" in field:
        return "pair"
    return field.rsplit("_", 1)[-1]


ACTIONS: Final[dict[tuple[str, str], Action]] = {(kind, a.name): a for a in _DEFINITIONS for kind in a.fields}


def action_of(field: str, name: str) -> Action:
    """Look up what `name` means when said of `field`.

    Raises:
        KeyError: the word is not said of that kind of field.
    """
    return ACTIONS[field_kind(field), name]


def mirror_action(name: str) -> str:
    """Name the action seen in a mirror: left and right exchanged, everything else as it was."""
    return name.replace("left", "*").replace("right", "left").replace("*", "right")
