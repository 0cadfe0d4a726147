"""The form that a language model fills in: 21 sentences as strict JSON, and how an answer is read.

An answer is data from outside: it is parsed, checked and tidied, never run. What cannot be used is refused
with a reason that can be sent back to the model.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, StrictStr, ValidationError, create_model

from kinmo_annotate.describe.phrases import GROUP_WORDS
from kinmo_annotate.schema.records import NO_MOVEMENT, NOT_DETERMINED
from kinmo_annotate.schema.skeleton import FIELDS

MOST_CHARACTERS: Final = 600  # of one sentence; 35 words are about 200
_MOST_ANSWER: Final = 100_000
_MOST_REASONS: Final = 5


class AnswerError(Exception):
    """An answer that cannot be used; `reason` follows "That answer could not be used:", no full stop."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def spoken(field: str) -> str:
    """Name a field in words: "left arm", "torso and the left arm"."""
    return " and the ".join(GROUP_WORDS[group] for group in field.split("__"))


def _describe(field: str) -> str:
    return f"What the {spoken(field)} " + ("do to each other." if "__" in field else "does.")


SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {field: {"type": "string", "description": _describe(field)} for field in FIELDS},
    "required": list(FIELDS),
    "additionalProperties": False,
}
RESPONSE_FORMAT: Final[dict[str, Any]] = {
    "type": "json_schema",
    "json_schema": {"name": "kinmo_descriptions", "strict": True, "schema": SCHEMA},
}

_Model: Final[type[BaseModel]] = create_model(
    "_Model",
    __config__=ConfigDict(extra="forbid", strict=True),
    **dict.fromkeys(FIELDS, (StrictStr, ...)),  # type: ignore[call-overload]
)


def parse_answer(text: str) -> dict[str, str]:
    """Read the answer of a language model.

    Args:
        text: what it wrote: a JSON object of the 21 fields; a fence, quotes or words around it do no harm.

    Returns:
        A tidy sentence for each of the 21 fields, in their order.

    Raises:
        AnswerError: not JSON, fields missing, unknown or no text, or texts that are no sentence.
    """
    try:
        form = _Model.model_validate(read_json(text))
    except ValidationError as error:
        reasons = [_reason(one["type"], one["loc"]) for one in error.errors(include_url=False)]
        raise AnswerError(_joined(reasons)) from None
    values: dict[str, str] = form.model_dump()
    untidy = [field for field, value in values.items() if not _as_asked(field, value)]
    sentences = values | {field: _tidy(field, values[field]) for field in untidy}
    wrong = {field: _fault(field, sentences[field]) for field in untidy}
    reasons = [f"field {field} {fault}" for field, fault in wrong.items() if fault]
    if reasons:
        raise AnswerError(_joined(reasons))
    return {field: sentences[field] for field in FIELDS}


def _joined(reasons: list[str]) -> str:
    more = len(reasons) - _MOST_REASONS
    return "; ".join(reasons[:_MOST_REASONS]) + (f"; and {more} more" if more > 0 else "")


def _reason(kind: str, place: tuple[int | str, ...]) -> str:
    """Say in words what pydantic found wrong."""
    name = _plain(str(place[0]))[:40] if place else ""
    if kind == "missing":
        return f"field {name} is missing"
    if kind == "extra_forbidden":
        return f"field {name} is none of the 21"
    return f"field {name} is not a text" if place else "is not a JSON object"


# ---------------------------------------------------------------- the JSON


def read_json(text: str) -> Any:
    """Parse the first JSON object in a text.

    Raises:
        AnswerError: there is none.
    """
    if not text.strip():
        raise AnswerError("it is empty")
    if len(text) > _MOST_ANSWER:
        raise AnswerError(f"it is longer than {_MOST_ANSWER} characters")
    text = _unquoted(text)
    begins = re.search(r'\{\s*"', text) or re.search(r"\{", text)
    if begins is None:
        raise AnswerError("it is not a JSON object")
    try:
        return json.JSONDecoder(object_pairs_hook=_once).raw_decode(text, begins.start())[0]
    except json.JSONDecodeError as error:
        early = error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated string")
        place = "it ends early" if early else f"{error.msg} at character {error.pos}"
        raise AnswerError(f"it is not JSON: {place}") from None
    except (RecursionError, ValueError):
        raise AnswerError("it is not JSON that can be read") from None


def _unquoted(text: str) -> str:
    """Some models put their object into a string of JSON: take it out."""
    try:
        inner = json.loads(text) if text.lstrip().startswith('"') else text
    except ValueError:
        return text
    return inner if isinstance(inner, str) else text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise AnswerError(f"field {_plain(name)[:40]} stands there twice")
        found[name] = value
    return found


# ---------------------------------------------------------------- the sentences

