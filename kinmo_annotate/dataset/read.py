"""Read a dataset: all of it as a pandas frame, or one motion by its id."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kinmo_annotate.schema.arrow import Record, table_to_records
from kinmo_annotate.schema.shards import (
    DATA_DIR,
    MANIFEST_NAME,
    SCHEMA,
    DatasetError,
    Manifest,
    read_failures,
    read_groups,
    split_of,
)

if TYPE_CHECKING:
    import pandas as pd


ROUNDS_DIR: Final = "rounds"  # rounds of review that were annotated anew, each a dataset of its own
LOOP_NAME: Final = "loop.json"  # there: how a loop of review was begun


def way_on(path: Path) -> str | None:
    """Name the command that goes on with a dataset of a loop or of a round of review; None for others."""
    if (path / ROUNDS_DIR / LOOP_NAME).is_file():
        return f"kinmo annotate loop {path}"
    rounds = (path if len(path.parts) > 2 else path.absolute()).parent
    dataset = rounds.parent
    if rounds.name != ROUNDS_DIR or not (dataset / MANIFEST_NAME).is_file():
        return None
    return way_on(dataset) or f"kinmo annotate refine {dataset}"


@dataclass(frozen=True, slots=True)
class Found:
    """One motion of a dataset.

    Attributes:
        split: the split its shard belongs to.
        record: its text columns, nested as in the schema.
        joints: (T, 22, 3) float32, metres, y up; None where the dataset carries texts only.
        features: (T', 263) float32, or None.
    """

    split: str
    record: Record
    joints: NDArray[np.float32] | None
    features: NDArray[np.float32] | None


def load_dataset(path: str | Path, splits: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a dataset into one pandas frame.

    Columns are those on disk, in their order, and `split` after `motion_id`. `joints` are (T, 22, 3) and
    `features` (T', 263) float32 arrays that may be written to (None where null); `groups`, `interactions`,
    `source`, `provenance` and `review` are dicts; `captions`, `keyframes` and `checks` are lists of dicts.

    Args:
        path: the folder that `kinmo annotate run` wrote.
        splits: read these splits alone, e.g. ["train"].

    Raises:
        DatasetError: the dataset cannot be read, or has no such split.
    """
    import pandas as pd

    path = Path(path)
    names = ["motion_id", "split", *SCHEMA.names[1:]]
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for split, table in iterate_groups(path, splits=splits):
        columns["split"] += [split] * table.num_rows
        for record, joints, features in table_to_records(table):
            for name, value in {**record, "joints": joints, "features": features}.items():
                columns[name].append(value)
    # ragged arrays must stay one object a row, whatever their lengths
    frame = {name: _objects(columns[name]) if name in _NESTED else columns[name] for name in names}
    return pd.DataFrame(frame).astype({"fps": np.float32, "num_frames": np.int32})


_NESTED = {field.name for field in SCHEMA if pa.types.is_nested(field.type)}


def _objects(values: list[Any]) -> NDArray[np.object_]:
    """Wrap values in an object array without numpy looking inside them."""
    array = np.empty(len(values), dtype=object)
    array[:] = [None] * len(values)
    for index, value in enumerate(values):
        array[index] = value
    return array


def iterate_groups(
    path: Path, columns: Sequence[str] | None = None, splits: Sequence[str] | None = None
) -> Iterator[tuple[str, pa.Table]]:
    """Read a dataset one row group at a time, each with its split.

    Raises:
        DatasetError: the dataset cannot be read, or has no such split.
    """
    manifest = Manifest.load(path)
    unknown = sorted(set(splits or ()) - set(manifest.splits))
    if unknown:
        known = ", ".join(manifest.splits) or "no split at all"
        raise DatasetError(path, f"has no split named {', '.join(unknown)}", f"It has {known}.")
    for shard in manifest.shards:
        split = split_of(shard.name)
        if splits is None or split in splits:
            for table in read_groups(path / DATA_DIR / shard.name, columns):
                yield split, table


def find(path: str | Path, motion_id: str) -> Found:
    """Read one motion by its id.

    Raises:
        DatasetError: no such motion; the error names ids that look like it, or why the motion failed.
    """
    path = Path(path)
    ids: list[str] = []
    for shard in Manifest.load(path).shards:
        file = path / DATA_DIR / shard.name
        for index, table in enumerate(read_groups(file, ["motion_id"])):
            names = table["motion_id"].to_pylist()
            if motion_id in names:
                return _read_one(file, index, names.index(motion_id))
            ids += names
    raise _not_found(path, motion_id, ids)


def _read_one(file: Path, group: int, row: int) -> Found:
    """Read one row of one row group."""
    table = next(table for index, table in enumerate(read_groups(file)) if index == group)
    record, joints, features = next(table_to_records(table.slice(row, 1)))
    return Found(split_of(file.name), record, joints, features)


def _not_found(path: Path, motion_id: str, ids: Sequence[str]) -> DatasetError:
    """Say that there is no such motion, with the most useful next step."""
    for failure in read_failures(path):
        if failure.motion_id == motion_id:
            return DatasetError(path, f"{motion_id} could not be annotated: {failure.reason}", failure.remedy)
    begun = sorted(name for name in ids if motion_id and name.startswith(motion_id))[:3]
    close = begun or difflib.get_close_matches(motion_id, ids, n=3, cutoff=0.6)
    if close:
        remedy = f"Did you mean {' or '.join(close)}?"
    else:
        remedy = f"Its motions are named like {', '.join(ids[:3])}." if ids else "It holds no motion at all."
    return DatasetError(path, f"has no motion with the id {motion_id}", remedy)
