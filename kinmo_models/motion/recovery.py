"""Joint positions from HumanML3D features, differentiable: losses on joints reach the features through it.

The arithmetic is that of `kinmo_annotate.schema.features.features_to_joints` (HumanML3D, recovery "from
ric"). Frame of reference: metres, y up; a motion starts at the origin and faces +z.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from kinmo_annotate.schema.features import BLOCKS, NUM_FEATURES
from kinmo_annotate.schema.skeleton import NUM_JOINTS


def features_to_joints(features: Tensor) -> Tensor:
    """Recover positions from the root and position blocks.

    Sums run over the whole motion, so half precision is brought to float32 first.

    Args:
        features: (..., T, 263), not normalised.

    Returns:
        (..., T, 22, 3) metres, float64 where the features are, else float32.

    Raises:
        ValueError: the last axis is not 263 wide.
    """
    if features.ndim < 2 or features.shape[-1] != NUM_FEATURES:
        raise ValueError(f"features have shape {tuple(features.shape)}, not (..., T, {NUM_FEATURES})")
    rows = features if features.dtype == torch.float64 else features.float()
    heading = headings(rows)
    cosine, sine = heading.cos(), heading.sin()
    velocity = torch.zeros_like(rows[..., _VELOCITY])
    velocity[..., 1:, :] = rows[..., :-1, _VELOCITY]
    # steps are in the frame that faces the heading after them
    root = torch.stack(_turned(velocity[..., 0], velocity[..., 1], cosine, sine), -1).cumsum(-2)
    local = rows[..., _POSITIONS].unflatten(-1, (NUM_JOINTS - 1, 3))
    x, z = _turned(local[..., 0], local[..., 2], cosine[..., None], sine[..., None])
    others = torch.stack([x + root[..., :1], local[..., 1], z + root[..., 1:]], -1)
    pelvis = torch.stack([root[..., 0], rows[..., _HEIGHT][..., 0], root[..., 1]], -1)
    return torch.cat([pelvis[..., None, :], others], -2)


def headings(features: Tensor) -> Tensor:
    """Recover where the body faces: angles (..., T) about y from +z at first, of features (..., T, 263).

    A facing frame's components become the world's by turning them by minus this angle.
    """
    return 2 * _sum_before(features[..., _YAW])[..., 0]


def to_facing(vectors: Tensor, heading: Tensor) -> Tensor:
    """Turn vectors (..., 3) of the world into the frame that the body faces, whose heading is (...)."""
    x, z = _turned(vectors[..., 0], vectors[..., 2], heading.cos(), -heading.sin())
    return torch.stack([x, vectors[..., 1], z], -1)


_YAW: Final = BLOCKS["root_yaw_velocity"]
_VELOCITY: Final = BLOCKS["root_velocity"]
_HEIGHT: Final = BLOCKS["root_height"]
_POSITIONS: Final = BLOCKS["positions"]


def _turned(x: Tensor, z: Tensor, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor]:
    """Turn ground components from the facing frame to the world: by minus the heading about y."""
    return cosine * x - sine * z, sine * x + cosine * z


def _sum_before(values: Tensor) -> Tensor:
    """Sum over the rows before each row, along the second last axis."""
    total = torch.zeros_like(values)
    total[..., 1:, :] = values[..., :-1, :].cumsum(-2)
    return total
