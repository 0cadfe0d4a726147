"""One request to an endpoint: every way it can end, and that the key never comes back."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from kinmo_annotate.describe.llm.client import Client, Outcome, Reply, key_pattern, status_reply
from kinmo_annotate.describe.llm.prompt import load_prompt
from kinmo_annotate.describe.llm.request import Asked, make_request
from kinmo_annotate.schema.records import MotionError

KEY = "sk-kinmo/test+0123456789"
FIELDS = {name: f"{name} of it." for name in ("length", "differences", "fps", "captions", "keyframes")}
BODY = make_request("a", FIELDS, Asked("gpt-4o-mini", load_prompt(), 2500, {"temperature": 0})).body


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def send(url: str, times: int = 1, timeout_s: float = 20.0, body=BODY) -> Reply:
    """Send a request some times over and give the last reply."""

    async def go() -> Reply:
        client = Client(url, 4, timeout_s)
        try:
            replies = [await client.send(body) for _ in range(times)]
        finally:
            await client.close()
        return replies[-1]

    return asyncio.run(go())


@asynccontextmanager
async def raw_server(answer: Callable[[asyncio.StreamWriter], object]) -> AsyncIterator[str]:
    """Serve whatever `answer` writes, for what the endpoint of the tests is too well-behaved for."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length")
        )
        await reader.readexactly(length)
        result = answer(writer)
        if asyncio.iscoroutine(result):
            await result
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def send_raw(answer: bytes | Callable[[asyncio.StreamWriter], object], timeout_s: float = 20.0) -> Reply:
    write = answer if callable(answer) else lambda writer: writer.write(answer)

    async def go() -> Reply:
        async with raw_server(write) as url:
            client = Client(url, 2, timeout_s)
            try:
                return await client.send(BODY)
            finally:
                await client.close()

    return asyncio.run(go())


def http(
    body: bytes | dict, status: str = "200 OK", headers: str = "content-type: application/json\r\n"
) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\n{headers}content-length: {len(content)}\r\n\r\n".encode() + content


# ---------------------------------------------------------------- every fault of the endpoint

RATE = ["rate_limit", "rate_limit_ms", "rate_limit_date", "rate_limit_reset", "rate_limit_bare"]
BROKEN = [
    "error_500",
    "error_502",
    "error_503",
    "error_504",
    "error_529",
    "cut",
    "cut_body",
    "html",
    "no_choices",
]
STOP = ["quota", "billing", "hard_limit", "unauthorized", "forbidden", "model_not_found", "no_balance"]
UNFIT = ["context_length", "context_size"]
ANSWERED = ["length", "invalid_json", "refusal", "content_filter", "no_usage", "null_content", "fenced"]


def test_what_each_fault_means(endpoint):
    server = endpoint(key=KEY)
    expected = {
        **dict.fromkeys(RATE, Outcome.RATE_LIMITED),
        **dict.fromkeys(BROKEN, Outcome.BROKEN),
        **dict.fromkeys(STOP, Outcome.STOP),
        **dict.fromkeys(UNFIT, Outcome.UNFIT),
        **dict.fromkeys(ANSWERED, Outcome.ANSWERED),
        "unsupported_parameter": Outcome.STOP,
        "too_long": Outcome.BROKEN,
    }
    found = {}
    for fault in expected:
        server.control(faults={fault: 1.0})
        reply = send(server.url)
        found[fault] = reply.outcome
        assert bool(reply.reason) == (reply.outcome is not Outcome.ANSWERED), fault
        assert bool(reply.remedy) == (reply.outcome is Outcome.STOP), fault
    assert found == expected
    assert server.stats()["authorization"] == {"as expected": len(expected)}


def test_a_good_answer_comes_whole_with_its_headers(endpoint):
    server = endpoint(rpm=600, rate_headers=True, key=KEY)
    reply = send(server.url)
    assert reply.outcome is Outcome.ANSWERED
    assert reply.body["usage"]["prompt_tokens"] > 0
    assert reply.headers["x-ratelimit-limit-requests"] == "600"


