"""L-BFGS for many small problems at once, each with its own memory, step and line search.

Motions are refined in one batch, but each is a problem of its own: what is found for it does not depend on
those beside it. Source: Nocedal and Wright, Numerical Optimization, algorithm 7.4, with a step that shrinks
until the value falls enough (Armijo).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

import torch
from torch import Tensor

# Values (B,) and gradients (B, D) at places (B, D).
Function: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
Told: TypeAlias = Callable[[int], None]  # the number of passes so far

_MEMORY: Final = 15  # pairs of steps and changes of gradient that are remembered
_ENOUGH: Final = 1e-4  # share of the fall that the slope promises
_SHRINK: Final = 0.35  # of a step that did not fall enough
_TINY: Final = 1e-30


def minimise(function: Function, start: Tensor, first_step: Tensor, passes: int, told: Told) -> Tensor:
    """Go down from a start, with a fixed number of evaluations.

    Args:
        function: evaluated once a pass.
        start: (B, D).
        first_step: (B, 1) length of the first step, before anything is known of the curvature.
        passes: evaluations, the one at the start among them.
        told: called after each pass.

    Returns:
        (B, D), for each problem the place with the lowest value of those that were tried.
    """
    x = start
    value, gradient = function(x)
    told(1)
    scale = first_step / gradient.norm(dim=1, keepdim=True).clamp(min=_TINY)
    memory = _Memory(scale)
    direction, length = memory.direction(gradient), torch.ones_like(scale)
    for number in range(2, passes + 1):
        tried = x + length * direction
        new_value, new_gradient = function(tried)
        fall = _ENOUGH * length * _dot(gradient, direction)
        taken = (new_value[:, None] <= value[:, None] + fall) & new_value.isfinite()[:, None]
        memory.add(torch.where(taken, tried - x, 0.0), torch.where(taken, new_gradient - gradient, 0.0))
        x, gradient = torch.where(taken, tried, x), torch.where(taken, new_gradient, gradient)
        value = torch.where(taken[:, 0], new_value, value)
        direction = torch.where(taken, memory.direction(gradient), direction)
        length = torch.where(taken, 1.0, _SHRINK * length)
        told(number)
    return x


class _Memory:
    """What the last steps say of the curvature, problem by problem."""

    def __init__(self, scale: Tensor) -> None:
        self._scale = scale
        self._pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=_MEMORY)

    def add(self, step: Tensor, change: Tensor) -> None:
        """Remember a step and the change of the gradient; of problems where they say nothing, nothing."""
        curvature, square = _dot(step, change), _dot(change, change)
        good = curvature > 1e-10 * square.clamp(min=_TINY)
        rate = torch.where(good, 1 / curvature.clamp(min=_TINY), 0.0)
        self._pairs.append((step, change, rate))
        self._scale = torch.where(good, curvature / square.clamp(min=_TINY), self._scale)

    def direction(self, gradient: Tensor) -> Tensor:
        """Give the way down: minus the gradient times an estimate of the inverse curvature (two loops)."""
        q, shares = gradient, []
        for step, change, rate in reversed(self._pairs):
            shares.append(rate * _dot(step, q))
            q = q - shares[-1] * change
        q = self._scale * q
        for (step, change, rate), share in zip(self._pairs, reversed(shares), strict=True):
            q = q + (share - rate * _dot(change, q)) * step
        uphill = _dot(q, gradient) <= 0
        return -torch.where(uphill, self._scale * gradient, q)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Products (B, 1) of rows."""
    return (a * b).sum(1, keepdim=True)
