"""Files of requests: JSON lines as the batch API takes them, cut at its limits, and what their keys mean.

Beside each `kinmo-TAG.jsonl`, which is what is uploaded, lies `kinmo-TAG.keys.json`: whose requests they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Final

from kinmo_annotate.describe.llm.batch.state import Chunk, State
from kinmo_annotate.describe.llm.form import RESPONSE_FORMAT
from kinmo_annotate.describe.llm.prices import ModelPrice
from kinmo_annotate.describe.llm.request import sent_body
from kinmo_annotate.schema.shards import DatasetError, atomic_write

MOST_REQUESTS: Final = 50_000  # of a batch (developers.openai.com/api/docs/guides/batch, "Rate limits")
MOST_BYTES: Final = 200_000_000  # of an input file, there
CHAT_PATH: Final = "/v1/chat/completions"
_CHARACTERS_PER_TOKEN: Final = 3.5  # before anything is counted
_OUTPUT_TOKENS: Final = 700.0
_SCHEMA_CHARACTERS: Final = len(json.dumps(RESPONSE_FORMAT))


def expected_usd(body: dict[str, Any], price: ModelPrice | None) -> float | None:
    """Estimate what a request will cost in a batch; None where no price is known."""
    if price is None:
        return None
    characters = sum(len(message["content"]) for message in body["messages"])
    characters += _SCHEMA_CHARACTERS if price.schema_in_prompt else 0
    return price.cost(characters / _CHARACTERS_PER_TOKEN, 0, _OUTPUT_TOKENS, batch=True)


@dataclass(slots=True)
class _Open:
    """A chunk being written."""

    number: int
    path: Path
    file: BinaryIO
    hash: Any
    bytes: int = 0
    usd: float | None = 0.0
    owners: dict[str, tuple[str, str]] = field(default_factory=dict)


class ChunkWriter:
    """Writes requests into as few chunks as the limits allow, one model to a chunk.

    The chunks belong to no batch and count for nothing before `finish` has given them and they stand in the
    state: a run that is killed before leaves files that the next one clears away.
    """

    def __init__(
        self,
        state: State,
        price: ModelPrice | None,
        most_requests: int = MOST_REQUESTS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.requests = 0
        self._state, self._price = state, price
        self._most_requests, self._most_bytes = most_requests, most_bytes
        self._open: dict[str, _Open] = {}
        self._done: list[Chunk] = []
        self._next = max((chunk.number for chunk in state.chunks), default=-1) + 1

    def add(self, key: str, motion_id: str, prompt_version: str, body: dict[str, Any]) -> None:
        """Write one request.

        Raises:
            DatasetError: the disk does not take it.
        """
        sent = sent_body(body, self._state.left_out)
        line = json.dumps(
            {"custom_id": key, "method": "POST", "url": CHAT_PATH, "body": sent}, separators=(",", ":")
        ).encode()
        model, size = str(body["model"]), len(line) + 1
        chunk = self._open.get(model)
        if chunk and (len(chunk.owners) >= self._most_requests or chunk.bytes + size > self._most_bytes):
            self._close(model)
            chunk = None
        try:
            chunk = chunk or self._begin(model)
            chunk.file.write(line + b"\n")
        except OSError as error:
            raise _unwritable(self._state.folder, error) from None
        chunk.hash.update(line)
        chunk.bytes += size
        chunk.owners[key] = (motion_id, prompt_version)
        usd = expected_usd(body, self._price)
        chunk.usd = None if usd is None or chunk.usd is None else chunk.usd + usd
        self.requests += 1

    def finish(self) -> list[Chunk]:
        """Close all files and give the chunks; the caller adds them to the state and saves it.

        Raises:
            DatasetError: the disk does not take them.
        """
        for model in list(self._open):
            self._close(model)
        return self._done

    def discard(self) -> None:
        """Throw away what is not finished."""
        for chunk in self._open.values():
            chunk.file.close()
            chunk.path.unlink(missing_ok=True)
        self._open.clear()

    def _begin(self, model: str) -> _Open:
        self._state.folder.mkdir(parents=True, exist_ok=True)
        path = self._state.folder / f".{self._next:05d}.jsonl.tmp"
        seed = f"{self._state.run_id} {self._next}".encode()
        chunk = _Open(self._next, path, path.open("wb"), blake2b(seed, digest_size=16))
        self._next += 1
        self._open[model] = chunk
        return chunk

    def _close(self, model: str) -> None:
        chunk = self._open.pop(model)
        tag = chunk.hash.hexdigest()
        try:
            chunk.file.flush()
            os.fsync(chunk.file.fileno())
            chunk.file.close()
            owners = json.dumps(chunk.owners, ensure_ascii=True).encode()
            atomic_write(keys_path(self._state.folder, tag), lambda file: file.write(owners))
            os.replace(chunk.path, requests_path(self._state.folder, tag))
        except OSError as error:
            raise _unwritable(self._state.folder, error) from None
        self._done.append(Chunk(tag, chunk.number, model, len(chunk.owners), chunk.usd))


def _unwritable(folder: Path, error: OSError) -> DatasetError:
    reason = f"requests cannot be written ({(error.strerror or str(error)).lower()})"
    return DatasetError(folder, reason, "Free some space, then run the same command again.")


def requests_path(folder: Path, tag: str) -> Path:
    """Name the file that is uploaded."""
    return folder / f"kinmo-{tag}.jsonl"


def keys_path(folder: Path, tag: str) -> Path:
    """Name the file that says whose requests they are."""
    return folder / f"kinmo-{tag}.keys.json"


def result_path(folder: Path, tag: str, kind: str) -> Path:
    """Name the file into which a chunk's "output" or "errors" are downloaded."""
    return folder / f"kinmo-{tag}.{kind}.jsonl"


def read_owners(folder: Path, tag: str) -> dict[str, tuple[str, str]]:
    """Read the keys of a chunk with motion id and prompt version.

    Raises:
        DatasetError: the file is missing or damaged.
    """
    path = keys_path(folder, tag)
    try:
        content = json.loads(path.read_bytes())
        return {str(key): (str(motion), str(version)) for key, (motion, version) in content.items()}
    except (OSError, AttributeError, TypeError, ValueError):
        remedy = "Put a copy of it back, or give its batch up with `kinmo annotate batch cancel`."
        raise DatasetError(path, "is missing or damaged", remedy) from None


def read_bodies(folder: Path, tag: str, keys: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Find the bodies of some requests in a chunk's file, in its order; of a file that is gone, none."""
    with suppress(OSError), requests_path(folder, tag).open("rb") as file:
        for line in file:
            with suppress(ValueError, KeyError, TypeError):
                record = json.loads(line)
                if record["custom_id"] in keys:
                    yield record["custom_id"], dict(record["body"])


def keys_in_flight(state: State) -> set[str]:
    """Collect the keys of all requests that are in a chunk and not collected.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    chunks = [chunk for chunk in state.chunks if chunk.pending or chunk.under_way]
    return {key for chunk in chunks for key in read_owners(state.folder, chunk.tag)}


def clear_files(state: State) -> None:
    """Remove the files of chunks that are collected, and those that no chunk of the state owns."""
    kept = {chunk.tag for chunk in state.chunks if chunk.pending or chunk.under_way}
    for path in state.folder.glob("*kinmo-*"):
        if path.name.lstrip(".").removeprefix("kinmo-").partition(".")[0] not in kept:
            path.unlink(missing_ok=True)
    for path in state.folder.glob(".*.jsonl.tmp"):
        path.unlink(missing_ok=True)
