"""Agreement and error rate over the rounds, as a picture.

Colours are those of Okabe & Ito, which people with any colour vision tell apart; marks and lines differ too.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kinmo_annotate.review.agreement import GATE, Agreement
from kinmo_annotate.review.figures import Estimate
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS: Final = (".png", ".svg")
_INK: Final = "#333333"
_LONG_NAMES: Final = 60  # letters in a line of names that still stand upright
# Numbers that differ between two runs with the same figures would make the file differ.
_METADATA: Final[dict[str, dict[str, str | None]]] = {".svg": {"Date": None}, ".png": {"Software": None}}


class _Line(NamedTuple):
    """How a figure is drawn; `shift` keeps the intervals of two figures apart."""

    name: str
    colour: str
    mark: str
    dashes: str
    shift: float


_KAPPA: Final = _Line("Cohen's kappa", "#0072B2", "o", "-", -0.06)
_AC1: Final = _Line("Gwet's AC1", "#D55E00", "s", "--", 0.06)
_ERRORS: Final = _Line("error rate", "#007A5E", "^", "-", 0.0)


def plot_rounds(rounds: Sequence[Agreement], path: Path, gate: float = GATE) -> None:
    """Draw kappa, AC1 and error rate with their intervals over the rounds, into a .png or .svg.

    Args:
        rounds: oldest first.
        path: where to; the file is written whole or not at all.
        gate: drawn as a line.

    Raises:
        MotionError: no round, or another kind of file.
        DatasetError: the file cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise MotionError(str(path), "is neither .png nor .svg", "Name the plot so, such as agreement.png.")
    if not rounds:
        raise MotionError(str(path), "there is no finished round to plot", "Finish a round first.")
    import matplotlib

    with matplotlib.rc_context({"font.size": 11, "svg.hashsalt": "kinmo", "svg.fonttype": "none"}):
        drawn = io.BytesIO()
        _figure(rounds, gate).savefig(drawn, format=kind[1:], dpi=150, metadata=_METADATA[kind])
    atomic_write(path, lambda file: file.write(drawn.getvalue()))


def _figure(rounds: Sequence[Agreement], gate: float) -> Figure:
    """Lay out both panels: agreement above, error rate below."""
    from matplotlib.figure import Figure

    width = min(max(7.0, 1.1 * len(rounds) + 2.5), 24.0)
    figure = Figure(figsize=(width, 6.2), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.08)  # type: ignore[union-attr, call-arg]
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    overall = [one.overall for one in rounds]
    _draw(above, _kappa_line(rounds), [one.kappa for one in overall])
    _draw(above, _AC1, [one.ac1 for one in overall])
    above.axhline(gate, color=_INK, linestyle=":", linewidth=1.2, label=f"gate {gate:g}")
    above.set(ylabel="agreement", ylim=(_lowest(overall), 1.05))
    above.set_title("Agreement of the evaluators (bars: 95 % intervals)", loc="left", fontsize=12)
    above.legend(loc="lower center", bbox_to_anchor=(0.5, 1.1), ncols=3, frameon=False)
    _draw(below, _ERRORS, [Estimate(*(100 * value for value in one.error_rate)) for one in overall])
    most = max([5.0, *(105 * value for one in overall for value in one.error_rate if not np.isnan(value))])
    below.set(ylabel="% judged wrong", ylim=(0, most), xlabel="round, prompt version, sentences")
    below.set_title("Error rate of the sentences", loc="left", fontsize=12)
    _names(below, rounds)
    for axes in (above, below):
        axes.grid(axis="y", color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _kappa_line(rounds: Sequence[Agreement]) -> _Line:
    """Name the kappa that it is: Cohen's of two evaluators, Fleiss' of more."""
    many = {len(one.round.evaluators) > 2 for one in rounds}
    return _KAPPA if many == {False} else _KAPPA._replace(name="Fleiss' kappa" if many == {True} else "kappa")


def _draw(axes: Axes, line: _Line, estimates: Sequence[Estimate]) -> None:
    """Draw one figure; where it is undefined, say so instead of leaving a hole."""
    values, lows, highs = np.array(estimates, dtype=float).T
    places = np.arange(len(values)) + line.shift
    looks: dict[str, Any] = {"color": line.colour, "marker": line.mark, "linestyle": line.dashes}
    axes.plot(places, values, label=line.name, linewidth=2, markersize=8, clip_on=False, **looks)
    # A value may lie outside a percentile interval; a bar of negative length is refused.
    bars = np.nan_to_num(np.maximum([values - lows, highs - values], 0))
    axes.errorbar(places, values, bars, fmt="none", ecolor=line.colour, elinewidth=1.6, capsize=5)
    for place in places[np.isnan(values)]:
        axes.annotate(
            f"{line.name} undefined", (place, 0.02), xycoords=("data", "axes fraction"), color=line.colour,
            rotation=90, ha="center", va="bottom", fontsize=9,
        )  # fmt: skip


def _lowest(overall: Sequence[Any]) -> float:
    """Begin the axis at 0, or lower where an interval does."""
    lows = [value for one in overall for value in (*one.kappa, *one.ac1) if not np.isnan(value)]
    return min([-0.02, *(low - 0.05 for low in lows)])


def _names(axes: Axes, rounds: Sequence[Agreement]) -> None:
    """Name the rounds, with prompt version and number of sentences; a `$` in a name is no formula."""
    names = [
        "\n".join(filter(None, (one.round.name, one.round.prompt_version, f"n = {one.overall.items}")))
        for one in rounds
    ]
    longest = max(len(line) for name in names for line in name.split("\n"))
    axes.set_xticks(np.arange(len(rounds)), names, parse_math=False)
    if longest * len(names) > _LONG_NAMES + 12 * len(names):
        axes.tick_params(axis="x", rotation=90)
        figure = axes.get_figure(root=True)
        assert figure is not None
        figure.set_figheight(figure.get_figheight() + 0.08 * longest)  # inches; a letter is that wide
    axes.set_xlim(-0.5, len(rounds) - 0.5)
