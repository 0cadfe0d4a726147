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
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final, Self

from kinmo_annotate.dataset.read import way_on
from kinmo_annotate.review.database import Database
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


_VERSION: Final = 1
_TABLES: Final = """
CREATE TABLE rounds (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    content TEXT NOT NULL
);

CREATE TABLE tokens (
    round TEXT NOT NULL,
    evaluator TEXT NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (round, evaluator)
);

CREATE TABLE judgements (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    round TEXT NOT NULL,
    evaluator TEXT NOT NULL,
    motion_id TEXT NOT NULL,
    field TEXT NOT NULL,
    verdict TEXT NOT NULL,
    category TEXT NOT NULL,
    note TEXT NOT NULL,
    sentence TEXT NOT NULL,
    at TEXT NOT NULL
);

CREATE INDEX judgements_by_item ON judgements (round, evaluator, motion_id, field);

CREATE TABLE finished (
    round TEXT NOT NULL,
    evaluator TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (round, evaluator)
);

CREATE TRIGGER judgements_stay BEFORE DELETE ON judgements
BEGIN SELECT RAISE(ABORT, 'judgements are only appended'); END;

CREATE TRIGGER judgements_hold BEFORE UPDATE ON judgements
BEGIN SELECT RAISE(ABORT, 'judgements are only appended'); END
"""

_COLUMNS: Final = ", ".join(field.name for field in fields(Judgement))
_INSERT: Final = f"INSERT INTO judgements ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_OF_EVALUATOR: Final = f"SELECT {_COLUMNS} FROM judgements WHERE round = ? AND evaluator = ?"
_LAST_ONES: Final = (
    f"SELECT {_COLUMNS} FROM judgements WHERE number IN"
    " (SELECT max(number) FROM judgements WHERE round = ? AND evaluator = ? GROUP BY motion_id, field)"
    " ORDER BY number"
)
_FINISHED: Final = "SELECT evaluator FROM finished WHERE round = ?"


