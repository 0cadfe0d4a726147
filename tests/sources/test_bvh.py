"""BVH: reading, names, units, axes, frame rates, damage; real files against the joints made from them."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml
from bodies import MIXAMO, attempt, bvh_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinmo_annotate.bvh_out import write_bvh
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import JOINT, JOINTS, TARGET_LENGTHS
from kinmo_annotate.sources.bvh import BvhSource
from kinmo_annotate.sources.bvh_read import local_pose, read_bvh, world_positions
from kinmo_annotate.sources.mapping import built_in_tables
from kinmo_annotate.sources.place import is_placed, place


def load(path: Path, text: str | bytes | None = None, **options):
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    source = BvhSource(path, **options)
    return source.load_with_notes(source.entries()[0])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "walk.bvh"


def test_a_mixamo_file_gives_the_body_it_was_made_from(path):
    names = {joint: f"mixamorig:{name}" for joint, name in MIXAMO.items()}
    motion, notes = load(path, bvh_text(names, frames=31))
    assert motion.joints.shape == (21, 22, 3)  # one second at 30 fps is one second at 20 fps
    assert is_placed(motion.joints)
    legs = np.linalg.norm(motion.joints[:, JOINT["left_knee"]] - motion.joints[:, JOINT["left_hip"]], axis=-1)
    np.testing.assert_allclose(legs, TARGET_LENGTHS[JOINT["left_knee"]], atol=1e-5)
    assert motion.joints[-1, 0, 2] == pytest.approx(0.6, abs=1e-4)
    assert "skeleton Mixamo" in notes
    assert "30 fps to 20 fps" in notes


@pytest.mark.parametrize(
    ("scale", "unit"),
    [(1.0, "metres"), (100.0, "centimetres"), (1000.0, "millimetres"), (39.37, "inches"),
     (17.72, "CMU units"), (5.0, "unknown")],
)  # fmt: skip
def test_the_unit_is_told_from_the_size_of_the_body(path, scale, unit):
    motion, notes = load(path, bvh_text(scale=scale))
    assert any(note.startswith(f"unit {unit}") for note in notes), notes
    height = motion.joints[0, JOINT["head"], 1]
    assert height == pytest.approx(1.61, abs=0.12 if unit == "unknown" else 0.01)


def test_a_z_up_file_is_turned_upright(path):
    upright, _ = load(path, bvh_text())
    rows = bvh_text().splitlines()
    first = rows.index("MOTION") + 3
    for i in range(first, len(rows)):
        x, y, z, *turns = rows[i].split()
        # Z-up world: the root is turned by a quarter about x, and positions follow.
        rows[i] = " ".join([x, f"{-float(z)}", y, "0", "0", "90", *turns[3:]])
    motion, notes = load(path, "\n".join(rows))
    assert "z up" in notes
    np.testing.assert_allclose(motion.joints, upright.joints, atol=1e-4)


def test_channel_and_rotation_orders_are_as_the_file_says(path):
    text = """HIERARCHY
ROOT a
{ OFFSET 0 0 0 CHANNELS 6 Zrotation Xrotation Yrotation Zposition Xposition Yposition
  JOINT b { OFFSET 1 0 0 CHANNELS 4 Yposition Yrotation Xrotation Zrotation
    End Site { OFFSET 0 2 0 } } }
