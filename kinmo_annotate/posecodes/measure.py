"""Measure points: the numbers that posecodes cut into categories, for all frames at once.

A measure is named by a tuple `(kind, *points)`; `measure` fills one row per name. Angles are in degrees, the
rest in metres. Source: spec/posescript.md section 3, except the head, which is read from positions (below).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.posecodes.points import POINT, unit
from kinmo_annotate.schema.skeleton import FORWARD, LATERAL, UP

Array = NDArray[np.float32]
Measure = tuple[str, ...]

AXES: Final = {"x": LATERAL, "y": UP, "z": FORWARD}
_BENDS: Final = {"knee": ("hip", "knee", "ankle"), "elbow": ("shoulder", "elbow", "wrist")}
_LYING: Final = 0.20  # metres; ankles must be this far below the shoulders for a forward or backward bend

# The joint called head lies a little in front of the neck even when the gaze is level: by 6 degrees more than
# the trunk's line on Bandai Namco's skeleton and 21 on CMU's (medians over the motions). Between the two.
HEAD_REST_DEG: Final = 12.0


def measure(points: Array, names: Sequence[Measure]) -> Array:
    """Fill one row per measure.

    Args:
        points: (3, 33, N) metres, body axes (`named_points`).
        names: K measures; see `_MEASURES` for the kinds.

    Returns:
        (K, N) float32, degrees or metres; never NaN for finite points.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        rows[name[0]].append(row)
    values = np.empty((len(names), points.shape[2]), np.float32)
    for kind, members in rows.items():
        values[members] = _MEASURES[kind](points, [names[row][1:] for row in members])
    return values


def degrees_between(a: Array, b: Array) -> Array:
    """Angle between vectors (3, ...) in degrees, clamped so that straight and folded limbs stay exact."""
    cosine = (unit(a) * unit(b)).sum(axis=0)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _from_to(points: Array, pairs: list[Measure]) -> Array:
    """Vectors (3, K, N) from the first point of each pair to the second."""
    return points[:, [POINT[b] for _, b in pairs]] - points[:, [POINT[a] for a, _ in pairs]]


def _angle(points: Array, joints: list[Measure]) -> Array:
    """Inner angle at a knee or an elbow; 180 is straight."""
    chains = []
    for (joint,) in joints:
        side, part = joint.split("_")
        chains.append([POINT[f"{side}_{name}"] for name in _BENDS[part]])
    a, b, c = np.array(chains).T
    return degrees_between(points[:, a] - points[:, b], points[:, c] - points[:, b])


def _distance(points: Array, pairs: list[Measure]) -> Array:
    vectors = _from_to(points, pairs)
    return np.sqrt((vectors * vectors).sum(axis=0))


def _along(axis: str) -> Callable[[Array, list[Measure]], Array]:
    """Measure first minus second along one axis of the body."""

    def difference(points: Array, pairs: list[Measure]) -> Array:
        line = points[AXES[axis]]
        return line[[POINT[a] for a, _ in pairs]] - line[[POINT[b] for _, b in pairs]]

    return difference


def _upright(points: Array, pairs: list[Measure]) -> Array:
    """Acute angle between a segment and the vertical: 0 vertical, 90 horizontal."""
    cosine = np.abs(unit(_from_to(points, pairs))[UP])
    return np.degrees(np.arccos(np.clip(cosine, 0, 1)))


def _height(points: Array, names: list[Measure]) -> Array:
    """Height above the floor of the motion, y = 0, not above the lowest point of the pose."""
    return points[UP][[POINT[name] for (name,) in names]]


def _shoulder_middle(points: Array) -> Array:
    middle: Array = (points[:, POINT["left_shoulder"]] + points[:, POINT["right_shoulder"]]) / np.float32(2)
    return middle


def _incline(points: Array) -> Array:
    """Forward bend of the trunk: pelvis to shoulders against the vertical, seen from the side; forward > 0.

    Zero where the ankles are not clearly below the shoulders: lying and handstands are no bends.
    """
    shoulders = _shoulder_middle(points)
    trunk = shoulders - points[:, POINT["pelvis"]]
    ankles = np.minimum(points[UP, POINT["left_ankle"]], points[UP, POINT["right_ankle"]])
    angle = np.degrees(np.arctan2(trunk[FORWARD], trunk[UP]))
    return np.where(shoulders[UP] - ankles > _LYING, angle, 0)


def _twist(points: Array) -> Array:
    """Yaw of the shoulder line against the hip line; turned to the right > 0."""
    line = points[:, POINT["left_shoulder"]] - points[:, POINT["right_shoulder"]]
    return np.degrees(np.arctan2(line[FORWARD], line[LATERAL]))


def _lean(points: Array) -> Array:
    """Sideways lean of the trunk; to the left > 0."""
    trunk = unit(_shoulder_middle(points) - points[:, POINT["pelvis"]])
    return np.degrees(np.arcsin(np.clip(trunk[LATERAL], -1, 1)))


def _head_pitch(points: Array) -> Array:
    """Nod of the head's line (neck to head) against the trunk's, seen from the side; forward > 0."""
    head, trunk = _head_and_trunk(points)
    turned = np.degrees(np.arctan2(head[FORWARD], head[UP]) - np.arctan2(trunk[FORWARD], trunk[UP]))
    return (turned - HEAD_REST_DEG + 180) % 360 - 180


def _head_tilt(points: Array) -> Array:
    """Sideways tilt of the head's line against the trunk's; to the left > 0."""
    head, trunk = (unit(line)[LATERAL] for line in _head_and_trunk(points))
    tilt: Array = np.degrees(np.arcsin(np.clip(head, -1, 1)) - np.arcsin(np.clip(trunk, -1, 1)))
    return tilt


def _head_and_trunk(points: Array) -> tuple[Array, Array]:
    neck = points[:, POINT["neck"]]
    return points[:, POINT["head"]] - neck, neck - points[:, POINT["pelvis"]]


_BODY: Final[dict[str, Callable[[Array], Array]]] = {
    "incline": _incline,
    "twist": _twist,
    "lean": _lean,
    "head_pitch": _head_pitch,
    "head_tilt": _head_tilt,
}


def _body(points: Array, names: list[Measure]) -> Array:
    return np.stack([_BODY[name](points) for (name,) in names])


_MEASURES: Final[dict[str, Callable[[Array, list[Measure]], Array]]] = {
    "angle": _angle,
    "distance": _distance,
    "x": _along("x"),
    "y": _along("y"),
    "z": _along("z"),
    "upright": _upright,
    "height": _height,
    "body": _body,
}
