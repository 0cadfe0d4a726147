"""After everybody has handed in: the sentences on which they disagree, and the final verdict on each."""

from __future__ import annotations

from collections.abc import Sequence

from kinmo_annotate.review.app.motions import ShownMotion
from kinmo_annotate.review.app.walk import Walk
from kinmo_annotate.review.rounds import ADJUDICATION, Item, Round
from kinmo_annotate.review.store import UNSURE, Judgement, Store

Opinions = dict[str, Judgement]  # evaluator -> what they said of one sentence


def disagreements(store: Store, round: Round) -> dict[Item, Opinions]:
    """List the sentences with more than one verdict, and those nobody was sure of, in the round's order.

    Raises:
        MotionError: an evaluator has not handed in; until then nobody sees what the others said.
    """
    judged = store.both(round.name)
    opinions = {
        item: {name: judged[name][item] for name in round.evaluators if item in judged[name]}
        for item in round.items
    }
    return {item: given for item, given in opinions.items() if _disputed(given)}


def _disputed(given: Opinions) -> bool:
    verdicts = {judgement.verdict for judgement in given.values()}
    return len(verdicts) > 1 or verdicts == {UNSURE}


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