MOTION
Frames: 1
Frame Time: 0.05
90 0 0 3 1 2 5 0 90 0
"""
    path.write_text(text)
    bvh = read_bvh(path)
    assert bvh.skeleton.names == ["a", "b", "b/end"]
    world = world_positions(bvh.skeleton, *local_pose(bvh))[0]
    # a stands at (1, 2, 3) turned by 90 degrees about z; b lies at (1, 5, 0) in it, turned by 90 about x.
    np.testing.assert_allclose(world, [(1, 2, 3), (1 - 5, 2 + 1, 3), (1 - 5, 3, 3 + 2)], atol=1e-12)


def test_resampling_keeps_bones_and_passes_through_the_source_frames(path):
    motion, _ = load(path, bvh_text(frames=40, fps=30))
    upper = motion.joints[:, JOINT["left_elbow"]] - motion.joints[:, JOINT["left_shoulder"]]
    lower = motion.joints[:, JOINT["left_wrist"]] - motion.joints[:, JOINT["left_elbow"]]
    assert np.ptp(np.linalg.norm(lower, axis=-1)) < 1e-5
    # The elbow turns by 2 degrees a frame, 60 degrees a second, also between the source's frames.
    cosine = (
        np.einsum("ti,ti->t", upper, lower) / np.linalg.norm(upper, axis=-1) / np.linalg.norm(lower, axis=-1)
    )
    angle = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
    steps = np.diff(angle)
    assert steps[5:] == pytest.approx(3.0, abs=0.15)


def test_seconds_at_the_start_can_be_left_out(path):
    whole, _ = load(path, bvh_text(frames=60))
    cut, _ = load(path, skip_s=0.2)
    assert len(cut.joints) == len(whole.joints) - 4
    np.testing.assert_allclose(cut.joints, place(whole.joints[4:]), atol=1e-5)
    assert cut.source.start_s == 0.2


def test_every_built_in_table_has_all_joints_and_is_found_by_its_own_names(path):
    for table in built_in_tables():
        assert set(table.joints) == set(JOINTS), table.name
    names = {joint: joint for joint in JOINTS}
    assert "skeleton SMPL" in load(path, bvh_text(names))[1]
    lafan = MIXAMO | {"left_foot": "LeftToe", "right_foot": "RightToe"}
    assert "skeleton LaFAN1" in load(path, bvh_text(lafan))[1]


def test_an_unknown_skeleton_lists_what_is_unmapped_and_shows_a_mapping_that_works(path, tmp_path):
    strange = MIXAMO | {"left_knee": "Kniegelenk.L", "spine2": "Wirbel: 2"}
    with pytest.raises(MotionError) as caught:
        load(path, bvh_text(strange))
    assert "left_knee, spine2" in caught.value.reason
    assert "Kniegelenk.L" in caught.value.reason
    assert "--mapping" in caught.value.remedy
    shown = caught.value.remedy.split("mapping.yaml:\n", 1)[1]
    for text in (shown, " ".join(shown.split())):  # also where a message is printed in one line
        assert yaml.safe_load(text)["joints"]["pelvis"] == "Hips"
        assert yaml.safe_load(text)["joints"]["left_knee"] == "?"
    completed = yaml.safe_load(shown)
    completed["joints"] |= {"left_knee": "Kniegelenk.L", "spine2": {"Spine": 0.4, "Wirbel: 2": 0.6}}
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(yaml.safe_dump(completed))
    motion, notes = load(path, mapping=mapping)
    assert "skeleton mapping" in notes
    known, _ = load(path, bvh_text())
    between = 0.4 * known.joints[:, JOINT["spine1"]] + 0.6 * known.joints[:, JOINT["spine2"]]
    np.testing.assert_allclose(motion.joints[:, JOINT["spine2"]], between, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("joints: [", "not YAML"),
        ("joint: {}", "no `joints:`"),
        ("joints: {elbow: Arm}", "joints that SMPL has not: elbow"),
        ("joints: {spine1: {A: 0.5, B: 0.6}}", "do not add up to 1"),
        ("joints: {spine1: 3}", "neither a joint's name"),
        ("joints: {pelvis: Hips}", "no source for left_hip"),
        ("- 1", "no `joints:`"),
    ],
)
def test_a_bad_mapping_says_what_is_wrong(path, tmp_path, text, reason):
    mapping = tmp_path / "map.yaml"
    mapping.write_text(text)
    with pytest.raises(MotionError, match=reason) as caught:
        load(path, bvh_text(), mapping=mapping)
    assert caught.value.remedy


def edit(old: str, new: str, count: int = 1):
    return lambda text: text.replace(old, new, count)


@pytest.mark.parametrize(
    ("spoil", "reason", "line"),
    [
        (lambda t: t[: t.index("MOTION") - 40], "no MOTION", True),
        (lambda t: t.rsplit("\n", 3)[0], "frames where its header says 5", True),
        (lambda t: t[: len(t) - 60], "values in a frame, expected 69", True),
        (lambda t: t + "1 2 3\n", "6 frames where its header says 5", True),
        (edit("Frames: 5", "Frames: 4"), "5 frames where its header says 4", True),
        (edit("95.000000", "nan"), "NaN or infinite", True),
        (edit("95.000000", "12,5"), "no number", True),
        (edit("Frame Time: 0.03333333", "Frame Time: 0"), "frame time of 0 s", True),
        (edit("Frame Time: 0.03333333", "Frame Time: -0.03"), "frame time", True),
        (edit("Frame Time: 0.03333333", "Frame Time: soon"), "'soon' as its frame time", True),
        (edit("Frame Time: 0.03333333", ""), "no 'Frames:' and 'Frame Time:'", True),
        (edit("HIERARCHY", "HIER"), "does not begin with HIERARCHY", True),
        (edit("Zrotation", "Wrotation"), "names a channel", True),
        (edit("CHANNELS 3", "CHANNELS 99"), "count of 99 channels", True),
        (edit("OFFSET 0 1 0", "OFFSET 0 up 0"), "'up' where a number", True),
        (edit("ROOT Hips", "JOINT Hips"), "where it cannot stand", True),
        (edit("JOINT LeftUpLeg", "JOINT Head"), "no source for left_hip", False),
        (lambda t: t.split("Frames: 5")[0] + "Frames: 0\nFrame Time: 0.03\n", "0 frames", False),
        (edit("95.000000", "1e300", 9), "too large", False),
        (lambda t: "", "no MOTION", True),
    ],
)  # fmt: skip
def test_damage_is_named_with_file_and_line(path, spoil, reason, line):
    with pytest.raises(MotionError, match=reason) as caught:
        load(path, spoil(bvh_text()))
    assert caught.value.where == str(path)
    assert ("(line " in caught.value.reason) == line
    assert caught.value.remedy


def test_two_joints_of_one_name_are_refused(path):
    text = bvh_text().replace("End Site\n{\nOFFSET 0 1 0", "JOINT Hips\n{\nOFFSET 0 1 0\nCHANNELS 0", 1)
    with pytest.raises(MotionError, match="more than one joint called Hips"):
        load(path, text)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_truncated_and_scrambled_files_never_raise_anything_else(tmp_path, data):
    content = bytearray(bvh_text(frames=3).encode())
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    content = content[: data.draw(st.integers(0, len(content)))]
    path = tmp_path / "fuzz.bvh"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = attempt(lambda: load(path, bytes(content))[0])
    if isinstance(found, MotionError):
        assert found.where == str(path)
    else:
        assert is_placed(found.joints)


def test_a_folder_lists_all_depths_and_one_failure_for_ids_that_collide(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("a/x.bvh", "a__x.bvh", "y.BVH"):
        (tmp_path / name).write_text(bvh_text())
    source = BvhSource(tmp_path)
    assert [entry.motion_id for entry in source.entries()] == ["a__x", "y"]
    assert [failed.motion_id for failed in source.failures()] == ["a__x"]
    assert source.notes() == ["2 files with the skeleton Mixamo"]


# real files ------------------------------------------------------------------------------------------------


def segments(shared_data: Path) -> list[tuple[str, str, int, int]]:
    """The motions made from the untouched files: (file, id, first frame, last frame) at 20 fps."""
    with (shared_data / "mocap/index.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        name = Path(row["source_file"]).name
        name = f"cmu_{name}" if row["source_dataset"] == "CMU" else name
        if (shared_data / "bvh" / name).exists():
            found.append((name, row["id"], int(row["start"]), int(row["end"])))
    return found


def test_real_files_give_the_joints_made_from_them_within_a_hundredth_of_a_millimetre(shared_data):
    compared = 0
    for name, motion_id, start, end in segments(shared_data)[::6]:
        # CMU files begin with an added T-pose: there the reference counts from the file's second frame.
        skip, before = (13 / 120, 2) if name.startswith("cmu_") else (0.0, 0)
        motion, notes = load(shared_data / "bvh" / name, skip_s=skip)
        reference = np.load(shared_data / f"mocap/new_joints/{motion_id}.npy")
        mine = place(motion.joints[start - before : end - before])
        assert mine.shape == reference.shape
        assert np.abs(mine - reference).max() < 1e-5
        assert "unit centimetres (x 0.01)" in notes
        compared += 1
    assert compared >= 10


def test_a_t_pose_at_the_start_is_kept_and_noted(shared_data):
    motion, notes = load(shared_data / "bvh/cmu_02_04.bvh")
    assert any("T-pose" in note for note in notes)
    wrist, shoulder = motion.joints[0, JOINT["left_wrist"]], motion.joints[0, JOINT["left_shoulder"]]
    assert wrist[0] - shoulder[0] > 0.4
    assert not any("T-pose" in note for note in load(shared_data / "bvh/cmu_02_04.bvh", skip_s=13 / 120)[1])


def test_imported_exported_and_imported_again_within_a_tenth_of_a_millimetre(shared_data, tmp_path):
    source = BvhSource(shared_data / "bvh")
    for entry in source.entries()[::9]:
        joints = source.load(entry).joints
        write_bvh(joints, tmp_path / "again.bvh")
        again, notes = load(tmp_path / "again.bvh")
        assert "skeleton SMPL" in notes
        assert np.abs(again.joints - joints).max() < 1e-4
