"""The form: its schema, and that any text gives 21 clean sentences or a reason why not."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kinmo_annotate.describe import describe_motion
from kinmo_annotate.describe.llm.form import (
    MOST_CHARACTERS,
    RESPONSE_FORMAT,
    SCHEMA,
    AnswerError,
    parse_answer,
)
from kinmo_annotate.schema.records import NO_MOVEMENT, NOT_DETERMINED, Motion, Source
from kinmo_annotate.schema.skeleton import FIELDS

GOOD = {field: f"The {field.replace('__', ' and the ').replace('_', ' ')} moves." for field in FIELDS}


def answer(**texts: object) -> str:
    return json.dumps(GOOD | texts)


def refusal(text: str) -> str:
    with pytest.raises(AnswerError) as error:
        parse_answer(text)
    assert error.value.reason == str(error.value)
    return error.value.reason


def left_arm(text: str) -> str:
    return parse_answer(answer(left_arm=text))["left_arm"]


# ---------------------------------------------------------------- the schema


def test_the_schema_is_strict_and_flat():
    assert list(SCHEMA["properties"]) == SCHEMA["required"] == list(FIELDS)
    assert len(FIELDS) == 21
    assert SCHEMA["additionalProperties"] is False
    for one in SCHEMA["properties"].values():
        assert set(one) == {"type", "description"}
        assert one["type"] == "string"
        assert 10 < len(one["description"]) < 70
    assert (
        SCHEMA["properties"]["neck__left_arm"]["description"]
        == "What the head and the left arm do to each other."
    )


def test_the_response_format_is_that_of_chat_completions():
    assert json.loads(json.dumps(RESPONSE_FORMAT)) == {
        "type": "json_schema",
        "json_schema": {"name": "kinmo_descriptions", "strict": True, "schema": SCHEMA},
    }


# ---------------------------------------------------------------- good answers


def test_a_good_answer_is_read_as_it_is():
    assert parse_answer(answer()) == GOOD
    assert tuple(parse_answer(answer())) == FIELDS


def test_the_order_of_the_fields_does_not_matter():
    backwards = json.dumps(dict(reversed(GOOD.items())))
    assert tuple(parse_answer(backwards)) == FIELDS


@pytest.mark.parametrize(
    "wrapping",
    [
        "```json\n%s\n```",
        "```\n%s\n```",
        "Here are the sentences:\n%s",
        "%s\n\nLet me know if anything is unclear {really}.",
        " \n%s\n ",
        "\ufeff%s",
        "'%s'",
        '"%s"',
        "[%s]",
        "<think>left { or right</think>\n%s",
    ],
)
def test_what_stands_around_the_object_does_no_harm(wrapping):
    assert parse_answer(wrapping % answer()) == GOOD


def test_an_object_inside_a_string_of_json_is_read():
    assert parse_answer(json.dumps(answer())) == GOOD


def test_sentences_of_the_kinematic_describer_pass_unchanged(arm_motion):
    written = describe_motion(Motion("000001", arm_motion(1), Source("made up", "")), seed=0)
    assert any(text != NO_MOVEMENT for text in written.values())
    assert parse_answer(json.dumps(written)) == written


@pytest.mark.parametrize(
    "text",
    [
        "The left arm rises.",
        "  The left\tarm\n rises.  ",
        "the left arm rises",
        "The left\u200b arm\u00a0rises\u00ad.",
        "\u202eThe left arm rises.\u2069",
        "The left arm \x00rises\x1f.",
        '"The left arm rises."',
        "“The left arm rises.”",
        "**The left arm** rises.",
        "- The left arm rises",
        "• `The left arm` rises,",
        "left_arm: The left arm rises.",
        "Left arm: 'The left arm rises.'",
        "The left_arm rises.",
        "The left arm rises...",
    ],
)
def test_texts_are_tidied(text):
    assert left_arm(text) == "The left arm rises."


def test_names_of_the_table_become_words():
    assert left_arm("The torso__left_arm and neck parts") == "The torso and the left arm and neck parts."


@pytest.mark.parametrize(
    "text",
    [
        "No notable movement.",
        "no notable movement",
        "NO NOTABLE MOVEMENT!",
        "'No notable movement.'",
        "No significant movement",
        "No movement.",
        "There is no noticeable motion.",
        "The left arm shows no notable movement.",
        "The left arm and the torso have no notable movement throughout.",
        "No notable movement of the left arm.",
        "No notable interaction between the torso and the left arm.",
        "No notable movement between both arms.",
        "Left arm: no notable movement",
        "None",
        "-",
        "—",
    ],
)
def test_ways_to_say_no_movement_become_one(text):
    assert left_arm(text) == NO_MOVEMENT


@pytest.mark.parametrize(
    "text",
    [
        "Not determined.",
        "not determined",
        "NOT DETERMINED",
        "Undetermined",
        "unknown",
        "N/A",
        "It cannot be determined.",
    ],
)
def test_ways_to_say_not_determined_become_one(text):
    assert left_arm(text) == NOT_DETERMINED


@pytest.mark.parametrize(
    "text",
    [
        "No notable movement until 1.2 s, then the left arm rises.",
        "The left arm shows no notable movement at the start, then rises.",
        "The left arm rises; no notable movement of the left leg.",
        "Unknown forces lift the left arm.",
    ],
)
def test_more_than_the_fixed_phrase_is_a_sentence_of_its_own(text):
    assert left_arm(text) == text


def test_other_scripts_and_long_numbers_pass():
    assert left_arm("左腕を上げる。") == "左腕を上げる。"
    assert left_arm("поднимает левую руку") == "Поднимает левую руку."
    assert left_arm("The left arm rises at 1.25 s") == "The left arm rises at 1.25 s."


# ---------------------------------------------------------------- answers that cannot be used


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("I cannot help with that.", "it is not a JSON object"),
        ("[]", "it is not a JSON object"),
        ("null", "it is not a JSON object"),
        ('"only a text"', "it is not a JSON object"),
        (answer()[:300], "it is not JSON: it ends early"),
        (answer()[:-1], "it is not JSON: it ends early"),
        (answer().replace('": "', '" "', 1), "it is not JSON: Expecting ':' delimiter at character 9"),
        ("{" * 100_000, "it is not JSON"),
        ('{"a":' * 15_000, "it is not JSON"),
        ('{"torso": ' + "9" * 9000 + "}", "it is not JSON"),
        ("{" + " " * 100_000 + "}", "it is longer than 100000 characters"),
        ("{}", "field torso is missing; field neck is missing"),
        (answer(tail="The tail wags."), "field tail is none of the 21"),
        (answer(left_arm=None), "field left_arm is not a text"),
        (answer(left_arm=["The left arm rises."]), "field left_arm is not a text"),
        (answer(left_arm={"text": "The left arm rises."}), "field left_arm is not a text"),
        (answer(left_arm=3), "field left_arm is not a text"),
        (answer(left_arm="\ud800"), "field left_arm is empty"),
        (answer()[:-1] + ', "neck": "The head nods."}', "field neck stands there twice"),
        (answer(left_arm=""), "field left_arm is empty"),
        (answer(left_arm=" \u200b\n"), "field left_arm is empty"),
        (answer(left_arm='""'), "field left_arm is empty"),
        (answer(left_arm="..."), "field left_arm is empty"),
        (answer(left_arm="rises"), "field left_arm is not a sentence"),
        (answer(left_arm="left_arm"), "field left_arm is not a sentence"),
        (answer(torso__left_arm="The torso and the left arm."), "field torso__left_arm is not a sentence"),
        (answer(left_arm="123 456 789"), "field left_arm is not a sentence"),
        (answer(left_arm='{"text": "rises"}'), "field left_arm holds markup"),
        (answer(left_arm="left_arm | 0.4-1.0 s raise"), "field left_arm holds markup"),
        (answer(left_arm="0.4-1.0 s raise 0.7 m"), "field left_arm is a row of the table"),
        (answer(left_arm="0.4 s raise 0.7 m"), "field left_arm is a row of the table"),
        (answer(left_arm="<script>alert(1)</script>"), "field left_arm holds markup"),
        (answer(left_arm="It rises. " * 61), "field left_arm has 609 characters, more than 600"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(text, reason):
    assert refusal(text).startswith(reason)


def test_one_missing_field_is_named():
    assert (
        refusal(json.dumps({k: v for k, v in GOOD.items() if k != "left_arm"})) == "field left_arm is missing"
    )


def test_a_long_list_of_reasons_is_cut():
    assert refusal("{}").endswith("field right_arm is missing; field left_leg is missing; and 16 more") or (
        refusal("{}").count(";") == 5 and refusal("{}").endswith("and 16 more")
    )
    assert len(refusal(json.dumps(dict.fromkeys(map(str, range(500)), "\u202e" + "x" * 900)))) < 600


@pytest.mark.parametrize("length", range(0, 1500, 37))
def test_a_cut_answer_is_never_taken_for_a_whole_one(length):
    whole = answer()
    assert refusal(whole[: min(length, len(whole) - 1)])


# ---------------------------------------------------------------- any text

PIECES = st.sampled_from(
    [*'{}[]",:`*-.\\ \n', "```json", "\u200b", "\ud800", "no notable movement", "N/A", "The left arm",
     "left_arm", "rises",
     "1.2 s", "|", "null", "ß", "ŉ", "\u0345", "'", "“", "…", "—", "\u2028", "\ufeff", "\x85", "é"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join))


def assert_clean(sentences: dict[str, str]) -> None:
    assert tuple(sentences) == FIELDS
    for text in sentences.values():
        assert 3 < len(text) <= MOST_CHARACTERS
        assert text == " ".join(text.split())
        assert not any(unicodedata.category(c).startswith("C") for c in text)
        assert not set("{}|[]<>\\`*") & set(text)
        assert any(c.isalpha() for c in text)
        assert text.endswith((".", "!", "?", "。", "！", "？"))
        text.encode()


def check_any(text: str) -> None:
    sentences, reason = None, ""
    try:
        sentences = parse_answer(text)
    except AnswerError as error:
        reason = error.reason
    if sentences is None:
        assert 0 < len(reason) < 700
        assert reason.isprintable()
    else:
        assert_clean(sentences)
        assert parse_answer(json.dumps(sentences)) == sentences


@given(TEXTS)
def test_any_text_is_read_or_refused(text):
    check_any(text)


@given(st.dictionaries(st.sampled_from(FIELDS), TEXTS, max_size=4))
@example({"torso": "ŉo notable movement"})
@example({"torso": "- - 'a b'."})
@example({"torso": "N/A…"})
@settings(max_examples=400)
def test_any_sentences_are_tidied_or_refused(texts):
    check_any(json.dumps(GOOD | texts))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | TEXTS,
        lambda s: st.lists(s, max_size=3) | st.dictionaries(TEXTS, s, max_size=3),
        max_leaves=8,
    )
)
def test_any_json_is_read_or_refused(value):
    check_any(json.dumps(value))
    check_any(json.dumps(GOOD | {"left_leg": value}))


@given(st.integers(0, 2500), TEXTS)
def test_a_whole_answer_with_anything_put_inside_is_read_or_refused(place, text):
    whole = answer()
    check_any(whole[:place] + text + whole[place:])
