"""Paths that a user gives: a CSV or npy file, or a few points written out.

CSV    a head `frame,joint,x,y,z`, then a row a point; the joint by name or number, frames from 0
.npy   (T, 22, 3), NaN where a joint is free
text   "0.5s left_wrist 0.2 1.4 0.3" or "10 left_wrist 0.2 1.4 0.3": a time or a frame, joint, x y z

What is wrong is said with the file and the row.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import FPS, JOINTS, NUM_JOINTS
from kinmo_models.control.paths import JointPath, joint_number
from kinmo_models.tokenizer.config import UNIT

COLUMNS: Final = ("frame", "joint", "x", "y", "z")
_EXAMPLE: Final = "A row reads like 10,left_wrist,0.2,1.4,0.3: frame, joint, and x y z in metres."
_IN_WORDS: Final = 'Write it like "0.5s left_wrist 0.2 1.4 0.3": time or frame, joint, x y z in metres.'
_MOST_FRAMES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Point:
    """A joint in a frame, and where that is written.

    Attributes:
        frame: from 0, 20 a second.
        joint: its number.
        place: x, y, z in metres.
        where: file and row, for errors.
    """

    frame: int
    joint: int
    place: tuple[float, float, float]
    where: str


@dataclass(frozen=True)
class GivenPath:
    """A path that was read.

    Attributes:
        path: of a whole number of motion tokens.
        rows: where the point of a frame and joint was written.
    """

    path: JointPath
    rows: dict[tuple[int, int], str]

    def relative(self) -> GivenPath:
        """See `JointPath.relative`."""
        return replace(self, path=self.path.relative())

    def warnings(self) -> list[str]:
        """Say which rows ask for what no person can do."""
        return [f"{self.rows[doubt.frame, doubt.joint]}: {doubt.what}" for doubt in self.path.doubts()]


def gather(points: Sequence[Point], frames: int | None = None) -> GivenPath:
    """Make a path of points.

    Args:
        points: in any order.
        frames: of the motion; None takes what the last point needs, up to a whole token.

    Raises:
        MotionError: there is no point, one outside the motion, or two of a joint in one frame.
    """
    if not points:
        raise MotionError("the path", "holds no point", _EXAMPLE)
    rows: dict[tuple[int, int], str] = {}
    last = max(points, key=lambda one: one.frame)
    if frames is not None and last.frame >= frames:
        reason = f"frame {last.frame} lies outside the motion of {frames} frames ({frames / FPS:g} s)"
        raise MotionError(last.where, reason, "Ask for a longer motion with --seconds, or leave the row out.")
    joints = np.full((frames or -(-(last.frame + 1) // UNIT) * UNIT, NUM_JOINTS, 3), np.nan, np.float32)
    for one in points:
        key = one.frame, one.joint
        if key in rows:
            reason = f"{JOINTS[one.joint]} is held in frame {one.frame} twice, first in {rows[key]}"
            raise MotionError(one.where, reason, "Keep one of the two.")
        rows[key], joints[key] = one.where, one.place
    return GivenPath(JointPath.of(joints), rows)


def read_points(path: Path) -> list[Point]:
    """Read the points of a .csv or .npy file.

    Raises:
        MotionError: another ending, or a file or row that cannot be used.
        OSError: it cannot be opened.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return list(_from_csv(path))
    if suffix == ".npy":
        return list(_from_array(path))
    raise MotionError(str(path), "is neither .csv nor .npy", _EXAMPLE)


def point_of(text: str) -> Point:
    """Read a point that is written out.

    Raises:
        MotionError: it does not say time, joint and place.
    """
    where, words = f"--at {text[:80]!r}", text.replace(",", " ").split()
    if len(words) != len(COLUMNS):
        raise MotionError(where, f"has {len(words)} words, not {len(COLUMNS)}", _IN_WORDS)
    if words[0].lower().endswith("s"):
        seconds = _number(words[0][:-1], where, "the time", _IN_WORDS)
        words[0] = str(round(seconds * FPS))
    return _point(words, where, _IN_WORDS)


def _from_csv(path: Path) -> Iterator[Point]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error):
        raise MotionError(str(path), "is no CSV in UTF-8", _EXAMPLE) from None
    head = [word.strip().lower() for word in rows[0]] if rows else []
    if sorted(head) != sorted(COLUMNS):
        reason = f"its first row is {','.join(head)[:80]!r}"
        raise MotionError(f"{path}, row 1", reason, f"It must name the columns: {','.join(COLUMNS)}.")
    order = [head.index(name) for name in COLUMNS]
    for number, row in enumerate(rows[1:], 2):
        if not any(word.strip() for word in row):
            continue
        where = f"{path}, row {number}"
        if len(row) != len(COLUMNS):
            raise MotionError(where, f"has {len(row)} columns, not {len(COLUMNS)}", _EXAMPLE)
        yield _point([row[place] for place in order], where, _EXAMPLE)


def _from_array(path: Path) -> Iterator[Point]:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError):
        raise MotionError(str(path), "is no array of numbers", "Save it with numpy.save.") from None
    wanted = f"Give floats (T, {NUM_JOINTS}, 3), NaN where a joint is free."
    if array.ndim != 3 or array.shape[1:] != (NUM_JOINTS, 3) or array.dtype.kind not in "fiu":
        raise MotionError(str(path), f"holds {array.dtype} of shape {array.shape}", wanted)
    free = np.isnan(array).all(2)
    for frame, joint in np.argwhere(~free).tolist():
        where = f"{path}, frame {frame}, {JOINTS[joint]}"
        yield _point([str(frame), str(joint), *map(str, array[frame, joint].tolist())], where, wanted)


def _point(words: Sequence[str], where: str, remedy: str) -> Point:
    """Check the five words of a point."""
    frame = words[0].strip()
    if not frame.isdecimal() or int(frame) >= _MOST_FRAMES:
        reason = f"the frame is {frame[:40]!r}, not a whole number from 0 to {_MOST_FRAMES - 1}"
        raise MotionError(where, reason, remedy)
    try:
        joint = joint_number(words[1])
    except ValueError as error:
        raise MotionError(where, str(error), _near(words[1])) from None
    x, y, z = (_number(word, where, name, remedy) for word, name in zip(words[2:], COLUMNS[2:], strict=True))
    return Point(int(frame), joint, (x, y, z), where)


def _number(word: str, where: str, name: str, remedy: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise MotionError(where, f"{name} is {word.strip()[:40]!r}, not a finite number", remedy)
    return number


def _near(word: str) -> str:
    import difflib

    near = difflib.get_close_matches(word.strip().lower().replace(" ", "_"), JOINTS, n=1)
    return f"Did you mean {near[0]}?" if near else "Name one of these."
