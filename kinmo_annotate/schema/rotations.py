"""Rotations in numpy: unit quaternions (w, x, y, z), matrices, 6D, axis-angle and Euler angles.

Every function works on arrays with any number of leading axes, computes in float64 and returns float64.
Matrices act on column vectors, R @ v; quaternion and matrix products read right to left, so `a * b` turns
by b first. Angles are radians unless a name says degrees.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

IDENTITY: Final[Array] = np.array([1.0, 0.0, 0.0, 0.0])
_TINY: Final = 1e-12
_CYCLIC: Final = ("xyz", "yzx", "zxy")


def normalise(vectors: ArrayLike, fallback: ArrayLike | None = None) -> Array:
    """Scale the last axis to length one.

    Args:
        vectors: (..., N).
        fallback: (N,) or (..., N), what zero-length vectors become; zero vectors where it is None.
    """
    array = np.asarray(vectors, dtype=np.float64)
    length = np.sqrt(np.einsum("...i,...i->...", array, array))[..., None]
    unit: Array = array / np.where(length > _TINY, length, 1.0)
    if fallback is None:
        return unit
    return np.where(length > _TINY, unit, np.asarray(fallback, dtype=np.float64))


def cross(a: ArrayLike, b: ArrayLike) -> Array:
    """Cross product along the last axis, (..., 3); several times faster than `np.cross` on small arrays."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    ax, ay, az = x[..., 0], x[..., 1], x[..., 2]
    bx, by, bz = y[..., 0], y[..., 1], y[..., 2]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


# quaternions -----------------------------------------------------------------------------------------------


def quat_multiply(a: ArrayLike, b: ArrayLike) -> Array:
    """Hamilton product a * b of quaternions (..., 4): the rotation b followed by a."""
    p, q = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    pw, px, py, pz = p[..., 0], p[..., 1], p[..., 2], p[..., 3]
    qw, qx, qy, qz = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    return np.stack(
        [
            pw * qw - px * qx - py * qy - pz * qz,
            pw * qx + px * qw + py * qz - pz * qy,
            pw * qy - px * qz + py * qw + pz * qx,
            pw * qz + px * qy - py * qx + pz * qw,
        ],
        axis=-1,
    )


def quat_conjugate(quaternions: ArrayLike) -> Array:
    """Conjugate of quaternions (..., 4), the inverse of unit ones."""
    return np.asarray(quaternions, dtype=np.float64) * (1.0, -1.0, -1.0, -1.0)


def quat_rotate(quaternions: ArrayLike, vectors: ArrayLike) -> Array:
    """Turn vectors (..., 3) by unit quaternions (..., 4); leading axes broadcast."""
    q, v = np.asarray(quaternions, dtype=np.float64), np.asarray(vectors, dtype=np.float64)
    axis = q[..., 1:]
    twice: Array = 2.0 * cross(axis, v)
    return v + q[..., :1] * twice + cross(axis, twice)


def quat_between(a: ArrayLike, b: ArrayLike) -> Array:
    """Shortest-arc quaternion (..., 4) that turns direction a (..., 3) into direction b.

    w = |a||b| + a.b, xyz = a x b, normalised, so w >= 0. Opposite directions have no shortest arc: they get
    half a turn about an axis at right angles to a.
    """
    u, v = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    norms = np.sqrt(np.einsum("...i,...i->...", u, u) * np.einsum("...i,...i->...", v, v))
    w = norms + np.einsum("...i,...i->...", u, v)
    raw = np.concatenate([np.asarray(w)[..., None], cross(u, v)], axis=-1)
    opposite = w <= 1e-12 * norms
    if np.any(opposite):
        raw[opposite] = _half_turn(np.broadcast_to(u, (*raw.shape[:-1], 3))[opposite])
    return normalise(raw, IDENTITY)


