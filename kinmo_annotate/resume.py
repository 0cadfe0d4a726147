"""The dataset folder while a run writes it: one writer at a time, finished shards kept, the rest done again.

While a run is under way the folder also holds `.kinmo.lock` (who writes) and `.progress/` (one small JSON
per finished shard, with its digest and failures). Both are gone when the dataset is complete. A shard counts
as finished when its record exists and its file has the recorded digest, so a kill at any moment costs at most
the shards in hand.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from kinmo_annotate.schema.records import Failure
from kinmo_annotate.schema.shards import (
    CARD_NAME,
    DATA_DIR,
    FAILURES_NAME,
    MANIFEST_NAME,
    DatasetError,
    Manifest,
    ShardInfo,
    atomic_write,
    read_failures,
    sha256_of,
    shard_name,
    split_of,
    write_card,
    write_failures,
    write_shard,
)
from kinmo_annotate.sources.base import Entry

LOCK_NAME: Final = ".kinmo.lock"
PROGRESS_DIR: Final = ".progress"
_COMPLETE: Final = "complete"  # the one setting that changes while a run goes on
# What may be there before a dataset is: leftovers, and answers brought along to rebuild it from.
_OTHERS: Final = (LOCK_NAME, PROGRESS_DIR, f".{MANIFEST_NAME}.tmp", "answers")


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """Which motions a shard is to hold: a fixed slice of one split's listing."""

    name: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """What became of a shard. One without rows has no file and no digest.

    One that is not complete holds what was answered before asking was halted, and is done again.
    """

    name: str
    rows: int
    sha256: str
    failures: tuple[Failure, ...]
    complete: bool = True


