"""Answers of a model with random weights: they keep the form whatever it would like to write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_models.reasoner.config import SamplingConfig
from kinmo_models.reasoner.decode import Line, Question, Writer
from kinmo_models.reasoner.form import caption_question, edit_question
from kinmo_models.reasoner.tokens import TextTokens

SHORT = SamplingConfig(sentence_tokens=8)


class Wishes(nn.Module):
    """A model that always wants the same tokens most, in this order."""

    def __init__(self, size: int, wanted: Sequence[int]) -> None:
        super().__init__()
        self.logits = torch.zeros(size)
        for rank, token in enumerate(reversed(wanted), start=1):
            self.logits[token] = float(rank)

    def forward(self, input_ids: torch.Tensor, past_key_values: Any, **_: Any) -> Any:
        from transformers.modeling_outputs import CausalLMOutputWithPast

        logits = self.logits.expand(len(input_ids), 1, -1)
        return CausalLMOutputWithPast(logits=logits, past_key_values=past_key_values)


def asked(caption: str, seed: int = 0, **given: str) -> Question:
    lines = [Line(name, given.get(name)) for name in FIELDS]
    return Question(caption_question(caption), lines, seed)


def test_every_answer_has_21_sentences_that_are_not_empty(model: nn.Module, tokens: TextTokens):
    captions = ("a person waves", "zebra quux 人 torso", "a " * 60)
    answers = Writer(model, tokens, "cpu").write([asked(one) for one in captions], SHORT)
    for answer in answers:
        assert len(answer) == 21
        for text in answer:
            assert text is not None
            assert re.search(r"[A-Za-z0-9]", text)
            assert not re.search(r"[\n:=<>{}]", text)


@pytest.mark.parametrize("wanted", [["torso:", "\n"], [" =", "\n"], ["<pad>"], [" .", "\n"], [":"]])
def test_a_model_cannot_break_the_form(tokens: TextTokens, wanted: list[str]):
    ids = [token for text in wanted for token in tokens.piece(text)]
    answer = Writer(Wishes(tokens.size, ids), tokens, "cpu").write([asked("a person waves")], SHORT)[0]
    assert len(answer) == 21
    assert all(text and re.fullmatch(r"[\w .,;'’%()/-]+", text) for text in answer)


def test_a_sentence_is_cut_where_it_does_not_end(tokens: TextTokens):
    word = tokens.piece(" left")[0]
    answer = Writer(Wishes(tokens.size, [word]), tokens, "cpu").write([asked("a person waves")], SHORT)[0]
    assert answer == [" left" * 8] * 21


def test_a_field_stays_only_where_it_may(tokens: TextTokens):
    lines = [Line("caption"), *(Line(name, may_stay=True) for name in FIELDS)]
    before = dict.fromkeys(FIELDS, "The arm rises.")
    question = Question(edit_question("a person waves", before, "stop", "groups"), lines)
    wishes = Wishes(tokens.size, [*tokens.keep, *tokens.piece(" left"), tokens.end[0]])
    answer = Writer(wishes, tokens, "cpu").write([question], SHORT)[0]
    assert answer == [" left" * 8, *[None] * 21]


def test_what_is_given_stands_there(model: nn.Module, tokens: TextTokens):
    given = asked("a person waves", left_arm="The left arm waves.", torso__neck="They stay.")
    answer = Writer(model, tokens, "cpu").write([given], SHORT)[0]
    assert answer[FIELDS.index("left_arm")] == "The left arm waves."
    assert answer[FIELDS.index("torso__neck")] == "They stay."


def test_an_answer_does_not_depend_on_those_beside_it(model: nn.Module, tokens: TextTokens):
    writer = Writer(model, tokens, "cpu")
    warm = SamplingConfig(temperature=0.8, sentence_tokens=8)
    for sampling in (SHORT, warm):
        alone = writer.write([asked("a person waves", 3)], sampling)[0]
        others = [asked("a person walks forward and raises the right arm"), asked("a person waves", 3)]
        assert writer.write(others, sampling)[1] == alone
    assert writer.write([asked("a person waves", 4)], warm) != writer.write(
        [asked("a person waves", 3)], warm
    )


def test_the_cache_brings_what_reading_everything_again_does(model: nn.Module, tokens: TextTokens):
    """Greedy answers, token for token, against a loop that keeps nothing."""
    answer = Writer(model, tokens, "cpu").write([asked("a person waves")], SHORT)[0]
    starts, inside = tokens.allowed()
    ids = tokens.encode(caption_question("a person waves"))[0]
    for name, text in zip(FIELDS, answer, strict=True):
        ids += tokens.piece(f"{name}:")
        written: list[int] = []
        while True:
            may = (inside if written else starts).clone()
            if written:
                may[tokens.end[0]] = True
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
            token = int(logits.masked_fill(~may, -torch.inf).argmax())
            if token == tokens.end[0] or len(written) >= SHORT.sentence_tokens:
                break
            written.append(token)
            ids.append(token)
        assert text == tokens.decode(written)
        ids += tokens.end
