"""What an evaluator sees and does. No page in here.

An evaluator is shown nothing of the others, and of the fact check only what belongs to sentences that they
have judged already.
"""

from __future__ import annotations

from collections.abc import Sequence

from kinmo_annotate.review.app.motions import ShownMotion
from kinmo_annotate.review.app.walk import Walk
from kinmo_annotate.review.rounds import Round
from kinmo_annotate.review.store import Store


class Session(Walk):
    """One evaluator at work on one round.

    Args:
        store: where judgements are kept.
        round: which sentences.
        evaluator: who; one of the round's.
        motions: the round's motions, in its order.
    """

    def __init__(self, store: Store, round: Round, evaluator: str, motions: Sequence[ShownMotion]) -> None:
        fields = dict.fromkeys((motion.motion_id for motion in motions), round.fields)
        super().__init__(store, round, evaluator, motions, fields)
        self.refresh()

    def refresh(self) -> None:
        """Read again what was saved, and whether the round is handed in."""
        super().refresh()
        self.closed = self.author in self._store.finished(self.round.name)

    def waiting_for(self) -> list[str]:
        """Name the evaluators who have not handed in yet."""
        done = self._store.finished(self.round.name)
        return [name for name in self.round.evaluators if name not in done]

    def hand_in(self) -> None:
        """Say that the round is done; from then on nothing changes.

        Raises:
            MotionError: a sentence is not judged yet.
        """
        self._store.finish(self.round.name, self.author)
        self.closed = True