def _half_turn(vectors: Array) -> Array:
    """Half a turn (N, 4) about an axis at right angles to each vector (N, 3)."""
    along_x = np.abs(vectors[:, :1]) > 0.9 * np.linalg.norm(vectors, axis=-1, keepdims=True)
    helper = np.where(along_x, (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    return np.concatenate([np.zeros((len(vectors), 1)), normalise(cross(helper, vectors))], axis=-1)


def slerp(a: ArrayLike, b: ArrayLike, weight: ArrayLike) -> Array:
    """Spherical interpolation from a (weight 0) to b (weight 1) the short way round.

    Args:
        a: (..., 4) unit quaternions.
        b: (..., 4) unit quaternions.
        weight: broadcastable to the leading axes.
    """
    p, q = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    w = np.asarray(weight, dtype=np.float64)[..., None]
    dot = np.einsum("...i,...i->...", p, q)[..., None]
    angle = np.arccos(np.clip(np.abs(dot), 0.0, 1.0))
    sine = np.sin(angle)
    near = sine < 1e-6
    safe = np.where(near, 1.0, sine)
    first = np.where(near, 1.0 - w, np.sin((1.0 - w) * angle) / safe)
    second = np.where(near, w, np.sin(w * angle) / safe) * np.where(dot < 0, -1.0, 1.0)
    return normalise(first * p + second * q, IDENTITY)


def resample_quats(quaternions: ArrayLike, times: ArrayLike) -> Array:
    """Slerp quaternions (T, ..., 4) to fractional frame numbers `times` (N,), clamped to 0..T-1."""
    q = np.asarray(quaternions, dtype=np.float64)
    at = np.clip(np.asarray(times, dtype=np.float64), 0.0, len(q) - 1.0)
    low = np.minimum(at.astype(np.int64), max(len(q) - 2, 0))
    high = np.minimum(low + 1, len(q) - 1)
    weight = (at - low).reshape(-1, *(1,) * (q.ndim - 2))
    return slerp(q[low], q[high], weight)


# conversions -----------------------------------------------------------------------------------------------


def quat_to_matrix(quaternions: ArrayLike) -> Array:
    """Matrices (..., 3, 3) of unit quaternions (..., 4)."""
    q = np.asarray(quaternions, dtype=np.float64)
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return np.stack(rows, axis=-1).reshape(*q.shape[:-1], 3, 3)


def matrix_to_quat(matrices: ArrayLike) -> Array:
    """Unit quaternions (..., 4), w >= 0, of rotation matrices (..., 3, 3); stable at every angle.

    Of the four ways to solve for a quaternion it takes, per matrix, the one with the largest divisor.
    """
    m = np.asarray(matrices, dtype=np.float64)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    rows = [
        1 + xx + yy + zz, a, b, c,
        a, 1 + xx - yy - zz, d, e,
        b, d, 1 - xx + yy - zz, f,
        c, e, f, 1 - xx - yy + zz,
    ]  # fmt: skip
    candidates = np.stack(rows, axis=-1).reshape(*m.shape[:-2], 4, 4)
    best = np.einsum("...ii->...i", candidates).argmax(axis=-1)
    chosen = np.take_along_axis(candidates, best[..., None, None], axis=-2)[..., 0, :]
    return normalise(np.where(chosen[..., :1] < 0, -chosen, chosen), IDENTITY)


def matrix_to_sixd(matrices: ArrayLike) -> Array:
    """First then second column of matrices (..., 3, 3) as (..., 6), the layout of HumanML3D."""
    m = np.asarray(matrices, dtype=np.float64)
    return np.concatenate([m[..., 0], m[..., 1]], axis=-1)


def sixd_to_matrix(sixd: ArrayLike) -> Array:
    """Matrices (..., 3, 3) of 6D rotations (..., 6): x = unit(a), z = unit(x cross b), y = z cross x."""
    d = np.asarray(sixd, dtype=np.float64)
    x = normalise(d[..., :3])
    z = normalise(cross(x, d[..., 3:]))
    return np.stack([x, cross(z, x), z], axis=-1)


def axis_angle_to_quat(axis_angle: ArrayLike) -> Array:
    """Unit quaternions (..., 4) of rotation vectors (..., 3): direction = axis, length = radians."""
    vector = np.asarray(axis_angle, dtype=np.float64)
    half = 0.5 * np.linalg.norm(vector, axis=-1, keepdims=True)
    scale = 0.5 * np.sinc(half / np.pi)  # sin(half) / (2 half), also at zero
    return np.concatenate([np.cos(half), scale * vector], axis=-1)


def quat_to_axis_angle(quaternions: ArrayLike) -> Array:
    """Rotation vectors (..., 3) of length 0..pi radians of unit quaternions (..., 4)."""
    q = np.asarray(quaternions, dtype=np.float64)
    q = np.where(q[..., :1] < 0, -q, q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[..., :1])
    small = sine < 1e-9
    return q[..., 1:] * np.where(small, 2.0, angle / np.where(small, 1.0, sine))


def axis_angle_to_matrix(axis_angle: ArrayLike) -> Array:
    """Matrices (..., 3, 3) of rotation vectors (..., 3) in radians."""
    return quat_to_matrix(axis_angle_to_quat(axis_angle))


def matrix_to_axis_angle(matrices: ArrayLike) -> Array:
    """Rotation vectors (..., 3) of length 0..pi radians of matrices (..., 3, 3)."""
    return quat_to_axis_angle(matrix_to_quat(matrices))


def yaw_matrix(yaw: ArrayLike) -> Array:
    """Matrices (..., 3, 3) that turn by `yaw` (...) radians about +y: 0 keeps +z, pi/2 turns +z into +x."""
    angle = np.asarray(yaw, dtype=np.float64)
    return axis_angle_to_matrix(angle[..., None] * np.array([0.0, 1.0, 0.0]))


# Euler angles ----------------------------------------------------------------------------------------------


def euler_to_quat(angles: ArrayLike, order: str) -> Array:
    """Quaternions (..., 4) of intrinsic Euler angles, the convention of BVH channels.

    Args:
        angles: (..., N) radians, in the order of `order`.
        order: axis letters as the channels are listed: "zxy" means Rz @ Rx @ Ry. Any number of axes.
    """
    half = 0.5 * np.asarray(angles, dtype=np.float64)
    result = np.broadcast_to(IDENTITY, (*half.shape[:-1], 4))
    for index, letter in enumerate(order.lower()):
        single = np.zeros((*half.shape[:-1], 4))
        single[..., 0] = np.cos(half[..., index])
        single[..., 1 + "xyz".index(letter)] = np.sin(half[..., index])
        result = quat_multiply(result, single)
    return result


def euler_to_matrix(angles: ArrayLike, order: str) -> Array:
    """Matrices (..., 3, 3) of intrinsic Euler angles (..., N) radians; see `euler_to_quat`."""
    return quat_to_matrix(euler_to_quat(angles, order))


def matrix_to_euler(matrices: ArrayLike, order: str) -> Array:
    """Intrinsic Euler angles (..., 3) in radians, the middle one within +-pi/2.

    Args:
        matrices: (..., 3, 3).
        order: three different axis letters; "zxy" gives angles with Rz @ Rx @ Ry = matrix.

    At gimbal lock (middle angle +-pi/2) the third angle is set to zero and the first takes the whole turn.
    """
    m = np.asarray(matrices, dtype=np.float64)
    i, j, k = ("xyz".index(letter) for letter in order.lower())
    sign = 1.0 if order.lower() in _CYCLIC else -1.0
    middle = np.arctan2(sign * m[..., i, k], np.hypot(m[..., i, i], m[..., i, j]))
    first = np.arctan2(-sign * m[..., j, k], m[..., k, k])
    third = np.arctan2(-sign * m[..., i, j], m[..., i, i])
    locked = np.hypot(m[..., i, i], m[..., i, j]) < 1e-9
    first = np.where(locked, np.arctan2(sign * m[..., k, j], m[..., j, j]), first)
    return np.stack([first, middle, np.where(locked, 0.0, third)], axis=-1)


def unwrap_euler(angles: ArrayLike) -> Array:
    """Make Euler angles (T, ..., 3) radians continuous over time without changing any rotation.

    Each rotation has two Euler triples, (a, b, c) and (a + pi, pi - b, c + pi), and each angle whole turns to
    spare; every frame takes the triple nearest to the frame before it.
    """
    first = np.array(angles, dtype=np.float64)
    second = np.stack([first[..., 0] + np.pi, np.pi - first[..., 1], first[..., 2] + np.pi], axis=-1)
    turn = 2.0 * np.pi
    for t in range(1, len(first)):
        last = first[t - 1]
        near = first[t] - turn * np.round((first[t] - last) / turn)
        other = second[t] - turn * np.round((second[t] - last) / turn)
        keep = np.abs(near - last).sum(-1) <= np.abs(other - last).sum(-1)
        first[t] = np.where(keep[..., None], near, other)
    return first
