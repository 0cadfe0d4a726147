import numpy as np
import pytest

from kinmo_annotate.schema.skeleton import JOINT, PARENTS, TARGET_OFFSETS


@pytest.fixture
def standing() -> np.ndarray:
    """A body (22, 3) that stands on the ground and faces +z, arms hanging."""
    body = np.zeros((22, 3))
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            body[joint] = body[parent] + TARGET_OFFSETS[joint]
    body[:, 1] -= body[:, 1].min()
    return body


@pytest.fixture
def walking(standing) -> np.ndarray:
    """A motion (12, 22, 3): the body glides forward by 1 m and its left hand rises."""
    joints = np.repeat(standing[None], 12, axis=0).astype(np.float32)
    joints[:, :, 2] += np.linspace(0, 1, 12)[:, None]
    joints[:, JOINT["left_wrist"], 1] += np.linspace(0, 0.5, 12)
    return joints
