"""One demo motion: authored on a stage, breathing, facing +z, with its truth and its captions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from kinmo_annotate.schema.records import Caption, Motion, Source
from kinmo_annotate.schema.skeleton import FPS, GROUND
from kinmo_annotate.sources.procedural import arms, combos, legs, locomotion, trunk
from kinmo_annotate.sources.procedural.body import Array
from kinmo_annotate.sources.procedural.captions import write_captions
from kinmo_annotate.sources.procedural.quantities import body_yaw
from kinmo_annotate.sources.procedural.registry import KINDS
from kinmo_annotate.sources.procedural.stage import Stage
from kinmo_annotate.sources.procedural.truth import TruthEvent, derive_truth

# Importing the families registers their kinds.
FAMILIES: Final = (locomotion, arms, legs, trunk, combos)
MIN_FRAMES: Final = 40
MAX_FRAMES: Final = 196
_TRIES: Final = 8


@dataclass(frozen=True, slots=True)
class DemoMotion:
    """A demo motion, the kind it is of, and everything that it really does."""

    motion: Motion
    kind: str
    events: tuple[TruthEvent, ...]


def kind_of(index: int) -> str:
    """The kind of the motion at `index`.

    The table is walked in strides, so that neighbours differ; len(KINDS) motions in a row have all kinds.
    """
    names = list(KINDS)
    stride = next(n for n in range(int(0.38 * len(names)) + 1, len(names) + 2) if np.gcd(n, len(names)) == 1)
    return names[index * stride % len(names)]


def split_of(index: int) -> str:
    """train, val or test in 8 : 1 : 1, shifted from round to round so that no kind stays in one split."""
    place = (index + index // len(KINDS)) % 10
    return {8: "val", 9: "test"}.get(place, "train")


def make_motion(seed: int, index: int) -> DemoMotion:
    """Make the motion at `index` of the demo set of a seed.

    The same arguments give the same bytes, whatever else is made. The motion is 40 to 196 frames long at
    20 fps, its feet stand on y = 0, and at frame 0 the pelvis is above the origin and the body faces +z.
    There are no head turns or head shakes: the yaw of a head is not to be seen in 22 joint positions.

    Args:
        seed: of the set.
        index: from 0; decides the kind (`kind_of`) and the split.

    Raises:
        ValueError: negative seed or index.
    """
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must be 0 or more, got {seed} and {index}")
    return make_kind(kind_of(index), np.random.default_rng([seed, index]), f"{index:06d}", split_of(index))


def make_kind(
    kind: str, rng: np.random.Generator, motion_id: str, split: str, side: str | None = None
) -> DemoMotion:
    """Make a motion of one kind; `side` fixes the side that is otherwise drawn.

    Raises:
        KeyError: no such kind.
        RuntimeError: the kind never comes out 40 to 196 frames long (a mistake in its action).
    """
    for _ in range(_TRIES):
        stage = Stage(rng, side)
        stage.hold(stage.pick(0.2, 0.45))
        phrases = KINDS[kind](stage)
        stage.hold(stage.pick(0.2, 0.5))
        stage.hold(max(0.0, (MIN_FRAMES - 1 - stage.frame) / FPS / stage.tempo))
        if MIN_FRAMES <= stage.frame + 1 <= MAX_FRAMES:
            break
    else:
        raise RuntimeError(f"{kind} is {stage.frame + 1} frames long, expected {MIN_FRAMES} to {MAX_FRAMES}")
    events = derive_truth(stage.joints(), stage.phases)
    joints = _placed(stage.joints(idle=stage.pick(0.5, 1.0)))
    captions = tuple(Caption(text) for text in write_captions(phrases, stage.tempo, rng))
    source = Source("demo", f"new_joints/{motion_id}.npy", license="Apache-2.0")
    motion = Motion(motion_id, joints.astype(np.float32), source, FPS, captions, split)
    return DemoMotion(motion, kind, events)


def _placed(joints: Array) -> Array:
    """Face +z at frame 0, pelvis above the origin, lowest joint on the ground."""
    yaw = body_yaw(joints[:1])[0]
    cos, sin = np.cos(yaw), np.sin(yaw)
    back = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
    placed = joints @ back.T
    placed[..., list(GROUND)] -= placed[:1, :1][..., list(GROUND)]
    placed[..., 1] -= placed[..., 1].min()
    return placed
