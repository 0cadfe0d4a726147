"""What an evaluator sees and does: a place in the round, marks, progress. No page in here.

An evaluator is shown nothing of the others, and of the fact check only what belongs to sentences that they
have judged already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kinmo_annotate.review.app.marks import Marker, Marks
from kinmo_annotate.review.app.motions import ShownMotion
from kinmo_annotate.review.rounds import Item, Round
from kinmo_annotate.review.store import NOT_JUDGED, WRONG, Store
from kinmo_annotate.schema.records import Check


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an evaluator is.

    Attributes:
        motions: sentences judged of each motion, in the order of the round.
        per_motion: sentences of one motion.
        wrong_without_category: sentences judged wrong without saying what is wrong.
    """

    motions: tuple[int, ...]
    per_motion: int
    wrong_without_category: int

    @property
    def judged(self) -> int:
        """Sentences judged."""
        return sum(self.motions)

    @property
    def total(self) -> int:
        """Sentences of the round."""
        return len(self.motions) * self.per_motion

    @property
    def complete(self) -> bool:
        """Every sentence is judged."""
        return self.judged == self.total


class Session:
    """One evaluator at work on one round.

    Args:
        store: where judgements are kept.
        round: which sentences.
        evaluator: who; one of the round's.
        motions: the round's motions, in its order.
    """

    def __init__(self, store: Store, round: Round, evaluator: str, motions: Sequence[ShownMotion]) -> None:
        self.round, self.evaluator, self.motions = round, evaluator, tuple(motions)
        self.fields = round.fields
        self._store = store
        texts = {(m.motion_id, field): m.sentences[field] for m in motions for field in round.fields}
        self._marker = Marker(store, round.name, evaluator, texts)
        self._motion, self._field = 0, 0
        self.closed = evaluator in store.finished(round.name)
        self._resume()

    # ------------------------------------------------------------ the place

    @property
    def place(self) -> tuple[int, int]:
        """Numbers of the motion and the field in view, from 0."""
        return self._motion, self._field

    @property
    def motion(self) -> ShownMotion:
        """The motion in view."""
        return self.motions[self._motion]

    @property
    def item(self) -> Item:
        """The sentence in view."""
        return self._item(self._motion, self._field)

    def _item(self, motion: int, field: int) -> Item:
        return self.motions[motion].motion_id, self.fields[field]

    def go(self, motion: int, field: int = 0) -> None:
        """Go to a sentence by the numbers of its motion and field; outside of the round nothing happens."""
        if 0 <= motion < len(self.motions) and 0 <= field < len(self.fields):
            self._motion, self._field = motion, field

    def step(self, by: int) -> None:
        """Go so many sentences on or back, across motions, as far as there are any."""
        place = self._motion * len(self.fields) + self._field + by
        self.go(*divmod(place, len(self.fields)))

    def step_motion(self, by: int) -> None:
        """Go so many motions on or back, to their first sentence."""
        self.go(self._motion + by)

    def next_open(self) -> None:
        """Go to the next sentence without a verdict, from here round to here; none left: to the next one."""
        here = self._motion * len(self.fields) + self._field
        total = len(self.motions) * len(self.fields)
        for ahead in range(1, total):
            motion, field = divmod((here + ahead) % total, len(self.fields))
            if not self._judged(motion, field):
                return self.go(motion, field)
        return self.step(1)

    def _resume(self) -> None:
        """Go where the evaluator stopped: the sentence marked last, or the next one that is open."""
        last = self._marker.last_item
        if last is not None:
            ids = [motion.motion_id for motion in self.motions]
            self.go(ids.index(last[0]), self.fields.index(last[1]))
            if self._judged(*self.place):
                self.next_open()

    # ------------------------------------------------------------ what is seen

    def marks(self, field: str) -> Marks:
        """Marks of a sentence of the motion in view."""
        return self._marker.marks((self.motion.motion_id, field))

    def hints(self, field: str) -> tuple[Check, ...]:
        """What the fact check found in a sentence of the motion in view; nothing until it is judged."""
        if self.marks(field).verdict == NOT_JUDGED:
            return ()
        return self.motion.checks.get(field, ())

    def progress(self) -> Progress:
        """Count what is judged."""
        counts = tuple(
            sum(self._judged(motion, field) for field in range(len(self.fields)))
            for motion in range(len(self.motions))
        )
        vague = sum(m.verdict == WRONG and not m.category for m in self._all_marks())
        return Progress(counts, len(self.fields), vague)

    def _all_marks(self) -> Iterator[Marks]:
        return (self._marker.marks(item) for item in self.round.items)

    def _judged(self, motion: int, field: int) -> bool:
        return self._marker.marks(self._item(motion, field)).verdict != NOT_JUDGED

    @property
    def can_undo(self) -> bool:
        """There is something to take back."""
        return self._marker.can_undo and not self.closed

    @property
    def can_redo(self) -> bool:
        """There is something to make again."""
        return self._marker.can_redo and not self.closed

    def waiting_for(self) -> list[str]:
        """Name the evaluators who have not handed in yet."""
        done = self._store.finished(self.round.name)
        return [name for name in self.round.evaluators if name not in done]

    # ------------------------------------------------------------ what is done

    def refresh(self) -> None:
        """Read what was saved again, by another window of the same evaluator too."""
        self._marker.refresh()
        self.closed = self.evaluator in self._store.finished(self.round.name)

    def judge(self, verdict: str) -> None:
        """Give a verdict on the sentence in view; `NOT_JUDGED` withdraws it."""
        self._marker.judge(self.item, verdict)

    def choose(self, category: str) -> None:
        """Say what is wrong with the sentence in view."""
        self._marker.choose(self.item, category)

    def write(self, motion: int, field: int, note: str) -> None:
        """Set the note of any sentence: letters may arrive after the evaluator has moved on."""
        if 0 <= motion < len(self.motions) and 0 <= field < len(self.fields):
            self._marker.write(self._item(motion, field), note)

    def undo(self) -> None:
        """Take the last change back and go where it was."""
        self._show(self._marker.undo())

    def redo(self) -> None:
        """Make it again and go where it is."""
        self._show(self._marker.redo())

    def _show(self, item: Item | None) -> None:
        if item is not None:
            ids = [motion.motion_id for motion in self.motions]
            self.go(ids.index(item[0]), self.fields.index(item[1]))

    def hand_in(self) -> None:
        """Say that the round is done; from then on nothing changes.

        Raises:
            MotionError: a sentence is not judged yet.
        """
        self._store.finish(self.round.name, self.evaluator)
        self.closed = True
