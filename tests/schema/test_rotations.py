from itertools import permutations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinmo_annotate.schema import rotations as rot


@pytest.fixture
def turns() -> Rotation:
    return Rotation.random(400, random_state=3)


def wxyz(rotation: Rotation) -> np.ndarray:
    return rotation.as_quat(scalar_first=True)


def same_quats(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.allclose(np.abs((a * b).sum(-1)), 1.0, atol=1e-12))


def test_quaternion_product_and_rotation_equal_scipy(turns: Rotation) -> None:
    other = Rotation.random(400, random_state=4)
    vectors = np.random.default_rng(0).normal(size=(400, 3))
    assert same_quats(rot.quat_multiply(wxyz(turns), wxyz(other)), wxyz(turns * other))
    np.testing.assert_allclose(rot.quat_rotate(wxyz(turns), vectors), turns.apply(vectors), atol=1e-12)
    np.testing.assert_allclose(
        rot.quat_rotate(rot.quat_conjugate(wxyz(turns)), vectors), turns.inv().apply(vectors), atol=1e-12
    )


def test_conversions_equal_scipy(turns: Rotation) -> None:
    matrices = turns.as_matrix()
    np.testing.assert_allclose(rot.quat_to_matrix(wxyz(turns)), matrices, atol=1e-12)
    assert same_quats(rot.matrix_to_quat(matrices), wxyz(turns))
    np.testing.assert_allclose(rot.matrix_to_axis_angle(matrices), turns.as_rotvec(), atol=1e-9)
    np.testing.assert_allclose(rot.axis_angle_to_matrix(turns.as_rotvec()), matrices, atol=1e-12)


def test_matrix_to_quat_holds_at_half_turns_and_identity() -> None:
    vectors = np.pi * np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.8, 0], [0, 0.6, -0.8], [0, 0, 0]])
    matrices = Rotation.from_rotvec(vectors).as_matrix()
    np.testing.assert_allclose(rot.quat_to_matrix(rot.matrix_to_quat(matrices)), matrices, atol=1e-12)


def test_sixd_is_the_first_two_columns_and_comes_back(turns: Rotation) -> None:
    matrices = turns.as_matrix()
    sixd = rot.matrix_to_sixd(matrices)
    np.testing.assert_array_equal(sixd[7], [*matrices[7, :, 0], *matrices[7, :, 1]])
    np.testing.assert_allclose(rot.sixd_to_matrix(sixd), matrices, atol=1e-12)
    skewed = sixd + np.concatenate([np.zeros_like(sixd[:, :3]), 0.3 * sixd[:, :3]], axis=1)
    np.testing.assert_allclose(rot.sixd_to_matrix(2 * skewed), matrices, atol=1e-12)


@pytest.mark.parametrize("order", ["".join(p) for p in permutations("xyz")])
def test_euler_angles_of_every_order_equal_scipy(turns: Rotation, order: str) -> None:
    angles = rot.matrix_to_euler(turns.as_matrix(), order)
    np.testing.assert_allclose(angles, turns.as_euler(order.upper()), atol=1e-9)
    np.testing.assert_allclose(rot.euler_to_matrix(angles, order), turns.as_matrix(), atol=1e-12)


@pytest.mark.parametrize("order", ["".join(p) for p in permutations("xyz")])
@pytest.mark.parametrize("middle", [np.pi / 2, -np.pi / 2])
def test_euler_angles_hold_at_gimbal_lock(order: str, middle: float) -> None:
    matrices = rot.euler_to_matrix([[0.4, middle, -1.1], [2.0, middle, 0.3]], order)
    again = rot.euler_to_matrix(rot.matrix_to_euler(matrices, order), order)
    np.testing.assert_allclose(again, matrices, atol=1e-7)


def test_euler_to_matrix_takes_fewer_axes() -> None:
    np.testing.assert_allclose(rot.euler_to_matrix([[0.3]], "y"), rot.yaw_matrix([0.3]), atol=1e-15)
    np.testing.assert_allclose(rot.yaw_matrix(np.pi / 2) @ [0, 0, 1], [1, 0, 0], atol=1e-15)


def test_between_is_the_shortest_arc_also_for_equal_and_opposite_directions() -> None:
    a = np.array([[1, 0, 0], [0, 0, -1], [0, 2, 0], [1, 2, 3], [1, 2, 3], [0.1, 1, 0]], dtype=float)
    b = np.array([[1, 0, 0], [0, 0, 1], [0, -3, 0], [-1, -2, -3], [3, -1, 0.5], [0, 1, 0]], dtype=float)
    q = rot.quat_between(a, b)
    np.testing.assert_allclose(rot.quat_rotate(q, rot.normalise(a)), rot.normalise(b), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(q, axis=-1), 1.0)
    assert (q[:, 0] >= 0).all()
    np.testing.assert_allclose(q[1], [0, 0, 1, 0], atol=1e-12)  # facing backwards turns about the vertical
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(rot.quat_between(np.zeros(3), [0, 0, 1.0]), rot.IDENTITY)


def test_slerp_equals_scipy_and_takes_the_short_way(turns: Rotation) -> None:
    from scipy.spatial.transform import Slerp

    pair = turns[:2]
    path = Slerp([0, 1], pair)(np.linspace(0, 1, 11))
    quats = wxyz(pair)
    for sign in (1, -1):
        mine = rot.slerp(
            np.repeat(quats[:1], 11, 0), np.repeat(sign * quats[1:], 11, 0), np.linspace(0, 1, 11)
        )
        assert same_quats(mine, wxyz(path))
    assert same_quats(rot.slerp(quats, quats, 0.5), quats)
    assert same_quats(rot.resample_quats(quats, np.linspace(0, 1, 11)), wxyz(path))


def test_resample_clamps_and_keeps_whole_frames(turns: Rotation) -> None:
    quats = wxyz(turns).reshape(20, 20, 4)
    sampled = rot.resample_quats(quats, [-3, 0, 4, 19, 50])
    assert same_quats(sampled, quats[[0, 0, 4, 19, 19]])
    assert same_quats(rot.resample_quats(quats[:1], [0, 0.5]), quats[[0, 0]])


def test_unwrapped_euler_angles_do_not_jump_and_mean_the_same() -> None:
    t = np.linspace(0, 1, 200)
    angles = np.stack([9 * t, 2.5 * t, -7 * t], axis=-1)  # the middle angle leaves its +-90 degrees
    matrices = rot.euler_to_matrix(angles, "zxy")
    wrapped = rot.matrix_to_euler(matrices, "zxy")
    assert np.abs(np.diff(wrapped, axis=0)).max() > 2.0
    smooth = rot.unwrap_euler(wrapped)
    np.testing.assert_allclose(smooth, angles, atol=1e-9)


def test_normalise_uses_its_fallback_only_for_zero_vectors() -> None:
    np.testing.assert_array_equal(rot.normalise([[0, 0, 0], [0, 2, 0]]), [[0, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(rot.normalise([[0, 0, 0], [0, 2, 0]], (0, 0, 1)), [[0, 0, 1], [0, 1, 0]])
