"""`kinmo evaluate editing`: how good edits are, how far they reach, and whether they do what is asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ._common import WRONG_USAGE, JsonOption, console, fail, print_json, warn
from ._evaluators import EvaluatorOption, Judge, StatisticsOption, TextsOption, VectorsOption
from ._progress import stages
from ._tables import add_row, new_table
from .evaluate_evaluator import Pools, show_scores
from .evaluate_generation import Level
from .generate import check_levels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kinmo_models.data.motions import MotionStore
    from kinmo_models.editing.cases import Case
    from kinmo_models.editing.editor import Edited, Editor
    from kinmo_models.editing.evaluate import EditSettings, Reach
    from kinmo_models.evaluator.evaluator import Evaluator
    from kinmo_models.evaluator.score import Figure, ScoreSettings
    from kinmo_models.generation.generator import Generator
    from kinmo_models.retrieval.retriever import Retriever

_UNEDITED: Final = "sources"


def editing(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A trained generator.")],
    dataset: Annotated[Path, typer.Argument(help="An annotated dataset.")],
    evaluator: EvaluatorOption = None,
    split: Annotated[str, typer.Option(help="Whose motions are edited.")] = "test",
    count: Annotated[int, typer.Option(min=1, help="Group edits, and as many time edits.")] = 100,
    level: Annotated[list[Level] | None, typer.Option(help="Of text; repeatable. Default: all.")] = None,
    tries: Annotated[int, typer.Option(min=1, help="Attempts of each edit.")] = 1,
    refine: Annotated[int, typer.Option(min=0, help="Decoder passes of control.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the edits that are drawn, and of the motions.")] = 0,
    text: Annotated[
        Path | None, typer.Option(help="A retrieval model for HTMA-S; else the generator's own.")
    ] = None,
    pools: Annotated[
        Pools, typer.Option(help="standard: any motions, as T2M; distinct: no two that are alike.")
    ] = Pools.distinct,
    pool: Annotated[int, typer.Option(help="Motions of a pool of R-precision.", min=2)] = 32,
    cache: Annotated[
        Path | None, typer.Option("--cache", "--cache-dir", help="Where features and embeddings are kept.")
    ] = None,
    vectors: VectorsOption = None,
    statistics: StatisticsOption = None,
    texts: TextsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Edit motions of a split in a reproducible way, and measure what comes out.

    Without --evaluator: what moved outside, tokens, seams and the fact check, and HTMA-S. With it
    R-precision, FID, MM-Dist and Diversity too.

    Example: [bold]kinmo evaluate editing RUN D --evaluator EVALUATOR --count 100[/bold]
    """
    from kinmo_models.editing.cases import make_cases
    from kinmo_models.editing.editor import Editor
    from kinmo_models.editing.evaluate import EditSettings
    from kinmo_models.evaluator.score import ScoreSettings
    from kinmo_models.generation.generator import Generator

    generator = Generator.from_pretrained(run, cache_dir=cache)
    editor = Editor(generator, _retriever(text, cache))
    levels = tuple(one.value for one in level or ()) or generator.levels
    check_levels(levels, generator.levels)
    if tries > 1 and editor.retriever is None:
        fail("there is no retrieval model to choose among tries with", "Name one with --text.", WRONG_USAGE)
    judge = None if evaluator is None else Judge(evaluator, vectors, statistics, texts).open()
    store = _open_store(dataset, cache, as_json)
    _warn_of_doubts(generator, store, split)
    kinds = make_cases(store, split, count, generator.most_seconds, is_true, seed)
    settings = EditSettings(levels, tries, refine, seed)
    asked = ScoreSettings(pools=pools.value, pool=pool, seed=seed)
    reaches: list[Reach] = []
    figures: list[Figure] = []
    for cases in kinds:
        reach, scores = _measure(editor, cases, settings, judge, asked, cache, as_json)
        reaches += reach
        figures += scores
    stamp = {
        "dataset_fingerprint": store.fingerprint,
        "split": split,
        "split_fingerprint": store.split_fingerprint(split),
        "evaluator": "none" if judge is None else judge.name,
        "count": count,
        "tries": tries,
        "refine": refine,
        "seed": seed,
    }
    _show(stamp, reaches, figures, generator.meta, as_json)


