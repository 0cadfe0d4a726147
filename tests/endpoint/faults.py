"""What can go wrong at an endpoint, by name, and which request it happens to."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from fnmatch import fnmatchcase
from typing import Any

QUOTA = "You exceeded your current quota, please check your plan and billing details."
CONTEXT = (
    "This model's maximum context length is 128000 tokens. However, your messages resulted in 131072 tokens."
)

# name -> status, message, type, param, code: the error objects of the real API.
ERRORS: dict[str, tuple[int, str, str, str | None, str | None]] = {
    "rate_limit": (429, "Rate limit reached for requests.", "requests", None, "rate_limit_exceeded"),
    "rate_limit_ms": (429, "Rate limit reached for tokens.", "tokens", None, "rate_limit_exceeded"),
    "rate_limit_date": (429, "Rate limit reached for requests.", "requests", None, "rate_limit_exceeded"),
    "rate_limit_reset": (429, "Rate limit reached for requests.", "requests", None, "rate_limit_exceeded"),
    "rate_limit_bare": (429, "Too many requests.", "requests", None, None),
    "quota": (429, QUOTA, "insufficient_quota", None, "insufficient_quota"),
    "billing": (429, "Your account is not active.", "billing_not_active", None, "billing_not_active"),
    "hard_limit": (400, "Billing hard limit has been reached.", "invalid_request_error", None,
                   "billing_hard_limit_reached"),
    "unauthorized": (401, "Incorrect API key provided: sk-****abcd.", "invalid_request_error", None,
                     "invalid_api_key"),
    "forbidden": (403, "Country, region, or territory not supported.", "request_forbidden", None,
                  "unsupported_country_region_territory"),
    "model_not_found": (404, "The model does not exist or you do not have access to it.",
                        "invalid_request_error", None, "model_not_found"),
    "unsupported_parameter": (400, "Unsupported parameter: 'temperature' is not supported with this model.",
                              "invalid_request_error", "temperature", "unsupported_parameter"),
    "context_length": (400, CONTEXT, "invalid_request_error", "messages", "context_length_exceeded"),
    "context_size": (400, "request (9026 tokens) exceeds the available context size (8192 tokens)",
                     "exceed_context_size_error", None, None),  # as llama.cpp says it
    "no_balance": (402, "Insufficient Balance", "unknown_error", None, "invalid_request_error"),
    "error_500": (500, "The server had an error while processing your request.", "server_error", None, None),
    "error_502": (502, "Bad gateway.", "server_error", None, None),
    "error_503": (503, "The engine is currently overloaded.", "server_error", None, None),
    "error_504": (504, "Gateway timeout.", "server_error", None, None),
    "error_529": (529, "Overloaded", "overloaded_error", None, None),
}  # fmt: skip
HTML = b"<html><head><title>Welcome</title></head><body><h1>Sign in to the network</h1></body></html>"


@dataclass(slots=True)
class Reply:
    """What is to be sent.

    `how`: "whole", "stall" (never answer), "cut" (close before the headers), "cut_body" (close after half the
    body), "too_long" (claim more bytes than come, then close), "too_short" (claim fewer, then close).
    """

    status: int
    body: bytes
    outcome: str
    headers: dict[str, str] = field(default_factory=dict)
    how: str = "whole"
    usage: dict[str, Any] | None = None


def error_body(message: str, kind: str, param: str | None, code: str | None) -> bytes:
    """The error object of the API."""
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}}).encode()


def bad_request(message: str, param: str | None = None, code: str | None = None) -> Reply:
    """A 400 for a request that the API would not take."""
    return Reply(400, error_body(message, "invalid_request_error", param, code), "bad_request")


def error_reply(name: str, retry_after_s: float, authorization: str = "") -> Reply:
    """The answer of one of `ERRORS`, or "key_echo": a 401 that repeats the key it was given."""
    if name == "key_echo":
        said = f"Incorrect API key provided: {authorization.removeprefix('Bearer ')}."
        return Reply(401, error_body(said, "invalid_request_error", None, "invalid_api_key"), name)
    status, message, kind, param, code = ERRORS[name]
    body = error_body(message, kind, param, code)
    headers = _rate_headers(name, retry_after_s)
    if name == "error_502":
        body, headers = b"<html><body><h1>502 Bad Gateway</h1></body></html>", {"content-type": "text/html"}
    return Reply(status, body, name, headers)


def _rate_headers(name: str, retry_after_s: float) -> dict[str, str]:
    reset = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": duration(retry_after_s),
    }
    if name == "rate_limit":
        return reset | {"retry-after": f"{retry_after_s:g}"}
    if name == "rate_limit_date":
        return {"retry-after": formatdate(math.ceil(time.time() + retry_after_s), usegmt=True)}
    if name == "rate_limit_ms":
        return reset | {"retry-after-ms": f"{retry_after_s * 1000:g}"}
    return reset if name == "rate_limit_reset" else {}


def duration(seconds: float) -> str:
    """Write a time as the x-ratelimit-reset headers do: 120ms, 7.66s, 6m0s."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}m{rest:g}s" if minutes else f"{round(rest, 3):g}s"


