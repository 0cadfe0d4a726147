"""The page: a moving figure on the one side, the sentences on the other, everything by keyboard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from nicegui import run, ui

from kinmo_annotate.review.app.adjudication import Adjudication
from kinmo_annotate.review.app.cards import CARD_COMMANDS, Card
from kinmo_annotate.review.app.keys import KEYS
from kinmo_annotate.review.app.parts import (
    Figure,
    Keyboard,
    Words,
    box,
    button,
    overlay,
    set_class,
    set_prop,
    show_keys,
)
from kinmo_annotate.review.app.session import Session
from kinmo_annotate.review.app.walk import Progress
from kinmo_annotate.review.store import CATEGORIES, JUDGEMENT_VERDICTS, NOT_JUDGED
from kinmo_annotate.schema.records import MotionError

Address = Callable[[str], str]  # id of a motion -> where the browser gets its joints


class Page:
    """What judging and adjudicating look like in common.

    Changes are saved one after the other, away from the loop that serves everybody, and shown once they are
    saved.

    Args:
        walk: who is on the way, and where.
        address: where the browser gets joints.
    """

    def __init__(self, walk: Session | Adjudication, address: Address) -> None:
        self._walk, self._address = walk, address
        self._turn = asyncio.Lock()
        self._cards: dict[str, Card] = {}
        self._shown = -1
        self._commands: dict[str, Callable[[], Any]] = {
            **{verdict: partial(walk.judge, verdict) for verdict in JUDGEMENT_VERDICTS},
            **{category: partial(walk.choose, category) for category in CATEGORIES},
            "withdraw": partial(walk.judge, NOT_JUDGED),
            "next_open": walk.next_open,
            "next": partial(walk.step, 1),
            "previous": partial(walk.step, -1),
            "next_motion": partial(walk.step_motion, 1),
            "previous_motion": partial(walk.step_motion, -1),
            "undo": walk.undo,
            "redo": walk.redo,
        }

    # ------------------------------------------------------------ making it

    def build(self) -> None:
        """Put everything on the page."""
        with box("page"):
            self._header()
            with box("desk", "main"):
                with box("look", "section"):
                    self._figure = Figure()
                    self._captions = box("captions")
                with box("text", "section"):
                    self._notice = Words("", "notice", "p").props("role=status")
                    self._list = box("list")
            self._help = overlay(self._help_text)
            self._overlays()
        Keyboard(KEYS, self.on_command)
        self.show()

    def _header(self) -> None:
        with box("bar", "header"):
            with box("who"):
                Words("KinMo", "mark")
                Words(self._title(), "round")
            with box("progress"):
                self._where = Words("", "where")
                self._count = Words("", "count")
            with box("actions", "nav"):
                self._saved = Words("", "saved").props("role=status")
                self._undo = self._action("undo")
                self._redo = self._action("redo")
                self._more_actions()
                self._action("help")
        with box("strip").props('role=group aria-label="motions"'):
            self._dots = [self._dot(number) for number in range(len(self._walk.motions))]

    def _action(self, command: str, text: str = "") -> ui.element:
        return button(text or command, partial(self.on_command, command), "action", command)

    def _dot(self, number: int) -> ui.element:
        with button("", partial(self.act, partial(self._walk.go, number)), "dot") as dot:
            box("fill", "i")
        return dot

    def _help_text(self) -> None:
        show_keys(KEYS)
        Words("Left and right are always the body's own. Everything is saved as you go.", "remark", "p")
        button("close", partial(self.on_command, "close"), "action", "close")

    def _title(self) -> str:
        raise NotImplementedError

    def _more_actions(self) -> None:
        """Add buttons to the header."""

    def _overlays(self) -> None:
        """Add what lies on top of the page at times."""

    def _opinions(self, field: str) -> Any:
        """Give what others said of a sentence, where it may be seen."""

    # ------------------------------------------------------------ what comes in

    async def on_command(self, command: str) -> None:
        """Carry out what a key or a button of the page says."""
        if command == "help":
            set_class(self._help, "gone", not self._is_gone(self._help))
        elif command == "close" or not self._is_gone(self._help):
            set_class(self._help, "gone", True)
        elif command in self._commands:
            await self.act(self._commands[command])

    async def on_card(self, field: str, command: str) -> None:
        """Carry out what a sentence's own button says."""
        if command in CARD_COMMANDS:
            number = self._walk.number
            await self.act(partial(self._on_sentence, number, field, command))

    def _on_sentence(self, number: int, field: str, command: str) -> None:
        self._walk.go(number, field)
        if command != "here":
            self._commands[command]()

    async def on_note(self, motion_id: str, field: str, text: str) -> None:
        """Save a note of the sentence that it was written for, wherever the evaluator is by now."""
        await self.act(partial(self._walk.write, (motion_id, field), text))

    async def act(self, change: Callable[[], Any]) -> bool:
        """Make a change, save it, show it; what goes wrong is said on the page, and False is returned."""
        async with self._turn:
            word = ""
            try:
                await run.io_bound(self._do, change)
            except MotionError as error:
                word = str(error)
            self._notice.set_text(word)
            set_class(self._notice, "bad", bool(word))
            self.show()
            return not word

    def _do(self, change: Callable[[], Any]) -> None:
        self._walk.refresh()
        change()

    @staticmethod
    def _is_gone(overlay: ui.element) -> bool:
        return "gone" in overlay.classes

    # ------------------------------------------------------------ showing it

    def show(self) -> None:
        """Show what is so now."""
        walk = self._walk
        if self._shown != walk.number:
            self._show_motion()
        for field, card in self._cards.items():
            card.update(walk.marks(field), walk.hints(field), field == walk.field, walk.closed)
        self._figure.colour(walk.field)
        self._show_progress(walk.progress())
        set_prop(self._undo, "disabled", not walk.can_undo)
        set_prop(self._redo, "disabled", not walk.can_redo)

    def _show_motion(self) -> None:
        walk = self._walk
        self._shown = walk.number
        after = walk.motions[walk.number + 1 : walk.number + 2]
        ahead = self._address(after[0].motion_id) if after else ""
        self._figure.show(walk.motion, self._address(walk.motion.motion_id), ahead)
        self._captions.clear()
        with self._captions:
            for caption in walk.motion.captions:
                Words(caption, "caption", "p").props("dir=auto")
        self._list.clear()
        with self._list:
            self._cards = {field: self._card(field) for field in walk.fields()}

    def _card(self, field: str) -> Card:
        motion = self._walk.motion
        return Card(self, motion.motion_id, field, motion.sentences[field], self._opinions(field))

    def _show_progress(self, progress: Progress) -> None:
        self._where.set_text(f"motion {self._walk.number + 1} of {len(self._walk.motions)}")
        self._count.set_text(f"{progress.judged} of {progress.total} judged")
        self._saved.set_text("all saved")
        for number, (dot, (judged, total)) in enumerate(zip(self._dots, progress.motions, strict=True)):
            set_class(dot, "here", number == self._walk.number)
            set_class(dot, "begun", 0 < judged < total)
            set_class(dot, "full", judged == total)
            set_prop(dot, "aria-label", f"motion {number + 1}, {judged} of {total} judged")


