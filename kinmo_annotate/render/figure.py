"""One figure on the ground, drawn from a camera that looks at it from the front and a little to the side.

The world is right-handed, y up, metres. The camera has its own small perspective projection; everything
that is drawn goes through it, so that ground, path, shadow and body agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from kinmo_annotate.schema.skeleton import GROUND, GROUPS, JOINT, PARENTS, UP

Array = NDArray[np.floating]
Colour = tuple[int, int, int]

# After Okabe and Ito's colours, which people with any common colour blindness tell apart: the left side is
# blue, the right side orange, arms darker than legs.
GROUP_COLOURS: Final[dict[str, Colour]] = {
    "torso": (68, 74, 84),
    "neck": (190, 96, 152),
    "left_arm": (0, 104, 172),
    "right_arm": (208, 84, 0),
    "left_leg": (78, 172, 226),
    "right_leg": (236, 164, 20),
}
INK: Final[Colour] = (33, 37, 43)
FAINT: Final[Colour] = (124, 131, 142)
PANEL: Final[Colour] = (243, 245, 247)
WHITE: Final[Colour] = (255, 255, 255)
_GRID: Final[Colour] = (184, 191, 200)
_SHADOW: Final[Colour] = (218, 222, 228)
_PATH: Final[Colour] = (132, 140, 152)

GRID_STEP_M: Final = 0.5
_GRID_REACH_M: Final = 2.0
_DEPTH_FADE: Final = 0.28
_SUPERSAMPLE: Final = 3

# Radius of each bone at its parent's and at its own end, metres, by the joint at its own end.
_RADII: Final[dict[str, tuple[float, float]]] = {
    "hip": (0.060, 0.060), "knee": (0.062, 0.046), "ankle": (0.046, 0.032), "foot": (0.034, 0.026),
    "spine1": (0.070, 0.062), "spine2": (0.062, 0.062), "spine3": (0.062, 0.064),
    "neck": (0.046, 0.038), "head": (0.036, 0.036),
    "collar": (0.046, 0.044), "shoulder": (0.046, 0.046), "elbow": (0.044, 0.034), "wrist": (0.034, 0.026),
}  # fmt: skip
_HEAD_RADIUS_M: Final = 0.105
_HAND_M: Final = 0.075
_DOT_M: Final = 0.016
WANTED: Final[Colour] = (176, 32, 60)
_WANTED_M: Final = 0.028
_HALO_M: Final = 0.008
_GRID_M: Final = 0.007
_PATH_M: Final = 0.013


@dataclass(frozen=True, slots=True)
class Camera:
    """Where the picture is taken from.

    Attributes:
        size: width and height of the picture, pixels.
        azimuth_deg: from straight in front of the first frame (0) towards the figure's left side (positive).
        elevation_deg: above the horizon.
        distance_m: from the point looked at; nearer is a stronger perspective.
        focal: pixels per metre at that distance.
        centre: pixel on which the point looked at lands.
    """

    size: tuple[int, int]
    azimuth_deg: float = 32.0
    elevation_deg: float = 15.0
    distance_m: float = 7.0
    focal: float = 1.0
    centre: tuple[float, float] = (0.0, 0.0)

    def axes(self) -> Array:
        """Give the camera's right, up and towards-the-viewer axes as rows (3, 3)."""
        azimuth, elevation = np.radians((self.azimuth_deg, self.elevation_deg))
        toward = np.array(
            (np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation))
        )
        right = np.array((np.cos(azimuth), 0.0, -np.sin(azimuth)))
        return np.stack((right, np.cross(toward, right), toward))

    def project(self, points: Array, target: Array) -> tuple[Array, Array]:
        """Project world points (..., 3) when looking at `target` (3,) or (..., 3).

        Returns:
            Pixels (..., 2) with y down, and nearness (...) in metres towards the viewer.
        """
        seen = (points - target) @ self.axes().T
        scale = self.focal * self.distance_m / (self.distance_m - seen[..., 2]).clip(0.5)
        across = self.centre[0] + seen[..., 0] * scale
        down = self.centre[1] - seen[..., 1] * scale
        return np.stack((across, down), axis=-1), seen[..., 2]

    def fitted(self, bodies: Array, targets: Array, margin: float = 0.08) -> Camera:
        """Choose focal length and centre so that the bodies (N, J, 3), seen from targets (N, 3), fit."""
        unit = replace(self, focal=1.0, centre=(0.0, 0.0))
        pixels, _ = unit.project(bodies, targets[:, None])
        low, high = pixels.reshape(-1, 2).min(axis=0), pixels.reshape(-1, 2).max(axis=0)
        room = np.array(self.size) * (1 - 2 * margin)
        focal = float((room / np.maximum(high - low, 1e-6)).min())
        middle = (low + high) / 2
        centre = (self.size[0] / 2 - focal * middle[0], self.size[1] / 2 - focal * middle[1])
        return replace(self, focal=focal, centre=(float(centre[0]), float(centre[1])))

    def scaled(self, factor: int) -> Camera:
        """Give the same view with `factor` times as many pixels."""
        return replace(
            self,
            size=(self.size[0] * factor, self.size[1] * factor),
            focal=self.focal * factor,
            centre=(self.centre[0] * factor, self.centre[1] * factor),
        )