# ---------------------------------------------------------------- good answers, spoilt


def _message(answer: dict[str, Any]) -> dict[str, Any]:
    return answer["choices"][0]["message"]


def _finish(answer: dict[str, Any], reason: str) -> None:
    answer["choices"][0]["finish_reason"] = reason


def _length(answer: dict[str, Any]) -> None:
    message = _message(answer)
    message["content"] = message["content"][: len(message["content"]) * 3 // 5]
    _finish(answer, "length")


def _refusal(answer: dict[str, Any]) -> None:
    _message(answer).update(content=None, refusal="I'm sorry, I can't assist with that request.")


def _content_filter(answer: dict[str, Any]) -> None:
    message = _message(answer)
    message["content"] = message["content"][:40]
    _finish(answer, "content_filter")


def _rewrite(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], None]:
    """Change the JSON inside the message."""

    def spoil(answer: dict[str, Any]) -> None:
        message = _message(answer)
        fields = json.loads(message["content"])
        change(fields)
        message["content"] = json.dumps(fields)

    return spoil


def _text(write: Callable[[str], str | None]) -> Callable[[dict[str, Any]], None]:
    """Change the text of the message."""

    def spoil(answer: dict[str, Any]) -> None:
        message = _message(answer)
        message["content"] = write(message["content"])

    return spoil


SPOILT: dict[str, Callable[[dict[str, Any]], None]] = {
    "length": _length,
    "invalid_json": _text(lambda text: text.replace('": "', '" "', 1)),
    "missing_field": _rewrite(lambda fields: fields.pop(next(iter(fields)))),
    "extra_field": _rewrite(lambda fields: fields.update(tail="It wags.")),
    "not_text": _rewrite(lambda fields: fields.update({next(iter(fields)): 7})),
    "blank_field": _rewrite(lambda fields: fields.update({next(iter(fields)): "  "})),
    "fenced": _text(lambda text: f"```json\n{text}\n```"),
    "empty_content": _text(lambda text: ""),
    "null_content": _text(lambda text: None),
    "refusal": _refusal,
    "content_filter": _content_filter,
    "no_choices": lambda answer: answer.update(choices=[]),
    "no_usage": lambda answer: answer.update(usage=None),
}
BROKEN = ("stall", "cut", "cut_body", "too_long", "too_short")
NAMES = frozenset({*ERRORS, *SPOILT, *BROKEN, "key_echo", "html", "slow"})


def is_error(name: str | None) -> bool:
    """Whether a fault is an error answer (and no spoilt one, and no broken connection)."""
    return name in ERRORS or name == "key_echo"


def spoil(name: str | None, answer: dict[str, Any]) -> Reply:
    """Turn a good answer into what fault `name` makes of it; None and "slow" leave it whole."""
    if name == "html":
        return Reply(200, HTML, name, {"content-type": "text/html; charset=utf-8"})
    usage = answer["usage"]
    if name in SPOILT:
        SPOILT[name](answer)
    body = json.dumps(answer, ensure_ascii=False).encode()
    how = name if name in BROKEN else "whole"
    cut_off = any(choice["finish_reason"] == "length" for choice in answer["choices"])
    good = "length" if cut_off else "ok"
    outcome = good if name in (None, "slow", "no_usage") else name
    return Reply(200, body, outcome, how=how, usage=usage)


# ---------------------------------------------------------------- whom it happens to


def chance(*parts: object) -> float:
    """A number in [0, 1) that follows from `parts` alone."""
    bits = hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(bits, "big") / 2**64


def draw(faults: dict[str, float], *parts: object) -> str | None:
    """Pick a fault by its probability.

    The draw follows from `parts` (seed, digest, attempt), not from the order in which requests arrive: a run
    with many requests in flight meets the same faults again.
    """
    left = chance("fault", *parts)
    for name, probability in faults.items():
        left -= probability
        if left < 0:
            return name
    return None


def matches(rule: dict[str, Any], number: int, attempt: int, path: str, method: str, body: bytes) -> bool:
    """Whether a rule of the script speaks of this request.

    Conditions, all of which must hold: `at` (n-th request, from 1, or a list), `every` (n-th), `after` (from
    request n + 1 on), `attempt` (n-th time of this request), `containing` (text in the body), `path` (default
    the chat; * and ? stand for anything), `method`, `times` (how often the rule may still apply).
    """
    at = rule.get("at")
    return (
        fnmatchcase(path, rule.get("path", "/v1/chat/completions"))
        and rule.get("times", 1) > 0
        and (at is None or number in (at if isinstance(at, list) else [at]))
        and ("every" not in rule or number % rule["every"] == 0)
        and number > rule.get("after", 0)
        and ("attempt" not in rule or attempt == rule["attempt"])
        and ("method" not in rule or method == rule["method"])
        and ("containing" not in rule or rule["containing"].encode() in body)
    )
