"""The endpoint of the tests, tested: as the real API where it is good, wrong as asked where it is not."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

import openai
import pytest

from kinmo_annotate.schema.skeleton import FIELDS

SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in FIELDS},
    "required": list(FIELDS),
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "motion", "strict": True, "schema": SCHEMA}}


def asked(text="motion 1", **more):
    messages = [{"role": "system", "content": "describe"}, {"role": "user", "content": text}]
    return {"model": "gpt-4o-mini", "messages": messages, "response_format": FORM, **more}


def ask(endpoint, body=None, timeout=5.0, key="sk-test", raw=False):
    """Ask once, without retries, through the real client."""

    async def once():
        async with openai.AsyncOpenAI(
            base_url=endpoint.url, api_key=key, max_retries=0, timeout=timeout
        ) as client:
            chat = client.chat.completions
            return await (chat.with_raw_response if raw else chat).create(**(body or asked()))

    return asyncio.run(once())


def ask_many(endpoint, texts, timeout=10.0):
    """Ask for all texts at once: an answer or an exception for each."""

    async def all_of_them():
        async with openai.AsyncOpenAI(
            base_url=endpoint.url, api_key="k", max_retries=0, timeout=timeout
        ) as client:
            calls = [client.chat.completions.create(**asked(text)) for text in texts]
            return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(all_of_them())


def test_a_good_answer_fits_the_schema_and_follows_from_the_request(endpoint):
    one = endpoint()
    first, again, other = ask(one), ask(one), ask(one, asked("motion 2"))
    fields = json.loads(first.choices[0].message.content)
    assert list(fields) == list(FIELDS)
    assert all(fields.values())
    assert first.choices[0].finish_reason == "stop"
    assert first.choices[0].message.content == again.choices[0].message.content
    assert first.choices[0].message.content != other.choices[0].message.content
    assert first.usage.total_tokens == first.usage.prompt_tokens + first.usage.completion_tokens
    stats = one.stats()
    assert stats["outcomes"] == {"ok": 3}
    assert sorted(stats["answered"].values()) == [1, 2]
    assert len(stats["answered_again"]) == 1
    assert stats["usage"]["completion_tokens"] == sum(
        a.usage.completion_tokens for a in (first, again, other)
    )
    assert stats["cost_usd"] > 0


def test_a_retry_with_a_reason_gets_the_same_sentences(endpoint):
    one = endpoint()
    body = asked()
    first = ask(one, body).choices[0].message.content
    body["messages"] += [{"role": "assistant", "content": "{"}, {"role": "user", "content": "cut off: again"}]
    assert ask(one, body).choices[0].message.content == first
    assert one.stats()["distinct"] == 2


def test_the_system_text_is_cached_from_the_second_long_prompt_on(endpoint):
    one = endpoint()
    bodies = [asked("word " * 2000 + str(n)) for n in range(2)]
    for body in bodies:
        body["messages"][0]["content"] = "describe it " * 500
    cached = [ask(one, body).usage.prompt_tokens_details.cached_tokens for body in bodies]
    assert cached == [0, 1500 // 128 * 128]


def test_an_answer_is_cut_at_the_length_that_was_asked_for(endpoint):
    one = endpoint()
    answer = ask(one, asked(max_completion_tokens=50))
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 50
    assert one.stats()["outcomes"] == {"length": 1}


def test_models_and_unknown_addresses(endpoint):
    one = endpoint()
    with openai.OpenAI(base_url=one.url, api_key="k", max_retries=0) as client:
        assert "gpt-4o-mini" in [model.id for model in client.models.list()]
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model="x", input="y")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"messages": []}, "messages"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": json.loads(json.dumps(FORM).replace("true", "false"))}, "strict"),
        ({"response_format": json.loads(json.dumps(FORM).replace('"neck", ', "", 1))}, "required"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, r"messages\[0\]"),
        ({"model": ""}, "model"),
        ({"stream": True}, "stream"),
    ],
)
def test_a_body_that_the_api_would_refuse(endpoint, change, said):
    with pytest.raises(openai.BadRequestError, match=said):
        ask(endpoint(), asked() | change)


ERRORS = {
    "rate_limit": openai.RateLimitError,
    "rate_limit_ms": openai.RateLimitError,
    "rate_limit_bare": openai.RateLimitError,
    "quota": openai.RateLimitError,
    "hard_limit": openai.BadRequestError,
    "unauthorized": openai.AuthenticationError,
    "forbidden": openai.PermissionDeniedError,
    "model_not_found": openai.NotFoundError,
    "unsupported_parameter": openai.BadRequestError,
    "context_length": openai.BadRequestError,
    "error_500": openai.InternalServerError,
    "error_502": openai.InternalServerError,
    "error_503": openai.InternalServerError,
    "error_529": openai.InternalServerError,
    "no_balance": openai.APIStatusError,
    "context_size": openai.BadRequestError,
    "rate_limit_date": openai.RateLimitError,
    "cut": openai.APIConnectionError,
    "cut_body": openai.APIConnectionError,
    "too_long": openai.APIConnectionError,
}


def test_errors_reach_the_client_as_those_of_the_real_api(endpoint):
    one = endpoint(script=[{"at": n, "fault": name} for n, name in enumerate(ERRORS, 1)], retry_after_s=0.25)
    seen = {}
    for name, kind in ERRORS.items():
        with pytest.raises(kind) as caught:
            ask(one)
        seen[name] = caught.value
    assert seen["quota"].code == "insufficient_quota"
    assert seen["context_length"].code == "context_length_exceeded"
    assert seen["model_not_found"].code == "model_not_found"
    assert seen["rate_limit"].response.headers["retry-after"] == "0.25"
    assert seen["rate_limit_ms"].response.headers["retry-after-ms"] == "250"
    assert seen["rate_limit"].response.headers["x-ratelimit-reset-requests"] == "250ms"
    assert "retry-after" not in seen["rate_limit_bare"].response.headers
    assert seen["rate_limit_date"].response.headers["retry-after"].endswith("GMT")
    assert seen["no_balance"].status_code == 402
    stats = one.stats()
    assert stats["outcomes"] == dict.fromkeys(ERRORS, 1)
    assert stats["answered"] == {}
    assert stats["distinct"] == 1


def test_spoilt_answers_are_spoilt_as_named(endpoint):
    broken = ["length", "invalid_json", "missing_field", "extra_field", "not_text", "fenced"]
    names = [*broken, "refusal", "content_filter", "no_choices", "empty_content"]
    one = endpoint(script=[{"at": n, "fault": name} for n, name in enumerate(names, 1)])
    got = {name: ask(one) for name in names}
    assert got["no_choices"].choices == []
    text = {name: got[name].choices[0].message.content for name in names if name != "no_choices"}
    for name in ("length", "invalid_json", "fenced", "empty_content"):
        with pytest.raises(ValueError, match="line 1"):
            json.loads(text[name])
    assert got["length"].choices[0].finish_reason == "length"
    assert got["content_filter"].choices[0].finish_reason == "content_filter"
    assert set(FIELDS) - set(json.loads(text["missing_field"])) == {"torso"}
    assert set(json.loads(text["extra_field"])) - set(FIELDS) == {"tail"}
    assert json.loads(text["not_text"])["torso"] == 7
    assert text["refusal"] is None
    assert got["refusal"].choices[0].message.refusal
    assert one.stats()["answered"] == {}


def test_a_page_instead_of_json_and_a_short_length(endpoint):
    one = endpoint(script=[{"at": 1, "fault": "html"}, {"at": 2, "fault": "too_short"}])
    page = ask(one, raw=True)
    assert page.headers["content-type"].startswith("text/html")
    with pytest.raises(ValueError, match="line 1"):
        json.loads(ask(one, raw=True).content)


def test_stall_and_slow(endpoint):
    one = endpoint(script=[{"at": 1, "fault": "stall"}, {"at": 2, "fault": "slow"}], slow_s=0.3)
    with pytest.raises(openai.APITimeoutError):
        ask(one, timeout=0.2)
    started = time.monotonic()
    assert ask(one).choices
    assert time.monotonic() - started >= 0.3
    assert one.stats()["outcomes"] == {"stall": 1, "ok": 1}


def test_a_client_that_leaves_is_not_counted_as_answered(endpoint):
    one = endpoint(latency_s=1.0)
    with pytest.raises(openai.APITimeoutError):
        ask(one, timeout=0.2)
    stats = one.stats()
    assert stats["outcomes"] == {"client_gone": 1}
    assert stats["answered"] == {}
    assert stats["in_flight"] == 0


def test_faults_come_by_their_probability_and_again_with_the_same_seed(endpoint):
    faults = {"error_500": 0.2, "rate_limit": 0.1}
    texts = [f"motion {n}" for n in range(200)]
    runs = []
    for _ in range(2):
        one = endpoint(faults=faults, seed=5)
        answers = ask_many(one, texts)
        runs.append([type(answer).__name__ for answer in answers])
        counts = one.stats()["outcomes"]
    assert runs[0] == runs[1]
    assert 22 <= counts["error_500"] <= 58
    assert 7 <= counts["rate_limit"] <= 33


def test_rules_by_marker_attempt_and_times(endpoint):
    rule = {"containing": "motion 7", "fault": "error_500", "attempt": 1}
    fixed = {"containing": "motion 8", "answers": {"torso": "It bows."}, "times": 1}
    one = endpoint(script=[rule, fixed])
    with pytest.raises(openai.InternalServerError):
        ask(one, asked("motion 7"))
    assert ask(one, asked("motion 7")).choices
    texts = [ask(one, asked("motion 8")).choices[0].message.content for _ in range(2)]
    assert [json.loads(text)["torso"] == "It bows." for text in texts] == [True, False]


def test_options_change_while_it_runs_and_unknown_ones_are_refused(endpoint):
    one = endpoint()
    ask(one)
    one.control(quota_after=1)
    with pytest.raises(openai.RateLimitError, match="quota"):
        ask(one)
    with pytest.raises(ValueError, match="wobble"):
        one.control(faults={"wobble": 1.0})
    with pytest.raises(ValueError, match="speed"):
        one.control(speed=3)
    one.reset()
    assert ask(one).choices
    assert one.stats()["requests"] == 1


def test_more_than_the_limit_a_minute_gets_429_with_the_time_to_wait(endpoint):
    one = endpoint(rpm=600, burst=3, rate_headers=True)
    answers = ask_many(one, [f"motion {n}" for n in range(8)])
    refused = [answer for answer in answers if isinstance(answer, openai.RateLimitError)]
    assert len(refused) >= 3
    assert 0 < float(refused[0].response.headers["retry-after"]) <= 0.1
    time.sleep(0.2)
    good = ask(one, raw=True)
    assert good.headers["x-ratelimit-limit-requests"] == "600"
    assert int(good.headers["x-ratelimit-remaining-requests"]) <= 2
    assert good.headers["x-ratelimit-reset-requests"].endswith("ms")


def test_parameters_that_a_model_does_not_take(endpoint):
    one = endpoint(refuse_parameters=["temperature", "max_tokens"])
    with pytest.raises(openai.BadRequestError) as caught:
        ask(one, asked(temperature=0.2))
    assert (caught.value.code, caught.value.param) == ("unsupported_value", "temperature")
    with pytest.raises(openai.BadRequestError, match="max_completion_tokens"):
        ask(one, asked(max_tokens=9))
    assert ask(one, asked(max_completion_tokens=9)).choices


def test_the_key_is_compared_and_never_kept(endpoint, tmp_path):
    log = tmp_path / "requests.jsonl"
    one = endpoint(log, key="sk-right")
    with pytest.raises(openai.AuthenticationError):
        ask(one, key="sk-wrong")
    ask(one, key="sk-right")
    assert one.stats()["authorization"] == {"wrong": 1, "as expected": 1}
    lines = log.read_text()
    assert [json.loads(line)["outcome"] for line in lines.splitlines()] == ["unauthorized", "ok"]
    assert "sk-" not in lines + json.dumps(one.records())
    one.control(key=None, script=[{"fault": "key_echo"}])
    with pytest.raises(openai.AuthenticationError, match="sk-other"):
        ask(one, key="sk-other")


def test_in_flight_is_counted(endpoint):
    one = endpoint(latency_s=0.2)
    ask_many(one, [f"motion {n}" for n in range(20)])
    stats = one.stats()
    assert stats["peak_in_flight"] == 20
    assert 10 < stats["mean_in_flight"] <= 20
    assert stats["in_flight"] == 0


def raw_request(body, chunked=False):
    content = json.dumps(body).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
    if chunked:
        parts = [content[:7], content[7:]]
        content = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        return head + b"transfer-encoding: chunked\r\n\r\n" + content
    return head + b"content-length: %d\r\n\r\n" % len(content) + content


def connect(endpoint):
    address = urlsplit(endpoint.url)
    return socket.create_connection((address.hostname, address.port), timeout=5)


def until(check, seconds=3.0):
    """Whether `check` comes true within so many seconds."""
    end = time.monotonic() + seconds
    while not check() and time.monotonic() < end:
        time.sleep(0.01)
    return check()


@pytest.mark.parametrize("read", [True, False])
def test_an_answer_that_was_not_read_is_no_answer(endpoint, read):
    one = endpoint()
    with connect(one) as line:
        line.sendall(raw_request(asked()))
        assert until(lambda: one.stats()["outcomes"] == {"ok": 1})
        if read:
            while b'"system_fingerprint"' not in line.recv(65536):
                pass
    if read:
        time.sleep(0.1)
        assert list(one.stats()["answered"].values()) == [1]
    else:
        assert until(lambda: one.stats()["answered"] == {})


def test_requests_sent_ahead_in_chunks_and_garbled(endpoint):
    one = endpoint()
    with connect(one) as line:
        line.sendall(raw_request(asked("motion 1")) + raw_request(asked("motion 2"), chunked=True))
        assert until(lambda: one.stats()["outcomes"] == {"ok": 2})
    with connect(one) as line:
        line.sendall(b"hello\r\n\r\n")
        assert line.recv(1000).startswith(b"HTTP/1.1 400")
        assert line.recv(1000) == b""


def test_what_was_billed_but_not_heard_is_kept_apart(endpoint):
    one = endpoint(script=[{"at": 1, "fault": "cut_body"}], prices={"input": 1.0, "output": 2.0})
    with pytest.raises(openai.APIConnectionError):
        ask(one)
    usage = ask(one).usage
    stats = one.stats()
    cost = (usage.prompt_tokens + 2 * usage.completion_tokens) / 1e6
    assert stats["cost_usd"] == pytest.approx(cost)
    assert stats["unheard_usd"] == pytest.approx(cost)


def test_the_endpoint_ends_with_the_process_that_started_it(repository):
    start = "import sys, time; sys.path.insert(0, 'tests/endpoint'); import running; e = running.start()"
    code = f"{start}; print(e.url, flush=True); time.sleep(0.2)"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    address = urlsplit(said.stdout.strip())

    def refused():
        with socket.socket() as line:
            return line.connect_ex((address.hostname, address.port)) != 0

    assert until(refused)
