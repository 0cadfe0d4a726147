"""`kinmo evaluate retrieval` from the outside: what it prints, and how it says no."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from kinmo_cli import main
from typer.testing import CliRunner

from kinmo_annotate.sources.procedural import write_demo
from kinmo_models.metrics.ranking import RECALLS, Ranking
from kinmo_models.retrieval.evaluate import Evaluation, Result
from kinmo_models.retrieval.protocols import DIRECTIONS, PAIRED, SAME_CAPTION


def kinmo(*arguments: object):
    return CliRunner().invoke(main.app, [str(one) for one in arguments], env={"COLUMNS": "100"})


def measured(run: Path, seed: int) -> Evaluation:
    """An evaluation by protocol (a) whose every recall is 10 + seed and whose median is 4 + seed."""
    ranking = Ranking(dict.fromkeys(RECALLS, 10.0 + seed), 4.0 + seed, 50)
    results = [
        Result("a", direction, scorer, level, source, ranking)
        for level, source in (("G", "none"), ("GJ", "annotation"))
        for scorer in (PAIRED, SAME_CAPTION)
        for direction in DIRECTIONS
    ]
    stamp = {
        "model": str(run),
        "seed": seed,
        "dataset": "D [bold]",
        "split": "test",
        "split_fingerprint": "f1",
    }
    return Evaluation(stamp, results, [("GJ", "reasoner")], ["(a) all: 50 motions"], ["has seen the answers"])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Take the place of measuring; give what was asked."""
    calls: list[dict] = []

    def evaluate_runs(runs, dataset, split, **options):
        calls.append({"runs": runs, "dataset": dataset, "split": split, **options})
        return [measured(run, seed) for seed, run in enumerate(runs)]

    monkeypatch.setattr("kinmo_models.retrieval.evaluate.evaluate_runs", evaluate_runs)
    return calls


def test_one_run_is_printed_with_what_it_belongs_to(asked: list[dict]):
    result = kinmo("evaluate", "retrieval", "R", "D", "--split", "val", "--threshold", 0.9)
    assert result.exit_code == 0, result.output
    assert (asked[0]["runs"], asked[0]["dataset"], asked[0]["split"]) == ([Path("R")], Path("D"), "val")
    assert asked[0]["threshold"] == 0.9
    for said in ("(a) all: text to motion", "(a) all: motion to text", "10.00", "4.00", "needs --reasoner"):
        assert said in result.stdout
    assert "test (fingerprint f1) of D [bold], R (seed 0)" in result.stdout
    assert "±" not in result.stdout
    assert "warning: has seen the answers" in result.stderr
    assert "reasoner" in result.stdout


def test_a_reasoner_is_opened_and_handed_on(asked: list[dict], monkeypatch: pytest.MonkeyPatch):
    opened = object()
    monkeypatch.setattr("kinmo_cli._reasoning.open_reasoner", lambda name: opened if name == "N" else None)
    assert kinmo("evaluate", "retrieval", "R", "D", "--reasoner", "N").exit_code == 0
    assert asked[0]["reasoner"] is opened
    assert kinmo("evaluate", "retrieval", "R", "D").exit_code == 0
    assert asked[1]["reasoner"] is None
    refused = kinmo("evaluate", "retrieval", "D", "--table5", "--out", "F", "--reasoner", "N")
    assert refused.exit_code == 2
    assert "--reasoner is not for --table5" in refused.stderr


def test_several_runs_are_averaged(asked: list[dict]):
    """Figures 10, 11, 12: the interval reaches 2.48 to either side."""
    result = kinmo("evaluate", "retrieval", "R0", "R1", "R2", "D")
    assert "11.00" in result.stdout
    assert "±2.48" in result.stdout
    assert "mean of 3 runs" in result.stdout
    written = json.loads(kinmo("evaluate", "retrieval", "R0", "R1", "R2", "D", "--json").stdout)
    assert [one["model"] for one in written["runs"]] == ["R0", "R1", "R2"]
    assert len(written["mean"]) == 8
    assert written["mean"][0]["R@1"] == {"mean": 11.0, "interval": pytest.approx(2.4841, abs=1e-4), "runs": 3}
    assert written["mean"][0].keys() >= {
        "protocol",
        "protocol_name",
        "direction",
        "scorer",
        "level",
        "source",
    }


