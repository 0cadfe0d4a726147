"""Captions as words with tags."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinmo_models.evaluator.tags import TAGS, framed, read_tags, tagged


def test_there_are_the_15_tags_of_t2m():
    assert len(set(TAGS)) == 15


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("left", ("left", "Loc_VIP")),
        ("hands", ("hand", "Body_VIP")),
        ("stairs", ("stair", "Obj_VIP")),
        ("Walking", ("walk", "Act_VIP")),
        ("stopped", ("stop", "Act_VIP")),
        ("raises", ("raise", "Act_VIP")),
        ("stumbled", ("stumble", "Act_VIP")),
        ("spun", ("spin", "Act_VIP")),
        ("slowly", ("slowly", "Desc_VIP")),
        ("gracefully", ("gracefully", "ADV")),
        ("the", ("the", "DET")),
        ("toward", ("toward", "ADP")),
        ("two", ("two", "NUM")),
        ("is", ("is", "AUX")),
        ("something", ("something", "PRON")),
        ("and", ("and", "OTHER")),
        ("persons", ("persons", "NOUN")),
    ],
)
def test_a_word_is_read_by_rule(word: str, expected: tuple[str, str]):
    assert tagged(word) == [expected]


def test_hyphens_numbers_and_punctuation_go():
    assert [word for word, _ in tagged("A half-turn, 90 degrees.")] == ["a", "halfturn", "degrees"]


def test_the_frame_cuts_to_20_words_and_corrects_tags():
    tokens = framed([("walk", "VERB"), ("foo", "PUNCT"), *[("bar", "NOUN")] * 30])
    assert tokens[:3] == [("sos", "OTHER"), ("walk", "Act_VIP"), ("foo", "OTHER")]
    assert tokens[-1] == ("eos", "OTHER")
    assert len(tokens) == 22


def test_tags_are_read_from_the_texts_of_humanml3d(tmp_path: Path):
    line = "a man walks.#a/DET man/NOUN walk/VERB#0.0#0.0\n"
    (tmp_path / "000001.txt").write_text(line + "no tokens\n" + "two parts#two parts#0.0#0.0\n")
    assert read_tags(tmp_path) == {"a man walks.": [("a", "DET"), ("man", "NOUN"), ("walk", "VERB")]}


def test_the_rule_knows_the_words_that_matter_in_real_captions(shared_data: Path):
    known = read_tags(shared_data / "mocap/texts")
    assert len(known) > 5000
    vip = [
        (one, other)
        for caption, tokens in known.items()
        for one, other in zip(framed(tokens), framed(tagged(caption)), strict=True)
        if "VIP" in one[1] + other[1]
    ]
    assert sum(one == other for one, other in vip) > 0.99 * len(vip)