class JudgingPage(Page):
    """An evaluator's page.

    Args:
        session: the evaluator.
        address: where the browser gets joints.
        adjudication: address of the adjudication of the same link.
    """

    def __init__(self, session: Session, address: Address, adjudication: str) -> None:
        super().__init__(session, address)
        self._session, self._adjudication = session, adjudication

    def _title(self) -> str:
        return f"{self._session.round.name} · evaluator {self._session.author}"

    def _more_actions(self) -> None:
        self._before = self._action("hand_in", "hand in")
        self._after = self._action("adjudicate", "adjudication")

    def _overlays(self) -> None:
        self._asking = overlay(self._question)
        ui.timer(5.0, self._look_round)

    def _question(self) -> None:
        Words("Hand in?", tag="h2")
        self._question_text = Words("", "remark", "p")
        with box("answers"):
            button("hand in", self._hand_in, "action strong", "next_open")
            button("not yet", partial(self.on_command, "close"), "action", "close")

    async def on_command(self, command: str) -> None:
        """Carry out what a key or a button of the page says."""
        if not self._is_gone(self._asking):
            if command == "next_open":
                await self._hand_in()
            elif command in ("close", "hand_in"):
                set_class(self._asking, "gone", True)
        elif command == "hand_in":
            if await self.act(self._check_complete):
                self._ask()
        elif command == "adjudicate":
            if await self.act(self._check_all_in):
                ui.navigate.to(self._adjudication)
        else:
            await super().on_command(command)

    def _check_complete(self) -> None:
        progress, name = self._session.progress(), self._session.round.name
        if self._session.closed:
            raise MotionError(name, "is handed in already", _next_step(self._session))
        if not progress.complete:
            left = progress.total - progress.judged
            raise MotionError(name, f"{left} sentences have no verdict yet", "Enter goes to the next one.")

    def _check_all_in(self) -> None:
        if self._session.waiting_for():
            name = self._session.round.name
            raise MotionError(name, "its adjudication is not open yet", _next_step(self._session))

    def _ask(self) -> None:
        progress = self._session.progress()
        vague = f"{progress.vague} are wrong without a category. " if progress.vague else ""
        self._question_text.set_text(
            f"{progress.total} sentences judged. {vague}After this nothing can be changed, and once "
            "everybody has handed in, all of you see where you differ."
        )
        set_class(self._asking, "gone", False)

    async def _hand_in(self) -> None:
        set_class(self._asking, "gone", True)
        await self.act(self._session.hand_in)

    def show(self) -> None:
        """Show what is so now."""
        super().show()
        set_class(self._before, "gone", self._session.closed)
        set_class(self._after, "gone", not self._session.closed)
        if self._session.closed and not self._notice.text:
            self._notice.set_text(f"You have handed in. {_next_step(self._session)}")

    async def _look_round(self) -> None:
        """Hear from time to time that the others have handed in too."""
        if self._session.closed:
            await self.act(lambda: None)


def _next_step(session: Session) -> str:
    waiting = session.waiting_for()
    if session.author in waiting:
        return "Judge every sentence, then hand in with f."
    if waiting:
        return f"Adjudication opens when {', '.join(waiting)} has handed in too."
    return "Everybody has: press a for the adjudication."


class AdjudicationPage(Page):
    """The page on which disagreements are settled."""

    def __init__(self, adjudication: Adjudication, address: Address, back: str) -> None:
        super().__init__(adjudication, address)
        self._disputes, self._back = adjudication, back

    def _title(self) -> str:
        return f"{self._disputes.round.name} · adjudication"

    def _more_actions(self) -> None:
        button("own judgements", self._leave, "action")

    async def _leave(self) -> None:
        ui.navigate.to(self._back)

    def _opinions(self, field: str) -> Any:
        return self._disputes.opinions(field)

    def show(self) -> None:
        """Show what is so now."""
        super().show()
        if self._disputes.progress().complete and not self._notice.text:
            self._notice.set_text("Every disagreement has its final verdict. Nothing is left to do here.")
