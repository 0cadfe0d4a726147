"""The keyboard: every key, what it does, and the words of the help that shows them.

A key is written as the browser names it (KeyboardEvent.key), with `Ctrl+` or `Shift+` in front where it needs
one; letters stand for themselves, whichever case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kinmo_annotate.review.store import CATEGORIES

# Who carries a command out: the server, or the figure in the browser with no traffic at all.
SERVER: Final = "server"
FIGURE: Final = "figure"
NOTE: Final = "note"


@dataclass(frozen=True, slots=True)
class Key:
    """One command with the keys that give it.

    Attributes:
        command: its name.
        keys: any of these gives it; the first is the one shown beside buttons.
        says: what it does, for the help.
        part: heading in the help.
        by: who carries it out.
    """

    command: str
    keys: tuple[str, ...]
    says: str
    part: str
    by: str = SERVER


# Side, direction, timing, invented, missing; wording takes o, for w is wrong.
CATEGORY_KEYS: Final = dict(zip(CATEGORIES, ("s", "d", "t", "i", "m", "o"), strict=True))

_JUDGE, _GO, _PLAY, _LOOK, _REST = "Judge", "Go", "Play", "Look", "And"
KEYS: Final = (
    Key("correct", ("1", "c"), "correct", _JUDGE),
    Key("wrong", ("2", "w"), "wrong", _JUDGE),
    Key("unsure", ("3", "u"), "unsure", _JUDGE),
    *(Key(name, (key,), f"wrong: {name}", _JUDGE) for name, key in CATEGORY_KEYS.items()),
    Key("note", ("n",), "write a note; Esc leaves it, Ctrl+Enter goes on", _JUDGE, NOTE),
    Key("withdraw", ("0", "Backspace"), "take the verdict back", _JUDGE),
    Key("next_open", ("Enter",), "next sentence without a verdict", _GO),
    Key("next", ("ArrowDown", "j"), "next sentence", _GO),
    Key("previous", ("ArrowUp", "k"), "sentence before", _GO),
    Key("next_motion", ("PageDown", "]"), "next motion", _GO),
    Key("previous_motion", ("PageUp", "["), "motion before", _GO),
    Key("play", (" ",), "play or pause", _PLAY, FIGURE),
    Key("step_on", ("ArrowRight", "."), "one frame on", _PLAY, FIGURE),
    Key("step_back", ("ArrowLeft", ","), "one frame back", _PLAY, FIGURE),
    Key("keyframe_on", ("Shift+ArrowRight",), "next keyframe", _PLAY, FIGURE),
    Key("keyframe_back", ("Shift+ArrowLeft",), "keyframe before", _PLAY, FIGURE),
    Key("start", ("Home",), "first frame", _PLAY, FIGURE),
    Key("end", ("End",), "last frame", _PLAY, FIGURE),
    Key("slower", ("<",), "slower, down to a quarter", _PLAY, FIGURE),
    Key("faster", (">",), "faster, up to double", _PLAY, FIGURE),
    Key("turn_left", ("q",), "turn the view to the left", _LOOK, FIGURE),
    Key("turn_right", ("e",), "turn the view to the right", _LOOK, FIGURE),
    Key("tilt_up", ("Shift+ArrowUp",), "look from higher up", _LOOK, FIGURE),
    Key("tilt_down", ("Shift+ArrowDown",), "look from lower down", _LOOK, FIGURE),
    Key("nearer", ("+", "="), "nearer", _LOOK, FIGURE),
    Key("farther", ("-",), "farther", _LOOK, FIGURE),
    Key("view", ("v",), "front, left, back, right, top", _LOOK, FIGURE),
    Key("follow", ("g",), "follow the figure, or stay", _LOOK, FIGURE),
    Key("letters", ("l",), "L and R at hands and feet", _LOOK, FIGURE),
    Key("undo", ("z", "Ctrl+z"), "undo", _REST),
    Key("redo", ("y", "Ctrl+y", "Ctrl+Shift+z"), "redo", _REST),
    Key("hand_in", ("f",), "hand in, once everything is judged", _REST),
    Key("adjudicate", ("a",), "adjudication, once everybody has handed in", _REST),
    Key("help", ("?",), "show or hide this help", _REST),
    Key("close", ("Escape",), "close what lies on top", _REST),
)

# What there is to do with motions that are only looked at.
PLAYER_KEYS: Final = tuple(
    key for key in KEYS if key.by == FIGURE or key.command in ("next", "previous", "help", "close")
)

_SIGNS: Final = {
    " ": "Space", "ArrowUp": "↑", "ArrowDown": "↓", "ArrowLeft": "←", "ArrowRight": "→", "PageUp": "PgUp",
    "PageDown": "PgDn", "Backspace": "⌫", "Escape": "Esc",
}  # fmt: skip


def key_map(keys: tuple[Key, ...] = KEYS) -> dict[str, list[str]]:
    """Map each key to [command, who carries it out], for the browser.

    Raises:
        ValueError: one key gives two commands.
    """
    pairs = [(name, [key.command, key.by]) for key in keys for name in key.keys]
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("one key gives two commands")
    return dict(pairs)


def sign(key: str) -> str:
    """Write a key as it stands on the keyboard."""
    *held, last = key.split("+") if len(key) > 1 else [key]
    return "+".join([*held, _SIGNS.get(last, last)])


def first_sign(command: str) -> str:
    """Give the key that is shown beside a command's button."""
    return next(sign(key.keys[0]) for key in KEYS if key.command == command)
