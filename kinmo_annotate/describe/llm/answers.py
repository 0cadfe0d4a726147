"""Answers that were paid for: kept by what was asked, and archived as they came beside the dataset.

The cache (diskcache, the user's or --cache) serves every dataset. The archive, `answers/*.jsonl.zst` in the
dataset, holds each raw answer that the dataset stands on, so that it can be rebuilt when its model is gone:
one JSON object a line, each line a zstd frame of its own, so that a kill costs no line but the one being
written. An answer is written to the archive first and to the cache second; what an archive has and the cache
lacks is put into the cache when a run begins.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import diskcache
import pyarrow as pa

from kinmo_annotate.caches import open_cache
from kinmo_annotate.describe.llm.form import AnswerError, parse_answer
from kinmo_annotate.schema.places import cache_folder
from kinmo_annotate.schema.shards import DatasetError

ARCHIVE_DIR: Final = "answers"
_ACCEPTED: Final = "accepted"
_BLOCK: Final = 1 << 16
_ByMotion = tuple[str, str, str]
# What a cache that is damaged, or that another process holds for a minute, may raise.
_CACHE_ERRORS: Final = (sqlite3.Error, OSError, diskcache.Timeout)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer that can be used.

    Attributes:
        key: of the request.
        motion_id, model, prompt_version: of the motion first asked for.
        text: the JSON that the model wrote.
        input_tokens, output_tokens, cached_tokens: as the endpoint counted them; those of a first answer that
            had to be asked again are included.
        cost_usd: at the prices of the day; None where no price is known.
    """

    key: str
    motion_id: str
    model: str
    prompt_version: str
    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = None


_NAMES: Final = tuple(field.name for field in fields(Answer))


