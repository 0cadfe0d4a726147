"""HumanML3D folders: `new_joints/ID.npy` and/or `new_joint_vecs/ID.npy`, `texts/ID.txt`, split files."""

from __future__ import annotations

import csv
import os
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.features import NUM_FEATURES, features_to_joints
from kinmo_annotate.schema.records import Caption, Failure, Motion, MotionError, Source, check_joints
from kinmo_annotate.schema.skeleton import FPS, mirror_joints
from kinmo_annotate.sources.base import Entry, counted, failure
from kinmo_annotate.sources.captions import mirror_captions, read_captions
from kinmo_annotate.sources.files import EXPORT_AGAIN, as_float, is_utf8, read_arrays, read_text, to_float32
from kinmo_annotate.sources.place import is_placed, place

SPLITS = ("train", "val", "test")
JOINTS_DIR, FEATURES_DIR, TEXTS_DIR = "new_joints", "new_joint_vecs", "texts"


@dataclass
class HumanML3DSource:
    """A folder in HumanML3D layout.

    What is asked for is every id of train/val/test.txt and all.txt; an id in all.txt alone counts as train.
    Without all.txt, files that no split names are train too; with it they are left out, and `notes()` says
    how many. An id in two splits is a failure, because a motion must not be both trained and tested on; an
    id written twice in one file is kept once, and each repetition is a failure row. `M000001` that has no
    file is made from `000001` by mirroring joints and captions (without features, which only a file
    brings).

    Attributes:
        root: the folder.
        name: "humanml3d".
    """

    root: Path
    name: str = "humanml3d"
    _entries: list[Entry] = field(init=False, repr=False, default_factory=list)
    _failures: list[Failure] = field(init=False, repr=False, default_factory=list)
    _notes: list[str] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        if not is_humanml3d(self.root):
            reason = f"holds neither {JOINTS_DIR} nor {FEATURES_DIR}"
            raise MotionError(str(self.root), reason, "Give a folder in HumanML3D layout, or another --kind.")
        asked = self._read_splits()
        files = {name: _stems(self.root / name) for name in (JOINTS_DIR, FEATURES_DIR)}
        on_disk = files[JOINTS_DIR] | files[FEATURES_DIR]
        extra = sorted(on_disk - asked.keys())
        if (self.root / "all.txt").exists():
            if extra:
                self._notes.append(
                    f"{counted(len(extra), 'file')} that all.txt does not name left out (first {extra[0]})"
                )
        else:
            asked |= {motion_id: {"train"} for motion_id in extra}
        for motion_id, splits in asked.items():
            self._list(motion_id, splits, files)

    def entries(self) -> list[Entry]:
        """List what can be loaded, in the order of the split files."""
        return list(self._entries)

    def failures(self) -> list[Failure]:
        """List ids without a file, in two splits, or written twice."""
        return list(self._failures)

    def notes(self) -> list[str]:
        """Say which files were left out."""
        return list(self._notes)

    def load(self, entry: Entry) -> Motion:
        """Read one motion: joints from file, or recovered from the vectors where there are no joints.

        Joints are given exactly as in the file, unless they do not stand on the floor or do not face +z
        within `place`'s tolerances; then they are placed, and the vectors, which would no longer fit, are
        left out.

        Raises:
            MotionError: a missing or damaged file, vectors that do not fit the joints, a malformed caption.
        """
        path = Path(entry.path)
        mirrored = path.stem != entry.motion_id
        features = _read_features(self.root / FEATURES_DIR / path.name)
        joints = _read_joints(path, features)
        if not is_placed(joints):
            joints, features = to_float32(place(joints)), None
        if mirrored:
            joints, features = to_float32(mirror_joints(joints)), None
        captions = self._captions(entry.motion_id, path.stem)
        source = self._source(path)
        return Motion(entry.motion_id, joints, source, FPS, captions, entry.split, features)

    def _read_splits(self) -> dict[str, set[str]]:
        """Map every id asked for to the splits that name it, in order of first mention."""
        asked: dict[str, set[str]] = {}
        for split in SPLITS:
            for motion_id in self._read_ids(f"{split}.txt"):
                asked.setdefault(motion_id, set()).add(split)
        for motion_id in self._read_ids("all.txt"):
            asked.setdefault(motion_id, {"train"})
        return asked

    def _read_ids(self, name: str) -> list[str]:
        path = self.root / name
        if not path.exists():
            return []
        counts = Counter(line.strip() for line in read_text(path).splitlines() if line.strip())
        for motion_id, count in counts.items():
            reason = f"is written {count} times in {name}; it is read once"
            again = failure(motion_id, str(path), reason, f"Remove the repeated lines from {name}.")
            self._failures.extend([again] * (count - 1))
        return list(counts)

    def _list(self, motion_id: str, splits: set[str], files: dict[str, set[str]]) -> None:
        """Turn one id into an entry or a failure."""
        if len(splits) > 1:
            reason = f"is in more than one split: {', '.join(sorted(splits))}"
            self._fail(motion_id, reason, "Remove it from all split files but one.")
        elif not _is_file_name(motion_id):
            self._fail(motion_id, "is not a plain file name", "Use letters, digits, '-', '_' and '.' in ids.")
        elif (path := self._find(motion_id, files)) is None:
            reason = f"is listed but has no file in {JOINTS_DIR} or {FEATURES_DIR}"
            self._fail(motion_id, reason, "Add the file, or remove the id from the split files.")
        else:
            self._entries.append(Entry(motion_id, str(path), next(iter(splits))))

    def _find(self, motion_id: str, files: dict[str, set[str]]) -> Path | None:
        """Find an id's file: its own, or the one that it mirrors."""
        for stem in (motion_id, motion_id[1:] if motion_id.startswith("M") else motion_id):
            for folder in (JOINTS_DIR, FEATURES_DIR):
                if stem in files[folder]:
                    return self.root / folder / f"{stem}.npy"
        return None

    def _fail(self, motion_id: str, reason: str, remedy: str) -> None:
        shown = motion_id.encode("utf-8", "backslashreplace").decode()
        self._failures.append(failure(shown, str(self.root), reason, remedy))

    def _captions(self, motion_id: str, stem: str) -> tuple[Caption, ...]:
        """Read an id's captions; a motion without a text file has none."""
        own = self.root / TEXTS_DIR / f"{motion_id}.txt"
        if own.exists():
            return read_captions(own)
        other = self.root / TEXTS_DIR / f"{stem}.txt"
        return mirror_captions(read_captions(other)) if stem != motion_id and other.exists() else ()

    def _source(self, path: Path) -> Source:
        known = _read_index(self.root / "index.csv")
        return known.get(path.stem) or Source("HumanML3D", path.relative_to(self.root).as_posix())


