"""What control is held against: how far joints are from where a path wants them (KinMo, Eq. 6)."""

from __future__ import annotations

from torch import Tensor


def path_error(joints: Tensor, wanted: Tensor, held: Tensor) -> Tensor:
    """Mean squared distance of joints from where they are held (KinMo, Eq. 6), motion by motion.

    Args:
        joints: (B, T, 22, 3) recovered positions, metres.
        wanted: (B, T, 22, 3) the path's.
        held: (B, T, 22) where it holds a joint.

    Returns:
        (B,) square metres; 0 for a motion of which nothing is held.
    """
    squares = (joints - wanted).square().sum(-1) * held
    return squares.sum((1, 2)) / held.sum((1, 2)).clamp(min=1)
