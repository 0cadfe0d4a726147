"""One request through the `openai` client, and what its outcome means.

The client's own retries are off: how often and when to ask again is decided in one place (`ask`). The key
comes from the environment alone, and is taken out of everything that an endpoint sends before anyone else
sees it, because some echo it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from kinmo_annotate.schema.records import MotionError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

KEY_VARIABLE: Final = "OPENAI_API_KEY"
NO_KEY: Final = "none"  # local servers want none, and the client insists on one
SCRUBBED: Final = "[key]"
_SHORTEST_KEY: Final = 8  # what is shorter is no secret but a word, such as "none", and stands in answers
_JSON: Final[Any] = {"headers": {"Content-Type": "application/json"}}

_OUT_OF_MONEY: Final = (
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "access_terminated",
)
_MOTION_ONLY: Final = (
    "context_length_exceeded",
    "exceed_context_size_error",
    "string_above_max_length",
    "content_filter",
    "content_policy_violation",
    "invalid_prompt",
)
_FOR_ALL: Final = {
    401: "Check the key in OPENAI_API_KEY.",
    402: "Check the account's balance and billing.",
    403: "Check what the key in OPENAI_API_KEY may do, and the account's region.",
    404: "Check --model and --base-url; `curl BASE_URL/models` lists what is there.",
}


class Outcome(Enum):
    """What became of a request."""

    ANSWERED = "answered"
    RATE_LIMITED = "rate limited"
    BROKEN = "broken"  # try again: the endpoint's fault, or the network's
    UNFIT = "unfit for this motion"  # no use in trying again
    STOP = "stop"  # no request will be answered


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        outcome: what it means.
        body: the response as JSON, where it was answered.
        reason: what went wrong, else empty.
        remedy: what the user can do, where every request would end like this.
        headers: of the response, names in lower case.
        overrun: the endpoint seems to have too much to do.
        status: of HTTP; 0 where there was none.
        parameter: the value of the body that the endpoint refused, where it names one.
    """

    outcome: Outcome
    body: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    remedy: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    overrun: bool = False
    status: int = 0
    parameter: str = ""


class Client:
    """Sends requests to one endpoint."""

    def __init__(self, base_url: str | None, in_flight: int, timeout_s: float) -> None:
        key = os.environ.get(KEY_VARIABLE, "").strip()
        self._key = key_pattern(key)
        self._openai = _open(base_url, key or NO_KEY, in_flight, timeout_s)
        self._timeout_s = timeout_s

    async def send(self, body: dict[str, Any]) -> Reply:
        """Send one chat completion and tell what became of it; raises nothing that an endpoint can cause."""
        import aiohttp
        import httpx2
        import openai

        try:
            content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
            async with asyncio.timeout(self._timeout_s):  # the client's own begins anew with every byte
                response = await self._openai.post(
                    "/chat/completions", cast_to=httpx2.Response, content=content, options=_JSON
                )
            return self._answered(response.content, _lower(response.headers))
        except (openai.APITimeoutError, TimeoutError) as error:
            if isinstance(error.__cause__, httpx2.ConnectTimeout):  # so the client calls a refused one, too
                return Reply(Outcome.BROKEN, reason=self.scrub(f"no connection ({_words(error.__cause__)})"))
            return Reply(Outcome.BROKEN, reason=f"no answer within {self._timeout_s:.0f} s", overrun=True)
        except openai.APIStatusError as error:
            text = self.scrub(error.response.text)
            return status_reply(error.status_code, text, _lower(error.response.headers))
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, aiohttp.ClientError) as error:
            cause = error.__cause__ or error
            return Reply(Outcome.BROKEN, reason=self.scrub(f"the connection failed ({_words(cause)})"))

    def scrub(self, text: str) -> str:
        """Take the key out of a text."""
        return self._key.sub(SCRUBBED, text) if self._key else text

    def _answered(self, content: bytes, headers: Mapping[str, str]) -> Reply:
        try:
            text = self.scrub(content.decode("utf-8", "replace"))
            body = json.loads(text)
        except (ValueError, RecursionError):
            return Reply(Outcome.BROKEN, reason="the endpoint answered with no JSON", headers=headers)
        body = body if isinstance(body, dict) else {}
        choices = body.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            return Reply(Outcome.ANSWERED, body=body, headers=headers)
        error = body.get("error")
        if isinstance(error, dict):  # some proxies send errors with status 200
            return status_reply(_status_within(error), text, headers)
        return Reply(Outcome.BROKEN, reason="the endpoint's answer has no choices", headers=headers)

    async def close(self) -> None:
        """Close the connections."""
        await self._openai.close()


