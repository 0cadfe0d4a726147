"""Kinds that gesture with the arms."""

from __future__ import annotations

import numpy as np

from kinmo_annotate.sources.procedural import poses
from kinmo_annotate.sources.procedural.body import SIGN
from kinmo_annotate.sources.procedural.registry import COUNTS, Phrases, deg, kind, often
from kinmo_annotate.sources.procedural.stage import ALL_FIELDS, ArmPose, Goals, Stage, Word, arm, arms, glide


def _rest(stage: Stage) -> Goals:
    return arm("left", stage.rest["left"]) | arm("right", stage.rest["right"])


def _back(stage: Stage, seconds: float, *sides: str) -> None:
    """Let the named arms hang again."""
    targets = {name: value for side in sides for name, value in arm(side, stage.rest[side]).items()}
    stage.move(seconds, **targets)


def _raise(stage: Stage, goal: ArmPose) -> None:
    """Raise one arm most or all of the way, wait, and perhaps lower it."""
    side = stage.side
    stage.move(stage.pick(0.8, 1.3), **arm(side, stage.rest[side].toward(goal, stage.sized(0.8, 1.0))))
    stage.hold(stage.pick(0.3, 0.8))
    if stage.chance(0.6):
        _back(stage, stage.pick(0.8, 1.2), side)


@kind
def raise_arm_front(stage: Stage) -> Phrases:
    """Raise one arm forward."""
    _raise(stage, poses.FRONT)
    side = stage.side
    return (
        f"raises the {side} arm to the front",
        f"lifts the {side} arm forward",
        f"holds the {side} arm out in front",
        f"extends the {side} arm straight ahead",
        f"brings the {side} arm up in front of the body",
        f"lifts the {side} hand to shoulder height in front",
    )


@kind
def raise_arm_side(stage: Stage) -> Phrases:
    """Raise one arm sideways."""
    _raise(stage, poses.SIDE)
    side = stage.side
    return (
        f"raises the {side} arm to the side",
        f"lifts the {side} arm sideways",
        f"stretches the {side} arm out to the side",
        f"extends the {side} arm sideways",
        f"raises the {side} hand out to the side",
        f"spreads the {side} arm away from the body",
    )


@kind
def raise_arm_overhead(stage: Stage) -> Phrases:
    """Raise one arm overhead, by the front or by the side."""
    side, goal = stage.side, poses.OVERHEAD.moved(out=stage.pick(-0.04, 0.08))
    via = {side: poses.FRONT if stage.chance() else poses.SIDE}
    stage.move(stage.pick(1.0, 1.5), via=via, **arm(side, goal))
    stage.hold(stage.pick(0.3, 0.8))
    if stage.chance(0.6):
        stage.move(stage.pick(1.0, 1.4), via=via, **arm(side, stage.rest[side]))
    return (
        f"raises the {side} arm above the head",
        f"lifts the {side} hand overhead",
        f"reaches up with the {side} arm",
        f"stretches the {side} arm up to the sky",
        f"puts the {side} hand high up in the air",
        f"extends the {side} arm straight up over the head",
    )


@kind
def raise_both_arms(stage: Stage) -> Phrases:
    """Raise both arms to the front, the sides or overhead, and lower them."""
    names = ("to the front", "to the sides", "above the head")
    which = stage.times(0, 2)
    goal = (poses.FRONT, poses.SIDE, poses.OVERHEAD)[which]
    via = dict.fromkeys(("left", "right"), poses.SIDE) if which == 2 else {}
    stage.move(stage.pick(1.0, 1.4), via=via, **arms(goal))
    stage.hold(stage.pick(0.3, 0.7))
    stage.move(stage.pick(1.0, 1.4), via=via, **_rest(stage))
    return (
        f"raises both arms {names[which]} and lowers them",
        f"lifts both arms {names[which]}, then lets them down",
        f"holds both arms {names[which]} for a moment",
        f"stretches both arms {names[which]}",
        f"brings the two arms up {names[which]} and down again",
        f"raises both hands {names[which]}, then drops them",
    )


