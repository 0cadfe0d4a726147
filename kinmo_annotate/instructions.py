"""Instructions of edits, worded by a language model: what a user might type to get from one text to another.

What stands before and after comes from the motions and stays as it is; the model brings the language alone.
An answer is data from outside: it is parsed and checked, never run. Answers are kept and archived beside the
dataset like those with sentences, and count against its budget.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

from kinmo_annotate.asking import Terms, keep_going, terms_of
from kinmo_annotate.describe.llm.answers import Answer, Answers, open_answers
from kinmo_annotate.describe.llm.ask import Asker, Halt, Tally, Unanswered
from kinmo_annotate.describe.llm.client import Client
from kinmo_annotate.describe.llm.form import AnswerError, read_json
from kinmo_annotate.describe.llm.pace import Pace
from kinmo_annotate.describe.llm.prompt import Form, fill, names_of, read_sections
from kinmo_annotate.describe.llm.request import MOST_TOKENS, Request, keyed
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.settings import Asking

MOST_CHARACTERS: Final = 160  # of one instruction
OUTPUT_TOKENS: Final = 600  # of an answer; three instructions are about 100
WORDINGS: Final = {
    "command": "The instruction as a command.",
    "wish": "The instruction as a wish or a request.",
    "terse": "The instruction in as few words as possible.",
}
SCHEMA_NAME: Final = "kinmo_edit_instruction"
RESPONSE_FORMAT: Final[dict[str, Any]] = {
    "type": "json_schema",
    "json_schema": {
        "name": SCHEMA_NAME,
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {name: {"type": "string", "description": what} for name, what in WORDINGS.items()},
            "required": list(WORDINGS),
            "additionalProperties": False,
        },
    },
}
_COPY: Final = "kinmo annotate prompt --edits > my_edit.md"
_AGAIN: Final = "Run the same command again to ask for it once more."
_FORM: Final[Form] = {
    "System": {},
    "Edit": dict.fromkeys(("before", "after", "changes"), True),
    "Retry": {"reason": True},
}
_SHORTEST_ID: Final = 4  # shorter ids, and those without a digit, are words that may stand in any text


@dataclass(frozen=True, slots=True)
class Change:
    """What an instruction is to be worded from.

    Attributes:
        motion_id: of the motion before.
        before: its caption.
        after: the caption that is wanted.
        groups: sentence before and after of each group that changes.
    """

    motion_id: str
    before: str
    after: str
    groups: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Instructions:
    """What a model wrote of one change.

    Attributes:
        wordings: the instruction in several ways, as it was written.
        cost_usd: paid for all of them; None where no price is known.
    """

    wordings: tuple[str, ...]
    cost_usd: float | None


@dataclass(slots=True)
class Worded:
    """What asking brought.

    Attributes:
        prompt_version: fingerprint of the prompt.
        found: by the place of the change.
        failures: changes that got no instruction, `where` is the motion's id.
        tally: what was asked now.
        from_cache: answers that were there already.
        spent_usd: by the dataset so far.
        halted: why asking ended early; None where it did not.
    """

    prompt_version: str
    found: dict[int, Instructions] = field(default_factory=dict)
    failures: list[MotionError] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    from_cache: int = 0
    spent_usd: float = 0.0
    halted: Halt | None = None


class _Task:
    """What is asked for (`ask.Task`)."""

    again = _AGAIN

    def __init__(self, model: str, prompt: Path | None, ids: Iterable[str]) -> None:
        """Read the prompt.

        Raises:
            MotionError: it cannot be used.
        """
        source = _source(prompt)
        self.model = model
        self.words = read_sections(source, _FORM, _COPY)
        self.prompt_version = names_of(source, self.words)[1]
        self._ids = frozenset(one for one in ids if len(one) >= _SHORTEST_ID and re.search(r"\d", one))

    def check(self, text: str) -> None:
        """See whether an answer can be used.

        Raises:
            AnswerError: it cannot.
        """
        for name, wording in _read(text).items():
            if fault := _fault(wording, self._ids):
                raise AnswerError(f"{name} {fault}")

    def retry_message(self, reason: str) -> str:
        """Say why the last answer could not be used."""
        return fill(self.words["Retry"], {"reason": reason})


def prompt_text(prompt: Path | None = None) -> str:
    """Give the prompt's file as it stands, once it is known to be a good one.

    Raises:
        MotionError: it cannot be used.
    """
    read_sections(_source(prompt), _FORM, _COPY)
    return _source(prompt).read_text(encoding="utf-8-sig")


def _source(prompt: Path | None) -> Path | Traversable:
    return files("kinmo_prompts") / "edit.md" if prompt is None else prompt


def word(
    dataset: Path,
    changes: Sequence[Change],
    asking: Asking,
    *,
    ids: Iterable[str],
    cache_dir: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    answered: Callable[[], None] = lambda: None,
) -> Worded:
    """Ask for the instructions of changes; what was answered before is not asked again.

    Args:
        dataset: that the changes are of; its archive keeps the answers, and its budget they count against.
        changes: to word.
        asking: model, endpoint and prompt.
        ids: of the dataset's motions, which no instruction may name.
        cache_dir: of all caches; None is the user's.
        stop: tells whether the user wants to end.
        answered: told of each change that is done with.

    Raises:
        MotionError: prompt, prices, key or endpoint's address cannot be used.
        DatasetError: the archive cannot be read.
    """
    task = _Task(asking.model, asking.prompt, ids)
    terms = terms_of(replace(asking, prompt=None))
    answers = open_answers(dataset, cache_dir, task.check)
    try:
        requests = [_request(change, task, terms) for change in changes]
        return asyncio.run(_ask(requests, task, terms, answers, stop, answered))
    finally:
        answers.close()


def _request(change: Change, task: _Task, terms: Terms) -> Request:
    lines = [f'{name}: "{old}" -> "{new}"' for name, (old, new) in change.groups.items()]
    values = {
        "before": change.before,
        "after": change.after,
        "changes": "\n".join(lines) or "none: the captions alone differ",
    }
    messages = [
        {"role": "system", "content": task.words["System"]},
        {"role": "user", "content": fill(task.words["Edit"], values)},
    ]
    body = {
        "model": task.model,
        "messages": messages,
        "response_format": RESPONSE_FORMAT,
        MOST_TOKENS: terms.asked.output_tokens,
        **terms.asked.options,
    }
    return keyed(change.motion_id, task.prompt_version, body)


async def _ask(
    requests: Sequence[Request],
    task: _Task,
    terms: Terms,
    answers: Answers,
    stop: Callable[[], bool],
    answered: Callable[[], None],
) -> Worded:
    """Ask all requests, as many at once as may be."""
    asking = terms.asking
    client = Client(asking.base_url, asking.concurrency, asking.timeout_s)
    asker = Asker(client, answers, Pace(asking.concurrency), task, terms.price, asking.budget_usd)
    worded = Worded(task.prompt_version, tally=asker.tally)
    sending = asyncio.create_task(keep_going(asker, stop))

    async def one(place: int, request: Request) -> None:
        try:
            worded.found[place] = _instructions(await asker.ask(request))
        except Unanswered:
            return
        except MotionError as error:
            worded.failures.append(error)
        answered()

    try:
        await asyncio.gather(*(one(place, request) for place, request in enumerate(requests)))
        await asker.close()
    finally:
        sending.cancel()
        await client.close()
    worded.from_cache, worded.spent_usd, worded.halted = answers.from_cache, answers.spent_usd, asker.halted
    return worded


def _instructions(answer: Answer) -> Instructions:
    return Instructions(tuple(_read(answer.text).values()), answer.cost_usd)


def _read(text: str) -> dict[str, str]:
    """Read an answer: its wordings by name.

    Raises:
        AnswerError: it is no such JSON.
    """
    found = read_json(text)
    if set(found) != set(WORDINGS):
        raise AnswerError(f"the keys {', '.join(WORDINGS)} are wanted, and no others")
    for name, wording in found.items():
        if not isinstance(wording, str):
            raise AnswerError(f"{name} is not a text")
    return {name: found[name] for name in WORDINGS}


def _fault(wording: str, ids: frozenset[str]) -> str:
    """Say what keeps a text from being an instruction; nothing where it is one."""
    if not re.search(r"[^\W\d_]", wording):
        return "is empty"
    if re.sub(r"[\W_]", "", wording).lower() in WORDINGS:
        return "is the name of its place and no instruction"
    if len(wording) > MOST_CHARACTERS:
        return f"has {len(wording)} characters, more than {MOST_CHARACTERS}"
    if any(unicodedata.category(c)[0] == "C" or c in "\u2028\u2029" for c in wording):
        return "holds line ends or control characters"
    if ids.intersection(re.findall(r"[\w.-]*\w", wording)):
        return "names a motion by its id"
    return ""
