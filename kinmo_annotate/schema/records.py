"""The small records that flow from a motion to its row in the dataset."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.skeleton import FPS, NUM_JOINTS

NO_MOVEMENT = "No notable movement."
NOT_DETERMINED = "Not determined."  # what a describer says where it cannot tell

# What the fact check says of a claim.
SUPPORTED: Final = "supported"
CONTRADICTED: Final = "contradicted"
NOT_CHECKABLE: Final = "not checkable"
VERDICTS: Final = (SUPPORTED, CONTRADICTED, NOT_CHECKABLE)


class MotionError(Exception):
    """An input that cannot be used: which file or motion, why, and what the user can do about it."""

    def __init__(self, where: str, reason: str, remedy: str) -> None:
        self.where, self.reason, self.remedy = where, reason, remedy
        super().__init__(f"{where}: {reason}. {remedy}")


@dataclass(frozen=True, slots=True)
class Caption:
    """A global action text; `start_s == end_s == 0` means the whole motion."""

    text: str
    start_s: float = 0.0
    end_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where a motion came from; `end_s` 0 means to the end of the file."""

    dataset: str
    path: str
    start_s: float = 0.0
    end_s: float = 0.0
    license: str = ""


@dataclass(frozen=True, slots=True)
class Motion:
    """One motion.

    Attributes:
        motion_id: unique in its source.
        joints: (T, 22, 3) float32, metres, y up, SMPL joint order, feet on y = 0, facing +z at frame 0.
        fps: frames per second.
        captions: global action texts.
        source: provenance.
        split: "train", "val" or "test".
        features: HumanML3D vectors (T', 263) float32, only where the source brought them.
    """

    motion_id: str
    joints: NDArray[np.float32]
    source: Source
    fps: float = FPS
    captions: tuple[Caption, ...] = ()
    split: str = "train"
    features: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        check_joints(self.joints, self.source.path or self.motion_id)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.joints) / self.fps


def check_joints(joints: NDArray[np.floating], where: str) -> None:
    """Refuse arrays that are not a usable (T, 22, 3) motion.

    Raises:
        MotionError: wrong rank or shape, fewer than two frames, NaN or infinite values, impossible extent.
    """
    if joints.ndim != 3 or joints.shape[1:] != (NUM_JOINTS, 3):
        raise MotionError(
            where,
            f"joints have shape {joints.shape}, expected (T, {NUM_JOINTS}, 3)",
            "Give positions of the 22 SMPL joints in metres, y up, one row a frame.",
        )
    if len(joints) < 2:
        raise MotionError(
            where, f"has {len(joints)} frames, at least 2 are needed", "Leave it out or export it again."
        )
    bad = ~np.isfinite(joints).all(axis=(1, 2))
    if bad.any():
        raise MotionError(
            where,
            f"has NaN or infinite positions in {int(bad.sum())} of {len(joints)} frames, "
            f"first at frame {int(bad.argmax())}",
            "Cut those frames away or fill the gaps in the tool that made the file.",
        )
    extent = float(np.abs(joints - joints[:, :1]).max())
    if extent > 5.0 or extent < 0.05:
        raise MotionError(
            where,
            f"its joints lie up to {extent:.3g} m from the pelvis, which no human body does",
            "Check the unit (metres are expected; many files are in centimetres).",
        )


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A frame kept by the keyframe stage.

    `similarity` is its cosine similarity to the keyframe before it (1.0 for the first).
    """

    frame: int
    similarity: float
    caption: str


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a group or a pair did: the unit of differences, claims and truth.

    Attributes:
        field: one of the six groups or 15 pairs (`skeleton.FIELDS`).
        action: a name in `vocabulary.ACTIONS`.
        start_s: when it begins, seconds.
        end_s: when it ends, seconds.
        count: how many times in a row; 1 unless repeated.
        amount: size in the action's unit (metres, degrees), 0 if unknown.
    """

    field: str
    action: str
    start_s: float
    end_s: float
    count: int = 1
    amount: float = 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """What the fact check found for one claim of one sentence: one of `VERDICTS`."""

    field: str
    claim: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a row was made; `created_at` is the only value that differs between equal runs.

    `cost_usd` is None where no price is known; rules cost nothing.
    """

    describer: str
    model: str
    prompt_version: str
    captioner: str
    sbert_model: str
    keyframe_threshold: float
    seed: int
    kinmo_version: str
    created_at: str
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Review:
    """What people said of a row."""

    status: str = "unreviewed"
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the dataset: a motion and everything written about it."""

    motion: Motion
    keyframes: tuple[Keyframe, ...]
    descriptions: dict[str, str]
    provenance: Provenance
    checks: tuple[Check, ...] = ()
    review: Review = field(default_factory=Review)


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be annotated, at which stage, why, and what to do."""

    motion_id: str
    path: str
    stage: str
    reason: str
    remedy: str