class Answers:
    """All answers at hand. One process writes; open it with `open_answers`.

    Attributes:
        spent_usd: what this dataset has paid so far, unusable answers and earlier runs included.
        from_cache: answers found so far without asking.
    """

    def __init__(
        self, cache: diskcache.Cache | None, folder: Path, check: Callable[[str], object] = parse_answer
    ) -> None:
        self.spent_usd = 0.0
        self.from_cache = 0
        self._cache, self._folder, self._check = cache, folder, check
        self._file: int | None = None
        self._archived: set[str] = set()
        self._by_motion: dict[_ByMotion, Answer] = {}

    def get(self, key: str) -> Answer | None:
        """Find the answer to a request that was asked before, in this dataset or in another one.

        Raises:
            DatasetError: it cannot be written into this dataset's archive.
        """
        found = self._recall(key)
        if found is None:
            return None
        answer, raw = found
        self.from_cache += 1
        if key not in self._archived:
            self._archive(_line(answer, _ACCEPTED, raw, 0.0))
            self._archived.add(key)
        return answer

    def of_motion(self, motion_id: str, model: str, prompt_version: str) -> Answer | None:
        """Find a motion's answer in this dataset's archive, whatever was asked: for a rebuild."""
        answer = self._by_motion.get((motion_id, model, prompt_version))
        return answer if answer and self._usable(answer) else None

    def put(self, answer: Answer, raw: dict[str, Any], paid_usd: float | None) -> None:
        """Keep an answer.

        Args:
            answer: what came.
            raw: the response body as it came.
            paid_usd: for this response alone; None where no price is known.

        Raises:
            DatasetError: it cannot be written.
        """
        line = _line(answer, _ACCEPTED, raw, paid_usd)
        self.spent_usd += paid_usd or 0.0
        try:
            self._archive(line)
            self._archived.add(answer.key)
        finally:
            self._remember(answer.key, line)  # which may be on another disk, where there is room

    def put_unusable(self, answer: Answer, outcome: str, raw: dict[str, Any], paid_usd: float | None) -> None:
        """Archive a response that cannot be used, and count what it cost.

        Raises:
            DatasetError: it cannot be written.
        """
        self.spent_usd += paid_usd or 0.0
        self._archive(_line(answer, outcome, raw, paid_usd))

    def load_archive(self) -> None:
        """Read what earlier runs archived: into the cache what it lacks, into the sum what was paid."""
        for record in read_archive(self._folder):
            self.spent_usd += _number(record.get("paid_usd")) or 0.0
            if record.get("outcome") != _ACCEPTED:
                continue
            try:
                answer = _answer_of(record)
            except ValueError:  # changed by hand
                continue
            self._archived.add(answer.key)
            self._by_motion[answer.motion_id, answer.model, answer.prompt_version] = answer
            if not self._remembers(answer.key):
                self._remember(answer.key, _line(answer, _ACCEPTED, record.get("raw") or {}, 0.0))

    def close(self) -> None:
        """Close the files."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._cache is not None:
            self._cache.close()

    def _usable(self, answer: Answer) -> bool:
        """Tell whether an answer of an earlier day has all that is wanted of one today."""
        try:
            self._check(answer.text)
        except AnswerError:
            return False
        return True

    def _recall(self, key: str) -> tuple[Answer, dict[str, Any]] | None:
        try:
            stored = self._cache.get(key.encode()) if self._cache is not None else None
            if stored is None:
                return None
            record = json.loads(stored)
            answer = _answer_of(record)
            return (answer, record["raw"]) if self._usable(answer) else None
        except (*_CACHE_ERRORS, ValueError, KeyError, TypeError, RecursionError):
            return None  # a damaged cache costs money, not the run

    def _remembers(self, key: str) -> bool:
        try:
            return self._cache is not None and key.encode() in self._cache
        except _CACHE_ERRORS:
            return False

    def _remember(self, key: str, line: bytes) -> None:
        if self._cache is None:
            return
        try:
            self._cache.set(key.encode(), line)
        except _CACHE_ERRORS:
            self._cache = None  # the archive has it, and the next run reads the archive

    def _archive(self, line: bytes) -> None:
        frame = pa.compress(line, codec="zstd", asbytes=True)
        try:
            if self._file is None:
                self._file = _new_file(self._folder)
            self._write(self._file, frame)
        except OSError as error:
            reason = f"answers cannot be archived ({(error.strerror or str(error)).lower()})"
            remedy = "Free some space, then run the same command again; what was answered is kept."
            raise DatasetError(self._folder, reason, remedy) from None

    def _write(self, file: int, frame: bytes) -> None:
        """Append a frame whole or not at all: whatever follows half a frame could not be read."""
        length = os.fstat(file).st_size
        try:
            if os.write(file, frame) != len(frame):
                raise OSError("the disk is full")
        except OSError:
            os.ftruncate(file, length)
            raise


def _answer_of(record: dict[str, Any]) -> Answer:
    """Read an answer.

    Raises:
        ValueError: something in it is not of its kind.
    """
    texts = {name: record[name] for name in _NAMES[:5]}
    counts = {name: record[name] for name in _NAMES[5:8]}
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("a text is none")
    if not all(isinstance(count, int) for count in counts.values()):
        raise ValueError("a number of tokens is none")
    return Answer(**texts, **counts, cost_usd=_number(record["cost_usd"]))


def _number(value: Any) -> float | None:
    """Give a number that is one, and finite."""
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else None


def _line(answer: Answer, outcome: str, raw: dict[str, Any], paid_usd: float | None) -> bytes:
    """Write a response as a line of JSON, for the archive and the cache."""
    record = {name: getattr(answer, name) for name in _NAMES}
    record |= {"outcome": outcome, "paid_usd": paid_usd, "raw": raw, "at": _now()}
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def open_answers(
    out: Path, cache_root: Path | None, check: Callable[[str], object] = parse_answer
) -> Answers:
    """Open the cache of answers and a dataset's archive.

    Args:
        out: the dataset.
        cache_root: folder of all caches; None is the user's.
        check: raises an `AnswerError` for a text that is no answer; else the 21 sentences are wanted.

    Raises:
        MotionError: the cache cannot be opened.
        DatasetError: the archive cannot be read.
    """
    answers = Answers(open_cache(cache_folder(cache_root, "answers"), "answers"), out / ARCHIVE_DIR, check)
    answers.load_archive()
    return answers


def read_archive(folder: Path) -> Iterator[dict[str, Any]]:
    """Read the archived responses of a dataset, in the order they came.

    A line that a kill cut off ends its file.

    Raises:
        DatasetError: a file cannot be opened.
    """
    for path in sorted(folder.glob("*.jsonl.zst")):
        try:
            yield from _records(path)
        except OSError as error:
            remedy = "Check its permissions, or move it away."
            raise DatasetError(path, f"cannot be read ({error})", remedy) from None


def _records(path: Path) -> Iterator[dict[str, Any]]:
    rest = b""
    for block in _blocks(path):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            with suppress(ValueError, RecursionError):
                record = json.loads(line)
                if isinstance(record, dict) and all(name in record for name in _NAMES):
                    yield record


def _blocks(path: Path) -> Iterator[bytes]:
    """Read up to where the file is whole.

    Raises:
        OSError: it cannot be opened.
    """
    done = 0
    with pa.input_stream(str(path), compression="zstd") as stream:
        try:
            while block := stream.read(_BLOCK):
                done += len(block)
                yield block
            return
        except OSError:  # cut off by a kill, somewhere in this block
            pass
    with pa.input_stream(str(path), compression="zstd") as stream, suppress(OSError):
        stream.read(done)
        while byte := stream.read(1):
            yield byte


def _new_file(folder: Path) -> int:
    """Begin an archive file of this run; earlier ones are never written to again."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
    return os.open(folder / f"{stamp}-{os.getpid()}.jsonl.zst", flags, 0o644)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