def ground_targets(joints: Array) -> Array:
    """Give the points on the ground below the pelvis (T, 3): what a following camera looks at."""
    targets = np.zeros((len(joints), 3))
    targets[:, GROUND] = joints[:, 0, :][:, GROUND]
    return targets


def body_outline(joints: Array) -> Array:
    """Points (T, 27, 3) that a picture of the body must hold: joints, crown, hands, ground, nose."""
    head, _, forward = head_frame(joints)
    crown = head + np.array((0.0, _HEAD_RADIUS_M, 0.0))
    hands = [hand_tip(joints, side) for side in ("left", "right")]
    return np.concatenate(
        [joints, np.stack([crown, *hands, ground_targets(joints)], axis=1), (head + forward * 0.1)[:, None]],
        axis=1,
    )


def head_frame(joints: Array) -> tuple[Array, Array, Array]:
    """Estimate the head's centre, up and forward (..., 3) from positions (..., 22, 3).

    Positions say nothing of the head's own yaw: forward is taken across the shoulders and the neck.
    """
    up = _unit(joints[..., JOINT["head"], :] - joints[..., JOINT["spine3"], :])
    left = joints[..., JOINT["left_shoulder"], :] - joints[..., JOINT["right_shoulder"], :]
    forward = _unit(np.cross(left, up))
    return joints[..., JOINT["head"], :] + 0.055 * up, up, forward


def hand_tip(joints: Array, side: str) -> Array:
    """Point (..., 3) where the hand ends: a little beyond the wrist, in line with the forearm."""
    wrist, elbow = joints[..., JOINT[f"{side}_wrist"], :], joints[..., JOINT[f"{side}_elbow"], :]
    return wrist + _HAND_M * _unit(wrist - elbow)


