"""L-BFGS for many problems at once."""

from __future__ import annotations

import torch

from kinmo_models.control.lbfgs import minimise


def bowl(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A badly scaled bowl, least where all numbers are 1; its axes differ a hundredfold."""
    scale = torch.logspace(-1, 1, x.shape[1], dtype=x.dtype)
    return (scale * (x - 1) ** 2).sum(1), 2 * scale * (x - 1)


def test_a_bowl_is_minimised_in_a_few_dozen_evaluations():
    passes: list[int] = []
    start = torch.zeros(3, 20, dtype=torch.float64)
    found = minimise(bowl, start, torch.full((3, 1), 0.1, dtype=torch.float64), 60, passes.append)
    assert passes == list(range(1, 61))
    torch.testing.assert_close(found, torch.ones_like(found), atol=1e-3, rtol=0)


def test_a_problem_does_not_depend_on_those_beside_it():
    random = torch.Generator().manual_seed(0)
    start = 100 * torch.randn(3, 8, generator=random, dtype=torch.float64)
    step = torch.full((3, 1), 0.1, dtype=torch.float64)
    together = minimise(bowl, start, step, 15, lambda _: None)
    alone = minimise(bowl, start[1:2], step[1:2], 15, lambda _: None)
    torch.testing.assert_close(together[1:2], alone)


def test_it_never_ends_higher_than_it_began():
    def cliff(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Falls to a wall behind which there is nothing finite."""
        value = torch.where(x[:, 0] < 0.5, 1 - x[:, 0], torch.inf)
        return value, -torch.ones_like(x)

    found = minimise(cliff, torch.zeros(1, 1), torch.full((1, 1), 0.3), 20, lambda _: None)
    assert 0.3 <= float(found) < 0.5


def test_where_the_slope_is_nothing_nothing_moves():
    flat = minimise(
        lambda x: (torch.zeros(len(x)), torch.zeros_like(x)),
        torch.ones(2, 4),
        torch.ones(2, 1),
        5,
        lambda _: None,
    )
    torch.testing.assert_close(flat, torch.ones(2, 4))
