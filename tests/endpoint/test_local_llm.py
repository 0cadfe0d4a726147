"""The real small model: what its server does with the things that the describer relies on."""

from __future__ import annotations

import importlib.util
import json
import urllib.request

import openai
import pytest

from kinmo_annotate.schema.skeleton import FIELDS

SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "string", "maxLength": 40} for name in FIELDS},
    "required": list(FIELDS),
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "motion", "strict": True, "schema": SCHEMA}}
MESSAGES = [
    {"role": "system", "content": "You describe motions. Write a short sentence for each field."},
    {"role": "user", "content": "A person walks forward and waves the right hand."},
]


def test_what_is_missing_is_named(monkeypatch, local_llm_module):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(local_llm_module.Missing, match="pip install xllamacpp"):
        local_llm_module.model_file()


@pytest.fixture(scope="module")
def local_llm_module(repository):
    path = repository / "tests/endpoint/local_llm.py"
    spec = importlib.util.spec_from_file_location("kinmo_tests_local_llm_alone", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ask(local_llm, **more):
    with openai.OpenAI(base_url=local_llm.url, api_key="none", max_retries=0, timeout=180) as client:
        return client.chat.completions.create(
            model=local_llm.model, messages=MESSAGES, response_format=FORM, temperature=0.0, **more
        )


def call(local_llm, path, body):
    request = urllib.request.Request(local_llm.url.removesuffix("/v1") + path, json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_the_local_model_keeps_to_the_schema(local_llm):
    answer = ask(local_llm, max_completion_tokens=1500)
    assert answer.choices[0].finish_reason == "stop"
    fields = json.loads(answer.choices[0].message.content)
    assert list(fields) == list(FIELDS)
    assert max(map(len, fields.values())) <= 40


@pytest.mark.slow
def test_the_local_model_counts_as_its_tokenizer_does_and_reuses_a_prompt(local_llm):
    prompt = call(local_llm, "/apply-template", {"messages": MESSAGES})["prompt"]
    tokens = call(local_llm, "/tokenize", {"content": prompt, "add_special": True, "parse_special": True})
    first, second = (ask(local_llm, max_completion_tokens=5).usage for _ in range(2))
    assert first.prompt_tokens == len(tokens["tokens"])
    assert second.prompt_tokens_details.cached_tokens == first.prompt_tokens - 1


@pytest.mark.slow
def test_the_local_model_is_cut_off_in_the_middle_of_the_json(local_llm):
    answer = ask(local_llm, max_completion_tokens=30)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 30
    with pytest.raises(ValueError, match="line"):
        json.loads(answer.choices[0].message.content)
