import numpy as np
import pytest

from kinmo_annotate.render.figure import (
    GROUP_COLOURS,
    PANEL,
    Camera,
    body_outline,
    draw_scene,
    ground_targets,
    smooth_targets,
)
from kinmo_annotate.schema.skeleton import JOINT, mirror_joints


def front(body: np.ndarray, size=(240, 320)) -> Camera:
    flat = Camera(size, azimuth_deg=0.0, elevation_deg=0.0)
    return flat.fitted(body_outline(body[None]), ground_targets(body[None]))


def colour_at(body: np.ndarray, point: np.ndarray) -> np.ndarray:
    camera = front(body)
    (x, y), _ = camera.project(point, np.zeros(3))
    picture = draw_scene(np.stack([body, body]), 0, camera, np.zeros(3))
    return np.array(picture.getpixel((round(x), round(y))), dtype=float)


def nearest_group(colour: np.ndarray) -> str:
    return min(GROUP_COLOURS, key=lambda name: np.abs(colour - GROUP_COLOURS[name]).sum())


def test_seen_from_the_front_its_left_is_at_the_right_and_up_is_up():
    camera = Camera((100, 100), azimuth_deg=0.0, elevation_deg=0.0, focal=10.0, centre=(50.0, 50.0))
    pixels, nearness = camera.project(np.array([(1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)]), np.zeros(3))
    assert pixels[0] == pytest.approx((60, 50))
    assert pixels[1] == pytest.approx((50, 40))
    assert nearness == pytest.approx((0, 0, 1))


def test_near_things_are_larger():
    camera = Camera((100, 100), azimuth_deg=0.0, elevation_deg=0.0, focal=10.0)
    near, far = camera.project(np.array([(1.0, 0, 2.0), (1.0, 0, -2.0)]), np.zeros(3))[0][:, 0]
    assert near > 10 > far > 0


@pytest.mark.parametrize("azimuth", [0.0, 32.0, -90.0, 180.0])
def test_a_fitted_camera_shows_the_whole_body_and_fills_one_side(azimuth, standing):
    bodies = np.stack([standing, standing * 1.3 + (2.0, 0.0, 1.0)])
    outline, targets = body_outline(bodies), ground_targets(bodies)
    camera = Camera((200, 300), azimuth_deg=azimuth).fitted(outline, targets)
    pixels, _ = camera.project(outline, targets[:, None])
    low, high = pixels.reshape(-1, 2).min(axis=0), pixels.reshape(-1, 2).max(axis=0)
    assert (low >= 0).all()
    assert (high <= camera.size).all()
    assert ((high - low) / camera.size).max() == pytest.approx(0.84, abs=0.03)


@pytest.mark.parametrize(
    ("upper", "lower", "group"),
    [
        ("left_elbow", "left_wrist", "left_arm"),
        ("right_elbow", "right_wrist", "right_arm"),
        ("left_knee", "left_ankle", "left_leg"),
        ("right_knee", "right_ankle", "right_leg"),
        ("spine1", "spine2", "torso"),
    ],
)
def test_each_limb_has_its_group_s_colour(upper, lower, group, standing):
    body = standing.copy()
    middle = (body[JOINT[upper]] + body[JOINT[lower]]) / 2
    assert nearest_group(colour_at(body, middle)) == group
    mirrored = mirror_joints(body)
    other = group.replace("left", "x").replace("right", "left").replace("x", "right")
    assert nearest_group(colour_at(mirrored, middle * (-1, 1, 1))) == other


@pytest.mark.parametrize(("near", "far"), [("left", "right"), ("right", "left")])
def test_the_nearer_arm_hides_the_farther(near, far, standing):
    body = standing.copy()
    for side, depth in ((near, 0.6), (far, 0.4)):
        body[JOINT[f"{side}_elbow"]] = (0.1, 1.2, depth)
        body[JOINT[f"{side}_wrist"]] = (-0.1, 1.2, depth)
    middle = np.array((0.0, 1.2, 0.5))
    assert nearest_group(colour_at(body, middle)) == f"{near}_arm"


def test_sides_differ_without_colour(standing):
    body = standing.copy()
    left, right = (colour_at(body, body[JOINT[f"{side}_knee"]]).mean() for side in ("left", "right"))
    assert left < 120 < 200 < right


def test_the_ground_moves_below_a_walking_figure(standing):
    body = standing.copy()
    joints = np.stack([body, body + np.array((0.0, 0.0, 0.25))])
    camera = front(body).scaled(1)
    targets = ground_targets(joints)
    still = draw_scene(np.stack([body, body]), 0, camera, targets[0])
    walked = draw_scene(joints, 1, Camera(camera.size, focal=camera.focal, centre=camera.centre), targets[1])
    assert np.abs(np.asarray(still, float) - np.asarray(walked, float)).max() > 20
    assert still.getpixel((2, 2)) == PANEL


def test_a_smooth_camera_stays_on_a_still_figure_and_keeps_the_length(standing):
    joints = np.repeat(standing[None], 7, axis=0) + np.array((1.0, 0.0, -2.0))
    targets = smooth_targets(joints, 20)
    assert targets.shape == (7, 3)
    assert targets == pytest.approx(ground_targets(joints))
