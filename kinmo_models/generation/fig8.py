"""The ablation of the paper's Fig. 8: text encoder and levels of text, trained alike and scored.

OUT/
  <variant>-seed<n>/   a training run; a finished one is not trained again
  <variant>-seed<n>.json   its figures
  fig8.json            every figure over the seeds
  fig8.md              the same as a page
  fig8.png             training curves, FID and R-precision
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kinmo_annotate.schema.shards import atomic_write
from kinmo_models.data.cache import Stages
from kinmo_models.evaluator.score import Scorer
from kinmo_models.generation.config import load_config
from kinmo_models.generation.evaluate import GenerationSettings, score_generator
from kinmo_models.generation.generator import Generator
from kinmo_models.generation.model import LEVELS
from kinmo_models.generation.train import Parts, train_generation
from kinmo_models.metrics.intervals import Repeated, repeated
from kinmo_models.retrieval.retriever import Retriever
from kinmo_models.training.config import plain
from kinmo_models.training.folder import VALIDATION, read_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import Console

REAL: Final = "real"
SHOWN: Final = (
    "R-precision top 1",
    "R-precision top 2",
    "R-precision top 3",
    "FID",
    "MM-Dist",
    "Diversity",
    "MultiModality",
    "foot skating",
)


@dataclass(frozen=True, slots=True)
class Variant:
    """One curve of Fig. 8.

    Attributes:
        name: the paper's, with "sentence" where the paper has CLIP.
        htma: told by the text side of a retrieval model, else by a plain sentence encoder.
        level: of text, the finest.
    """

    name: str
    htma: bool
    level: str

    @property
    def folder(self) -> str:
        """How its runs are called, and what it is asked for by."""
        return self.name.split()[0]


VARIANTS: Final = (
    Variant("sentence-G (MoMask)", False, "G"),
    Variant("sentence-J", False, "GJ"),
    Variant("sentence-I", False, "GJI"),
    Variant("HTMA-G", True, "G"),
    Variant("HTMA-J", True, "GJ"),
    Variant("HTMA-I", True, "GJI"),
)


@dataclass(frozen=True)
class Fig8:
    """The whole ablation.

    Attributes:
        stamp: evaluator, dataset, split and settings it belongs to, JSON values.
        figures: variant -> metric -> over the seeds; "real" beside the variants.
        curves: variant -> seed -> steps and validation losses of the base transformer at the variant's level.
    """

    stamp: dict[str, Any]
    figures: dict[str, dict[str, Repeated]]
    curves: dict[str, list[tuple[list[int], list[float]]]]

    def as_dict(self) -> dict[str, Any]:
        """Give JSON values."""
        figures = {
            name: {metric: asdict(value) for metric, value in rows.items()}
            for name, rows in self.figures.items()
        }
        return {**self.stamp, "figures": figures, "curves": self.curves}


@dataclass(frozen=True)
class Ablation:
    """What is trained and measured.

    Attributes:
        dataset: annotated, with the splits train and val.
        out: folder for the runs and the pages.
        tokenizer: folder of a tokenizer.
        text: folder of a retrieval model.
        config: name of a preset, or a YAML file, for every run.
        sets: settings laid over it; those of variant and seed come last.
        seeds: of training.
        variants: which; all of Fig. 8 by default.
        measured: how much is generated.
    """

    dataset: Path
    out: Path
    tokenizer: Path
    text: Path
    config: str | Path = "tiny"
    sets: Sequence[str] = ()
    seeds: Sequence[int] = (0, 1, 2)
    variants: Sequence[Variant] = VARIANTS
    measured: GenerationSettings = field(default_factory=GenerationSettings)


def run_fig8(
    asked: Ablation,
    scorer: Scorer,
    stamp: dict[str, Any],
    *,
    cache_dir: Path | None = None,
    console: Console | None = None,
    progress: Stages | None = None,
) -> Fig8:
    """Train the variants with each seed for equally many steps, score them, and write the pages.

    Run it again to go on: runs that are finished are not trained again, and scored ones not scored.

    Args:
        asked: what is trained and measured.
        scorer: holds the real motions.
        stamp: what the figures belong to.
        cache_dir: root of the caches; None is the user's.
        console: where training shows its progress.
        progress: told of the preparation, and how many motions are generated.

    Raises:
        DatasetError: the dataset cannot be trained on, or a page not be written.
        TrainingError: a training that cannot start or go on, such as one begun with another config.
        KeyboardInterrupt: training was stopped by Ctrl-C; called again, it goes on.
    """
    retriever = Retriever.from_pretrained(asked.text, cache_dir=cache_dir)
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for figure in scorer.real():
        if figure.motions == REAL:
            found[REAL][figure.metric].append(figure.value.mean)
    curves: dict[str, list[tuple[list[int], list[float]]]] = defaultdict(list)
    plan = [(seed, variant) for seed in asked.seeds for variant in asked.variants]
    for number, (seed, variant) in enumerate(plan, start=1):
        if console is not None:
            console.print(f"run {number} of {len(plan)}: {variant.name}, seed {seed}", markup=False)
        run = _train(asked, variant, seed, cache_dir, console, progress)
        curves[variant.name].append(_curve(run, variant))
        scored = _scored(run, asked, variant, scorer, stamp, retriever, cache_dir, progress)
        for metric, value in scored.items():
            found[variant.name][metric].append(value)
    figures = {
        name: {metric: repeated(values) for metric, values in rows.items()} for name, rows in found.items()
    }
    whole = {
        **stamp,
        "seeds": list(asked.seeds),
        "config": plain(load_config(asked.config, asked.sets)),
        "measured": asdict(asked.measured),
        "kinmo_version": version("kinmo"),
    }
    ablation = Fig8(whole, figures, dict(curves))
    write(ablation, asked.out)
    return ablation


def _train(
    asked: Ablation,
    variant: Variant,
    seed: int,
    cache_dir: Path | None,
    console: Console | None,
    progress: Stages | None,
) -> Path:
    """Train one run, unless it is trained already."""
    run = asked.out / f"{variant.folder}-seed{seed}"
    own = [*asked.sets, f"model.levels={variant.level}", f"training.seed={seed}"]
    parts = Parts(asked.tokenizer, asked.text if variant.htma else None)
    done = train_generation(
        asked.dataset,
        run,
        load_config(asked.config, own),
        parts,
        cache_dir=cache_dir,
        console=console,
        progress=progress,
    )
    if done.interrupted:
        raise KeyboardInterrupt
    return run


def _curve(run: Path, variant: Variant) -> tuple[list[int], list[float]]:
    """Read the validation losses of the base transformer at the level of the variant."""
    lines = list(read_lines(run / VALIDATION))
    name = f"base/{variant.level}"
    return [line["step"] for line in lines], [line["figures"][name] for line in lines]


def _scored(
    run: Path,
    asked: Ablation,
    variant: Variant,
    scorer: Scorer,
    stamp: dict[str, Any],
    retriever: Retriever,
    cache_dir: Path | None,
    progress: Stages | None,
) -> dict[str, float]:
    """Score one run at the finest level of its variant, or read what was scored before."""
    path = run.with_suffix(".json")
    generator = Generator.from_pretrained(run, cache_dir=cache_dir)
    settings = GenerationSettings(**{**asdict(asked.measured), "levels": (variant.level,)})
    key = {**stamp, "step": generator.meta["step"], "measured": asdict(settings)}
    key = json.loads(json.dumps(key, default=str))
    if path.exists():
        known = json.loads(path.read_text("utf-8"))
        if known["of"] == key:
            return dict(known["figures"])
    scored = score_generator(generator, scorer, settings, retriever, progress)
    figures = {one.metric: one.value.mean for one in scored if one.motions != REAL}
    text = json.dumps({"of": key, "figures": figures}, indent=2) + "\n"
    atomic_write(path, lambda file: file.write(text.encode()))
    return figures


# ---------------------------------------------------------------- writing


def write(ablation: Fig8, out: Path) -> None:
    """Write fig8.json, fig8.md and, where matplotlib is installed, fig8.png.

    Raises:
        DatasetError: they cannot be written.
    """
    as_json = json.dumps(ablation.as_dict(), indent=2, ensure_ascii=False, default=str) + "\n"
    atomic_write(out / "fig8.json", lambda file: file.write(as_json.encode()))
    atomic_write(out / "fig8.md", lambda file: file.write(page(ablation).encode()))
    try:
        _draw(ablation, out / "fig8.png")
    except ImportError:
        return


def page(ablation: Fig8) -> str:
    """Write the ablation as a page of Markdown."""
    lines = ["# Fig. 8: what text encoder and levels of text bring to generation", "", *preface(ablation), ""]
    lines += [f"| variant | {' | '.join(metrics(ablation))} |"]
    lines += ["| --- |" + " ---: |" * len(metrics(ablation))]
    for name, rows in ablation.figures.items():
        cells = [shown(rows[metric]) if metric in rows else "" for metric in metrics(ablation)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def metrics(ablation: Fig8) -> list[str]:
    """List the metrics in the order in which they are printed."""
    there = {metric for rows in ablation.figures.values() for metric in rows}
    return [*(metric for metric in SHOWN if metric in there), *sorted(there - set(SHOWN))]


def preface(ablation: Fig8) -> list[str]:
    """Say what the figures are of."""
    stamp = ablation.stamp
    return [
        f"Evaluator {stamp['evaluator']}; split {stamp['split']} (fingerprint {stamp['split_fingerprint']}).",
        f"Mean ± 95 % interval (Student's t) over the seeds {', '.join(map(str, stamp['seeds']))}.",
        "Finer texts are written from the real motion, as in the paper; G variants know the caption alone.",
        "sentence: a plain sentence encoder (all-MiniLM-L6-v2), where the paper has CLIP.",
    ]


def shown(figure: Repeated) -> str:
    """Write a mean with its interval."""
    return f"{figure.mean:.3f}" if figure.interval is None else f"{figure.mean:.3f} ± {figure.interval:.3f}"


def _draw(ablation: Fig8, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(13, 4), layout="constrained")
    FigureCanvasAgg(picture)
    curves, precision, fid = picture.subplots(1, 3)
    for name, runs in ablation.curves.items():
        level = next(one.level for one in VARIANTS if one.name == name)
        style = ("-", "--", ":")[LEVELS.index(level)]
        colour = "tab:blue" if name.startswith("HTMA") else "tab:orange"
        for number, (steps, losses) in enumerate(runs):
            curves.plot(steps, losses, style, color=colour, lw=1.2, label=name if not number else None)
    curves.set(title="base transformer, validation", xlabel="step", ylabel="cross-entropy a token")
    curves.legend(fontsize=8)
    _bars(precision, ablation, "R-precision top 3")
    _bars(fid, ablation, "FID")
    picture.savefig(path, dpi=110)


def _bars(axis: Axes, ablation: Fig8, metric: str) -> None:
    there = [name for name, rows in ablation.figures.items() if metric in rows]
    values = [ablation.figures[name][metric] for name in there]
    reach = [value.interval or 0.0 for value in values]
    colours = [
        "tab:grey" if name == REAL else "tab:blue" if name.startswith("HTMA") else "tab:orange"
        for name in there
    ]
    axis.barh(there, [value.mean for value in values], xerr=reach, color=colours)
    axis.invert_yaxis()
    axis.set_title(metric)
