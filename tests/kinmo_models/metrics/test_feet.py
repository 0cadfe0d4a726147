"""Foot skating of feet whose way is known."""

from __future__ import annotations

import numpy as np
import pytest

from kinmo_annotate.schema.skeleton import GROUND, JOINT, UP
from kinmo_models.metrics.feet import foot_skating_ratio, skating


def walk(speed: float, height: float = 0.02, frames: int = 21, foot: str = "left_foot") -> np.ndarray:
    """Joints that stand high and still, but for one foot at a speed in m/s along x."""
    joints = np.zeros((frames, 22, 3))
    joints[..., UP] = 1.0
    joints[:, JOINT[foot], UP] = height
    joints[:, JOINT[foot], GROUND[0]] = np.arange(frames) * speed / 20
    return joints


@pytest.mark.parametrize("foot", ["left_foot", "right_foot"])
def test_a_low_fast_foot_slides(foot: str):
    assert foot_skating_ratio([walk(1.0, foot=foot)]) == 1.0


@pytest.mark.parametrize("motion", [walk(0.4), walk(1.0, height=0.06), walk(1.0, foot="left_ankle")])
def test_a_slow_or_high_foot_does_not(motion: np.ndarray):
    assert foot_skating_ratio([motion]) == 0.0


def test_both_frames_of_a_transition_have_to_be_low():
    motion = walk(1.0)
    motion[10, JOINT["left_foot"], UP] = 0.06
    assert np.flatnonzero(~skating(motion)).tolist() == [9, 10]


def test_the_speed_has_to_last():
    """One jump of 10 cm in one transition: 2 m/s there, 0.4 m/s over five."""
    motion = walk(0.0)
    motion[10:, JOINT["left_foot"], GROUND[1]] = 0.1
    assert not skating(motion).any()
    motion[10:, JOINT["left_foot"], GROUND[1]] = 0.2
    assert np.flatnonzero(skating(motion)).tolist() == [9]


def test_beyond_the_ends_the_speed_is_zero():
    """0.6 m/s: over five transitions of which three or four are there, the average is 0.36 or 0.48."""
    assert np.flatnonzero(~skating(walk(0.6, frames=11))).tolist() == [0, 1, 8, 9]


def test_the_ratio_is_the_mean_over_motions_of_any_length():
    assert foot_skating_ratio([walk(1.0), walk(0.0, frames=100)]) == 0.5


def test_no_motion_and_single_frames_are_refused():
    with pytest.raises(ValueError, match="needs a motion"):
        foot_skating_ratio([])
    with pytest.raises(ValueError, match="two or more frames"):
        foot_skating_ratio([np.zeros((1, 22, 3))])