class Store:
    """The reviews of one dataset. Its methods may be called from any thread; `open_store` makes it."""

    def __init__(self, dataset: Path) -> None:
        self.dataset = dataset
        self._database = Database(dataset / STORE_NAME, _TABLES, _VERSION)
        self._rounds: dict[str, tuple[Round, frozenset[Item]]] = {}  # they never change

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was saved is safe without it."""
        self._database.close()

    # ------------------------------------------------------------ rounds and who takes part

    def add_round(self, round: Round) -> None:
        """Store a new round.

        Raises:
            MotionError: there is one of this name already, or its parent is not there.
        """
        if round.parent is not None:
            self.round(round.parent)
        content = _round_as_json(replace(round, created_at=round.created_at or utc_now()), self.dataset)

        def add(connection: sqlite3.Connection) -> None:
            if connection.execute("SELECT 1 FROM rounds WHERE name = ?", (round.name,)).fetchone():
                remedy = "Choose another name; a round never changes."
                raise MotionError(round.name, "there is a round of this name already", remedy)
            connection.execute("INSERT INTO rounds (name, content) VALUES (?, ?)", (round.name, content))

        self._database.write(add)

    def rounds(self) -> list[Round]:
        """List the rounds, oldest first."""
        found = self._database.read("SELECT content FROM rounds ORDER BY number")
        return [_round_from_json(content, self.dataset) for (content,) in found]

    def newest(self) -> Round:
        """Give the round that was drawn last.

        Raises:
            MotionError: there is none.
        """
        rounds = self.rounds()
        if not rounds:
            command = way_on(self.dataset) or f"kinmo annotate sample {self.dataset}"
            raise MotionError(str(self.dataset), "has no round of review yet", f"Next: {command}")
        return rounds[-1]

    def round(self, name: str) -> Round:
        """Look a round up.

        Raises:
            MotionError: there is none of this name.
        """
        return self._known(name)[0]

    def _known(self, name: str) -> tuple[Round, frozenset[Item]]:
        """Look a round up, with its items."""
        if name not in self._rounds:
            found = {round.name: round for round in self.rounds()}
            if name not in found:
                remedy = "Draw one with `kinmo annotate sample`."
                if found:
                    remedy = f"There are {', '.join(found)}."
                raise MotionError(str(self.dataset), f"has no round named {name[:80]!r}", remedy)
            self._rounds[name] = found[name], frozenset(found[name].items)
        return self._rounds[name]

    def issue_tokens(self, round: str) -> dict[str, str]:
        """Make a new sign-in token for each evaluator; older ones of the round stop working.

        Only hashes are stored, so this is the one time that the tokens can be seen.

        Raises:
            MotionError: no such round.
        """
        tokens = {name: secrets.token_urlsafe(24) for name in self.round(round).evaluators}

        def issue(connection: sqlite3.Connection) -> None:
            rows = [(round, name, _hash(token)) for name, token in tokens.items()]
            connection.executemany("INSERT OR REPLACE INTO tokens VALUES (?, ?, ?)", rows)

        self._database.write(issue)
        return tokens

    def invited(self, round: str) -> set[str]:
        """Name the evaluators who have a token."""
        return {
            name for (name,) in self._database.read("SELECT evaluator FROM tokens WHERE round = ?", round)
        }

    def evaluator_of(self, token: str) -> tuple[str, str] | None:
        """Tell the (round, evaluator) that a token belongs to; None for any other text.

        Every hash is compared, each in constant time, so that the time taken tells nothing of the tokens.
        """
        given, found = _hash(token), None
        for round, evaluator, known in self._database.read("SELECT round, evaluator, hash FROM tokens"):
            if hmac.compare_digest(given, known):
                found = round, evaluator
        return found

    # ------------------------------------------------------------ judgements

    def save(self, judgement: Judgement) -> Judgement:
        """Append a judgement; when this returns it is on the disk.

        Returns:
            The judgement as stored: with its time, and with what is no Unicode escaped.

        Raises:
            MotionError: no such round, evaluator, motion or field; the evaluator has finished the round; an
                adjudication before all evaluators have.
        """
        round = self._check(judgement)
        stored = replace(
            judgement, note=_encodable(judgement.note), sentence=_encodable(judgement.sentence), at=utc_now()
        )
        values = tuple(getattr(stored, name.strip()) for name in _COLUMNS.split(","))

        def append(connection: sqlite3.Connection) -> None:
            _check_open(connection, round, stored.evaluator)
            connection.execute(_INSERT, values)

        self._database.write(append)
        return stored

    def _check(self, judgement: Judgement) -> Round:
        """Refuse a judgement of something that the round does not ask, or by someone whom it does not."""
        round, items = self._known(judgement.round)
        _check_evaluator(round, judgement.evaluator, adjudication=True)
        if judgement.item not in items:
            reason = f"does not ask for {judgement.field[:40]!r} of the motion {judgement.motion_id[:80]!r}"
            remedy = f"It has {len(round.motion_ids)} motions and the fields {', '.join(round.fields)}."
            raise MotionError(f"round {round.name}", reason, remedy)
        return round

    def current(self, round: str, evaluator: str) -> dict[Item, Judgement]:
        """Give the last judgement of each sentence, by item.

        Drafts are there too (no verdict, but a category or a note); what was withdrawn entirely is not.
        """
        last = (Judgement(*row) for row in self._database.read(_LAST_ONES, round, evaluator))
        return {one.item: one for one in last if one.verdict or one.category or one.note}

    def history(self, round: str, evaluator: str) -> list[Judgement]:
        """Give every judgement of an evaluator, oldest first, withdrawn ones too."""
        rows = self._database.read(f"{_OF_EVALUATOR} ORDER BY number", round, evaluator)
        return [Judgement(*row) for row in rows]

    def final(self, round: str) -> dict[Item, Judgement]:
        """Give the verdicts of the adjudication, by item; sentences not adjudicated are absent."""
        return _with_verdict(self.current(round, ADJUDICATION))

    # ------------------------------------------------------------ the end of a round

    def finish(self, round: str, evaluator: str) -> None:
        """Write down that an evaluator is done: no judgement of theirs is taken any more.

        Raises:
            MotionError: a sentence is not judged yet; no such round or evaluator.
        """
        known, items = self._known(round)
        _check_evaluator(known, evaluator, adjudication=False)

        def end(connection: sqlite3.Connection) -> None:
            rows = connection.execute(_LAST_ONES, (round, evaluator))
            judged = {one.item for one in (Judgement(*row) for row in rows) if one.verdict}
            left = len(items - judged)
            if left:
                reason = f"{evaluator} has {left} of {len(items)} sentences left"
                remedy = f"Judge them too; {UNSURE} is a verdict."
                raise MotionError(f"round {round}", reason, remedy)
            values = (round, evaluator, utc_now())
            connection.execute("INSERT OR IGNORE INTO finished VALUES (?, ?, ?)", values)

        self._database.write(end)

    def finished(self, round: str) -> set[str]:
        """Name the evaluators who have finished."""
        return {name for (name,) in self._database.read(_FINISHED, round)}

    def both(self, round: str) -> dict[str, dict[Item, Judgement]]:
        """Give every evaluator's verdicts: evaluator -> item -> judgement; drafts are left out.

        Raises:
            MotionError: an evaluator has not finished; until then nobody sees the others' judgements.
        """
        _check_all_finished(self.round(round), self.finished(round))
        return {name: _with_verdict(self.current(round, name)) for name in self.round(round).evaluators}


def open_store(dataset: str | Path) -> Store:
    """Open the reviews of a dataset, or begin them.

    Raises:
        DatasetError: the folder is no dataset.
        MotionError: the file is damaged, of a newer kinmo, or cannot be written.
    """
    Manifest.load(Path(dataset))
    return Store(Path(dataset))


def _check_evaluator(round: Round, evaluator: str, *, adjudication: bool) -> None:
    """Refuse the name of nobody who takes part."""
    if evaluator not in round.evaluators and not (adjudication and evaluator == ADJUDICATION):
        reason = f"has no evaluator named {evaluator[:80]!r}"
        raise MotionError(f"round {round.name}", reason, f"It has {', '.join(round.evaluators)}.")


def _check_open(connection: sqlite3.Connection, round: Round, evaluator: str) -> None:
    """Refuse judgements after the end, and an adjudication before it."""
    finished = {name for (name,) in connection.execute(_FINISHED, (round.name,))}
    if evaluator == ADJUDICATION:
        _check_all_finished(round, finished)
    elif evaluator in finished:
        remedy = "What the evaluators disagree about is settled in the adjudication."
        raise MotionError(f"round {round.name}", f"{evaluator} has finished it", remedy)


def _check_all_finished(round: Round, finished: set[str]) -> None:
    """Refuse to show or to settle anything before all have finished."""
    missing = [name for name in round.evaluators if name not in finished]
    if missing:
        reason = f"{', '.join(missing)} not finished yet"
        remedy = "Wait for them; evaluators judge on their own until all have finished."
        raise MotionError(f"round {round.name}", reason, remedy)


def _with_verdict(judgements: dict[Item, Judgement]) -> dict[Item, Judgement]:
    return {item: one for item, one in judgements.items() if one.verdict}


def _hash(token: str) -> bytes:
    """Digest a token; it is random and long, so that a plain digest cannot be turned back."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _encodable(text: str) -> str:
    """Escape what is no Unicode, as the dataset does."""
    return text.encode("utf-8", "backslashreplace").decode()


