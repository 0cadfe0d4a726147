"""The loss terms: against what they say they are, over the frames that are there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from kinmo_annotate.schema.features import BLOCKS, features_to_joints, joints_to_features
from kinmo_annotate.schema.skeleton import GROUPS, PARENTS
from kinmo_models.data.statistics import Statistics
from kinmo_models.data.windows import Windows
from kinmo_models.tokenizer.config import LossConfig, ModelConfig, QuantiserConfig
from kinmo_models.tokenizer.loss import TokenizerLoss, perplexity
from kinmo_models.tokenizer.model import TokenizerModel

STATISTICS = Statistics(np.full(263, 0.1, np.float32), np.full(263, 0.2, np.float32))
WEIGHTS = LossConfig(reconstruction=2.0, positions=3.0, joints=5.0, commitment=7.0)


@pytest.fixture
def loss(begun) -> TokenizerLoss:
    """In eval mode."""
    sizes = ModelConfig(width=16, depth=1, code_width=8, levels=2, codes=8)
    return TokenizerLoss(begun(sizes, QuantiserConfig(temperature=0.0)), WEIGHTS, 0.0, STATISTICS).eval()


def decoded_alone(model: TokenizerModel, rows: torch.Tensor) -> torch.Tensor:
    return model.decoder(model.quantise(model.encoder(rows[None])).latents)[0]


def test_terms_are_means_over_the_frames_of_all_motions(loss, arm_motion):
    real = [STATISTICS.normalise(joints_to_features(arm_motion(n))[: 4 * k]) for n, k in ((2, 8), (5, 3))]
    features, lengths = torch.full((2, 32, 263), 4.0), torch.tensor([32, 12])
    for row, motion in zip(features, real, strict=True):
        row[: len(motion)] = torch.from_numpy(motion)
    with torch.no_grad():
        terms = loss(Windows(features, lengths))
        written = [decoded_alone(loss.model, torch.from_numpy(motion)) for motion in real]
    ours, theirs = torch.cat(written), torch.from_numpy(np.concatenate(real))
    where = BLOCKS["positions"]
    assert terms["reconstruction"].item() == pytest.approx(
        2 * F.smooth_l1_loss(ours, theirs).item(), rel=1e-4
    )
    positions = F.smooth_l1_loss(ours[:, where], theirs[:, where]).item()
    assert terms["positions"].item() == pytest.approx(3 * positions, rel=1e-4)
    gaps = [
        features_to_joints(STATISTICS.denormalise(a.numpy())) - features_to_joints(STATISTICS.denormalise(b))
        for a, b in zip(written, real, strict=True)
    ]
    assert terms["joints"].item() == pytest.approx(5 * float(np.abs(np.concatenate(gaps)).mean()), rel=1e-3)


def test_the_commitment_is_weighted_and_a_weight_of_zero_leaves_the_joints_out(loss):
    batch = Windows(torch.randn(4, 32, 263), torch.full((4,), 32))
    loss.train()
    terms = loss(batch)
    assert set(terms) == {"reconstruction", "positions", "joints", "commitment", "_perplexity"}
    assert terms["commitment"] > 0
    loss.config = LossConfig()
    assert "joints" not in loss(batch)


def test_levels_are_dropped_as_often_as_the_setting_says(loss):
    loss.train()
    loss._level_drop = 0.3
    drawn = [loss._draws_a_drop(torch.device("cpu")) for _ in range(400)]
    assert 80 < sum(drawn) < 160
    loss.eval()
    assert not any(loss._draws_a_drop(torch.device("cpu")) for _ in range(20))


def test_no_level_is_dropped_before_all_have_their_first_codes():
    model = TokenizerModel(ModelConfig(width=16, depth=1, code_width=8, levels=2, codes=8), QuantiserConfig())
    loss = TokenizerLoss(model, LossConfig(), 1.0, STATISTICS).train()
    loss(Windows(torch.randn(4, 32, 263), torch.full((4,), 32)))
    assert model.begun
    assert loss._draws_a_drop(torch.device("cpu"))


def test_perplexity_counts_the_codes_in_use():
    assert perplexity(torch.tensor([3, 3, 3]), 8).item() == pytest.approx(1)
    assert perplexity(torch.tensor([[0, 1], [2, 3], [-1, -1]]), 8).item() == pytest.approx(4)
    assert 1 < perplexity(torch.tensor([0, 0, 0, 1]), 8).item() < 2


def test_bones_are_compared_by_direction_and_groups_count_alike(loss, arm_motion):
    rows = torch.from_numpy(STATISTICS.normalise(joints_to_features(arm_motion(2))[:32]))
    loss.config = LossConfig(bones=11.0)
    with torch.no_grad():
        terms = loss(Windows(rows[None], torch.tensor([32])))
        written = decoded_alone(loss.model, rows).numpy()
    assert set(terms) == {"reconstruction", "positions", "bones", "commitment", "_perplexity"}
    bones = []
    for motion in (written, rows.numpy()):
        row = STATISTICS.denormalise(motion)
        joints = np.zeros((32, 22, 3))
        joints[:, 0, 1] = row[:, BLOCKS["root_height"].start]
        joints[:, 1:] = row[:, BLOCKS["positions"]].reshape(32, 21, 3)
        bones.append({joint: joints[:, joint] - joints[:, PARENTS[joint]] for joint in range(1, 22)})
    ours, theirs = bones
    gap = {
        joint: np.mean(((ours[joint] - theirs[joint]) / np.linalg.norm(theirs[joint], axis=-1)[:, None]) ** 2)
        for joint in ours
    }
    of_group = [np.mean([gap[joint] for joint in joints if joint]) for joints in GROUPS.values()]
    assert terms["bones"].item() == pytest.approx(11 * np.mean(of_group), rel=1e-4)
