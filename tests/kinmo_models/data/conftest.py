"""Small datasets, and a language model that knows words by their letters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinmo_annotate.schema import arrow, shards
from kinmo_annotate.schema.records import Row

WIDTH = 8


class Letters:
    """A token is a word; its features depend on the word and on its place."""

    def __init__(self, fingerprint: str = "v1", at_once: int = 3):
        self.name, self.fingerprint, self.width = "some/letters", fingerprint, WIDTH
        self.asked: list[str] = []
        self._at_once = at_once

    def features(self, text: str) -> np.ndarray:
        """(words, 8) float32."""
        words = [f"{place}{word}" for place, word in enumerate(["[", *text.split(), "]"])]
        rows = [list(blake2b(word.encode(), digest_size=WIDTH).digest()) for word in words]
        return np.array(rows, np.float32) / 4 + 1  # half precision holds these exactly

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], np.ndarray]]:
        """A few texts of one length at a time."""
        arrays = [self.features(text) for text in texts]
        for length in sorted({len(array) for array in arrays}):
            places = [place for place, array in enumerate(arrays) if len(array) == length]
            for first in range(0, len(places), self._at_once):
                some = places[first : first + self._at_once]
                self.asked += [texts[place] for place in some]
                yield some, np.stack([arrays[place] for place in some])


@pytest.fixture
def letters() -> type[Letters]:
    return Letters


@pytest.fixture
def write_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Write a dataset: `write_dataset({"train": rows})`; `change` may alter a row's text columns."""

    def write(
        splits: dict[str, list[Row]],
        name: str = "dataset",
        change: Callable[[dict[str, Any]], None] | None = None,
        joints: bool = True,
    ) -> Path:
        folder, infos = tmp_path / name, []
        for split, rows in splits.items():
            taken = list(arrow.table_to_records(shards.rows_to_table(rows)))
            for record, _, _ in taken:
                if change:
                    change(record)
            table = arrow.records_to_table(
                [record for record, _, _ in taken],
                [xyz if joints else None for _, xyz, _ in taken],
                [features for _, _, features in taken],
            )
            infos.append(shards.write_shard(table, folder / "data" / shards.shard_name(split, 0)))
        shards.write_failures([], folder / "failures.parquet")
        shards.Manifest({"seed": 7}, "1", infos).save(folder)
        return folder

    return write


@pytest.fixture
def with_motion() -> Callable[..., Row]:
    """Replace parts of a row's motion: `with_motion(row, captions=...)`."""

    def replace(row: Row, **changes: Any) -> Row:
        return dataclasses.replace(row, motion=dataclasses.replace(row.motion, **changes))

    return replace
