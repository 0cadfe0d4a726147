"""Reading BVH: any channels on any joint, any order, in plain NumPy; errors name file and line.

The format as read here: a tree of ROOT / JOINT / End Site with OFFSET and CHANNELS, then MOTION, Frames,
Frame Time and one line of numbers a frame. Rotations are degrees, composed in the order of the channels.
A position channel replaces that axis of the joint's OFFSET.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.rotations import euler_to_quat, quat_multiply, quat_rotate, resample_quats
from kinmo_annotate.sources.files import EXPORT_AGAIN, cannot_open

END = "/end"  # the End Site of joint NAME is called NAME/end
_CHANNEL = re.compile(r"([XYZ])(position|rotation)", re.IGNORECASE)
_MAX_JOINTS = 2000
Array = NDArray[np.float64]


@dataclass
class Skeleton:
    """The tree of a BVH file.

    Attributes:
        names: J names, parents before children; the End Site of NAME is NAME/end.
        parents: J indices, -1 for a root.
        offsets: (J, 3) from the parent, file units, at rest.
        channels: for each joint its channels in file order, "xp" (position) or "zr" (rotation).
    """

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[list[str]] = field(default_factory=list)

    def add(self, name: str, parent: int) -> int:
        """Append a joint and give its index."""
        self.names.append(name)
        self.parents.append(parent)
        self.offsets.append([0.0, 0.0, 0.0])
        self.channels.append([])
        return len(self.names) - 1

    @property
    def width(self) -> int:
        """Count the numbers in one frame."""
        return sum(map(len, self.channels))


@dataclass
class Bvh:
    """A BVH file in memory.

    Attributes:
        skeleton: the tree.
        fps: frames per second.
        values: (T, C) channel values as written: file units and degrees.
    """

    skeleton: Skeleton
    fps: float
    values: Array


def read_bvh(path: Path) -> Bvh:
    """Read a BVH file.

    Raises:
        MotionError: unreadable, truncated, or not BVH; names the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise cannot_open(path, error) from error
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.strip().upper() == "MOTION"), None)
    if start is None:
        raise _error(path, len(lines), "has no MOTION section")
    skeleton = _Header(path, lines[:start]).parse()
    count, fps, first = _read_frames_header(path, lines, start)
    values = _read_values(path, lines, first, count, skeleton.width)
    return Bvh(skeleton, fps, values)


def read_skeleton(path: Path) -> Skeleton:
    """Read only the tree of a BVH file, without its frames.

    Raises:
        MotionError: as `read_bvh`.
    """
    lines: list[str] = []
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            for line in file:
                if line.strip().upper() == "MOTION":
                    return _Header(path, lines).parse()
                lines.append(line)
    except OSError as error:
        raise cannot_open(path, error) from error
    raise _error(path, len(lines), "has no MOTION section")


def _error(path: Path, line: int, reason: str) -> MotionError:
    return MotionError(str(path), f"{reason} (line {max(line, 1)})", EXPORT_AGAIN)


