"""The fact check on the command line: summed up by `info`, and claim by claim."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from pathlib import Path

import pytest
from kinmo_cli import main
from typer.testing import CliRunner

from kinmo_annotate.schema import shards
from kinmo_annotate.schema.records import CONTRADICTED, SUPPORTED, Caption, Check
from kinmo_annotate.schema.shards import Manifest


def kinmo(*arguments: object):
    return CliRunner().invoke(main.app, ["dataset", *map(str, arguments)], env={"COLUMNS": "120"})


def lines(text: str) -> str:
    """The text without the padding of tables."""
    return re.sub(r" +", " ", text)


@pytest.fixture
def folder(tmp_path, make_rows) -> Path:
    """Five motions: two contradicted, one without checks, two written by a model; one of unknown price."""
    right, wrong = (
        Check("right_arm", "right arm raises", SUPPORTED),
        Check("torso", "torso sinks", CONTRADICTED),
    )
    checks = [(right,), (right, wrong, wrong), (wrong, right), (), (right,)]
    rows = [dataclasses.replace(row, checks=some) for row, some in zip(make_rows(5), checks, strict=True)]
    for number, cost in ((0, 0.5), (1, None)):
        tokens = {"input_tokens": 1500, "output_tokens": 300, "cached_tokens": 1024, "cost_usd": cost}
        made = dataclasses.replace(rows[number].provenance, **tokens)
        rows[number] = dataclasses.replace(rows[number], provenance=made)
    info = shards.write_shard(shards.rows_to_table(rows), tmp_path / "d" / "data" / "train-00000.parquet")
    shards.write_failures([], tmp_path / "d" / "failures.parquet")
    Manifest({"complete": False}, "1", [info]).save(tmp_path / "d")
    return tmp_path / "d"


def test_info_tells_contradictions_cost_and_that_the_run_goes_on(folder):
    done = kinmo("info", folder)
    assert done.exit_code == 0
    text = lines(done.stdout)
    for part in (
        "not complete the same `kinmo annotate run` command goes on",
        "7 claims: 4 supported, 3 contradicted, 0 not checkable",
        "42.86% of what can be checked is contradicted",
        "2 of 4 motions have a contradiction (50.0%)",
        "1 motions carry no checks",
        "3,000 read, 2,048 of them from the provider's cache; 600 written",
        "$0.5000, and 1 motions of unknown price",
        "3 (100.0%)",
        "0 (0.0%)",
        "0 (-)",
        "all 7 100% 3 (42.9%)",
        "000001 2 3",
        "000002 1 2",
        f"see them: kinmo dataset checks {folder} --worst",
    ):
        assert part in text, part
    assert json.loads(kinmo("info", folder, "--json").stdout)["fact_check"]["worst"][0] == {
        "motion_id": "000001", "contradicted": 2, "claims": 3,
    }  # fmt: skip


def test_info_of_a_dataset_without_checks_says_how_to_get_them(make_rows, tmp_path):
    rows = [dataclasses.replace(row, checks=()) for row in make_rows(2)]
    info = shards.write_shard(shards.rows_to_table(rows), tmp_path / "data" / "train-00000.parquet")
    shards.write_failures([], tmp_path / "failures.parquet")
    Manifest({}, "1", [info]).save(tmp_path)
    assert "kinmo dataset checks --again" in kinmo("info", tmp_path).stdout
    done = kinmo("checks", tmp_path)
    assert (done.exit_code, "2 of 2 motions carry no checks; --again checks them now" in done.stdout) == (
        0,
        True,
    )
    found = json.loads(kinmo("checks", tmp_path, "--again", "--verdict", "all", "--json").stdout)
    assert (found["claims"] > 40, found["motions_without_checks"]) == (True, 0)
    assert any(one["evidence"] for one in found["listed"])


def test_checks_prints_contradictions_with_sentence_and_caption(folder):
    done = kinmo("checks", folder)
    assert done.exit_code == 0
    text = lines(done.stdout)
    assert text.count("contradicted: torso sinks") == 3
    assert "supported" not in text
    assert "sentence: No notable movement." in text
    assert "caption: a person lifts the left arm [slowly] / stands" in text
    assert "1 of 5 motions carry no checks" in text
    assert "more claims" not in text


def test_checks_counts_what_it_does_not_show(folder):
    for order in ((), ("--worst",)):
        done = kinmo("checks", folder, "--verdict", "all", "--limit", 2, *order)
        assert "5 more claims: see them with --limit, or write all with --out checks.csv" in done.stdout
    found = json.loads(kinmo("checks", folder, "--worst", "--limit", 1, "--json").stdout)
    assert (found["claims"], found["motions"], found["motions_without_checks"]) == (3, 5, 1)
    assert [one["motion_id"] for one in found["listed"]] == ["000001"]


def test_checks_chooses(folder):
    found = json.loads(kinmo("checks", folder, "--verdict", "supported", "--json").stdout)
    assert {one["verdict"] for one in found["listed"]} == {"supported"}
    done = kinmo("checks", folder, "--motion", "000001", "--verdict", "all", "--field", "right_arm", "--json")
    assert [one["claim"] for one in json.loads(done.stdout)["listed"]] == ["right arm raises"]
    done = kinmo("checks", folder, "--verdict", "not-checkable")
    assert f"{folder}: no not checkable claim in 5 motions" in done.stdout.replace("\n", " ")
    done = kinmo("checks", folder, "--motion", "0001")
    assert (done.exit_code, "Did you mean" in done.stderr) == (1, True)


def test_checks_writes_for_review(folder, tmp_path):
    out = tmp_path / "review" / "contradicted.csv"
    done = kinmo("checks", folder, "--worst", "--out", out)
    assert (done.exit_code, "wrote 3 claims to" in done.stdout) == (0, True)
    with out.open(newline="", encoding="utf-8") as file:
        assert [row["motion_id"] for row in csv.DictReader(file)] == ["000001", "000001", "000002"]
    out = tmp_path / "some.jsonl"
    done = kinmo("checks", folder, "--verdict", "all", "--limit", 2, "--out", out, "--json")
    assert json.loads(done.stdout) == {"out": str(out), "claims": 2}
    assert len(out.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", "checks.xlsx"), "End its name in .csv, .jsonl, .parquet"),
        (("--field", "left_am"), "Choose one of left_arm"),
        (("--field", "tail__x"), "Choose one of"),
        (("--verdict", "wrong"), "not-checkable"),
        (("--limit", "0"), "--limit"),
    ],
)
def test_wrong_usage_ends_with_code_2(folder, arguments, said):
    done = kinmo("checks", folder, *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_checks_does_not_write_into_the_dataset(folder):
    done = kinmo("checks", folder, "--out", folder / "data" / "train-00000.parquet")
    assert (done.exit_code, "lies in the dataset" in done.stderr) == (1, True)
    assert json.loads(kinmo("info", folder, "--json").stdout)["motions"] == 5


def test_text_of_a_dataset_neither_formats_nor_steers_the_terminal(make_rows, tmp_path):
    evil = "[red]x[/red] [link=file:///a]b[/link] \x1b]0;title\x07\x1b[2J\u202eabc [/]"
    (row,) = make_rows(1)
    motion = dataclasses.replace(row.motion, captions=(Caption(evil),), motion_id=f"id{evil}")
    texts = row.descriptions | {"torso": evil}
    row = dataclasses.replace(
        row, motion=motion, descriptions=texts, checks=(Check("torso", evil, CONTRADICTED),)
    )
    info = shards.write_shard(shards.rows_to_table([row]), tmp_path / "data" / "train-00000.parquet")
    shards.write_failures([], tmp_path / "failures.parquet")
    Manifest({}, "1", [info]).save(tmp_path)
    for arguments in (("info", tmp_path), ("checks", tmp_path), ("show", tmp_path, f"id{evil}")):
        done = CliRunner().invoke(
            main.app,
            ["dataset", *map(str, arguments)],
            env={"COLUMNS": "400", "NO_COLOR": "1", "TERM": "dumb"},
        )
        assert done.exit_code == 0, done.stderr
        assert "[red]x[/red] [link=file:///a]b[/link]" in done.stdout
        assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout)


def test_help_has_a_worked_example():
    assert "kinmo dataset checks dataset --worst --out" in lines(kinmo("checks", "--help").stdout)
