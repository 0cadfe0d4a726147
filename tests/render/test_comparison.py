"""Motions side by side."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kinmo_annotate.render import Compared, comparison
from kinmo_annotate.schema.records import MotionError


@pytest.fixture
def two(walking) -> list[Compared]:
    marked = np.arange(12) >= 6
    return [
        Compared(walking, "source: a person walks"),
        Compared(walking[::-1].copy(), "edited: back", marked),
    ]


def test_a_sheet_has_a_row_for_each_at_the_same_times(two, tmp_path: Path):
    for count, name in ((1, "one.png"), (2, "two.png")):
        comparison(two[:count], tmp_path / name)
    one, both = Image.open(tmp_path / "one.png"), Image.open(tmp_path / "two.png")
    assert one.width == both.width == 1600
    assert both.height > 1.5 * one.height
    shorter = [two[0], Compared(two[1].joints[:5], "short")]
    comparison(shorter, tmp_path / "short.png")
    assert Image.open(tmp_path / "short.png").size == both.size


def test_dots_show_where_joints_were_to_be(two, tmp_path: Path):
    wanted = np.full(two[0].joints.shape, np.nan)
    wanted[:, 20] = two[0].joints[:, 20] + [0.0, 0.2, 0.0]
    for name in ("dots.png", "dots.gif"):
        pictures = []
        for shown in (None, wanted):
            comparison([replace(two[0], wanted=shown), two[1]], tmp_path / name)
            pictures.append(np.asarray(Image.open(tmp_path / name).convert("RGB")))
        assert not np.array_equal(*pictures)


def test_a_film_lasts_as_long_as_the_longest(two, tmp_path: Path):
    comparison([two[0], Compared(two[1].joints[:5], "short, and stays at its end")], tmp_path / "two.gif")
    film = Image.open(tmp_path / "two.gif")
    assert film.n_frames == 12
    assert film.width == 840
    pictures = []
    for number in (5, 11):
        film.seek(number)
        pictures.append(np.asarray(film.convert("RGB")))
    right = [picture[:420, 420:] for picture in pictures]
    np.testing.assert_array_equal(*right)
    assert not np.array_equal(pictures[0][:420, :420], pictures[1][:420, :420])


def test_what_cannot_be_shown_is_refused(two, tmp_path: Path):
    with pytest.raises(MotionError, match="Give 1 to 6"):
        comparison(two * 4, tmp_path / "eight.png")
    with pytest.raises(MotionError, match="Give 1 to 6"):
        comparison([], tmp_path / "none.png")
    with pytest.raises(MotionError, match="a comparison cannot have"):
        comparison(two, tmp_path / "two.bvh")
