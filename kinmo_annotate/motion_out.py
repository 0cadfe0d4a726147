"""A motion, or a series of them, written out: the ending of the path says as what.

.npy                      joints (T, 22, 3) float32 metres, or the HumanML3D vectors
.bvh                      for Blender, with rotations
.png .jpg .jpeg .webp     contact sheet
.gif .mp4                 film
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.bvh_out import write_bvh
from kinmo_annotate.render.film import FILM_SUFFIXES, check_film, film
from kinmo_annotate.render.paper import check_suffix
from kinmo_annotate.render.sheet import SHEET_SUFFIXES, contact_sheet
from kinmo_annotate.schema.records import Keyframe, MotionError, check_joints
from kinmo_annotate.schema.shards import DatasetError, atomic_write
from kinmo_annotate.schema.skeleton import FPS

MOTION_SUFFIXES: Final = (".npy", ".bvh", *SHEET_SUFFIXES, *FILM_SUFFIXES)
INDEX_NAME: Final = "index.jsonl"
RECIPE: Final = "recipe"  # key of a line: what the motion was made from, as one word


@dataclass(frozen=True)
class MotionOut:
    """A motion to write, and what is said of it.

    Attributes:
        joints: (T, 22, 3) float metres, y up.
        fps: frames per second.
        name: its id, if it has one; stands in front of the text on a contact sheet.
        text: its prompt or caption; printed on pictures and films.
        keyframes: marked on pictures and films; a sheet without any shows frames spread evenly.
        sentences: by group and pair, below the pictures of a sheet.
        wanted: (T, 22, 3) where joints were to be, NaN where they were free; dots on pictures and films.
        features: (T', 263) its HumanML3D vectors; where they are given, .npy holds them and not the joints.
    """

    joints: NDArray[np.floating]
    fps: float = FPS
    name: str = ""
    text: str = ""
    keyframes: Sequence[Keyframe] = ()
    sentences: Mapping[str, str] = field(default_factory=dict)
    features: NDArray[np.floating] | None = None
    wanted: NDArray[np.floating] | None = None


def check_path(path: Path) -> None:
    """Refuse a path that no motion can be written to, before there is a motion.

    Raises:
        MotionError: an unknown ending, or .mp4 without PyAV.
    """
    check_suffix(path, MOTION_SUFFIXES, "a motion")
    if path.suffix.lower() in FILM_SUFFIXES:
        check_film(path)


def write_motion(motion: MotionOut, path: Path) -> None:
    """Write a motion as what the ending of its path says; replaced whole or not at all.

    Raises:
        MotionError: unusable joints, an unknown ending, or .mp4 without PyAV.
        DatasetError: the file cannot be written.
    """
    check_path(path)
    check_joints(motion.joints, str(path))
    suffix = path.suffix.lower()
    if suffix == ".npy":
        _write_array(motion, path)
    elif suffix == ".bvh":
        write_bvh(motion.joints, path, motion.fps)
    elif suffix in FILM_SUFFIXES:
        film(motion.joints, path, motion.fps, motion.text, motion.keyframes, motion.wanted)
    else:
        title = f"{motion.name}  {motion.text}".strip()
        said = motion.sentences
        contact_sheet(motion.joints, motion.keyframes, said, path, motion.fps, title, motion.wanted)


def _write_array(motion: MotionOut, path: Path) -> None:
    array = motion.joints if motion.features is None else motion.features
    rows = np.ascontiguousarray(array, dtype=np.float32)
    atomic_write(path, lambda file: np.save(file, rows, allow_pickle=False))


class MotionSeries:
    """A folder of numbered motions, 000000.npy and so on, and index.jsonl with a line a motion.

    A line holds `file` (that with the first of the endings; the others share its stem), `prompt`, `length`
    in frames, and whatever else is said of the motion. It is added once the motion's files are there.

    Args:
        folder: is made where it is not there.
        suffixes: endings to write each motion with.
        recipes: of a series that may be stopped and gone on with, what each of its motions is made from, as
            one word (a fingerprint); lines hold it. A folder that holds the beginning of just these is gone
            on with.
        force: replace a series that is in the folder already; its files are removed first.

    Attributes:
        found: what the index says of the motions that are there from before.

    Raises:
        MotionError: an unknown ending, or another series that is there already.
        DatasetError: the folder's index is damaged.
    """

    def __init__(
        self,
        folder: Path,
        suffixes: Sequence[str] = (".npy",),
        *,
        recipes: Sequence[str] = (),
        force: bool = False,
    ) -> None:
        for suffix in suffixes:
            check_path(folder / f"motion{suffix}")
        self._folder, self._suffixes, self._recipes = folder, tuple(suffixes), recipes
        self.found: list[dict[str, Any]] = []
        if (folder / INDEX_NAME).exists():
            if force:
                self._remove_old()
            else:
                self._go_on()
        self._count = len(self.found)

    def _go_on(self) -> None:
        """Take what is there as the beginning of this series, or refuse."""
        lines = read_index(self._folder)
        begun = [line.get(RECIPE) for line in lines] == list(self._recipes[: len(lines)])
        if not begun:
            reason = "holds another series of motions already"
            remedy = "Choose another folder, or replace it with --force."
            raise MotionError(str(self._folder), reason, remedy)
        for line in lines:
            if not all(path.is_file() for path in self.files(line)):
                break  # somebody took it away: it is made again, and those after it
            self.found.append(line)
        if len(self.found) < len(lines) or not _ends_whole(self._folder / INDEX_NAME):
            content = "".join(map(_line, self.found)).encode()
            atomic_write(self._folder / INDEX_NAME, lambda file: file.write(content))

    def files(self, line: Mapping[str, Any]) -> list[Path]:
        """Give the files of a motion that the index tells of, in the order of the endings."""
        return [self._folder / f"{Path(line['file']).stem}{suffix}" for suffix in self._suffixes]

    def _remove_old(self) -> None:
        """Remove the files that the index names, and no others: it may have been written by anybody."""
        numbers = {Path(line["file"]).stem for line in read_index(self._folder)}
        for path in sorted(self._folder.iterdir()):
            if path.stem in numbers and path.stem.isdecimal() and path.suffix in MOTION_SUFFIXES:
                path.unlink()
        (self._folder / INDEX_NAME).unlink()

    def add(self, motion: MotionOut, **facts: object) -> list[Path]:
        """Write the next motion and its line.

        Args:
            motion: what is written.
            facts: what else its line says, such as seed and level; plain JSON values.

        Returns:
            The files, in the order of the endings.

        Raises:
            MotionError: unusable joints, or .mp4 without PyAV.
            DatasetError: a file cannot be written.
        """
        stem = f"{self._count:06d}"
        paths = [self._folder / f"{stem}{suffix}" for suffix in self._suffixes]
        for path in paths:
            write_motion(motion, path)
        line = {"file": paths[0].name, "prompt": motion.text, **facts, "length": len(motion.joints)}
        if self._recipes:
            line[RECIPE] = self._recipes[self._count]
        with (self._folder / INDEX_NAME).open("ab") as file:
            file.write(_line(line).encode())
        self._count += 1
        return paths


def _line(said: Mapping[str, Any]) -> str:
    return f"{json.dumps(said, ensure_ascii=False)}\n"


def _ends_whole(path: Path) -> bool:
    """Whether the last line has its line break: a kill can cut it off."""
    content = path.read_bytes()
    return not content or content.endswith(b"\n")


def read_index(folder: Path) -> list[dict[str, Any]]:
    """Read what the index of a series says, a mapping a motion; [] where there is no index.

    A last line without a line break is one that a kill cut off, and is left out.

    Raises:
        DatasetError: a line is no mapping that names a file.
    """
    path = folder / INDEX_NAME
    if not path.is_file():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
        sound = all(isinstance(line["file"], str) for line in lines)
    except (ValueError, TypeError, KeyError):
        sound = False
    if not sound:
        remedy = "Remove it, or make the motions again into another folder."
        raise DatasetError(path, "is damaged: not every line names a file", remedy)
    return lines
