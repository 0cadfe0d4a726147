"""Kinds that move the trunk or the head, or lower the whole body."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from kinmo_annotate.sources.procedural import poses
from kinmo_annotate.sources.procedural.body import SIGN
from kinmo_annotate.sources.procedural.legs import place_foot
from kinmo_annotate.sources.procedural.registry import COUNTS, Phrases, deg, kind, often
from kinmo_annotate.sources.procedural.stage import ALL_FIELDS, Goals, Stage, Word, arm, arms, bump, through


@kind
def bow(stage: Stage, once: bool = False) -> Phrases:
    """Bow forward and come up, perhaps twice."""
    count = 1 if once else stage.times(1, 2)
    angle = deg(stage.sized(30, 62))
    for _ in range(count):
        stage.move(stage.pick(0.9, 1.3), pitch=stage.upright + angle, shift_forward=-0.16 * np.sin(angle))
        stage.hold(stage.pick(0.2, 0.6))
        stage.move(stage.pick(0.9, 1.2), pitch=stage.upright, shift_forward=0.0)
        stage.hold(0.15)
    return (
        f"bows {often(count)}",
        f"bows forward {often(count)} and comes up again",
        f"bends forward at the hips {often(count)}",
        f"takes a deep bow {often(count)}",
        f"leans the upper body forward and straightens {often(count)}",
        f"lowers the head and chest in respect {often(count)}",
    )


@kind
def lean_side(stage: Stage) -> Phrases:
    """Lean to one side and come back."""
    side, sign = stage.side, SIGN[stage.side]
    angle = deg(stage.sized(30, 44))
    stage.move(1.0, roll=sign * angle, shift_left=-sign * 0.05)
    stage.hold(stage.pick(0.2, 0.6))
    stage.move(1.0, roll=0.0, shift_left=0.0)
    return (
        f"leans to the {side}",
        f"bends sideways to the {side} and straightens up",
        f"leans over to the {side} side and comes back",
        f"tips the upper body over to the {side}",
        f"does a side bend to the {side}",
        f"stretches by bending the trunk to the {side} side",
    )


@kind
def lean_back(stage: Stage) -> Phrases:
    """Lean backward and come back."""
    stage.move(1.1, pitch=-deg(stage.sized(28, 38)), shift_forward=0.07, head_pitch=stage.level - deg(6))
    stage.hold(stage.pick(0.2, 0.6))
    stage.move(1.0, pitch=stage.upright, shift_forward=0.0, head_pitch=stage.level)
    return (
        "leans back",
        "leans backward and straightens up",
        "bends the body backward and comes back",
        "arches the back and returns",
        "tips the upper body backward",
        "bends over backward a little",
    )


@kind
def twist(stage: Stage) -> Phrases:
    """Twist the trunk to one side, perhaps to the other, and back."""
    side, sign = stage.side, SIGN[stage.side]
    angle = deg(stage.sized(42, 54))
    both = stage.chance()
    stage.move(0.9, twist=sign * angle)
    stage.hold(0.3)
    if both:
        stage.move(1.3, twist=-sign * angle)
        stage.hold(0.3)
    stage.move(0.9, twist=0.0)
    if both:
        return (
            f"twists the upper body to the {side} and then to the {stage.other}",
            f"rotates the shoulders {side} and then {stage.other}",
            f"twists {side} and {stage.other} at the waist",
            f"turns the trunk {side} and {stage.other} with the feet still",
            f"rotates the torso to the {side}, then to the {stage.other}",
            f"winds the upper body from the {side} to the {stage.other}",
        )
    return (
        f"twists the upper body to the {side}",
        f"rotates the shoulders to the {side} and back",
        f"twists to the {side} at the waist",
        f"turns the trunk to the {side} with the feet still",
        f"rotates the torso to the {side} and comes back",
        f"winds the upper body round to the {side}",
    )


@kind
def sway(stage: Stage) -> Phrases:
    """Sway from side to side."""
    count, sign = stage.times(2, 4), SIGN[stage.side]
    angle, period = deg(stage.sized(18, 30)), stage.pick(1.1, 1.5)
    frames = stage.frames(period * count)
    keys = [0.0, *([1.0, -1.0] * count), 0.0]
    times = np.array([0.0, *(0.25 + 0.5 * np.arange(2 * count)), count])
    track = sign * through(keys, times, np.minimum(np.arange(1, frames + 1) / frames * count, count - 1e-9))
    stage.play(
        frames,
        {"roll": angle * track, "shift_left": 0.04 * track},
        cyclic=True,
        quiet=ALL_FIELDS,
        words=(Word("torso", "sway", count),),
    )
    return (
        "sways from side to side",
        f"sways {often(count)} from side to side",
        "rocks the upper body left and right",
        "swings the body gently left and right",
        f"rocks to and fro sideways {often(count)}",
        "sways as if to slow music",
    )


@kind
def nod(stage: Stage) -> Phrases:
    """Nod."""
    count = stage.times(2, 4)
    stage.hold(0.4)
    stage.cycle(
        stage.pick(0.55, 0.8),
        count,
        [Word("neck", "nod", count)],
        head_pitch=stage.level + deg(stage.sized(24, 34)),
    )
    stage.hold(0.4)
    return (
        f"nods {often(count)}",
        "nods the head",
        "nods the head up and down",
        "says yes with the head",
        f"bobs the head {often(count)}",
        "agrees with a nod",
    )


def _head(stage: Stage, **goal: Any) -> None:
    stage.hold(0.3)
    stage.move(0.7, **goal)
    stage.hold(stage.pick(0.4, 0.9))
    stage.move(0.7, head_pitch=stage.level, head_roll=0.0)


@kind
def look_down(stage: Stage) -> Phrases:
    """Lower the head and raise it again."""
    _head(stage, head_pitch=stage.level + deg(stage.sized(28, 42)))
    return (
        "looks down",
        "lowers the head and raises it again",
        "looks down at the floor for a moment",
        "drops the chin to the chest",
        "bends the head forward to see the ground",
        "hangs the head for a while",
    )


@kind
def look_up(stage: Stage) -> Phrases:
    """Raise the head and lower it again."""
    _head(stage, head_pitch=stage.level - deg(stage.sized(28, 40)))
    return (
        "looks up",
        "raises the head and lowers it again",
        "looks up at the sky for a moment",
        "tips the head back to see the ceiling",
        "lifts the chin high",
        "gazes upward",
    )


@kind
def tilt_head(stage: Stage) -> Phrases:
    """Tilt the head to one side and back."""
    side = stage.side
    _head(stage, head_roll=SIGN[side] * deg(stage.sized(26, 34)))
    return (
        f"tilts the head to the {side}",
        f"bends the head to the {side} side and back",
        f"lays the head to the {side}",
        f"inclines the head sideways to the {side}",
        f"drops the {side} ear toward the shoulder",
        f"leans the head over to the {side}",
    )


# --- the whole body up and down ---
_SEAT: Final[Goals] = {"rise": -0.36, "shift_forward": -0.36}


def _nod_over(stage: Stage, seconds: float, lean: float, **targets: float | np.ndarray) -> None:
    """Move to targets while the trunk leans forward on the way and comes up again."""
    frames = stage.frames(seconds)
    tracks = stage.tracks_to(frames, targets, {})
    share = np.arange(1, frames + 1) / frames
    tracks["pitch"] = float(stage.state["pitch"]) + deg(lean) * bump(share)
    stage.play(frames, tracks)


@kind
def sit_down(stage: Stage) -> Phrases:
    """Sit down on a chair."""
    _nod_over(stage, stage.pick(1.2, 1.6), stage.sized(30, 42), **_SEAT, **arms(poses.LAP))
    stage.hold(stage.pick(0.5, 1.0))
    return (
        "sits down",
        "sits down on a chair",
        "lowers the body and sits",
        "takes a seat",
        "lowers the hips onto a seat",
        "goes from standing to sitting",
    )


@kind
def stand_up(stage: Stage) -> Phrases:
    """Stand up from a chair."""
    stage.begin(**_SEAT, **arms(poses.LAP))
    stage.hold(stage.pick(0.5, 0.9))
    _nod_over(
        stage,
        stage.pick(1.2, 1.6),
        stage.sized(30, 42),
        rise=0.0,
        shift_forward=0.0,
        **arm("left", stage.rest["left"]),
        **arm("right", stage.rest["right"]),
    )
    stage.hold(0.4)
    return (
        "stands up",
        "gets up from a chair",
        "stands up from a seat",
        "rises from sitting",
        "leaves the chair and stands",
        "goes from sitting to standing",
    )


@kind
def crouch(stage: Stage, depth: float = 0.0) -> Phrases:
    """Crouch and come up."""
    depth = depth or stage.sized(0.28, 0.44)
    heel = deg(20) if depth > 0.36 else 0.0
    stage.move(
        stage.pick(1.0, 1.4),
        rise=-depth,
        pitch=stage.upright + deg(55 * depth + 8),
        shift_forward=-0.10 * (1 - heel),
        left_heel=heel,
        right_heel=heel,
        **arms(poses.LAP),
    )
    stage.hold(stage.pick(0.3, 0.7))
    stage.move(
        stage.pick(0.9, 1.2),
        rise=0.0,
        pitch=stage.upright,
        shift_forward=0.0,
        left_heel=0.0,
        right_heel=0.0,
        **arm("left", stage.rest["left"]),
        **arm("right", stage.rest["right"]),
    )
    return (
        "crouches and stands up again",
        "bends the knees and crouches down",
        "squats down low and comes up",
        "ducks down and rises again",
        "gets down low with bent knees",
        "makes the body small close to the ground",
    )


def _heel(side: str, angle: float) -> Goals:
    return {f"{side}_heel": deg(angle)}


@kind
def kneel(stage: Stage) -> Phrases:
    """Step back with one foot, kneel on that knee, and come up again."""
    side = stage.side
    place_foot(stage, side, 0.8, -0.50, deg(30), shift_forward=-0.14)
    stage.move(1.0, rise=-0.40, shift_forward=-0.16, **_heel(side, 62))
    stage.hold(stage.pick(0.4, 0.9))
    stage.move(1.0, rise=0.0, shift_forward=-0.14, **_heel(side, 30))
    place_foot(stage, side, 0.8, 0.50, 0.0, shift_forward=0.0)
    return (
        f"kneels on the {side} knee",
        f"goes down on the {side} knee and gets up",
        f"steps back and kneels down on the {side} knee",
        f"goes on one knee, the {side} one",
        f"rests on the {side} knee for a moment",
        f"takes a knee with the {side} leg",
    )


@kind
def squats(stage: Stage) -> Phrases:
    """Do squats with the arms stretched forward."""
    count, depth = stage.times(2, 4), stage.sized(0.28, 0.42)
    words = [Word("left_leg__right_leg", "together", count)]
    words.append(Word("left_arm__right_arm", "together", count))
    stage.cycle(
        stage.pick(1.4, 1.8),
        count,
        words,
        loud=True,
        rise=-depth,
        shift_forward=-0.12,
        pitch=stage.upright + deg(60 * depth + 8),
        **arms(poses.FRONT.moved(up=-0.1)),
    )
    return (
        f"does {COUNTS[count]} squats",
        f"squats {often(count)} with the arms stretched forward",
        "does squats",
        f"bends and stretches the knees {often(count)}, arms held out",
        f"goes down and up {often(count)} as in a workout",
        f"does {COUNTS[count]} deep knee bends",
    )
