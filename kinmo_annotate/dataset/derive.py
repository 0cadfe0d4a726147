"""Make a dataset from another: texts alone, motions put back, left and right exchanged.

Each is written under a temporary name beside its place and renamed when whole, so that a dataset is there
entirely or not at all. One shard is held in memory at a time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from kinmo_annotate.schema.arrow import Frames, Record, records_to_table, table_to_records
from kinmo_annotate.schema.records import Failure, Motion, MotionError
from kinmo_annotate.schema.shards import (
    DATA_DIR,
    FAILURES_NAME,
    MANIFEST_NAME,
    REVIEWS_NAME,
    DatasetError,
    Manifest,
    ShardInfo,
    read_failures,
    read_groups,
    split_of,
    write_card,
    write_failures,
    write_shard,
)

if TYPE_CHECKING:
    from kinmo_annotate.sources import Entry

Tick = Callable[[int], None]
_Transform = Callable[[pa.Table], pa.Table]


def export_texts(source: Path, out: Path, *, force: bool = False, progress: Tick | None = None) -> Manifest:
    """Write a copy that carries no motion: `joints` and `features` are null.

    Raises:
        DatasetError: the dataset cannot be read, or `out` exists or cannot be written.
    """

    def drop(table: pa.Table) -> pa.Table:
        records = [record for record, _, _ in table_to_records(table)]
        nothing = [None] * len(records)
        return records_to_table(records, nothing, nothing)

    manifest = Manifest.load(source)
    with _new_dataset(source, out, force) as place:
        shards = _rewrite(source, place, manifest, drop, progress)
        # the setting keeps `kinmo annotate run` from taking the copy for its own finished work
        settings = {**manifest.settings, "texts_only": True}
        new = replace(manifest, shards=shards, texts_only=True, settings=settings)
        _finish(place, new, read_failures(source), source)
    return new


def mirror(source: Path, out: Path, *, force: bool = False, progress: Tick | None = None) -> Manifest:
    """Write a copy seen in a mirror, its ids with an M in front; people's reviews stay with the original.

    Raises:
        DatasetError: the dataset cannot be read, or `out` exists or cannot be written.
    """
    from kinmo_annotate.dataset.mirrored import mirror_id, mirror_row

    def turn(table: pa.Table) -> pa.Table:
        rows = [mirror_row(*row) for row in table_to_records(table)]
        return records_to_table(*_columns(rows))

    manifest = Manifest.load(source)
    with _new_dataset(source, out, force) as place:
        shards = _rewrite(source, place, manifest, turn, progress)
        settings = {**manifest.settings, "mirrored": not manifest.settings.get("mirrored", False)}
        new = replace(manifest, shards=shards, settings=settings)
        failures = [replace(one, motion_id=mirror_id(one.motion_id)) for one in read_failures(source)]
        _finish(place, new, failures)
    return new


def join(
    texts: Path,
    motions: Path,
    out: Path,
    *,
    mapping: Path | None = None,
    kind: str | None = None,
    force: bool = False,
    progress: Tick | None = None,
) -> tuple[Manifest, list[Failure]]:
    """Put the motions of the user's own copy back into a texts-only dataset, by id.

    Args:
        texts: a dataset that `export_texts` wrote.
        motions: anything that `sources.open_source` opens.
        out: the new dataset.
        mapping: see `open_source`.
        kind: see `open_source`.
        force: replace a dataset that is already at `out`.
        progress: called with the number of motions done.

    Returns:
        The new manifest, and the motions that were not found, or are not those that the texts describe. They
        stand in failures.parquet too.

    Raises:
        DatasetError: nothing matched, a dataset cannot be read, or `out` exists or cannot be written.
        MotionError: `motions` holds no motions.
    """
    from kinmo_annotate.sources import open_source

    manifest = Manifest.load(texts)
    if not manifest.texts_only:
        raise DatasetError(texts, "already carries its motions", "Use it as it is; there is nothing to join.")
    source = open_source(motions, mapping=mapping, kind=kind)
    entries = {entry.motion_id: entry for entry in source.entries()}
    missing: list[Failure] = []

    def put_back(table: pa.Table) -> pa.Table:
        rows: list[tuple[Record, Frames | None, Frames | None]] = []
        for record, _, _ in table_to_records(table):
            try:
                motion = source.load(_entry(entries, record, motions))
                _check_same(motion, record)
                rows.append((record, motion.joints, motion.features))
            except MotionError as error:
                path = record["source"]["path"]
                missing.append(Failure(record["motion_id"], path, "join", error.reason, error.remedy))
        return records_to_table(*_columns(rows))

    with _new_dataset(texts, out, force) as place:
        shards = _rewrite(texts, place, manifest, put_back, progress)
        settings = {name: value for name, value in manifest.settings.items() if name != "texts_only"}
        new = replace(manifest, shards=shards, texts_only=False, settings=settings)
        if manifest.rows and not new.rows:
            raise DatasetError(
                motions, f"has none of the {manifest.rows} motions: {missing[0].reason}", _OWN_COPY
            )
        _finish(place, new, [*read_failures(texts), *missing], texts)
    return new, missing


_OWN_COPY: Final = "Give the copy of the motions that the texts were written for."


def _entry(entries: dict[str, Entry], record: Record, motions: Path) -> Entry:
    """Look a motion up by its id."""
    try:
        return entries[record["motion_id"]]
    except KeyError:
        raise MotionError(record["motion_id"], f"is not in {motions}", _OWN_COPY) from None


def _check_same(motion: Motion, record: Record) -> None:
    """Refuse a motion of another length or rate than the texts were written for."""
    have = f"{len(motion.joints)} frames at {motion.fps:g} fps"
    told = f"{record['num_frames']} frames at {record['fps']:g} fps"
    if have != told:
        reason = f"has {have}, and the texts describe {told}"
        raise MotionError(motion.motion_id, reason, _OWN_COPY)


def _columns(
    rows: list[tuple[Record, Frames | None, Frames | None]],
) -> tuple[list[Record], list[Frames | None], list[Frames | None]]:
    """Turn rows into the columns that `records_to_table` takes."""
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def _rewrite(
    source: Path, place: Path, manifest: Manifest, transform: _Transform, progress: Tick | None
) -> list[ShardInfo]:
    """Write every shard anew; one that is left without rows is left out."""
    shards = []
    for shard in manifest.shards:
        split_of(shard.name)
        tables = []
        for table in read_groups(source / DATA_DIR / shard.name):
            tables.append(transform(table))
            if progress:
                progress(table.num_rows)
        whole = pa.concat_tables(tables)
        if whole.num_rows:
            shards.append(write_shard(whole, place / DATA_DIR / shard.name))
    return shards


def _finish(place: Path, manifest: Manifest, failures: list[Failure], reviewed: Path | None = None) -> None:
    """Write what stands beside the shards; take people's reviews over from `reviewed`."""
    write_failures(failures, place / FAILURES_NAME)
    manifest.failures = len(failures)
    manifest.save(place)
    if reviewed and (reviewed / REVIEWS_NAME).is_file():
        shutil.copyfile(reviewed / REVIEWS_NAME, place / REVIEWS_NAME)
    write_card(place)


