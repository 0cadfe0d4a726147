"""Paths that a user gives: what is read, and that what is wrong is said with its row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kinmo_annotate.schema.records import MotionError
from kinmo_models.control.points import gather, point_of, read_points


def csv(tmp_path: Path, *rows: str, head: str = "frame,joint,x,y,z") -> Path:
    path = tmp_path / "path.csv"
    path.write_text("\n".join([head, *rows]) + "\n", "utf-8")
    return path


def test_a_csv_is_read_by_its_head_with_names_or_numbers(tmp_path: Path):
    path = csv(tmp_path, "0,1,0.9,0,pelvis", "", " 5 , 1.5,1.2, 0.3 , 20", head="frame,x,y,z,joint")
    given = gather(read_points(path))
    assert np.argwhere(given.path.held).tolist() == [[0, 0], [5, 20]]
    np.testing.assert_allclose(given.path.positions[5, 20], [1.5, 1.2, 0.3])
    assert len(given.path) == 8  # whole tokens of four frames
    assert given.rows[5, 20] == f"{path}, row 4"


def test_an_array_holds_what_is_not_nan(tmp_path: Path):
    joints = np.full((6, 22, 3), np.nan)
    joints[3, 15] = [0.1, 1.6, 0.2]
    np.save(tmp_path / "path.npy", joints)
    given = gather(read_points(tmp_path / "path.npy"), 8)
    assert np.argwhere(given.path.held).tolist() == [[3, 15]]


def test_points_are_written_out_with_a_time_or_a_frame():
    first, second = point_of("0.5s left_wrist 0.2 1.4 0.3"), point_of("7, 0, 0,0.9,1")
    assert (first.frame, first.joint, first.place) == (10, 20, (0.2, 1.4, 0.3))
    assert (second.frame, second.joint) == (7, 0)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["0,pelvis,0,0.9,0", "1,pelvis,0,nan,0"], "row 3: y is 'nan', not a finite number"),
        (["0,pelvis,0,inf,0"], "row 2: y is 'inf'"),
        (["0,pelvis,zero,1,0"], "row 2: x is 'zero'"),
        (["-1,pelvis,0,1,0"], "row 2: the frame is '-1'"),
        (["1.5,pelvis,0,1,0"], "row 2: the frame is '1.5'"),
        (["9999999,pelvis,0,1,0"], "row 2: the frame is '9999999'"),
        (["0,left_hand,0,1,0"], "row 2: there is no joint 'left_hand'"),
        (["0,left wrst,0,1,0"], "Did you mean left_wrist"),
        (["0,22,0,1,0"], "row 2: there is no joint '22'"),
        (["0,pelvis,0,1"], "row 2: has 4 columns, not 5"),
        (["0,pelvis,0,1,0", "0,0,0,1,0"], "row 3: pelvis is held in frame 0 twice, first in"),
        (["0,pelvis,0,1,0", "40,pelvis,0,1,0"], "row 3: frame 40 lies outside the motion of 40 frames (2 s)"),
        ([], "holds no point"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, rows: list[str], said: str):
    with pytest.raises(MotionError) as error:
        gather(read_points(csv(tmp_path, *rows)), 40)
    assert said in str(error.value)


def test_files_that_hold_no_path_are_refused(tmp_path: Path):
    with pytest.raises(MotionError, match="row 1: its first row is 'a,b'"):
        read_points(csv(tmp_path, head="a,b"))
    with pytest.raises(MotionError, match=r"neither \.csv nor \.npy"):
        read_points(tmp_path / "path.txt")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MotionError, match="no CSV in UTF-8"):
        read_points(tmp_path / "bytes.csv")
    (tmp_path / "bad.npy").write_bytes(b"no array")
    with pytest.raises(MotionError, match="no array of numbers"):
        read_points(tmp_path / "bad.npy")
    np.save(tmp_path / "flat.npy", np.zeros((4, 66)))
    with pytest.raises(MotionError, match="float64 of shape \\(4, 66\\)"):
        read_points(tmp_path / "flat.npy")
    joints = np.full((2, 22, 3), np.nan)
    joints[1, 4, 0] = 1.0
    np.save(tmp_path / "half.npy", joints)
    with pytest.raises(MotionError, match="frame 1, left_knee: y is 'nan'"):
        read_points(tmp_path / "half.npy")
    with pytest.raises(MotionError, match="has 2 words, not 5"):
        point_of("0.5s left_wrist")
    with pytest.raises(MotionError, match="the time is"):
        point_of("abs left_wrist 0 1 0")


def test_doubts_name_their_rows(tmp_path: Path):
    path = csv(tmp_path, "0,pelvis,0,0.9,0", "1,pelvis,0,0.9,5")
    (said,) = gather(read_points(path)).warnings()
    assert said.startswith(f"{path}, row 3: pelvis moves 100 m/s")
    far = gather(read_points(csv(tmp_path, "0,pelvis,1,0.9,0")))
    assert "row 2: the pelvis is held at x 1.00" in far.warnings()[0]
    assert far.relative().warnings() == []
