"""Bad input through the whole program: a clear message, a next step, no traceback, the others unharmed."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kinmo_cli import main
from typer.testing import CliRunner

from kinmo_annotate.schema.shards import read_failures, read_rows

pytestmark = pytest.mark.usefixtures("quick_encoder")


def run(source: Path, out: Path, *options: object):
    arguments = ["annotate", "run", source, "--out", out, "--workers", 1, *options]
    return CliRunner().invoke(main.app, [str(one) for one in arguments])


def assert_clear(result, *words: str) -> None:
    """One error line with a next step, and no traceback."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    assert lines[0].count(". ") >= 1  # reason, then what to do
    assert "unexpected" not in lines[0]
    assert "Traceback" not in result.output
    for word in words:
        assert word in lines[0]


def truncated(path: Path, joints: np.ndarray) -> None:
    np.save(path, joints)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_nan(path: Path, joints: np.ndarray) -> None:
    joints[7, 3, 1] = np.nan
    np.save(path, joints)


def flat(path: Path, joints: np.ndarray) -> None:
    np.save(path, joints.reshape(len(joints), 66)[:, :65])


def of_one_rank(path: Path, joints: np.ndarray) -> None:
    np.save(path, joints.ravel()[:100])


def without_frames(path: Path, joints: np.ndarray) -> None:
    np.save(path, joints[:0])


def pickled(path: Path, joints: np.ndarray) -> None:
    np.save(path, np.array([{"joints": joints}], dtype=object), allow_pickle=True)


def of_text(path: Path, joints: np.ndarray) -> None:
    np.save(path, joints.astype(str))


def empty(path: Path, joints: np.ndarray) -> None:
    path.write_bytes(b"")


def a_folder(path: Path, joints: np.ndarray) -> None:
    path.unlink()
    path.mkdir()


def in_millimetres(path: Path, joints: np.ndarray) -> None:
    np.save(path, joints * 1000)


BROKEN = [truncated, with_nan, flat, of_one_rank, without_frames, pickled, of_text, empty, in_millimetres]