_QUOTES: Final = "\"'“”‘’«»"
_ENDS: Final = ("!", "?", "。", "！", "？")
_TAIL: Final = " .,;:-–—…"  # what a text may trail off in
_GAP: Final = re.compile(r" +([.,;:!?])")
_BULLET: Final = re.compile(r"^(?:[-•–—]\s+)+")
_GROUP: Final = "|".join((*GROUP_WORDS.values(), "body", "person", "neck", "limb", "limbs", "arms", "legs"))
_WHO: Final = (
    rf"(?:both |two |either |each |the |person's )*(?:{_GROUP})(?:,? (?:and|or) (?:the )?(?:{_GROUP}))?"
)
_SIZE: Final = r"(?:notable|significant|noticeable|apparent|visible|relevant|major|real|clear)"
_THING: Final = r"(?:movements?|motions?|changes?|interactions?|activity)"
_NONE: Final = re.compile(
    rf"none|nothing(?: notable)?"
    rf"|(?:{_WHO} (?:shows?|has|have|makes?|with|does|do|displays?|exhibits?) )?(?:there is )?"
    rf"no (?:{_SIZE} )?{_THING}"
    rf"(?: (?:of|in|by|between|for|from) {_WHO})?(?: throughout)?",
    re.IGNORECASE,
)
_UNKNOWN: Final = re.compile(
    r"not (?:be )?(?:determined|determinable|known|clear)|undetermined|unknown|unclear|n/?a"
    r"|(?:it )?(?:cannot|can not|could not|can't) be determined",
    re.IGNORECASE,
)
_DASHES: Final = frozenset({"-", "--", "–", "—"})  # how the table says that there is nothing
# Names of fields as they stand in the table; "torso" and "neck" are words as well.
_TABLE_NAME: Final = re.compile(
    rf"(?<!\w)(?:{'|'.join(sorted((f for f in FIELDS if '_' in f), key=len, reverse=True))})(?!\w)"
)
_ROW: Final = re.compile(r"\d+(?:\.\d+)?(?:\s*-\s*\d+(?:\.\d+)?)? s\b")
_MARKUP: Final = frozenset("{}|[]<>\\")


# Most sentences: a capital, words of ASCII, single blanks, a full stop. None of the words that may stand for
# "no notable movement" or "not determined", nothing that may be a label or the name of a field.
_PROSE: Final = re.compile(r"[A-Z][A-Za-z'-]*,? [A-Za-z]+(?:[,;]? [A-Za-z0-9.'/()%-]*[A-Za-z0-9)%])*\.")
_SAYS_NOTHING: Final = re.compile(r"\b(?:no|not|none|nothing|n/?a|un\w+|cannot|can't)\b", re.IGNORECASE)
_FIXED: Final = frozenset({NO_MOVEMENT, NOT_DETERMINED})
_NAMES: Final = {field: frozenset({spoken(field), f"the {spoken(field)}"}) for field in FIELDS}


def _as_asked(field: str, text: str) -> bool:
    """Tell quickly whether a text is a sentence in which there is nothing to tidy; in doubt it is not."""
    if text in _FIXED:
        return True
    if not 20 <= len(text) <= MOST_CHARACTERS or _PROSE.fullmatch(text) is None:
        return False
    return _SAYS_NOTHING.search(text) is None and text[:-1].lower() not in _NAMES[field]


def _plain(text: str) -> str:
    """Take out what nobody sees and collapse white space."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    kept = (" " if c.isspace() or unicodedata.category(c) == "Cc" else c for c in text)
    seen = "".join(c for c in kept if unicodedata.category(c)[0] != "C" and c != "\ufffd")
    return " ".join(seen.split())


def _tidy(field: str, text: str) -> str:
    """Bring a text into form: no wrapping, no label, the fixed phrases and full stops as they are meant."""
    text = _unwrapped(_plain(text.replace("*", "").replace("`", "")))
    text = _TABLE_NAME.sub(lambda match: spoken(match[0]), text)
    label = re.match(rf"(?:the )?{re.escape(spoken(field))}\s*:\s*", text, re.IGNORECASE)
    text = _unwrapped(text[label.end() :] if label else text)
    bare = text.strip(_TAIL + "!")
    if text in _DASHES or _NONE.fullmatch(bare):
        return NO_MOVEMENT
    return NOT_DETERMINED if _UNKNOWN.fullmatch(bare) else _finished(text)


def _unwrapped(text: str) -> str:
    """Strip quotes and bullets around a text."""
    while True:
        inner = _BULLET.sub("", text).strip()
        if len(inner) > 1 and inner[0] in _QUOTES and inner[-1] in _QUOTES:
            inner = inner.strip(_QUOTES).strip()
        if inner == text:
            return text
        text = inner


def _finished(text: str) -> str:
    """Give a text its capital and its full stop."""
    text = _GAP.sub(r"\1", text).rstrip(_TAIL)
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text.endswith(_ENDS) else ".")


def _fault(field: str, text: str) -> str:
    """Say what keeps a text from being a sentence; nothing where it is one."""
    if not text:
        return "is empty"
    if len(text) > MOST_CHARACTERS:
        return f"has {len(text)} characters, more than {MOST_CHARACTERS}"
    if _ROW.match(text):
        return "is a row of the table and not a sentence"
    if _MARKUP & set(text):
        return "holds markup, JSON or a row of the table where a sentence was asked for"
    words = re.findall(r"[^\W\d_]+", text)
    too_short = len(words) < 2 if text.isascii() else sum(map(len, words)) < 4
    if too_short or text.strip(" .").lower() in _NAMES[field]:
        return "is not a sentence"
    return ""