def test_a_cut_connection_does_not_harm_the_next_request(endpoint):
    server = endpoint(script=[{"fault": "cut", "at": 2}, {"fault": "cut_body", "at": 4}])
    assert send(server.url, times=5).outcome is Outcome.ANSWERED
    assert server.stats()["requests"] == 5  # nothing was sent twice behind our back


def test_an_answer_that_never_comes_ends_with_the_time(endpoint):
    server = endpoint(faults={"stall": 1.0})
    started = time.monotonic()
    reply = send(server.url, timeout_s=0.5)
    assert time.monotonic() - started < 3
    assert (reply.outcome, reply.overrun) == (Outcome.BROKEN, True)
    assert "0 s" in reply.reason or "1 s" in reply.reason


def test_an_answer_that_comes_drop_by_drop_ends_with_the_time_too():
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        for _ in range(200):
            writer.write(b" ")
            await asyncio.sleep(0.05)

    started = time.monotonic()
    assert send_raw(drip, timeout_s=0.6).outcome is Outcome.BROKEN
    assert time.monotonic() - started < 3


def test_no_endpoint_at_all():
    reply = send("http://127.0.0.1:9/v1")
    assert (reply.outcome, reply.overrun) == (Outcome.BROKEN, False)
    assert "no connection" in reply.reason


@pytest.mark.parametrize(
    "answer",
    [
        http(b""),
        http(b"null"),
        http(b"[1, 2]"),
        http(b'"text"'),
        http(b'{"choices": {}}'),
        http(b'{"choices": [7]}'),
        http(b"[" * 100_000),
        http(b"\xff\xfe\x00 not utf-8", headers="content-type: application/json; charset=nonsense\r\n"),
        http(b"not gzip", headers="content-encoding: gzip\r\n"),
        http(b"\xff", "500 Odd", "content-type: text/html; charset=nonsense\r\n"),
        b"no http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: nonsense\r\n\r\n{}",
        b"",
    ],
)
def test_nonsense_is_a_broken_answer(answer):
    reply = send_raw(answer)
    assert reply.outcome is Outcome.BROKEN
    assert reply.reason


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ({"code": 429, "message": "Slow down"}, Outcome.RATE_LIMITED),
        ({"code": 502, "message": "The provider is down"}, Outcome.BROKEN),
        ({"message": "Something"}, Outcome.BROKEN),
        ({"code": "insufficient_quota", "message": "Pay"}, Outcome.STOP),
        ({"code": 402, "message": "Pay"}, Outcome.STOP),
    ],
)
def test_an_error_with_status_200_is_an_error(error, outcome):
    reply = send_raw(http({"error": error}))
    assert reply.outcome is outcome
    assert error["message"] in reply.reason


def test_text_that_is_no_unicode_is_sent_all_the_same(endpoint):
    odd = BODY | {"messages": [{"role": "user", "content": "half a pair \ud83d"}]}
    assert send(endpoint().url, body=odd).outcome is Outcome.ANSWERED


# ---------------------------------------------------------------- what an error status means


def error(code=None, kind=None, message="Words.", param=None) -> str:
    return json.dumps({"error": {"code": code, "type": kind, "message": message, "param": param}})


@pytest.mark.parametrize(
    ("status", "text", "outcome", "overrun"),
    [
        (429, error("rate_limit_exceeded"), Outcome.RATE_LIMITED, False),
        (429, "", Outcome.RATE_LIMITED, False),
        (429, error("insufficient_quota"), Outcome.STOP, False),
        (429, error(None, "insufficient_quota"), Outcome.STOP, False),
        (403, error("billing_not_active"), Outcome.STOP, False),
        (400, error("context_length_exceeded"), Outcome.UNFIT, False),
        (400, error(400, "exceed_context_size_error"), Outcome.UNFIT, False),
        (400, error("content_policy_violation"), Outcome.UNFIT, False),
        (413, "", Outcome.UNFIT, False),
        (400, error(), Outcome.STOP, False),
        (301, "", Outcome.STOP, False),
        (408, "", Outcome.BROKEN, True),
        (409, "", Outcome.BROKEN, False),
        (500, "{", Outcome.BROKEN, False),
        (503, "[]", Outcome.BROKEN, True),
        (529, "7", Outcome.BROKEN, True),
    ],
)
def test_an_error_status_is_understood(status, text, outcome, overrun):
    reply = status_reply(status, text, {})
    assert (reply.outcome, reply.overrun) == (outcome, overrun)
    assert f"HTTP {status}" in reply.reason


