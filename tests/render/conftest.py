import numpy as np
import pytest

from kinmo_annotate.schema.skeleton import JOINT


@pytest.fixture
def standing(arm_motion) -> np.ndarray:
    """A body (22, 3) that stands on the ground and faces +z, arms hanging."""
    return arm_motion(0)[0].astype(float)


@pytest.fixture
def walking(standing) -> np.ndarray:
    """A motion (12, 22, 3): the body glides forward by 1 m and its left hand rises."""
    joints = np.repeat(standing[None], 12, axis=0).astype(np.float32)
    joints[:, :, 2] += np.linspace(0, 1, 12)[:, None]
    joints[:, JOINT["left_wrist"], 1] += np.linspace(0, 0.5, 12)
    return joints
