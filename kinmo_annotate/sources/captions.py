"""HumanML3D caption files: `caption#tokens#start#end`, one a line; and their words seen in a mirror."""

from __future__ import annotations

import math
import re
from pathlib import Path

from kinmo_annotate.schema.records import Caption, MotionError
from kinmo_annotate.sources.files import read_text

_HOW = "Write each line as `caption#tokens#start#end`, times in seconds, 0.0#0.0 for the whole motion."

# Longer words first. HumanML3D names left/right and clockwise/counterclockwise; the other spellings are our
# choice.
_SWAPS = (
    ("counterclockwise", "clockwise"),
    ("anticlockwise", "clockwise"),
    ("counter-clockwise", "clockwise"),
    ("anti-clockwise", "clockwise"),
    ("clockwise", "counterclockwise"),
    ("left", "right"),
    ("right", "left"),
)
_SWAP = dict(_SWAPS)
# "right" is a side also inside right-handed, rightmost, rightwards, righthand; it is none in "upright",
# "bright", "all right" with something glued on before it, nor in "righteous". "left" is always a side here:
# as the past of "leave" it is swapped by HumanML3D too.
_WORD = re.compile(
    r"(?<![a-z])(counter-?clockwise|anti-?clockwise|clockwise"
    r"|(?:left|right)(?=(?:s|ward|wards|most|hand|handed|hander|foot|footed|side|y|ies)?(?![a-z])))",
    re.IGNORECASE,
)


def read_captions(path: Path) -> tuple[Caption, ...]:
    """Read the captions of one motion; empty lines are skipped, a time of NaN is 0.

    Raises:
        MotionError: not UTF-8, or a line that is not a caption; the message names file and line.
    """
    captions = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        try:
            captions += [_parse_line(line)] if line.strip() else []
        except ValueError as error:
            raise MotionError(str(path), f"{error} (line {number})", _HOW) from None
    return tuple(captions)


def _parse_line(line: str) -> Caption:
    parts = line.rsplit("#", 3)
    if len(parts) != 4:
        raise ValueError(f"has {len(parts) - 1} of the 3 `#` signs of a caption line")
    text, start, end = parts[0].strip(), _seconds(parts[2]), _seconds(parts[3])
    if not text:
        raise ValueError("has an empty caption")
    if end < start:
        raise ValueError(f"has a segment that ends at {end:g} s, before it starts at {start:g} s")
    return Caption(text, start, end)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if math.isnan(value):
        return 0.0
    if math.isinf(value) or value < 0:
        raise ValueError(f"has {text.strip()!r} where a time in seconds was expected")
    return value


def mirror_text(text: str) -> str:
    """Swap the words for sides and senses of turning; capitals are kept.

    Which words count, beyond HumanML3D's left/right and clockwise/counterclockwise, is our choice:
    compounds such as "left-handed" and "rightwards" are swapped, "upright" and "bright" are not.
    """
    return _WORD.sub(_swap, text)


def _swap(match: re.Match[str]) -> str:
    word = match.group(0)
    other = _SWAP[word.lower()]
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other


def mirror_captions(captions: tuple[Caption, ...]) -> tuple[Caption, ...]:
    """Mirror the words of captions; their segments stay."""
    return tuple(Caption(mirror_text(c.text), c.start_s, c.end_s) for c in captions)


def format_captions(captions: tuple[Caption, ...]) -> str:
    """Write captions as the lines of a HumanML3D text file.

    Tokens are the bare lower-case words tagged OTHER: HumanML3D's part-of-speech tags come from spaCy,
    which is not needed to read motions. Readers that use word and tag (GloVe loaders) accept the tag and
    find the words.
    """
    return "".join(f"{_one_line(c.text)}#{_tokens(c.text)}#{c.start_s:.6g}#{c.end_s:.6g}\n" for c in captions)


def _one_line(text: str) -> str:
    return " ".join(text.replace("#", " ").split())


def _tokens(text: str) -> str:
    words = re.findall(r"[a-z]+", text.lower().replace("-", ""))
    return " ".join(f"{word}/OTHER" for word in words)
