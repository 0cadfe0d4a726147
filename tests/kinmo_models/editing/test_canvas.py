"""What is to be written of a motion: spans, what comes before and after, and what cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from kinmo_annotate.schema.records import MotionError
from kinmo_models.editing.canvas import after, all_of, before, between, open_canvas, within


@pytest.fixture
def canvas(generator, rows):
    return open_canvas(generator.tokenizer, rows(42), "walk.npy")


def test_a_motion_is_opened_with_nothing_to_write(canvas, generator, rows):
    assert len(canvas.rows) == len(canvas.decoded) == 42
    assert canvas.tokens.shape == (10, 3)
    assert not canvas.editable.any()
    assert canvas.seconds == pytest.approx(2.1)
    # in the two rows that no token stands for, tokens leave out what they do in the last that one does
    left_out = canvas.rows - canvas.decoded
    np.testing.assert_allclose(left_out[40:], np.repeat(left_out[39:40], 2, axis=0), atol=1e-5)


def test_a_span_writes_all_tokens_that_it_touches(canvas):
    spanned = within(canvas, 0.5, 1.1)
    assert np.flatnonzero(spanned.editable).tolist() == [2, 3, 4, 5]
    assert np.flatnonzero(spanned.edited).tolist() == list(range(8, 24))
    exact = within(canvas, 0.4, 0.8)
    assert np.flatnonzero(exact.editable).tolist() == [2, 3]
    assert len(exact.rows) == 42


def test_a_span_to_the_end_leaves_no_rows_without_a_token(canvas):
    for start in (1.5, 2.05):
        spanned = within(canvas, start, 2.1)
        assert spanned.editable[-1]
        assert len(spanned.rows) == len(spanned.decoded) == 40
    assert all_of(canvas).editable.all()
    assert len(all_of(canvas).rows) == 40


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (1.0, 1.0, "holds nothing"),
        (2.0, 1.0, "after its beginning"),
        (-0.5, 1.0, "0 s or later"),
        (1.0, 2.5, "End it at 2.1 s or before"),
        (5.0, 6.0, "does not lie in its 2.1 s"),
    ],
)
def test_a_span_outside_of_the_motion_is_refused(canvas, start, end, said):
    with pytest.raises(MotionError, match=said):
        within(canvas, start, end)


def test_what_is_added_has_no_rows_yet(canvas):
    longer = before(canvas, 1.0)
    assert longer.editable.tolist() == [True] * 5 + [False] * 10
    assert not longer.rows[:20].any()
    np.testing.assert_array_equal(longer.rows[20:], canvas.rows)
    np.testing.assert_array_equal(longer.tokens[5:], canvas.tokens)
    longer = after(canvas, 0.55)
    assert longer.editable.tolist() == [False] * 10 + [True] * 3
    np.testing.assert_array_equal(longer.rows[:40], canvas.rows[:40])
    with pytest.raises(MotionError, match="seconds or more"):
        after(canvas, 0.0)


def test_two_motions_keep_their_tokens_beside_what_lies_between(canvas, generator, rows):
    other = open_canvas(generator.tokenizer, rows(21, 1), "wave.npy")
    both = between(canvas, other, 0.4)
    assert both.editable.tolist() == [False] * 10 + [True] * 2 + [False] * 5
    np.testing.assert_array_equal(both.tokens[:10], canvas.tokens)
    np.testing.assert_array_equal(both.tokens[12:], other.tokens)
    np.testing.assert_array_equal(both.rows[48:], other.rows)
    assert len(both.rows) == 40 + 8 + 21


def test_a_motion_without_a_token_is_refused(generator, rows):
    with pytest.raises(MotionError, match="at least 5 frames"):
        open_canvas(generator.tokenizer, rows(3))
