"""The dataset on disk: shards, failures, manifest and card, each written whole or not at all.

    DATASET/
      README.md             dataset card with the YAML that `datasets.load_dataset(DATASET)` reads
      kinmo.json            manifest: schema version, settings, prompt version, shards with rows and sha256
      data/<split>-00000.parquet ...
      failures.parquet      what could not be annotated

A shard's bytes depend on its rows alone, so that equal runs make equal files (`created_at` aside).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kinmo_annotate.schema.arrow import (
    FAILURE_SCHEMA,
    SCHEMA,
    SCHEMA_VERSION,
    VERSION_KEY,
    failures_to_table,
    rows_to_table,
    table_to_rows,
)
from kinmo_annotate.schema.card import card_text
from kinmo_annotate.schema.records import Failure, Row

__all__ = [
    "CARD_NAME",
    "DATA_DIR",
    "FAILURES_NAME",
    "FAILURE_SCHEMA",
    "MANIFEST_NAME",
    "REVIEWS_NAME",
    "SCHEMA",
    "SCHEMA_VERSION",
    "DatasetError",
    "Manifest",
    "ShardInfo",
    "atomic_write",
    "check_version",
    "open_shard",
    "read_failures",
    "read_groups",
    "read_rows",
    "rows_to_table",
    "sha256_of",
    "shard_name",
    "split_of",
    "write_card",
    "write_failures",
    "write_shard",
]

DATA_DIR: Final = "data"
MANIFEST_NAME: Final = "kinmo.json"
FAILURES_NAME: Final = "failures.parquet"
REVIEWS_NAME: Final = "reviews.parquet"
CARD_NAME: Final = "README.md"
_FORMAT: Final = "kinmo-dataset"
_SHARD_NAME: Final = re.compile(r"(?P<split>\w+)-\d{5,}\.parquet")

# A row group is what a reader holds in memory at once.
_GROUP_ROWS: Final = 64
_GROUP_FRAMES: Final = 16_384


class DatasetError(Exception):
    """A dataset that cannot be read or written: which file, why, and what the user can do about it."""

    def __init__(self, where: str | Path, reason: str, remedy: str) -> None:
        self.where, self.reason, self.remedy = str(where), reason, remedy
        super().__init__(f"{where}: {reason}. {remedy}")


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """A shard as the manifest lists it; `name` is the file's name under data/."""

    name: str
    rows: int
    sha256: str


