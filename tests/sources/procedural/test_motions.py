"""The demo motions: physically plausible, reproducible, varied."""

from __future__ import annotations

import numpy as np
import pytest

from kinmo_annotate.schema.skeleton import FPS, JOINT, PARENTS, TARGET_LENGTHS
from kinmo_annotate.sources.procedural import KINDS, kind_of, make_kind, make_motion
from kinmo_annotate.sources.procedural.body import SIDES, two_bones
from kinmo_annotate.sources.procedural.motions import MAX_FRAMES, MIN_FRAMES
from kinmo_annotate.sources.procedural.quantities import body_yaw
from kinmo_annotate.sources.procedural.stage import ease, glide, hand_path, through

FEET = tuple(JOINT[f"{side}_foot"] for side in SIDES)


@pytest.fixture(scope="module")
def demos():
    """One motion of every kind."""
    return [make_motion(11, index) for index in range(len(KINDS))]


def flexion(joints, upper, middle, end):
    """Angle between two bones, degrees: 0 for a straight limb."""
    a, b, c = (joints[:, JOINT[name]].astype(float) for name in (upper, middle, end))
    u, v = b - a, c - b
    cosine = (u * v).sum(-1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def planted(foot):
    """Frames (T,) in which a foot joint (T, 3) rests on the ground: low now, before and after."""
    low = foot[:, 1] < 0.001
    return low & np.roll(low, 1) & np.roll(low, -1) | (low & (np.arange(len(low)) == 0))


def test_there_are_many_kinds_and_a_set_of_sixty_has_them_all():
    assert len(KINDS) >= 30
    assert {kind_of(index) for index in range(60)} == set(KINDS)
    assert all(kind_of(index) == kind_of(index + len(KINDS)) for index in range(5))


def test_bones_keep_the_uniform_lengths(demos):
    for demo in demos:
        joints = demo.motion.joints.astype(float)
        bones = np.linalg.norm(joints[:, 1:] - joints[:, list(PARENTS[1:])], axis=-1)
        assert np.abs(bones - TARGET_LENGTHS[1:]).max() < 1e-5, demo.kind


def test_motions_begin_at_the_origin_facing_forward_with_their_feet_on_the_ground(demos):
    for demo in demos:
        joints = demo.motion.joints
        assert joints.dtype == np.float32
        assert MIN_FRAMES <= len(joints) <= MAX_FRAMES, demo.kind
        assert np.abs(joints[0, 0, [0, 2]]).max() < 1e-6
        assert abs(body_yaw(joints[:1])[0]) < 1e-5
        assert joints[..., 1].min() == pytest.approx(0.0, abs=1e-6)
        assert joints[0, FEET, 1].max() < 0.01, demo.kind


def test_planted_feet_do_not_slide(demos):
    for demo in demos:
        for foot in FEET:
            track = demo.motion.joints[:, foot].astype(float)
            rests = planted(track)
            edges = np.flatnonzero(np.diff(np.concatenate([[0], rests.astype(int), [0]])))
            assert rests.any(), demo.kind
            for start, end in edges.reshape(-1, 2):
                assert np.ptp(track[start:end][:, [0, 2]], axis=0).max() < 0.01, demo.kind


def test_a_body_stands_on_a_foot_unless_it_jumps_or_runs(demos):
    airborne = {"jump_in_place", "jump_forward", "hop", "jumping_jacks", "run_forward", "crouch_then_jump"}
    for demo in demos:
        lowest = demo.motion.joints[:, FEET, 1].min(axis=1)
        assert (lowest.max() > 0.015) == (demo.kind in airborne), demo.kind


def test_speeds_and_accelerations_are_human(demos):
    for demo in demos:
        joints = demo.motion.joints.astype(float)
        speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1) * FPS
        change = np.linalg.norm(np.diff(joints, n=2, axis=0), axis=-1) * FPS
        assert speed.max() < 12, demo.kind
        assert change.max() < 7, demo.kind  # from one frame to the next, m/s
        trunk = np.linalg.norm(np.diff(joints[:, 0], n=2, axis=0), axis=-1) * FPS
        assert trunk.max() < 2.2, demo.kind