def is_humanml3d(root: Path) -> bool:
    """Tell whether a folder is in HumanML3D layout."""
    return (root / JOINTS_DIR).is_dir() or (root / FEATURES_DIR).is_dir()


def _stems(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    return {name[:-4] for name in os.listdir(folder) if name.endswith(".npy")}


def _is_file_name(motion_id: str) -> bool:
    plain = not set(motion_id) & set("/\\\0") and motion_id not in (".", "..")
    return plain and is_utf8(motion_id) and len(motion_id.encode()) < 200


def _read_features(path: Path) -> NDArray[np.float32] | None:
    """Read the vectors (T', 263) of a motion, None where there is no file.

    Raises:
        MotionError: damaged, of another shape, or with NaN.
    """
    if not path.exists():
        return None
    features = as_float(read_arrays(path).get("", np.empty(0)), str(path))
    if features.ndim != 2 or features.shape[1] != NUM_FEATURES:
        reason = f"has shape {features.shape}, expected (T, {NUM_FEATURES})"
        raise MotionError(str(path), reason, "Make the vectors again from the joints, or remove the file.")
    if not np.isfinite(features).all():
        first = int((~np.isfinite(features)).any(axis=1).argmax())
        raise MotionError(str(path), f"has NaN or infinite values, first in row {first}", EXPORT_AGAIN)
    return to_float32(features)


def _read_joints(path: Path, features: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Read joints (T, 22, 3), or recover them from the vectors, and check that both fit together."""
    if path.parent.name == FEATURES_DIR and features is not None:
        if len(features) < 2:
            raise MotionError(
                str(path), f"has {len(features)} frames, at least 2 are needed", "Leave it out."
            )
        joints = to_float32(features_to_joints(features))
        check_joints(joints, str(path))
        return joints
    joints = to_float32(as_float(read_arrays(path).get("", np.empty(0)), str(path)))
    check_joints(joints, str(path))
    if features is not None and len(features) not in (len(joints), len(joints) - 1):
        reason = f"has {len(joints)} frames but its vectors have {len(features)}"
        raise MotionError(
            str(path), reason, f"Make {FEATURES_DIR} again from the joints, or remove the file."
        )
    return joints


@lru_cache(maxsize=4)
def _read_index(path: Path) -> dict[str, Source]:
    """Read where motions come from, by id; an index that is absent or of another form tells nothing.

    Two forms are known: columns id, source_dataset, source_file, start, end, fps, license; and HumanML3D's
    own source_path, start_frame, end_frame, new_name (20 fps frames).
    """
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    return dict(_parse_row(row) for row in rows)


def _parse_row(row: dict[str, str]) -> tuple[str, Source]:
    if row.get("new_name"):
        parts = Path(row.get("source_path") or "").parts
        dataset = parts[parts.index("pose_data") + 1] if "pose_data" in parts[:-1] else "HumanML3D"
        start, end = (_frames(row.get(key), FPS) for key in ("start_frame", "end_frame"))
        return Path(row["new_name"]).stem, Source(dataset, row.get("source_path") or "", start, end)
    fps = _frames(row.get("fps"), 1.0) or FPS
    start, end = (_frames(row.get(key), fps) for key in ("start", "end"))
    dataset, path = row.get("source_dataset") or "HumanML3D", row.get("source_file") or ""
    licence = row.get("license") or row.get("licence") or ""
    return row.get("id") or "", Source(dataset, path, start, end, licence)


def _frames(text: str | None, fps: float) -> float:
    """Read a count of frames as seconds; what is no number, or HumanML3D's end of -1, is 0."""
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value / fps if np.isfinite(value) and value > 0 else 0.0
