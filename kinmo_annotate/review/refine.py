"""The next version of the prompt, proposed by a language model from what people found wrong.

A proposal is text from outside: it is checked, shown as a diff, and used only once a person has accepted it.
Answers are archived in `DATASET/answers` like all others; one that is there is not asked for again.
"""

from __future__ import annotations

import difflib
import json
import re
import tempfile
import unicodedata
from collections.abc import Container, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

from kinmo_annotate.describe.llm.form import AnswerError
from kinmo_annotate.describe.llm.prompt import Prompt, fill, load_prompt, read_sections
from kinmo_annotate.review.agreement import Agreement
from kinmo_annotate.review.faults import Fault, Faults, figures_text
from kinmo_annotate.review.lineage import REJECTED, Change, Lineage
from kinmo_annotate.review.rounds import Round
from kinmo_annotate.schema.records import NO_MOVEMENT, NOT_DETERMINED, MotionError

SCHEMA_NAME: Final = "kinmo_prompt_refinement"
MOST_CHANGES: Final = 12
_MOST_CHANGE: Final = 600  # characters of what or why
_SHORTEST, _LONGEST = 0.5, 1.5  # of the section that is replaced
_ROOM: Final = 2000  # characters that a short section may grow by in any case
_COPIED_WORDS: Final = 8  # in a row: nobody writes the same by chance
_SHORTEST_ID: Final = 4  # shorter motion ids are words or numbers that may stand in any text
_RELIED_ON: Final = (NO_MOVEMENT, NOT_DETERMINED, "JSON")
_FORM: Final = {
    "System": {},
    "Errors": dict.fromkeys(("prompt", "figures", "errors", "refused"), True),
    "Retry": {"reason": True},
}

_TEXT: Final = {"type": "string"}
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "system": _TEXT | {"description": "The whole new System section."},
        "changes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "what": _TEXT | {"description": "What was changed, in one sentence."},
                    "why": _TEXT | {"description": "The kind of error that it answers, in one sentence."},
                },
                "required": ["what", "why"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["system", "changes"],
    "additionalProperties": False,
}
RESPONSE_FORMAT: Final[dict[str, Any]] = {
    "type": "json_schema",
    "json_schema": {"name": SCHEMA_NAME, "strict": True, "schema": SCHEMA},
}


