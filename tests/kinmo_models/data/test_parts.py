"""Captions of parts: rows, and from where on the fields hold."""

from __future__ import annotations

import pytest

from kinmo_annotate.schema.records import Caption
from kinmo_models.data.parts import is_whole, keeps_fields, rows_of


def test_a_caption_of_the_whole_has_no_times():
    assert is_whole(Caption("walks"))
    assert not is_whole(Caption("walks", 0.0, 1.0))
    assert not is_whole(Caption("walks", 0.5, 0.0))


def test_rows_are_cut_down_as_in_tmr():
    assert rows_of(Caption("walks", 0.12, 1.99)) == (2, 39)


@pytest.mark.parametrize(("stop", "kept"), [(79, False), (80, True), (100, True), (500, True)])
def test_fields_hold_from_four_fifths_on(stop, kept):
    assert keeps_fields(0, stop, 100) is kept
    assert not keeps_fields(50, stop, 100)
