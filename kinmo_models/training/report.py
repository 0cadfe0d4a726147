"""A page and a picture of a training, beside its checkpoints."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kinmo_models.training.checkpoint import BEST, LAST, META, read_progress
from kinmo_models.training.config import TrainingConfig
from kinmo_models.training.folder import CONFIG, LOSSES, PICTURE, REPORT, RUN, VALIDATION, read_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kinmo_models.training.work import Outcome

_POINTS: Final = (400, 40)  # of the faint and of the strong curve; each point is the mean of its steps
_LOG_FROM: Final = 20.0  # a curve whose largest value is so many times its smallest is drawn on a log scale

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]  # steps, values


def write_report(out: Path, config: TrainingConfig, outcome: Outcome) -> list[str]:
    """Write report.md, and losses.png where matplotlib is installed; give notes on what is missing.

    Args:
        out: the RUN folder.
        config: of the training.
        outcome: how it ended.
    """
    losses, validation = _curves(out)
    notes = []
    try:
        _draw(out / PICTURE, losses, validation, config)
    except ImportError:
        notes.append("matplotlib is not installed: no losses.png (pip install 'kinmo[train]' adds it)")
    lines = _page(out, config, outcome, losses)
    (out / REPORT).write_text("\n".join(lines) + "\n", "utf-8")
    return notes


# ---------------------------------------------------------------- figures


def _curves(out: Path) -> tuple[dict[str, Curve], dict[str, Curve]]:
    """Read the curves of the steps and of the validations, by name."""
    losses, validation = _Columns(), _Columns()
    for line in read_lines(out / LOSSES):
        losses.add(line["step"], {"loss": line["loss"], **line["terms"]})
    for line in read_lines(out / VALIDATION):
        validation.add(line["step"], line["figures"])
    return losses.curves(), validation.curves()


class _Columns:
    def __init__(self) -> None:
        self._steps: dict[str, list[float]] = defaultdict(list)
        self._values: dict[str, list[float]] = defaultdict(list)

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._steps[name].append(step)
            self._values[name].append(value)

    def curves(self) -> dict[str, Curve]:
        return {name: (np.array(self._steps[name]), np.array(self._values[name])) for name in self._steps}


def _thinned(curve: Curve, points: int) -> Curve:
    """Average neighbouring steps, so that a curve can be seen through its noise."""
    steps, values = curve
    group = -(-len(steps) // points)
    starts = np.arange(0, len(steps), group)
    counts = np.diff(np.append(starts, len(steps)))
    return np.add.reduceat(steps, starts) / counts, np.add.reduceat(values, starts) / counts


# ---------------------------------------------------------------- picture


def _draw(
    path: Path, losses: Mapping[str, Curve], validation: Mapping[str, Curve], config: TrainingConfig
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = _panels(losses)
    alone = {name: curve for name, curve in validation.items() if name not in losses}
    count = len(panels) + bool(alone)
    columns = min(3, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(4.6 * columns, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(np.atleast_1d(figure.subplots(rows, columns)).ravel())
    for axis, (title, names) in zip(axes, panels.items(), strict=False):
        curves = {name: losses[name] for name in names}
        _draw_terms(axis, title, curves, {name: validation[name] for name in names if name in validation})
    if alone:
        _draw_validation(axes[len(panels)], alone, config)
    for axis in axes[count:]:
        axis.set_axis_off()
    figure.savefig(path, dpi=110)


def _panels(losses: Mapping[str, Curve]) -> dict[str, list[str]]:
    """Put terms such as kl/G and kl/GJ into one panel, kl; a single term is the loss and needs no other."""
    terms = [name for name in losses if name != "loss"]
    if len([name for name in terms if not name.startswith("_")]) == 1:
        terms = [name for name in terms if name.startswith("_")]
    panels: dict[str, list[str]] = {"loss": ["loss"]}
    for name in terms:
        panels.setdefault(name.lstrip("_").partition("/")[0], []).append(name)
    return panels


def _draw_terms(axis: Axes, title: str, curves: Mapping[str, Curve], validation: Mapping[str, Curve]) -> None:
    seen = []
    for number, (name, curve) in enumerate(curves.items()):
        color, label = f"C{number}", name.partition("/")[2] or "training"
        faint, strong = (_thinned(curve, points) for points in _POINTS)
        axis.plot(*faint, color=color, linewidth=0.8, alpha=0.3)
        axis.plot(*strong, color=color, linewidth=1.6, label=label)
        seen.append(faint[1])
        if name in validation:
            label = f"{label}, validation" if len(curves) > 1 else "validation"
            axis.plot(*validation[name], "o--", color=color, markersize=4, linewidth=1, label=label)
            seen.append(validation[name][1])
    if len(curves) + len(validation) > 1:
        axis.legend(fontsize=8)
    _finish(axis, title, np.concatenate(seen))


def _draw_validation(axis: Axes, curves: Mapping[str, Curve], config: TrainingConfig) -> None:
    for name, (steps, values) in curves.items():
        axis.plot(steps, values, "o-", markersize=3, linewidth=1.2, label=name)
        if name == config.best and len(values):
            pick = np.argmax if config.best_mode == "max" else np.argmin
            at = int(pick(values[1:])) + 1 if len(values) > 1 else 0
            axis.plot(steps[at], values[at], "*", markersize=13, color="black", label=f"best {name}")
    axis.legend(fontsize=8)
    # what an untrained model gives says nothing of the range that matters
    learned = [values[1:] if len(values) > 1 else values for _, values in curves.values()]
    _finish(axis, "validation", np.concatenate(learned))


def _finish(axis: Axes, title: str, values: NDArray[np.float64]) -> None:
    axis.set_title(title)
    axis.set_xlabel("step")
    axis.grid(alpha=0.3)
    if values.min() > 0 and values.max() > _LOG_FROM * values.min():
        axis.set_yscale("log")


# ---------------------------------------------------------------- page


def _page(out: Path, config: TrainingConfig, outcome: Outcome, losses: Mapping[str, Curve]) -> list[str]:
    run = json.loads((out / RUN).read_text("utf-8"))
    meta = json.loads((out / LAST / META).read_text("utf-8"))
    about = {key: value for key, value in meta.items() if key not in {"validation", "kind"}}
    rate = outcome.step / outcome.seconds if outcome.seconds else 0.0
    ended = "stopped before its end; the same command goes on" if outcome.interrupted else "finished"
    lines = [
        f"# Training: {meta.get('kind', 'model')}",
        "",
        f"{outcome.epochs} of {config.epochs} epochs, {outcome.step} steps in"
        f" {timedelta(seconds=round(outcome.seconds))} ({rate:.1f} steps/s), {ended}.",
        "",
        "```sh",
        run["starts"][-1]["command"],
        "```",
        "",
        *_figures(out, config, outcome, losses),
        "",
    ]
    if (out / PICTURE).exists():
        lines += [f"![Losses over the steps]({PICTURE})", ""]
    lines += ["| fact | value |", "| --- | --- |", *_facts(about), ""]
    return [*lines, f"All settings: [{CONFIG}]({CONFIG}). Every step: [{LOSSES}]({LOSSES})."]


def _figures(
    out: Path, config: TrainingConfig, outcome: Outcome, losses: Mapping[str, Curve]
) -> Iterator[str]:
    """Tables of the losses and of the validation, best and last."""
    count = min(read_progress(out / LAST).steps, outcome.step)
    yield from (f"| training | first {count} steps | last {count} steps |", "| --- | ---: | ---: |")
    for name, (steps, values) in losses.items():
        first, last = values[steps <= count].mean(), values[steps > outcome.step - count].mean()
        yield f"| {name.lstrip('_')} | {first:.4g} | {last:.4g} |"
    if not outcome.validation:
        return
    best: dict[str, float] = {}
    if (out / BEST / META).exists():
        best = json.loads((out / BEST / META).read_text("utf-8"))["validation"]
    word = "largest" if config.best_mode == "max" else "smallest"
    yield ""
    yield f"| validation | best (step {outcome.best_step}, {word} {config.best}) | last |"
    yield "| --- | ---: | ---: |"
    for name, value in outcome.validation.items():
        yield (
            f"| {name} | {best[name]:.4g} | {value:.4g} |" if name in best else f"| {name} | | {value:.4g} |"
        )


def _facts(about: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in about.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _facts(value, f"{prefix}{key} ")
        else:
            yield f"| {name} | {str(value).replace('|', '/')} |"