@kind
def lower_arms(stage: Stage) -> Phrases:
    """Start with one or both arms raised and lower them."""
    both = stage.chance()
    sides = ("left", "right") if both else (stage.side,)
    goal = (poses.FRONT, poses.SIDE)[stage.times(0, 1)]
    for side in sides:
        stage.begin(**arm(side, goal))
    stage.hold(stage.pick(0.5, 0.9))
    _back(stage, stage.pick(0.9, 1.5), *sides)
    stage.hold(0.4)
    if both:
        return (
            "lowers both arms",
            "lets both raised arms down",
            "starts with both arms up and lowers them",
            "drops both arms to the sides",
            "brings the two raised arms back down",
            "takes down both arms that were held up",
        )
    side = stage.side
    return (
        f"lowers the {side} arm",
        f"lets the raised {side} arm down",
        f"starts with the {side} arm up and lowers it",
        f"drops the {side} arm to the side",
        f"brings the raised {side} arm back down",
        f"takes down the {side} arm that was held up",
    )


def _wave(stage: Stage, sides: tuple[str, ...], count: int) -> None:
    """Raise the hands, wave them, lower them."""
    pose = poses.WAVE.moved(up=stage.pick(-0.02, 0.10), forward=stage.pick(-0.04, 0.06))
    inward = pose.moved(out=-stage.sized(0.14, 0.2))
    outward = pose.moved(out=stage.sized(0.14, 0.2), up=-0.04)
    stage.move(stage.pick(0.7, 1.0), **{k: v for side in sides for k, v in arm(side, inward).items()})
    words = [Word(f"{side}_arm", "wave", count) for side in sides]
    if len(sides) == 2:
        words.append(Word("left_arm__right_arm", "together", count))
    stage.cycle(
        stage.pick(0.55, 0.8), count, words, **{k: v for side in sides for k, v in arm(side, outward).items()}
    )
    _back(stage, stage.pick(0.7, 1.0), *sides)


@kind
def wave(stage: Stage) -> Phrases:
    """Wave with one hand."""
    _wave(stage, (stage.side,), stage.times(2, 5))
    side = stage.side
    return (
        f"waves with the {side} hand",
        f"raises the {side} hand and waves",
        f"waves hello with the {side} arm",
        f"waves one hand, the {side} one",
        f"gives a friendly wave with the {side} hand",
        f"moves the raised {side} hand from side to side to say hello",
    )


@kind
def wave_both(stage: Stage) -> Phrases:
    """Wave with both hands."""
    _wave(stage, (stage.side, stage.other), stage.times(2, 4))
    return (
        "waves with both hands",
        "raises both hands and waves",
        "waves both arms in the air",
        "waves the two hands above the shoulders",
        "gives a big wave with both arms",
        "moves both raised hands from side to side",
    )


@kind
def punch(stage: Stage) -> Phrases:
    """Bring both hands up, punch forward with one, perhaps twice, and let them down."""
    side, count = stage.side, stage.times(1, 3)
    stage.move(0.7, **arms(poses.GUARD))
    target = poses.FRONT.moved(out=-0.15, up=stage.pick(-0.05, 0.1))
    twist = -SIGN[side] * deg(stage.sized(8, 18))
    for _ in range(count):
        stage.move(0.30, **arm(side, target), twist=twist)
        stage.move(0.36, **arm(side, poses.GUARD), twist=0.0)
    stage.hold(0.2)
    stage.move(0.8, **_rest(stage))
    return (
        f"punches forward {often(count)} with the {side} hand",
        f"raises the fists and punches {often(count)} with the {side} arm",
        f"throws {COUNTS[count]} {'punch' if count == 1 else 'punches'} with the {side} fist",
        f"hits forward with the {side} fist {often(count)}",
        f"boxes with the {side} hand",
        f"strikes out {often(count)} with the {side} fist",
    )


