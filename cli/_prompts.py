"""What a generator is asked for: a caption, finer texts, a length and a seed, given by hand or by a row.

A file of prompts is text (one a line; lines that begin with # are comments), JSON lines, or YAML: one mapping
or a list. A mapping has `caption`, sentences under the names of any of the 21 fields, `length_s` and `seed`;
each may be missing or empty. A field without a sentence is not determined.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from ._common import WRONG_USAGE, fail

_PROMPT_ENDINGS: Final = (".txt", ".jsonl", ".json", ".yaml", ".yml")
_CAPTION, _LENGTH, _SEED = "caption", "length_s", "seed"
_MOST_PROMPTS: Final = 10_000
_MOST_BYTES: Final = 16 << 20
_REMEDY: Final = 'It should read like {"caption": "a person waves", "left_arm": "The left arm waves."}.'


@dataclass(frozen=True)
class Prompt:
    """One motion that is asked for.

    Attributes:
        caption: the global text; "" where finer texts alone are given.
        fields: sentences by group or pair; those that are missing are not determined.
        seconds: its length as given, else as the caption says ("for 3 seconds"); None where neither does.
        seed: None where none is given.
    """

    caption: str
    fields: dict[str, str] = field(default_factory=dict)
    seconds: float | None = None
    seed: int | None = None


def read_prompts(given: str) -> list[Prompt]:
    """Read what was asked: a text, a file of prompts by its ending, or `-` for lines on stdin.

    Raises:
        typer.Exit: there is no prompt, or one that cannot be used.
    """
    path = Path(given)
    if given == "-":
        prompts = list(_from_lines(sys.stdin.read(_MOST_BYTES + 1), "stdin"))
    elif path.suffix.lower() in _PROMPT_ENDINGS and (path.is_file() or " " not in given):
        prompts = read_file(path)
    else:
        prompts = [_to_prompt(given, "the prompt")]
    if not prompts:
        fail(f"{'stdin' if given == '-' else given}: holds no prompt", "Give one text a line.", WRONG_USAGE)
    if len(prompts) > _MOST_PROMPTS:
        fail(f"{given}: holds more than {_MOST_PROMPTS:,} prompts", "Give fewer at once.", WRONG_USAGE)
    return prompts


def read_file(path: Path) -> list[Prompt]:
    """Read a file of prompts; JSON is read as the YAML that it is.

    Raises:
        typer.Exit: the file cannot be used.
        OSError: it cannot be opened.
    """
    if path.stat().st_size > _MOST_BYTES:
        fail(f"{path}: is larger than {_MOST_BYTES >> 20} MiB", _REMEDY)
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        fail(f"{path}: is not UTF-8 text", "Save it again as UTF-8.")
    if path.suffix.lower() in (".txt", ".jsonl"):
        return list(_from_lines(text, str(path)))
    content = _parsed(text, path)
    if not isinstance(content, list):
        return [_to_prompt(content, str(path))]
    return [_to_prompt(one, f"{path}, prompt {number}") for number, one in enumerate(content, 1)]


def read_fields(path: Path) -> dict[str, str]:
    """Read the sentences of a file that holds one prompt; what else it says is not looked at.

    Raises:
        typer.Exit: the file cannot be used, or holds no sentence of a field.
        OSError: it cannot be opened.
    """
    prompts = read_file(path)
    if len(prompts) != 1 or not prompts[0].fields:
        remedy = 'It should read like {"left_arm": "The left arm waves."}; any of the 21 fields.'
        fail(f"{path}: holds no fields" if len(prompts) < 2 else f"{path}: holds several prompts", remedy)
    return prompts[0].fields


def from_row(dataset: Path, motion_id: str) -> Prompt:
    """Ask for a motion in the words of a row: its first caption of the whole, its sentences, its length.

    Raises:
        DatasetError: the dataset cannot be read, or has no such motion.
    """
    from kinmo_annotate.dataset import find
    from kinmo_annotate.schema.records import NOT_DETERMINED

    record = find(dataset, motion_id).record
    captions = sorted(record["captions"] or (), key=lambda one: one["start_s"] != one["end_s"])
    said = {**(record["groups"] or {}), **(record["interactions"] or {})}
    fields = {name: text for name, text in said.items() if text and text != NOT_DETERMINED}
    seconds = record["num_frames"] / record["fps"]
    return Prompt(captions[0]["text"] if captions else "", fields, seconds)


def _from_lines(text: str, where: str) -> Iterator[Prompt]:
    """Read texts or JSON mappings, one a line."""
    if len(text) > _MOST_BYTES:
        fail(f"{where}: is larger than {_MOST_BYTES >> 20} MiB", "Give fewer prompts at once.")
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        place = f"{where}, line {number}"
        if line.startswith("{"):
            try:
                yield _to_prompt(json.loads(line), place)
            except json.JSONDecodeError as error:
                fail(f"{place}: is not JSON ({error.msg} at column {error.colno})", _REMEDY)
        elif line and not line.startswith("#"):
            yield _to_prompt(line, place)


def _parsed(text: str, path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        fail(f"{path}: is neither YAML nor JSON", _REMEDY)


def _to_prompt(content: Any, where: str) -> Prompt:
    """Check a text or a mapping and make it a prompt."""
    if isinstance(content, str):
        content = {_CAPTION: content}
    if not isinstance(content, Mapping):
        fail(f"{where}: holds no fields and no caption", _REMEDY)
    from kinmo_annotate.schema.skeleton import FIELDS

    for name in content:
        if name not in (*FIELDS, _CAPTION, _LENGTH, _SEED):
            refuse_field(str(name), where, FIELDS)
    texts = {name: _sentence(content.get(name), name, where) for name in (_CAPTION, *FIELDS)}
    caption = texts.pop(_CAPTION)
    fields = {name: text for name, text in texts.items() if text}
    if not fields and not re.search(r"\w", caption):
        fail(f"{where}: is empty", "Say what the person does, such as: a person waves.", WRONG_USAGE)
    seconds = _length(content.get(_LENGTH), where)
    return Prompt(
        caption, fields, seconds_in(caption) if seconds is None else seconds, _seed(content.get(_SEED), where)
    )


def refuse_field(name: str, where: str, fields: tuple[str, ...]) -> NoReturn:
    """Say that there is no such field, and which name is nearest.

    Raises:
        typer.Exit: always.
    """
    import difflib

    near = difflib.get_close_matches(name, (*fields, _CAPTION, _LENGTH, _SEED), n=1)
    known = f"The fields are {', '.join(fields)}; beside them {_CAPTION}, {_LENGTH} and {_SEED}."
    fail(f"{where}: there is no field {name[:60]!r}", f"Did you mean {near[0]}?" if near else known)


def _sentence(value: Any, name: str, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        fail(f"{where}: {name} is no sentence", f"Put it in quotes, or leave it empty. {_REMEDY}")
    return " ".join(value.split())


def _length(value: Any, where: str) -> float | None:
    if value in (None, ""):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        fail(f"{where}: {_LENGTH} is no number of seconds above zero", "Give it like 4.5, or leave it empty.")
    return float(value)


def _seed(value: Any, where: str) -> int | None:
    if value in (None, ""):
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 32:
        fail(f"{where}: {_SEED} is no whole number from 0 to 2^32 - 1", "Give it like 7, or leave it empty.")
    return value


# how long a caption says ------------------------------------------------------------------------------------

_COUNTS: Final = {
    "half a": 0.5, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "a": 1,
}  # fmt: skip
_DIGITS: Final = r"\d{1,3}(?:[.,]\d+)?"
_DURATION: Final = re.compile(
    r"(?:\b(?P<before>(?!half\b)[a-z]+)\s+)?"
    rf"(?<![\w.,])(?P<count>{_DIGITS}(?:\s*(?:-|–|to)\s*{_DIGITS})?|{'|'.join(_COUNTS)})[\s-]*"
    r"(?P<unit>seconds?|secs?|s|minutes?|mins?)\b(?!\s+(?:later|ago|before|after)\b)"
)
# "after 2 seconds" tells when something begins, not how long it goes on; "the 80s" tells no length at all.
_NO_LENGTH: Final = {"after", "at", "before", "by", "each", "every", "per", "the", "until", "within"}


def seconds_in(text: str) -> float | None:
    """Read how long a motion a text asks for: "walks for 3 seconds" 3, "runs 2 s, then rests for 1.5 s" 3.5.

    Lengths one after the other are added; of a range it is the middle. "takes a second step" and "after 2
    seconds" tell no length.
    """
    total = 0.0
    for found in _DURATION.finditer(text.lower()):
        before, count, unit = found["before"], found["count"], found["unit"]
        if before in _NO_LENGTH or (count == "a" and before != "for"):
            continue
        total += _count(count) * (60 if unit.startswith("m") else 1)
    return total or None


def _count(text: str) -> float:
    if text in _COUNTS:
        return float(_COUNTS[text])
    numbers = [float(number.replace(",", ".")) for number in re.findall(_DIGITS, text)]
    return sum(numbers) / len(numbers)