def _round_as_json(round: Round, dataset: Path) -> str:
    """Write a round down, and where below the store's folder its sentences lie.

    Raises:
        MotionError: they lie elsewhere, and would be lost where the dataset is moved.
    """
    values = {field.name: getattr(round, field.name) for field in fields(Round)}
    try:
        below = round.dataset.resolve().relative_to(dataset.resolve())
    except ValueError:
        reason = f"its sentences lie in {round.dataset}, outside of the dataset {dataset}"
        raise MotionError(f"round {round.name}", reason, "Put them into a folder below it.") from None
    return json.dumps(values | {"dataset": below.as_posix()})


def _round_from_json(content: str, dataset: Path) -> Round:
    """Read a round back.

    Raises:
        MotionError: it is none.
    """
    try:
        read: dict[str, Any] = json.loads(content)
        lists = {name: tuple(read[name]) for name in ("motion_ids", "fields", "evaluators")}
        below = PurePosixPath(read.get("dataset", "."))
        if below.is_absolute() or ".." in below.parts:
            raise ValueError("it leads out of the dataset")
        return Round(**(read | lists | {"dataset": dataset / below}))
    except (ValueError, TypeError, KeyError) as error:
        reason = f"holds a round that cannot be read ({error})"
        raise MotionError(str(dataset / STORE_NAME), reason, "Put a copy back from your backup.") from None
