"""The lines that a batch brings back: output and error files, whatever is in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

CANCELLED: Final = "batch_cancelled"


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one request.

    Attributes:
        key: its custom_id.
        status: of HTTP; 0 where it was not executed.
        body: the response, where there is one.
        code, message: why it was not executed.
    """

    key: str
    status: int
    body: dict[str, Any]
    code: str = ""
    message: str = ""


def read_results(path: Path, scrub: Callable[[str], str]) -> Iterator[Line | None]:
    """Read a downloaded file; None for a line that is no result, as at the end of a file that was cut off.

    Args:
        path: JSON lines; where it is missing there are none.
        scrub: takes the key out of a text.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for raw in file:
            if raw.strip():
                yield _line(scrub(raw.decode("utf-8", "replace")))


def _line(text: str) -> Line | None:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("custom_id"), str):
        return None
    key, response, error = content["custom_id"], content.get("response"), content.get("error")
    if isinstance(response, dict) and isinstance(response.get("status_code"), int):
        body = response.get("body")
        return Line(key, response["status_code"], body if isinstance(body, dict) else {"error": body})
    if isinstance(error, dict):
        message = " ".join(str(error.get("message") or "").split())[:200]
        return Line(key, 0, {}, str(error.get("code") or "")[:100], message)
    return None


def has_choices(body: dict[str, Any]) -> bool:
    """Tell whether a response is a chat completion with something in it."""
    choices = body.get("choices")
    return isinstance(choices, list) and bool(choices) and isinstance(choices[0], dict)
