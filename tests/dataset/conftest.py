"""Datasets with checks of every kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kinmo_annotate.schema import shards
from kinmo_annotate.schema.records import CONTRADICTED, NOT_CHECKABLE, NOT_DETERMINED, SUPPORTED, Check, Row

# motion -> its checks: 0 is right, 1 carries none, 2 and 3 are contradicted
CHECKS = (
    (Check("right_arm", "right arm raises", SUPPORTED), Check("torso", "torso rises", NOT_CHECKABLE)),
    (),
    (Check("right_arm", "right arm raises", CONTRADICTED), Check("right_arm", "right arm lowers", SUPPORTED)),
    (
        Check("torso", "torso sinks", CONTRADICTED),
        Check("left_arm", "left arm raises", CONTRADICTED),
        Check("torso__neck", "torso and head do not move", SUPPORTED),
    ),
)


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as a dataset of one shard."""

    def write(rows: Sequence[Row], name: str = "checked", **settings: object) -> Path:
        folder = tmp_path / name
        shard = shards.write_shard(shards.rows_to_table(rows), folder / "data" / "train-00000.parquet")
        shards.write_failures([], folder / "failures.parquet")
        shards.Manifest(settings, "1", [shard]).save(folder)
        shards.write_card(folder)
        return folder

    return write


@pytest.fixture
def checked(make_rows: Callable[..., list[Row]], write_rows: Callable[..., Path]) -> Path:
    """Four motions with `CHECKS`; a language model wrote the last two, the third at a price not known."""
    rows = [dataclasses.replace(row, checks=some) for row, some in zip(make_rows(4), CHECKS, strict=True)]
    paid = {"input_tokens": 100, "output_tokens": 30, "cached_tokens": 60}
    made = [row.provenance for row in rows]
    made[2] = dataclasses.replace(made[2], cost_usd=None, **paid)
    made[3] = dataclasses.replace(made[3], cost_usd=0.25, **paid)
    rows = [dataclasses.replace(row, provenance=one) for row, one in zip(rows, made, strict=True)]
    rows[3].descriptions["left_leg"] = NOT_DETERMINED
    return write_rows(rows)