@pytest.mark.parametrize(
    ("status", "names"),
    [
        (401, "OPENAI_API_KEY"),
        (402, "billing"),
        (403, "OPENAI_API_KEY"),
        (404, "--model"),
        (418, "--base-url"),
    ],
)
def test_where_nothing_will_be_answered_the_remedy_is_told(status, names):
    assert names in status_reply(status, "", {}).remedy


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (error("c", message="Many\n words"), "HTTP 418, c: Many words"),
        ('{"detail": "Not here"}', "HTTP 418: Not here"),
        ('{"error": "Plain words"}', "HTTP 418: Plain words"),
        ('["a"]', "HTTP 418: ['a']"),
        ("<html>  Down </html>", "HTTP 418: <html> Down </html>"),
        ("[" * 50_000, "HTTP 418: " + "[" * 200),
        (error(message="x" * 9999), "HTTP 418: " + "x" * 300),
    ],
)
def test_an_error_of_any_shape_is_told_in_short(text, said):
    assert status_reply(418, text, {}).reason == said


def test_the_parameter_that_is_refused_is_told():
    assert status_reply(400, error(param="temperature"), {}).parameter == "temperature"


# ---------------------------------------------------------------- the key


def test_a_key_that_an_endpoint_repeats_is_taken_out(endpoint):
    reply = send(endpoint(faults={"key_echo": 1.0}).url)
    assert reply.outcome is Outcome.STOP
    assert "[key]" in reply.reason
    assert KEY not in repr(reply)


@pytest.mark.parametrize(
    "repeated", [KEY, KEY.replace("/", "\\/"), KEY.replace("+", "\\u002B").replace("/", "\\u002f")]
)
def test_a_key_is_found_however_json_writes_it(repeated):
    good = b'{"choices": [{"message": {"content": "%s"}}], "id": "%s"}' % ((repeated.encode(),) * 2)
    bad = b'{"error": {"message": "Wrong key %s."}}' % repeated.encode()
    for reply in (send_raw(http(good)), send_raw(http(bad, "401 No")), send_raw(http(bad))):
        assert KEY not in repr(reply)
        assert "[key]" in repr(reply)


def test_what_is_no_secret_is_left_alone(monkeypatch):
    for key in ("none", "x", "test", ""):
        assert key_pattern(key) is None
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    reply = send_raw(http({"choices": [{"message": {"content": "none of it"}}]}))
    assert reply.body["choices"][0]["message"]["content"] == "none of it"


@pytest.mark.parametrize("key", ["sk-ключ-0123456789", "sk-two words-0123", "sk-line\nbreak-0123"])
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(MotionError, match="OPENAI_API_KEY") as raised:
        Client("http://127.0.0.1:9/v1", 1, 1.0)
    assert key not in str(raised.value)


# ---------------------------------------------------------------- opening


def test_openai_itself_wants_a_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(MotionError, match="--base-url"):
        Client(None, 1, 1.0)


def test_a_local_endpoint_wants_none(monkeypatch, endpoint):
    monkeypatch.delenv("OPENAI_API_KEY")
    assert send(endpoint().url).outcome is Outcome.ANSWERED


def test_the_environment_may_name_the_endpoint(monkeypatch, endpoint):
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint().url)
    assert send(None).outcome is Outcome.ANSWERED


def test_an_address_must_be_one():
    with pytest.raises(MotionError, match="no http address"):
        Client("127.0.0.1:8080", 1, 1.0)


def test_our_retries_are_the_only_ones(endpoint):
    server = endpoint(faults={"error_500": 1.0})
    send(server.url)
    assert server.stats()["requests"] == 1