@pytest.mark.parametrize("spoil", [*BROKEN, a_folder], ids=lambda one: one.__name__)
def test_a_bad_file_is_a_failure_and_the_others_go_on(make_folder, tmp_path, arm_motion, spoil):
    source = make_folder(4)
    run(source, tmp_path / "good")
    whole = {row.motion.motion_id: row for row in read_rows(tmp_path / "good")}
    spoil(source / "new_joints/000002.npy", arm_motion(2))
    result = run(source, tmp_path / "d", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (told["asked"], told["rows"], told["failures"]) == (4, 3, 1)
    (failure,) = read_failures(tmp_path / "d")
    assert failure.motion_id == "000002"
    assert failure.reason
    assert "unexpected" not in failure.reason
    assert failure.remedy.endswith((".", "!"))
    for row in read_rows(tmp_path / "d"):
        before = whole[row.motion.motion_id]
        assert row.descriptions == before.descriptions
        assert row.keyframes == before.keyframes
        np.testing.assert_array_equal(row.motion.joints, before.motion.joints)


def test_duplicate_ids(make_folder, tmp_path):
    source = make_folder(4)
    with (source / "train.txt").open("a") as file:
        file.write("000001\n")
    told = json.loads(run(source, tmp_path / "d", "--json").stdout)
    assert (told["asked"], told["rows"], told["failures"]) == (5, 4, 1)
    assert read_failures(tmp_path / "d")[0].motion_id == "000001"
    again = json.loads(run(source, tmp_path / "d", "--json").stdout)
    assert (again["kept"], again["failures"]) == (4, 1)


def test_text_that_is_not_utf8(make_folder, tmp_path):
    source = make_folder(3)
    (source / "texts/000001.txt").write_bytes(b"une personne l\xe8ve le bras#x#0.0#0.0\n")
    result = run(source, tmp_path / "d", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 0
    assert told["rows"] + told["failures"] == 3
    assert told["rows"] >= 2
    if told["failures"]:
        assert "UTF-8" in read_failures(tmp_path / "d")[0].reason


def test_a_split_file_that_is_not_utf8(make_folder, tmp_path):
    source = make_folder(3)
    (source / "train.txt").write_bytes(b"\xff\xfe0\x000\x00")
    result = run(source, tmp_path / "d")
    assert_clear(result, "train.txt")


def test_no_source(tmp_path):
    assert_clear(run(tmp_path / "nowhere", tmp_path / "d"), "does not exist")
    assert not (tmp_path / "d").exists()


def test_an_empty_source(tmp_path):
    (tmp_path / "empty").mkdir()
    assert_clear(run(tmp_path / "empty", tmp_path / "d"), "holds no motion files")


@pytest.mark.parametrize("place", ["file/d", "file"])
def test_output_below_or_on_a_file(make_folder, tmp_path, place):
    (tmp_path / "file").write_text("mine")
    assert_clear(run(make_folder(1), tmp_path / place), "--out")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that cannot be written")
def test_output_where_nobody_may_write(make_folder):
    assert_clear(run(make_folder(1), Path("/proc/kinmo-dataset")), "/proc/kinmo-dataset", "--out")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_output_without_permission(make_folder, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert_clear(run(make_folder(1), tmp_path / "locked/d"), "--out")


def test_the_output_may_not_be_the_source(make_folder):
    source = make_folder(2)
    assert_clear(run(source, source), "not empty")
    assert sorted(path.name for path in source.iterdir()) == ["new_joints", "test.txt", "texts", "train.txt"]


@pytest.mark.parametrize("after", range(1, 9))
def test_a_disk_that_fills_up_leaves_what_was_finished(make_folder, tmp_path, monkeypatch, after):
    """The disk is full from the n-th file on, wherever that is; once there is room the run goes on."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    source, real, calls = make_folder(12), os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr("kinmo_annotate.pipeline.plan_shards", _small_shards)
    monkeypatch.setattr(os, "fsync", full)
    assert_clear(run(source, tmp_path / "d"), "no space left", "Free some space")
    monkeypatch.setattr(os, "fsync", real)
    assert list((tmp_path / "d").rglob("*.tmp")) == []
    told = json.loads(run(source, tmp_path / "d", "--json").stdout)
    assert (told["rows"], told["complete"]) == (12, True)
    run(source, tmp_path / "whole")
    for path in (tmp_path / "whole").rglob("*.parquet"):
        assert (tmp_path / "d" / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()


def _small_shards(entries, size):
    from kinmo_annotate.resume import plan_shards

    return plan_shards(entries, 3)


SKELETON = """HIERARCHY
ROOT Blob
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Tentacle
  {
    OFFSET 0 10 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 10 0
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.05
0 90 0 0 0 0 0 0 0
0 90 0 0 0 0 1 0 0
0 90 0 0 0 0 2 0 0
"""


def test_an_unknown_bvh_skeleton_shows_how_to_write_the_mapping(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source/squid.bvh").write_text(SKELETON)
    result = run(tmp_path / "source", tmp_path / "d")
    told = result.stdout + result.stderr
    assert result.exit_code == 1
    assert "Traceback" not in told
    failures = read_failures(tmp_path / "d") if (tmp_path / "d").exists() else []
    words = " ".join([told, *(failure.reason + failure.remedy for failure in failures)])
    assert "Tentacle" in words
    assert "--mapping" in words


def test_unusable_encoder_folder(make_folder, tmp_path, monkeypatch):
    def refuse(model, cache_dir=None):
        from kinmo_annotate.schema.records import MotionError

        raise MotionError(f"sentence encoder {model}", "cannot be loaded", "Give the folder of a model.")

    monkeypatch.setattr("kinmo_annotate.keyframes.open_encoder", refuse)
    assert_clear(run(make_folder(1), tmp_path / "d", "--sbert", "nowhere"), "sentence encoder nowhere")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spoils=st.lists(
        st.tuples(st.integers(0, 10**6), st.binary(min_size=0, max_size=40)), min_size=1, max_size=5
    ),
    which=st.sampled_from(["new_joints/000001.npy", "texts/000001.txt", "train.txt"]),
)
def test_random_damage_never_ends_in_a_traceback(make_folder, tmp_path, arm_motion, spoils, which):
    source = tmp_path / "source"
    if not source.exists():
        make_folder(3)
        shutil.copytree(source, tmp_path / "clean")
    shutil.rmtree(source)
    shutil.copytree(tmp_path / "clean", source)
    content = bytearray((source / which).read_bytes())
    for place, junk in spoils:
        place %= len(content) + 1
        content[place : place + len(junk)] = junk
    (source / which).write_bytes(bytes(content))
    result = run(source, tmp_path / "d", "--force", "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit)
    if result.stdout:
        told = json.loads(result.stdout)
        assert told["rows"] + told["failures"] == told["asked"]
        assert not [reason for reason in told["failures_by_reason"] if "unexpected" in reason]
        for row in read_rows(tmp_path / "d"):
            if row.motion.motion_id != "000001":
                number = int(row.motion.motion_id)
                np.testing.assert_allclose(row.motion.joints, arm_motion(number), atol=1e-6)
    else:
        assert_clear(result)
