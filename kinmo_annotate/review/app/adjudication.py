"""After everybody has handed in: the sentences on which they disagree, and the final verdict on each."""

from __future__ import annotations

from collections.abc import Sequence

from kinmo_annotate.review.app.motions import ShownMotion
from kinmo_annotate.review.app.walk import Walk
from kinmo_annotate.review.disputes import Opinions
from kinmo_annotate.review.rounds import ADJUDICATION, Item, Round
from kinmo_annotate.review.store import Store


class Adjudication(Walk):
    """The way through the sentences on which evaluators disagree, to a final verdict on each.

    Args:
        store: where judgements are kept.
        round: whose disagreements.
        motions: the round's motions, in its order.
        disputed: what `disagreements` gave; at least one sentence.
    """

    def __init__(
        self, store: Store, round: Round, motions: Sequence[ShownMotion], disputed: dict[Item, Opinions]
    ) -> None:
        self._disputed = disputed
        fields: dict[str, list[str]] = {}
        for motion_id, field in disputed:
            fields.setdefault(motion_id, []).append(field)
        seen = [motion for motion in motions if motion.motion_id in fields]
        super().__init__(store, round, ADJUDICATION, seen, fields)

    def opinions(self, field: str) -> Opinions:
        """Give what each evaluator said of a sentence of the motion in view."""
        return self._disputed[self.motion.motion_id, field]
