"""How far joints are from a path, differentiable (KinMo, Eq. 6), and what that asks of the frames between."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from kinmo_annotate.schema.features import BLOCKS, NUM_FEATURES

_NEAR_M: Final = 0.01  # nearer than this a distance is counted by its square, so that its gradient ends at 0
_REACH_M: Final = 0.5  # farther than this a joint's place beside the pelvis is not changed along any axis


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


def bridged(way: Tensor, held: Tensor) -> Tensor:
    """Spread the way to a path over the frames in which it holds nothing.

    Between two frames in which a joint is held its way runs straight from one to the other; before the first
    it grows from nothing at frame 0, where every motion begins; after the last it stays.

    Args:
        way: (B, T, 22, 3) what joints lack to be where they are held.
        held: (B, T, 22) where that is.

    Returns:
        (B, T, 22, 3); 0 for a joint that is never held.
    """
    frames = way.shape[1]
    place = torch.arange(frames, device=way.device)[None, :, None].expand(held.shape)
    before = torch.where(held, place, -1).cummax(1).values
    after = torch.where(held, place, frames).flip(1).cummin(1).values.flip(1)

    def at(frame: Tensor, there: Tensor) -> Tensor:
        index = frame.clamp(0, frames - 1)[..., None].expand(way.shape)
        return way.gather(1, index) * there[..., None]

    begun, ends = before >= 0, after < frames
    first, last = at(before, begun), at(after, ends)
    start = before.clamp(min=0)
    share = (place - start) / (after - start).clamp(min=1)
    between = torch.lerp(first, last, share[..., None].to(way.dtype))
    return torch.where(ends[..., None], between, first)


def asked_of_features(way: Tensor, held: Tensor) -> Tensor:
    """Say how features would have to change for joints to go their way, were features free.

    Over the ground, the way of the pelvis, or else what the held joints have in common, is asked of the
    pelvis's velocity, which carries all joints from where it begins; the rest, and heights, of each held
    joint's own place. Nothing is asked of other joints and of rotations: no body moves like that, but what
    encodes it sees where to.

    Args:
        way: (B, T, 22, 6) of `Sight.way`; 0 for a joint that is never held.
        held: (B, T, 22) where a joint is held.

    Returns:
        (B, T, 263), not normalised.
    """
    ever = held.any(1)[:, None, :, None].to(way.dtype)
    common = (way * ever).sum(2) / ever.sum(2).clamp(min=1)
    common = torch.where(ever[:, :, 0] > 0, way[:, :, 0], common)
    change = way.new_zeros(*way.shape[:2], NUM_FEATURES)
    change[..., BLOCKS["root_velocity"]] = common[..., [3, 5]]
    change[..., BLOCKS["root_height"]] = way[..., 0, 1:2]
    carried = (common[..., :3] - common[:, :1, :3]) * way.new_tensor([1.0, 0.0, 1.0])
    own = ((way[..., :3] - carried[..., None, :]) * ever).clamp(-_REACH_M, _REACH_M)
    change[..., BLOCKS["positions"]] = own[..., 1:, :].flatten(2)
    return change
