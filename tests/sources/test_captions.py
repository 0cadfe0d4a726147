"""Caption lines and their mirror."""

from __future__ import annotations

import pytest
from bodies import attempt
from hypothesis import given
from hypothesis import strategies as st

from kinmo_annotate.schema.records import Caption, MotionError
from kinmo_annotate.sources.captions import format_captions, mirror_text, read_captions


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("raises the left arm, then the right", "raises the right arm, then the left"),
        ("a left-handed throw", "a right-handed throw"),
        ("Left foot; LEFT hand", "Right foot; RIGHT hand"),
        ("turns counterclockwise", "turns clockwise"),
        ("turns clockwise", "turns counterclockwise"),
        ("turns anti-clockwise", "turns clockwise"),
        ("anticlockwise circle", "clockwise circle"),
        ("stands upright in bright light", "stands upright in bright light"),
        ("a righteous copyright", "a righteous copyright"),
        ("moves leftwards to the rightmost seat", "moves rightwards to the leftmost seat"),
    ],
)
def test_sides_and_turns_are_swapped_and_nothing_else(text, mirrored):
    assert mirror_text(text) == mirrored


@given(st.text())
def test_mirroring_twice_changes_nothing_but_the_spelling_of_counterclockwise(text):
    once = mirror_text(mirror_text(text))
    assert mirror_text(mirror_text(once)) == once


def test_a_segment_and_a_nan_time_are_read(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("walks # then runs#walk/VERB#1.5#3.0\nsits.#sit/VERB#nan#nan\n\n")
    assert read_captions(path) == (Caption("walks # then runs", 1.5, 3.0), Caption("sits."))


def test_what_is_written_is_read_back(tmp_path):
    captions = (Caption("a person waves, twice.", 0.0, 0.0), Caption("sits down.", 1.25, 3.5))
    path = tmp_path / "a.txt"
    path.write_text(format_captions(captions))
    assert read_captions(path) == captions
    assert "person/OTHER" in path.read_text()


@given(st.binary(max_size=200))
def test_any_bytes_give_captions_or_a_clear_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "a.txt"
    path.write_bytes(content)
    found = attempt(lambda: read_captions(path))
    if isinstance(found, MotionError):
        assert str(path) in found.where
    else:
        assert all(c.text and 0 <= c.start_s <= c.end_s for c in found)