@dataclass(slots=True)
class Manifest:
    """What `kinmo.json` says.

    Attributes:
        settings: how the run was set up, JSON values only.
        prompt_version: version of the prompt, or of the rules, that wrote the sentences.
        shards: finished shards, in the order of their names.
        failures: rows of failures.parquet.
        texts_only: the motions were left out on purpose.
        kinmo_version: version of this package that wrote the dataset.
        schema_version: version of the columns.
    """

    settings: dict[str, Any]
    prompt_version: str
    shards: list[ShardInfo] = field(default_factory=list)
    failures: int = 0
    texts_only: bool = False
    kinmo_version: str = field(default_factory=lambda: version("kinmo"))
    schema_version: int = SCHEMA_VERSION

    @property
    def rows(self) -> int:
        """Motions in the dataset."""
        return sum(shard.rows for shard in self.shards)

    @property
    def splits(self) -> dict[str, int]:
        """Motions per split, in the order train, val, test, then any other."""
        counts: Counter[str] = Counter()
        for shard in self.shards:
            counts[split_of(shard.name)] += shard.rows
        order = ("train", "val", "test")
        return {name: counts[name] for name in (*order, *sorted(set(counts) - set(order))) if name in counts}

    def save(self, dataset_dir: Path) -> None:
        """Write `kinmo.json` atomically, shards in the order of their names.

        Raises:
            DatasetError: the file cannot be written.
        """
        content = {"format": _FORMAT} | asdict(self)
        content["shards"].sort(key=lambda shard: shard["name"])
        text = json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        atomic_write(
            dataset_dir / MANIFEST_NAME, lambda file: file.write(text.encode("utf-8", "backslashreplace"))
        )

    @classmethod
    def load(cls, dataset_dir: Path) -> Manifest:
        """Read `kinmo.json`.

        Raises:
            DatasetError: the folder is no dataset, the manifest is damaged, or a newer kinmo wrote it.
        """
        path = Path(dataset_dir) / MANIFEST_NAME
        content = _manifest_content(path)
        check_version(content.get("schema_version"), path)
        try:
            shards = [ShardInfo(str(s["name"]), int(s["rows"]), str(s["sha256"])) for s in content["shards"]]
            for shard in shards:
                split_of(shard.name)  # also keeps names from leading out of the dataset
            return cls(
                settings=dict(content["settings"]),
                prompt_version=str(content["prompt_version"]),
                shards=shards,
                failures=int(content["failures"]),
                texts_only=bool(content["texts_only"]),
                kinmo_version=str(content["kinmo_version"]),
                schema_version=int(content["schema_version"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged_manifest(path, f"lacks or misstates {error}") from None


def _manifest_content(path: Path) -> dict[str, Any]:
    """Parse the manifest far enough to know that it is one."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        reason = (
            "has no kinmo.json, so it is not a KinMo dataset" if path.parent.is_dir() else "is not a folder"
        )
        raise DatasetError(
            path.parent, reason, "Give the folder that `kinmo annotate run` wrote with --out."
        ) from None
    except OSError as error:
        raise DatasetError(path, _why(error), "Check that you may read the file.") from None
    except ValueError as error:
        raise _damaged_manifest(path, f"is not valid JSON ({error})") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise _damaged_manifest(path, f"does not say that its format is {_FORMAT}")
    return content


def _damaged_manifest(path: Path, reason: str) -> DatasetError:
    """Say that the manifest cannot be used."""
    return DatasetError(path, reason, "Fetch the dataset again, or annotate again into a new folder.")


def check_version(found: object, where: str | Path) -> None:
    """Refuse a schema version that this package does not know.

    Raises:
        DatasetError: the version is newer than `SCHEMA_VERSION`, or no version at all.
    """
    if type(found) is not int or found < 1:
        raise DatasetError(
            where, f"has no schema version that makes sense ({found!r})", "Fetch the dataset again."
        )
    if found > SCHEMA_VERSION:
        raise DatasetError(
            where,
            f"has schema version {found}, and this kinmo ({version('kinmo')}) reads up to {SCHEMA_VERSION}",
            "Upgrade with `pip install --upgrade kinmo`.",
        )


def shard_name(split: str, index: int) -> str:
    """Name a shard's file: `train-00000.parquet`."""
    return f"{split}-{index:05d}.parquet"


def split_of(name: str) -> str:
    """Tell a shard's split from its file name.

    Raises:
        DatasetError: the name is no shard's name.
    """
    match = _SHARD_NAME.fullmatch(name)
    if match is None:
        raise DatasetError(
            name, "is not named like a shard", "Shards are named <split>-00000.parquet; rename it."
        )
    return match["split"]


def write_shard(table: pa.Table, path: Path) -> ShardInfo:
    """Write one shard: zstd, row groups of bounded size, whole or not at all.

    Args:
        table: rows of `SCHEMA` (`rows_to_table`).
        path: data/<split>-NNNNN.parquet; its folder is made where it is missing.

    Raises:
        DatasetError: the table has other columns, or the file cannot be written.
    """
    split_of(path.name)
    if not table.schema.equals(SCHEMA):
        raise DatasetError(
            path, "was given other columns than the schema's", "Build the table with rows_to_table."
        )
    atomic_write(path, lambda file: _write_parquet(table, file))
    return ShardInfo(path.name, table.num_rows, sha256_of(path))


def write_failures(failures: Sequence[Failure], path: Path) -> None:
    """Write failures.parquet, also when there is none to write.

    Raises:
        DatasetError: the file cannot be written.
    """
    table = failures_to_table(failures)
    atomic_write(path, lambda file: pq.write_table(table, file, compression="zstd"))


def _write_parquet(table: pa.Table, file: BinaryIO) -> None:
    """Write a table group by group."""
    with pq.ParquetWriter(file, SCHEMA, compression="zstd", **_ENCODING) as writer:
        for start, stop in _group_bounds(table["num_frames"].to_numpy()):
            writer.write_table(table.slice(start, stop - start))


# Text repeats between motions and is worth a dictionary. Positions do not; they compress a sixth better when
# the high bytes of all values stand together.
_ENCODING: Final[dict[str, Any]] = {
    "use_dictionary": [name for name in SCHEMA.names if name not in ("joints", "features")],
    "use_byte_stream_split": [f"{name}.list.element.list.element" for name in ("joints", "features")],
}


def _group_bounds(num_frames: np.ndarray) -> list[tuple[int, int]]:
    """Cut rows into groups of at most `_GROUP_ROWS` motions and about `_GROUP_FRAMES` frames."""
    bounds, start, frames = [], 0, 0
    for row, length in enumerate(num_frames.tolist()):
        if row > start and (row - start == _GROUP_ROWS or frames + length > _GROUP_FRAMES):
            bounds.append((start, row))
            start, frames = row, 0
        frames += length
    bounds.append((start, len(num_frames)))
    return bounds


def atomic_write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name, flush it to the disk, then rename it.

    The temporary name is fixed, so that a run started again after a kill overwrites what the kill left.

    Raises:
        DatasetError: the file cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if not isinstance(error, OSError):
            raise
        remedy = (
            "Free some space or choose another folder, and check that you may write there; then run it again."
        )
        raise DatasetError(path, f"cannot be written ({_why(error)})", remedy) from None


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; not every system lets a folder be opened, and there it needs no sync."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _why(error: OSError) -> str:
    """Say an operating system's error without its number."""
    return (error.strerror or str(error)).lower()


def sha256_of(path: Path) -> str:
    """Digest a file, a block at a time.

    Raises:
        DatasetError: the file is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(path, f"cannot be read ({_why(error)})", _REFETCH) from None


_REFETCH: Final = (
    "Fetch it again, or delete it and run the same `kinmo annotate run` command, which writes it anew."
)


def open_shard(path: Path) -> pq.ParquetFile:
    """Open a shard and check that its columns are the schema's.

    Raises:
        DatasetError: the file is missing, damaged, newer than this package, or has other columns.
    """
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "is damaged or no Parquet file"
        raise DatasetError(path, reason, _REFETCH) from None
    _check_columns(file.schema_arrow, path)
    return file


def _check_columns(schema: pa.Schema, path: Path) -> None:
    """Refuse other columns than the schema's, and say which."""
    found = (schema.metadata or {}).get(VERSION_KEY, b"")
    check_version(int(found) if found.isdigit() else None, path)
    if schema.equals(SCHEMA):
        return
    wrong = [
        name for name in SCHEMA.names if name not in schema.names or schema.field(name) != SCHEMA.field(name)
    ]
    wrong += [name for name in schema.names if name not in SCHEMA.names]
    reason = f"has missing, extra or differently typed columns ({', '.join(wrong) or 'order'})"
    raise DatasetError(path, reason, _REFETCH)


def read_groups(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Read a shard one row group at a time.

    Raises:
        DatasetError: see `open_shard`; or a row group cannot be decoded.
    """
    with open_shard(path) as file:
        for index in range(file.num_row_groups):
            try:
                yield file.read_row_group(index, columns=None if columns is None else list(columns))
            except (OSError, pa.ArrowException):
                raise DatasetError(path, f"is damaged in row group {index}", _REFETCH) from None


def read_rows(dataset_dir: Path) -> Iterator[Row]:
    """Read all rows, shard by shard, holding one row group at a time.

    Raises:
        DatasetError: the dataset cannot be read, or carries no motion.
        MotionError: a row's joints are unusable.
    """
    dataset_dir = Path(dataset_dir)
    manifest = Manifest.load(dataset_dir)
    if manifest.texts_only:
        remedy = "Put your own copy of the motions back with `kinmo dataset join`."
        raise DatasetError(dataset_dir, "carries texts only, no motion", remedy)
    for shard in manifest.shards:
        for table in read_groups(dataset_dir / DATA_DIR / shard.name):
            yield from table_to_rows(table, split_of(shard.name))


def read_failures(dataset_dir: Path) -> list[Failure]:
    """Read failures.parquet.

    Raises:
        DatasetError: it is missing or damaged.
    """
    path = Path(dataset_dir) / FAILURES_NAME
    try:
        table = pq.read_table(path)
        return [Failure(**row) for row in table.select(FAILURE_SCHEMA.names).to_pylist()]
    except (OSError, pa.ArrowException, KeyError):
        reason = "is damaged or has other columns" if path.exists() else "is missing"
        raise DatasetError(path, reason, _REFETCH) from None


def write_card(dataset_dir: Path) -> None:
    """Write the dataset card from the manifest and the sources named in the shards.

    Raises:
        DatasetError: the dataset cannot be read, or the card cannot be written.
    """
    dataset_dir = Path(dataset_dir)
    manifest = Manifest.load(dataset_dir)
    sources: Counter[tuple[str, str]] = Counter()
    for shard in manifest.shards:
        for table in read_groups(dataset_dir / DATA_DIR / shard.name, columns=["source"]):
            sources.update((row["dataset"], row["license"]) for row in table["source"].to_pylist())
    text = card_text(manifest.splits, dict(sorted(sources.items())), manifest.settings, manifest.texts_only)
    atomic_write(dataset_dir / CARD_NAME, lambda file: file.write(text.encode("utf-8", "backslashreplace")))
