"""`kinmo evaluate control`: how near motions come to the paths that they are to follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ._common import WRONG_USAGE, JsonOption, console, fail, print_json, warn
from ._evaluators import EvaluatorOption, Judge, StatisticsOption, TextsOption, VectorsOption
from ._progress import stages
from ._tables import add_row, new_table
from .evaluate_evaluator import Pools, show_scores
from .generate import check_levels

if TYPE_CHECKING:
    from kinmo_annotate.render import Compared
    from kinmo_models.control.evaluate import ControlRow, ControlSettings
    from kinmo_models.control.paths import JointPath
    from kinmo_models.data.cache import Progress
    from kinmo_models.data.pairs import Pairs
    from kinmo_models.evaluator.score import Scores
    from kinmo_models.generation.generator import Generated

_PICTURED: Final = 8


class Joints(StrEnum):
    """What a path holds."""

    pelvis = "pelvis"
    wrists = "wrists"
    random = "random"


def control(
    run: Annotated[Path, typer.Argument(help="A trained control branch.", show_default=False)],
    dataset: Annotated[Path, typer.Argument(help="An annotated dataset.", show_default=False)],
    evaluator: EvaluatorOption = None,
    vectors: VectorsOption = None,
    statistics: StatisticsOption = None,
    texts: TextsOption = None,
    split: Annotated[str, typer.Option(help="Whose captions and paths are taken.")] = "test",
    density: Annotated[
        str, typer.Option(help="Frames that are held, comma between: numbers or shares.")
    ] = "1,2,5,25%,100%",
    joints: Annotated[
        Joints, typer.Option(help="Held: pelvis; wrists: both; random: one of six usual ones.")
    ] = Joints.pelvis,
    refine: Annotated[int, typer.Option(min=0, help="Passes of optimisation; 0 leaves these rows out.")] = 0,
    count: Annotated[int | None, typer.Option(min=1, help="Motions; else all of the split.")] = None,
    level: Annotated[str | None, typer.Option(help="Of text: G, GJ or GJI. Default: the finest.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of paths and motions.")] = 0,
    pools: Annotated[
        Pools, typer.Option(help="standard: any motions, as T2M; distinct: no two that are alike.")
    ] = Pools.distinct,
    pool: Annotated[int, typer.Option(help="Motions of a pool of R-precision.", min=2)] = 32,
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Folder for sheets of the first 8 motions: each way, and the path of the last density."
        ),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", "--cache-dir", help="Where features and embeddings are kept.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Errors along paths of real motions: without control, fed forward and refined; FID with an evaluator.

    Example: kinmo evaluate control RUN D --evaluator EVALUATOR --refine 100 --count 64

    To see it: kinmo evaluate control RUN D --refine 100 --count 8 --joints wrists --pictures sheets
    """
    from kinmo_models.control.controller import Controller
    from kinmo_models.control.evaluate import NOTES, ControlSettings, score_control
    from kinmo_models.data.cache import stage
    from kinmo_models.data.motions import MotionStore
    from kinmo_models.data.pairs import doubts
    from kinmo_models.evaluator.score import ScoreSettings, open_scorer, scored_pairs

    settings = ControlSettings(_densities(density), joints.value, refine, level, seed)
    controller = Controller.from_pretrained(run, cache_dir=cache)
    check_levels([level] if level else [], controller.generator.levels)
    store = MotionStore.open(dataset, cache)
    scorer, scores = None, None
    if evaluator is not None:
        judge = Judge(evaluator, vectors, statistics, texts).open()
        asked = ScoreSettings(pools=pools.value, pool=pool)
        scorer, scores = open_scorer(judge, dataset, split, asked, cache_dir=cache, most=count)
    pairs = scored_pairs(store, split, count) if scorer is None else scorer.pairs
    for text in [*doubts(controller.meta, store, split), *(scores.warnings if scores else ())]:
        warn(text)
    album = None if pictures is None else _Album(pictures, pairs, settings.densities[-1])
    with stages(as_json) as told:
        rows, figures = score_control(controller, pairs, settings, scorer, told, album and album.keep)
        files = [] if album is None else album.write(stage("sheets", told))
    if scores is not None:
        scores.figures.extend([*scorer.real(), *figures] if scorer else figures)
    stamp = {
        "model": str(run),
        "dataset_fingerprint": store.fingerprint,
        "split": split,
        "split_fingerprint": store.split_fingerprint(split),
        **asdict(settings),
        "level": settings.level or controller.generator.levels[-1],
    }
    if as_json:
        scored = scores.as_dict() if scores else None
        told_rows = [asdict(row) for row in rows]
        print_json({**stamp, "rows": told_rows, "notes": NOTES, "scores": scored, "pictures": files})
        return
    _show(rows, settings, scores, str(stamp["level"]))
    for line in (*NOTES, *([f"{len(files)} sheets in {pictures}"] if files else ())):
        console().print(line, markup=False)


