"""What is read out of a chat completion, however odd it is."""

from __future__ import annotations

import pytest

from kinmo_annotate.describe.llm.form import AnswerError
from kinmo_annotate.describe.llm.response import answer_text, finish_reason, usage_of


def body(message=None, **choice):
    return {"choices": [{"message": {"content": "{}"} if message is None else message, **choice}]}


def test_the_text_of_a_good_answer():
    assert answer_text(body({"content": " {} ", "refusal": None}, finish_reason="stop")) == " {} "
    assert answer_text(body()) == "{}"  # some servers tell no reason


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (body({"content": None, "refusal": "I  can't\nhelp."}), r"the model refused: I can't help\."),
        (body({"content": "{}", "refusal": "No."}), "refused: No"),
        (body(finish_reason="content_filter"), "content filter"),
        (body(finish_reason="length"), "cut off for its length"),
        (body({"content": ""}), "empty"),
        (body({"content": " \n"}), "empty"),
        (body({"content": None}), "empty"),
        (body({"content": 7}), "empty"),
        (body({"content": [{"type": "text", "text": "{}"}]}), "empty"),
        (body("not an object"), "empty"),
        ({"choices": [{}]}, "empty"),
        ({"choices": [{"message": None}]}, "empty"),
    ],
)
def test_what_cannot_be_used_is_told_why(given, said):
    with pytest.raises(AnswerError, match=said):
        answer_text(given)


def test_a_long_refusal_is_cut():
    with pytest.raises(AnswerError) as error:
        answer_text(body({"refusal": "no " * 1000}))
    assert len(str(error.value)) < 250


def test_why_it_ended():
    assert finish_reason(body(finish_reason="length")) == "length"
    assert finish_reason(body(finish_reason=None)) == finish_reason(body()) == ""


def test_tokens_as_the_endpoint_counted():
    usage = {
        "prompt_tokens": 3000, "completion_tokens": 500, "prompt_tokens_details": {"cached_tokens": 1024},
    }  # fmt: skip
    assert usage_of({"usage": usage}) == (3000, 500, 1024)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        "many",
        [],
        {},
        {"prompt_tokens": None},
        {"prompt_tokens": "3000", "completion_tokens": "500"},
        {"prompt_tokens": -5, "completion_tokens": -1},
        {"prompt_tokens": 1.5e9, "completion_tokens": True},
        {"prompt_tokens": 10**30, "completion_tokens": 1 << 40},
        {"prompt_tokens_details": None},
        {"prompt_tokens_details": {"cached_tokens": 99}},
    ],
)
def test_counts_that_are_none_count_nothing(usage):
    assert usage_of({"usage": usage}) == (0, 0, 0)


def test_no_more_comes_from_the_prompt_cache_than_was_sent():
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 99}}
    assert usage_of({"usage": usage}) == (10, 1, 10)