class _Header:
    """Parses the HIERARCHY section as a stream of words, so that line breaks may fall anywhere."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self.path, self.last = path, len(lines)
        self.words = ((word, number) for number, line in enumerate(lines, 1) for word in line.split())
        self.line = 1

    def parse(self) -> Skeleton:
        if self.word().upper() != "HIERARCHY":
            raise self.error("does not begin with HIERARCHY")
        skeleton, stack = Skeleton(), [-1]
        while (word := self.word(optional=True)) or len(stack) > 1:
            self.statement(word, skeleton, stack)
        if not skeleton.names:
            raise self.error("has no ROOT")
        return skeleton

    def statement(self, word: str, skeleton: Skeleton, stack: list[int]) -> None:
        """Read one statement; `stack` holds the joints whose braces are open."""
        keyword = word.upper()
        if keyword in ("ROOT", "JOINT", "END"):
            self.open(keyword, skeleton, stack)
        elif keyword == "OFFSET" and stack[-1] >= 0:
            skeleton.offsets[stack[-1]] = [self.number() for _ in range(3)]
        elif keyword == "CHANNELS" and stack[-1] >= 0:
            skeleton.channels[stack[-1]] = self.channels()
        elif keyword == "}" and len(stack) > 1:
            stack.pop()
        else:
            raise self.error(f"has {word!r} where a joint was expected" if word else "ends inside a joint")

    def open(self, keyword: str, skeleton: Skeleton, stack: list[int]) -> None:
        if (keyword == "ROOT") != (stack[-1] < 0):
            raise self.error(f"has {keyword} where it cannot stand")
        words = [self.word()]
        while words[-1] != "{":
            words.append(self.word())
        if len(skeleton.names) >= _MAX_JOINTS:
            raise self.error(f"has more than {_MAX_JOINTS} joints")
        name = skeleton.names[stack[-1]] + END if keyword == "END" else " ".join(words[:-1])
        stack.append(skeleton.add(name, stack[-1]))

    def channels(self) -> list[str]:
        count = self.number()
        if count not in range(13):
            raise self.error(f"has a count of {count:g} channels")
        found = [_CHANNEL.fullmatch(self.word()) for _ in range(int(count))]
        if not all(found):
            raise self.error("names a channel that is not X/Y/Zposition or X/Y/Zrotation")
        return [match[1].lower() + match[2][0].lower() for match in found if match]

    def number(self) -> float:
        word = self.word()
        try:
            value = float(word)
        except ValueError:
            raise self.error(f"has {word!r} where a number was expected") from None
        if not np.isfinite(value):
            raise self.error(f"has {word} where a number was expected")
        return value

    def word(self, *, optional: bool = False) -> str:
        word, self.line = next(self.words, ("", self.last))
        if not word and not optional:
            raise self.error("ends inside the HIERARCHY section")
        return word

    def error(self, reason: str) -> MotionError:
        return _error(self.path, self.line, reason)


def _read_frames_header(path: Path, lines: list[str], start: int) -> tuple[int, float, int]:
    """Read "Frames:" and "Frame Time:"; give count, fps and the index of the line after them."""
    found: dict[str, float] = {}
    at = start
    while len(found) < 2:
        at += 1
        key, _, value = (lines[at] if at < len(lines) else "").partition(":")
        if not key.strip() and at < len(lines):
            continue
        name = " ".join(key.lower().split())
        if name not in ("frames", "frame time"):
            raise _error(path, at + 1, "has no 'Frames:' and 'Frame Time:' after MOTION")
        try:
            found[name] = float(value)
        except ValueError:
            raise _error(path, at + 1, f"has {value.strip()!r} as its {name}") from None
    count, seconds = found["frames"], found["frame time"]
    if not 0.0 < seconds <= 1.0:
        raise _error(path, at + 1, f"has a frame time of {seconds:g} s")
    if not (0 <= count <= 1e8 and count == int(count)):
        raise _error(path, at + 1, f"has a frame count of {count:g}")
    return int(count), _snap(1.0 / seconds), at + 1


def _snap(fps: float) -> float:
    """Undo the rounding of a frame time such as 0.0333333, which would drift over long motions."""
    return float(round(fps)) if round(fps) and abs(fps - round(fps)) < 0.01 else fps


def _read_values(path: Path, lines: list[str], first: int, count: int, width: int) -> Array:
    """Read the frames, each on its own line.

    Raises:
        MotionError: too few or too many frames or values, or something that is not a finite number.
    """
    numbered = [(i + 1, lines[i].split()) for i in range(first, len(lines))]
    rows = [(line, words) for line, words in numbered if words]
    for line, words in rows[:count]:
        if len(words) != width:
            raise _error(path, line, f"has {len(words)} values in a frame, expected {width}")
    if len(rows) != count:
        raise _error(path, len(lines), f"has {len(rows)} frames where its header says {count}")
    values = np.empty((count, width))
    for index, (line, words) in enumerate(rows):
        try:
            values[index] = words
        except ValueError as error:
            raise _error(path, line, f"has a value that is no number ({error})") from None
    if not np.isfinite(values).all():
        line = rows[int((~np.isfinite(values)).any(axis=1).argmax())][0]
        raise _error(path, line, "has a NaN or infinite value")
    return values


def local_pose(bvh: Bvh) -> tuple[Array, Array]:
    """Turn channel values into each joint's position in its parent and its rotation.

    Returns:
        (T, J, 3) file units and (T, J, 4) unit quaternions.
    """
    skeleton, frames = bvh.skeleton, len(bvh.values)
    positions = np.tile(np.array(skeleton.offsets), (frames, 1, 1))
    rotations = np.zeros((frames, len(skeleton.names), 4))
    rotations[..., 0] = 1.0
    column = 0
    for joint, channels in enumerate(skeleton.channels):
        values = bvh.values[:, column : column + len(channels)]
        column += len(channels)
        order = "".join(channel[0] for channel in channels if channel[1] == "r")
        turning = [i for i, channel in enumerate(channels) if channel[1] == "r"]
        for i, channel in enumerate(channels):
            if channel[1] == "p":
                positions[:, joint, "xyz".index(channel[0])] = values[:, i]
        if order:
            rotations[:, joint] = euler_to_quat(np.deg2rad(values[:, turning]), order)
    return positions, rotations


def resample(positions: Array, rotations: Array, fps: float, target: float) -> tuple[Array, Array]:
    """Bring local poses to another frame rate: positions by lerp, rotations by slerp.

    The first frame stays; the last is the last that falls inside the motion.
    """
    last = len(positions) - 1
    times = np.arange(int(np.floor(last * target / fps + 1e-6)) + 1) * (fps / target)
    if fps == target or last < 1:
        return positions, rotations
    low = np.minimum(times.astype(np.int64), last - 1)
    weight = (times - low)[:, None, None]
    moved = positions[low] * (1.0 - weight) + positions[low + 1] * weight
    return moved, resample_quats(rotations, times)


def world_positions(skeleton: Skeleton, positions: Array, rotations: Array) -> Array:
    """Forward kinematics: (T, J, 3) positions in the file's world, file units."""
    world, turned = np.empty_like(positions), np.empty_like(rotations)
    for joint, parent in enumerate(skeleton.parents):
        if parent < 0:
            world[:, joint], turned[:, joint] = positions[:, joint], rotations[:, joint]
            continue
        world[:, joint] = world[:, parent] + quat_rotate(turned[:, parent], positions[:, joint])
        if not skeleton.names[joint].endswith(END):
            turned[:, joint] = quat_multiply(turned[:, parent], rotations[:, joint])
    return world
