"""What a dataset holds, counted."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import kinmo_annotate
from kinmo_annotate import dataset
from kinmo_annotate.dataset.read import way_on
from kinmo_annotate.schema import arrow, shards
from kinmo_annotate.schema.records import NO_MOVEMENT, NOT_DETERMINED
from kinmo_annotate.schema.shards import Manifest
from kinmo_annotate.schema.skeleton import FIELDS


@pytest.mark.parametrize("path", ["/", "/d", "d", "."])
def test_a_dataset_may_lie_at_the_root_of_a_disk(path):
    assert way_on(Path(path)) is None


def test_info_counts(make_dataset, make_rows):
    folder = make_dataset(4)
    rows = make_rows(12)
    found = dataset.info(folder)
    frames = sum(len(row.motion.joints) for row in rows)
    assert (found.motions, found.splits, found.frames) == (12, {"train": 8, "test": 4}, frames)
    assert found.hours == pytest.approx(frames / 20 / 3600, abs=1e-4)
    assert found.keyframes == {"mean": 3.0, "min": 3, "max": 3}
    assert found.still["left_arm"] == 0.5
    assert found.still["torso__neck"] == 0.0
    assert found.still["left_leg"] == 1.0
    assert found.words["left_arm"] == 8.0
    assert found.words["left_leg"] == 0.0
    assert (found.fact_check.total.supported, found.fact_check.total.claims) == (12, 12)
    assert found.failures == {"has N frame": 1}
    assert found.reviews == {"unreviewed": 12}
    assert found.provenance["describer"] == ["kinematic"]
    assert found.size_bytes == sum(path.stat().st_size for path in (folder / "data").iterdir())
    assert json.loads(json.dumps(found.to_json()))["motions"] == 12


def test_info_of_an_empty_dataset(tmp_path):
    shards.write_failures([], tmp_path / "failures.parquet")
    Manifest({}, "1").save(tmp_path)
    shards.write_card(tmp_path)
    assert dataset.info(tmp_path).motions == 0
    assert dataset.validate(tmp_path) == []
    assert len(kinmo_annotate.load_dataset(tmp_path)) == 0


def test_tokens_and_cost_add_up_and_unknown_prices_are_told(checked):
    spent = dataset.info(checked).spent
    assert (spent.input_tokens, spent.output_tokens, spent.cached_tokens) == (200, 60, 120)
    assert (spent.cost_usd, spent.unpriced) == (0.25, 1)


def test_what_is_not_determined_is_neither_still_nor_told(checked):
    found = dataset.info(checked)
    assert found.not_determined == {name: 0.25 if name == "left_leg" else 0.0 for name in FIELDS}
    assert (found.still["left_leg"], found.words["left_leg"]) == (0.75, 0.0)


def test_a_run_that_has_not_ended_is_counted_as_far_as_it_is(make_rows, write_rows):
    found = dataset.info(write_rows(make_rows(2), complete=False))
    assert (found.complete, found.motions) == (False, 2)
    assert dataset.info(write_rows(make_rows(2), "whole", complete=True)).complete


def test_words_are_counted_as_a_reader_would(make_rows, write_rows):
    texts = {
        "torso": ["  The torso\u00a0bends \n twice. ", "one", NO_MOVEMENT],
        "neck": ["", "a b c", NOT_DETERMINED],
        "left_leg__right_leg": ["x y", f" {NO_MOVEMENT}", "z"],
    }
    rows = [
        dataclasses.replace(
            row, descriptions=row.descriptions | {name: some[n] for name, some in texts.items()}
        )
        for n, row in enumerate(make_rows(3))
    ]
    found = dataset.info(write_rows(rows))
    assert found.words["torso"] == 2.5
    assert found.words["neck"] == 1.5
    assert found.words["left_leg__right_leg"] == 1.5


def test_rows_that_lack_whole_columns_are_counted(checked):
    path = checked / "data" / "train-00000.parquet"
    records, joints, features = map(list, zip(*arrow.table_to_records(pq.read_table(path)), strict=True))
    for name in ("provenance", "review", "groups", "checks", "keyframes"):
        records[3][name] = None
    shards.write_shard(arrow.records_to_table(records, joints, features), path)
    found = dataset.info(checked)
    assert (found.spent.input_tokens, found.spent.cost_usd, found.spent.unpriced) == (100, 0.0, 2)
    assert found.reviews == {"unreviewed": 3, "none": 1}
    assert found.keyframes["min"] == 0
    assert (found.fact_check.motions_unchecked, found.fact_check.total.contradicted) == (2, 1)
