"""Checked claims as a file for review: .csv for spreadsheets, .jsonl, .parquet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from kinmo_annotate.dataset.checks import CheckedClaim
from kinmo_annotate.schema.shards import DatasetError, atomic_write

_NAMES: Final = tuple(field.name for field in fields(CheckedClaim))
_SCHEMA: Final = pa.schema([(name, pa.string()) for name in _NAMES])
_AT_ONCE: Final = 10_000
# What a spreadsheet takes for the start of a formula.
_FORMULA: Final = re.compile(r"[\s\x00]*[=+\-@＝＋－＠]|[\t\r\n]")


def write_checks(claims: Iterable[CheckedClaim], path: Path, dataset: Path | None = None) -> int:
    """Write claims, a line each, as .csv, .jsonl or .parquet; the whole file or none.

    Args:
        claims: what to write.
        path: its ending says how; a file that is there is replaced.
        dataset: the dataset that is read, into which nothing may be written.

    Returns:
        How many claims were written.

    Raises:
        DatasetError: the ending is another, `path` lies in the dataset, or it cannot be written.
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        reason = f"ends in {path.suffix!r}, so it is not clear how to write it"
        raise DatasetError(path, reason, f"End its name in {', '.join(ENDINGS)}.")
    if dataset is not None and dataset.resolve() in path.resolve().parents:
        raise DatasetError(path, "lies in the dataset that is read", "Choose a place outside of it.")
    counted = _Counted(claims)
    atomic_write(path, lambda file: write(counted, file))
    return counted.number


class _Counted:
    """Counts what goes by."""

    def __init__(self, claims: Iterable[CheckedClaim]) -> None:
        self._claims, self.number = claims, 0

    def __iter__(self) -> Iterator[CheckedClaim]:
        for claim in self._claims:
            self.number += 1
            yield claim


def _write_csv(claims: Iterable[CheckedClaim], file: BinaryIO) -> None:
    text = io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="")
    writer = csv.writer(text)
    writer.writerow(_NAMES)
    writer.writerows([_harmless(getattr(claim, name)) for name in _NAMES] for claim in claims)
    text.flush()
    text.detach()  # the file is closed by who opened it


def _harmless(cell: str) -> str:
    """Keep a spreadsheet from running a cell: an apostrophe in front makes it text."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _write_jsonl(claims: Iterable[CheckedClaim], file: BinaryIO) -> None:
    for claim in claims:
        line = json.dumps({name: getattr(claim, name) for name in _NAMES}, ensure_ascii=False)
        file.write(line.encode("utf-8", "backslashreplace") + b"\n")


def _write_parquet(claims: Iterable[CheckedClaim], file: BinaryIO) -> None:
    rest = iter(claims)
    with pq.ParquetWriter(file, _SCHEMA, compression="zstd") as writer:
        while some := list(islice(rest, _AT_ONCE)):
            columns = [pa.array([getattr(claim, name) for claim in some], pa.string()) for name in _NAMES]
            writer.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA))


_WRITERS: Final[dict[str, Callable[[Iterable[CheckedClaim], BinaryIO], None]]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}
ENDINGS: Final = tuple(_WRITERS)
