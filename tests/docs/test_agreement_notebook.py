"""The notebook that computes kappa from reviews.parquet alone: it runs, and ends in the figures of ours."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kinmo_annotate.review.agreement import agreement
from kinmo_annotate.review.export import export_reviews
from kinmo_annotate.review.rounds import ADJUDICATION, Round
from kinmo_annotate.review.store import CORRECT, UNSURE, WRONG, Judgement, open_store

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs/notebooks/agreement.ipynb"
LEGS = ("left_leg", "right_leg")


@pytest.fixture
def reviewed(make_dataset):
    """Write a dataset in which two rounds are finished, one of them adjudicated, and a third is not."""
    folder, rng = make_dataset(4), np.random.default_rng(4)
    motions = tuple(f"{number:06d}" for number in range(12))
    with open_store(folder) as store:
        for name, evaluators in (("one", "ab"), ("two", "ab"), ("open", "ab")):
            store.add_round(Round(name, folder, motions, LEGS, "v1", 0, tuple(evaluators)))
            for evaluator in evaluators[: 1 if name == "open" else 2]:
                judge(store, name, evaluator, rng)
                store.finish(name, evaluator)
        item = agreement(store, "two").disagreements[0]
        store.save(Judgement("two", ADJUDICATION, item.motion_id, item.field, WRONG, "side", "settled"))
    export_reviews(folder)
    return folder


def judge(store, name, evaluator, rng):
    for number, item in enumerate(store.round(name).items):
        likely = CORRECT if number % 3 else WRONG
        verdict = str(rng.choice([likely, likely, likely, CORRECT, UNSURE]))
        kind = "timing" if verdict == WRONG else ""
        store.save(Judgement(name, evaluator, *item, verdict, kind, f"{evaluator} says so", "It moves."))


def test_reviews_open_in_pandas(reviewed):
    reviews = pd.read_parquet(reviewed / "reviews.parquet")
    assert set(reviews.evaluator) == {"a", "b", ADJUDICATION}
    assert len(reviews) == 5 * 24 + 1


@pytest.mark.slow
def test_the_notebook_computes_the_kappa_of_the_command(reviewed, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is in the extra kinmo[notebook]")
    import nbformat

    monkeypatch.setenv("KINMO_DATASET", str(reviewed))
    monkeypatch.delenv("KINMO_ROUND", raising=False)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": NOTEBOOK.parent}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    printed = "".join(output.get("text", "") for output in outputs)
    tables = "".join(output.get("data", {}).get("text/plain", "") for output in outputs)
    with open_store(reviewed) as store:
        ours = agreement(store, "two")
    kappa = ours.overall.kappa
    assert 0.2 < kappa.value < 0.95
    assert float(re.search(r"^kappa (\S+)$", printed, re.MULTILINE)[1]) == pytest.approx(kappa.value)
    low, high = map(float, re.search(r"interval (\S+) to (\S+)", printed).groups())
    assert (low, high) == pytest.approx(kappa[1:], abs=0.12)  # other draws, and fewer
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert "a says so" in tables
    assert "settled" not in tables


def test_the_notebook_is_kept_without_outputs():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells)
    sources = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert "kinmo_annotate" not in sources
