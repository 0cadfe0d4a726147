"""The keyboard's table."""

from __future__ import annotations

import pytest

from kinmo_annotate.review.app.keys import CATEGORY_KEYS, KEYS, Key, first_sign, key_map, sign
from kinmo_annotate.review.store import CATEGORIES, JUDGEMENT_VERDICTS


def test_every_verdict_and_category_has_a_key_and_no_key_two_meanings():
    commands = {command for command, _ in key_map().values()}
    assert {*JUDGEMENT_VERDICTS, *CATEGORIES, "undo", "redo", "help", "note", "play"} <= commands
    assert len(set(CATEGORY_KEYS.values())) == len(CATEGORIES)


def test_a_key_with_two_meanings_is_refused():
    with pytest.raises(ValueError, match="two commands"):
        key_map((*KEYS, Key("other", ("1",), "other", "And")))


def test_keys_are_written_as_they_stand_on_the_keyboard():
    assert [sign(name) for name in (" ", "+", "Shift+ArrowUp", "Ctrl+Shift+z", "n")] == [
        "Space", "+", "Shift+↑", "Ctrl+Shift+z", "n",
    ]  # fmt: skip
    assert first_sign("correct") == "1"
