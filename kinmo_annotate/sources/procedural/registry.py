"""The table of kinds: each a small function that plays an action on a stage and says what it did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import numpy as np

from kinmo_annotate.sources.procedural.stage import Stage

# An action plays on the stage and gives at least three different ways to say what was done (six, if
# you can: models learn words from them): "bows forward", ...
Phrases = tuple[str, ...]
Action = Callable[[Stage], Phrases]
Kind = TypeVar("Kind", bound=Action)

KINDS: Final[dict[str, Action]] = {}
COUNTS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def kind(action: Kind) -> Kind:
    """Register an action under its function's name."""
    KINDS[action.__name__] = action
    return action


def deg(angle: float) -> float:
    """Degrees to radians."""
    return float(np.deg2rad(angle))


def often(count: int) -> str:
    """How often, in words: "once", "twice", "three times"."""
    return {1: "once", 2: "twice"}.get(count, f"{COUNTS[min(count, 10)]} times")
