"""The learning rate over the steps."""

from __future__ import annotations

import math

import pytest

from kinmo_models.training.config import TrainingConfig
from kinmo_models.training.schedule import learning_rate


def test_warm_up_rises_in_equal_steps_to_the_whole_rate() -> None:
    config = TrainingConfig(learning_rate=0.8, warmup_steps=4)
    assert [learning_rate(config, step, 10) for step in range(6)] == pytest.approx(
        [0.2, 0.4, 0.6, 0.8, 0.8, 0.8]
    )


def test_cosine_halves_midway_and_ends_near_nothing() -> None:
    config = TrainingConfig(learning_rate=2.0, schedule="cosine", warmup_steps=10)
    rates = [learning_rate(config, step, 110) for step in range(110)]
    assert rates[10] == 2.0
    assert rates[60] == pytest.approx(1.0)
    assert rates[109] == pytest.approx(1 + math.cos(math.pi * 0.99))
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_multistep_falls_at_its_milestones() -> None:
    config = TrainingConfig(learning_rate=1.0, schedule="multistep", milestones=(0.5, 0.8), gamma=0.1)
    rates = [learning_rate(config, step, 10) for step in range(10)]
    assert rates == pytest.approx([1.0] * 5 + [0.1] * 3 + [0.01] * 2)
