"""The motion as a film: GIF with Pillow alone, MP4 with PyAV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from PIL import Image, ImageDraw

from kinmo_annotate.render.figure import (
    FAINT,
    GROUP_COLOURS,
    INK,
    PANEL,
    WANTED,
    WHITE,
    Array,
    Camera,
    body_outline,
    draw_scene,
    mix,
    smooth_targets,
)
from kinmo_annotate.render.paper import check_suffix, font, length, wrap
from kinmo_annotate.schema.records import Keyframe, MotionError, check_joints
from kinmo_annotate.schema.shards import atomic_write
from kinmo_annotate.schema.skeleton import FPS

FILM_SUFFIXES: Final = (".gif", ".mp4")

_FILM_SIZE: Final = (520, 520)
_FILM_TEXT_PX: Final = 16


def film(
    joints: Array,
    path: Path,
    fps: float = FPS,
    caption: str = "",
    keyframes: Sequence[Keyframe] = (),
    wanted: Array | None = None,
) -> None:
    """Write the motion as a film, seen by a camera that follows the figure over the ground.

    Args:
        joints: positions (T, 22, 3), metres, y up.
        path: ends in .gif or .mp4 (H.264, needs the extra `film`); replaced whole or not at all.
        fps: frames per second of the motion and of the film.
        caption: printed below the figure.
        keyframes: marked on the time line.
        wanted: (T, 22, 3) where joints were to be, NaN where they were free.

    Raises:
        MotionError: unusable joints, unknown ending, PyAV not installed.
        DatasetError: the file cannot be written.
    """
    check_film(path)
    check_joints(joints, str(path))
    write_frames(figure_frames(joints, fps, caption, keyframes, wanted=wanted), path, fps)


def write_frames(frames: Iterator[Image.Image], path: Path, fps: float = FPS) -> None:
    """Write pictures of one, even size as a film; arguments and errors are those of `film`."""
    check_film(path)
    write = _write_gif if path.suffix.lower() == ".gif" else _mp4_writer()
    atomic_write(path, lambda file: write(frames, file, fps))


def check_film(path: Path) -> None:
    """Refuse a film that cannot be written, before there is one.

    Raises:
        MotionError: unknown ending, or .mp4 without PyAV.
    """
    check_suffix(path, FILM_SUFFIXES, "a film")
    if path.suffix.lower() == ".mp4":
        _mp4_writer()


def figure_frames(
    joints: Array,
    fps: float = FPS,
    caption: str = "",
    keyframes: Sequence[Keyframe] = (),
    size: tuple[int, int] = _FILM_SIZE,
    wanted: Array | None = None,
) -> Iterator[Image.Image]:
    """Draw every frame of a film: figure, caption, time line. All pictures have the same, even size."""
    joints = joints.astype(np.float64)
    targets = smooth_targets(joints, round(fps))
    camera = Camera(size).fitted(body_outline(joints), targets)
    lines = wrap(caption, size[0] - 48, _FILM_TEXT_PX) if caption else []
    foot = (44 + 23 * len(lines) + (10 if lines else 0)) // 2 * 2
    for frame in range(len(joints)):
        image = Image.new("RGB", (size[0], size[1] + foot), WHITE)
        scene = draw_scene(joints, frame, camera, targets[frame], supersample=2, wanted=wanted)
        image.paste(scene, (0, 0))
        pen = ImageDraw.Draw(image)
        _draw_time_line(pen, frame, len(joints), fps, [k.frame for k in keyframes], size)
        for i, line in enumerate(lines):
            pen.text((24, size[1] + 42 + 23 * i), line, INK, font=font(_FILM_TEXT_PX))
        yield image


def _draw_time_line(
    pen: ImageDraw.ImageDraw, frame: int, frames: int, fps: float, marks: Sequence[int], size: tuple[int, int]
) -> None:
    """Draw how far the film has come, with ticks at the keyframes and the time at the right."""
    clock = f"{frame / fps:.2f} / {(frames - 1) / fps:.2f} s"
    room = length("00.00 / 00.00 s", 14)
    left, right, y = 24, size[0] - 24 - room - 16, size[1] + 20
    at = [left + (right - left) * mark / (frames - 1) for mark in (frame, *marks)]
    pen.line((left, y, right, y), fill=mix(FAINT, WHITE, 0.65), width=4)
    pen.line((left, y, at[0], y), fill=GROUP_COLOURS["left_arm"], width=4)
    for x in at[1:]:
        pen.line((x, y - 8, x, y + 8), fill=FAINT, width=2)
    pen.ellipse((at[0] - 7, y - 7, at[0] + 7, y + 7), fill=GROUP_COLOURS["left_arm"])
    pen.text((size[0] - 24 - length(clock, 14), y - 9), clock, FAINT, font=font(14))


def _write_gif(frames: Iterator[Image.Image], file: BinaryIO, fps: float) -> None:
    """Write an endless GIF. Its times are whole hundredths of a second: the rounding is carried over."""
    palette = _palette()
    pictures = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    ends = np.round(np.arange(1, len(pictures) + 1) * 100 / fps).astype(int) * 10
    durations = np.diff(ends, prepend=0).clip(20).tolist()
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0)


def _palette() -> Image.Image:
    """The colours that a film can have: every group's and a path's, fading into the panel, and greys.

    One palette for all frames, or flat areas would flicker from one frame's palette to the next.
    """
    inks = (INK, WANTED, *GROUP_COLOURS.values())
    shades = [mix(ink, PANEL, step / 24) for ink in inks for step in range(24)]
    shades += [PANEL, WHITE, *(mix(INK, WHITE, step / 24) for step in range(1, 24))]
    picture = Image.new("P", (1, 1))
    picture.putpalette([channel for shade in shades for channel in shade])
    return picture


def _mp4_writer() -> Callable[[Iterator[Image.Image], BinaryIO, float], None]:
    """Find PyAV before anything is drawn."""
    try:
        import av
    except ImportError:
        raise MotionError(
            "film",
            "writing .mp4 needs PyAV, which is not installed",
            "Run: pip install 'kinmo[film]', or ask for .gif.",
        ) from None

    def write(frames: Iterator[Image.Image], file: BinaryIO, fps: float) -> None:
        with av.open(file, "w", format="mp4") as container:
            stream: Any = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": "20"}
            first = next(frames)
            stream.width, stream.height = first.size
            for picture in chain([first], frames):
                container.mux(stream.encode(av.VideoFrame.from_image(picture)))
            container.mux(stream.encode())

    return write