def status_reply(status: int, text: str, headers: Mapping[str, str]) -> Reply:
    """Tell what an error status means.

    Args:
        status: of HTTP.
        text: the response, without the key.
        headers: names in lower case.
    """
    code, message, parameter = _error_of(text)
    reason = f"HTTP {status}" + (f", {code}" if code else "") + (f": {message}" if message else "")
    if code in _OUT_OF_MONEY:
        return Reply(Outcome.STOP, reason=reason, remedy="Check the account's credit and limits.")
    if code in _MOTION_ONLY or status == 413:
        return Reply(Outcome.UNFIT, reason=reason, headers=headers)
    if status == 429:
        return Reply(Outcome.RATE_LIMITED, reason=reason, headers=headers)
    if status in (408, 409, 425) or status >= 500:
        return Reply(Outcome.BROKEN, reason=reason, headers=headers, overrun=status in (408, 503, 504, 529))
    remedy = _FOR_ALL.get(status, "The endpoint refuses the request as such: check --model and --base-url.")
    return Reply(Outcome.STOP, reason=reason, remedy=remedy, status=status, parameter=parameter)


def _error_of(text: str) -> tuple[str, str, str]:
    """Find code, message and parameter of an error, whichever of the usual shapes it has."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return "", " ".join(text.split())[:200], ""
    error = content.get("error", content) if isinstance(content, dict) else content
    if not isinstance(error, dict):
        return "", " ".join(str(error).split())[:200], ""
    code = str(error.get("code") or "")
    kind = str(error.get("type") or "")
    known = kind if kind in (*_OUT_OF_MONEY, *_MOTION_ONLY) or not code or code.isdigit() else code
    message = " ".join(str(error.get("message") or error.get("detail") or "").split())[:300]
    return known, message, str(error.get("param") or "")


def _status_within(error: Mapping[str, Any]) -> int:
    """Find the status that an error tells of itself; 500 where it tells none."""
    code = str(error.get("code") or error.get("status") or "")
    return int(code) if re.fullmatch("[45][0-9]{2}", code) else 500


def key_pattern(key: str) -> re.Pattern[str] | None:
    """Make the pattern of a key as an endpoint may repeat it, its signs escaped by JSON or not."""
    if len(key) < _SHORTEST_KEY:
        return None
    signs = (rf"(?:\\?{re.escape(c)}|\\u00(?i:{ord(c):02x}))" for c in key)
    return re.compile("".join(c if c.isalnum() else sign for c, sign in zip(key, signs, strict=True)))


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _open(base_url: str | None, key: str, in_flight: int, timeout_s: float) -> AsyncOpenAI:
    """Open the client.

    Raises:
        MotionError: it is not installed, OpenAI's own endpoint is meant and there is no key, or the key or
            the address cannot be one.
    """
    if not (key.isascii() and key.isprintable()) or " " in key:
        reason = "it holds blanks, or signs that no key has"
        raise MotionError(KEY_VARIABLE, reason, "Copy the key again, and nothing else.")
    try:
        import httpx2
        from openai import AsyncOpenAI, DefaultAioHttpClient
    except ImportError as error:
        raise MotionError(
            "the language model's client", str(error), "Run `pip install 'openai[aiohttp]'`."
        ) from None
    address = endpoint_address(base_url, has_key=key != NO_KEY)
    limits = httpx2.Limits(max_connections=in_flight + 4, max_keepalive_connections=in_flight + 4)
    return AsyncOpenAI(
        api_key=key,
        base_url=address,
        max_retries=0,
        timeout=httpx2.Timeout(timeout_s, connect=min(30.0, timeout_s)),
        http_client=DefaultAioHttpClient(limits=limits),  # a quarter faster than the default one
    )


def endpoint_address(base_url: str | None, *, has_key: bool) -> str | None:
    """Find the endpoint to ask: the one given, else the environment's; None is OpenAI's own.

    Raises:
        MotionError: OpenAI's own endpoint is meant and there is no key, or the address is none.
    """
    address = base_url or os.environ.get("OPENAI_BASE_URL") or None
    if address is None and not has_key:
        remedy = f"Set {KEY_VARIABLE}, or name another endpoint with --base-url (a local one needs no key)."
        raise MotionError(KEY_VARIABLE, "is not set: there is no key", remedy)
    if address is not None and not address.startswith(("http://", "https://")):
        remedy = "Give an address such as http://127.0.0.1:8080/v1."
        raise MotionError("--base-url", f"{address} is no http address", remedy)
    return address
