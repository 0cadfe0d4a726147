"""The learning rate as a function of the step, so that nothing of it has to be stored."""

from __future__ import annotations

import math

from kinmo_models.training.config import TrainingConfig


def learning_rate(config: TrainingConfig, step: int, steps: int) -> float:
    """Give the learning rate of a step.

    Args:
        config: warm-up, schedule and the highest value.
        step: steps taken before, from 0.
        steps: of the whole training.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "cosine":
        share = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
    if config.schedule == "multistep":
        passed = sum(step >= milestone * steps for milestone in config.milestones)
        return config.learning_rate * config.gamma**passed
    return config.learning_rate
