"""Claims as a file for review: read back as they were, harmless, whole or not at all."""

from __future__ import annotations

import csv
import dataclasses
import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from kinmo_annotate.dataset import CheckedClaim, Wanted, list_checks, write_checks
from kinmo_annotate.schema.records import VERDICTS
from kinmo_annotate.schema.shards import DatasetError

NASTY = 'Says "x, y";\nthen ünï [bold]…'


def claim(sentence: str, motion_id: str = "000001") -> CheckedClaim:
    return CheckedClaim(motion_id, "val", "torso", sentence, "torso rises", "contradicted", "", "a, b")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "CSV"])
def test_what_was_written_is_read_back(checked, tmp_path, ending):
    claims = [*list_checks(checked, Wanted(VERDICTS)), claim(NASTY)]
    path = tmp_path / f"claims.{ending}"
    assert write_checks(iter(claims), path) == 8
    if ending == "jsonl":
        found = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    elif ending == "parquet":
        found = pq.read_table(path).to_pylist()
    else:
        with path.open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file))
        assert len(pd.read_csv(path)) == 8
    assert found == [dataclasses.asdict(one) for one in claims]
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == [path.name]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_no_claims_give_a_file_all_the_same(tmp_path, ending):
    path = tmp_path / f"claims.{ending}"
    assert write_checks([], path) == 0
    if ending == "parquet":
        assert pq.read_table(path).num_rows == 0
    else:
        assert len(path.read_text("utf-8").splitlines()) == (ending == "csv")


FORMULAS = ["=1+1", "+x", "-2", "@SUM(A1)", " \t=cmd|' /C calc'!A0", "\n=1", "\uff1d1", "\ttab", "\rx"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_a_spreadsheet_is_a_formula(tmp_path, text):
    path = tmp_path / "claims.csv"
    write_checks([claim(text, motion_id=text)], path)
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["sentence"], row["motion_id"]) == (f"'{text}", f"'{text}")
    assert row["caption"] == "a, b"


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"ends in '.xlsx'.*\.csv, \.jsonl, \.parquet"):
        write_checks([], tmp_path / "claims.xlsx")
    with pytest.raises(DatasetError, match=r"ends in ''"):
        write_checks([], tmp_path / "claims")


def test_nothing_is_written_into_the_dataset(checked):
    for name in ("data/train-00000.parquet", "claims.csv"):
        before = {path: path.read_bytes() for path in checked.rglob("*") if path.is_file()}
        with pytest.raises(DatasetError, match="lies in the dataset"):
            write_checks([claim("x")], checked / name, checked)
        assert {path: path.read_bytes() for path in checked.rglob("*") if path.is_file()} == before


def test_what_breaks_off_leaves_the_old_file(tmp_path):
    path = tmp_path / "claims.csv"
    path.write_text("old")

    def broken():
        yield claim("x")
        raise DatasetError("data", "is damaged", "Fetch it again.")

    with pytest.raises(DatasetError, match="is damaged"):
        write_checks(broken(), path)
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["claims.csv"]