def test_json_of_one_run_carries_the_stamp_in_every_row(asked: list[dict]):
    written = json.loads(kinmo("evaluate", "retrieval", "R", "D", "--json").stdout)
    assert written["results"][0]["R@10"] == 10.0
    assert {row["split_fingerprint"] for row in written["results"]} == {"f1"}
    assert written["missing"] == [{"level": "GJ", "source": "reasoner", "why": "needs --reasoner"}]
    assert written["warnings"] == ["has seen the answers"]


def test_a_list_of_ids_is_read(asked: list[dict], tmp_path: Path):
    (tmp_path / "ids.txt").write_text("000001\n000002\n")
    assert kinmo("evaluate", "retrieval", "R", "D", "--subset", tmp_path / "ids.txt").exit_code == 0
    assert asked[0]["listed"] == ["000001", "000002"]
    missing = kinmo("evaluate", "retrieval", "R", "D", "--subset", tmp_path / "none.txt")
    assert missing.exit_code == 1
    assert "none.txt" in missing.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["D"], "no trained model is named"),
        (["R", "D", "--set", "training.epochs=1"], "belong to --table5"),
        (["R", "D", "--table5", "--out", "T"], "trains its own models"),
        (["D", "--table5"], "--out FOLDER"),
        (["D", "--table5", "--out", "T", "--seeds", "1,one"], "--seeds 0,1,2"),
        (["D", "--table5", "--out", "T", "--seeds", "1,1"], "different seeds"),
    ],
)
def test_wrong_use_is_told_with_the_remedy(arguments: list[str], said: str):
    result = kinmo("evaluate", "retrieval", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_no_dataset_and_no_model(tmp_path: Path, make_dataset: Callable[..., Path]):
    dataset = make_dataset(2)
    absent = kinmo("evaluate", "retrieval", tmp_path / "R", dataset)
    assert absent.exit_code == 1
    assert "no such folder" in absent.stderr
    nothing = kinmo("evaluate", "retrieval", dataset, dataset)
    assert nothing.exit_code == 1
    assert "holds no trained model" in nothing.stderr
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "meta.json").write_text('{"kind": "tokenizer"}')
    other = kinmo("evaluate", "retrieval", tmp_path / "other", dataset)
    assert other.exit_code == 1
    assert "of the kind tokenizer, not retrieval" in other.stderr
    table = kinmo("evaluate", "retrieval", tmp_path / "D", "--table5", "--out", tmp_path / "T")
    assert table.exit_code == 1
    assert "is not a folder" in table.stderr
    wrong = kinmo("evaluate", "retrieval", dataset, "--table5", "--out", tmp_path / "T", "--config", "big")
    assert wrong.exit_code == 1
    assert "big" in wrong.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("quick_encoder")
def test_from_motions_to_table_5_and_to_a_model_of_its_own(tmp_path: Path):
    """Real training on the demo, too short to learn: what is measured twice has to agree."""
    write_demo(tmp_path / "motions", 60, seed=4)
    made = kinmo("annotate", "run", tmp_path / "motions", "--out", tmp_path / "D", "--workers", 1)
    assert made.exit_code == 0, made.output
    cache = ["--cache", tmp_path / "cache"]
    sets = [
        "training.epochs=2",
        "data.mirror=false",
        "model.width=64",
        "model.layers=1",
        "data.batch_size=16",
    ]
    options = ["--table5", "--out", tmp_path / "T", "--seeds", "0", *cache, "--json"]
    options += [part for one in sets for part in ("--set", one)]
    first = kinmo("evaluate", "retrieval", tmp_path / "D", *options)
    assert first.exit_code == 0, first.output
    table = json.loads(first.stdout)
    assert table["queries"] == 6
    rows = {(row["variant"], row["direction"], row["source"]): row["figures"] for row in table["rows"]}
    fine = rows["+ interact", "text to motion", "annotation"]
    assert len(rows) == 14
    losses = tmp_path / "T" / "interact-seed0" / "losses.jsonl"
    trained = losses.read_bytes()
    again = json.loads(kinmo("evaluate", "retrieval", tmp_path / "D", *options).stdout)
    assert again["rows"] == table["rows"]
    assert losses.read_bytes() == trained

    run = tmp_path / "T" / "interact-seed0"
    result = kinmo("evaluate", "retrieval", run, tmp_path / "D", *cache, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {row["protocol"] for row in found["results"]} == set("abc")
    assert found["warnings"] == []
    (same,) = [
        row
        for row in found["results"]
        if (row["protocol"], row["scorer"], row["level"], row["direction"])
        == ("a", "paired", "GJI", "text to motion")
    ]
    assert same["R@1"] == pytest.approx(fine["R@1"]["mean"])
    assert same["MedR"] == pytest.approx(fine["MedR"]["mean"])
