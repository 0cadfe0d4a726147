"""Kinds of two parts, one after the other."""

from __future__ import annotations

from kinmo_annotate.sources.procedural import arms, legs, locomotion, trunk
from kinmo_annotate.sources.procedural.registry import Action, Phrases, kind
from kinmo_annotate.sources.procedural.stage import Stage, other

_JOIN = (
    "{}, then {}",
    "{} and then {}",
    "first {}, afterwards {}",
    "{}, after that {}",
    "{} and afterwards {}",
    "{}, and {} at the end",
)


def _both(stage: Stage, first: Action, second: Action) -> Phrases:
    """Play two actions in order, briskly, and join what is said of them."""
    stage.tempo = max(0.78, 0.88 * stage.tempo)
    before = first(stage)
    stage.hold(0.25)
    if stage.chance():
        stage.side, stage.other = other(stage.side), stage.side
    after = second(stage)
    return tuple(
        join.format(before[index % len(before)], after[index % len(after)])
        for index, join in enumerate(_JOIN)
    )


def _short_walk(stage: Stage) -> Phrases:
    return locomotion.walk_forward(stage, steps=stage.times(4, 5))


def _one_bow(stage: Stage) -> Phrases:
    return trunk.bow(stage, once=True)


@kind
def wave_then_bow(stage: Stage) -> Phrases:
    """Wave, then bow."""
    return _both(stage, arms.wave, _one_bow)


@kind
def walk_then_raise_arm(stage: Stage) -> Phrases:
    """Walk forward, then raise an arm."""
    return _both(stage, _short_walk, arms.raise_arm_side)


@kind
def crouch_then_jump(stage: Stage) -> Phrases:
    """Crouch, then jump."""
    return _both(stage, trunk.crouch, legs.jump_in_place)


@kind
def bow_then_kick(stage: Stage) -> Phrases:
    """Bow, then kick."""
    return _both(stage, _one_bow, legs.kick)


@kind
def turn_then_walk(stage: Stage) -> Phrases:
    """Turn on the spot, then walk on."""
    return _both(stage, locomotion.turn_in_place, _short_walk)


@kind
def nod_then_raise_arm(stage: Stage) -> Phrases:
    """Nod, then raise an arm to the front."""
    return _both(stage, trunk.nod, arms.raise_arm_front)


@kind
def walk_then_sit(stage: Stage) -> Phrases:
    """Walk forward, then sit down."""
    return _both(stage, _short_walk, trunk.sit_down)


@kind
def lift_knee_then_punch(stage: Stage) -> Phrases:
    """Lift a knee, then punch."""
    return _both(stage, legs.knee_lift, arms.punch)
