"""Stepping: from a path of the pelvis to footprints, swinging feet and swinging arms.

Footprints come first: a foot stands where the pelvis will be in the middle of its stance, and does not move
until it swings again. Walking, running, marching, side steps and turning on the spot are all this one
generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from kinmo_annotate.schema.skeleton import FPS, pair_name
from kinmo_annotate.sources.procedural.body import SIGN, Array, Channels, home_toe
from kinmo_annotate.sources.procedural.stage import (
    ALL_FIELDS,
    ArmPose,
    Phase,
    Stage,
    Word,
    bump,
    ease,
    glide,
    hand_path,
    other,
    through,
)

_FINE: Final = 8
_RUN_ARM: Final = ArmPose((0.06, -0.42, 0.44), (0.35, -0.5, -1.0))


@dataclass(frozen=True, slots=True)
class Gait:
    """How to step.

    Attributes:
        first: the foot that steps first.
        steps: how many steps in all, both feet together.
        step_s: seconds from one step's beginning to the next one's.
        forward: metres travelled to where the body faces, in all.
        left: metres travelled to the body's left, in all.
        turn: radians turned to the left, in all.
        window: the share of the time in which the turn takes place; None: all along, evenly.
        duty: share of a foot's cycle that it stands; under a half makes it a run.
        lift: height of the swinging toe, metres.
        heel: how far the heel leads the toe off the ground, degrees.
        knee: how far the swinging foot comes forward in mid-swing besides its way, metres.
        swing: arm swing to each side, degrees.
        run: elbows bent and trunk leaning as in a run.
        paired: both feet of a pair of steps come to the same place (side steps).
        busy: arms that keep out of the swing.
    """

    first: str
    steps: int
    step_s: float
    forward: float = 0.0
    left: float = 0.0
    turn: float = 0.0
    window: tuple[float, float] | None = None
    duty: float = 0.62
    lift: float = 0.08
    heel: float = 26.0
    knee: float = 0.0
    swing: float = 24.0
    run: bool = False
    paired: bool = False
    busy: tuple[str, ...] = ()


def step(stage: Stage, gait: Gait) -> None:
    """Play a gait on the stage: from a stand with feet side by side to a stand with feet side by side."""
    pace = gait.step_s * stage.tempo
    swing_s = (1 - gait.duty) * 2 * pace
    frames = round(((gait.steps - 1) * pace + swing_s + 0.15) * FPS)
    seconds = frames / FPS
    path = _path(stage, gait, seconds)
    at = np.arange(1, frames + 1) / FPS
    x, z, yaw = (np.interp(at, path[0], track) for track in path[1:])
    tracks: Channels = {"x": x, "z": z, "yaw": yaw}
    tracks |= _sway(stage, gait, pace, swing_s, at, seconds)
    for side in ("left", "right"):
        tracks |= _foot(stage, gait, side, pace, swing_s, path, at)
        if side not in gait.busy:
            tracks |= _arm_swing(stage, gait, side, pace, swing_s, at, seconds)
    windowed = gait.turn != 0 and gait.window is not None
    noted = stage.play(
        frames,
        tracks,
        cyclic=True,
        quiet=ALL_FIELDS,
        words=tuple(_words(gait)),
        mute=("heading",) if windowed else (),
    )
    if windowed and gait.window is not None:
        start, end = (noted.start + round(share * frames) for share in gait.window)
        stage.phases.append(Phase(start, end, only=("heading",)))


def _path(stage: Stage, gait: Gait, seconds: float) -> tuple[Array, Array, Array, Array]:
    """Times, x, z and yaw of the pelvis on a fine grid: gently started and stopped."""
    time = np.linspace(0, seconds, round(seconds * FPS) * _FINE + 1)
    ramp = min(0.45 * seconds, 1.7 * gait.step_s * stage.tempo)
    speed = ease(time / ramp) * ease((seconds - time) / ramp)
    done = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2)])
    total, done = done[-1], done / done[-1]
    share = done if gait.window is None else ease((time / seconds - gait.window[0]) / np.diff(gait.window)[0])
    yaw = float(stage.state["yaw"]) + gait.turn * share
    rate = speed / total
    vx = rate * (gait.forward * np.sin(yaw) + gait.left * np.cos(yaw))
    vz = rate * (gait.forward * np.cos(yaw) - gait.left * np.sin(yaw))
    x, z = (np.concatenate([[0.0], np.cumsum((v[1:] + v[:-1]) / 2)]) for v in (vx, vz))
    return time, float(stage.state["x"]) + x, float(stage.state["z"]) + z, yaw


def _stepper(gait: Gait, index: int) -> str:
    return gait.first if index % 2 == 0 else other(gait.first)


def _foot(
    stage: Stage, gait: Gait, side: str, pace: float, swing_s: float, path: tuple[Array, ...], at: Array
) -> Channels:
    """Toe, toe yaw and heel of one foot: standing on footprints, swinging between them."""
    toe = np.repeat(np.asarray(stage.state[f"{side}_toe"], float)[None], len(at), axis=0)
    turn = np.full(len(at), float(stage.state[f"{side}_toe_yaw"]))
    heel = np.zeros(len(at))
    for index in range(gait.steps):
        if _stepper(gait, index) != side:
            continue
        start = index * pace
        when = _middle_of_stance(gait, index, pace, swing_s, path[0][-1])
        place = np.array([np.interp(when, path[0], track) for track in path[1:]])
        goal, facing = _print_at(side, stage.width, place)
        share = (at - start) / swing_s
        moved = glide(share)
        heading = np.array([np.sin(facing), 0.0, np.cos(facing)])
        toe = toe + moved[:, None] * (goal - toe) * (share > 0)[:, None]
        toe[:, 1] = np.where((share > 0) & (share < 1), gait.lift * bump(share), toe[:, 1])
        toe += gait.knee * bump(share)[:, None] * heading
        turn = turn + moved * (facing - turn)
        heel = np.maximum(heel, np.deg2rad(gait.heel) * bump((share + 0.30) / 0.95))
    return {f"{side}_toe": toe, f"{side}_toe_yaw": turn, f"{side}_heel": heel}


def _middle_of_stance(gait: Gait, index: int, pace: float, swing_s: float, end: float) -> float:
    """The time whose pelvis position a step's footprint belongs to."""
    if index + 2 >= gait.steps:
        return end
    if gait.paired:
        return (index // 2 + 1) * 2 * pace
    return index * pace + swing_s + (2 * pace - swing_s) / 2


def _print_at(side: str, width: float, place: Array) -> tuple[Array, float]:
    """Toe position (3,) and foot yaw of a footprint under a pelvis at (x, z, yaw)."""
    x, z, yaw = place
    home = home_toe(side, width)
    return np.array(
        [
            x + home[0] * np.cos(yaw) + home[2] * np.sin(yaw),
            0.0,
            z - home[0] * np.sin(yaw) + home[2] * np.cos(yaw),
        ]
    ), float(yaw)


def _sway(stage: Stage, gait: Gait, pace: float, swing_s: float, at: Array, seconds: float) -> Channels:
    """Weight over the standing foot, shoulders against the hips, and a run's bounce and lean."""
    shift, twist = np.full(len(at), float(stage.state["shift_left"])), np.zeros(len(at))
    for index in range(gait.steps):
        side = _stepper(gait, index)
        hill = bump((at - index * pace) / swing_s)
        shift -= SIGN[side] * (0.008 if gait.run else 0.022) * hill
        twist += SIGN[side] * np.deg2rad(4.0 if gait.forward and gait.swing > 12 else 0.0) * hill
    tracks: Channels = {"shift_left": shift, "twist": float(stage.state["twist"]) + twist}
    blend = ease(at / 0.5) * ease((seconds - at) / 0.5)
    if gait.run:
        bounce = np.cos(2 * np.pi * (at - (pace + swing_s) / 2) / pace)
        tracks["rise"] = blend * (0.028 * bounce - 0.045)
        tracks["pitch"] = float(stage.state["pitch"]) + blend * np.deg2rad(7.0)
    return tracks


def _arm_swing(
    stage: Stage, gait: Gait, side: str, pace: float, swing_s: float, at: Array, seconds: float
) -> Channels:
    """An arm that goes forward as the other side's leg does, and back as its own does."""
    times, angles = [0.0], [0.0]
    for index in range(gait.steps - 1):
        times.append(index * pace + 0.9 * swing_s)
        strength = 0.75 if index == 0 else 1.0
        angles.append(strength * np.deg2rad(gait.swing) * (1 if _comes_forward(gait, index, side) else -0.8))
    angle = through([*angles, 0.0], np.array([*times, seconds]), np.minimum(at, seconds - 1e-9))
    now, elbow = (np.asarray(stage.state[f"{side}_{part}"], float) for part in ("hand", "elbow"))
    blend = ease(at / 0.6) * ease((seconds - at) / 0.6) if gait.run else np.zeros(len(at))
    base = hand_path(np.array([now, _RUN_ARM.hand]), blend)
    hand = base.copy()
    hand[:, 1] = base[:, 1] * np.cos(angle) + base[:, 2] * np.sin(angle)
    hand[:, 2] = base[:, 2] * np.cos(angle) - base[:, 1] * np.sin(angle)
    pole = elbow + blend[:, None] * (np.array(_RUN_ARM.elbow) - elbow)
    return {f"{side}_hand": hand, f"{side}_elbow": pole}


def _comes_forward(gait: Gait, index: int, side: str) -> bool:
    """Tell whether an arm comes forward with a step: with the other foot's, or in retreat with its own."""
    return (_stepper(gait, index) != side) == (gait.forward >= 0)


def swings(gait: Gait, side: str) -> int:
    """How often an arm comes forward; it comes to rest in the last step of all."""
    return sum(_comes_forward(gait, index, side) for index in range(gait.steps - 1))


def _words(gait: Gait) -> list[Word]:
    """Steps, arm swings, and which limbs alternate or go together."""
    counts = {side: sum(_stepper(gait, i) == side for i in range(gait.steps)) for side in ("left", "right")}
    words = [Word(f"{side}_leg", "step", count) for side, count in counts.items() if count]
    cycles = min(counts.values())
    if cycles >= 1:
        words.append(Word("left_leg__right_leg", "alternate", cycles, salient=cycles >= 2))
    arms = [side for side in ("left", "right") if side not in gait.busy and gait.swing >= 5]
    # Two full swings of each arm, and wide enough to be seen (some 0.3 m to and fro).
    loud = gait.swing >= 20 and gait.steps >= 5
    for side in arms:
        count = swings(gait, side)
        if count >= 1:
            words.append(Word(f"{side}_arm", "swing", count, salient=loud and count >= 2))
            same, opposite = (
                pair_name(f"{side}_arm", f"{side}_leg"),
                pair_name(f"{side}_arm", f"{other(side)}_leg"),
            )
            words.append(Word(same, "alternate", count, salient=loud and count >= 2))
            words.append(Word(opposite, "together", count, salient=False))
    if len(arms) == 2 and cycles >= 1:
        count = min(swings(gait, side) for side in arms)
        words += (
            [Word("left_arm__right_arm", "alternate", count, salient=loud and count >= 2)] if count else []
        )
    return words
