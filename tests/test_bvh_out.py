import re
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinmo_annotate.bvh_out import write_bvh
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import JOINTS, PARENTS, TARGET_OFFSETS
from kinmo_annotate.sources import open_source

TENTH_OF_A_MILLIMETRE = 1e-4


def read_back(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, int]]:
    """Forward kinematics of a BVH file, by scipy: positions, Euler angles, channel counts by joint name."""
    header, motion = path.read_text().split("MOTION")
    lines = motion.strip().splitlines()
    values = np.array([[float(word) for word in line.split()] for line in lines[2:]])
    assert lines[0] == f"Frames: {len(values)}"
    place, turn, angles, counts = {}, {}, {}, {}
    stack, column = [], 0
    tokens = re.findall(r"(ROOT|JOINT|End) (\w+)|OFFSET (.*)|CHANNELS (\d) (.*)|(\})", header)
    for kind, opened, offset, count, channels, close in tokens:
        if kind:
            stack.append(opened)
        elif offset:
            bone = np.tile([float(word) for word in offset.split()], (len(values), 1))
        elif count:
            here, column = values[:, column : column + int(count)], column + int(count)
            words = channels.split()
            if int(count) == 6:
                assert words[:3] == ["Xposition", "Yposition", "Zposition"]
                bone = here[:, :3]
            order = "".join(word[0] for word in words[-3:])
            local = Rotation.from_euler(order, here[:, -3:], degrees=True)
            name, parent = stack[-1], stack[-2] if len(stack) > 1 else None
            place[name] = place[parent] + turn[parent].apply(bone) if parent else bone
            turn[name] = turn[parent] * local if parent else local
            angles[name], counts[name] = here[:, -3:], int(count)
        elif close:
            stack.pop()
    assert column == values.shape[1]
    return place, angles, counts


def worst(joints: np.ndarray, path: Path) -> float:
    place, _, _ = read_back(path)
    return max(
        float(np.linalg.norm(place[name] - joints[:, j], axis=-1).max()) for j, name in enumerate(JOINTS)
    )