@kind
def reach_forward(stage: Stage) -> Phrases:
    """Reach forward with one arm, leaning a little, as if to take something."""
    side = stage.side
    goal = poses.FRONT.moved(up=stage.pick(-0.22, 0.1))
    stage.move(stage.pick(0.9, 1.3), **arm(side, goal), pitch=stage.upright + deg(8))
    stage.hold(stage.pick(0.3, 0.6))
    stage.move(0.9, **arm(side, poses.GUARD), pitch=stage.upright)
    _back(stage, 0.7, side)
    return (
        f"reaches forward with the {side} hand",
        f"reaches out with the {side} arm and pulls the hand back",
        f"takes something from the front with the {side} hand",
        f"stretches the {side} hand out for something ahead",
        f"picks something up in front with the {side} hand",
        f"extends the {side} hand to grab something and draws it back",
    )


@kind
def arm_circles(stage: Stage) -> Phrases:
    """Swing one or both arms round in full circles."""
    count, both = stage.times(2, 4), stage.chance(0.4)
    way = 1.0 if stage.chance() else -1.0
    sides = (stage.side, stage.other) if both else (stage.side,)
    out, reach = 0.30, 0.965
    seconds = stage.pick(0.85, 1.15) * count
    frames = stage.frames(seconds)
    angle = way * 2 * np.pi * count * glide(np.arange(1, frames + 1) / frames)
    flat = np.sqrt(reach**2 - out**2)
    hand = np.stack([np.full(frames, out), -flat * np.cos(angle), flat * np.sin(angle)], axis=-1)
    pole = np.stack([np.full(frames, 0.6), -np.sin(angle) * 0.3, -np.cos(angle)], axis=-1)
    start = ArmPose((out, -flat, 0.0), (0.6, 0.0, -1.0))
    stage.move(0.5, **{k: v for side in sides for k, v in arm(side, start).items()})
    words = [Word(f"{side}_arm", "circle", count) for side in sides]
    words += [Word("left_arm__right_arm", "together", count)] if both else []
    tracks = {f"{side}_hand": hand for side in sides} | {f"{side}_elbow": pole for side in sides}
    stage.play(frames, tracks, cyclic=True, quiet=ALL_FIELDS, words=tuple(words))
    _back(stage, 0.5, *sides)
    what = "both arms" if both else f"the {stage.side} arm"
    return (
        f"circles {what} {often(count)}",
        f"swings {what} around in circles",
        f"makes {COUNTS[count]} big circles with {what}",
        f"rotates {what} {often(count)} in full circles",
        f"turns {what} round and round like a windmill",
        f"winds {what} around at the shoulder",
    )


@kind
def swing_arms(stage: Stage) -> Phrases:
    """Swing both arms forward and back, together."""
    count, front = stage.times(3, 5), stage.sized(0.45, 0.8)
    ahead = ArmPose((0.14, -float(np.sqrt(0.93 - front**2)), front), (0.25, 0.0, -1.0))
    stage.move(0.5, **arms(poses.BACK))
    words = [Word(f"{side}_arm", "swing", count) for side in ("left", "right")]
    stage.cycle(
        stage.pick(0.8, 1.0), count, [*words, Word("left_arm__right_arm", "together", count)], **arms(ahead)
    )
    stage.move(0.5, **_rest(stage))
    return (
        "swings both arms forward and back",
        f"swings the arms {often(count)}",
        "swings both arms back and forth",
        "lets both arms swing forward and backward",
        f"swings the arms to and fro {often(count)}",
        "swings the two arms together like a pendulum",
    )


@kind
def bend_elbow(stage: Stage) -> Phrases:
    """Bend one elbow and stretch it again, once or more."""
    side, count = stage.side, stage.times(1, 3)
    for _ in range(count):
        stage.move(stage.pick(0.7, 0.9), **arm(side, poses.CURL))
        stage.hold(0.15)
        _back(stage, stage.pick(0.7, 0.9), side)
    return (
        f"bends the {side} elbow {often(count)}",
        f"does {COUNTS[count]} arm {'curl' if count == 1 else 'curls'} with the {side} arm",
        f"curls the {side} forearm up and lowers it",
        f"flexes the {side} elbow and straightens it",
        f"brings the {side} hand up to the shoulder {often(count)}",
        f"folds the {side} forearm up and down",
    )


