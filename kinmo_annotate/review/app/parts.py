"""The parts of the page: plain texts and buttons, and what lives in the browser: figure, keyboard, note."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import nicegui
from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import GenericEventArguments

from kinmo_annotate.review.app.keys import Key, first_sign, key_map, sign
from kinmo_annotate.review.app.motions import ShownMotion
from kinmo_annotate.review.store import NOTE_LETTERS
from kinmo_annotate.schema.skeleton import GROUPS, PARENTS

# three.js as it comes with NiceGUI, so that nothing is fetched from elsewhere.
_THREE: Final = {"nicegui-scene": str(Path(nicegui.__file__).parent / "elements/scene/dist")}
MOST_LETTERS: Final = 20_000  # of one text on the page; a sentence has some 200


class Words(TextElement):
    """Plain text: whatever it holds, the browser shows it and runs none of it."""

    def __init__(self, text: str = "", classes: str = "", tag: str = "span") -> None:
        super().__init__(tag=tag, text=shown(text))
        self.classes(classes)


def shown(text: str) -> str:
    """Cut what no page can show, and say so."""
    if len(text) <= MOST_LETTERS:
        return text
    return f"{text[:MOST_LETTERS]} … ({len(text) - MOST_LETTERS} more letters are not shown)"


def box(classes: str, tag: str = "div") -> ui.element:
    """Make an element that holds others."""
    return ui.element(tag).classes(classes)


def button(
    text: str, on_click: Callable[[], Awaitable[Any]], classes: str = "", command: str = ""
) -> ui.element:
    """Make a button; where its command has a key, the key stands on it."""
    made = ui.element("button").classes(classes).props("type=button")
    made.on("click.stop", on_click, args=[])
    with made:
        Words(text)
        if command:
            Words(first_sign(command), "key", "kbd")
    return made


def overlay(fill: Callable[[], None]) -> ui.element:
    """Make a sheet that lies on top of the page once its class `gone` is taken off."""
    with box("overlay gone") as made, box("sheet").props("role=dialog aria-modal=true"):
        fill()
    return made


def show_keys(keys: tuple[Key, ...]) -> None:
    """Show what each key does, under the headings of its part."""
    Words("Keys", tag="h2")
    with box("parts"):
        for part in dict.fromkeys(key.part for key in keys):
            with box("part"):
                Words(part, tag="h3")
                for key in (key for key in keys if key.part == part):
                    with box("line"), box("signs"):
                        for name in key.keys:
                            Words(sign(name), "key", "kbd")
                        Words(key.says, "says")


class Figure(ui.element, component="figure.js", esm=_THREE):
    """A motion that plays in the browser: its joints are fetched once, by address."""

    def __init__(self) -> None:
        super().__init__()
        self._props["parents"] = list(PARENTS)

    def show(self, motion: ShownMotion, address: str, ahead: str) -> None:
        """Play another motion.

        Args:
            motion: what is played.
            address: where the browser gets its joints.
            ahead: where it gets those of the motion after, to have them early; "" where there is none.
        """
        self._props["motion"] = {
            "address": address,
            "ahead": ahead,
            "frames": motion.num_frames,
            "fps": motion.fps,
            "keyframes": list(motion.keyframes),
        }

    def colour(self, field: str) -> None:
        """Colour the group that a field is about, or its two groups in two colours."""
        set_prop(self, "marked", [list(GROUPS[group]) for group in field.split("__")])


class Keyboard(ui.element, component="keys.js"):
    """Keys become commands, in the order in which they are pressed."""

    def __init__(self, keys: tuple[Key, ...], on_command: Callable[[str], Awaitable[None]]) -> None:
        super().__init__()
        self._props.update(map=key_map(keys), done=0)
        known, turn = {key.command for key in keys}, asyncio.Lock()

        async def heard(event: GenericEventArguments) -> None:
            command, number = event.args.get("command"), event.args.get("number")
            async with turn:
                try:
                    if command in known:
                        await on_command(command)
                finally:
                    if isinstance(number, int):
                        self._props["done"] = number

        self.on("command", heard)


class Note(ui.element, component="note.js"):
    """A note that is saved while it is typed."""

    def __init__(self, label: str, hint: str, on_text: Callable[[str], Awaitable[None]]) -> None:
        super().__init__()
        self._props.update(text="", version=0, label=label, hint=hint, limit=NOTE_LETTERS, closed=False)

        async def heard(event: GenericEventArguments) -> None:
            if isinstance(event.args, str):
                await on_text(event.args)

        self.on("note", heard)

    def set(self, text: str, closed: bool) -> None:
        """Show another text, except where somebody is typing at this moment."""
        if text != self._props["text"]:
            self._props.update(text=text, version=self._props["version"] + 1)
        set_prop(self, "closed", closed)


def set_class(element: Any, name: str, on: bool) -> None:
    """Put a class on an element, or take it off."""
    if on != (name in element.classes):
        element.classes(add=name if on else None, remove=None if on else name)


def set_prop(element: Any, name: str, value: Any) -> None:
    """Set an attribute of an element; what stays as it is costs no traffic."""
    if element.props.get(name) != value:
        element.props[name] = value
