"""Which tokens are hidden."""

from __future__ import annotations

import math

import pytest
import torch

from kinmo_models.generation.masking import cosine_share, hide, lowest, owners


def test_the_lowest_of_each_motion_are_chosen():
    scores = torch.tensor([3.0, 1.0, 2.0, 0.5, 0.4, 9.0, 7.0])
    chosen = lowest(scores, owners(torch.tensor([3, 2, 2])), torch.tensor([2, 0, 1]))
    assert chosen.tolist() == [False, True, True, False, False, False, True]


def test_of_equal_scores_the_first_are_chosen():
    chosen = lowest(torch.zeros(6), owners(torch.tensor([4, 2])), torch.tensor([2, 1]))
    assert chosen.tolist() == [True, True, False, False, True, False]


@pytest.mark.parametrize("seed", range(5))
def test_the_choice_is_that_of_a_loop(seed: int):
    torch.manual_seed(seed)
    lengths = torch.randint(1, 9, (6,))
    counts = (lengths * torch.rand(6)).long()
    scores = torch.randint(4, (int(lengths.sum()),)).float()
    expected = []
    for part, count in zip(scores.split(lengths.tolist()), counts.tolist(), strict=True):
        order = sorted(range(len(part)), key=lambda place: (float(part[place]), place))
        expected += [place in order[:count] for place in range(len(part))]
    assert lowest(scores, owners(lengths), counts).tolist() == expected


def test_masked_shares_fall_as_a_cosine():
    shares = cosine_share(torch.tensor([0.0, 0.5, 1.0]))
    assert shares.tolist() == pytest.approx([1.0, math.sqrt(0.5), 0.0], abs=1e-6)


def test_hiding_keeps_to_its_shares():
    torch.manual_seed(0)
    lengths = torch.full((400,), 40)
    tokens = torch.randint(100, (16_000,))
    shown, hidden = hide(tokens, lengths, 100, random_token=0.1, kept_token=0.12)
    assert (shown[~hidden] == tokens[~hidden]).all()
    assert hidden.view(400, 40).sum(1).min() >= 1
    # E[cos(pi/2 u)] = 2/pi
    assert hidden.float().mean() == pytest.approx(2 / math.pi, abs=0.03)
    masked = (shown[hidden] == 100).float().mean()
    assert masked == pytest.approx(0.9 * 0.88, abs=0.02)
    changed = ((shown != tokens) & (shown != 100))[hidden].float().mean()
    assert changed == pytest.approx(0.1 * 0.99, abs=0.01)


def test_a_motion_of_one_token_is_hidden_whole():
    torch.manual_seed(0)
    _, hidden = hide(torch.tensor([3, 4]), torch.tensor([1, 1]), 8, 0.0, 0.0)
    assert hidden.all()
