"""Signals mean what their names say, in the person's own frame."""

from __future__ import annotations

import numpy as np
import pytest

from kinmo_annotate.schema.skeleton import FORWARD, JOINT, LATERAL, UP, mirror_joints
from kinmo_annotate.signals import Signals, measure, measure_many
from kinmo_annotate.sources.procedural import make_motion


@pytest.fixture(scope="module")
def standing() -> np.ndarray:
    """A standing body facing +z, (40, 22, 3)."""
    first = make_motion(0, 0).motion.joints[:1].astype(np.float64)
    return np.repeat(first, 40, axis=0)


def change(joints: np.ndarray, field: str, channel: str) -> float:
    x = measure(joints, 20.0).values[field, channel]
    return float(x[-1] - x[0])


def moved(standing: np.ndarray, name: str, axis: int, by: float) -> np.ndarray:
    joints = standing.copy()
    joints[20:, JOINT[name], axis] += by
    return joints


@pytest.mark.parametrize(
    ("name", "axis", "by", "field", "channel", "expected"),
    [
        ("left_wrist", UP, 0.4, "left_arm", "up", 0.4),
        ("left_wrist", LATERAL, 0.3, "left_arm", "out", 0.3),
        ("right_wrist", LATERAL, -0.3, "right_arm", "out", 0.3),
        ("right_wrist", FORWARD, 0.3, "right_arm", "forward", 0.3),
        ("left_ankle", UP, 0.2, "left_leg", "height", 0.2),
        ("right_ankle", LATERAL, -0.2, "right_leg", "out", 0.2),
    ],
)
def test_limbs(
    standing: np.ndarray, name: str, axis: int, by: float, field: str, channel: str, expected: float
) -> None:
    assert change(moved(standing, name, axis, by), field, channel) == pytest.approx(expected, abs=1e-6)


def test_travel_is_told_in_the_body_frame(standing: np.ndarray) -> None:
    path = np.linspace(0, 2, 40)
    ahead = standing.copy()
    ahead[..., FORWARD] += path[:, None]
    assert change(ahead, "torso", "forward") == pytest.approx(2, abs=0.15)
    quarter = np.array([[0, 0, -1.0], [0, 1, 0], [1, 0, 0]])  # turned to face +x
    assert change(ahead @ quarter, "torso", "forward") == pytest.approx(2, abs=0.15)
    assert change(ahead @ quarter, "torso", "left") == pytest.approx(0, abs=0.05)


def test_heading_grows_to_the_left(standing: np.ndarray) -> None:
    yaw = np.linspace(0, np.pi / 2, 40)
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    turning = standing.copy()
    x, z = standing[..., LATERAL], standing[..., FORWARD]
    turning[..., LATERAL], turning[..., FORWARD] = cos * x + sin * z, cos * z - sin * x
    assert change(turning, "torso", "heading") > 70


def test_the_mirror_exchanges_sides() -> None:
    joints = make_motion(2, 9).motion.joints.astype(np.float64)
    one, other = measure(joints, 20.0), measure(mirror_joints(joints), 20.0)
    for channel in ("up", "forward", "out", "flexion"):
        np.testing.assert_allclose(
            one.values["left_arm", channel], other.values["right_arm", channel], atol=1e-8
        )
    np.testing.assert_allclose(one.values["torso", "roll"], -other.values["torso", "roll"], atol=1e-8)


def test_all_signals_are_finite_for_degenerate_bodies() -> None:
    flat = np.zeros((10, 22, 3))
    signals: Signals = measure(flat, 20.0)
    assert all(np.isfinite(x).all() and x.shape == (10,) for x in signals.values.values())


def test_many_motions_are_measured_like_one() -> None:
    joints = [make_motion(3, index).motion.joints for index in range(12)]
    lying = joints[0][:, :, [1, 0, 2]]  # on the side: its heading needs more care
    joints = [*joints, lying, joints[1][:2], joints[2][:7]]
    for one, alone in zip(measure_many(joints, 20.0), (measure(j, 20.0) for j in joints), strict=True):
        assert one.values.keys() == alone.values.keys()
        for key, x in alone.values.items():
            np.testing.assert_allclose(one.values[key], x, atol=1e-6)
        for side, foot in alone.feet.items():
            np.testing.assert_allclose(one.feet[side], foot, atol=1e-6)
        np.testing.assert_allclose(one.lowest, [x.min() for x in one.values.values()], atol=1e-6)
        np.testing.assert_allclose(one.highest, [x.max() for x in one.values.values()], atol=1e-6)
    assert measure_many([], 20.0) == []
