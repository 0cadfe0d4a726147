"""The Files API of the endpoint: multipart uploads in, whole files out, all in memory."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from typing import Any

from faults import Reply, bad_request, error_body
from wire import Request

PURPOSES = {"assistants", "batch", "fine-tune", "vision", "user_data", "evals"}
MONTH_S = 30 * 86400


def new_id(prefix: str) -> str:
    """Make up an id as the API does."""
    return prefix + os.urandom(16).hex()


def answer(value: Any, status: int = 200) -> Reply:
    """Wrap a JSON value."""
    return Reply(status, json.dumps(value, ensure_ascii=False).encode(), "ok")


def not_found(what: str, name: str) -> Reply:
    """A 404 for an id that does not exist."""
    return Reply(
        404, error_body(f"No {what} found with id '{name}'.", "invalid_request_error", "id", None), "ok"
    )


def page(items: list[dict[str, Any]], query: dict[str, str], default: int) -> Reply:
    """One page of a list, newest first: `after` an id, at most `limit`."""
    limit = max(1, min(int(query.get("limit", default)), 10_000))
    ids = [item["id"] for item in items]
    if "after" in query and query["after"] not in ids:
        return not_found("object", query["after"])
    first = ids.index(query["after"]) + 1 if "after" in query else 0
    shown = items[first : first + limit]
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {}
    more = first + limit < len(items)
    return answer(
        {"object": "list", "data": shown, "first_id": None, "last_id": None, **ends, "has_more": more}
    )


@dataclass(slots=True)
class Part:
    """One part of a multipart body."""

    name: str
    filename: str | None
    content: bytes


def parse_multipart(content_type: str, body: bytes) -> list[Part]:
    """Take a multipart/form-data body apart; an empty list if it is none."""
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    if not found:
        return []
    parts, mark = [], b"--" + found[1].encode()
    start = body.find(mark)
    while start >= 0 and (end := body.find(b"\r\n" + mark, start)) >= 0:
        middle = body.find(b"\r\n\r\n", start, end)
        said = body[start:middle].decode("utf-8", "replace")
        name = re.search(r'\bname="([^"]*)"', said)
        filename = re.search(r'\bfilename="([^"]*)"', said)
        if name and middle >= 0:
            parts.append(Part(name[1], filename[1] if filename else None, body[middle + 4 : end]))
        start = end + 2
    return parts


class Files:
    """What was uploaded, and what batches wrote."""

    def __init__(self) -> None:
        self.about: dict[str, dict[str, Any]] = {}
        self.content: dict[str, bytes] = {}

    def add(self, name: str, purpose: str, content: bytes) -> str:
        """Keep a file; its id."""
        one, now = new_id("file-"), int(time.time())
        self.content[one] = content
        self.about[one] = {
            "id": one,
            "object": "file",
            "bytes": len(content),
            "created_at": now,
            "expires_at": now + MONTH_S,
            "filename": name,
            "purpose": purpose,
            "status": "processed",
            "status_details": None,
        }
        return one

    def upload(self, request: Request, largest: int) -> Reply:
        """POST /v1/files."""
        parts = {
            part.name: part for part in parse_multipart(request.headers.get("content-type", ""), request.body)
        }
        if "file" not in parts or "purpose" not in parts:
            return bad_request("'file' and 'purpose' are required properties")
        file, purpose = parts["file"], parts["purpose"].content.decode()
        if purpose not in PURPOSES:
            return bad_request(f"'{purpose}' is not one of {sorted(PURPOSES)}", "purpose")
        if purpose == "batch" and not (file.filename or "").endswith(".jsonl"):
            return bad_request("Invalid file format for Batch API. Must be .jsonl")
        if purpose == "batch" and len(file.content) > largest:
            said = f"File is too large: {len(file.content)} bytes; at most {largest} for a batch."
            return Reply(413, error_body(said, "invalid_request_error", "file", None), "too_large")
        return answer(self.about[self.add(file.filename or "file", purpose, file.content)])

    def route(self, request: Request, rest: list[str], largest: int) -> Reply | None:
        """Answer a request below /v1/files; `rest` are the parts of the path after it."""
        match request.method, rest:
            case "POST", []:
                return self.upload(request, largest)
            case "GET", []:
                wanted = request.query.get("purpose")
                shown = [one for one in reversed(self.about.values()) if wanted in (None, one["purpose"])]
                return page(shown, request.query, 10_000)
            case "GET", [one] | [one, "content"] if one not in self.about:
                return not_found("file", one)
            case "GET", [one]:
                return answer(self.about[one])
            case "GET", [one, "content"]:
                return Reply(200, self.content[one], "ok", {"content-type": "application/octet-stream"})
            case "DELETE", [one]:
                found = self.about.pop(one, None)
                self.content.pop(one, None)
                return (
                    answer({"id": one, "object": "file", "deleted": True})
                    if found
                    else not_found("file", one)
                )
        return None