# Answers and batches that were paid for, judgements of people, prompts and rounds that go with them.
_IRREPLACEABLE: Final = ("answers", "batches", "reviews.sqlite", "prompts", "rounds")


@contextmanager
def _new_dataset(source: Path, out: Path, force: bool) -> Iterator[Path]:
    """Give a folder to fill, put at `out` when all went well and removed when not.

    Raises:
        DatasetError: `out` may not be replaced or cannot be written.
    """
    out = out.resolve()
    place, old = (out.with_name(f".{out.name}.{ending}") for ending in ("unfinished", "old"))
    if old.exists() and not out.exists():
        os.replace(old, out)  # a kill fell between the two renames below
    _check_replaceable(source.resolve(), out, force)
    try:
        for leftover in (place, old):
            shutil.rmtree(leftover, ignore_errors=True)
        place.mkdir(parents=True)
        yield place
        if out.exists():
            os.replace(out, old)
        os.replace(place, out)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        remedy = (
            "Free some space or choose another folder, and check that you may write there; then run it again."
        )
        raise DatasetError(
            out, f"cannot be written ({(error.strerror or str(error)).lower()})", remedy
        ) from None
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _check_replaceable(source: Path, out: Path, force: bool) -> None:
    """Refuse to write over the input, over a dataset unasked, or over anything that is no dataset."""
    if source == out or source in out.parents or out in source.parents:
        raise DatasetError(
            out, "is, holds or lies in the dataset that is read", "Choose another folder for --out."
        )
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST_NAME).is_file():
        raise DatasetError(
            out, "exists and is not a dataset", "Choose another folder, or delete it yourself."
        )
    if not force:
        raise DatasetError(
            out, "already holds a dataset", "Choose another folder, or replace it with --force."
        )
    precious = [name for name in _IRREPLACEABLE if (out / name).exists()]
    if precious:
        reason = f"holds what cannot be made again ({', '.join(precious)})"
        raise DatasetError(out, reason, "Choose another folder, or move those to a safe place first.")
