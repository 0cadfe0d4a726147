"""`kinmo annotate sample`, `sheet` and `reviews` as a user and as a script meet them."""

from __future__ import annotations

import csv
import io
import json

import pandas as pd
import pytest
from kinmo_cli import main
from typer.testing import CliRunner

from kinmo_annotate.dataset.check import validate
from kinmo_annotate.review.store import open_store


@pytest.fixture
def dataset(make_dataset):
    return make_dataset()


def run(*arguments, columns=200):
    return CliRunner().invoke(main.app, ["annotate", *map(str, arguments)], env={"COLUMNS": str(columns)})


def told(*arguments):
    answer = run(*arguments, "--json")
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def fill(path, verdict="correct"):
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*rows[0]])
    writer.writeheader()
    writer.writerows(row | {"verdict": verdict} for row in rows)
    path.write_text(text.getvalue(), "utf-8")


def test_sample_draws_and_shows_the_links_once(dataset):
    answer = run("sample", dataset, "--motions", 5)
    assert answer.exit_code == 0, answer.output
    with open_store(dataset) as store:
        (drawn,) = store.rounds()
        assert drawn.name == "round-1"
        assert len(drawn.motion_ids) == 5
        links = [line for line in answer.stdout.splitlines() if "/review/" in line]
        owners = [store.evaluator_of(link.rpartition("/")[2]) for link in links]
    assert owners == [("round-1", "a"), ("round-1", "b")]
    assert f"next: kinmo annotate review {dataset} --round round-1" in answer.stdout


def test_the_papers_setting_is_the_default(make_dataset):
    found = told("sample", make_dataset(10))
    assert len(found["motions"]) == 20
    assert found["fields"] == ["left_leg", "right_leg"]
    assert found["sentences"] == 40
    assert [*found["tokens"]] == ["a", "b"]
    assert found["prompt_version"] == "1"


def test_options(dataset):
    found = told(
        "sample", dataset, "--motions", 3, "--seed", 4, "--groups", "neck, left_leg__torso", "--evaluators",
        "ann,bob, cy", "--name", "legs.1", "--stratify", "--contradicted-first",
    )  # fmt: skip
    assert found["fields"] == ["neck", "torso__left_leg"]
    assert found["evaluators"] == ["ann", "bob", "cy"]
    assert (found["round"], found["seed"]) == ("legs.1", 4)
    assert found["motions"] == told("sample", dataset, "--motions", 12, "--seed", 4)["motions"][:3]
    assert len(told("sample", dataset, "--motions", 1, "--groups", "all")["fields"]) == 21
    with open_store(dataset) as store:
        assert [round.name for round in store.rounds()] == ["legs.1", "round-1", "round-2"]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--motions", "0"), 2, "--motions"),
        (("--motions", "13"), 1, "Ask for 1 to 12 with --motions"),
        (("--motions", "1", "--groups", "left_legg"), 2, "left_leg"),
        (("--motions", "1", "--groups", "torso__torso"), 2, "no group or pair"),
        (("--motions", "1", "--evaluators", "a,a"), 1, "names the evaluator 'a' twice"),
        (("--motions", "1", "--evaluators", ""), 1, "no evaluator"),
        (("--motions", "1", "--name", "../x"), 1, "cannot be the name"),
    ],
)
def test_wrong_options_are_told(dataset, options, code, words):
    answer = run("sample", dataset, *options)
    assert answer.exit_code == code
    assert words in answer.stderr
    assert "Traceback" not in answer.output


def test_no_dataset(tmp_path):
    answer = run("sample", tmp_path)
    assert answer.exit_code == 1
    assert "no kinmo.json" in answer.stderr