class _Change(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    what: StrictStr
    why: StrictStr


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    system: StrictStr
    changes: list[_Change] = Field(min_length=1, max_length=MOST_CHANGES)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A prompt that may follow.

    Attributes:
        text: of its whole file.
        prompt: its words.
        changes: what its author says about it.
    """

    text: str
    prompt: Prompt
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """What a refining model is asked.

    Attributes:
        round: whose errors are answered.
        prompt: that wrote its sentences.
        text: of that prompt's file.
        faults: what was found wrong.
        messages: that are sent.
        known: fingerprints of the versions that there are already.
    """

    round: Round
    prompt: Prompt
    text: str
    faults: Faults
    messages: list[dict[str, str]]
    known: frozenset[str]

    @property
    def output_tokens(self) -> int:
        """Most tokens of an answer: the section, longer than it is, and what is said about it."""
        return 2000 + int(len(self.prompt.system) * _LONGEST / 2)


def make_task(lineage: Lineage, fingerprint: str, found: Agreement, faults: Faults) -> Task:
    """Write the request for a better prompt.

    Args:
        lineage: of the reviewed dataset.
        fingerprint: of the version that wrote the round's sentences.
        found: the agreement of the round.
        faults: what was found wrong.

    Raises:
        MotionError: there is nothing to learn from, or the prompt's file was changed.
    """
    round = found.round
    if not faults.faults:
        reason = "nobody found a sentence wrong"
        if faults.unsettled:
            reason = f"all {faults.unsettled} errors are disputed and not settled"
        raise MotionError(f"round {round.name}", reason, _nothing_found(faults, lineage.folder.parent, round))
    prompt = lineage.prompt(fingerprint)
    words = refining_words()
    values = {
        "prompt": prompt.system,
        "figures": figures_text(found, faults),
        "errors": faults.text,
        "refused": _refused(lineage, round.name),
    }
    messages = [
        {"role": "system", "content": words["System"]},
        {"role": "user", "content": fill(words["Errors"], values)},
    ]
    return Task(round, prompt, lineage.text(fingerprint), faults, messages, frozenset(lineage.versions))


def refining_words() -> dict[str, str]:
    """Read what the refining model is told: `prompts/refine.md`."""
    return read_sections(files("kinmo_prompts") / "refine.md", _FORM)


def _nothing_found(faults: Faults, dataset: Path, round: Round) -> str:
    if faults.unsettled:
        return f"Settle them: kinmo annotate review {dataset} --round {round.name}"
    return f"Review more: kinmo annotate sample {dataset}; or annotate the rest with the prompt as it is."


def _refused(lineage: Lineage, round: str) -> str:
    """Say what the proposals changed that a person has turned down."""
    turned_down = lineage.of_round(round, REJECTED)
    lines = [f"- {'; '.join(change.what for change in one.changes)}" for one in turned_down if one.changes]
    return "\n".join(lines) or "none"


# ---------------------------------------------------------------- what comes back


def parse_proposal(answer: str, task: Task) -> Proposal:
    """Read a refining model's answer.

    Args:
        answer: what it wrote.
        task: what it was asked.

    Raises:
        AnswerError: it is no such JSON, or a prompt that must not be used; the reason can be sent back.
    """
    try:
        found = json.JSONDecoder().raw_decode(answer, max(answer.find("{"), 0))[0]
        read = _Answer.model_validate(found)
    except (json.JSONDecodeError, RecursionError):
        raise AnswerError("it is not JSON, or ends early") from None
    except ValidationError as error:
        one = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in one["loc"])[:60]
        raise AnswerError(f"{where or 'it'}: {one['msg'][:200]}") from None
    changes = tuple(Change(_tidy(one.what), _tidy(one.why)) for one in read.changes)
    system = "\n".join(line.rstrip() for line in read.system.replace("\r\n", "\n").strip().split("\n"))
    proposal = propose(task, system, changes)
    check_not_copied(proposal.prompt.system, task)
    return proposal


def propose(task: Task, system: str, changes: Sequence[Change]) -> Proposal:
    """Put a new System section into the prompt's file.

    Raises:
        AnswerError: the section cannot be used.
    """
    old = task.prompt.system
    least, most = int(_SHORTEST * len(old)), max(int(_LONGEST * len(old)), len(old) + _ROOM)
    if not least <= len(system) <= most:
        raise AnswerError(f"system has {len(system)} characters; {least} to {most} are wanted")
    if any(unicodedata.category(c)[0] == "C" and c not in "\n\t" for c in system):
        raise AnswerError("system holds control characters")
    lost = [phrase for phrase in _RELIED_ON if phrase in old and phrase not in system]
    if lost:
        raise AnswerError(f"system has lost {', '.join(map(repr, lost))}, which the program relies on")
    text = task.text.replace(old, system, 1)
    prompt = read_prompt(text, task.prompt.name)
    if (prompt.motion, prompt.retry, prompt.repair) != (
        task.prompt.motion, task.prompt.retry, task.prompt.repair,
    ) or prompt.system != system:  # fmt: skip
        raise AnswerError("it changes other sections than System")
    _check_new(prompt, task.prompt, task.known)
    return Proposal(text, prompt, tuple(changes))


def edited(text: str, old: Prompt, known: Container[str]) -> Proposal:
    """Read a prompt that a person wrote: any section may differ.

    Args:
        text: of its file.
        old: the prompt that it follows.
        known: fingerprints of the versions that there are already.

    Raises:
        MotionError: it cannot be used.
    """
    try:
        prompt = read_prompt(text, old.name)
        _check_new(prompt, old, known)
    except AnswerError as error:
        raise MotionError("the edited prompt", error.reason, "Change it, and give it again.") from None
    return Proposal(text, prompt)


def read_prompt(text: str, name: str) -> Prompt:
    """Read a prompt that has no file yet.

    Args:
        text: of the file.
        name: of the prompt.

    Raises:
        AnswerError: it is none: sections, placeholders or size are wrong.
    """
    with tempfile.TemporaryDirectory(prefix="kinmo-prompt-") as folder:
        path = Path(folder) / f"{name}.md"
        path.write_bytes(text.encode("utf-8", "backslashreplace"))
        try:
            return load_prompt(path)
        except MotionError as error:
            raise AnswerError(error.reason) from None


def _check_new(prompt: Prompt, old: Prompt, known: Container[str]) -> None:
    """Refuse words that are there already.

    Raises:
        AnswerError: they are.
    """
    if prompt.fingerprint == old.fingerprint:
        raise AnswerError("it is identical to the prompt as it is")
    if prompt.fingerprint in known:
        raise AnswerError(f"it is identical to the version {prompt.fingerprint}, which was there before")


def check_not_copied(system: str, task: Task) -> None:
    """Refuse what makes a special case of a judged motion: its id, or words of its sentence, note or row.

    What stood in the prompt before may stay.

    Raises:
        AnswerError: something was copied.
    """
    ids = [one for one in task.round.motion_ids if len(one) >= _SHORTEST_ID]
    for motion_id in ids:
        pattern = rf"(?<!\w){re.escape(motion_id)}(?!\w)"
        if re.search(pattern, system) and not re.search(pattern, task.prompt.system):
            raise AnswerError("system names one motion; rules must hold for every motion")
    new = _runs(system) - _runs(task.prompt.system)
    for fault in task.faults.faults:
        for what, text in _quotable(fault):
            if copied := sorted(new & _runs(text)):
                reason = f'system copies a {what} word for word ("{copied[0][:120]}")'
                raise AnswerError(f"{reason}; rules must hold for every motion")


def _quotable(fault: Fault) -> list[tuple[str, str]]:
    return [("sentence", fault.sentence), *(("note", note) for note in fault.notes), ("row", fault.row)]


def _runs(text: str) -> set[str]:
    """Every run of so many words, in lower case, without punctuation."""
    words = re.findall(r"[\w.]*\w", text.lower())
    return {" ".join(words[start : start + _COPIED_WORDS]) for start in range(len(words) - _COPIED_WORDS + 1)}


def _tidy(text: str) -> str:
    kept = (" " if c.isspace() or unicodedata.category(c)[0] == "C" else c for c in text)
    return " ".join("".join(kept).split())[:_MOST_CHANGE]


def unified_diff(old: Prompt, old_text: str, new: Proposal) -> list[str]:
    """Compare a proposal with the prompt that it was made from: the lines of a unified diff.

    Args:
        old: that prompt.
        old_text: of its file.
        new: the proposal.
    """
    before, after = (f"{one.fingerprint}.md" for one in (old, new.prompt))
    lines = old_text.splitlines(), new.text.splitlines()
    return list(difflib.unified_diff(*lines, fromfile=before, tofile=after, lineterm=""))
