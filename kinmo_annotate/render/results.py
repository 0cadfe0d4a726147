"""The sheet of a search: what was found, best first, each motion as a few poses over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from kinmo_annotate.render.figure import (
    FAINT,
    INK,
    PANEL,
    WHITE,
    Array,
    Camera,
    body_outline,
    draw_scene,
    ground_targets,
)
from kinmo_annotate.render.paper import check_suffix, font, length, rounded_mask, shortened, stack, wrap
from kinmo_annotate.render.sheet import SHEET_SUFFIXES, draw_legend, save_picture
from kinmo_annotate.schema.records import MotionError, check_joints
from kinmo_annotate.schema.shards import atomic_write
from kinmo_annotate.schema.skeleton import FPS

MAX_RESULTS: Final = 50
_POSES: Final = 5

_INNER: Final = 1504
_MARGIN: Final = 48
_COLUMN_GAP: Final = 44
_ROW_GAP: Final = 30
_CELL: Final = (_INNER - _COLUMN_GAP) // 2
_PANEL_GAP: Final = 6
_PANEL_SIZE: Final = ((_CELL - _PANEL_GAP * (_POSES - 1)) // _POSES, 190)
_TIME_HEIGHT: Final = 24
_CAPTION_LINES: Final = 2
_TITLE_LINES: Final = 3
_TIME_M: Final = 0.1  # metres that the whole time of a motion counts as, where poses are compared


@dataclass(frozen=True, slots=True)
class Result:
    """A motion that was found.

    Attributes:
        motion_id: its id.
        joints: (T, 22, 3) metres, y up.
        facts: a few words on it, such as its similarity and length.
        caption: what is said of it; may be empty.
    """

    motion_id: str
    joints: Array
    facts: str
    caption: str


def results_sheet(
    results: Sequence[Result], path: Path, title: str, subtitle: str = "", fps: float = FPS
) -> None:
    """Draw what a search found, two motions in a row, and write the picture.

    The poses of a motion are those that differ most, so that a short action in a long motion is seen. Each
    motion is drawn as large as its own panels allow.

    Args:
        results: 1 to 50 of them, best first.
        path: a .png, .jpg or .webp file; replaced whole or not at all.
        title: what was searched for.
        subtitle: where, in a few words.
        fps: frames per second, for the times.

    Raises:
        MotionError: no result or too many, unusable joints, unknown ending.
        DatasetError: the file cannot be written.
    """
    check_suffix(path, SHEET_SUFFIXES, "a picture")
    if not 1 <= len(results) <= MAX_RESULTS:
        reason, remedy = f"cannot show {len(results)} results", f"Ask for 1 to {MAX_RESULTS}."
        raise MotionError(str(path), reason, remedy)
    for result in results:
        check_joints(result.joints, result.motion_id)
    numbered = list(enumerate(results, 1))
    rows = [_row(numbered[start : start + 2], fps) for start in range(0, len(numbered), 2)]
    sheet = stack([_head(title, subtitle), *rows], spacing=_ROW_GAP, margin=_MARGIN)
    atomic_write(path, lambda file: save_picture(sheet, file, path.suffix.lower()))


def _head(title: str, subtitle: str) -> Image.Image:
    """What was searched for; below it where, and the legend at the right."""
    lines = _lines(title, _INNER, 28, _TITLE_LINES)
    image = Image.new("RGB", (_INNER, 38 * len(lines) + 70), WHITE)
    pen = ImageDraw.Draw(image)
    for i, line in enumerate(lines):
        pen.text((0, i * 38), line, INK, font=font(28))
    below = 38 * len(lines) + 12
    pen.text((0, below), shortened(subtitle, 18, _CELL - 60), FAINT, font=font(18))
    draw_legend(pen, right=_INNER, top=below)
    return image


def _row(numbered: Sequence[tuple[int, Result]], fps: float) -> Image.Image:
    """Two motions side by side; their poses stand at one height, below the longer caption."""
    captions = [_lines(result.caption, _CELL, 17, _CAPTION_LINES) for _, result in numbered]
    below = 42 + 24 * max(map(len, captions))
    image = Image.new("RGB", (_INNER, below + _PANEL_SIZE[1] + _TIME_HEIGHT), WHITE)
    pen = ImageDraw.Draw(image)
    for column, ((rank, result), lines) in enumerate(zip(numbered, captions, strict=True)):
        left, right = column * (_CELL + _COLUMN_GAP), column * (_CELL + _COLUMN_GAP) + _CELL
        facts = length(result.facts, 17)
        name = shortened(f"{rank}   {result.motion_id}", 22, _CELL - facts - 24)
        pen.text((left, 0), name, INK, font=font(22))
        pen.text((right - facts, 4), result.facts, FAINT, font=font(17))
        for i, line in enumerate(lines):
            pen.text((left, 32 + i * 24), line, INK, font=font(17))
        image.paste(_strip(result.joints.astype(np.float64), fps), (left, below))
    return image


def _lines(text: str, width: int, size: int, most: int) -> list[str]:
    """Break a text into lines; what goes beyond `most` of them is cut, and dots say so."""
    lines = wrap(text, width, size)
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], shortened(" ".join(lines[most - 1 :]), size, width)]


def _strip(joints: Array, fps: float) -> Image.Image:
    """Draw poses in a row, all at one scale, with the time below each."""
    frames = telling_frames(joints, _POSES)
    targets = ground_targets(joints)
    camera = Camera(_PANEL_SIZE).fitted(body_outline(joints[frames]), targets[frames])
    image = Image.new("RGB", (_CELL, _PANEL_SIZE[1] + _TIME_HEIGHT), WHITE)
    pen = ImageDraw.Draw(image)
    for i, frame in enumerate(frames.tolist()):
        x = i * (_PANEL_SIZE[0] + _PANEL_GAP)
        image.paste(
            draw_scene(joints, frame, camera, targets[frame], PANEL), (x, 0), rounded_mask(_PANEL_SIZE, 8)
        )
        pen.text((x + 4, _PANEL_SIZE[1] + 4), f"{frame / fps:.1f} s", FAINT, font=font(14))
    return image


def telling_frames(joints: Array, count: int) -> NDArray[np.intp]:
    """Choose up to `count` frames of a motion (T, 22, 3), in order of time: the first, and what differs most.

    Farthest-point sampling: each frame is the one that is farthest from the nearest of those chosen before.
    The distance is that of the joints about the point below the pelvis, and a little of it is time, so that
    equal poses are spread.
    """
    poses = (joints - ground_targets(joints)[:, None]).reshape(len(joints), -1) / np.sqrt(joints.shape[1])
    places = np.column_stack([poses, np.linspace(0.0, _TIME_M, len(joints))])
    chosen, distance = [0], np.linalg.norm(places - places[0], axis=1)
    for _ in range(min(count, len(joints)) - 1):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return np.sort(np.array(chosen))
