"""`kinmo annotate review`: what is told before the page is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from kinmo_cli.annotate_review import review
from typer.testing import CliRunner

from kinmo_annotate.review.rounds import Round
from kinmo_annotate.review.store import open_store
from kinmo_annotate.schema.records import MotionError

pytest.importorskip("nicegui", reason="the page needs the extra `review`")


@pytest.fixture
def dataset(make_dataset) -> Path:
    """A dataset with two rounds."""
    folder = make_dataset(2)
    with open_store(folder) as store:
        for name in ("first", "second"):
            store.add_round(Round(name, folder, ("000001", "000002"), ("left_arm",), "1", 0, ("ann", "bo")))
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command as far as the server would start."""
    app = typer.Typer()
    app.command()(review)

    def serve(opened: Any, host: str, port: int, *, tokens_only: bool, ready: Any) -> None:
        ready(f"http://{host}:{port}")

    monkeypatch.setattr("kinmo_annotate.review.app.serve.serve", serve)
    return lambda *arguments: CliRunner().invoke(app, [str(one) for one in arguments])


def test_each_evaluator_gets_a_link_of_the_newest_round(run, dataset):
    answer = run(dataset)
    assert answer.exit_code == 0, answer.output
    assert "round second" in answer.stdout
    assert answer.stdout.count("http://127.0.0.1:8490/review/") == 2
    assert "ann: 0 of 2 judged" in answer.stdout


def test_links_are_shown_once_and_made_anew_when_asked(run, dataset):
    first = json.loads(run(dataset, "--round", "first", "--port", "0", "--json").stdout)
    assert set(first["links"]) == {"ann", "bo"}
    assert json.loads(run(dataset, "--round", "first", "--json").stdout)["links"] == {}
    assert "--new-links" in run(dataset, "--round", "first").stdout
    again = json.loads(run(dataset, "--round", "first", "--json", "--new-links").stdout)["links"]
    assert not set(first["links"].values()) & set(again.values())


def test_an_unknown_round_is_told(run, dataset):
    answer = run(dataset, "--round", "third")
    assert isinstance(answer.exception, MotionError)
    assert "first, second" in str(answer.exception)
