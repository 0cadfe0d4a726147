"""Paths of joints: where some joints shall be in some frames of a motion.

Frame of reference: that of the motion itself. Metres, y up, 20 frames a second; the pelvis of frame 0 stands
at x = z = 0 and the body faces +z there, its left at +x. So recovery from HumanML3D features has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kinmo_annotate.schema.skeleton import FPS, GROUND, GROUPS, JOINT, JOINTS, NUM_JOINTS, UP

PELVIS: Final = JOINT["pelvis"]
# What nobody moves faster than, metres a second: the fastest sprinter as a whole, and the hand of a pitcher.
BODY_M_S: Final = 12.0
LIMB_M_S: Final = 25.0
HIGHEST_M: Final = 3.0  # over the floor; higher is likely another unit
_AWAY_M: Final = 0.05  # from the origin, where a motion starts
_BODY: Final = (*GROUPS["torso"], *GROUPS["neck"])


@dataclass(frozen=True)
class JointPath:
    """Where joints shall be.

    Attributes:
        positions: (T, 22, 3) float32 metres; 0 where nothing is held.
        held: (T, 22) bool, true where a joint is held.
    """

    positions: NDArray[np.float32]
    held: NDArray[np.bool_]

    def __post_init__(self) -> None:
        positions, held = np.asarray(self.positions, np.float32), np.asarray(self.held, bool)
        if positions.ndim != 3 or positions.shape[1:] != (NUM_JOINTS, 3) or held.shape != positions.shape[:2]:
            wanted = f"(T, {NUM_JOINTS}, 3) with held (T, {NUM_JOINTS})"
            raise ValueError(f"a path has positions {positions.shape} with held {held.shape}, not {wanted}")
        if not np.isfinite(positions[held]).all():
            frame, joint = np.argwhere(held & ~np.isfinite(positions).all(2))[0]
            raise ValueError(f"a path holds {JOINTS[joint]} in frame {frame} at no finite place")
        object.__setattr__(self, "positions", np.where(held[..., None], positions, np.float32(0)))
        object.__setattr__(self, "held", held)

    @classmethod
    def of(
        cls,
        joints: ArrayLike,
        which: Iterable[int | str] | None = None,
        frames: Iterable[int] | None = None,
    ) -> JointPath:
        """Hold joints where they are in a motion.

        Args:
            joints: (T, 22, 3) metres, in the motion's own frame of reference; NaN where a joint is free.
            which: joints, by name or number; None is all.
            frames: numbers of frames; None is all.

        Raises:
            ValueError: an unknown joint, a frame outside the motion, or another shape.
        """
        positions = np.asarray(joints, np.float32)
        held = np.zeros(positions.shape[:2], bool)
        rows = np.arange(len(positions)) if frames is None else np.array(list(frames), np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(positions)):
            raise ValueError(f"frames {rows.min()} to {rows.max()} are not all among {len(positions)}")
        columns = range(NUM_JOINTS) if which is None else [joint_number(one) for one in which]
        held[np.ix_(rows, np.array(list(columns), np.int64))] = True
        return cls(positions, held & ~np.isnan(positions).any(2))

    @classmethod
    def empty(cls, frames: int) -> JointPath:
        """Hold nothing in so many frames."""
        return cls(np.zeros((frames, NUM_JOINTS, 3), np.float32), np.zeros((frames, NUM_JOINTS), bool))

    def __len__(self) -> int:
        """How many frames it speaks of."""
        return len(self.held)

    @property
    def points(self) -> int:
        """How many points, each a joint in a frame, are held."""
        return int(self.held.sum())

    def fitted(self, frames: int) -> JointPath:
        """Speak of another number of frames; nothing is held in those that are added.

        Raises:
            ValueError: a frame that is taken away holds something.
        """
        if self.held[frames:].any():
            last = int(np.flatnonzero(self.held.any(1))[-1])
            raise ValueError(f"the path holds a joint in frame {last}, outside the {frames} of the motion")
        kept = min(frames, len(self))
        fitted = JointPath.empty(frames)
        fitted.positions[:kept], fitted.held[:kept] = self.positions[:kept], self.held[:kept]
        return fitted

    def relative(self) -> JointPath:
        """Move the whole path over the ground so that it starts at the origin; it is not turned.

        Its start is the pelvis in the first frame that holds it, else the middle of what the first frame that
        holds anything holds.
        """
        if not self.points:
            return self
        start = self._start()
        moved = self.positions.copy()
        for axis in GROUND:
            moved[..., axis] -= start[axis]
        return replace(self, positions=moved)

    def _start(self) -> NDArray[np.float32]:
        """Where the path starts (3,)."""
        if self.held[:, PELVIS].any():
            return self.positions[self.held[:, PELVIS].argmax(), PELVIS]
        frame = self.held.any(1).argmax()
        middle: NDArray[np.float32] = self.positions[frame, self.held[frame]].mean(0)
        return middle

    @property
    def wanted(self) -> NDArray[np.float32]:
        """Where joints shall be: (T, 22, 3), NaN where they are free."""
        return np.where(self.held[..., None], self.positions, np.float32(np.nan))

    def doubts(self) -> list[Doubt]:
        """Say what of the path no person can do: speeds, heights, and a start that is not at the origin."""
        return [*self._fast(), *self._high(), *self._astray()]

    def _fast(self) -> Iterator[Doubt]:
        """Name for each joint that would be too fast where it is fastest."""
        for joint in np.flatnonzero(self.held.any(0)).tolist():
            frames = np.flatnonzero(self.held[:, joint])
            steps = np.linalg.norm(np.diff(self.positions[frames, joint], axis=0), axis=1)
            speeds = steps * FPS / np.diff(frames)
            limit = BODY_M_S if joint in _BODY else LIMB_M_S
            if not (speeds > limit).any():
                continue
            at, count = int(speeds.argmax()), int((speeds > limit).sum())
            more = f" (the fastest of {count} such steps)" if count > 1 else ""
            yield Doubt(
                int(frames[at + 1]),
                joint,
                f"{JOINTS[joint]} moves {speeds[at]:.0f} m/s from frame {frames[at]} to {frames[at + 1]}"
                f"{more}; nobody moves it faster than {limit:g} m/s (in metres, {FPS:g} frames a second)",
            )

    def _high(self) -> Iterator[Doubt]:
        heights = np.where(self.held, np.abs(self.positions[..., UP]), 0)
        if heights.size and heights.max() > HIGHEST_M:
            frame, joint = (int(one) for one in np.unravel_index(heights.argmax(), heights.shape))
            high = self.positions[frame, joint, UP]
            what = (
                f"{JOINTS[joint]} is {high:.3g} m over the floor in frame {frame}: metres are expected, y up"
            )
            yield Doubt(frame, joint, what)

    def _astray(self) -> Iterator[Doubt]:
        """Say where the pelvis of frame 0 is held, if not at the origin, where it always is."""
        if not len(self) or not self.held[0, PELVIS]:
            return
        x, z = (float(self.positions[0, PELVIS, axis]) for axis in GROUND)
        if np.hypot(x, z) > _AWAY_M:
            what = (
                f"the pelvis is held at x {x:.2f}, z {z:.2f} in frame 0, but every motion starts at x 0, z 0,"
                " facing +z; --relative moves the path there"
            )
            yield Doubt(0, PELVIS, what)


@dataclass(frozen=True, slots=True)
class Doubt:
    """What of a path no person can do.

    Attributes:
        frame: where.
        joint: of which.
        what: in words.
    """

    frame: int
    joint: int
    what: str


def joint_number(joint: int | str) -> int:
    """Give the number of a joint, from its name or number.

    Raises:
        ValueError: there is no such joint.
    """
    if isinstance(joint, str):
        text = joint.strip()
        if text in JOINT:
            return JOINT[text]
        joint = int(text) if text.isdecimal() else -1
        if not 0 <= joint < NUM_JOINTS:
            raise ValueError(f"there is no joint {text[:60]!r}; there are {', '.join(JOINTS)}, or 0 to 21")
    if not 0 <= joint < NUM_JOINTS:
        raise ValueError(f"there is no joint {joint}; there are 0 to {NUM_JOINTS - 1}")
    return int(joint)


def check_lengths(paths: Sequence[JointPath], frames: Sequence[int]) -> None:
    """Refuse paths that are not as long as their motions.

    Raises:
        ValueError: another number of paths, or of frames.
    """
    if len(paths) != len(frames):
        raise ValueError(f"{len(frames)} motions have {len(paths)} paths")
    for number, (path, count) in enumerate(zip(paths, frames, strict=True)):
        if len(path) != count:
            raise ValueError(f"the path of motion {number} has {len(path)} frames, the motion {count}")
