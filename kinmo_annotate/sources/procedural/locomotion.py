"""Kinds that travel, march or turn."""

from __future__ import annotations

from kinmo_annotate.sources.procedural.body import SIGN
from kinmo_annotate.sources.procedural.gait import Gait, step
from kinmo_annotate.sources.procedural.poses import WAVE
from kinmo_annotate.sources.procedural.registry import COUNTS, Phrases, deg, kind
from kinmo_annotate.sources.procedural.stage import Stage, arm


@kind
def walk_forward(stage: Stage, steps: int = 0) -> Phrases:
    """Walk straight on."""
    steps = steps or stage.times(4, 9)
    step(
        stage,
        Gait(
            stage.side,
            steps,
            0.54,
            forward=(steps - 1.5) * stage.sized(0.42, 0.66),
            swing=stage.sized(20, 32),
        ),
    )
    return (
        "walks forward",
        f"takes {COUNTS[steps]} steps forward",
        "walks straight ahead and stops",
        "strolls ahead at an even pace",
        f"walks {COUNTS[steps]} paces ahead",
        "strides straight on",
    )


@kind
def walk_backward(stage: Stage) -> Phrases:
    """Walk backwards."""
    steps = stage.times(4, 7)
    step(
        stage,
        Gait(
            stage.side,
            steps,
            0.60,
            forward=-(steps - 1.5) * stage.sized(0.30, 0.44),
            heel=14.0,
            swing=stage.sized(16, 22),
        ),
    )
    return (
        "walks backward",
        f"takes {COUNTS[steps]} steps back",
        "slowly walks back without turning",
        "steps backward several times",
        f"backs away {COUNTS[steps]} steps",
        "retreats while facing forward",
    )


@kind
def sidestep(stage: Stage) -> Phrases:
    """Step to one side, foot joining foot."""
    side, pairs = stage.side, stage.times(2, 4)
    step(
        stage,
        Gait(
            side,
            2 * pairs,
            0.48,
            left=SIGN[side] * pairs * stage.sized(0.30, 0.46),
            paired=True,
            swing=0.0,
            heel=12.0,
        ),
    )
    return (
        f"steps sideways to the {side}",
        f"takes side steps to the {side}",
        f"moves to the {side} with side steps",
        f"shuffles sideways to the {side}",
        f"does a few side steps to the {side}",
        f"sidesteps to the {side}",
    )


@kind
def run_forward(stage: Stage) -> Phrases:
    """Run straight on."""
    steps = stage.times(5, 9)
    step(
        stage,
        Gait(
            stage.side,
            steps,
            0.37,
            forward=(steps - 1.5) * stage.sized(0.72, 0.98),
            duty=0.30,
            lift=0.24,
            heel=48.0,
            swing=stage.sized(30, 42),
            run=True,
        ),
    )
    return (
        "runs forward",
        "jogs straight ahead and stops",
        "runs ahead",
        "sprints forward a short way",
        "dashes ahead",
        f"jogs {COUNTS[steps]} steps to the front",
    )


@kind
def walk_and_turn(stage: Stage) -> Phrases:
    """Walk, turn on the way, walk on."""
    side, steps = stage.side, stage.times(8, 10)
    angle = deg(stage.pick(75, 110))
    step(
        stage,
        Gait(
            side,
            steps,
            0.53,
            forward=(steps - 1.5) * stage.sized(0.40, 0.56),
            turn=SIGN[side] * angle,
            window=(0.3, 0.68),
            swing=stage.sized(18, 26),
        ),
    )
    return (
        f"walks forward and turns {side}",
        f"walks ahead, turns to the {side} and walks on",
        f"walks and makes a turn to the {side}",
        f"walks around a corner to the {side}",
        f"changes direction to the {side} while walking",
        f"walks, turning off to the {side} halfway",
    )


@kind
def walk_in_curve(stage: Stage) -> Phrases:
    """Walk along an arc, up to most of a circle."""
    side, steps = stage.side, stage.times(8, 12)
    angle = deg(stage.pick(80, 250))
    step(
        stage,
        Gait(
            side,
            steps,
            0.53,
            forward=(steps - 1.5) * stage.sized(0.42, 0.56),
            turn=SIGN[side] * angle,
            swing=stage.sized(18, 26),
        ),
    )
    return (
        f"walks in a curve to the {side}",
        f"walks along an arc that bends to the {side}",
        f"walks forward in a wide curve to the {side}",
        f"follows a bend to the {side}",
        f"walks part of a circle to the {side}",
        f"goes round in an arc to the {side}",
    )


@kind
def march_in_place(stage: Stage) -> Phrases:
    """March on the spot."""
    steps = stage.times(5, 9)
    step(
        stage,
        Gait(
            stage.side,
            steps,
            0.52,
            duty=0.58,
            lift=stage.sized(0.22, 0.38),
            heel=24.0,
            knee=0.12,
            swing=stage.sized(20, 34),
        ),
    )
    return (
        "marches in place",
        "walks on the spot with high knees",
        f"takes {COUNTS[steps]} steps in place",
        "stomps on the spot",
        "marches like a soldier without going anywhere",
        "steps on the spot",
    )


@kind
def turn_in_place(stage: Stage) -> Phrases:
    """Turn by a quarter on the spot."""
    side, steps = stage.side, stage.times(3, 4)
    step(
        stage,
        Gait(side, steps, 0.50, turn=SIGN[side] * deg(stage.pick(70, 105)), swing=4.0, lift=0.07, heel=14.0),
    )
    return (
        f"turns to the {side}",
        f"turns {side} in place",
        f"makes a quarter turn to the {side}",
        f"rotates on the spot to the {side}",
        f"faces {side} with a few small steps",
        f"pivots to the {side}",
    )


@kind
def turn_around(stage: Stage) -> Phrases:
    """Turn by a half on the spot."""
    side, steps = stage.side, stage.times(5, 7)
    step(
        stage,
        Gait(side, steps, 0.48, turn=SIGN[side] * deg(stage.pick(160, 190)), swing=4.0, lift=0.07, heel=14.0),
    )
    return (
        f"turns around to the {side}",
        f"makes a half turn to the {side}",
        f"turns to the {side} to face back",
        f"turns by half a circle to the {side}",
        f"spins around over the {side} side to look the other way",
        f"reverses direction on the spot, turning {side}",
    )


@kind
def walk_with_hand_up(stage: Stage) -> Phrases:
    """Raise a hand, then walk on with that hand up, and lower it."""
    side, steps = stage.side, stage.times(4, 6)
    stage.move(0.9, **arm(side, WAVE))
    step(
        stage,
        Gait(
            stage.other,
            steps,
            0.55,
            forward=(steps - 1.5) * stage.sized(0.42, 0.6),
            swing=stage.sized(20, 28),
            busy=(side,),
        ),
    )
    stage.move(0.9, **arm(side, stage.rest[side]))
    return (
        f"raises the {side} hand and walks forward with the hand up",
        f"walks forward holding the {side} hand up",
        f"lifts the {side} hand, walks ahead and lowers it",
        f"walks along with the {side} arm in the air",
        f"walks ahead, keeping the {side} hand high",
        f"takes some steps with the {side} hand raised",
    )
