"""The contact sheet: the keyframes of a motion as pictures, its 6 + 15 sentences below them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from PIL import Image, ImageDraw

from kinmo_annotate.render.figure import (
    FAINT,
    GROUP_COLOURS,
    INK,
    PANEL,
    WHITE,
    Array,
    Camera,
    body_outline,
    draw_scene,
    ground_targets,
    legend_entries,
    mix,
)
from kinmo_annotate.render.paper import (
    check_suffix,
    font,
    largest,
    length,
    rounded_mask,
    shortened,
    stack,
    wrap,
)
from kinmo_annotate.schema.records import NO_MOVEMENT, Keyframe, MotionError, check_joints
from kinmo_annotate.schema.shards import atomic_write
from kinmo_annotate.schema.skeleton import FPS, GROUP_NAMES, PAIR_NAMES

SHEET_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp")
MAX_KEYFRAMES: Final = 40
_FEW: Final = 8  # panels that a sheet has at least, if the motion is long enough
_SHORTEST_GAP: Final = 3  # frames

_WIDTH: Final = 1600
MARGIN: Final = 48
INNER: Final = _WIDTH - 2 * MARGIN
_GAP: Final = 10
_SCENE_HEIGHT: Final = 300
_TIME_HEIGHT: Final = 34
_TEXT_PX: Final = 17
_LINE_PX: Final = 24
_COLUMN_GAP: Final = 40


def contact_sheet(
    joints: Array,
    keyframes: Sequence[Keyframe],
    descriptions: Mapping[str, str],
    path: Path,
    fps: float = FPS,
    title: str = "",
    wanted: Array | None = None,
) -> None:
    """Draw the keyframes of a motion in order, with the sentences below them, and write the picture.

    Args:
        joints: positions (T, 22, 3), metres, y up.
        keyframes: up to 40 of them; of more, 40 spread evenly are drawn and the sheet says so. Where they are
            few, frames between them, on white, show what happens there; without any, frames spread evenly do.
        descriptions: sentence of each group and pair; fields that are absent are left out.
        path: a .png, .jpg or .webp file; replaced whole or not at all.
        fps: frames per second, for the times.
        title: printed on top.
        wanted: (T, 22, 3) where joints were to be, NaN where they were free.

    Raises:
        MotionError: unusable joints, a keyframe beyond the end, unknown ending.
        DatasetError: the file cannot be written.
    """
    check_suffix(path, SHEET_SUFFIXES, "a picture")
    check_joints(joints, title or str(path))
    shown = _drawable(keyframes, len(joints), title)
    panels = _filled([keyframe.frame for keyframe in shown]) if shown else _spread(len(joints))
    strip = draw_strip(joints.astype(np.float64), panels, fps, wanted=wanted)
    sentences = [_sentences(descriptions)] if descriptions else []
    note = _note(len(keyframes), len(panels))
    sheet = stack([_head(title, len(joints), fps, note), strip, *sentences], spacing=26, margin=MARGIN)
    atomic_write(path, lambda file: save_picture(sheet, file, path.suffix.lower()))


def _drawable(keyframes: Sequence[Keyframe], frames: int, title: str) -> list[Keyframe]:
    where = title or "contact sheet"
    beyond = [k.frame for k in keyframes if not 0 <= k.frame < frames]
    if beyond:
        raise MotionError(
            where,
            f"keyframe {beyond[0]} lies outside its {frames} frames",
            "These keyframes belong to another version of the motion: annotate it again.",
        )
    shown = np.linspace(0, len(keyframes) - 1, min(len(keyframes), MAX_KEYFRAMES)).round().astype(int)
    return [keyframes[i] for i in shown]


def _filled(keyframes: Sequence[int]) -> dict[int, bool]:
    """Panels in order of time: frame -> whether it is a keyframe. Few keyframes get frames between them.

    The frames between go where the time between two panels is longest, and stand evenly in each gap.
    """
    frames = sorted(set(keyframes))
    gaps = np.diff(frames)
    inside = np.zeros(len(gaps), dtype=int)
    while len(gaps) and len(frames) + inside.sum() < _FEW:
        widest = int((gaps / (inside + 1)).argmax())
        if gaps[widest] / (inside[widest] + 2) < _SHORTEST_GAP:
            break
        inside[widest] += 1
    panels = dict.fromkeys(frames, True)
    for start, gap, count in zip(frames, gaps, inside, strict=False):
        panels |= {round(start + step * gap / (count + 1)): False for step in range(1, count + 1)}
    return dict(sorted(panels.items()))


def _spread(frames: int) -> dict[int, bool]:
    """Panels of a motion without keyframes: frames spread evenly over it."""
    count = min(_FEW, (frames - 1) // _SHORTEST_GAP + 1)
    return {int(frame): False for frame in np.linspace(0, frames - 1, count).round()}


def _note(keyframes: int, panels: int) -> str:
    """Say what the panels are."""
    if not keyframes:
        return f"{panels} of them shown"
    count = f"{keyframes} keyframe" + "s" * (keyframes != 1)
    if keyframes > MAX_KEYFRAMES:
        count += f" ({MAX_KEYFRAMES} drawn)"
    return count + " (shaded), frames between them (white)" * (panels > keyframes)


def _head(title: str, frames: int, fps: float, note: str) -> Image.Image:
    """Title; below it the motion's length at the left and the legend at the right."""
    image = Image.new("RGB", (INNER, 100), WHITE)
    pen = ImageDraw.Draw(image)
    size = largest(title, (30, 26, 22), INNER)
    pen.text((0, 0), shortened(title, size, INNER), INK, font=font(size))
    pen.text((0, 48), f"{frames / fps:.1f} s   {frames} frames at {fps:g} fps   {note}", FAINT, font=font(18))
    draw_legend(pen, right=INNER, top=46)
    return image