@kind
def clap(stage: Stage) -> Phrases:
    """Clap the hands in front of the chest."""
    count = stage.times(3, 6)
    stage.move(0.7, **arms(poses.CLAP_OPEN))
    words = [Word("left_arm__right_arm", "together", count)]
    stage.cycle(stage.pick(0.42, 0.6), count, words, **arms(poses.CLAP_SHUT))
    stage.move(0.8, **_rest(stage))
    return (
        f"claps the hands {often(count)}",
        "claps in front of the chest",
        "raises both hands and claps",
        "applauds",
        f"beats the palms together {often(count)}",
        "strikes one hand against the other in front",
    )


@kind
def cross_arms(stage: Stage) -> Phrases:
    """Fold the arms in front of the chest for a while."""
    stage.move(
        1.0, **arm(stage.side, poses.CROSSED), **arm(stage.other, poses.CROSSED.moved(up=-0.06, forward=0.08))
    )
    stage.hold(stage.pick(0.5, 1.0))
    stage.move(1.0, **_rest(stage))
    return (
        "crosses the arms in front of the chest",
        "folds the arms and lets them down",
        "crosses both arms and opens them again",
        "puts one arm over the other in front of the body",
        "stands with the arms crossed for a moment",
        "wraps both arms across the chest",
    )


@kind
def touch_head(stage: Stage) -> Phrases:
    """Bring one hand to the head."""
    side = stage.side
    stage.move(1.0, via={side: poses.WAVE.moved(up=-0.25)}, **arm(side, poses.HEAD))
    stage.hold(stage.pick(0.5, 1.0))
    stage.move(1.0, via={side: poses.WAVE.moved(up=-0.25)}, **arm(side, stage.rest[side]))
    return (
        f"touches the head with the {side} hand",
        f"puts the {side} hand on the head",
        f"brings the {side} hand up to the head",
        f"lays the {side} hand on the head",
        f"raises the {side} hand to the side of the head",
        f"scratches the head with the {side} hand",
    )


@kind
def hands_on_hips(stage: Stage) -> Phrases:
    """Put both hands on the hips."""
    stage.move(0.9, **arms(poses.HIP))
    stage.hold(stage.pick(0.6, 1.2))
    stage.move(0.9, **_rest(stage))
    return (
        "puts both hands on the hips",
        "places the hands on the hips for a moment",
        "stands with hands on hips",
        "rests both hands at the waist",
        "sets both hands on the waist with the elbows out",
        "brings the hands to the hips and waits",
    )


@kind
def push(stage: Stage) -> Phrases:
    """Push something away with both hands."""
    stage.move(0.7, **arms(poses.GUARD))
    stage.move(
        stage.pick(0.6, 1.0),
        **arms(poses.FRONT.moved(up=-0.08)),
        pitch=stage.upright + deg(stage.sized(5, 9)),
    )
    stage.hold(0.3)
    stage.move(0.7, **arms(poses.GUARD), pitch=stage.upright)
    stage.move(0.7, **_rest(stage))
    return (
        "pushes forward with both hands",
        "pushes something away with both arms",
        "brings the hands to the chest and pushes forward",
        "shoves something in front with the two hands",
        "presses both hands forward against something",
        "thrusts both hands ahead as if to move a heavy thing",
    )


@kind
def throw(stage: Stage) -> Phrases:
    """Throw overhead with one hand."""
    side, sign = stage.side, SIGN[stage.side]
    stage.move(
        0.9,
        via={side: poses.SIDE.moved(up=-0.4, out=-0.3)},
        **arm(side, poses.COCKED),
        twist=-sign * deg(stage.sized(20, 34)),
        pitch=stage.upright - deg(5),
    )
    stage.hold(0.15)
    stage.move(0.34, **arm(side, poses.RELEASE), twist=sign * deg(8), pitch=stage.upright + deg(8))
    stage.move(0.36, **arm(side, poses.FOLLOW), twist=sign * deg(20), pitch=stage.upright + deg(16))
    stage.hold(0.2)
    stage.move(0.9, **arm(side, stage.rest[side]), twist=0.0, pitch=stage.upright)
    return (
        f"throws something overhead with the {side} hand",
        f"throws a ball with the {side} arm",
        f"winds up and throws with the {side} hand",
        f"hurls something forward with the {side} arm",
        f"tosses a ball over the shoulder with the {side} hand",
        f"pitches a ball with the {side} hand",
    )
