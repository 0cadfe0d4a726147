"""Errors along paths, equal to a plain version that counts point by point."""

from __future__ import annotations

import numpy as np
import pytest

from kinmo_models.metrics.control import control_errors, distances


def plain(joints, wanted, held):
    """Count as OmniControl does: points of each motion, then the mean over motions."""
    any_far, shares, means = {0.2: [], 0.5: []}, {0.2: [], 0.5: []}, []
    for motion in range(len(joints)):
        far = []
        for frame in range(len(joints[motion])):
            for joint in range(22):
                if held[motion][frame][joint]:
                    x, y, z = (
                        joints[motion][frame][joint][k] - wanted[motion][frame][joint][k] for k in range(3)
                    )
                    far.append((x * x + y * y + z * z) ** 0.5)
        for limit in any_far:
            missed = [one > limit for one in far]
            any_far[limit].append(any(missed))
            shares[limit].append(sum(missed) / len(missed))
        means.append(sum(far) / len(far))
    mean = lambda values: sum(values) / len(values)  # noqa: E731
    return [mean(any_far[k]) for k in any_far], [mean(shares[k]) for k in shares], mean(means)


def test_errors_are_those_of_a_plain_version():
    random = np.random.default_rng(0)
    joints = [random.normal(size=(t, 22, 3)) for t in (5, 9, 12)]
    wanted = [
        one + random.normal(0, scale, one.shape) for one, scale in zip(joints, (0.02, 0.2, 0.4), strict=True)
    ]
    held = [random.random(one.shape[:2]) < 0.2 for one in joints]
    found = control_errors(joints, wanted, held)
    trajectory, location, average = plain(joints, wanted, held)
    np.testing.assert_allclose(found.trajectory, trajectory)
    np.testing.assert_allclose(found.location, location)
    assert found.average_m == pytest.approx(average)
    assert found.motions == 3
    assert 0 < found.location[1] < found.location[0] < 1


def test_motions_without_a_path_are_left_out():
    joints = [np.zeros((3, 22, 3)), np.ones((3, 22, 3))]
    held = [np.zeros((3, 22), bool), np.ones((3, 22), bool)]
    found = control_errors(joints, [np.zeros((3, 22, 3))] * 2, held)
    assert (found.motions, found.trajectory, found.location) == (1, (1.0, 1.0), (1.0, 1.0))
    assert found.average_m == pytest.approx(3**0.5)
    with pytest.raises(ValueError, match="something is held"):
        control_errors(joints[:1], joints[:1], held[:1])
    assert distances(joints[0], joints[0], held[0]).shape == (0,)
