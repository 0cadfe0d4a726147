"""Figures of decoded motions: against the same, a shifted and a turned motion."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from kinmo_annotate.schema.features import BLOCKS, joints_to_features
from kinmo_models.data.statistics import Statistics
from kinmo_models.tokenizer.evaluate import Rebuilt, measure, rebuild

STATISTICS = Statistics(np.zeros(263, np.float32), np.full(263, 0.5, np.float32))
CODER = SimpleNamespace(statistics=STATISTICS, codes=8, unit=4)


def rebuilt(real: list[np.ndarray], decoded: list[np.ndarray]) -> Rebuilt:
    tokens = [np.arange(len(one) // 4 * 2).reshape(-1, 2) % 8 for one in real]
    return Rebuilt(real, [one.astype(np.int16) for one in tokens], decoded)


@pytest.fixture
def real(arm_motion) -> list[np.ndarray]:
    return [joints_to_features(arm_motion(0))[:28], joints_to_features(arm_motion(2))[:12]]


def test_what_comes_back_unchanged_has_no_error(real):
    found = measure(CODER, rebuilt(real, real))
    assert (found.motions, found.frames) == (2, 40)
    assert found.joint_error_mm == found.root_aligned_error_mm == found.reconstruction == 0


def test_a_higher_pelvis_counts_in_the_world_and_moves_all_else_when_aligned(real):
    """The pelvis is 0.11 m too high in one of two motions: one joint of 22 is off, or the other 21 are."""
    changed = [one.copy() for one in real]
    changed[0][:, BLOCKS["root_height"]] += 0.11
    found = measure(CODER, rebuilt(real, changed))
    assert found.joint_error_mm == pytest.approx(110 / 22 * 28 / 40, rel=1e-3)
    assert found.root_aligned_error_mm == pytest.approx(110 * 21 / 22 * 28 / 40, rel=1e-3)
    assert found.reconstruction == pytest.approx(0.5 * 0.22**2 / 263 * 28 / 40, rel=1e-3)


def test_a_path_that_leads_astray_counts_in_the_world_alone(real):
    changed = [one.copy() for one in real]
    changed[1][:, BLOCKS["root_velocity"]] += [0.01, 0.0]
    found = measure(CODER, rebuilt(real, changed))
    assert found.joint_error_mm == pytest.approx(10 * np.arange(12).sum() / 40, rel=1e-3)
    assert found.root_aligned_error_mm == pytest.approx(0, abs=1e-3)


def test_codes_in_use_are_counted_by_level(real):
    found = measure(CODER, rebuilt(real, real))
    assert len(found.perplexity) == 2
    assert all(1 < value <= 4.001 for value in found.perplexity)  # even codes at one level, odd at the other


def test_motions_are_cut_to_whole_tokens_and_those_without_one_left_out(real):
    class Coder:
        unit = 4

        def encode(self, motions):
            return [np.zeros((len(one) // 4, 2), np.int16) for one in motions]

        def decode(self, tokens):
            return [np.zeros((4 * len(one), 263), np.float32) for one in tokens]

    found = rebuild(Coder(), [real[0][:27], real[0][:3], real[1]])
    assert [len(one) for one in found.real] == [len(one) for one in found.decoded] == [24, 12]
    with pytest.raises(ValueError, match="no motion"):
        measure(CODER, rebuild(Coder(), [real[0][:3]]))
