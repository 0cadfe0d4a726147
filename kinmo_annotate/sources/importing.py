"""Writing any source in HumanML3D's layout: joints, 263-d vectors, texts, split files, and what failed."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np

from kinmo_annotate.schema.features import features_to_joints, joints_to_features
from kinmo_annotate.schema.records import Failure, Motion, MotionError
from kinmo_annotate.sources.base import Entry, MotionSource, failure
from kinmo_annotate.sources.captions import format_captions
from kinmo_annotate.sources.humanml3d import FEATURES_DIR, JOINTS_DIR, SPLITS, TEXTS_DIR

JOURNAL: Final = "import.jsonl"  # the settings, then a line for each finished motion; marks a folder as ours
FAILURES: Final = "failures.csv"
_INDEX_COLUMNS: Final = ("id", "source_dataset", "source_file", "start", "end", "fps", "license")
Row = dict[str, str]
_OTHER_PLACE: Final = "Give a new folder, or start over with --force."


@dataclass
class ImportSummary:
    """What an import did.

    Attributes:
        out: the folder written.
        written: motions written by this run.
        kept: motions that were there already.
        failures: what could not be read, this run.
        notes: how often each thing was detected: skeleton, unit, up-axis, frame rate.
        complete: False if it was stopped before the end.
    """

    out: Path
    written: int = 0
    kept: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    complete: bool = True

    def as_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "out": str(self.out),
            "written": self.written,
            "kept": self.kept,
            "failures": [asdict(failed) for failed in self.failures],
            "notes": dict(self.notes),
            "complete": self.complete,
        }


def import_motions(
    source: MotionSource,
    out: Path,
    *,
    settings: dict[str, str] | None = None,
    advance: Callable[[Entry], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    force: bool = False,
) -> ImportSummary:
    """Write every motion of a source into a folder that HumanML3D readers understand.

    As HumanML3D itself does it, a motion of T frames gives T - 1 vectors on the uniform skeleton, and the
    joints written are those recovered from the vectors; motions that bring vectors are written as they are.
    A motion without captions gets an empty text file, which HumanML3D loaders pass over. index.csv keeps
    where each motion came from. Files appear whole or not at all; a journal says which motions are finished,
    so that the same import started again goes on where it was stopped or killed.

    Args:
        source: the motions.
        out: the folder; new, empty, or of an import of the same source with the same settings.
        settings: what decides how motions are read, to be equal when an import goes on.
        advance: told each entry when it is done, kept or failed.
        stop: asked before each motion; True ends the import early, with the lists written.
        force: begin over where an import with other settings is.

    Raises:
        MotionError: the folder cannot be used or written.
    """
    summary = ImportSummary(out, failures=list(source.failures()))
    try:
        finished = _prepare(out, {"kind": source.name, **(settings or {})}, force)
        with (out / JOURNAL).open("a", encoding="utf-8") as journal:
            _import_all(source, summary, finished, journal, advance or (lambda _: None), stop)
        done = [entry for entry in source.entries() if entry.motion_id in finished]
        _write_lists(out, done, finished, summary.failures)
    except OSError as error:
        reason = f"cannot be written ({error.strerror or error})"
        remedy = "Free some space or choose a folder you may write to, then run the same command again."
        raise MotionError(str(error.filename or out), reason, remedy) from error
    return summary


def settings_of(src: Path, mapping: Path | None, skip_s: float) -> dict[str, str]:
    """Describe how a source is read, for `import_motions`; a mapping counts by its contents."""
    text = hashlib.sha256(mapping.read_bytes()).hexdigest() if mapping and mapping.is_file() else ""
    return {"source": str(src.resolve()), "mapping": text, "skip_s": f"{skip_s:g}"}


def _prepare(out: Path, settings: dict[str, str], force: bool) -> dict[str, Row]:
    """Make the folder, leave the settings in its journal, and tell which motions are finished.

    Raises:
        MotionError: it holds something else, or an import with other settings and no `force`.
    """
    journal = out / JOURNAL
    if out.exists() and not out.is_dir():
        raise MotionError(str(out), "is a file, and a folder is needed", "Give another --out.")
    if not journal.is_file() and _holds_other_things(out):
        raise MotionError(
            str(out), "is not empty and holds no import", "Give a new folder, or empty this one."
        )
    before, *rows = _read_journal(journal) or [settings]
    changed = ", ".join(key for key in settings if before.get(key) != settings[key])
    if changed and not force:
        raise MotionError(str(out), f"holds an import with another {changed}", _OTHER_PLACE)
    kept = [] if force else [row for row in rows if "id" in row and _is_finished(out, row["id"])]
    finished = {row["id"]: row for row in kept}
    # Written again whole, so that a line cut short by a kill does not spoil the next one; and before the
    # rest, because it marks the folder as ours.
    out.mkdir(parents=True, exist_ok=True)
    _write(journal, "".join(f"{json.dumps(row)}\n" for row in (settings, *finished.values())).encode())
    _clear(out, keep=finished.keys())
    return finished


def _holds_other_things(out: Path) -> bool:
    """Tell whether a folder holds anything but what an import killed at its very start leaves."""
    return out.is_dir() and any(path.name != f"{JOURNAL}.tmp" for path in out.iterdir())


def _read_journal(path: Path) -> list[Row]:
    """Read what an import wrote down; lines cut short by a kill are passed over."""
    rows: list[Row] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        with suppress(ValueError):
            rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict)]


def _clear(out: Path, keep: Collection[str]) -> None:
    """Make the folders, and take away what an import wrote there of motions that are not to be kept."""
    for folder in (JOINTS_DIR, FEATURES_DIR, TEXTS_DIR):
        (out / folder).mkdir(exist_ok=True)
        for path in (out / folder).iterdir():
            if path.suffix in (".npy", ".txt", ".tmp") and path.stem not in keep:
                path.unlink()


def _is_finished(out: Path, motion_id: str) -> bool:
    """Tell whether all three files of a motion are there."""
    arrays = [out / folder / f"{motion_id}.npy" for folder in (JOINTS_DIR, FEATURES_DIR)]
    text = out / TEXTS_DIR / f"{motion_id}.txt"
    return text.is_file() and all(path.is_file() and path.stat().st_size for path in arrays)


def _import_all(
    source: MotionSource,
    summary: ImportSummary,
    finished: dict[str, Row],
    journal: TextIO,
    advance: Callable[[Entry], None],
    stop: Callable[[], bool],
) -> None:
    """Read and write what is not finished; each finished motion gets its line in the journal at once."""
    for entry in source.entries():
        if stop():
            summary.complete = False
            return
        if entry.motion_id in finished:
            summary.kept += 1
        elif row := _import_one(source, entry, summary):
            journal.write(json.dumps(row) + "\n")
            journal.flush()
            finished[entry.motion_id] = row
            summary.written += 1
        if entry.motion_id in finished:
            summary.notes.update([finished[entry.motion_id]["notes"]])
        advance(entry)


def _import_one(source: MotionSource, entry: Entry, summary: ImportSummary) -> Row | None:
    """Read and write one motion; gives its line of the journal, or None and one more failure."""
    try:
        motion, notes = _load(source, entry)
        write_motion(motion, summary.out)
    except MotionError as error:
        summary.failures.append(failure(entry.motion_id, entry.path, error.reason, error.remedy))
        return None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        summary.failures.append(failure(entry.motion_id, entry.path, "its name is too long", "Shorten it."))
        return None
    return _index_row(motion) | {"notes": notes}


def _load(source: MotionSource, entry: Entry) -> tuple[Motion, str]:
    """Load a motion, with what was detected on the way where the source tells."""
    tell = getattr(source, "load_with_notes", None)
    if tell is None:
        return source.load(entry), ""
    motion, notes = tell(entry)
    return motion, ", ".join(notes)


def write_motion(motion: Motion, out: Path) -> None:
    """Write one motion as new_joints, new_joint_vecs and texts.

    Raises:
        MotionError: it is too short for vectors, or a bone has no length.
    """
    joints, features = motion.joints, motion.features
    if features is None:
        if len(joints) < 3:
            reason = f"has {len(joints)} frames; 3 are needed, because vectors have one frame less"
            raise MotionError(motion.motion_id, reason, "Leave it out.")
        features = joints_to_features(joints, motion.motion_id)
        joints = features_to_joints(features)
    _write(out / JOINTS_DIR / f"{motion.motion_id}.npy", _npy(joints))
    _write(out / FEATURES_DIR / f"{motion.motion_id}.npy", _npy(features))
    _write(out / TEXTS_DIR / f"{motion.motion_id}.txt", format_captions(motion.captions).encode())


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array, dtype=np.float32), allow_pickle=False)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    """Write a file under another name, then rename it."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _write_lists(out: Path, done: list[Entry], rows: dict[str, Row], failures: list[Failure]) -> None:
    """Write the split files, where motions came from, and what failed."""
    for split in SPLITS:
        _write_lines(out / f"{split}.txt", (entry.motion_id for entry in done if entry.split == split))
    _write_lines(out / "all.txt", (entry.motion_id for entry in done))
    _write_csv(out / "index.csv", _INDEX_COLUMNS, (rows[entry.motion_id] for entry in done))
    _write_csv(out / FAILURES, tuple(Failure.__dataclass_fields__), map(asdict, failures))


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    _write(path, "".join(f"{line}\n" for line in lines).encode())


def _write_csv(path: Path, columns: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    _write(path, text.getvalue().encode())


def _index_row(motion: Motion) -> Row:
    source = motion.source
    frames = [f"{seconds * motion.fps:.6g}" for seconds in (source.start_s, source.end_s)]
    values = (motion.motion_id, source.dataset, source.path, *frames, f"{motion.fps:g}", source.license)
    return dict(zip(_INDEX_COLUMNS, values, strict=True))