def plan_shards(entries: Sequence[Entry], size: int) -> list[ShardPlan]:
    """Cut each split's entries, in the order listed, into shards of `size` motions."""
    splits: dict[str, list[Entry]] = {}
    for entry in entries:
        splits.setdefault(entry.split, []).append(entry)
    return [
        ShardPlan(shard_name(split, start // size), tuple(listed[start : start + size]))
        for split, listed in splits.items()
        for start in range(0, len(listed), size)
    ]


def listing_digest(entries: Sequence[Entry], failures: Sequence[Failure]) -> str:
    """Digest what a source lists: ids, splits and what could not be listed, wherever the folder lies."""
    listed = [[entry.motion_id, entry.split] for entry in entries]
    failed = [[failure.motion_id, failure.stage] for failure in failures]
    return hashlib.sha256(json.dumps([listed, failed]).encode()).hexdigest()


class RunFolder:
    """A dataset folder that this process alone writes. Open it with `open_run_folder`."""

    def __init__(self, out: Path, manifest: Manifest) -> None:
        self.out, self.manifest = out, manifest
        self._records: dict[str, ShardRecord] = {}

    @property
    def rows(self) -> int:
        """Rows that the dataset holds."""
        return sum(record.rows for record in self._records.values())

    def restore(
        self, plans: Sequence[ShardPlan], listed: Sequence[Failure], *, retry_failures: bool = False
    ) -> dict[str, ShardRecord]:
        """Find the shards that are finished, from the records of a cut run or from a complete dataset.

        Args:
            plans: all shards of the run.
            listed: failures that the source's listing found, which belong to no shard.
            retry_failures: count a shard with failures as not finished.
        """
        folder = self.out / PROGRESS_DIR
        records = _read_records(folder) if folder.is_dir() else self._records_of_complete(plans, listed)
        names = {plan.name for plan in plans}
        self._records = {
            name: record for name, record in records.items() if name in names and self._intact(record)
        }
        finished = {
            name: record
            for name, record in self._records.items()
            if record.complete and not (retry_failures and record.failures)
        }
        if not folder.is_dir() and len(finished) < len(plans):
            for record in self._records.values():  # a complete dataset is taken apart: remember its shards
                self._record(record)
        return finished

    def _records_of_complete(
        self, plans: Sequence[ShardPlan], listed: Sequence[Failure]
    ) -> dict[str, ShardRecord]:
        if not self.manifest.settings.get(_COMPLETE):
            return {}
        try:
            left = Counter(read_failures(self.out)) - Counter(listed)
        except DatasetError:
            return {}
        failed: dict[str, list[Failure]] = {}
        for failure in left.elements():
            failed.setdefault(failure.motion_id, []).append(failure)
        shards = {shard.name: shard for shard in self.manifest.shards}
        records = {}
        for plan in plans:
            failures = tuple(f for entry in plan.entries for f in failed.get(entry.motion_id, ()))
            shard = shards.get(plan.name, ShardInfo(plan.name, 0, ""))
            if shard.rows + len(failures) == len(plan.entries):
                records[plan.name] = ShardRecord(plan.name, shard.rows, shard.sha256, failures)
        return records

    def _intact(self, record: ShardRecord) -> bool:
        path = self.out / DATA_DIR / record.name
        if not record.rows:
            return not path.exists()
        return path.is_file() and sha256_of(path) == record.sha256

    def write(
        self, plan: ShardPlan, table: pa.Table, failures: Sequence[Failure], *, complete: bool = True
    ) -> ShardRecord:
        """Write a finished shard, then its record, then a manifest that names it.

        Args:
            plan: of the shard.
            table: its rows.
            failures: its motions that failed.
            complete: whether those are all of its motions.

        Raises:
            DatasetError: something cannot be written; what was finished before stays.
        """
        path = self.out / DATA_DIR / plan.name
        if table.num_rows:
            info = write_shard(table, path)
        else:
            path.unlink(missing_ok=True)
            info = ShardInfo(plan.name, 0, "")
        record = ShardRecord(plan.name, info.rows, info.sha256, tuple(failures), complete)
        self._record(record)
        self._records[plan.name] = record
        self._publish()
        return record

    def _record(self, record: ShardRecord) -> None:
        _write_json(self.out / PROGRESS_DIR / f"{record.name}.json", asdict(record))

    def _publish(self) -> None:
        kept = [record for record in self._records.values() if record.rows]
        self.manifest.shards = [ShardInfo(record.name, record.rows, record.sha256) for record in kept]
        self.manifest.save(self.out)

    def close(self, plans: Sequence[ShardPlan], listed: Sequence[Failure]) -> list[Failure]:
        """Write failures, manifest and card for what is finished; tidy up when that is everything.

        Returns:
            All failures, in the order of the listing.
        """
        records = [self._records[plan.name] for plan in plans if plan.name in self._records]
        failures = [*listed, *(failure for record in records for failure in record.failures)]
        write_failures(failures, self.out / FAILURES_NAME)
        self.manifest.failures = len(failures)
        finished = [record for record in records if record.complete]
        self.manifest.settings[_COMPLETE] = len(finished) == len(plans)
        self._publish()
        write_card(self.out)
        if self.manifest.settings[_COMPLETE]:
            shutil.rmtree(self.out / PROGRESS_DIR, ignore_errors=True)
        return failures


@contextmanager
def open_run_folder(
    out: Path, settings: dict[str, Any], prompt_version: str, *, force: bool = False
) -> Iterator[RunFolder]:
    """Lock the dataset folder and get it ready to write: new, begun over, or gone on with.

    Args:
        out: the dataset folder.
        settings: what the rows depend on; a folder begun with others is refused.
        prompt_version: likewise.
        force: throw away the shards that are there and begin over. Reviews are kept.

    Raises:
        DatasetError: another run is writing there, the folder holds something else or a dataset made with
            other settings, or it cannot be written.
    """
    _make_folder(out)
    with locked(out):
        wanted = Manifest(settings | {_COMPLETE: False}, prompt_version)
        if force:
            _refuse_foreign(out)
            _clear(out)
            wanted.save(out)
        for leftover in [*out.glob(".*.tmp"), *(out / DATA_DIR).glob(".*.tmp")]:
            leftover.unlink(missing_ok=True)
        yield RunFolder(out, _open_manifest(out, wanted))


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "is a file" if isinstance(error, FileExistsError) else (error.strerror or str(error)).lower()
        remedy = "Choose a folder that you may write to with --out."
        raise DatasetError(out, f"cannot be made a dataset folder ({reason})", remedy) from None


def _open_manifest(out: Path, wanted: Manifest) -> Manifest:
    """Take over the manifest of the run before, or write a new one."""
    if not (out / MANIFEST_NAME).exists():
        _refuse_foreign(out)
        wanted.save(out)
        return wanted
    found = Manifest.load(out)
    changes = _changes(found, wanted)
    if changes:
        remedy = "Give the same settings to go on with it, another --out, or --force to begin it over."
        raise DatasetError(out, f"was begun with other settings: {'; '.join(changes)}", remedy)
    return found


def _changes(found: Manifest, wanted: Manifest) -> list[str]:
    """Say which settings differ, in words."""
    before = found.settings | {"kinmo_version": found.kinmo_version, "prompt_version": found.prompt_version}
    now = wanted.settings | {"kinmo_version": version("kinmo"), "prompt_version": wanted.prompt_version}
    differing = [
        key for key in sorted({*before, *now} - {_COMPLETE, "listing"}) if before.get(key) != now.get(key)
    ]
    changes = [f"{key} was {before.get(key)!r}, now {now.get(key)!r}" for key in differing]
    if before.get("listing") != now.get("listing"):
        changes.append("the source lists other motions")
    return changes


def _refuse_foreign(out: Path) -> None:
    """Refuse a folder that holds something and is no dataset of ours."""
    if (out / MANIFEST_NAME).exists():
        return
    names = sorted(path.name for path in out.iterdir() if path.name not in _OTHERS)
    if names:
        reason = f"is not empty and holds no KinMo dataset ({', '.join(names[:3])})"
        raise DatasetError(out, reason, "Give a new or empty folder with --out.")


def _clear(out: Path) -> None:
    """Remove what a run wrote, all but the manifest: it says that what is left is a dataset of ours."""
    shutil.rmtree(out / PROGRESS_DIR, ignore_errors=True)
    for path in (out / DATA_DIR).glob("*.parquet"):
        with suppress(DatasetError):
            split_of(path.name)
            path.unlink()
    for name in (FAILURES_NAME, CARD_NAME):
        (out / name).unlink(missing_ok=True)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1, sort_keys=True)
    atomic_write(path, lambda file: file.write(text.encode()))


def _read_records(folder: Path) -> dict[str, ShardRecord]:
    """Read the records of finished shards; one that cannot be read counts as not finished."""
    records = {}
    for path in sorted(folder.glob("*.json")):
        with suppress(OSError, ValueError, TypeError, KeyError):
            content = json.loads(path.read_bytes())
            failures = tuple(Failure(**failure) for failure in content["failures"])
            records[content["name"]] = ShardRecord(**(content | {"failures": failures}))
    return records


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the folder's lock; the system drops it when the process dies, however it dies.

    Raises:
        DatasetError: a living process holds it, or the lock file cannot be written.
    """
    path = out / LOCK_NAME
    try:
        handle = _take_lock(path)
    except BlockingIOError:
        raise _busy(path) from None
    except OSError as error:
        reason = f"cannot be written ({(error.strerror or str(error)).lower()})"
        raise DatasetError(out, reason, "Choose a folder that you may write to with --out.") from None
    try:
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file; the next run then takes the lock file over
            path.unlink()
        os.close(handle)


def _take_lock(path: Path) -> int:
    """Open and lock the lock file.

    Raises:
        BlockingIOError: another process holds it.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock_handle(handle)
            # The run before may have removed the file between our opening and our locking it.
            if os.fstat(handle).st_ino == os.stat(path).st_ino:
                return handle
        except FileNotFoundError:
            pass
        except OSError:
            os.close(handle)
            raise
        os.close(handle)


def _lock_handle(handle: int) -> None:
    """Lock an open file without waiting."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            raise BlockingIOError from None
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _busy(path: Path) -> DatasetError:
    """Say who is writing."""
    with suppress(OSError, ValueError):
        who = f"process {int(path.read_text())}"
        return DatasetError(path.parent, f"is being written by another run ({who})", _WAIT)
    return DatasetError(path.parent, "is being written by another run", _WAIT)


_WAIT: Final = "Wait until it ends, stop it, or choose another folder with --out."