def test_a_round_offline_from_sample_to_reviews(dataset, tmp_path):
    told("sample", dataset, "--motions", 3)
    for evaluator, verdict in (("a", "correct"), ("b", "wrong")):
        made = told("sheet", "export", dataset, "--evaluator", evaluator, "--out", tmp_path, "--no-films")
        assert made["sheet"] == str(tmp_path / f"round-1-{evaluator}.csv")
        fill(tmp_path / f"round-1-{evaluator}.csv", verdict)
        answer = run("sheet", "import", dataset, made["sheet"])
        assert answer.exit_code == 0, answer.output
        assert f"6 saved, 0 as before; {evaluator}: finished" in answer.stdout
    exported = told("reviews", dataset)
    assert (exported["judgements"], exported["status"]["disputed"]) == (12, 3)
    assert len(pd.read_parquet(dataset / "reviews.parquet")) == 12
    assert validate(dataset) == []
    assert "motions: 9 unreviewed, 3 disputed" in run("reviews", dataset).stdout


def test_disagreements_are_settled_offline(dataset, tmp_path):
    told("sample", dataset, "--motions", 3)
    early = run("sheet", "export", dataset, "--adjudicate", "--out", tmp_path, "--no-films")
    assert (early.exit_code, "not finished yet" in early.stderr) == (1, True)
    for evaluator, verdict in (("a", "correct"), ("b", "wrong")):
        made = told("sheet", "export", dataset, "--evaluator", evaluator, "--out", tmp_path, "--no-films")
        fill(tmp_path / f"round-1-{evaluator}.csv", verdict)
        told("sheet", "import", dataset, made["sheet"])
    made = told("sheet", "export", dataset, "--adjudicate", "--out", tmp_path, "--no-films")
    assert made["sheet"] == str(tmp_path / "round-1-adjudication.csv")
    fill(tmp_path / "round-1-adjudication.csv", "wrong")
    answer = run("sheet", "import", dataset, made["sheet"])
    assert "6 saved, 0 as before; adjudication: finished" in answer.stdout
    assert told("reviews", dataset)["status"] == {"unreviewed": 9, "correct": 0, "wrong": 3, "disputed": 0}


@pytest.mark.parametrize("words", [(), ("--evaluator", "a", "--adjudicate")])
def test_a_sheet_is_of_one_evaluator_or_of_the_adjudication(dataset, tmp_path, words):
    told("sample", dataset, "--motions", 1)
    answer = run("sheet", "export", dataset, "--out", tmp_path, *words)
    assert answer.exit_code == 2
    assert "either --evaluator NAME or --adjudicate" in " ".join(answer.stderr.split())


def test_bad_rows_are_listed_and_the_code_is_one(dataset, tmp_path):
    told("sample", dataset, "--motions", 2)
    told("sample", dataset, "--motions", 12, "--name", "many")
    made = told("sheet", "export", dataset, "--evaluator", "a", "--out", tmp_path, "--no-films")
    assert made["round"] == "many"
    fill(tmp_path / "many-a.csv", "perhaps")
    answer = run("sheet", "import", dataset, made["sheet"])
    assert answer.exit_code == 1
    assert "many-a.csv line 2: m01.left_leg: its verdict is 'perhaps'. Write correct" in answer.stderr
    assert "and 4 more rows" in answer.stderr
    answer = run("sheet", "import", dataset, made["sheet"], "--json")
    assert answer.exit_code == 1
    assert len(json.loads(answer.stdout)["problems"]) == 24


def test_what_one_hears_of_an_open_round(dataset, tmp_path):
    told("sample", dataset, "--motions", 1)
    made = told("sheet", "export", dataset, "--evaluator", "a", "--out", tmp_path)
    assert (tmp_path / "m01.gif").is_file()
    fill(tmp_path / "round-1-a.csv")
    assert not told("sheet", "import", dataset, made["sheet"], "--keep-open")["finished"]
    answer = run("reviews", dataset)
    assert "not all evaluators have finished: round-1" in answer.stdout
    assert told("sheet", "import", dataset, made["sheet"])["finished"]


def test_no_round_yet(dataset, tmp_path):
    for words in (("sheet", "export", dataset, "--evaluator", "a", "--out", tmp_path), ("reviews", dataset)):
        answer = run(*words)
        assert answer.exit_code == 1
        assert "kinmo annotate sample" in answer.stderr
