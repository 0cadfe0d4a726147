"""The page and the picture of a training."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kinmo_models.training.config import TrainingConfig, resolve
from kinmo_models.training.loop import train
from kinmo_models.training.report import _draw_validation, _panels, _thinned, write_report


@pytest.fixture
def run(toy, tmp_path: Path):
    """A training of two epochs, with its config and outcome."""
    config = resolve(toy.ToyConfig, None, ["training.epochs=2"])
    work = toy.ToyWork(config)
    work.about |= {"motions": {"train": 42}, "odd": "a|b"}
    return tmp_path / "RUN", config.training, train(work, config.training, tmp_path / "RUN")


def test_the_page_says_what_ran_on_what_and_how_it_ended(run) -> None:
    out, _, outcome = run
    page = (out / "report.md").read_text()
    assert page.startswith("# Training: toy\n\n2 of 2 epochs, 12 steps in ")
    assert "finished." in page
    assert json.loads((out / "run.json").read_text())["starts"][0]["command"] in page
    assert "![Losses over the steps](losses.png)" in page
    assert "| motions train | 42 |" in page
    assert "| dataset fingerprint | f |" in page
    assert "| odd | a/b |" in page
    assert f"best (step {outcome.best_step}, smallest noise)" in page
    assert f"{outcome.validation['noise']:.4g} |" in page
    assert "| training | first 6 steps | last 6 steps |" in page
    lines = [json.loads(line) for line in (out / "losses.jsonl").read_text().splitlines()]
    means = [sum(line["loss"] for line in lines[i : i + 6]) / 6 for i in (0, 6)]
    assert f"| loss | {means[0]:.4g} | {means[1]:.4g} |" in page


def test_terms_of_one_kind_share_a_panel() -> None:
    curve = (np.zeros(1), np.zeros(1))
    names = ("loss", "kl/G", "kl/GJ", "distance", "_norm")
    wanted = {"loss": ["loss"], "kl": ["kl/G", "kl/GJ"], "distance": ["distance"], "norm": ["_norm"]}
    assert _panels(dict.fromkeys(names, curve)) == wanted
    assert _panels({"loss": curve, "only": curve}) == {"loss": ["loss"]}


def test_a_long_curve_keeps_its_mean_and_its_ends() -> None:
    steps, values = np.arange(1.0, 1002.0), np.random.default_rng(0).normal(size=1001)
    thin = _thinned((steps, values), 40)
    assert len(thin[0]) <= 40
    assert thin[1][0] == pytest.approx(values[:26].mean())
    assert thin[1][-1] == pytest.approx(values[26 * 38 :].mean())


def test_the_picture_is_one(run) -> None:
    with Image.open(run[0] / "losses.png") as picture:
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20


def test_figures_that_start_at_chance_are_drawn_on_a_straight_scale() -> None:
    from matplotlib.figure import Figure

    def scale(values: list[float]) -> str:
        axis = Figure().subplots()
        curve = np.arange(len(values)), np.array(values)
        _draw_validation(axis, {"recall": curve}, TrainingConfig())
        return axis.get_yscale()

    assert scale([2.7, 58.0, 72.0, 84.0]) == "linear"
    assert scale([900.0, 400.0, 30.0, 1.0]) == "log"
    assert scale([3.0]) == "linear"


def test_without_matplotlib_the_page_comes_with_a_note(run, monkeypatch) -> None:
    out, config, outcome = run
    (out / "losses.png").unlink()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    notes = write_report(out, config, outcome)
    assert "pip install 'kinmo[train]'" in notes[0]
    assert "losses.png" not in (out / "report.md").read_text()


def test_values_that_cannot_be_drawn_do_not_end_a_training(run) -> None:
    out, config, outcome = run
    with (out / "validation.jsonl").open("a") as file:
        file.write(
            json.dumps({"step": 12, "epoch": 2, "figures": {"noise": float("nan")}, "seconds": 0}) + "\n"
        )
    assert write_report(out, config, outcome) == []
