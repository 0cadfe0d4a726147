"""The prompt: what a language model is told, read from a text file of four sections.

The file's head, above the first `## ` heading, documents it and is not sent. The default is
`prompts/describe.md`, installed as `kinmo_prompts`; users pass a changed copy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from kinmo_annotate.schema.records import MotionError

DEFAULT: Final = "describe.md"
MOST_BYTES: Final = 64 * 1024  # twenty times the default; a larger file is not a prompt

# Section -> placeholders that it may have -> whether it must have them.
Form = Mapping[str, Mapping[str, bool]]
_FORM: Final[Form] = {
    "System": {},
    "Motion": {"length": True, "differences": True, "fps": False, "captions": False, "keyframes": False},
    "Retry": {"reason": True},
    "Repair": {"contradictions": True},
}
_HEADING: Final = re.compile(r"^## +(.+?) *#* *$", re.MULTILINE)
_PLACEHOLDER: Final = re.compile(r"\{\{([^{}\n]*)\}\}")
COPY: Final = "kinmo annotate prompt > my_prompt.md"


class _Unfit(Exception):
    """A file that is no prompt; the text says why."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The texts of one prompt.

    Attributes:
        name: of its file, without the ending.
        system: the static part, sent first.
        motion: the part with one motion's placeholders.
        retry: sent after an answer that could not be used.
        repair: sent when sentences contradict the motion.
        fingerprint: name and 12 hex digits of the SHA-256 of the four texts.
    """

    name: str
    system: str
    motion: str
    retry: str
    repair: str
    fingerprint: str

    def motion_message(self, fields: Mapping[str, str]) -> str:
        """Fill in one motion, as `payload.motion_fields` gives it."""
        return fill(self.motion, fields)

    def retry_message(self, reason: str) -> str:
        """Say why the last answer could not be used; `reason` without a full stop."""
        return fill(self.retry, {"reason": reason})

    def repair_message(self, contradictions: str) -> str:
        """List the sentences that contradict the motion, one a line."""
        return fill(self.repair, {"contradictions": contradictions})


def prompt_text(path: Path | None = None) -> str:
    """Give a prompt's file as it stands, once it is known to be a good one.

    Raises:
        MotionError: as `load_prompt`.
    """
    load_prompt(path)
    return (files("kinmo_prompts") / DEFAULT if path is None else path).read_text(encoding="utf-8-sig")


def load_prompt(path: Path | None = None) -> Prompt:
    """Read a prompt.

    Args:
        path: a changed copy of the default; None is the default itself.

    Raises:
        MotionError: the file cannot be read, is empty, too large or not UTF-8, lacks a section, or has
            placeholders that are unknown or missing. The message names the file and how to get the default.
    """
    source = files("kinmo_prompts") / DEFAULT if path is None else path
    sections = read_sections(source, _FORM)
    name, fingerprint = names_of(source, sections)
    system, motion, retry, repair = sections.values()
    return Prompt(name, system, motion, retry, repair, fingerprint)


def names_of(source: Path | Traversable, sections: Mapping[str, str]) -> tuple[str, str]:
    """Give a prompt's name, and its fingerprint: the name and 12 hex digits of what its sections say."""
    digest = sha256("\0".join(sections.values()).encode()).hexdigest()[:12]
    stem = Path(str(source)).stem.removesuffix(f"-{digest}")  # a file may be named after its own fingerprint
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", stem)[:40]
    return name, f"{name}-{digest}"


def read_sections(source: Path | Traversable, form: Form, copy: str = COPY) -> dict[str, str]:
    """Read a file of words for a language model: title -> text, in the order of `form`.

    Args:
        source: the file.
        form: its sections.
        copy: command that gives a copy of the default.

    Raises:
        MotionError: as `load_prompt`.
    """
    try:
        return _read_sections(source, form)
    except _Unfit as error:
        remedy = f"The default shows how it is done; get a copy with: {copy}"
        raise MotionError(str(source), str(error), remedy) from None


def _read_sections(source: Path | Traversable, form: Form) -> dict[str, str]:
    try:
        with source.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise _Unfit(f"cannot be read: {error.strerror or error}") from None
    sections = _sections(_text(content), form)
    for title, text in sections.items():
        _check(title, text, form[title])
    return sections


def _text(content: bytes) -> str:
    """Decode a file; a byte order mark and the kind of line ends make no difference."""
    if len(content) > MOST_BYTES:
        raise _Unfit(f"is larger than {MOST_BYTES // 1024} KiB, which no prompt is")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unfit(f"is not UTF-8 text (byte {error.start})") from None
    if not text.strip():
        raise _Unfit("is empty")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _sections(text: str, form: Form) -> dict[str, str]:
    """Cut a file into its sections, in the order in which they are sent."""
    headings = list(_HEADING.finditer(text))
    titles = [match[1] for match in headings]
    unknown = [title for title in titles if title not in form]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    missing = [title for title in form if title not in titles]
    whole = f"; the sections are {', '.join(form)}, and headings inside them take three #"
    for wrong, what in ((unknown, "has the unknown"), (twice, "repeats the"), (missing, "lacks the")):
        if wrong:
            names = ", ".join(f"`## {title[:40]}`" for title in wrong[:5])
            raise _Unfit(f"{what} section {names}{whole}")
    ends = [*(match.start() for match in headings[1:]), len(text)]
    found = {m[1]: text[m.end() : end].strip() for m, end in zip(headings, ends, strict=True)}
    return {title: found[title] for title in form}


def _check(title: str, text: str, allowed: Mapping[str, bool]) -> None:
    """Refuse an empty section, placeholders that it cannot have, and the lack of those that it must."""
    if not text:
        raise _Unfit(f"section `## {title}` is empty")
    used = [name.strip() for name in _PLACEHOLDER.findall(text)]
    unknown = [name for name in used if name not in allowed]
    missing = [name for name, needed in allowed.items() if needed and name not in used]
    for wrong, what in ((unknown, "cannot have"), (missing, "lacks")):
        if wrong:
            names = ", ".join("{{" + name[:40] + "}}" for name in dict.fromkeys(wrong))
            raise _Unfit(f"section `## {title}` {what} {names}")


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values in the places of their placeholders, in one pass: what a value holds stays as it is."""
    return _PLACEHOLDER.sub(lambda match: values[match[1].strip()], text)
