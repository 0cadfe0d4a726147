"""Reading files that may be damaged: whatever is wrong with one becomes a `MotionError` that names it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.records import Failure, MotionError
from kinmo_annotate.sources.base import Entry, failure

EXPORT_AGAIN = "The file is damaged or of another kind: export or download it again, or leave it out."


def read_text(path: Path) -> str:
    """Read a whole UTF-8 text file; a byte order mark is dropped.

    Raises:
        MotionError: it is missing, unreadable, or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MotionError(
            str(path), f"is not UTF-8 text (byte {error.start})", "Save it again as UTF-8, or leave it out."
        ) from error
    except OSError as error:
        raise cannot_open(path, error) from error


def read_arrays(path: Path, keys: Iterable[str] | None = None) -> dict[str, NDArray[np.generic]]:
    """Read the arrays of a .npz by name, or of a .npy under the name "".

    Args:
        path: the file; nothing in it is ever unpickled.
        keys: read only these of a .npz; None reads all. Missing ones are left out of the answer.

    Raises:
        MotionError: missing, truncated, or not made of plain numeric arrays.
    """
    try:
        # Opened here, because on a damaged archive NumPy forgets to close what it opened itself.
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": loaded}
            with loaded:
                names = [name for name in loaded.files if keys is None or name in set(keys)]
                return {name: loaded[name] for name in names}
    except OSError as error:
        raise cannot_open(path, error) from error
    except Exception as error:  # numpy and zipfile raise a long and undocumented list on damaged bytes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MotionError(str(path), f"cannot be read as NumPy arrays ({reason})", EXPORT_AGAIN) from error


def as_float(array: NDArray[np.generic], where: str, what: str = "array") -> NDArray[np.float64]:
    """Turn an array of real numbers into float64.

    Raises:
        MotionError: it holds text, complex numbers or records.
    """
    if array.dtype.kind not in "fiu":
        raise MotionError(where, f"its {what} is of type {array.dtype}, not numbers", EXPORT_AGAIN)
    with np.errstate(all="ignore"):
        return array.astype(np.float64)


def to_float32(array: NDArray[np.floating]) -> NDArray[np.float32]:
    """Round to float32; what is too large becomes infinite, which `check_joints` refuses."""
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def cannot_open(path: Path, error: OSError) -> MotionError:
    """Say that a file cannot be opened, in the system's words."""
    return MotionError(
        str(path), error.strerror or str(error) or "cannot be opened", "Check that it exists and may be read."
    )


def list_files(root: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """List the files below a folder that end in one of `suffixes`, sorted; or the one file given."""
    if root.is_file():
        return [root]
    found: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders.sort()
        found.extend(Path(folder, name) for name in names if Path(name).suffix.lower() in suffixes)
    return sorted(found)


def entries_of_files(root: Path, paths: list[Path]) -> tuple[list[Entry], list[Failure]]:
    """Give every file an id: its path below `root` without the suffix, "/" written as "__".

    Two files that would share an id, and names that are not UTF-8, become failures; the first file keeps
    the id.
    """
    entries: dict[str, Entry] = {}
    failures: list[Failure] = []
    for path in paths:
        relative = Path(path.name) if path == root else path.relative_to(root)
        motion_id = "__".join(relative.with_suffix("").parts)
        if not _is_plain(motion_id) or not is_utf8(str(path)):
            safe = motion_id.encode("utf-8", "backslashreplace").decode()
            shown = str(path).encode("utf-8", "backslashreplace").decode()
            reason = "its name is not UTF-8, or has line breaks or spaces at an end"
            failures.append(failure(safe, shown, reason, "Rename the file."))
        elif motion_id in entries:
            reason = f"has the same id as {entries[motion_id].path}"
            failures.append(failure(motion_id, str(path), reason, "Rename one of the two files."))
        else:
            entries[motion_id] = Entry(motion_id, str(path))
    return list(entries.values()), failures


def _is_plain(motion_id: str) -> bool:
    """Tell whether an id can stand on a line of its own and be read back."""
    return motion_id == motion_id.strip() and len(motion_id.splitlines()) == 1


def is_utf8(text: str) -> bool:
    """Tell whether a name from the file system can be written as UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def relative_path(path: Path, root: Path) -> str:
    """Name a file as seen from the source's folder, so that rows do not depend on where the folder stands."""
    base = root if root.is_dir() else root.parent
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.name


def npz_names(path: Path) -> set[str]:
    """Name the arrays in a .npz without reading them; a damaged or other file has none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return set()


class FileSource:
    """What sources with one motion in each file share: the list that was made when the source was opened."""

    _entries: list[Entry]
    _failures: list[Failure]

    def entries(self) -> list[Entry]:
        """List the files; all are train."""
        return list(self._entries)

    def failures(self) -> list[Failure]:
        """List files that share an id with another."""
        return list(self._failures)
