"""How a run is watched: bars at a terminal, lines in a log."""

from __future__ import annotations

from io import StringIO

from kinmo_cli import _progress
from rich.console import Console


def test_stages_have_bars_at_a_terminal_which_go_when_all_are_full(monkeypatch):
    console = Console(file=StringIO(), force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(_progress, "messages", lambda: console)
    with _progress.stages(silent=False) as tell:
        shown = tell.__self__
        tell("features", 1, 2)
        tell("rows", 1, 3)
        tell("features", 2, 2)
        assert shown.bars is not None
        tell("rows", 3, 3)
        assert shown.bars is None
        tell("token features", 5, 5)  # nothing was to be done
        assert shown.bars is None
        tell("features", 1, 2)
    assert shown.bars is None


def test_stages_have_a_line_now_and_then_in_a_log(monkeypatch):
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(_progress.time, "monotonic", lambda: float(next(clock)))
    console = Console(file=StringIO(), width=40)
    monkeypatch.setattr(_progress, "messages", lambda: console)
    with _progress.stages(silent=False) as tell:
        for done in (0, 300, 600, 900, 1200):
            tell("embeddings", done, 1200)
    assert console.file.getvalue().splitlines() == [
        "embeddings: 300 of 1,200 (50.0/s, about 18 s left)",
        "embeddings: 900 of 1,200 (50.0/s, about 6 s left)",
    ]


def test_a_stage_may_come_again(monkeypatch):
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(_progress.time, "monotonic", lambda: float(next(clock)))
    console = Console(file=StringIO(), width=40)
    monkeypatch.setattr(_progress, "messages", lambda: console)
    with _progress.stages(silent=False) as tell:
        for done in (100, 200, 0, 50):
            tell("motions", done, 200)
    assert console.file.getvalue().splitlines() == ["motions: 50 of 200 (2.5/s, about 60 s left)"]


def test_silence_is_silent(capsys):
    with _progress.stages(silent=True) as tell:
        tell("features", 1, 2)
    assert capsys.readouterr() == ("", "")