def wriggle(frames: int = 50, seed: int = 0) -> np.ndarray:
    """A rigid body whose every joint turns smoothly and at random, (T, 22, 3)."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 2 * np.pi, frames)[:, None, None]
    vectors = 0.5 * np.sin(t * rng.uniform(0.5, 2, (1, 22, 3)) + rng.uniform(0, 6, (1, 22, 3)))
    turn = [Rotation.from_rotvec(vectors[:, j]) for j in range(22)]
    joints = np.zeros((frames, 22, 3))
    joints[:, 0] = [0.3, 0.95, -0.2] + 0.5 * np.sin(t[:, 0])
    for j in range(1, 22):
        turn[j] = turn[PARENTS[j]] * turn[j]
        joints[:, j] = joints[:, PARENTS[j]] + turn[PARENTS[j]].apply(np.tile(TARGET_OFFSETS[j], (frames, 1)))
    return joints


def test_a_rigid_body_needs_rotations_alone(tmp_path: Path) -> None:
    joints = wriggle()
    write_bvh(joints, tmp_path / "a.bvh", fps=25.0)
    assert worst(joints, tmp_path / "a.bvh") < TENTH_OF_A_MILLIMETRE / 10
    _, _, counts = read_back(tmp_path / "a.bvh")
    assert counts == {name: 6 if name == "pelvis" else 3 for name in JOINTS}
    text = (tmp_path / "a.bvh").read_text()
    assert "Frame Time: 0.04000000\n" in text
    assert text.count("End Site") == 5
    assert [*tmp_path.iterdir()] == [tmp_path / "a.bvh"]


def test_only_the_bone_that_stretches_gets_position_channels(tmp_path: Path) -> None:
    joints = wriggle()
    elbow, wrist = JOINTS.index("left_elbow"), JOINTS.index("left_wrist")
    pull = 0.01 * np.sin(np.linspace(0, 6, 50))[:, None]
    bone = joints[:, elbow] - joints[:, PARENTS[elbow]]
    joints[:, [elbow, wrist]] += (pull * bone / np.linalg.norm(bone, axis=-1, keepdims=True))[:, None]
    write_bvh(joints, tmp_path / "a.bvh")
    assert worst(joints, tmp_path / "a.bvh") < TENTH_OF_A_MILLIMETRE
    _, _, counts = read_back(tmp_path / "a.bvh")
    assert [name for name, count in counts.items() if count == 6] == ["pelvis", "left_elbow"]


@pytest.mark.parametrize("noise", [2e-5, 5e-5, 1e-4, 3e-3])
def test_bodies_that_are_not_rigid_are_reproduced_all_the_same(tmp_path: Path, noise: float) -> None:
    joints = wriggle() + np.random.default_rng(1).normal(scale=noise, size=(50, 22, 3))
    write_bvh(joints, tmp_path / "a.bvh")
    assert worst(joints, tmp_path / "a.bvh") <= TENTH_OF_A_MILLIMETRE


def test_angles_run_on_over_a_double_turn(tmp_path: Path) -> None:
    spin = Rotation.from_rotvec(np.linspace(0, 4 * np.pi, 80)[:, None] * [0, 1.0, 0])
    joints = np.stack([turn.apply(wriggle(80)[0]) for turn in spin])
    write_bvh(joints, tmp_path / "a.bvh")
    _, angles, _ = read_back(tmp_path / "a.bvh")
    assert np.abs(np.diff(angles["pelvis"], axis=0)).max() < 30
    assert abs(np.ptp(angles["pelvis"][:, 2]) - 720) < 5


def test_real_motions_within_a_tenth_of_a_millimetre_and_without_jumps(
    tmp_path: Path, shared_data: Path
) -> None:
    paths = sorted((shared_data / "mocap/new_joints").glob("*.npy"))
    chosen = [*paths[::300], *[path for path in paths if path.name.startswith("CMU_05")][::5]]
    for path in chosen:
        joints = np.load(path)
        write_bvh(joints, tmp_path / "a.bvh")
        place, angles, counts = read_back(tmp_path / "a.bvh")
        error = max(
            np.linalg.norm(place[name] - joints[:, j], axis=-1).max() for j, name in enumerate(JOINTS)
        )
        assert error < TENTH_OF_A_MILLIMETRE, path.name
        assert sum(counts.values()) == 69, path.name
        assert max(np.abs(np.diff(a, axis=0)).max() for a in angles.values()) < 180, path.name


def test_imported_exported_and_imported_again_is_the_same_motion(tmp_path: Path, shared_data: Path) -> None:
    (tmp_path / "out").mkdir()
    first = {}
    for path in [*sorted((shared_data / "bvh").glob("*.bvh"))[::15]]:
        source = open_source(path)
        (motion,) = [source.load(entry) for entry in source.entries()]
        first[motion.motion_id] = motion.joints
        write_bvh(motion.joints, tmp_path / "out" / path.name, motion.fps)
    source = open_source(tmp_path / "out")
    second = {motion.motion_id: motion.joints for motion in map(source.load, source.entries())}
    assert first.keys() == second.keys()
    for name, joints in first.items():
        assert np.abs(second[name] - joints).max() < 1e-3 / 20, name


def test_equal_motions_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.bvh", "b.bvh"):
        write_bvh(wriggle(), tmp_path / name)
    assert (tmp_path / "a.bvh").read_bytes() == (tmp_path / "b.bvh").read_bytes()


def test_bad_input_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    path.write_text("old")
    broken = wriggle()
    broken[3] = np.nan
    for joints, fps in ((broken, 20.0), (wriggle(), 0.0), (wriggle(), np.nan), (wriggle()[:, :20], 20.0)):
        with pytest.raises(MotionError):
            write_bvh(joints, path, fps)
    assert path.read_text() == "old"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="cannot be written"):
        write_bvh(wriggle(), tmp_path / "file" / "a.bvh")
