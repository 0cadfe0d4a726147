"""Kinds that gesture with the legs, jump or hop."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from kinmo_annotate.schema.skeleton import FPS
from kinmo_annotate.sources.procedural import poses
from kinmo_annotate.sources.procedural.body import SIDES, SIGN, Array, Channels
from kinmo_annotate.sources.procedural.registry import COUNTS, Phrases, deg, kind, often
from kinmo_annotate.sources.procedural.stage import ALL_FIELDS, Stage, Word, arm, arms, bump, ease, hand_path

_GRAVITY = 9.81


def _shift_weight(stage: Stage, support: str, seconds: float = 0.5) -> None:
    """Stand over one foot."""
    stage.move(seconds, shift_left=SIGN[support] * (stage.width - 0.02))


def _even_weight(stage: Stage, seconds: float = 0.5) -> None:
    stage.move(seconds, shift_left=0.0)


def _lift_leg(stage: Stage, side: str, up_s: float, down_s: float, hold_s: float, **angles: float) -> None:
    """Lift one leg to the angles (degrees), hold, put it back where it stood."""
    stood = poses.planted_foot(stage, side)
    goal = poses.raised_foot(stage, side, **{name: deg(angle) for name, angle in angles.items()})
    stage.move(up_s, **goal)
    if hold_s:
        stage.hold(hold_s)
    stage.move(down_s, **stood)


@kind
def kick(stage: Stage) -> Phrases:
    """Kick forward with one leg, after a swing back."""
    side = stage.side
    _shift_weight(stage, stage.other)
    stood = poses.planted_foot(stage, side)
    stage.move(
        0.42,
        **poses.raised_foot(stage, side, thigh=deg(-14), knee=deg(48)),
        **arm(stage.other, poses.OUT_LOW),
    )
    height = deg(stage.sized(46, 78))
    stage.move(
        0.40, **poses.raised_foot(stage, side, thigh=height, knee=deg(12)), pitch=stage.upright - deg(5)
    )
    stage.hold(0.1)
    stage.move(0.62, **stood, **arm(stage.other, stage.rest[stage.other]), pitch=stage.upright)
    _even_weight(stage)
    return (
        f"kicks forward with the {side} leg",
        f"kicks with the {side} foot",
        f"swings the {side} leg forward in a kick",
        f"gives a kick to the front with the {side} foot",
        f"strikes out with the {side} leg as if at a ball",
        f"shoots the {side} foot up and forward",
    )


@kind
def knee_lift(stage: Stage) -> Phrases:
    """Lift one knee, once or more."""
    side, count = stage.side, stage.times(1, 3)
    _shift_weight(stage, stage.other)
    for _ in range(count):
        _lift_leg(stage, side, 0.6, 0.6, 0.15, thigh=stage.sized(68, 92), knee=stage.pick(85, 100))
        stage.hold(0.1)
    _even_weight(stage)
    return (
        f"lifts the {side} knee {often(count)}",
        f"raises the {side} knee up",
        f"brings the {side} knee up to the belly",
        f"pulls the {side} knee up high",
        f"picks up the {side} foot so that the thigh is level",
        f"draws the {side} knee toward the chest {often(count)}",
    )


@kind
def side_leg_raise(stage: Stage) -> Phrases:
    """Raise one leg to the side."""
    side = stage.side
    _shift_weight(stage, stage.other)
    _lift_leg(stage, side, 0.8, 0.8, stage.pick(0.2, 0.5), thigh=3, knee=6, out=stage.sized(30, 45))
    _even_weight(stage)
    return (
        f"raises the {side} leg to the side",
        f"lifts the {side} leg sideways",
        f"swings the {side} leg out to the side",
        f"moves the {side} leg sideways off the ground",
        f"stretches the {side} leg out sideways in the air",
        f"spreads the {side} leg away from the other",
    )


@kind
def stand_on_one_leg(stage: Stage) -> Phrases:
    """Balance on one leg with the arms out."""
    side, support = stage.side, stage.other
    stage.move(
        0.7, shift_left=SIGN[support] * (stage.width - 0.02), **arms(poses.SIDE.moved(up=-0.25, out=-0.04))
    )
    _lift_leg(stage, side, 0.8, 0.8, stage.pick(1.0, 2.0), thigh=stage.sized(35, 60), knee=stage.pick(60, 80))
    stage.move(0.8, shift_left=0.0, **arm("left", stage.rest["left"]), **arm("right", stage.rest["right"]))
    return (
        f"stands on the {support} leg",
        f"balances on the {support} leg with the arms out",
        f"lifts the {side} foot and keeps balance",
        f"keeps still on one leg, the {support} one",
        f"holds the {side} foot off the floor for a while",
        f"stands like a stork on the {support} foot",
    )


def place_foot(
    stage: Stage, side: str, seconds: float, forward: float, heel: float, **body: Array | float
) -> None:
    """Step with one foot to a new place in front or behind while the body moves along."""
    frames = stage.frames(seconds)
    now = np.asarray(stage.state[f"{side}_toe"], float)
    yaw = float(stage.state["yaw"])
    goal = now + forward * np.array([np.sin(yaw), 0.0, np.cos(yaw)])
    tracks = stage.tracks_to(frames, {**body, f"{side}_toe": goal, f"{side}_heel": heel}, {})
    share = np.arange(1, frames + 1) / frames
    tracks[f"{side}_toe"][:, 1] = 0.09 * bump(share)
    tracks[f"{side}_heel"] = tracks[f"{side}_heel"] + deg(18) * bump(share)
    stage.play(frames, tracks, quiet=frozenset({f"{side}_leg"}), words=(Word(f"{side}_leg", "step", 1),))


@kind
def step_back_and_forth(stage: Stage) -> Phrases:
    """Step forward with one foot, then back to where it stood; or the other way round."""
    side, way = stage.side, 1.0 if stage.chance() else -1.0
    count, length = stage.times(1, 2), stage.sized(0.36, 0.56)
    for _ in range(count):
        heel = 0.0 if way > 0 else deg(26)
        support = {f"{stage.other}_heel": deg(26) if way > 0 else 0.0}
        place_foot(stage, side, 0.7, way * length, heel, shift_forward=way * length * 0.5, **support)
        stage.hold(0.2)
        place_foot(stage, side, 0.7, -way * length, 0.0, shift_forward=0.0, **{f"{stage.other}_heel": 0.0})
        stage.hold(0.15)
    there, back = ("forward", "back") if way > 0 else ("back", "forward")
    return (
        f"steps {there} and {back} with the {side} foot",
        f"takes a step {there} with the {side} leg and returns",
        f"puts the {side} foot {there} and brings it back",
        f"takes one step {there} with the {side} foot and one step {back}",
        f"sets one foot {there}, the {side} one, and returns",
        f"makes a step {there} with the {side} foot and comes back to the start",
    )


@kind
def lunge(stage: Stage) -> Phrases:
    """Lunge forward on one leg and come back."""
    side, depth = stage.side, stage.sized(0.22, 0.34)
    place_foot(stage, side, 0.9, stage.pick(0.72, 0.82), 0.0, shift_forward=0.38, rise=-depth,
                **{f"{stage.other}_heel": deg(50)})  # fmt: skip
    stage.hold(stage.pick(0.2, 0.5))
    toe = np.asarray(stage.state[f"{side}_toe"], float)
    back = np.asarray(stage.state[f"{stage.other}_toe"], float)
    yaw = float(stage.state["yaw"])
    length = float((back - toe) @ np.array([np.sin(yaw), 0.0, np.cos(yaw)]))
    place_foot(stage, side, 0.9, length, 0.0, shift_forward=0.0, rise=0.0, **{f"{stage.other}_heel": 0.0})
    return (
        f"lunges forward with the {side} leg",
        f"makes a lunge on the {side} leg and comes back",
        f"steps into a lunge with the {side} foot",
        f"takes a deep step forward onto the {side} leg",
        f"makes a long low step onto the {side} foot",
        f"does a deep lunge with the {side} leg in front",
    )


# --- jumps ---
def leap(
    stage: Stage, height: float, dip: float, feet: tuple[str, ...] = SIDES, travel: float = 0.0
) -> tuple[int, Channels]:
    """Frames and tracks of one jump: dip, push off, fly as gravity has it, land, come up.

    Args:
        stage: gives the present state.
        height: how high the pelvis rises above its height at take-off, metres.
        dip: how far it sinks before and after, metres.
        feet: the feet that push off and land.
        travel: metres forward.
    """
    flight = 2 * np.sqrt(2 * height / _GRAVITY)
    speed, up = _GRAVITY * flight / 2, 0.02
    down_s, push_s, land_s, up_s = 0.40 * stage.tempo, 0.20, 0.16, 0.42 * stage.tempo
    times = np.cumsum([0.0, down_s, push_s, flight, land_s, up_s])
    frames = round(times[-1] * FPS)
    at = np.arange(1, frames + 1) / FPS * (times[-1] * FPS / frames)
    base = float(stage.state["rise"])
    takeoff, landing = times[2], times[3]
    ground = CubicHermiteSpline(times[[0, 1, 2]], [0, -dip, up], [0, 0, speed])
    recover = CubicHermiteSpline(times[[3, 4, 5]], [up, -0.75 * dip, 0], [-speed, 0, 0])
    since = np.clip(at - takeoff, 0, flight)
    air = speed * since - _GRAVITY / 2 * since**2
    rise = np.where(
        at <= takeoff,
        ground(np.minimum(at, takeoff)),
        np.where(at < landing, up + air, recover(np.maximum(at, landing))),
    )
    yaw = float(stage.state["yaw"])
    heading = np.array([np.sin(yaw), 0.0, np.cos(yaw)])
    moved = travel * ease((at - times[1]) / (times[4] - times[1]))
    tracks = {
        "rise": base + rise,
        "x": float(stage.state["x"]) + heading[0] * moved,
        "z": float(stage.state["z"]) + heading[2] * moved,
    }
    share = (at - takeoff) / flight
    for side in SIDES:
        toe = np.asarray(stage.state[f"{side}_toe"], float) + (travel * ease(share))[:, None] * heading
        toe[:, 1] += air if side in feet else rise
        tracks[f"{side}_toe"] = toe
        if side in feet:
            heel = ease((at - times[1]) / push_s) * ease((landing + 0.10 - at) / (0.5 * flight))
            tracks[f"{side}_heel"] = float(stage.state[f"{side}_heel"]) + deg(34) * heel
    tracks["pitch"] = float(stage.state["pitch"]) + deg(90 * dip) * (
        ease(at / down_s) * ease((takeoff - at) / push_s) + bump((at - landing + 0.05) / (land_s + up_s))
    )
    return frames, tracks


def _arms_in_leap(stage: Stage, frames: int, swing: float) -> Channels:
    """Arms go back in the dip and forward in the flight."""
    share = np.arange(1, frames + 1) / frames
    angle = deg(swing) * (-0.8 * bump(share / 0.45) + bump((share - 0.22) / 0.55))
    tracks: Channels = {}
    for side in SIDES:
        hand = np.asarray(stage.state[f"{side}_hand"], float)
        up = hand[1] * np.cos(angle) + hand[2] * np.sin(angle)
        ahead = hand[2] * np.cos(angle) - hand[1] * np.sin(angle)
        tracks[f"{side}_hand"] = np.stack([np.full(frames, hand[0]), up, ahead], axis=-1)
    return tracks


def jumps(stage: Stage, count: int, height: float, dip: float, travel: float = 0.0) -> None:
    """Jump on both feet `count` times."""
    parts = []
    keep = stage.state
    for _ in range(count):
        stage.state = dict(stage.state)
        frames, tracks = leap(stage, height, dip, travel=travel)
        tracks |= _arms_in_leap(stage, frames, 36.0)
        parts.append(tracks)
        stage.state.update({name: track[-1] for name, track in tracks.items()})
    stage.state = keep
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    words = (
        Word("torso", "jump", count, amount=height + 0.02, salient=height + 0.02 >= 0.15),
        *(Word(f"{side}_leg", "jump", count) for side in SIDES),
        Word("left_leg__right_leg", "together", count, salient=count >= 2),
        Word("left_arm__right_arm", "together", count, salient=False),
    )
    stage.play(len(joined["x"]), joined, cyclic=True, quiet=ALL_FIELDS, words=words)


@kind
def jump_in_place(stage: Stage) -> Phrases:
    """Jump on the spot."""
    count = stage.times(1, 4)
    jumps(stage, count, stage.sized(0.16, 0.32), stage.sized(0.16, 0.24))
    return (
        f"jumps {often(count)} in place",
        f"jumps up {often(count)}",
        f"does {COUNTS[count]} {'jump' if count == 1 else 'jumps'} on the spot",
        f"leaps up into the air {often(count)}",
        f"springs straight up {often(count)}",
        f"bounces on the spot {often(count)}",
    )


@kind
def jump_forward(stage: Stage) -> Phrases:
    """Jump forward on both feet."""
    count = stage.times(1, 2)
    jumps(stage, count, stage.sized(0.15, 0.26), stage.sized(0.18, 0.26), travel=stage.sized(0.45, 0.85))
    return (
        f"jumps forward {often(count)}",
        f"leaps ahead {often(count)} with both feet",
        f"makes {COUNTS[count]} long {'jump' if count == 1 else 'jumps'} forward",
        f"springs forward {often(count)} off both feet",
        f"jumps ahead {often(count)} as far as possible",
        f"bounds to the front {often(count)} with both feet together",
    )


@kind
def hop(stage: Stage) -> Phrases:
    """Hop on one leg."""
    free, support, count = stage.side, stage.other, stage.times(2, 5)
    _shift_weight(stage, support)
    stood = poses.planted_foot(stage, free)
    stage.move(0.55, **poses.raised_foot(stage, free, thigh=deg(32), knee=deg(80)))
    height = stage.sized(0.06, 0.11)
    frames, tracks = leap(stage, height, 0.09, feet=(support,))
    joined = {name: np.concatenate([track] * count) for name, track in tracks.items()}
    words = (
        Word(f"{support}_leg", "hop", count),
        Word("torso", "jump", count, amount=height + 0.02, salient=False),
    )
    stage.play(frames * count, joined, cyclic=True, quiet=ALL_FIELDS, words=words)
    stage.move(0.55, **stood)
    _even_weight(stage)
    return (
        f"hops {often(count)} on the {support} leg",
        f"hops on the {support} foot",
        f"jumps on one leg, the {support} one",
        f"bounces on the {support} leg {often(count)}",
        f"skips on one foot, the {support} one",
        f"does {COUNTS[count]} small jumps with the {free} foot off the ground",
    )


@kind
def jumping_jacks(stage: Stage) -> Phrases:
    """Jumping jacks: feet apart and arms up, feet together and arms down."""
    count, spread = stage.times(2, 4), stage.sized(0.18, 0.28)
    half = max(7, round(0.5 * stage.tempo * FPS))
    share = np.arange(1, half + 1) / half
    air = bump((share - 0.25) / 0.6) * stage.pick(0.09, 0.13)
    dip = -0.07 * (bump(share / 0.45) + bump((share - 0.72) / 0.56) + bump((share + 0.28) / 0.56))
    moved = ease((share - 0.2) / 0.66)
    there = np.concatenate([moved, 1 - moved])
    whole = {"rise": np.concatenate([air + dip] * 2)}
    for side in SIDES:
        toe = np.repeat(np.asarray(stage.state[f"{side}_toe"], float)[None], 2 * half, axis=0)
        toe[:, 0] += SIGN[side] * spread * there
        toe[:, 1] += np.concatenate([air] * 2)
        whole[f"{side}_toe"] = toe
        whole[f"{side}_heel"] = np.concatenate([deg(26) * bump((share - 0.1) / 0.8)] * 2)
        smooth = (1 - np.cos(np.pi * np.arange(1, 2 * half + 1) / half)) / 2
        hands = np.array([stage.rest[side].hand, poses.SIDE.hand, poses.OVERHEAD.hand])
        whole[f"{side}_hand"] = hand_path(hands, smooth)
        elbow = np.array(stage.rest[side].elbow)
        whole[f"{side}_elbow"] = elbow + smooth[:, None] * (np.array(poses.OVERHEAD.elbow) - elbow)
    joined = {name: np.concatenate([track] * count) for name, track in whole.items()}
    words = (
        Word("torso", "jump", 2 * count, amount=float(air.max()), salient=False),
        *(Word(f"{side}_leg", "jump", 2 * count) for side in SIDES),
        Word("left_leg__right_leg", "together", 2 * count),
        Word("left_arm__right_arm", "together", count),
    )
    # an arm that goes up past the side goes out and in on its way
    quiet = frozenset({"torso", "left_arm", "right_arm"})
    stage.play(2 * half * count, joined, cyclic=True, quiet=quiet, words=words)
    return (
        f"does {COUNTS[count]} jumping jacks",
        "does jumping jacks",
        "jumps with feet apart and arms up, then together again",
        "does star jumps",
        "spreads arms and legs with every jump",
        "warms up by jumping with arms and legs apart and together",
    )
