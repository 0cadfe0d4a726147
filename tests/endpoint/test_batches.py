"""The batch endpoints of the tests' endpoint, through the openai client."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

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


def body(number):
    return {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": f"motion {number}"}],
        "response_format": FORM,
    }


def line(number, **changed):
    whole = {"custom_id": f"m{number}", "method": "POST", "url": "/v1/chat/completions", "body": body(number)}
    return json.dumps(whole | changed)


@pytest.fixture
def client(endpoint) -> Iterator[openai.OpenAI]:
    """A client of an endpoint whose batches take no time; `client.endpoint` is the endpoint."""
    one = endpoint(batch={"run_s": 0.0})
    with openai.OpenAI(base_url=one.url, api_key="k", max_retries=0) as made:
        made.endpoint = one
        yield made


def submit(client, lines, **more):
    file = client.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", **more
    )


def results(client, name):
    """The lines of a file by custom_id; none for no file."""
    if name is None:
        return {}
    lines = [json.loads(text) for text in client.files.content(name).text.splitlines()]
    return {one["custom_id"]: one for one in lines}


def test_a_batch_answers_as_the_chat_does(client):
    batch = submit(client, [line(n) for n in range(20)], metadata={"run": "a"})
    assert batch.status == "validating"
    done = client.batches.retrieve(batch.id)
    assert (done.status, done.metadata, done.error_file_id) == ("completed", {"run": "a"}, None)
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (
        20,
        20,
        0,
    )
    got = results(client, done.output_file_id)
    assert list(got) != [f"m{n}" for n in range(20)]
    assert set(got) == {f"m{n}" for n in range(20)}
    said = got["m3"]["response"]["body"]["choices"][0]["message"]["content"]
    assert got["m3"]["error"] is None
    assert client.chat.completions.create(**body(3)).choices[0].message.content == said
    stats = client.endpoint.stats()
    assert sorted(stats["answered"].values()) == [1] * 19 + [2]
    assert done.usage.output_tokens + stats["usage"]["completion_tokens"] > 0


def test_a_batch_passes_through_its_states(client):
    client.endpoint.control(batch={"validate_s": 0.1, "run_s": 0.6, "finalize_s": 0.1})
    batch = submit(client, [line(n) for n in range(10)])
    seen, counts = [batch.status], []
    until = time.monotonic() + 5
    while seen[-1] != "completed" and time.monotonic() < until:
        now = client.batches.retrieve(batch.id)
        seen += [now.status] if now.status != seen[-1] else []
        counts.append(now.request_counts.completed)
        time.sleep(0.02)
    assert seen == ["validating", "in_progress", "finalizing", "completed"]
    assert counts == sorted(counts)
    assert len(set(counts)) > 3
    assert client.batches.retrieve(batch.id).completed_at >= batch.created_at


def test_some_lines_expire_and_some_fail(client):
    client.endpoint.control(batch={"expire_share": 0.3, "faults": {"error_500": 0.2, "refusal": 0.2}})
    done = client.batches.retrieve(submit(client, [line(n) for n in range(60)]).id)
    assert done.status == "expired"
    good, bad = results(client, done.output_file_id), results(client, done.error_file_id)
    assert len(good) + len(bad) == 60
    assert not set(good) & set(bad)
    expired = [one for one in bad.values() if one["error"]]
    failed = [one for one in bad.values() if one["response"]]
    assert {one["error"]["code"] for one in expired} == {"batch_expired"}
    assert {one["response"]["status_code"] for one in failed} == {500}
    assert 8 <= len(expired) <= 30
    assert failed
    refused = [one for one in good.values() if one["response"]["body"]["choices"][0]["message"]["refusal"]]
    assert refused


def test_a_whole_batch_expires_and_another_fails_in_validation(client):
    client.endpoint.control(batch={"expire": [1], "fail": {"2": "token_limit_exceeded"}})
    first, second, third = (client.batches.retrieve(submit(client, [line(n)]).id) for n in range(3))
    assert (first.status, first.output_file_id, first.request_counts.failed) == ("expired", None, 1)
    assert second.status == "failed"
    assert second.errors.data[0].code == "token_limit_exceeded"
    assert second.output_file_id is second.error_file_id is None
    assert third.status == "completed"


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["{"], "invalid_json_line"),
        ([line(1), line(1)], "duplicate_custom_id"),
        ([line(1, url="/v1/embeddings")], "url_mismatch"),
        ([line(1), line(2, body=body(2) | {"model": "other"})], "model_mismatch"),
        ([line(n) for n in range(4)], "too_many_tasks"),
        ([line(1, method="")], "missing_required_parameter"),
        ([""], "empty_file"),
    ],
)
def test_validation_finds_what_is_wrong_with_the_file(client, lines, code):
    client.endpoint.control(batch={"max_lines": 3})
    done = client.batches.retrieve(submit(client, lines).id)
    assert done.status == "failed"
    assert done.errors.data[0].code == code


def test_uploads_that_are_refused(client):
    client.endpoint.control(batch={"max_bytes": 1000})
    with pytest.raises(openai.APIStatusError, match="too large") as caught:
        client.files.create(file=("in.jsonl", b"x" * 1001), purpose="batch")
    assert caught.value.status_code == 413
    with pytest.raises(openai.BadRequestError, match=r"Must be \.jsonl"):
        client.files.create(file=("in.txt", b"x"), purpose="batch")
    with pytest.raises(openai.BadRequestError, match="input_file_id"):
        client.batches.create(
            input_file_id="file-no", endpoint="/v1/chat/completions", completion_window="24h"
        )


def test_cancelling_keeps_what_was_done(client):
    client.endpoint.control(batch={"run_s": 1.0, "cancel_s": 0.0})
    batch = submit(client, [line(n) for n in range(50)])
    time.sleep(0.3)
    assert client.batches.retrieve(batch.id).status == "in_progress"
    assert client.batches.cancel(batch.id).status == "cancelling"
    done = client.batches.retrieve(batch.id)
    assert done.status == "cancelled"
    good, bad = results(client, done.output_file_id), results(client, done.error_file_id)
    assert good
    assert len(good) + len(bad) == 50
    assert {one["error"]["code"] for one in bad.values()} == {"batch_cancelled"}
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(batch.id)


def test_lists_come_in_pages_newest_first(client):
    made = [submit(client, [line(n)]).id for n in range(5)]
    first = client.batches.list(limit=2)
    assert [one.id for one in first.data] == made[:2:-1]
    assert first.has_more
    assert [one.id for one in client.batches.list(limit=2)] == made[::-1]
    assert {one.purpose for one in client.files.list()} == {"batch", "batch_output"}
    assert len(list(client.files.list(purpose="batch_output"))) == 5


def test_files_can_be_read_and_deleted(client):
    content = "ein Arm hebt sich – π\r\n--x\r\n".encode()
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    assert (file.bytes, file.filename, file.purpose) == (len(content), "in.jsonl", "batch")
    assert client.files.content(file.id).read() == content
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve("batch_no")


def test_a_batch_that_was_made_though_its_answer_was_cut(client):
    rules = [{"path": "/v1/batches", "method": "POST", "at": 1, "fault": "cut"}]
    rules += [{"path": "/v1/batches/*", "fault": "error_500", "times": 1}]
    client.endpoint.control(script=rules)
    with pytest.raises(openai.APIConnectionError):
        submit(client, [line(1)])
    [batch] = client.batches.list().data
    with pytest.raises(openai.InternalServerError):
        client.batches.retrieve(batch.id)
    assert client.batches.retrieve(batch.id).status == "completed"


def test_more_tokens_than_may_wait(client):
    client.endpoint.control(batch={"enqueued_tokens": len(line(1)) // 4 + 5, "run_s": 0.3})
    first = submit(client, [line(1)])
    second = client.batches.retrieve(submit(client, [line(2)]).id)
    assert second.errors.data[0].code == "token_limit_exceeded"
    time.sleep(0.4)
    assert client.batches.retrieve(first.id).status == "completed"
    assert client.batches.retrieve(submit(client, [line(2)]).id).status == "in_progress"