def test_elbows_and_knees_bend_as_far_as_people_bend_them_and_one_way_only(demos):
    for demo in demos:
        joints = demo.motion.joints.astype(float)
        for side in SIDES:
            assert flexion(joints, f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist").max() < 152, (
                demo.kind
            )
            assert flexion(joints, f"{side}_hip", f"{side}_knee", f"{side}_ankle").max() < 152, demo.kind
            hip, knee, ankle, foot = (
                joints[:, JOINT[f"{side}_{j}"]] for j in ("hip", "knee", "ankle", "foot")
            )
            toes = foot - ankle
            across = np.cross(ankle - hip, knee - hip)
            # The knee lies on the toes' side of the line from hip to ankle.
            left = np.cross([0.0, 1.0, 0.0], toes)
            assert ((across * left).sum(-1) < 2e-3).all(), demo.kind


def test_wrists_stay_out_of_the_trunk(demos):
    for demo in demos:
        joints = demo.motion.joints.astype(float)
        pelvis, neck = joints[:, 0], joints[:, JOINT["neck"]]
        for side in SIDES:
            wrist = joints[:, JOINT[f"{side}_wrist"]]
            along = ((wrist - pelvis) * (neck - pelvis)).sum(-1) / ((neck - pelvis) ** 2).sum(-1)
            nearest = pelvis + np.clip(along, 0, 1)[:, None] * (neck - pelvis)
            assert np.linalg.norm(wrist - nearest, axis=-1).min() > 0.07, demo.kind


def test_the_same_seed_and_index_give_the_same_bytes():
    for index in (0, 17, 60):
        first, second = make_motion(3, index), make_motion(3, index)
        assert first.motion.joints.tobytes() == second.motion.joints.tobytes()
        assert first.events == second.events
        assert first.motion.captions == second.motion.captions
    assert make_motion(3, 0).motion.joints.tobytes() != make_motion(4, 0).motion.joints.tobytes()


def test_a_kind_varies_in_side_length_and_size():
    waves = [make_kind("wave", np.random.default_rng(n), "w", "train") for n in range(12)]
    fields = {e.field for demo in waves for e in demo.events if e.action == "wave"}
    counts = {e.count for demo in waves for e in demo.events if e.action == "wave"}
    assert fields == {"left_arm", "right_arm"}
    assert len(counts) >= 3
    assert len({len(demo.motion.joints) for demo in waves}) >= 8


def test_negative_arguments_are_refused():
    with pytest.raises(ValueError, match="0 or more"):
        make_motion(-1, 0)
    with pytest.raises(ValueError, match="0 or more"):
        make_motion(0, -1)


@pytest.mark.slow
def test_many_seeds_stay_plausible():
    for index in range(5 * len(KINDS)):
        demo = make_motion(101, index)
        joints = demo.motion.joints.astype(float)
        assert MIN_FRAMES <= len(joints) <= MAX_FRAMES
        assert (np.linalg.norm(np.diff(joints, axis=0), axis=-1) * FPS).max() < 12, demo.kind
        for foot in FEET:
            rests = planted(joints[:, foot])
            moved = np.linalg.norm(np.diff(joints[:, foot], axis=0)[:, [0, 2]], axis=-1)
            assert moved[rests[1:] & rests[:-1]].max(initial=0.0) < 0.006, demo.kind


# --- the tools beneath ---
def test_two_bones_reach_a_target_and_stop_short_of_one_too_far():
    start = np.zeros((2, 3))
    target = np.array([[0.3, -0.2, 0.1], [2.0, 0.0, 0.0]])
    middle, end = two_bones(start, target, (0.26, 0.27), np.tile([0.0, 0.0, -1.0], (2, 1)))
    assert np.allclose(end[0], target[0])
    assert np.allclose(np.linalg.norm(middle, axis=-1), 0.26)
    assert np.allclose(np.linalg.norm(end - middle, axis=-1), 0.27)
    assert end[1, 0] == pytest.approx(0.53, abs=1e-3)
    assert (middle[:, 2] < 0).all()


def test_progress_starts_and_ends_at_rest():
    share = np.linspace(0, 1, 401)
    for progress in (ease, glide):
        path = progress(share)
        assert path[0] == 0
        assert path[-1] == pytest.approx(1)
        assert (np.diff(path) >= 0).all()
        assert np.diff(path)[[0, -1]].max() < 1e-4
    keys = through([0.0, 2.0, -1.0], np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.5, 0.999999]))
    assert np.allclose(keys, [0, 2, -1])


def test_a_hand_goes_round_the_shoulder_not_through_it():
    path = hand_path(np.array([[0.1, -0.9, 0.1], [0.1, 0.9, 0.1]]), np.linspace(0, 1, 50))
    assert np.linalg.norm(path, axis=-1).min() > 0.85