def _unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True).clip(1e-9)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """Blend `share` of `other` into `colour`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def draw_scene(
    joints: Array,
    frame: int,
    camera: Camera,
    target: Array,
    background: Colour = PANEL,
    supersample: int = _SUPERSAMPLE,
    wanted: Array | None = None,
) -> Image.Image:
    """Draw one frame of a motion: ground grid, path of the pelvis, shadow and body.

    Args:
        joints: the whole motion (T, 22, 3), metres; the path needs all of it.
        frame: which frame's body is drawn.
        camera: the view, in pixels of the finished picture.
        target: point (3,) looked at.
        background: colour of the panel.
        supersample: how many times larger it is drawn, then averaged down: smooth edges against speed.
        wanted: (T, 22, 3) where joints were to be, NaN where they were free; dots show it.
    """
    large = camera.scaled(supersample)
    image = Image.new("RGB", large.size, background)
    pen = ImageDraw.Draw(image)
    _draw_grid(pen, large, target, background)
    _draw_path(pen, large, target, smooth_targets(joints, 9), frame, background)
    _draw_body(pen, large, target, joints[frame], background)
    if wanted is not None:
        _draw_wanted(pen, large, target, wanted, frame, background)
    return image.resize(camera.size, Image.Resampling.LANCZOS)


def _draw_grid(pen: ImageDraw.ImageDraw, camera: Camera, target: Array, background: Colour) -> None:
    """Draw ground lines every half metre, fixed in the world and fading with distance from the target."""
    reach = round(_GRID_REACH_M / GRID_STEP_M)
    near = np.round(target[list(GROUND)] / GRID_STEP_M)
    ticks = np.arange(-reach, reach + 1)
    x, z = ((near[axis] + ticks) * GRID_STEP_M for axis in (0, 1))
    corners = np.zeros((len(ticks), len(ticks), 3))
    corners[..., GROUND[0]], corners[..., GROUND[1]] = np.meshgrid(x, z, indexing="ij")
    pixels, _ = camera.project(corners, target)
    distance = np.linalg.norm((corners - target)[..., list(GROUND)], axis=-1)
    for a, b in ((np.s_[:-1, :], np.s_[1:, :]), (np.s_[:, :-1], np.s_[:, 1:])):
        away = np.maximum(distance[a], distance[b]).ravel() / _GRID_REACH_M
        for start, end, fade in zip(pixels[a].reshape(-1, 2), pixels[b].reshape(-1, 2), away, strict=True):
            if fade < 1:
                colour = mix(_GRID, background, float(fade) ** 1.5)
                pen.line([tuple(start), tuple(end)], fill=colour, width=round(_GRID_M * camera.focal))


def _draw_path(
    pen: ImageDraw.ImageDraw, camera: Camera, target: Array, path: Array, frame: int, background: Colour
) -> None:
    """Draw where the pelvis has been (full) and will be (pale), on the ground."""
    near = np.linalg.norm(path - target, axis=1) < _GRID_REACH_M
    pixels, _ = camera.project(path, target)
    for part, pale in ((slice(frame, None), 0.6), (slice(0, frame + 1), 0.0)):
        kept = [tuple(pixel) for pixel in pixels[part][near[part]]]
        if len(kept) > 1:
            pen.line(
                kept, fill=mix(_PATH, background, pale), width=round(_PATH_M * camera.focal), joint="curve"
            )


def _draw_wanted(
    pen: ImageDraw.ImageDraw, camera: Camera, target: Array, wanted: Array, frame: int, background: Colour
) -> None:
    """Draw the points of a path: all of them pale and small, those of this frame full."""
    near = np.linalg.norm(wanted - target, axis=2) < _GRID_REACH_M  # false where there is no point
    radius = _WANTED_M * camera.focal
    for points, size, pale in ((wanted[near], 0.35, 0.55), (wanted[frame][near[frame]], 1.0, 0.0)):
        for point in camera.project(points, target)[0]:
            _ball(pen, point, radius * size, mix(WANTED, background, pale))


@dataclass(frozen=True, slots=True)
class _Stroke:
    """One piece of the body: a tapered stick between two points, or a ball where both points are the same."""

    ends: tuple[Array, Array]
    radii: tuple[float, float]
    colour: Colour
    lift: float = 0.0
    dot: bool = False


def _draw_body(
    pen: ImageDraw.ImageDraw, camera: Camera, target: Array, body: Array, background: Colour
) -> None:
    """Draw shadow, then the pieces of the body from the farthest to the nearest."""
    strokes = _strokes(body)
    ends = np.array([stroke.ends for stroke in strokes])
    fallen = ends.copy()
    fallen[..., UP] = 0.0
    shade, _ = camera.project(fallen, target)
    pixels, nearness = camera.project(ends, target)
    for stroke, points in zip(strokes, shade, strict=True):
        _capsule(pen, points, np.array(stroke.radii) * camera.focal * 0.8, _SHADOW)
    depth = nearness.mean(axis=1) + np.array([stroke.lift for stroke in strokes])
    fade = _DEPTH_FADE * ((depth.max() - depth) / max(float(np.ptp(depth)), 0.6)).clip(0, 1)
    halo = _HALO_M * camera.focal
    for i in np.argsort(depth, kind="stable"):
        radii = np.array(strokes[i].radii) * camera.focal
        if not strokes[i].dot:
            _capsule(pen, pixels[i], radii + halo, background)
        _capsule(pen, pixels[i], radii, mix(strokes[i].colour, background, float(fade[i])))


def _strokes(body: Array) -> list[_Stroke]:
    """List the pieces of one body (22, 3): bones, hands, head and nose.

    The joints of left limbs carry dark dots and those of right limbs white ones, so that the sides are told
    apart without colour as well.
    """
    strokes = []
    group_of = {joint: name for name, members in GROUPS.items() for joint in members}
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            radii = _RADII[_plain_name(joint)]
            strokes.append(_Stroke((body[parent], body[joint]), radii, GROUP_COLOURS[group_of[joint]]))
    for side, dot in (("left", INK), ("right", WHITE)):
        wrist = body[JOINT[f"{side}_wrist"]]
        colour = GROUP_COLOURS[f"{side}_arm"]
        strokes.append(_Stroke((wrist, hand_tip(body, side)), (0.030, 0.034), colour, lift=0.01))
        for name in ("shoulder", "elbow", "hip", "knee"):
            place = body[JOINT[f"{side}_{name}"]]
            strokes.append(_Stroke((place, place), (_DOT_M, _DOT_M), dot, lift=0.14, dot=True))
    return strokes + _head_strokes(body)


def _head_strokes(body: Array) -> list[_Stroke]:
    """List head and nose; the nose tells where the figure looks."""
    head, _, forward = head_frame(body)
    nose = head + forward * _HEAD_RADIUS_M
    colour = GROUP_COLOURS["neck"]
    return [
        _Stroke((head, head), (_HEAD_RADIUS_M, _HEAD_RADIUS_M), colour, lift=0.08),
        _Stroke((nose, nose), (0.026, 0.026), mix(colour, INK, 0.5), lift=0.08, dot=True),
    ]


def _plain_name(joint: int) -> str:
    name = list(JOINT)[joint]
    return name.removeprefix("left_").removeprefix("right_")


def _capsule(pen: ImageDraw.ImageDraw, points: Array, radii: Array, colour: Colour) -> None:
    """Fill the hull of two discs in the picture."""
    start, end = points
    along = end - start
    length = float(np.hypot(*along))
    if length > 1e-6:
        normal = np.array((-along[1], along[0])) / length
        corners = (
            start + normal * radii[0],
            end + normal * radii[1],
            end - normal * radii[1],
            start - normal * radii[0],
        )
        pen.polygon([tuple(corner) for corner in corners], fill=colour)
    _ball(pen, start, float(radii[0]), colour)
    _ball(pen, end, float(radii[1]), colour)


def _ball(pen: ImageDraw.ImageDraw, centre: Array, radius: float, colour: Colour) -> None:
    x, y = float(centre[0]), float(centre[1])
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def smooth_targets(joints: Array, window: int) -> Array:
    """Ground targets (T, 3) averaged over `window` frames, so that a following camera does not shake."""
    targets = ground_targets(joints)
    width = min(window, len(targets)) | 1
    padded = np.pad(targets, ((width // 2, width // 2), (0, 0)), mode="edge")
    kernel = np.ones(width) / width
    return np.stack([np.convolve(padded[:, axis], kernel, mode="valid") for axis in range(3)], axis=1)


def legend_entries() -> Sequence[tuple[str, Colour]]:
    """Name and colour of each group, as legends print them."""
    return [(name.replace("_", " "), colour) for name, colour in GROUP_COLOURS.items()]
