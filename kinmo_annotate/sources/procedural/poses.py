"""Named arm poses, and where the toe of a lifted leg is."""

from __future__ import annotations

from typing import Final

import numpy as np

from kinmo_annotate.sources.procedural.body import SIGN, leg_lengths, rest_offset, standing_height
from kinmo_annotate.sources.procedural.stage import ArmPose, Goals, Stage

# Hands as (out, up, forward) from the shoulder in arm lengths, then where the elbow points.
FRONT: Final = ArmPose((-0.02, 0.02, 0.975), (0.5, -1.0, 0.0))
SIDE: Final = ArmPose((0.975, 0.02, 0.05), (0.0, -0.6, -1.0))
OVERHEAD: Final = ArmPose((0.12, 0.955, 0.10), (1.0, 0.0, 0.5))
WAVE: Final = ArmPose((0.50, 0.42, 0.24), (0.6, -1.0, -0.2))
GUARD: Final = ArmPose((0.0, -0.26, 0.40), (0.5, -1.0, -0.6))
CLAP_OPEN: Final = ArmPose((0.05, -0.25, 0.70), (1.0, -0.8, -0.2))
CLAP_SHUT: Final = ArmPose((-0.32, -0.25, 0.66), (1.0, -0.8, -0.2))
HIP: Final = ArmPose((0.05, -0.70, 0.12), (1.0, 0.0, -0.6))
HEAD: Final = ArmPose((-0.20, 0.46, 0.14), (1.0, 0.1, 0.3))
CROSSED: Final = ArmPose((-0.50, -0.34, 0.42), (0.8, -0.9, 0.0))
CURL: Final = ArmPose((0.06, -0.16, 0.36), (0.15, -1.0, -0.35))
COCKED: Final = ArmPose((0.42, 0.44, -0.22), (0.9, -0.5, 0.3))
RELEASE: Final = ArmPose((0.0, 0.34, 0.90), (0.8, -0.6, 0.2))
FOLLOW: Final = ArmPose((-0.28, -0.52, 0.66), (0.9, -0.4, 0.0))
LAP: Final = ArmPose((0.0, -0.74, 0.46), (0.5, -0.2, -1.0))
BACK: Final = ArmPose((0.16, -0.86, -0.42), (0.25, 0.0, -1.0))
OUT_LOW: Final = ArmPose((0.55, -0.80, 0.08), (0.1, 0.0, -1.0))


def raised_foot(stage: Stage, side: str, thigh: float, knee: float, out: float = 0.0) -> Goals:
    """The channels that lift one leg: thigh angle forward, knee flexion and angle to the side, radians.

    Angles are from a thigh that hangs straight down; the pelvis is where the stage has it.
    """
    state = stage.state
    yaw = float(state["yaw"])
    upper, lower = leg_lengths(side)
    shank = thigh - knee
    down = upper * np.cos(thigh) + lower * np.cos(shank)
    ahead = upper * np.sin(thigh) + lower * np.sin(shank)
    ankle = np.array([SIGN[side] * down * np.sin(out), -down * np.cos(out), ahead])
    pitch = float(np.clip(-0.8 * shank + np.deg2rad(15.0), -1.1, 1.1))
    foot = rest_offset(f"{side}_foot")
    toe = np.array([foot[0], np.cos(pitch) * foot[1] - np.sin(pitch) * foot[2],
                    np.sin(pitch) * foot[1] + np.cos(pitch) * foot[2]])  # fmt: skip
    base = np.array([float(state["shift_left"]), standing_height(stage.width) + float(state["rise"]),
                     float(state["shift_forward"])])  # fmt: skip
    local = base + rest_offset(f"{side}_hip") + ankle + toe
    world = np.array([
        float(state["x"]) + local[0] * np.cos(yaw) + local[2] * np.sin(yaw), local[1],
        float(state["z"]) - local[0] * np.sin(yaw) + local[2] * np.cos(yaw),
    ])  # fmt: skip
    return {f"{side}_toe": world, f"{side}_heel": pitch}


def planted_foot(stage: Stage, side: str) -> Goals:
    """The channels as one foot has them now, to come back to."""
    return {name: stage.state[name] for name in (f"{side}_toe", f"{side}_heel", f"{side}_toe_yaw")}
