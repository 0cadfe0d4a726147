"""The plot over the rounds: written whole, legible, and the same whatever is undefined."""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from kinmo_annotate.review import plot
from kinmo_annotate.review.agreement import measure
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import DatasetError

SAID = (
    ("ccwwccwwccww", "cwwcccwwcwcw"),
    ("ccwwccwwccww", "ccwwccwwcwcw"),
    ("ccccccwcccww", "ccccccwcccww"),
)


@pytest.fixture
def rounds(judged_round):
    return [measure(*judged_round(*said, name=f"round-{n}"), resamples=200) for n, said in enumerate(SAID, 1)]


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).reshape(-1, 3)


def count(image, colour):
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((image == wanted).all(1).sum())


def test_a_png_shows_all_three_figures(rounds, tmp_path):
    path = tmp_path / "agreement.png"
    plot.plot_rounds(rounds, path)
    with Image.open(path) as image:
        assert image.width >= 900
        assert image.height >= 800
    image = pixels(path)
    for line in (plot._KAPPA, plot._AC1, plot._ERRORS):
        assert count(image, line.colour) > 500, line.name


def words_of(path):
    return {"".join(node.itertext()).strip() for node in ElementTree.parse(path).iter() if "text" in node.tag}


def test_an_svg_names_rounds_figures_and_gate(rounds, tmp_path):
    path = tmp_path / "agreement.svg"
    plot.plot_rounds(rounds, path, gate=0.75)
    words = words_of(path)
    assert {"round-1", "round-2", "round-3", "v1", "n = 12"} <= words
    assert {"Cohen's kappa", "Gwet's AC1", "gate 0.75", "% judged wrong"} <= words


def test_equal_figures_make_equal_files(rounds, tmp_path):
    for kind in plot.FORMATS:
        first, second = (tmp_path / f"{name}{kind}" for name in "ab")
        plot.plot_rounds(rounds, first)
        plot.plot_rounds(rounds, second)
        assert first.read_bytes() == second.read_bytes()


def test_the_points_stand_where_the_figures_say(rounds):
    above, below = plot._figure(rounds, 0.8).axes
    lines = {line.get_label(): line.get_ydata() for line in (*above.lines, *below.lines)}
    assert list(lines["Cohen's kappa"]) == [one.overall.kappa.value for one in rounds]
    assert list(lines["Gwet's AC1"]) == [one.overall.ac1.value for one in rounds]
    assert list(lines["error rate"]) == pytest.approx([100 * one.overall.error_rate.value for one in rounds])
    assert below.get_ylim()[0] == 0


def test_an_undefined_kappa_is_said_and_not_drawn(rounds, judged_round, tmp_path):
    undefined = measure(*judged_round("cccc", "cccc", name="all-right"), resamples=200)
    path = tmp_path / "agreement.svg"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot.plot_rounds([*rounds, undefined], path)
    assert "Cohen's kappa undefined" in words_of(path)


def test_a_negative_kappa_stays_in_the_picture(judged_round):
    negative = measure(*judged_round("cw" * 6, "wc" * 6), resamples=200)
    above, _ = plot._figure([negative], 0.8).axes
    assert negative.overall.kappa.value == -1.0
    assert above.get_ylim()[0] < -1.0


def test_three_evaluators_have_the_kappa_of_fleiss(judged_round, tmp_path):
    path = tmp_path / "agreement.svg"
    plot.plot_rounds([measure(*judged_round("cwcwcw", "cwcwcc", "cwcwww"), resamples=200)], path)
    assert "Fleiss' kappa" in words_of(path)


def test_names_are_no_formulas(rounds, tmp_path):
    odd = replace(rounds[0], round=replace(rounds[0].round, prompt_version="$x^2$ <b>&"))
    path = tmp_path / "agreement.svg"
    plot.plot_rounds([odd], path)
    assert "$x^2$ <b>&" in words_of(path)


def test_many_rounds_with_long_names_do_not_run_into_each_other(rounds):
    many = [replace(rounds[0], round=replace(rounds[0].round, name="x" * 30 + str(n))) for n in range(15)]
    figure = plot._figure(many, 0.8)
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[1].get_xticklabels()]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def seen(colour, matrix):
    """Give how a colour looks to someone, in linear RGB."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.array(matrix) @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


# Viénot, Brettel & Mollon 1999 for protanopia and deuteranopia, as matrices in linear RGB.
VISIONS = {
    "protanopia": [[0.1124, 0.8876, 0], [0.1124, 0.8876, 0], [0.0040, -0.0040, 1]],
    "deuteranopia": [[0.2928, 0.7072, 0], [0.2928, 0.7072, 0], [-0.0223, 0.0223, 1]],
}


@pytest.mark.parametrize("vision", VISIONS)
def test_kappa_and_ac1_differ_to_every_eye(vision):
    kappa, ac1 = (seen(line.colour, VISIONS[vision]) for line in (plot._KAPPA, plot._AC1))
    assert np.linalg.norm(kappa - ac1) > 0.25
    assert plot._KAPPA.mark != plot._AC1.mark
    assert plot._KAPPA.dashes != plot._AC1.dashes


@pytest.mark.parametrize("name", ["agreement.pdf", "agreement", "agreement.png.exe"])
def test_another_kind_of_file_is_refused(rounds, tmp_path, name):
    with pytest.raises(MotionError, match="neither"):
        plot.plot_rounds(rounds, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_plot_is_told(tmp_path):
    with pytest.raises(MotionError, match="no finished round"):
        plot.plot_rounds([], tmp_path / "agreement.png")


def test_a_folder_that_cannot_be_made_is_told(rounds, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="cannot be written"):
        plot.plot_rounds(rounds, tmp_path / "file" / "agreement.png")
