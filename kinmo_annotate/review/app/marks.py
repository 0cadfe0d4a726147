"""Marks on sentences, each saved as it is made, with undo and redo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from kinmo_annotate.review.rounds import Item
from kinmo_annotate.review.store import CATEGORIES, CORRECT, NOT_JUDGED, NOTE_LETTERS, WRONG, Judgement, Store

# Letters typed without a longer rest than this are taken back by one undo.
ONE_NOTE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Marks:
    """What is said of one sentence: verdict, category of error, note; all empty at first."""

    verdict: str = NOT_JUDGED
    category: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One change that undo can take back; `at` is in seconds of any clock."""

    item: Item
    before: Marks
    after: Marks
    at: float

    @property
    def typing(self) -> bool:
        """The note alone changed."""
        return self.before != self.after and replace(self.after, note=self.before.note) == self.before


class Marker:
    """The marks of one evaluator in one round. Every change is saved before it counts.

    Args:
        store: where judgements are kept.
        round: name of the round.
        evaluator: whose marks these are.
        sentences: the text of each sentence that may be marked.
    """

    def __init__(self, store: Store, round: str, evaluator: str, sentences: dict[Item, str]) -> None:
        self._store, self._round, self._evaluator = store, round, evaluator
        self._sentences = sentences
        self._judgements: dict[Item, Judgement] = {}
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self.refresh()
        self._remember(store.history(round, evaluator))

    def refresh(self) -> None:
        """Read the marks again: the same person may have a second window open."""
        current = self._store.current(self._round, self._evaluator)
        self._judgements = {item: judgement for item, judgement in current.items() if item in self._sentences}

    def _remember(self, history: Iterable[Judgement]) -> None:
        """Rebuild what can be undone from what was saved, so that undo reaches behind a restart."""
        seen: dict[Item, Marks] = {}
        for judgement in history:
            if judgement.item in self._sentences:
                after = Marks(judgement.verdict, judgement.category, judgement.note)
                before = seen.get(judgement.item, Marks())
                self._push(Step(judgement.item, before, after, _seconds(judgement.at)))
                seen[judgement.item] = after

    def marks(self, item: Item) -> Marks:
        """Give the marks of a sentence; none where its text is another one now than was judged."""
        judgement = self._judgements.get(item)
        if judgement is None or judgement.sentence != self._sentences[item]:
            return Marks()
        return Marks(judgement.verdict, judgement.category, judgement.note)

    def judge(self, item: Item, verdict: str) -> None:
        """Give a verdict; `NOT_JUDGED` withdraws it. What is correct has no category of error."""
        marks = self.marks(item)
        category = "" if verdict in (CORRECT, NOT_JUDGED) else marks.category
        self._change(item, replace(marks, verdict=verdict, category=category))

    def choose(self, item: Item, category: str) -> None:
        """Say what is wrong, which says that it is wrong; the same category again takes the category back."""
        marks = self.marks(item)
        if category == marks.category:
            self._change(item, replace(marks, category=""))
        elif category in CATEGORIES:
            self._change(item, replace(marks, verdict=WRONG, category=category))

    def write(self, item: Item, note: str) -> None:
        """Set the note, cut to as many letters as the store takes."""
        self._change(item, replace(self.marks(item), note=note[:NOTE_LETTERS]))

    def _change(self, item: Item, after: Marks) -> None:
        before = self.marks(item)
        if before != after:
            self._save(item, after)
            self._push(Step(item, before, after, datetime.now(UTC).timestamp()))
            self._undone.clear()

    def _push(self, step: Step) -> None:
        """Add a step to those that can be undone; letters typed in one go are one step."""
        last = self._done[-1] if self._done else None
        goes_on = last is not None and last.typing and step.typing and last.item == step.item
        if last is not None and goes_on and 0 <= step.at - last.at <= ONE_NOTE_S:
            self._done[-1] = replace(step, before=last.before)
        elif step.before != step.after:
            self._done.append(step)

    def _save(self, item: Item, marks: Marks) -> None:
        sentence = self._sentences[item]
        self._judgements[item] = self._store.save(
            Judgement(
                round=self._round,
                evaluator=self._evaluator,
                motion_id=item[0],
                field=item[1],
                verdict=marks.verdict,
                category=marks.category,
                note=marks.note,
                sentence=sentence,
            )
        )

    def undo(self) -> Item | None:
        """Take the last change back; gives the sentence that changed, None where nothing is left."""
        if not self._done:
            return None
        step = self._done[-1]
        self._save(step.item, step.before)
        self._undone.append(self._done.pop())
        return step.item

    def redo(self) -> Item | None:
        """Make the last change again that was taken back; gives its sentence."""
        if not self._undone:
            return None
        step = self._undone[-1]
        self._save(step.item, step.after)
        self._done.append(self._undone.pop())
        return step.item

    @property
    def can_undo(self) -> bool:
        """Something can be taken back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Something was taken back."""
        return bool(self._undone)

    @property
    def last_item(self) -> Item | None:
        """The sentence that was marked last."""
        return self._done[-1].item if self._done else None


def _seconds(at: str) -> float:
    try:
        return datetime.fromisoformat(at).timestamp()
    except ValueError:
        return 0.0
