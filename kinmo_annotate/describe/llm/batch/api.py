"""The files and batches of an OpenAI-compatible endpoint: each call, and what its failure means.

What an endpoint sends is data: ids go into paths quoted, numbers and texts are taken as what they should be
or not at all, and the key is taken out of everything before anyone else sees it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from kinmo_annotate.describe.llm.client import (
    KEY_VARIABLE,
    NO_KEY,
    SCRUBBED,
    Outcome,
    endpoint_address,
    key_pattern,
    status_reply,
)
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import DatasetError, atomic_write

if TYPE_CHECKING:
    from openai import OpenAI

WHERE: Final = "the batch endpoint"
ENDED: Final = ("completed", "failed", "expired", "cancelled")
TOO_MUCH: Final = "token_limit_exceeded"  # more prompt tokens are enqueued than the account may
TAG_NAME: Final = "kinmo"  # of the tag in a batch's metadata
_CHAT: Final = "/v1/chat/completions"
_WINDOW: Final = "24h"  # the only one there is
_TRIES: Final = 5
_MOST_PAUSE_S: Final = 30.0
_PAGE: Final = 100
_MOST_PAGES: Final = 50
_MOST_ERRORS: Final = 20
_BLOCK: Final = 1 << 20


class BatchError(MotionError):
    """A call that did not succeed.

    Attributes:
        kind: "refused"; "limit", where a later call may succeed; "gone", where the endpoint does not know
            the file or batch; or "unclear", where it may have done what it was asked.
    """

    def __init__(self, kind: str, reason: str, remedy: str, pause_s: float = 0.0) -> None:
        self.kind, self.pause_s = kind, pause_s
        super().__init__(WHERE, reason, remedy)


@dataclass(frozen=True, slots=True)
class Remote:
    """A batch as the endpoint shows it; `errors` are (code, message) of a batch that failed as a whole."""

    batch_id: str
    status: str
    input_file_id: str = ""
    tag: str = ""
    output_file_id: str = ""
    error_file_id: str = ""
    completed: int = 0
    failed: int = 0
    total: int = 0
    created_at: int = 0
    expires_at: int = 0
    errors: tuple[tuple[str, str], ...] = field(default=())


class Api:
    """Talks to one endpoint. Close it when done."""

    def __init__(
        self,
        base_url: str | None,
        timeout_s: float = 600.0,
        pause: Callable[[float], object] = time.sleep,
        tries: int = _TRIES,
    ) -> None:
        key = os.environ.get(KEY_VARIABLE, "").strip()
        self._key = key_pattern(key)
        self._openai: Any = _open(base_url, key, timeout_s)
        self._pause, self._tries = pause, tries

    def scrub(self, text: str) -> str:
        """Take the key out of a text."""
        return self._key.sub(SCRUBBED, text) if self._key else text

    def close(self) -> None:
        """Close the connections."""
        self._openai.close()

    # ------------------------------------------------------------ files

    def upload(self, path: Path) -> str:
        """Upload a file of requests and give its id.

        Raises:
            BatchError: see its kinds.
            DatasetError: the file cannot be read.
        """
        try:
            with path.open("rb") as file:
                upload = {"file": (path.name, file, "application/jsonl")}
                content = self._once("POST", "/files", files=upload, body={"purpose": "batch"})
        except OSError as error:
            remedy = f"Run the same command again; {path.name} is written anew where it is missing."
            raise DatasetError(path, f"cannot be read ({error.strerror})", remedy) from None
        return self._id(content, "the file")

    def find_file(self, name: str, size: int) -> str | None:
        """Find an uploaded file by its name and bytes."""
        for one in self._listed("/files", {"purpose": "batch", "order": "desc"}):
            if one.get("filename") == name and one.get("bytes") in (size, None):
                return _text(one.get("id")) or None
        return None

    def download(self, file_id: str, path: Path) -> None:
        """Download a file whole or not at all.

        Raises:
            BatchError: see its kinds.
            DatasetError: it cannot be written.
        """

        def fetch() -> None:
            with self._openai.files.with_streaming_response.content(file_id) as response:
                parts = response.iter_bytes(_BLOCK)
                atomic_write(path, lambda file: [file.write(part) for part in parts])

        self._patiently(lambda: self._told(fetch))

    # ------------------------------------------------------------ batches

    def create(self, file_id: str, tag: str) -> Remote:
        """Create the batch of an uploaded file.

        Raises:
            BatchError: see its kinds.
        """
        body = {
            "input_file_id": file_id,
            "endpoint": _CHAT,
            "completion_window": _WINDOW,
            "metadata": {TAG_NAME: tag},
        }
        return self._remote(self._once("POST", "/batches", body=body))

    def find_batch(self, file_id: str, tag: str, past: list[str]) -> Remote | None:
        """Find the batch of a file by its tag, or by the file; batches of the past do not count."""
        for one in self._listed("/batches", {}):
            if _text(one.get("id")) in past:
                continue
            metadata = one.get("metadata")
            tagged = isinstance(metadata, dict) and metadata.get(TAG_NAME) == tag
            if tagged or (file_id and one.get("input_file_id") == file_id):
                return self._remote(one)
        return None

    def retrieve(self, batch_id: str) -> Remote:
        """Look at a batch.

        Raises:
            BatchError: see its kinds.
        """
        return self._patiently(lambda: self._remote(self._once("GET", _batch_path(batch_id))))

    def cancel(self, batch_id: str) -> Remote:
        """Ask for an end of a batch; one that has ended is given as it is.

        Raises:
            BatchError: see its kinds.
        """
        try:
            return self._patiently(
                lambda: self._remote(self._once("POST", f"{_batch_path(batch_id)}/cancel"))
            )
        except BatchError:
            remote = self.retrieve(batch_id)
            if remote.status in ENDED:
                return remote
            raise

    # ------------------------------------------------------------ calls

    def _listed(self, path: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Go through a list, newest first, page by page."""
        after: dict[str, Any] = {}
        for _ in range(_MOST_PAGES):
            content = self._patiently(
                partial(self._once, "GET", path, query=query | {"limit": _PAGE} | after)
            )
            listed = content.get("data")
            items = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
            yield from items
            last = _text(items[-1].get("id")) if items else ""
            if not content.get("has_more") or not last or after.get("after") == last:
                return
            after = {"after": last}

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """Make a call that does no harm if it is made again, until it succeeds or is refused."""
        for attempt in range(1, self._tries + 1):
            try:
                return call()
            except BatchError as error:
                if error.kind in ("refused", "gone") or attempt == self._tries:
                    raise
                self.wait_a_little(attempt, error.pause_s)
        raise AssertionError  # the loop returns or raises

    def wait_a_little(self, attempt: int, advised_s: float = 0.0) -> None:
        """Pause before another attempt; the first is number 1."""
        self._pause(min(_MOST_PAUSE_S, max(advised_s, 0.5 * 2**attempt)))

    def _once(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        files: Any = None,
        query: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Make a call and give the JSON object that comes back.

        Raises:
            BatchError: see its kinds.
        """
        import httpx2

        options: dict[str, Any] = {"params": query} if query else {}
        if files is not None:
            options["headers"] = {"Content-Type": "multipart/form-data"}

        def call() -> Any:
            if method == "GET":
                return self._openai.get(path, cast_to=httpx2.Response, options=options)
            return self._openai.post(path, cast_to=httpx2.Response, body=body, files=files, options=options)

        response = self._told(call)
        try:
            content = json.loads(self.scrub(response.content.decode("utf-8", "replace")))
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            remedy = "Check --base-url: it must be that of an API, such as https://api.openai.com/v1."
            raise BatchError("unclear", f"{method} {path} was answered with no JSON object", remedy)
        return content

    def _told(self, call: Callable[[], Any]) -> Any:
        """Make a call; turn what can go wrong into a `BatchError`."""
        import httpx2
        import openai

        later = "Run the same command again in a while; what was submitted is kept."
        try:
            return call()
        except openai.APIStatusError as error:
            raise self._refusal(error) from None
        except openai.APITimeoutError:
            raise BatchError("unclear", "there was no answer in time", later) from None
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError) as error:
            cause = self.scrub(" ".join(str(error.__cause__ or error).split())[:200])
            raise BatchError("unclear", f"the connection failed ({cause})", later) from None

    def _refusal(self, error: Any) -> BatchError:
        headers = {name.lower(): value for name, value in error.response.headers.items()}
        with_text = self.scrub(_body_text(error.response))
        reply = status_reply(error.status_code, with_text, headers)
        if TOO_MUCH in reply.reason or "nqueued token limit" in reply.reason:
            remedy = "Collect the batches under way first: their end makes room for the others."
            return BatchError("limit", reply.reason, remedy)
        if reply.outcome is Outcome.RATE_LIMITED:
            remedy = "Run the same command again in a while; what was submitted is kept."
            return BatchError("limit", reply.reason, remedy, _seconds(headers.get("retry-after")))
        if reply.outcome is Outcome.BROKEN:
            return BatchError("unclear", reply.reason, "Run the same command again in a while.")
        if error.status_code == 404:
            remedy = "Check --base-url and that the key in OPENAI_API_KEY is of the same project."
            return BatchError("gone", reply.reason, remedy)
        remedy = reply.remedy if error.status_code != 413 else "Take fewer motions with --limit."
        return BatchError("refused", reply.reason, remedy or "Check --model and --base-url.")

    def _remote(self, content: dict[str, Any]) -> Remote:
        counts = content.get("request_counts")
        counts = counts if isinstance(counts, dict) else {}
        metadata = content.get("metadata")
        return Remote(
            self._id(content, "the batch"),
            _text(content.get("status")),
            _text(content.get("input_file_id")),
            _text(metadata.get(TAG_NAME)) if isinstance(metadata, dict) else "",
            _text(content.get("output_file_id")),
            _text(content.get("error_file_id")),
            _count(counts.get("completed")),
            _count(counts.get("failed")),
            _count(counts.get("total")),
            _count(content.get("created_at")),
            _count(content.get("expires_at")),
            _errors(content.get("errors")),
        )

    def _id(self, content: dict[str, Any], what: str) -> str:
        found = _text(content.get("id"))
        if not found:
            remedy = "Check --base-url: the endpoint must have OpenAI's files and batches."
            raise BatchError("unclear", f"{what} has no id", remedy)
        return found


def _batch_path(batch_id: str) -> str:
    return f"/batches/{quote(batch_id, safe='')}"


def _text(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 0 < value < 1 << 40 else 0


def _seconds(text: str | None) -> float:
    try:
        return min(_MOST_PAUSE_S, max(0.0, float(text or 0)))
    except ValueError:
        return 0.0


def _errors(content: Any) -> tuple[tuple[str, str], ...]:
    """Read why a batch failed as a whole."""
    listed = content.get("data") if isinstance(content, dict) else None
    found = []
    for one in listed[:_MOST_ERRORS] if isinstance(listed, list) else ():
        if isinstance(one, dict):
            line = f" (line {one['line']})" if isinstance(one.get("line"), int) else ""
            message = " ".join(str(one.get("message") or "").split())[:300]
            found.append((_text(one.get("code")), message + line))
    return tuple(found)


def _body_text(response: Any) -> str:
    try:
        return response.text
    except Exception:  # of a streamed response that was not read
        return ""


def _open(base_url: str | None, key: str, timeout_s: float) -> OpenAI:
    """Open the client; its own retries are off.

    Raises:
        MotionError: it is not installed, or there is no key or no address.
    """
    try:
        import httpx2
        from openai import OpenAI
    except ImportError as error:
        raise MotionError("--batch", str(error), "Run `pip install openai`.") from None
    address = endpoint_address(base_url, has_key=bool(key))
    timeout = httpx2.Timeout(timeout_s, connect=min(30.0, timeout_s))
    return OpenAI(api_key=key or NO_KEY, base_url=address, max_retries=0, timeout=timeout)
