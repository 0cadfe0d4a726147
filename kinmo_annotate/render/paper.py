"""Text and layout: what sheets and films are put on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from kinmo_annotate.render.figure import WHITE
from kinmo_annotate.schema.records import MotionError


@cache
def font(size: int) -> Any:
    """Pillow's own scalable font, so that pictures look alike on every machine."""
    return ImageFont.load_default(size)


def length(text: str, size: int) -> float:
    """Width of a text in pixels."""
    return float(font(size).getlength(text))


def wrap(text: str, width: float, size: int) -> list[str]:
    """Break a text into lines no wider than `width` pixels; a word wider than that is cut.

    A number stays with its unit: "2.5 s" counts as one word.
    """
    lines = [""]
    for word in re.findall(r"\d\S* (?:s|m|cm|degrees)\b\S*|\S+", " ".join(text.split())):
        pieces = _cut(word, width, size)
        for i, piece in enumerate(pieces):
            longer = f"{lines[-1]} {piece}".strip()
            if i == 0 and length(longer, size) <= width:
                lines[-1] = longer
            else:
                lines.append(piece)
    return [line for line in lines if line] or [""]


def _cut(word: str, width: float, size: int) -> list[str]:
    pieces = [""]
    for letter in word:
        if pieces[-1] and length(pieces[-1] + letter, size) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def largest(text: str, sizes: Sequence[int], width: float) -> int:
    """Choose the first of some sizes, given from large to small, in which a text fits; else the last."""
    return next((size for size in sizes if length(text, size) <= width), sizes[-1])


def shortened(text: str, size: int, width: float) -> str:
    """Cut a text that is wider than `width` pixels, and say so with dots."""
    if length(text, size) <= width:
        return text
    while text and length(text + "...", size) > width:
        text = text[:-1]
    return text + "..."


def stack(images: Sequence[Image.Image], spacing: int = 0, margin: int = 0) -> Image.Image:
    """Put pictures of one width below each other."""
    width = images[0].width + 2 * margin
    height = sum(image.height for image in images) + spacing * (len(images) - 1) + 2 * margin
    column = Image.new("RGB", (width, height), WHITE)
    y = margin
    for image in images:
        column.paste(image, (margin, y))
        y += image.height + spacing
    return column


def rounded_mask(size: tuple[int, int], radius: int) -> Image.Image:
    """A mask with smooth round corners."""
    mask = Image.new("L", (size[0] * 3, size[1] * 3), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] * 3 - 1, size[1] * 3 - 1), radius * 3, fill=255)
    return mask.resize(size, Image.Resampling.LANCZOS)


def check_suffix(path: Path, known: Sequence[str], what: str) -> None:
    """Refuse a file name whose ending tells no known format.

    Raises:
        MotionError: with the endings that are known.
    """
    if path.suffix.lower() not in known:
        ending = f"ends in {path.suffix}" if path.suffix else "has no ending"
        raise MotionError(
            str(path), f"{ending}, which {what} cannot have here", f"End it in {' or '.join(known)}."
        )