class _Album:
    """Sheets of the first motions: a row for each way to write them, with the path in dots."""

    def __init__(self, folder: Path, pairs: Pairs, density: str) -> None:
        self._folder, self._pairs, self._density = folder, pairs, density
        self._rows: list[list[Compared]] = [[] for _ in pairs.motion_ids[:_PICTURED]]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fail(f"{folder}: cannot be made ({error.strerror})", "Name another folder.", WRONG_USAGE)

    def keep(self, name: str, density: str, paths: Sequence[JointPath], motions: Sequence[Generated]) -> None:
        """Keep what is to be shown of one way; see `score_control`."""
        from kinmo_annotate.render import Compared
        from kinmo_models.metrics.control import distances

        if density != self._density:
            return
        for rows, path, motion in zip(self._rows, paths, motions, strict=False):
            far = 100 * distances(motion.joints, path.positions, path.held)
            said = f"{name}: {far.mean():.1f} cm on average, {far.max():.1f} cm at most"
            rows.append(Compared(motion.joints, said, wanted=path.wanted))

    def write(self, told: Progress | None) -> list[str]:
        """Draw the sheets; give their paths."""
        from kinmo_annotate.render import comparison

        files: list[str] = []
        said = zip(self._rows, self._pairs.motion_ids, self._pairs.captions, strict=False)
        for (first, *others), name, caption in said:
            path = self._folder / f"{len(files) + 1}.png"  # an id need not be a file's name
            comparison([replace(first, text=f"{name}, {caption}\n{first.text}"), *others], path)
            files.append(str(path))
            if told is not None:
                told(len(files), len(self._rows))
        return files


def _densities(text: str) -> tuple[str, ...]:
    """Read densities, and refuse what is none before a model is opened."""
    import numpy as np

    from kinmo_models.control.evaluate import held_frames

    asked = tuple(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))
    try:
        for one in asked:
            held_frames(one, 1, np.random.default_rng(0))
    except ValueError as error:
        fail(str(error), "Put commas between, such as --density 1,5,25%.", WRONG_USAGE)
    if not asked:
        fail("--density names none", "Such as --density 1,5,25%.", WRONG_USAGE)
    return asked


def _show(rows: list[ControlRow], settings: ControlSettings, scores: Scores | None, level: str) -> None:
    """Print a line for each way and density, then what the evaluator says."""
    names = ("traj. 20 cm", "traj. 50 cm", "loc. 20 cm", "loc. 50 cm", "avg. cm", "skating", "passes", "s")
    title = f"Control, {settings.joints}, {rows[0].errors.motions} motions, level {level}"
    table = new_table(title, "motions", ">frames", *(f">{name}" for name in names))
    for row in rows:
        errors = row.errors
        shares = [f"{one:.3f}" for one in (*errors.trajectory, *errors.location)]
        rest = (
            f"{errors.average_m * 100:.2f}",
            f"{row.skating:.3f}",
            str(row.passes),
            f"{row.seconds:.2f}",
        )
        add_row(table, row.motions, row.density, *shares, *rest)
    console().print(table)
    if scores is not None:
        show_scores(scores)
