"""Rounds that made-up evaluators have judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kinmo_annotate.review.agreement import Judged
from kinmo_annotate.review.rounds import Item, Round
from kinmo_annotate.review.store import CORRECT, UNSURE, WRONG, Judgement

LETTERS = {"c": CORRECT, "w": WRONG, "u": UNSURE}
JudgedRound = tuple[Round, Judged]


@pytest.fixture(scope="session")
def judged_round() -> Callable[..., JudgedRound]:
    """Make a round from a string of letters per evaluator: c, w, u, or . for not judged.

    The letters go through the fields of the first motion, then of the second, and so on.
    """

    def make(*said: str, fields: Sequence[str] = ("left_leg",), name: str = "first") -> JudgedRound:
        motions = tuple(f"{number:06d}" for number in range(len(said[0]) // len(fields)))
        evaluators = tuple("abcdefgh"[: len(said)])
        round = Round(name, Path("dataset"), motions, tuple(fields), "v1", 0, evaluators)
        return round, {
            name: _said(round, name, letters) for name, letters in zip(evaluators, said, strict=True)
        }

    return make


def _said(round: Round, evaluator: str, letters: str) -> dict[Item, Judgement]:
    items = [(item, letter) for item, letter in zip(round.items, letters, strict=True) if letter != "."]
    note = f"{evaluator} says so"
    return {
        item: Judgement(
            round.name, evaluator, *item, LETTERS[letter], "side" if letter == "w" else "", note, "It."
        )
        for item, letter in items
    }
