"""Turning points, swings and cycles of one signal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinmo_annotate.differences.swings import cycles, overlap, swings, turning_points


def test_a_rise_and_a_fall_are_two_swings() -> None:
    x = np.concatenate(
        [np.zeros(10), np.linspace(0, 1, 20), np.ones(10), np.linspace(1, 0, 20), np.zeros(10)]
    )
    up, down = swings(x, 0.5)
    assert up.delta == pytest.approx(1)
    assert down.delta == pytest.approx(-1)
    assert 10 <= up.start < 15
    assert 24 < up.end <= 30
    assert 40 <= down.start < 45


def test_small_trembling_is_no_swing() -> None:
    x = 0.1 * np.sin(np.linspace(0, 40, 200))
    assert swings(x, 0.5) == []
    assert turning_points(x, 0.5) == []


@pytest.mark.parametrize("count", [2, 3, 7])
def test_cycles_are_counted(count: int) -> None:
    x = np.concatenate([np.zeros(10), np.sin(np.linspace(0, 2 * np.pi * count, 16 * count)), np.zeros(10)])
    (found,) = cycles(x, 0.5, longest_half=12)
    assert found.count == count
    assert found.amplitude == pytest.approx(2, abs=0.3)


def test_one_cycle_is_not_repeated_movement() -> None:
    assert cycles(np.sin(np.linspace(0, 2 * np.pi, 20)), 0.5, longest_half=12) == []


def test_the_raise_before_a_wave_is_not_part_of_it() -> None:
    wave = 0.2 * np.sin(np.linspace(0, 8 * np.pi, 80))
    x = np.concatenate([np.full(10, -1.0), np.linspace(-1, 0, 12), wave])
    (found,) = cycles(x, 0.1, longest_half=14)
    assert found.start >= 20
    assert found.amplitude < 0.5


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=60), st.floats(0.1, 3))
def test_swings_alternate_and_are_notable(values: list[float], notable: float) -> None:
    x = np.array(values)
    points = turning_points(x, notable)
    deltas = np.diff(x[points]) if points else np.array([])
    assert (np.abs(deltas) >= notable).all()
    assert (deltas[1:] * deltas[:-1] < 0).all()
    assert points == sorted(points)


def test_overlap() -> None:
    assert overlap((0, 10), (5, 20)) == 5
    assert overlap((0, 5), (7, 9)) == 0
