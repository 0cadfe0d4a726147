"""Mean and 95 % interval of a figure that was measured several times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True, slots=True)
class Repeated:
    """A figure over several runs: its mean, and how far the 95 % interval reaches on either side.

    `interval` is None where it was measured once.
    """

    mean: float
    interval: float | None
    runs: int


def repeated(values: Sequence[float]) -> Repeated:
    """Give the mean and its 95 % interval by Student's t: few runs make a wide interval.

    Args:
        values: the figure of each run, at least one.
    """
    count = len(values)
    if count < 2:
        return Repeated(float(values[0]), None, count)
    spread = float(np.std(values, ddof=1))
    reach = float(stats.t.ppf(0.975, count - 1)) * spread / math.sqrt(count)
    return Repeated(float(np.mean(values)), reach, count)
