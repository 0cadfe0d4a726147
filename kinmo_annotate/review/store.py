"""What people said, kept: `DATASET/reviews.sqlite`, beside the data.

Judgements are appended and never changed; the last one of an evaluator about a sentence holds. `save` returns
when the judgement is on the disk. Any number of threads and processes may have the store open. Threads that
save at the same time share one transaction, so that fifty of them wait for one flush of the disk and not for
fifty.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from kinmo_annotate.review.rounds import ADJUDICATION, Item, Round, utc_now
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import Manifest

STORE_NAME: Final = "reviews.sqlite"

# What an evaluator says of a sentence.
CORRECT: Final = "correct"
WRONG: Final = "wrong"
UNSURE: Final = "unsure"
NOT_JUDGED: Final = ""  # not yet, or withdrawn
JUDGEMENT_VERDICTS: Final = (CORRECT, WRONG, UNSURE)

# What is wrong with it.
CATEGORIES: Final = ("side", "direction", "timing", "invented", "missing", "wording")

NOTE_LETTERS: Final = 4000


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one evaluator said of one sentence.

    Attributes:
        round: name of the round.
        evaluator: one of the round's, or `ADJUDICATION`.
        motion_id: of which motion.
        field: whose sentence: a group or a pair.
        verdict: one of `JUDGEMENT_VERDICTS`, or `NOT_JUDGED`.
        category: one of `CATEGORIES` or ""; always "" of a sentence that is correct.
        note: free text, at most `NOTE_LETTERS` letters.
        sentence: the text that was judged.
        at: when it was saved, UTC, ISO 8601; the store fills it in.

    Raises:
        MotionError: a word that is none of these, or a note that is too long.
    """

    round: str
    evaluator: str
    motion_id: str
    field: str
    verdict: str
    category: str = ""
    note: str = ""
    sentence: str = ""
    at: str = ""

    def __post_init__(self) -> None:
        where = f"{self.motion_id} {self.field}"
        if self.verdict not in (*JUDGEMENT_VERDICTS, NOT_JUDGED):
            remedy = f"Use {', '.join(JUDGEMENT_VERDICTS)}, or leave it empty."
            raise MotionError(where, f"{self.verdict[:40]!r} is no verdict", remedy)
        if self.category not in (*CATEGORIES, ""):
            remedy = f"Use {', '.join(CATEGORIES)}, or leave it empty."
            raise MotionError(where, f"{self.category[:40]!r} is no category of errors", remedy)
        if self.verdict == CORRECT and self.category:
            reason = f"is judged correct and has an error of {self.category}"
            raise MotionError(where, reason, "Leave the category empty, or judge it wrong.")
        if len(self.note) > NOTE_LETTERS:
            reason = f"has a note of {len(self.note)} letters"
            raise MotionError(where, reason, f"Say it in {NOTE_LETTERS} letters.")

    @property
    def item(self) -> Item:
        """The sentence: (motion_id, field)."""
        return self.motion_id, self.field


class Store:
    """The reviews of one dataset; made by `open_store`. Its methods may be called from any thread."""

    def add_round(self, round: Round) -> None:
        """Store a new round. Raises MotionError where there is one of this name."""
        raise NotImplementedError

    def rounds(self) -> list[Round]:
        """List the rounds, oldest first."""
        raise NotImplementedError

    def round(self, name: str) -> Round:
        """Look a round up. Raises MotionError (with the names there are) where there is none."""
        raise NotImplementedError

    def issue_tokens(self, round: str) -> dict[str, str]:
        """Make a new sign-in token for each evaluator; older ones of the round stop working.

        Only hashes are stored, so this is the one time that the tokens can be seen.
        """
        raise NotImplementedError

    def evaluator_of(self, token: str) -> tuple[str, str] | None:
        """Tell (round, evaluator) that a token belongs to; None for any other text."""
        raise NotImplementedError

    def save(self, judgement: Judgement) -> Judgement:
        """Append a judgement; when this returns it is on the disk. Gives it back with its time.

        Raises:
            MotionError: no such round, evaluator, motion or field; the evaluator has finished the round; an
                adjudication while an evaluator has not.
        """
        raise NotImplementedError

    def current(self, round: str, evaluator: str) -> dict[Item, Judgement]:
        """Give the last judgement of each sentence, drafts too: those have a note or category, no verdict."""
        raise NotImplementedError

    def history(self, round: str, evaluator: str) -> list[Judgement]:
        """Give every judgement of an evaluator, oldest first, withdrawn ones too."""
        raise NotImplementedError

    def finish(self, round: str, evaluator: str) -> None:
        """Write down that an evaluator is done; no judgement of theirs is taken any more.

        Raises:
            MotionError: a sentence is not judged yet.
        """
        raise NotImplementedError

    def finished(self, round: str) -> set[str]:
        """Name the evaluators who have finished."""
        raise NotImplementedError

    def both(self, round: str) -> dict[str, dict[Item, Judgement]]:
        """Give every evaluator's verdicts: evaluator -> item -> judgement (each with a verdict).

        Raises:
            MotionError: an evaluator has not finished; until then nobody sees the others' judgements.
        """
        raise NotImplementedError

    def final(self, round: str) -> dict[Item, Judgement]:
        """Give the verdicts of the adjudication, by item; sentences not adjudicated are absent."""
        raise NotImplementedError


def open_store(dataset: Path) -> Store:
    """Open the reviews of a dataset, or begin them.

    Raises:
        DatasetError: the folder is no dataset.
        MotionError: the file is damaged, of a newer kinmo, or cannot be written.
    """
    raise NotImplementedError
