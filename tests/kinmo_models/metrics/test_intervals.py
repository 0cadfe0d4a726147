"""Mean and interval of repeated measurements."""

from __future__ import annotations

import pytest

from kinmo_models.metrics.intervals import repeated


def test_three_runs_by_hand():
    """Standard deviation 1, t of 2 degrees of freedom 4.3027: 4.3027 / sqrt(3)."""
    found = repeated([1.0, 2.0, 3.0])
    assert (found.mean, found.runs) == (2.0, 3)
    assert found.interval == pytest.approx(2.4841, abs=1e-4)


def test_equal_runs_have_no_width_and_one_run_has_none():
    assert repeated([5.0, 5.0]).interval == 0
    assert repeated([5.0]).interval is None