def draw_legend(pen: ImageDraw.ImageDraw, right: int, top: int, size: int = 17) -> None:
    """One chip and name for each group, set against the right edge; below it the dots of the two sides."""
    entries = legend_entries()
    widths = [30 + length(name, size) + 22 for name, _ in entries]
    x = right - sum(widths) + 22
    for (name, colour), width in zip(entries, widths, strict=True):
        pen.rounded_rectangle((x, top + 3, x + 22, top + 17), radius=7, fill=colour)
        pen.text((x + 30, top), name, INK, font=font(size))
        x += width
    note = "blue with dark dots: its left        orange with white dots: its right"
    pen.text((right - length(note, 15), top + 32), note, FAINT, font=font(15))


def draw_strip(
    joints: Array,
    panels: Mapping[int, bool],
    fps: float,
    columns: int | None = None,
    wanted: Array | None = None,
) -> Image.Image:
    """Draw panels in rows, all at one scale, with the time below each.

    Args:
        joints: (T, 22, 3) metres.
        panels: frame -> whether its panel is shaded, as that of a keyframe is.
        fps: frames per second.
        columns: panels of a row; None is as many as the figures' breadth allows.
        wanted: see `contact_sheet`.
    """
    frames = list(panels)
    targets = ground_targets(joints)
    columns = columns or _columns(joints[frames], targets[frames])
    # Few panels in a row would be broad with lonely figures; such a row ends early instead.
    size = (min((INNER - _GAP * (columns - 1)) // columns, 420), _SCENE_HEIGHT)
    camera = Camera(size).fitted(body_outline(joints[frames]), targets[frames])
    rows = -(-len(frames) // columns)
    cell_height = _SCENE_HEIGHT + _TIME_HEIGHT + _GAP
    image = Image.new("RGB", (INNER, rows * cell_height - _GAP), WHITE)
    pen = ImageDraw.Draw(image)
    for i, frame in enumerate(frames):
        x, y = (i % columns) * (size[0] + _GAP), (i // columns) * cell_height
        paper = PANEL if panels[frame] else WHITE
        scene = draw_scene(joints, frame, camera, targets[frame], paper, wanted=wanted)
        image.paste(scene, (x, y), rounded_mask(size, 10))
        _draw_time(pen, frame, panels[frame], fps, (x, y + _SCENE_HEIGHT + 8), size[0])
    return image


def _columns(bodies: Array, targets: Array) -> int:
    """How many panels stand in a row: as many as the figures' breadth allows, and rows of equal length."""
    pixels, _ = Camera((1, 1)).project(body_outline(bodies), targets[:, None])
    breadth, height = np.ptp(pixels.reshape(-1, 2), axis=0)
    wanted = np.clip(_SCENE_HEIGHT * breadth / height * 1.05, 140, 360)
    most = max(2, int((INNER + _GAP) // (wanted + _GAP)))
    rows = -(-len(bodies) // most)
    return -(-len(bodies) // rows)


def _draw_time(
    pen: ImageDraw.ImageDraw, frame: int, is_key: bool, fps: float, corner: tuple[int, int], width: int
) -> None:
    """Print the time at the left and, where there is room, the frame number at the right of a panel."""
    x, y = corner
    time, number = f"{frame / fps:.2f} s", f"frame {frame}"
    pen.text((x + 4, y), time, INK if is_key else FAINT, font=font(17))
    if length(time, 17) + length(number, 14) + 24 < width:
        pen.text((x + width - 4 - length(number, 14), y + 3), number, FAINT, font=font(14))


def _sentences(descriptions: Mapping[str, str]) -> Image.Image:
    """Set the sentences in three columns: the groups first, then the pairs in two columns of like height."""
    width = (INNER - 2 * _COLUMN_GAP) // 3
    groups = [_entry(name, descriptions[name], width) for name in GROUP_NAMES if name in descriptions]
    pairs = [_entry(name, descriptions[name], width) for name in PAIR_NAMES if name in descriptions]
    heights = np.cumsum([entry.height for entry in pairs]) if pairs else np.zeros(1)
    half = int(np.abs(heights - heights[-1] / 2).argmin()) + 1
    columns = [
        stack([_heading("Joint groups", width), *groups]),
        stack([_heading("Interactions", width), *pairs[:half]]),
        stack([_heading("", width), *pairs[half:]]),
    ]
    image = Image.new("RGB", (INNER, max(column.height for column in columns)), WHITE)
    for i, column in enumerate(columns):
        image.paste(column, (i * (width + _COLUMN_GAP), 0))
    return image


def _heading(text: str, width: int) -> Image.Image:
    image = Image.new("RGB", (width, 44), WHITE)
    pen = ImageDraw.Draw(image)
    pen.text((0, 4), text, INK, font=font(22))
    pen.line((0, 36, width, 36), fill=mix(FAINT, WHITE, 0.6), width=1)
    return image


def _entry(field: str, sentence: str, width: int) -> Image.Image:
    """One sentence under the name of its group or pair, with their colours at the left."""
    lines = wrap(sentence, width - 24, _TEXT_PX)
    image = Image.new("RGB", (width, 22 + _LINE_PX * len(lines) + 14), WHITE)
    pen = ImageDraw.Draw(image)
    colours = [GROUP_COLOURS[name] for name in field.split("__")]
    # The bar is as tall as the text and shows both colours of a pair, one above the other.
    top, bottom = 5, 22 + _LINE_PX * len(lines) - 4
    step = (bottom - top) / len(colours)
    for i, colour in enumerate(colours):
        pen.rectangle((0, top + i * step, 5, top + (i + 1) * step - 1), fill=colour)
    pen.text((24, 2), field.replace("__", " and ").replace("_", " "), FAINT, font=font(14))
    still = sentence.strip() == NO_MOVEMENT
    for i, line in enumerate(lines):
        pen.text((24, 21 + i * _LINE_PX), line, mix(FAINT, WHITE, 0.2) if still else INK, font=font(_TEXT_PX))
    return image


def save_picture(image: Image.Image, file: BinaryIO, suffix: str) -> None:
    """Save with few bytes: flat drawings lose nothing visible in 256 colours."""
    if suffix == ".png":
        flat = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        flat.save(file, "PNG", optimize=True)
    else:
        image.save(file, "WEBP" if suffix == ".webp" else "JPEG", quality=92)
