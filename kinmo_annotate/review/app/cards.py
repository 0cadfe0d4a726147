"""A sentence on the page: its words, its verdict, what is wrong with it, a note, and the fact check."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from nicegui import ui

from kinmo_annotate.review.app.keys import CATEGORY_KEYS
from kinmo_annotate.review.app.marks import Marks
from kinmo_annotate.review.app.parts import Note, Words, box, button, set_class, set_prop
from kinmo_annotate.review.disputes import Opinions
from kinmo_annotate.review.store import CATEGORIES, CORRECT, JUDGEMENT_VERDICTS, NOT_JUDGED
from kinmo_annotate.schema.records import Check


class Desk(Protocol):
    """What a card asks of the page."""

    async def on_card(self, field: str, command: str) -> None:
        """Carry a command out on a sentence."""

    async def on_note(self, motion_id: str, field: str, text: str) -> None:
        """Save a note."""


class Card:
    """One sentence of the motion in view.

    Args:
        desk: the page.
        motion_id: of which motion.
        field: of which group or pair.
        sentence: what is judged.
        opinions: what evaluators said of it, where that may be seen.
    """

    def __init__(
        self, desk: Desk, motion_id: str, field: str, sentence: str, opinions: Opinions | None = None
    ) -> None:
        self._desk, self._field = desk, field
        self.element = box("sentence", "article").on("click", self._given("here"), args=[])
        with self.element:
            self._head()
            Words(sentence or "(no sentence)", "words", "p").props("dir=auto")
            _opinions(opinions or {})
            self._verdicts = self._buttons("verdicts", JUDGEMENT_VERDICTS)
            self._categories = self._buttons("categories", CATEGORIES)
            self._note = Note(f"note on {said(field)}", "note (n)", partial(desk.on_note, motion_id, field))
            self._hints = box("hints")

    def _given(self, command: str) -> Callable[[], Awaitable[None]]:
        return partial(self._desk.on_card, self._field, command)

    def _head(self) -> None:
        with box("field"):
            show_groups(self._field)
            self._state = Words("", "state")

    def _buttons(self, classes: str, names: tuple[str, ...]) -> dict[str, ui.element]:
        with box(classes).props(f'role=group aria-label="{classes}"'):
            return {name: button(name, self._given(name), name, name) for name in names}

    def update(self, marks: Marks, hints: tuple[Check, ...], current: bool, closed: bool) -> None:
        """Show what is so now."""
        set_class(self.element, "current", current)
        set_class(self.element, "judged", marks.verdict != NOT_JUDGED)
        set_class(self.element, "right", marks.verdict == CORRECT)
        self._state.set_text(marks.verdict)
        for chosen, buttons in ((marks.verdict, self._verdicts), (marks.category, self._categories)):
            for name, made in buttons.items():
                set_class(made, "chosen", name == chosen)
                set_prop(made, "aria-pressed", str(name == chosen).lower())
                set_prop(made, "disabled", closed)
        self._note.set(marks.note, closed)
        self._show_hints(marks, hints)

    def _show_hints(self, marks: Marks, hints: tuple[Check, ...]) -> None:
        """Show the fact check; it is not sent to the browser before there is a verdict."""
        set_class(self._hints, "open", marks.verdict != NOT_JUDGED)
        if marks.verdict != NOT_JUDGED and not self._hints.default_slot.children:
            with self._hints:
                Words("fact check" if hints else "fact check: no claim to check", "heading")
                for check in hints:
                    with box("hint"):
                        Words(check.verdict, f"verdict {check.verdict.replace(' ', '-')}")
                        Words(check.claim, "claim").props("dir=auto")
        elif marks.verdict == NOT_JUDGED:
            self._hints.clear()


def _opinions(opinions: Opinions) -> None:
    """Show what evaluators said, side by side."""
    if not opinions:
        return
    with box("opinions"):
        for name, judgement in opinions.items():
            with box(f"opinion {judgement.verdict}"):
                Words(name, "who")
                Words(" · ".join(filter(None, (judgement.verdict, judgement.category))), "said")
                Words(judgement.note or "no note", "text" if judgement.note else "text none", "p")


def show_groups(field: str) -> None:
    """Show which group a sentence is about, or which two, with the colours that they have on the figure."""
    for number, group in enumerate(field.split("__")):
        box(f"swatch swatch-{number}", "i")
        Words(said(group), "group")


def said(field: str) -> str:
    """Write a group or a pair as one says it."""
    return field.replace("__", " and ").replace("_", " ")


# What a card's buttons give: verdicts, categories, and coming here.
CARD_COMMANDS = frozenset({"here", *JUDGEMENT_VERDICTS, *CATEGORY_KEYS})
