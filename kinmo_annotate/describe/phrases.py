"""The words of the kinematic describer: several ways to say each action, all of one meaning.

Every phrase must be read back as its own action by `kinmo_annotate.claims`; a test holds the two together.
"""

from __future__ import annotations

from typing import Final

from kinmo_annotate.signals import Signals

SUBJECTS: Final = {
    "torso": ("The torso", "The upper body", "The trunk"),
    "neck": ("The head", "The person's head"),
    "arm": ("The {side} arm", "The person's {side} arm", "The whole {side} arm"),
    "leg": ("The {side} leg", "The person's {side} leg"),
}

# kind -> action -> verb phrases for a singular subject
VERBS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "torso": {
        "bend_forward": ("bends forward", "leans forward", "bows forward"),
        "bend_backward": ("bends backward", "leans backward", "arches backward"),
        "lean_left": ("leans to the left", "tilts to the left"),
        "lean_right": ("leans to the right", "tilts to the right"),
        "straighten": ("straightens up", "comes back upright", "returns upright"),
        "twist_left": ("twists to the left", "rotates its shoulders to the left"),
        "twist_right": ("twists to the right", "rotates its shoulders to the right"),
        "sway": ("sways from side to side", "rocks from side to side"),
        "turn_left": ("turns left", "turns to the left", "turns round to the left"),
        "turn_right": ("turns right", "turns to the right", "turns round to the right"),
        "move_forward": ("moves forward", "travels forward", "advances forward"),
        "move_backward": ("moves backward", "travels backward", "retreats backward"),
        "move_left": ("moves to the left", "travels sideways to the left", "shifts to the left"),
        "move_right": ("moves to the right", "travels sideways to the right", "shifts to the right"),
        "sink": ("sinks", "gets lower", "drops lower"),
        "rise": ("rises", "gets higher", "comes up higher"),
        "jump": ("jumps", "leaves the ground in a jump"),
    },
    "neck": {
        "lower": ("lowers", "bows down", "drops down"),
        "raise": ("lifts", "comes up", "rises"),
        "tilt_left": ("tilts to the left", "tips to the left"),
        "tilt_right": ("tilts to the right", "tips to the right"),
        "straighten": ("straightens", "comes back upright"),
        "nod": ("nods", "nods up and down"),
    },
    "arm": {
        "raise": ("rises", "lifts", "is raised"),
        "lower": ("lowers", "comes down", "goes down"),
        "bend": ("bends at the elbow", "flexes at the elbow"),
        "straighten": ("straightens at the elbow", "extends at the elbow"),
        "swing": ("swings forward and back", "swings back and forth"),
        "wave": ("waves from side to side", "waves to and fro"),
        "circle": ("makes a full circle", "goes round in a full circle"),
    },
    "leg": {
        "lift": ("lifts", "rises", "lifts off the ground"),
        "lower": ("lowers", "comes down", "goes down"),
        "bend": ("bends at the knee", "flexes at the knee"),
        "straighten": ("straightens at the knee", "extends at the knee"),
        "step": ("takes {count}",),
        "jump": ("pushes off and jumps", "jumps off the ground"),
        "hop": ("hops",),
    },
}

# Movement done and undone equally often, told in one breath; {joint} is the hinge or the connecting joint.
BOTH: Final[dict[frozenset[str], str]] = {
    frozenset({"raise", "lower"}): "rises and lowers",
    frozenset({"lift", "lower"}): "lifts and lowers",
    frozenset({"bend", "straighten"}): "bends and straightens at the {joint}",
    frozenset({"bend_forward", "straighten"}): "bends forward and straightens up",
    frozenset({"bend_backward", "straighten"}): "leans backward and straightens up",
    frozenset({"lean_left", "straighten"}): "leans to the left and straightens up",
    frozenset({"lean_right", "straighten"}): "leans to the right and straightens up",
    frozenset({"tilt_left", "straighten"}): "tilts to the left and straightens",
    frozenset({"tilt_right", "straighten"}): "tilts to the right and straightens",
    frozenset({"twist_left", "twist_right"}): "twists to the left and twists to the right",
    frozenset({"turn_left", "turn_right"}): "turns to the left and turns to the right",
    frozenset({"move_forward", "move_backward"}): "moves forward and moves backward",
    frozenset({"move_left", "move_right"}): "moves to the left and moves to the right",
    frozenset({"sink", "rise"}): "sinks and rises",
    frozenset({"approach", "part"}): "move closer together and apart",
    frozenset({"open", "close"}): "open and close at the {joint}",
    frozenset({"above", "below"}): "the {mover} passes above and below the {other}",
    frozenset({"in_front", "behind"}): "the {mover} passes in front of and behind the {other}",
}

# How a direction is said beside a verb, and on its own after "moves" (an arm) or "swings" (a leg).
DIRECTIONS: Final[dict[str, str]] = {
    "reach_forward": "forward",
    "pull_back": "backward",
    "swing_forward": "forward",
    "swing_back": "backward",
    "move_out": "outward",
    "move_in": "inward",
}
HINGES: Final = {"arm": "elbow", "leg": "knee"}

# pairs: verb phrases for "The a and the b"; {joint} is what connects them
PAIR_VERBS: Final[dict[str, tuple[str, ...]]] = {
    "approach": ("draw closer together", "move closer together", "come nearer to each other"),
    "part": ("move apart", "draw apart", "move away from each other"),
    "cross": ("cross over each other", "swap sides"),
    "alternate": ("alternate", "move in opposition"),
    "together": ("move together", "move in unison"),
    "open": ("open at the {joint}", "open up at the {joint}"),
    "close": ("close at the {joint}", "fold at the {joint}"),
}
RELATIONS: Final[dict[str, tuple[str, ...]]] = {
    "above": ("the {mover} comes above the {other}", "the {mover} passes above the {other}"),
    "below": ("the {mover} comes below the {other}", "the {mover} passes below the {other}"),
    "in_front": ("the {mover} comes in front of the {other}", "the {mover} passes in front of the {other}"),
    "behind": ("the {mover} comes behind the {other}", "the {mover} passes behind the {other}"),
}
# The same relation seen from the other group.
INVERSE: Final = {"above": "below", "below": "above", "in_front": "behind", "behind": "in_front"}
PAIR_JOINTS: Final = {"neck": "base of the neck", "arm": "shoulder", "leg": "hip"}
GROUP_WORDS: Final = {
    "torso": "torso",
    "neck": "head",
    "left_arm": "left arm",
    "right_arm": "right arm",
    "left_leg": "left leg",
    "right_leg": "right leg",
}

# The parts of a motion.
PARTS: Final[dict[str, tuple[str, ...]]] = {
    "throughout": ("throughout",),
    "early": ("at the start", "early on"),
    "middle": ("halfway through", "midway"),
    "late": ("near the end",),
}

_NUMBERS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def number(count: int) -> str:
    """Write a small number as a word."""
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def times(count: int) -> str:
    """Say how often: "twice", "three times"; nothing for once."""
    if count < 2:
        return ""
    return "twice" if count == 2 else f"{number(count)} times"


def steps(count: int) -> str:
    """Say how many steps."""
    return f"{number(count)} step" + ("" if count == 1 else "s")


def hand_height(signals: Signals, field: str, frame: int) -> str:
    """Say how high a hand is, against the person's own shoulder and head."""
    up = signals.values[field, "up"][frame]
    if up > 0.22:
        return "above the head"
    if up > 0.08:
        return "to head height"
    if up > -0.12:
        return "to shoulder height"
    return "to chest height" if up > -0.3 else ""
