"""A way through sentences, with a place on it and marks along it: what judging and adjudicating share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kinmo_annotate.review.app.marks import Marker, Marks
from kinmo_annotate.review.app.motions import ShownMotion
from kinmo_annotate.review.rounds import Item, Round
from kinmo_annotate.review.store import NOT_JUDGED, WRONG, Store
from kinmo_annotate.schema.records import Check


@dataclass(frozen=True, slots=True)
class Progress:
    """How far somebody is.

    Attributes:
        motions: (judged, all) sentences of each motion on the way.
        vague: sentences judged wrong without saying what is wrong.
    """

    motions: tuple[tuple[int, int], ...]
    vague: int

    @property
    def judged(self) -> int:
        """Sentences judged."""
        return sum(judged for judged, _ in self.motions)

    @property
    def total(self) -> int:
        """Sentences on the way."""
        return sum(total for _, total in self.motions)

    @property
    def complete(self) -> bool:
        """Every sentence is judged."""
        return self.judged == self.total


class Walk:
    """Somebody on the way through the sentences of some motions.

    Args:
        store: where judgements are kept.
        round: the round they belong to.
        author: whose judgements they are.
        motions: the motions on the way, in order; at least one.
        fields: the fields to judge of each motion, by its id; at least one each.
    """

    def __init__(
        self,
        store: Store,
        round: Round,
        author: str,
        motions: Sequence[ShownMotion],
        fields: Mapping[str, Sequence[str]],
    ) -> None:
        self.round, self.author, self.motions = round, author, tuple(motions)
        self.closed = False
        self._store = store
        self._places = [(n, field) for n, m in enumerate(self.motions) for field in fields[m.motion_id]]
        self._index = {self._item(place): number for number, place in enumerate(self._places)}
        texts = {self._item(place): self._sentence(place) for place in self._places}
        self._marker = Marker(store, round.name, author, texts)
        self._at = 0
        self._resume()

    def _item(self, place: tuple[int, str]) -> Item:
        return self.motions[place[0]].motion_id, place[1]

    def _sentence(self, place: tuple[int, str]) -> str:
        return self.motions[place[0]].sentences[place[1]]

    # ------------------------------------------------------------ the place

    @property
    def number(self) -> int:
        """Number of the motion in view, from 0."""
        return self._places[self._at][0]

    @property
    def motion(self) -> ShownMotion:
        """The motion in view."""
        return self.motions[self.number]

    @property
    def field(self) -> str:
        """The field in view."""
        return self._places[self._at][1]

    @property
    def item(self) -> Item:
        """The sentence in view."""
        return self._item(self._places[self._at])

    def fields(self) -> list[str]:
        """Fields to judge of the motion in view."""
        return [field for number, field in self._places if number == self.number]

    def go(self, number: int, field: str | None = None) -> None:
        """Go to a motion by its number, to one of its fields or the first; off the way nothing happens."""
        for at, (motion, name) in enumerate(self._places):
            if motion == number and field in (None, name):
                self._at = at
                return

    def step(self, by: int) -> None:
        """Go so many sentences on or back, as far as there are any."""
        self._at = min(max(self._at + by, 0), len(self._places) - 1)

    def step_motion(self, by: int) -> None:
        """Go so many motions on or back, to their first sentence."""
        self.go(self.number + by)

    def next_open(self) -> None:
        """Go to the next sentence without a verdict, at the end round to the start; none left: one on."""
        places = len(self._places)
        for ahead in range(1, places):
            at = (self._at + ahead) % places
            if not self._judged(at):
                self._at = at
                return
        self.step(1)

    def _resume(self) -> None:
        """Go where this was left: the sentence marked last, or the next one that is open."""
        last = self._marker.last_item
        if last is not None:
            self._at = self._index[last]
            if self._judged(self._at):
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
        counts = [[0, 0] for _ in self.motions]
        for at, (number, _) in enumerate(self._places):
            counts[number][0] += self._judged(at)
            counts[number][1] += 1
        marks = [self._marker.marks(item) for item in self._index]
        vague = sum(m.verdict == WRONG and not m.category for m in marks)
        return Progress(tuple((judged, total) for judged, total in counts), vague)

    def _judged(self, at: int) -> bool:
        return self._marker.marks(self._item(self._places[at])).verdict != NOT_JUDGED

    @property
    def can_undo(self) -> bool:
        """There is something to take back."""
        return self._marker.can_undo and not self.closed

    @property
    def can_redo(self) -> bool:
        """There is something to make again."""
        return self._marker.can_redo and not self.closed

    # ------------------------------------------------------------ what is done

    def refresh(self) -> None:
        """Read again what was saved, by another window too."""
        self._marker.refresh()

    def judge(self, verdict: str) -> None:
        """Give a verdict on the sentence in view; `NOT_JUDGED` withdraws it."""
        self._marker.judge(self.item, verdict)

    def choose(self, category: str) -> None:
        """Say what is wrong with the sentence in view."""
        self._marker.choose(self.item, category)

    def write(self, item: Item, note: str) -> None:
        """Set the note of any sentence on the way: letters may arrive when one has moved on already."""
        if item in self._index:
            self._marker.write(item, note)

    def undo(self) -> None:
        """Take the last change back and go where it was."""
        self._show(self._marker.undo())

    def redo(self) -> None:
        """Make it again and go where it is."""
        self._show(self._marker.redo())

    def _show(self, item: Item | None) -> None:
        if item is not None:
            self._at = self._index[item]
