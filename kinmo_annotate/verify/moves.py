"""How far a motion goes in a claimed direction: the largest change of one signal within a window of time."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.vocabulary import ACTIONS, field_kind
from kinmo_annotate.signals import Signals

Array = NDArray[np.float64]


class Move(NamedTuple):
    """How an action is seen: the signal that grows with it.

    Attributes:
        channels: signals of the field; the one that changes most tells.
        sign: 1 where the signal grows, -1 where it falls.
        shape: what is made of the signal first: "" nothing, "away" what lies on the other side of upright is
            cut off, "off" its way back to upright from either side.
        words: how it is said after a subject.
        opposite: the action that goes the other way, "" where it is no single one.
    """

    channels: tuple[str, ...]
    sign: int
    words: str
    opposite: str = ""
    shape: str = ""


_LIMB: Final = {
    "reach_forward": Move(("forward",), 1, "moves forward", "pull_back"),
    "pull_back": Move(("forward",), -1, "moves backward", "reach_forward"),
    "swing_forward": Move(("forward",), 1, "swings forward", "swing_back"),
    "swing_back": Move(("forward",), -1, "swings backward", "swing_forward"),
    "move_out": Move(("out",), 1, "moves outward", "move_in"),
    "move_in": Move(("out",), -1, "moves inward", "move_out"),
    "bend": Move(("flexion",), 1, "bends", "straighten"),
    "straighten": Move(("flexion",), -1, "straightens", "bend"),
}
_SPECIFIC: Final = {
    ("torso", "bend_forward"): Move(("pitch",), 1, "bends forward", "bend_backward", "away"),
    ("torso", "bend_backward"): Move(("pitch",), -1, "bends backward", "bend_forward", "away"),
    ("torso", "lean_left"): Move(("roll",), 1, "leans to the left", "lean_right", "away"),
    ("torso", "lean_right"): Move(("roll",), -1, "leans to the right", "lean_left", "away"),
    ("torso", "straighten"): Move(("pitch", "roll"), -1, "straightens", "", "off"),
    ("torso", "twist_left"): Move(("twist",), 1, "twists to the left", "twist_right"),
    ("torso", "twist_right"): Move(("twist",), -1, "twists to the right", "twist_left"),
    ("torso", "turn_left"): Move(("heading",), 1, "turns to the left", "turn_right"),
    ("torso", "turn_right"): Move(("heading",), -1, "turns to the right", "turn_left"),
    ("torso", "move_forward"): Move(("forward",), 1, "moves forward", "move_backward"),
    ("torso", "move_backward"): Move(("forward",), -1, "moves backward", "move_forward"),
    ("torso", "move_left"): Move(("left",), 1, "moves to the left", "move_right"),
    ("torso", "move_right"): Move(("left",), -1, "moves to the right", "move_left"),
    ("torso", "rise"): Move(("height",), 1, "rises", "sink"),
    ("torso", "sink"): Move(("height",), -1, "sinks", "rise"),
    ("neck", "lower"): Move(("pitch",), 1, "lowers", "raise"),
    ("neck", "raise"): Move(("pitch",), -1, "rises", "lower"),
    ("neck", "tilt_left"): Move(("roll",), 1, "tilts to the left", "tilt_right", "away"),
    ("neck", "tilt_right"): Move(("roll",), -1, "tilts to the right", "tilt_left", "away"),
    ("neck", "straighten"): Move(("roll", "pitch"), -1, "straightens", "", "off"),
    ("arm", "raise"): Move(("up",), 1, "raises", "lower"),
    ("arm", "lower"): Move(("up",), -1, "lowers", "raise"),
    ("leg", "lift"): Move(("height",), 1, "lifts", "lower"),
    ("leg", "lower"): Move(("height",), -1, "lowers", "lift"),
    ("pair", "approach"): Move(("distance",), -1, "come closer", "part"),
    ("pair", "part"): Move(("distance",), 1, "move apart", "approach"),
    ("pair", "open"): Move(("angle",), 1, "open", "close"),
    ("pair", "close"): Move(("angle",), -1, "close", "open"),
}
MOVES: Final[dict[tuple[str, str], Move]] = _SPECIFIC | {
    (kind, name): move for kind in ("arm", "leg") for name, move in _LIMB.items() if (kind, name) in ACTIONS
}
# place -> signal of b minus a, and the sign that it comes to have
PLACES: Final = {
    "above": ("up", -1), "below": ("up", 1), "in_front": ("forward", -1), "behind": ("forward", 1),
    "cross": ("left", 1),
}  # fmt: skip
# What lies this share of notable beyond upright still belongs to leaning away from it.
_UPRIGHT_SHARE: Final = 0.5


def largest_rise(x: Array) -> float:
    """The most that a signal (T,) grows from one frame to any later one; 0 where it only falls."""
    return float((x - np.minimum.accumulate(x)).max()) if len(x) else 0.0


def change(signals: Signals, field: str, action: str, frames: slice) -> float | None:
    """How far a field goes in the direction of an action within some frames.

    Args:
        signals: of the motion.
        field: group or pair.
        action: a word of the vocabulary.
        frames: where to look.

    Returns:
        Metres or degrees, 0 or more; None where no signal shows the action.
    """
    found = None
    for x in shaped(signals, field, action, frames):
        found = max(found or 0.0, largest_rise(x))
    return found


def net_change(signals: Signals, field: str, action: str, frames: slice) -> float:
    """How far a field has gone from the first to the last of some frames; 0 where that takes more to tell.

    Most movements go one way in the time that is said of them, and the two ends tell it at once.
    """
    move = MOVES.get((field_kind(field), action))
    x = signals.values.get((field, move.channels[0])) if move and not move.shape else None
    if move is None or x is None:
        return 0.0
    return move.sign * float(x[frames.stop - 1] - x[frames.start])


def foot_travel(signals: Signals, side: str, frames: slice) -> float:
    """How far a foot gets from where it was, along one axis, metres."""
    middle = signals.feet[side][frames].mean(axis=1)
    return float(np.ptp(middle, axis=0).max()) if len(middle) else 0.0


def shaped(signals: Signals, field: str, action: str, frames: slice = slice(None)) -> list[Array]:
    """The signals (T,) that grow as an action is done; empty where none shows it."""
    kind = field_kind(field)
    move = MOVES.get((kind, action))
    if move is None:
        return []
    seen = [signals.values[field, c][frames] for c in move.channels if (field, c) in signals.values]
    beyond = _UPRIGHT_SHARE * ACTIONS[kind, action].notable
    if move.shape == "off":  # from either side, and a little past upright
        return [np.minimum(side, beyond) for x in seen for side in (x, -x)]
    turned = [x if move.sign > 0 else -x for x in seen]
    return [np.maximum(x, -beyond) for x in turned] if move.shape == "away" else turned


_OTHER_WORDS: Final = {
    "step": "steps", "jump": "jumps", "hop": "hops", "sway": "sways", "nod": "nods",
    "swing": "swings to and fro", "wave": "waves", "circle": "circles", "together": "move together",
    "alternate": "alternate", "above": "comes above", "below": "comes below", "in_front": "comes in front of",
    "behind": "comes behind", "cross": "cross",
}  # fmt: skip


def words_of(field: str, action: str) -> str:
    """How an action is said after its subject."""
    move = MOVES.get((field_kind(field), action))
    return move.words if move else _OTHER_WORDS.get(action, action)
