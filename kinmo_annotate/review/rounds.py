"""A round of review: which sentences of which motions, judged by whom."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import FIELDS

# The paper's setting: two people judge the legs of twenty motions.
MOTIONS: Final = 20
LEGS: Final = ("left_leg", "right_leg")
EVALUATORS: Final = ("a", "b")
ADJUDICATION: Final = "adjudication"  # stands where an evaluator's name does; nobody may be called so

Item = tuple[str, str]  # motion_id and field: one sentence

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Round:
    """Which sentences are judged together, and by whom. A round never changes once it is stored.

    Attributes:
        name: unique in the dataset; letters, digits, `_`, `.` and `-`.
        dataset: the folder whose sentences are judged.
        motion_ids: in the order in which they are shown.
        fields: the groups and pairs whose sentences are judged, of every motion.
        prompt_version: of the prompt, or of the rules, that wrote the sentences.
        seed: that chose the motions.
        evaluators: their names, letters and digits as in `name`.
        created_at: UTC, ISO 8601.
        parent: the round before, of the same motions with an older prompt; None for the first.

    Raises:
        MotionError: a name that cannot be used, no motion, an unknown field, anything named twice.
    """

    name: str
    dataset: Path
    motion_ids: tuple[str, ...]
    fields: tuple[str, ...] = LEGS
    prompt_version: str = ""
    seed: int = 0
    evaluators: tuple[str, ...] = EVALUATORS
    created_at: str = ""
    parent: str | None = None

    def __post_init__(self) -> None:
        for name in (self.name, *self.evaluators):
            _check_name(name)
        if ADJUDICATION in self.evaluators:
            raise MotionError(self.name, f"nobody may be called {ADJUDICATION}", "Choose another name.")
        unknown = [field for field in self.fields if field not in FIELDS]
        if unknown:
            reason = f"{unknown[0]} is no group or pair"
            raise MotionError(self.name, reason, f"Choose from {', '.join(FIELDS)}.")
        for what, given in (
            ("motion", self.motion_ids), ("group or pair", self.fields), ("evaluator", self.evaluators),
        ):  # fmt: skip
            _check_each_once(self.name, what, given)

    @property
    def items(self) -> tuple[Item, ...]:
        """Every sentence to judge as (motion_id, field), motion by motion."""
        return tuple((motion_id, field) for motion_id in self.motion_ids for field in self.fields)


def _check_name(name: str) -> None:
    """Refuse names that could not stand in a link, a file name or a table as they are."""
    if not _NAME.fullmatch(name):
        remedy = "Use up to 64 letters a-z, digits, _, . and -, a letter or digit first."
        raise MotionError(repr(name[:80]), "cannot be the name of a round or an evaluator", remedy)


def _check_each_once(name: str, what: str, given: Sequence[str]) -> None:
    """Refuse an empty list, and one that names something twice."""
    if not given:
        raise MotionError(name, f"the round has no {what}", f"Give it at least one {what}.")
    twice = sorted({one for one in given if given.count(one) > 1})
    if twice:
        raise MotionError(name, f"the round names the {what} {twice[0]!r} twice", "Name each once.")


def utc_now() -> str:
    """Tell the time as the store writes it: UTC, ISO 8601, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
