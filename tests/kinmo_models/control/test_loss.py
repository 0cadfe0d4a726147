"""What control learns from, and what is drawn for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from kinmo_models.control.batches import USUAL, PathBatch, draw_held
from kinmo_models.control.config import LossConfig
from kinmo_models.control.loss import ControlLoss, strayed
from kinmo_models.control.model import ControlModel, Sight, wanted_of
from kinmo_models.control.paths import JointPath
from kinmo_models.generation.model import PLACES, GeneratorModel
from kinmo_models.tokenizer.coder import Coder


def batch_of(coder: Coder) -> PathBatch:
    random = torch.Generator().manual_seed(4)
    lengths = torch.tensor([6, 9])
    tokens = torch.randint(16, (15, 3), generator=random)
    empty = wanted_of([JointPath.empty(24), JointPath.empty(36)], lengths, "cpu")
    sight = Sight(coder)
    joints = sight.joints(sight.embed(tokens, empty), empty)
    latents = torch.randn(2, PLACES[-1], 12, generator=random)
    return PathBatch(tokens, lengths, latents, torch.ones(2, PLACES[-1], dtype=torch.bool), joints)


def test_only_the_branches_learn_and_all_of_them(
    generator: GeneratorModel, branches: ControlModel, coder: Coder
):
    torch.manual_seed(0)
    for part in (branches.base, branches.residual):
        for link in part.links:
            torch.nn.init.normal_(link.weight, std=0.1)
    torch.nn.init.normal_(branches.decoder.link.weight, std=0.1)
    loss = ControlLoss(branches, generator, coder, LossConfig(draft=1.0)).train()
    assert not generator.training
    assert not coder.model.training
    terms = loss(batch_of(coder))
    assert set(terms) == {
        *("base/tokens", "base/path", "_base/error_m"),
        *("residual/tokens", "residual/path", "_residual/error_m"),
        *("decoder/path", "decoder/offset", "_decoder/error_m"),
    }
    sum(term for name, term in terms.items() if name[0] != "_").backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in branches.parameters())
    assert all(weight.grad is None for weight in (*generator.parameters(), *coder.model.parameters()))


def test_a_step_down_the_slope_brings_the_joints_nearer(
    generator: GeneratorModel, branches: ControlModel, coder: Coder
):
    loss = ControlLoss(branches, generator, coder, LossConfig(tokens=0.0, draft=0.0)).eval()
    batch = batch_of(coder)
    optimiser = torch.optim.Adam(branches.parameters(), 3e-3)

    def value() -> torch.Tensor:
        torch.manual_seed(11)  # what is hidden and held is the same each time
        terms = loss(batch)
        return torch.stack([terms[f"{name}/path"] for name in ("base", "residual", "decoder")])

    before = value().detach()
    for _ in range(12):
        optimiser.zero_grad()
        value().sum().backward()
        optimiser.step()
    after = value().detach()
    assert after[:2].sum() < 0.9 * before[:2].sum()
    assert after[2] < 0.9 * before[2]


def test_half_precision_learns_too(generator: GeneratorModel, branches: ControlModel, coder: Coder):
    loss = ControlLoss(branches, generator, coder, LossConfig()).train()
    with torch.autocast("cpu", torch.bfloat16):
        terms = loss(batch_of(coder))
    sum(term for name, term in terms.items() if name[0] != "_").backward()
    assert branches.decoder.link.weight.grad.isfinite().all()
    assert all(term.isfinite() for term in terms.values())


def test_what_is_held_lies_within_the_motion_and_is_never_nothing():
    lengths = torch.tensor([5, 40] * 200)
    held = draw_held(lengths, torch.Generator().manual_seed(0))
    assert held.shape == (400, 160, 22)
    assert held.flatten(1).any(1).all()
    assert not held[::2, 20:].any()
    assert torch.equal(held, draw_held(lengths, torch.Generator().manual_seed(0)))
    frames, joints = held.any(2).sum(1), held.any(1)
    assert 0.15 < float((frames == lengths * 4).float().mean()) < 0.4
    assert float((frames <= 5).float().mean()) > 0.2
    single = joints[joints.sum(1) == 1].float().argmax(1)
    assert set(USUAL) < set(single.tolist())
    assert np.isin(joints[joints.sum(1) > 1].nonzero()[:, 1].numpy(), USUAL).all()


def test_strayed_motions_are_in_stretches_another_ones():
    torch.manual_seed(0)
    lengths = torch.tensor([12, 8] * 100)
    tokens = torch.arange(12) < lengths[:, None]
    latents = (torch.arange(200.0)[:, None, None] + 1) * tokens[..., None]
    found = strayed(latents, tokens)[..., 0]
    changed = (found != latents[..., 0]) & tokens
    assert torch.equal(found[changed], latents.roll(1, 0)[..., 0][changed])
    assert not found[~tokens].any()  # and nothing comes from behind the other one's end
    edges = changed.int().diff(dim=1).abs().sum(1)
    assert (edges <= 2).all()
    shares = changed.sum(1) / tokens.sum(1)
    assert 0.15 < float((shares == 0).float().mean()) < 0.4
    assert 0.1 < float((shares[1::2] == 1).float().mean()) < 0.5


def test_batches_move_together_with_their_joints(coder: Coder):
    batch = batch_of(coder)
    moved = batch.to("cpu")
    assert isinstance(moved, PathBatch)
    assert torch.equal(moved.joints, batch.joints)
    assert len(replace(batch, lengths=batch.lengths[:1])) == 1
