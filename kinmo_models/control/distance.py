"""How far joints are from a path, differentiable (KinMo, Eq. 6)."""

from __future__ import annotations

from typing import Final

from torch import Tensor

_NEAR_M: Final = 0.01  # nearer than this a distance is counted by its square, so that its gradient ends at 0


def path_error(joints: Tensor, wanted: Tensor, held: Tensor, *, squared: bool = True) -> Tensor:
    """Mean squared distance of joints from where they are held (KinMo, Eq. 6), motion by motion.

    Args:
        joints: (B, T, 22, 3) recovered positions, metres.
        wanted: (B, T, 22, 3) the path's.
        held: (B, T, 22) where it holds a joint.
        squared: False gives the mean distance, which a few points far away do not rule.

    Returns:
        (B,) square metres, or metres; 0 for a motion of which nothing is held.
    """
    far = (joints - wanted).square().sum(-1)
    if not squared:
        far = (far + _NEAR_M**2).sqrt() - _NEAR_M
    return (far * held).sum((1, 2)) / held.sum((1, 2)).clamp(min=1)