def is_true(features: NDArray[np.float32], field: str, sentence: str) -> bool:
    """Tell by the fact check whether a motion makes the movements that a sentence names.

    What no human body does, as a model that has hardly learned may write it, makes none.
    """
    from kinmo_annotate.schema.features import features_to_joints
    from kinmo_annotate.schema.records import Motion, MotionError, Source
    from kinmo_annotate.verify import makes_movements

    try:
        motion = Motion("edited", features_to_joints(features), Source("edited", "edited"))
    except MotionError:
        return False
    return makes_movements(motion, field, sentence)


def _retriever(text: Path | None, cache: Path | None) -> Retriever | None:
    from kinmo_models.retrieval.retriever import Retriever

    return None if text is None else Retriever.from_pretrained(text, cache_dir=cache)


def _open_store(dataset: Path, cache: Path | None, silent: bool) -> MotionStore:
    from kinmo_models.data.motions import MotionStore

    with stages(silent) as told:
        return MotionStore.open(dataset, cache, lambda done, total: told("features", done, total))


def _warn_of_doubts(generator: Generator, store: MotionStore, split: str) -> None:
    from kinmo_models.data.pairs import doubts

    for doubt in doubts(generator.meta, store, split):
        warn(doubt)


def _measure(
    editor: Editor,
    cases: list[Case],
    settings: EditSettings,
    judge: Evaluator | None,
    asked: ScoreSettings,
    cache: Path | None,
    silent: bool,
) -> tuple[list[Reach], list[Figure]]:
    """Carry out the edits of one kind at each level, and measure them beside their sources."""
    from kinmo_models.editing.evaluate import LEVEL_NAMES, edit_cases, kind_of, measure

    edited: dict[str, list[Edited]] = {}
    reaches = []
    with stages(silent) as told:
        for level in settings.levels:
            name = f"{kind_of(cases)}, {LEVEL_NAMES[level]}"
            edited[name] = edit_cases(editor, cases, level, settings, told)
            reaches.append(measure(name, cases, edited[name], is_true))
    return reaches, _score(editor, cases, edited, judge, asked, cache)


def _score(
    editor: Editor,
    cases: list[Case],
    edited: dict[str, list[Edited]],
    judge: Evaluator | None,
    asked: ScoreSettings,
    cache: Path | None,
) -> list[Figure]:
    """Score edited motions and their sources by the texts that say what was asked for."""
    from kinmo_models.editing.evaluate import kind_of, scored_by
    from kinmo_models.evaluator.score import Scorer, alike_pairs
    from kinmo_models.generation.evaluate import similarity

    pairs = scored_by(cases)
    motions = {name: [one.features for one in found] for name, found in edited.items()}
    figures: list[Figure] = []
    unedited = f"{kind_of(cases)}, {_UNEDITED}"
    if editor.retriever is not None:
        for name, rows in {unedited: pairs.features, **motions}.items():
            figures += similarity(name, editor.retriever, pairs, [rows])
    if judge is None:
        return figures
    alike, _ = alike_pairs(pairs, asked, None, cache)
    try:
        scorer = Scorer(judge, pairs, alike, asked)
    except ValueError as error:
        fail(str(error), "Make pools smaller with --pool, or choose --pools standard.", WRONG_USAGE)
    # FID is taken from the sources: theirs is 0 whatever they are
    figures += [one for one in scorer.generated(unedited, [pairs.features]) if one.metric != "FID"]
    for name, rows in motions.items():
        figures += scorer.generated(name, [rows])
    return figures


def _show(
    stamp: dict[str, Any], reaches: list[Reach], figures: list[Figure], meta: dict[str, Any], as_json: bool
) -> None:
    from kinmo_models.editing.evaluate import NOTES
    from kinmo_models.editing.measure import MOST_JUMP
    from kinmo_models.evaluator.score import Scores

    scores = Scores(stamp, figures, list(NOTES))
    if as_json:
        print_json({**scores.as_dict(), "reach": [one.as_dict() for one in reaches], "generator": meta})
        return
    table = new_table(
        "Reach of edits", "edits", ">count", ">change found", ">moved outside, mm", ">at most",
        ">tokens kept", ">jump at seams, at most", f">above {MOST_JUMP:g}",
    )  # fmt: skip
    for one in reaches:
        add_row(
            table, one.edits, str(one.count), _percent(one.found), _number(one.moved_mm),
            _number(one.moved_most_mm), _percent(one.tokens_kept), _number(one.jump),
            _percent(one.jumps_above),
        )  # fmt: skip
    console().print(table)
    for one in (reach for reach in reaches if reach.found_by_group):
        shares = ", ".join(f"{group} {_percent(share)}" for group, share in one.found_by_group.items())
        console().print(f"change found, {one.edits}: {shares}", markup=False)
    show_scores(scores)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
