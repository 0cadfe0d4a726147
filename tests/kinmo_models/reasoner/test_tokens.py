"""The tokenizer of a dataset's own texts, and what may be written with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinmo_annotate.schema.records import NO_MOVEMENT
from kinmo_models.reasoner.form import END, KEEP, Piece
from kinmo_models.reasoner.tokens import IGNORED, TextTokens
from kinmo_models.training.errors import TrainingError


def test_known_words_and_names_are_one_token_each_and_any_text_comes_back(tokens: TextTokens):
    assert len(tokens.piece(" waves with the left hand")) == 5
    assert len(tokens.piece(" 0.8")) == 1
    assert len(tokens.piece("left_arm__right_arm:")) == 1
    assert len(tokens.piece(f" {NO_MOVEMENT}")) == 1
    for text in (" a person moonwalks 12.75 m", " öäü 人 🕺", "caption: x\n"):
        assert tokens.decode(tokens.piece(text)) == text


def test_only_what_is_learned_has_labels(tokens: TextTokens):
    pieces = [Piece("torso:"), Piece(" the left arm", True), Piece(END, True)]
    ids, labels = tokens.encode(pieces)
    assert tokens.decode(ids) == "torso: the left arm\n"
    assert labels == [IGNORED, *ids[1:]]


def test_nothing_of_the_form_may_be_written(tokens: TextTokens):
    starts, inside = tokens.allowed()
    assert not (starts & ~inside).any()
    for text in ("torso:", END, KEEP, " <", " {", ":", "<pad>"):
        for token in tokens.piece(text)[-1:]:
            assert not inside[token], text
    assert inside[tokens.piece(" left")[0]]
    assert starts[tokens.piece(f" {NO_MOVEMENT}")[0]]
    assert not starts[tokens.piece(" .")[0]]


def test_it_is_kept_beside_the_weights(tokens: TextTokens, tmp_path: Path):
    tokens.save(tmp_path)
    assert not list(tmp_path.glob("*.pkl"))
    read = TextTokens.load(tmp_path)
    text = f" a person waves, {NO_MOVEMENT}"
    assert read.piece(text) == tokens.piece(text)
    assert (read.end, read.keep, read.pad, read.size) == (tokens.end, tokens.keep, tokens.pad, tokens.size)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(TrainingError, match=r"tokenizer\.json: is missing or damaged"):
        TextTokens.load(tmp_path)
