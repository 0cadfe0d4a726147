"""Motions side by side, such as one before and after an edit: a contact sheet with a row each, or a film."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from kinmo_annotate.render.figure import INK, WHITE, Array
from kinmo_annotate.render.film import FILM_SUFFIXES, figure_frames, write_frames
from kinmo_annotate.render.paper import check_suffix, font, stack, wrap
from kinmo_annotate.render.sheet import INNER, MARGIN, SHEET_SUFFIXES, draw_legend, draw_strip, save_picture
from kinmo_annotate.schema.records import MotionError, check_joints
from kinmo_annotate.schema.shards import atomic_write
from kinmo_annotate.schema.skeleton import FPS

MOST_COMPARED = 6
_PANELS = 8
_TEXT_PX = 20
_LEGEND_HEIGHT = 60
_FILM_SIZE = (420, 420)
_NEAR = 3  # frames by which a motion may be shorter and still have its last one in the last panel


@dataclass(frozen=True)
class Compared:
    """One of the motions.

    Attributes:
        joints: (T, 22, 3) metres, y up.
        text: what it is; printed with it.
        marked: (T,) frames whose panels are shaded on a sheet; None is none.
        wanted: (T, 22, 3) where joints were to be, NaN where they were free; dots show it.
    """

    joints: Array
    text: str
    marked: NDArray[np.bool_] | None = None
    wanted: Array | None = None


def comparison(motions: Sequence[Compared], path: Path, fps: float = FPS) -> None:
    """Show motions side by side, at the same times.

    Args:
        motions: 1 to 6 of them.
        path: a picture (.png, .jpg, .webp) or a film (.gif, .mp4); replaced whole or not at all.
        fps: frames per second.

    Raises:
        MotionError: no motion or too many, unusable joints, an unknown ending, or .mp4 without PyAV.
        DatasetError: the file cannot be written.
    """
    check_suffix(path, (*SHEET_SUFFIXES, *FILM_SUFFIXES), "a comparison")
    if not 1 <= len(motions) <= MOST_COMPARED:
        reason = f"cannot show {len(motions)} motions side by side"
        raise MotionError(str(path), reason, f"Give 1 to {MOST_COMPARED}.")
    for motion in motions:
        check_joints(motion.joints, motion.text or str(path))
    if path.suffix.lower() in FILM_SUFFIXES:
        write_frames(_film_frames(motions, fps), path, fps)
        return
    longest = max(len(motion.joints) for motion in motions)
    frames = np.linspace(0, longest - 1, min(_PANELS, longest)).round().astype(int).tolist()
    rows = [one for motion in motions for one in _row(motion, frames, fps)]
    sheet = stack([_legend(), *rows], spacing=14, margin=MARGIN)
    atomic_write(path, lambda file: save_picture(sheet, file, path.suffix.lower()))


def _legend() -> Image.Image:
    image = Image.new("RGB", (INNER, _LEGEND_HEIGHT), WHITE)
    draw_legend(ImageDraw.Draw(image), right=INNER, top=0)
    return image


def _row(motion: Compared, frames: Sequence[int], fps: float) -> list[Image.Image]:
    """Draw a motion's text, and its panels at the frames that it has."""
    last = len(motion.joints) - 1
    marked = np.zeros(last + 1, bool) if motion.marked is None else motion.marked
    panels = {min(frame, last): bool(marked[min(frame, last)]) for frame in frames if frame <= last + _NEAR}
    lines = wrap(motion.text, INNER, _TEXT_PX)
    head = Image.new("RGB", (INNER, 28 * len(lines)), WHITE)
    pen = ImageDraw.Draw(head)
    for number, line in enumerate(lines):
        pen.text((0, 28 * number), line, INK, font=font(_TEXT_PX))
    joints = motion.joints.astype(np.float64)
    return [head, draw_strip(joints, panels, fps, columns=len(frames), wanted=motion.wanted)]


def _film_frames(motions: Sequence[Compared], fps: float) -> Iterator[Image.Image]:
    """Put the films of motions beside each other; one that ends stays at its last frame."""
    longest = max(len(motion.joints) for motion in motions)
    films = [figure_frames(one.joints, fps, one.text, size=_FILM_SIZE, wanted=one.wanted) for one in motions]
    shown = [next(film) for film in films]
    for _ in range(longest):
        page = Image.new("RGB", (_FILM_SIZE[0] * len(shown), max(one.height for one in shown)), WHITE)
        for number, image in enumerate(shown):
            page.paste(image, (number * _FILM_SIZE[0], 0))
        yield page
        shown = [next(film, last) for film, last in zip(films, shown, strict=True)]
