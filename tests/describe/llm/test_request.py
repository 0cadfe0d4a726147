"""Requests: what is sent, and that the key says all of it and nothing else."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest

from kinmo_annotate.describe.llm.form import SCHEMA
from kinmo_annotate.describe.llm.prompt import load_prompt
from kinmo_annotate.describe.llm.request import Asked, make_request, sent_body, with_messages

PROMPT = load_prompt()
ASKED = Asked("a-model", PROMPT, 2500, {"temperature": 0, "reasoning_effort": "none"})
FIELDS = {name: f"{name} of it." for name in ("length", "differences", "fps", "captions", "keyframes")}


def make(motion_id: str = "a", asked: Asked = ASKED, **fields: str):
    return make_request(motion_id, FIELDS | fields, asked)


def test_the_static_part_comes_first_and_the_same_for_all():
    one, other = make(), make("b", captions="A person jumps.")
    assert [message["role"] for message in one.body["messages"]] == ["system", "user"]
    assert (
        one.body["messages"][0] == other.body["messages"][0] == {"role": "system", "content": PROMPT.system}
    )
    assert "captions of it." in one.body["messages"][1]["content"]


def test_the_body_is_json_with_a_strict_schema_and_the_options():
    body = json.loads(json.dumps(make().body))
    assert body["model"] == "a-model"
    assert (body["max_completion_tokens"], body["temperature"]) == (2500, 0)
    assert body["reasoning_effort"] == "none"
    assert body["response_format"]["json_schema"]["strict"] is True
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA


def test_equal_motions_have_one_key():
    assert make("a").key == make("b").key
    assert len(make().key) == 32


@pytest.mark.parametrize(
    "asked",
    [
        replace(ASKED, model="another"),
        replace(ASKED, output_tokens=2501),
        replace(ASKED, options={"temperature": 1, "reasoning_effort": "none"}),
        replace(ASKED, options={"temperature": 0}),
        replace(ASKED, prompt=replace(PROMPT, fingerprint="describe-0123456789ab")),
    ],
)
def test_whatever_the_answer_depends_on_is_in_the_key(asked):
    assert make(asked=asked).key != make().key


def test_another_payload_has_another_key():
    assert make(keyframes="Others.").key != make().key


def test_the_order_of_options_is_not_in_the_key():
    turned = replace(ASKED, options=dict(reversed(ASKED.options.items())))
    assert make(asked=turned).key == make().key


def test_text_that_is_no_unicode_does_no_harm():
    assert len(make(captions="half a pair \ud83d").key) == 32


def test_a_conversation_goes_on_under_a_key_of_its_own():
    one = make()
    more = {"role": "user", "content": "Once more."}
    longer = with_messages(one, [more], output_share=2.0)
    assert longer.body["messages"] == [*one.body["messages"], more]
    assert longer.body["max_completion_tokens"] == 5000
    assert longer.key != one.key
    assert (longer.motion_id, longer.prompt_version) == (one.motion_id, one.prompt_version)
    assert len(one.body["messages"]) == 2
    assert longer.characters == one.characters + len("Once more.")


def test_workers_hand_requests_over():
    assert pickle.loads(pickle.dumps(make())) == make()


def test_what_an_endpoint_refuses_is_left_out():
    body = make().body
    assert sent_body(body, ()) == body
    assert sent_body(body, {"temperature"}) == {k: v for k, v in body.items() if k != "temperature"}
    assert "temperature" in body


def test_older_servers_hear_of_the_most_tokens_by_their_name():
    sent = sent_body(make().body, {"max_completion_tokens"})
    assert sent["max_tokens"] == 2500
    assert "max_completion_tokens" not in sent
    neither = sent_body(make().body, {"max_completion_tokens", "max_tokens"})
    assert not {"max_completion_tokens", "max_tokens"} & set(neither)
