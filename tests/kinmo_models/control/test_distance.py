"""Eq. 6: its value, and its gradients through recovery and decoder against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinmo_annotate.schema.features import NUM_FEATURES
from kinmo_annotate.schema.features import features_to_joints as in_numpy
from kinmo_models.control.distance import asked_of_features, bridged, path_error
from kinmo_models.motion.recovery import features_to_joints, headings, to_facing
from kinmo_models.tokenizer.coder import Coder


def made_up(frames: int = 12, motions: int = 2) -> torch.Tensor:
    random = torch.Generator().manual_seed(2)
    return 0.3 * torch.randn(motions, frames, NUM_FEATURES, generator=random, dtype=torch.float64)


def test_the_way_between_held_frames_runs_straight():
    way, held = torch.zeros(1, 8, 22, 3), torch.zeros(1, 8, 22, dtype=torch.bool)
    way[0, :, 3] = 99.0
    held[0, [2, 5], 3] = True
    way[0, 2, 3], way[0, 5, 3] = torch.tensor([4.0, 0.0, -2.0]), torch.tensor([1.0, 0.0, 4.0])
    found = bridged(way, held)
    assert found[0, :, 3, 0].tolist() == [0.0, 2.0, 4.0, 3.0, 2.0, 1.0, 1.0, 1.0]
    assert found[0, :, 3, 2].tolist() == pytest.approx([0.0, -1.0, -2.0, 0.0, 2.0, 4.0, 4.0, 4.0], abs=1e-6)
    assert not found[0, :, :3].any()
    assert not found[0, :, 4:].any()
    held[0, 0, 3] = True  # the first frame itself may be held
    assert bridged(way, held)[0, :3, 3, 0].tolist() == [99.0, 51.5, 4.0]
    assert torch.equal(bridged(way, torch.ones_like(held)), way)


@pytest.mark.parametrize("joints", [[0], [20, 21], [0, 7, 15]])
def test_joints_would_go_their_way_if_features_changed_as_asked(joints: list[int]):
    rows, way, held = made_up(), torch.zeros(2, 12, 22, 3).double(), torch.zeros(2, 12, 22, dtype=torch.bool)
    rows[..., 0] = 0  # no turn: the frame that the body faces is the world
    random = torch.Generator().manual_seed(3)
    way[:, :, joints] = 0.1 * torch.randn(2, 12, len(joints), 3, generator=random, dtype=torch.float64)
    way[:, 0, 0, ::2] = 0  # every motion begins with its pelvis at the origin
    held[:, 5, joints] = True
    change = torch.cat([way.diff(dim=1), torch.zeros_like(way[:, :1])], 1)
    asked = asked_of_features(torch.cat([way, change], -1), held)
    gone = features_to_joints(rows + asked) - features_to_joints(rows)
    torch.testing.assert_close(gone[:, :, joints], way[:, :, joints])


def test_it_is_the_mean_square_over_what_is_held():
    joints, wanted = torch.zeros(2, 3, 22, 3), torch.zeros(2, 3, 22, 3)
    held = torch.zeros(2, 3, 22, dtype=torch.bool)
    wanted[0, 1, 4] = torch.tensor([0.0, 3.0, 4.0])
    held[0, 1, 4] = held[0, 2, 0] = True
    torch.testing.assert_close(path_error(joints, wanted, held), torch.tensor([12.5, 0.0]))
    near = path_error(joints, wanted, held, squared=False)
    torch.testing.assert_close(near, torch.tensor([2.5, 0.0]), atol=0.01, rtol=0)


def test_gradients_by_features_are_those_of_finite_differences():
    features, held = made_up().requires_grad_(), torch.rand(2, 12, 22) < 0.2
    wanted = torch.randn(2, 12, 22, 3, dtype=torch.float64)

    def error(rows: torch.Tensor) -> torch.Tensor:
        return path_error(features_to_joints(rows), wanted, held)

    assert torch.autograd.gradcheck(error, (features,), fast_mode=True)


def test_gradients_through_the_decoder_are_those_of_finite_differences(coder: Coder):
    coder.model.double()
    held, wanted = torch.rand(1, 16, 22) < 0.2, torch.randn(1, 16, 22, 3, dtype=torch.float64)
    mean, std = (torch.from_numpy(one).double() for one in (coder.statistics.mean, coder.statistics.std))

    def error(latents: torch.Tensor) -> torch.Tensor:
        rows = coder.decode_latents(latents) * std + mean
        return path_error(features_to_joints(rows), wanted, held).sum()

    latents = torch.randn(1, 4, coder.width, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(error(latents), latents)
    step = 1e-6
    for place, number in ((0, 0), (1, 3), (3, coder.width - 1)):
        apart = torch.zeros_like(latents)
        apart[0, place, number] = step
        with torch.no_grad():
            slope = (error(latents + apart) - error(latents - apart)) / (2 * step)
        torch.testing.assert_close(slope, gradient[0, place, number], rtol=1e-4, atol=1e-8)


def test_recovered_positions_are_those_of_numpy():
    features = made_up(frames=40).numpy()
    for rows in features:
        np.testing.assert_allclose(
            features_to_joints(torch.from_numpy(rows)).numpy(), in_numpy(rows), atol=1e-5
        )


def test_vectors_are_turned_into_the_frame_that_the_body_faces():
    features = made_up()
    joints, heading = features_to_joints(features), headings(features)
    local = to_facing(joints - joints[..., :1, :], heading[..., None])
    bones = features[..., 4:67].unflatten(-1, (21, 3))
    torch.testing.assert_close(local[..., 1:, ::2], bones[..., ::2])  # features hold x and z so
