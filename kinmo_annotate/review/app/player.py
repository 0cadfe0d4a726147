"""Motions to look at, without judging them: figures side by side, or one beside its sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from fastapi.responses import Response
from nicegui import app as pages
from nicegui import ui

from kinmo_annotate.review.app.cards import show_groups
from kinmo_annotate.review.app.keys import PLAYER_KEYS
from kinmo_annotate.review.app.motions import ShownMotion
from kinmo_annotate.review.app.parts import (
    Figure,
    Keyboard,
    Words,
    box,
    button,
    overlay,
    set_class,
    show_keys,
)
from kinmo_annotate.review.app.server import CSS, HOST, ICON, joints_of, run_pages
from kinmo_annotate.schema.records import MotionError

MOST_MOTIONS: Final = 9  # browsers draw in 3D in no more than 16 places at once


def play(motions: Sequence[ShownMotion], port: int, ready: Callable[[str], Any] = lambda url: None) -> None:
    """Serve motions to this machine's browsers until Ctrl-C.

    Args:
        motions: 1 to 9 of them; one alone stands beside its sentences, if it has any.
        port: 0 for any that is free.
        ready: told the URL once the port is taken.

    Raises:
        MotionError: no motion or too many, or the port cannot be taken.
    """
    if not 0 < len(motions) <= MOST_MOTIONS:
        reason = f"a page shows 1 to {MOST_MOTIONS} motions, and these are {len(motions)}"
        raise MotionError("play", reason, "Give fewer at once.")
    run_pages(partial(add_player, motions), HOST, port, ready)


def add_player(motions: Sequence[ShownMotion]) -> None:
    """Put the page of some motions into NiceGUI's app."""

    @ui.page("/", title=f"KinMo · {motions[0].motion_id}", favicon=ICON)
    def look() -> None:
        ui.add_css(CSS)
        Player(motions).build()

    @pages.get("/joints/{number}")
    def joints(number: str) -> Response:
        return joints_of(motions, number, 0)


class Player:
    """The page. Keys play all figures together; the buttons below a figure play that one alone.

    Args:
        motions: what is shown.
    """

    def __init__(self, motions: Sequence[ShownMotion]) -> None:
        self._motions = motions
        self._sentences: dict[str, ui.element] = {}
        self._at = 0

    def build(self) -> None:
        """Put everything on the page."""
        with box("page"):
            with box("bar", "header"):
                with box("who"):
                    Words("KinMo", "mark")
                    Words(" · ".join(motion.motion_id for motion in self._motions), "round")
                with box("actions progress", "nav"):
                    button("help", partial(self.on_command, "help"), "action", "help")
            if len(self._motions) == 1 and self._motions[0].sentences:
                self._beside_sentences()
            else:
                with box("players", "main"):
                    for number in range(len(self._motions)):
                        self._look(number)
            self._help = overlay(self._help_text)
        Keyboard(PLAYER_KEYS, self.on_command)

    def _look(self, number: int) -> Figure:
        """Put one motion on the page, with its name and captions below."""
        motion = self._motions[number]
        with box("look", "section"):
            figure = Figure()
            figure.show(motion, f"/joints/{number}", "")
            with box("captions"):
                for caption in motion.captions or (motion.motion_id,):
                    Words(caption, "caption", "p").props("dir=auto")
        return figure

    def _beside_sentences(self) -> None:
        with box("desk", "main"):
            self._figure = self._look(0)
            with box("text", "section"), box("list"):
                for number, (field, sentence) in enumerate(self._motions[0].sentences.items()):
                    self._sentences[field] = self._sentence(number, field, sentence)
        self._go(0)

    def _sentence(self, number: int, field: str, sentence: str) -> ui.element:
        with box("sentence", "article").on("click", partial(self._go, number), args=[]) as made:
            with box("field"):
                show_groups(field)
            Words(sentence or "(no sentence)", "words", "p").props("dir=auto")
        return made

    def _go(self, number: int) -> None:
        """Bring a sentence into view and colour what it is about; beyond the ends nothing happens."""
        if 0 <= number < len(self._sentences):
            self._at = number
            field = list(self._sentences)[number]
            for name, element in self._sentences.items():
                set_class(element, "current", name == field)
            self._figure.colour(field)

    def _help_text(self) -> None:
        show_keys(PLAYER_KEYS)
        Words("Left and right are always the body's own. Keys play all motions together.", "remark", "p")
        button("close", partial(self.on_command, "close"), "action", "close")

    async def on_command(self, command: str) -> None:
        """Carry out what a key or a button of the page says."""
        hidden = "gone" in self._help.classes
        if command == "help" or (command == "close" and not hidden):
            set_class(self._help, "gone", not hidden)
        elif command in ("next", "previous") and hidden:
            self._go(self._at + (1 if command == "next" else -1))
