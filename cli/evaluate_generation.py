"""`kinmo evaluate generation`: how good generated motions are, and the ablation of the paper's Fig. 8."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._common import WRONG_USAGE, JsonOption, console, fail, messages, print_json, warn
from ._evaluators import EvaluatorOption, Judge, StatisticsOption, TextsOption, VectorsOption
from ._progress import stages
from ._tables import add_row, new_table
from .evaluate_evaluator import Pools, show_scores
from .evaluate_retrieval import read_seeds
from .generate import check_levels

if TYPE_CHECKING:
    from kinmo_models.evaluator.score import Scorer, Scores
    from kinmo_models.generation.evaluate import GenerationSettings
    from kinmo_models.generation.fig8 import Fig8, Variant

_ABLATION = "With --fig8"


class Level(StrEnum):
    """Levels of text."""

    G = "G"
    GJ = "GJ"
    GJI = "GJI"


def generation(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A trained generator; none with --fig8.")
    ] = None,
    dataset: Annotated[Path | None, typer.Argument(help="An annotated dataset.")] = None,
    evaluator: EvaluatorOption = None,
    split: Annotated[str, typer.Option(help="Whose captions motions are written for.")] = "test",
    level: Annotated[list[Level] | None, typer.Option(help="Of text; repeatable. Default: all.")] = None,
    runs: Annotated[int, typer.Option(help="Motions of each caption.", min=1)] = 20,
    captions: Annotated[int, typer.Option(help="Captions of MultiModality; 0 leaves it out.", min=0)] = 96,
    motions: Annotated[int, typer.Option(help="Motions of each of these captions.", min=10)] = 30,
    pools: Annotated[
        Pools, typer.Option(help="standard: any motions, as T2M; distinct: no two that are alike.")
    ] = Pools.distinct,
    pool: Annotated[int, typer.Option(help="Motions of a pool of R-precision.", min=2)] = 32,
    labels: Annotated[
        Path | None, typer.Option(help="CSV with id, content, style: alike are motions that share both.")
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option(help="A retrieval model: measures HTMA-S; with --fig8 it is the text encoder too."),
    ] = None,
    vectors: VectorsOption = None,
    statistics: StatisticsOption = None,
    texts: TextsOption = None,
    fig8: Annotated[
        bool, typer.Option("--fig8", help="Train and measure the ablation.", rich_help_panel=_ABLATION)
    ] = False,
    tokenizer: Annotated[
        Path | None, typer.Option(help="What `kinmo train tokenizer` wrote.", rich_help_panel=_ABLATION)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for runs and pages.", rich_help_panel=_ABLATION)
    ] = None,
    seeds: Annotated[str, typer.Option(help="Comma between.", rich_help_panel=_ABLATION)] = "0,1,2",
    variant: Annotated[
        list[str] | None,
        typer.Option(help="sentence-G, HTMA-J, ...; repeatable. Default: all.", rich_help_panel=_ABLATION),
    ] = None,
    config: Annotated[
        str, typer.Option(help="tiny, base or a YAML file.", rich_help_panel=_ABLATION)
    ] = "tiny",
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting, SECTION.KEY=VALUE.", rich_help_panel=_ABLATION),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", "--cache-dir", help="Where features and embeddings are kept.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Generate motions for a split's captions and score them: R-precision, FID, MM-Dist, Diversity, ...

    Example: kinmo evaluate generation RUN D --evaluator EVALUATOR --runs 3

    The ablation: kinmo evaluate generation D --fig8 --out F --tokenizer T --text R --evaluator E
    """
    from kinmo_models.evaluator.score import ScoreSettings, open_scorer
    from kinmo_models.generation.evaluate import GenerationSettings

    if evaluator is None:
        remedy = "Train one with `kinmo train evaluator`, and name it with --evaluator."
        fail("no evaluator is named", remedy, WRONG_USAGE)
    run, dataset = _places(run, dataset, fig8)
    judge = Judge(evaluator, vectors, statistics, texts).open()
    asked = ScoreSettings(pools=pools.value, pool=pool)
    scorer, scores = open_scorer(judge, dataset, split, asked, labels=labels, cache_dir=cache)
    for doubt in scores.warnings:
        warn(doubt)
    measured = GenerationSettings(tuple(one.value for one in level or ()), runs, captions, motions)
    if run is not None:
        _measure(run, text, scorer, scores, measured, cache, as_json)
        return
    from kinmo_models.generation.fig8 import Ablation, run_fig8

    if out is None or tokenizer is None or text is None:
        remedy = "Add --out FOLDER --tokenizer RUN --text RUN."
        fail("--fig8 needs a folder, a tokenizer and a retrieval model", remedy, WRONG_USAGE)
    chosen = _variants(variant or [])
    ablation = Ablation(
        dataset, out, tokenizer, text, config, tuple(sets or ()), read_seeds(seeds), chosen, measured
    )
    with stages(as_json) as told:
        found = run_fig8(ablation, scorer, scores.stamp, cache_dir=cache, console=messages(), progress=told)
    _show_fig8(found, out, as_json)


def _places(run: Path | None, dataset: Path | None, fig8: bool) -> tuple[Path | None, Path]:
    """Tell which argument is the generator and which the dataset: with --fig8 that stands alone."""
    if fig8:
        if run is None or dataset is not None:
            fail("--fig8 trains its own generators", "Name the dataset alone.", WRONG_USAGE)
        return None, run
    if run is None or dataset is None:
        remedy = "Name both: kinmo evaluate generation RUN D --evaluator E."
        fail("a generator and a dataset are needed", remedy, WRONG_USAGE)
    return run, dataset


def _variants(names: list[str]) -> list[Variant]:
    """Choose variants of the ablation, in its order."""
    from kinmo_models.generation.fig8 import VARIANTS

    known = {one.folder: one for one in VARIANTS}
    for name in names:
        if name not in known:
            fail(f"there is no variant {name}", f"Choose from {', '.join(known)}.", WRONG_USAGE)
    return [one for name, one in known.items() if not names or name in names]


def _measure(
    run: Path,
    text: Path | None,
    scorer: Scorer,
    scores: Scores,
    measured: GenerationSettings,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Score one generator beside the real motions."""
    from kinmo_models.evaluator.score import NOTE_ON_HALVES
    from kinmo_models.generation.evaluate import NOTES, score_generator
    from kinmo_models.generation.generator import Generator
    from kinmo_models.retrieval.retriever import Retriever

    generator = Generator.from_pretrained(run, cache_dir=cache)
    check_levels(measured.levels, generator.levels)
    retriever = Retriever.from_pretrained(text, cache_dir=cache) if text else None
    scores.figures.extend(scorer.real())
    with stages(as_json) as told:
        scores.figures.extend(score_generator(generator, scorer, measured, retriever, told))
    scores.notes.extend([*NOTES, NOTE_ON_HALVES])
    if as_json:
        print_json({**scores.as_dict(), "generator": generator.meta})
        return
    show_scores(scores)


def _show_fig8(found: Fig8, out: Path, as_json: bool) -> None:
    from kinmo_models.generation.fig8 import metrics, preface, shown

    if as_json:
        print_json(found.as_dict())
        return
    names = metrics(found)
    table = new_table("Fig. 8", "variant", *(f">{name}" for name in names))
    for name, rows in found.figures.items():
        add_row(table, name, *(shown(rows[metric]) if metric in rows else "" for metric in names))
    console().print(table)
    for line in [*preface(found), f"written: {out / 'fig8.md'}, {out / 'fig8.json'}"]:
        console().print(line, markup=False, soft_wrap=True)
