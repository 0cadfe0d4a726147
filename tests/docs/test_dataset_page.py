"""The code on the page about the dataset does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/dataset.md"


def test_contradictions_are_read_as_the_page_shows(make_dataset, make_rows, monkeypatch, capsys):
    from kinmo_annotate import dataset

    folder = make_dataset(4)
    monkeypatch.chdir(folder.parent)
    (code,) = (
        block
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        if "checkable" in block
    )
    found: dict = {}
    exec(compile(code, str(PAGE), "exec"), found)
    assert len(found["claims"]) == dataset.info(folder).fact_check.total.claims == 12
    assert set(found["claims"]["sentence"]) == {
        f"The {side} arm rises and comes down again." for side in ("left", "right")
    }
    assert "right_arm    0.0" in capsys.readouterr().out
