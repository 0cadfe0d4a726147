"""Measure control: motions along paths that are taken from real ones (OmniControl's setting).

A path holds joints of a real motion in some of its frames, drawn anew at each density; the motion is written
from the caption of that motion. Rows: without control, fed forward, and refined.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeAlias, TypeVar

import numpy as np

from kinmo_annotate.schema.features import features_to_joints
from kinmo_annotate.schema.skeleton import FPS
from kinmo_models.control.batches import USUAL
from kinmo_models.control.controller import Controller, Led
from kinmo_models.control.paths import JointPath
from kinmo_models.data.cache import Progress, Stages, stage
from kinmo_models.data.pairs import Pairs
from kinmo_models.evaluator.score import Figure, Scorer
from kinmo_models.generation.generator import Generated, Prompt
from kinmo_models.metrics.control import ControlErrors, control_errors
from kinmo_models.metrics.feet import foot_skating_ratio
from kinmo_models.tokenizer.config import UNIT

_Motion = TypeVar("_Motion", bound=Generated)

DENSITIES: Final = ("1", "2", "5", "25%", "100%")
MEAN: Final = "mean"
UNCONTROLLED, FORWARD = "uncontrolled", "feed-forward"
_SHOWN: Final = ("FID", "R-precision top 3")
_AT_ONCE: Final = 32
_WRISTS: Final = ("left_wrist", "right_wrist")
NOTES: Final = (
    "a point is a joint in a frame; errors are taken of each motion, then their mean over the motions",
    "paths are those of the real motions whose captions the motions are written from, and as long",
    "passes: decoder passes of a motion; those of refinement go there and back, the others only there",
)


@dataclass(frozen=True)
class ControlSettings:
    """What is measured.

    Attributes:
        densities: frames that are held: a number, or a share of the frames such as "25%".
        joints: "pelvis"; "wrists", both together; or "random", for each motion one of OmniControl's six.
        refine: passes of refinement; 0 leaves the refined rows out.
        level: of text, with the sentences of the annotation; None is the finest that the model has.
        seed: of everything drawn.
    """

    densities: tuple[str, ...] = DENSITIES
    joints: Literal["pelvis", "wrists", "random"] = "pelvis"
    refine: int = 0
    level: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class ControlRow:
    """Errors of one way to write motions, at one density.

    Attributes:
        motions: the way: "uncontrolled", "feed-forward" or "refined 100".
        density: as asked, or "mean" over all of them.
        errors: see `ControlErrors`.
        skating: share of transitions in which a foot slides.
        passes: decoder passes of a motion.
        seconds: to write a motion, in batches.
    """

    motions: str
    density: str
    errors: ControlErrors
    skating: float
    passes: int
    seconds: float


def held_frames(density: str, frames: int, random: np.random.Generator) -> list[int]:
    """Draw the frames that are held of a motion of so many.

    Raises:
        ValueError: the density is no number above 0 and no share up to 100%.
    """
    digits, share, rest = density.partition("%")
    if not digits.isdecimal() or rest or int(digits) < 1 or (share and int(digits) > 100):
        raise ValueError(f"{density!r} is no density; such are {', '.join(DENSITIES)}")
    count = max(1, round(int(digits) / 100 * frames)) if share else int(digits)
    return sorted(random.permutation(frames)[:count].tolist())


def paths_of(pairs: Pairs, density: str, settings: ControlSettings) -> list[JointPath]:
    """Take paths from the motions of a split, the same for the same settings."""
    paths = []
    for number, rows in enumerate(pairs.features):
        random = np.random.default_rng([settings.seed, number, settings.densities.index(density)])
        joints = features_to_joints(rows[: len(rows) // UNIT * UNIT])
        which: Sequence[int | str] = {
            "pelvis": ("pelvis",),
            "wrists": _WRISTS,
            "random": (int(random.choice(USUAL)),),
        }[settings.joints]
        paths.append(JointPath.of(joints, which, held_frames(density, len(joints), random)))
    return paths


Shown: TypeAlias = Callable[[str, str, Sequence[JointPath], Sequence[Generated]], None]


def score_control(
    controller: Controller,
    pairs: Pairs,
    settings: ControlSettings,
    scorer: Scorer | None = None,
    progress: Stages | None = None,
    shown: Shown | None = None,
) -> tuple[list[ControlRow], list[Figure]]:
    """Write motions along the paths of real ones, and measure them.

    Args:
        controller: the model.
        pairs: the real motions with their captions.
        settings: see `ControlSettings`.
        scorer: of the same pairs, for FID and R-precision; None leaves them out.
        progress: told how many motions are written.
        shown: given each way's name, density, paths and motions.

    Returns:
        A row for each way and density, and the means; figures of each.

    Raises:
        ValueError: a density or level that cannot be.
    """
    run = _Run(controller, pairs, settings, scorer, shown)
    alone = run.alone(stage(UNCONTROLLED, progress))
    for density in settings.densities:
        paths = paths_of(pairs, density, settings)
        run.add(UNCONTROLLED, density, paths, alone)
        written = run.forward(paths, stage(f"{FORWARD}, {density}", progress))
        run.add(FORWARD, density, paths, written)
        if settings.refine:
            told = stage(f"refined, {density}", progress)
            run.add(f"refined {settings.refine}", density, paths, run.refined(written, paths, told))
    return run.finished(), run.figures


@dataclass(frozen=True)
class _Written(Generic[_Motion]):
    """Motions, with what they took."""

    motions: Sequence[_Motion]
    passes: int
    seconds: float


class _Run:
    """Rows and figures as they come."""

    def __init__(
        self,
        controller: Controller,
        pairs: Pairs,
        settings: ControlSettings,
        scorer: Scorer | None,
        shown: Shown | None,
    ) -> None:
        self._controller, self._settings, self._scorer, self._shown = controller, settings, scorer, shown
        self._level = settings.level or controller.generator.levels[-1]
        self._prompts = [
            Prompt(
                caption, fields, len(rows) // UNIT * UNIT / FPS, settings.seed * len(pairs.captions) + number
            )
            for number, (caption, fields, rows) in enumerate(
                zip(pairs.captions, pairs.fields, pairs.features, strict=True)
            )
        ]
        # those of like length are written together
        self._order = sorted(range(len(self._prompts)), key=lambda place: self._prompts[place].seconds or 0)
        self.rows: list[ControlRow] = []
        self.figures: list[Figure] = []

    def alone(self, told: Progress | None) -> _Written[Generated]:
        """Write without control."""
        generator = self._controller.generator
        return self._write(
            lambda places: generator.generate([self._prompts[n] for n in places], level=self._level), told
        )

    def forward(self, paths: Sequence[JointPath], told: Progress | None) -> _Written[Led]:
        """Write along paths."""
        return self._write(
            lambda places: self._controller.generate(
                [self._prompts[n] for n in places], [paths[n] for n in places], level=self._level
            ),
            told,
        )

    def refined(
        self, written: _Written[Led], paths: Sequence[JointPath], told: Progress | None
    ) -> _Written[Led]:
        """Bring motions that are written to their paths."""
        steps, start = self._settings.refine, time.perf_counter()
        motions = self._controller.refined(written.motions, paths, steps, progress=told)
        seconds = written.seconds + (time.perf_counter() - start) / len(motions)
        return _Written(motions, written.passes + steps, seconds)

    def _write(
        self, generate: Callable[[list[int]], list[_Motion]], told: Progress | None
    ) -> _Written[_Motion]:
        """Write all motions, some at a time."""
        found: dict[int, _Motion] = {}
        start, self._controller.decodes = time.perf_counter(), 0
        for first in range(0, len(self._order), _AT_ONCE):
            places = self._order[first : first + _AT_ONCE]
            found.update(zip(places, generate(places), strict=True))
            if told is not None:
                told(len(found), len(self._order))
        seconds = (time.perf_counter() - start) / len(found)
        motions = [found[place] for place in range(len(found))]
        return _Written(motions, 1 + self._controller.decodes, seconds)  # the last pass makes the motion

    def add(self, name: str, density: str, paths: Sequence[JointPath], written: _Written[_Motion]) -> None:
        """Measure motions against their paths."""
        if self._shown is not None:
            self._shown(name, density, paths, written.motions)
        joints = [one.joints for one in written.motions]
        errors = control_errors(joints, [path.positions for path in paths], [path.held for path in paths])
        skating = foot_skating_ratio(list(joints))
        self.rows.append(ControlRow(name, density, errors, skating, written.passes, written.seconds))
        if self._scorer is None or (name == UNCONTROLLED and density != self._settings.densities[0]):
            return  # without control the motions are the same at every density
        said = name if name == UNCONTROLLED else f"{name}, {density}"
        scored = self._scorer.generated(said, [[one.features for one in written.motions]])
        self.figures.extend(one for one in scored if one.metric in _SHOWN)

    def finished(self) -> list[ControlRow]:
        """Give the rows way by way, each with its mean."""
        rows: list[ControlRow] = []
        for name in dict.fromkeys(row.motions for row in self.rows):
            mine = [row for row in self.rows if row.motions == name]
            rows += [*mine, _mean(mine)]
        return rows


def _mean(rows: Sequence[ControlRow]) -> ControlRow:
    """Take the mean over the densities."""
    errors = [row.errors for row in rows]
    trajectory = np.mean([one.trajectory for one in errors], axis=0)
    location = np.mean([one.location for one in errors], axis=0)
    average = float(np.mean([one.average_m for one in errors]))
    return ControlRow(
        rows[0].motions,
        MEAN,
        ControlErrors(tuple(trajectory.tolist()), tuple(location.tolist()), average, errors[0].motions),
        float(np.mean([row.skating for row in rows])),
        rows[0].passes,
        float(np.mean([row.seconds for row in rows])),
    )
