"""Recovery of joints in torch: equal to numpy's, and its gradients to finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinmo_annotate.schema import features as schema
from kinmo_models.motion.recovery import features_to_joints


def made_up(*shape: int) -> np.ndarray:
    """Feature rows of a body that turns and travels."""
    rows = np.random.default_rng(0).normal(size=(*shape, 263)) * 0.3
    return rows.astype(np.float64)


def test_it_gives_the_joints_of_the_schema(arm_motion):
    real = schema.joints_to_features(arm_motion(3))
    for rows in (real, made_up(40), made_up(2, 3, 40)):
        found = features_to_joints(torch.from_numpy(rows))
        assert found.shape == (*rows.shape[:-1], 22, 3)
        np.testing.assert_allclose(found.numpy(), schema.features_to_joints(rows), atol=2e-5)


def test_what_it_recovers_is_the_motion_itself(arm_motion):
    joints = schema.canonical_joints(arm_motion(2))
    found = features_to_joints(torch.from_numpy(schema.joints_to_features(joints)))
    np.testing.assert_allclose(found.numpy(), joints[:-1], atol=1e-5)


def test_gradients_are_those_of_finite_differences():
    rows = torch.from_numpy(made_up(6)).requires_grad_()
    used = torch.zeros(263, dtype=torch.bool)
    used[: schema.BLOCKS["positions"].stop] = True
    assert torch.autograd.gradcheck(lambda x: features_to_joints(torch.where(used, x, 0.0)), (rows,))
    (gradient,) = torch.autograd.grad(features_to_joints(rows)[-1].sum(), rows)
    assert gradient[0, 0] != 0  # the first turn moves what comes after it
    assert (gradient[:, ~used] == 0).all()


def test_half_precision_is_summed_in_single():
    rows = torch.from_numpy(made_up(12)).bfloat16()
    found = features_to_joints(rows)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, features_to_joints(rows.float()))


def test_another_width_is_refused():
    with pytest.raises(ValueError, match=r"not \(\.\.\., T, 263\)"):
        features_to_joints(torch.zeros(4, 251))
