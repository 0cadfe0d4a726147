"""What a person sees: a bar at a terminal, lines elsewhere, nothing without a console."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from kinmo_models.training import progress
from kinmo_models.training.progress import View, display, worded


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


def view_at(clock, step: int, first: int = 0) -> View:
    """Ten epochs of ten steps, two steps a second since the start."""
    view = View(epochs=10, steps=10, step=first, first=first)
    for taken in range(first + 1, step + 1):
        clock.now += 0.5
        view.went_to(taken)
    view.terms = {"loss": 1.23456, "_norm": 0.5}
    return view


def test_rate_and_time_left_are_of_the_whole_training(clock) -> None:
    view = view_at(clock, 40)
    assert view.rate == pytest.approx(2.0)
    assert view.left() == "0:00:30"
    assert view.place() == "epoch 4/10, step 10/10"


def test_time_left_counts_this_start_alone(clock) -> None:
    assert view_at(clock, 60, first=50).left() == "0:00:20"
    assert View(epochs=10, steps=10).left() == "-"


@pytest.mark.parametrize(
    ("step", "place"),
    [(0, "epoch 1/10, step 0/10"), (1, "epoch 1/10, step 1/10"), (11, "epoch 2/10, step 1/10")],
)
def test_places(clock, step, place) -> None:
    assert view_at(clock, step).place() == place


def test_figures_show_the_last_validation_and_its_epoch(clock) -> None:
    view = view_at(clock, 12)
    assert view.figures() == "loss 1.235, norm 0.5"
    view.validation, view.validated = {"recall/G": 12.0}, 1
    assert view.figures() == "loss 1.235, norm 0.5; validation (epoch 1): recall/G 12"
    assert worded({}) == ""


def test_of_many_terms_the_largest_are_shown(clock) -> None:
    view = view_at(clock, 1)
    view.terms = {"loss": 9.0, "a": 1.0, "b": 0.001, "c": -4.0, "d": 2.0, "e": 3.0}
    assert view.figures() == "loss 9, a 1, c -4, d 2, e 3"


def test_elsewhere_a_line_every_ten_seconds(clock) -> None:
    out = io.StringIO()
    with display(Console(file=out, width=40)) as shown:
        view = View(epochs=10, steps=10)
        for step in range(1, 51):
            clock.now += 0.5
            view.went_to(step)
            view.terms = {"loss": float(step)}
            shown.update(view)
    lines = out.getvalue().splitlines()
    assert lines == [
        "epoch 2/10, step 10/10 (2.0 steps/s, 0:00:40 left): loss 20",
        "epoch 4/10, step 10/10 (2.0 steps/s, 0:00:30 left): loss 40",
    ]


def test_a_terminal_gets_a_bar_with_all_that_matters(clock) -> None:
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True, color_system=None)
    with display(console) as shown:
        view = view_at(clock, 55)
        view.validation, view.validated = {"recall [bold]": 0.5}, 5
        shown.update(view)
        shown.tell("a note [red]as it is[/red]")
    text = out.getvalue()
    assert "epoch 6/10, step 5/10" in text
    assert "2.0 steps/s" in text
    assert "0:00:22 left" in text
    assert "validation (epoch 5): recall [bold] 0.5" in text
    assert "a note [red]as it is[/red]" in text


def test_without_a_console_nothing_is_said(clock, capsys) -> None:
    with display(None) as shown:
        shown.update(view_at(clock, 5))
        shown.tell("x")
    assert capsys.readouterr() == ("", "")


def test_the_rate_is_of_late(clock) -> None:
    view = View(epochs=1, steps=1000)
    for step in range(1, 101):
        clock.now += 0.1 if step < 50 else 1.0
        view.went_to(step)
    assert view.rate == pytest.approx(1.0, rel=0.05)
    assert len(view._marks) < 2 * progress._RATE_OVER_S + 3
