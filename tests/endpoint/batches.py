"""The Batch API of the endpoint: from an uploaded file to an output and an error file, in seconds, not hours.

Nothing runs in the background: a batch's state follows from the clock whenever somebody looks at it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from faults import Reply, bad_request, chance, error_body
from files import Files, answer, new_id, not_found, page
from wire import Request

OPTIONS: dict[str, Any] = {
    "validate_s": 0.0,  # how long a batch is validating
    "run_s": 0.2,  # how long it is in progress
    "finalize_s": 0.0,
    "cancel_s": 0.05,  # how long it is cancelling
    "faults": {},  # name -> probability, of its lines: errors and spoilt answers
    "expire_share": 0.0,  # of the lines of every batch
    "expire": [],  # which batches expire whole, by number from 1
    "fail": {},  # number of a batch -> code with which it fails in validation
    "max_lines": 50_000,
    "max_bytes": 200_000_000,
    "enqueued_tokens": None,  # of all batches that are not over; more: token_limit_exceeded
    "shuffle": True,  # results in another order than the lines
}
OPEN = {"validating", "in_progress", "finalizing", "cancelling"}
COUNTED = ("input_tokens", "output_tokens")
EXPIRED = ("batch_expired", "This request could not be executed before the completion window expired.")
CANCELLED = ("batch_cancelled", "This request was not executed because the batch was cancelled.")


@dataclass(slots=True)
class Batch:
    """A batch: what the API shows of it, and what it works on."""

    shown: dict[str, Any]
    number: int
    since: float  # monotonic time of the last change of status
    lines: list[dict[str, Any]] = field(default_factory=list)
    tokens: int = 0
    done: int = 0  # lines executed when it was cancelled


class Batches:
    """All batches; `execute(body, batch id)` answers a line, `options()` gives the options as they stand."""

    def __init__(
        self, files: Files, execute: Callable[[Any, str], Reply], options: Callable[[], dict[str, Any]]
    ) -> None:
        self.files, self.execute, self._options = files, execute, options
        self.all: dict[str, Batch] = {}

    @property
    def options(self) -> dict[str, Any]:
        """The batch options as they stand."""
        return self._options()["batch"]

    def route(self, request: Request, rest: list[str]) -> Reply | None:
        """Answer a request below /v1/batches; `rest` are the parts of the path after it."""
        for batch in self.all.values():
            self.advance(batch)
        match request.method, rest:
            case "POST", []:
                return self.create(request)
            case "GET", []:
                return page([batch.shown for batch in reversed(self.all.values())], request.query, 20)
            case _, [one] | [one, "cancel"] if one not in self.all:
                return not_found("batch", one)
            case "GET", [one]:
                return answer(self.all[one].shown)
            case "POST", [one, "cancel"]:
                return self.cancel(self.all[one])
        return None

    def create(self, request: Request) -> Reply:
        """POST /v1/batches."""
        try:
            asked = json.loads(request.body)
        except ValueError:
            return bad_request("We could not parse the JSON body of your request.")
        if wrong := _wrong(asked, self.files):
            return wrong
        now, one = int(time.time()), new_id("batch_")
        stamps = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
        shown = {
            "id": one,
            "object": "batch",
            "endpoint": asked["endpoint"],
            "errors": None,
            "input_file_id": asked["input_file_id"],
            "completion_window": "24h",
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": now,
            "expires_at": now + 86400,
            **{f"{name}_at": None for name in stamps},
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": asked.get("metadata"),
        }
        self.all[one] = Batch(shown, len(self.all) + 1, time.monotonic())
        return answer(shown)

    def cancel(self, batch: Batch) -> Reply:
        """POST /v1/batches/ID/cancel."""
        if batch.shown["status"] not in OPEN:
            said = f"Cannot cancel a batch with status '{batch.shown['status']}'."
            return Reply(409, error_body(said, "invalid_request_error", None, None), "conflict")
        if batch.shown["status"] != "cancelling":
            self._set(batch, "cancelling", time.monotonic())
        return answer(batch.shown)

    # ------------------------------------------------------------ what time does

    def advance(self, batch: Batch) -> None:
        """Move a batch on as far as the clock says."""
        times = self.options
        steps = {
            "validating": ("validate_s", self._validated),
            "in_progress": ("run_s", lambda b, at: self._set(b, "finalizing", at)),
            "finalizing": ("finalize_s", self._finish),
            "cancelling": ("cancel_s", lambda b, at: self._finish(b, at, CANCELLED)),
        }
        while (status := batch.shown["status"]) in steps:
            option, step = steps[status]
            passed = time.monotonic() - batch.since
            if status == "in_progress":
                share = min(1.0, passed / times["run_s"]) if times["run_s"] else 1.0
                batch.done = int(share * len(batch.lines))
                batch.shown["request_counts"]["completed"] = batch.done
            if passed < times[option]:
                return
            step(batch, batch.since + times[option])

    def _set(self, batch: Batch, status: str, at: float) -> None:
        """Change the status as of `at`, which may lie back: nobody looked at that moment."""
        batch.shown["status"] = status
        batch.shown[f"{status}_at"] = int(time.time() + at - time.monotonic())
        batch.since = at

    def _validated(self, batch: Batch, at: float) -> None:
        content = self.files.content.get(batch.shown["input_file_id"], b"")
        errors, batch.lines = read_lines(content, batch.shown["endpoint"], self.options["max_lines"])
        batch.tokens = len(content) // 4
        busy = sum(b.tokens for b in self.all.values() if b is not batch and b.shown["status"] in OPEN)
        limit = self.options["enqueued_tokens"]
        code = self.options["fail"].get(str(batch.number))
        if limit is not None and busy + batch.tokens > limit:
            errors = [_error("token_limit_exceeded", f"Enqueued token limit reached. Limit: {limit:,}.")]
        elif code:
            errors = [_error(code, f"The batch failed with {code}.")]
        if errors:
            batch.shown["errors"] = {"object": "list", "data": errors}
            self._set(batch, "failed", at)
            return
        batch.shown["request_counts"]["total"] = len(batch.lines)
        batch.shown["model"] = batch.lines[0]["body"].get("model")
        self._set(batch, "in_progress", at)

    def _finish(self, batch: Batch, at: float, missed: tuple[str, str] = EXPIRED) -> None:
        """Execute the lines and write the two files."""
        good, bad = [], []
        usage: dict[str, Any] = dict.fromkeys(COUNTED, 0)
        usage["cached_tokens"] = 0
        for number, line in enumerate(batch.lines):
            ran = number < batch.done if missed is CANCELLED else not self._expires(batch, line)
            result = self._run(batch, line, usage) if ran else _missed(line, missed)
            served = result["response"] is not None and result["response"]["status_code"] == 200
            (good if served else bad).append(result)
        counts = {"total": len(batch.lines), "completed": len(good), "failed": len(bad)}
        batch.shown |= {"request_counts": counts, "usage": _usage(usage)}
        for name, results in (("output", good), ("error", bad)):
            if results:
                batch.shown[f"{name}_file_id"] = self._write(batch, name, results)
        expired = any(result["error"] and result["error"]["code"] == EXPIRED[0] for result in bad)
        batch.lines = []
        ended = "cancelled" if missed is CANCELLED else "expired" if expired else "completed"
        self._set(batch, ended, at)

    def _expires(self, batch: Batch, line: dict[str, Any]) -> bool:
        share = 1.0 if batch.number in self.options["expire"] else self.options["expire_share"]
        return chance("expire", self._options()["seed"], batch.number, line["custom_id"]) < share

    def _run(self, batch: Batch, line: dict[str, Any], usage: dict[str, Any]) -> dict[str, Any]:
        reply = self.execute(line["body"], batch.shown["id"])
        if reply.usage:
            usage["input_tokens"] += reply.usage["prompt_tokens"]
            usage["output_tokens"] += reply.usage["completion_tokens"]
            usage["cached_tokens"] += reply.usage["prompt_tokens_details"]["cached_tokens"]
        response = {"status_code": reply.status, "request_id": new_id(""), "body": json.loads(reply.body)}
        return {
            "id": new_id("batch_req_"),
            "custom_id": line["custom_id"],
            "response": response,
            "error": None,
        }

    def _write(self, batch: Batch, name: str, results: list[dict[str, Any]]) -> str:
        if self.options["shuffle"]:
            results = sorted(results, key=lambda result: chance("order", result["custom_id"]))
        text = "".join(json.dumps(result, ensure_ascii=False) + "\n" for result in results)
        return self.files.add(f"{batch.shown['id']}_{name}.jsonl", "batch_output", text.encode())


def _missed(line: dict[str, Any], why: tuple[str, str]) -> dict[str, Any]:
    error = {"code": why[0], "message": why[1]}
    return {"id": new_id("batch_req_"), "custom_id": line["custom_id"], "response": None, "error": error}


def _usage(sums: dict[str, int]) -> dict[str, Any]:
    return {
        "input_tokens": sums["input_tokens"],
        "input_tokens_details": {"cached_tokens": sums["cached_tokens"]},
        "output_tokens": sums["output_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sums["input_tokens"] + sums["output_tokens"],
    }


def _wrong(asked: Any, files: Files) -> Reply | None:
    """What POST /v1/batches itself refuses; faults in the lines show later, in validation."""
    if not isinstance(asked, dict) or asked.get("completion_window") != "24h":
        return bad_request("Invalid value: 'completion_window' must be '24h'.", "completion_window")
    if asked.get("endpoint") != "/v1/chat/completions":
        return bad_request("Invalid value: 'endpoint'.", "endpoint")
    about = files.about.get(asked.get("input_file_id", ""))
    if about is None or about["purpose"] != "batch":
        return bad_request("Invalid 'input_file_id': no file with purpose 'batch' has it.", "input_file_id")
    tags = asked.get("metadata") or {}
    fits = len(tags) <= 16 and all(isinstance(v, str) and len(v) <= 512 for v in tags.values())
    if not fits or any(len(key) > 64 for key in tags):
        return bad_request("Invalid 'metadata': at most 16 pairs, keys of 64, texts of 512.", "metadata")
    return None


def _error(code: str, message: str, line: int | None = None, param: str | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "line": line, "param": param}


def read_lines(content: bytes, endpoint: str, most: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Read the lines of an input file: what is wrong with them, and the lines."""
    texts = [text for text in content.split(b"\n") if text.strip()]
    if not texts:
        return [_error("empty_file", "The input file is empty.")], []
    if len(texts) > most:
        said = f"The input file has {len(texts)} requests; at most {most} are allowed in a batch."
        return [_error("too_many_tasks", said)], []
    errors, lines, ids, models = [], [], set(), set()
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
        except ValueError:
            errors.append(_error("invalid_json_line", "This line is not parseable as valid JSON.", number))
            continue
        if error := _line_error(line, endpoint, ids, number):
            errors.append(error)
            continue
        ids.add(line["custom_id"])
        models.add(line["body"].get("model"))
        if len(models) > 1:
            said = "The provided batch contains more than one model."
            errors.append(_error("model_mismatch", said, number, "body.model"))
        lines.append(line)
    return errors[:100], lines


def _line_error(line: Any, endpoint: str, ids: set[str], number: int) -> dict[str, Any] | None:
    if not isinstance(line, dict):
        return _error("invalid_json_line", "This line is not a JSON object.", number)
    for name in ("custom_id", "method", "url", "body"):
        if not line.get(name):
            return _error(
                "missing_required_parameter", f"Missing required parameter: '{name}'.", number, name
            )
    if line["custom_id"] in ids:
        said = f"The custom_id '{line['custom_id']}' for this request is a duplicate of another request."
        return _error("duplicate_custom_id", said, number, "custom_id")
    if line["url"] != endpoint or line["method"] != "POST":
        return _error("url_mismatch", "The URL does not match the endpoint of the batch.", number, "url")
    return None
