"""Vectors of words, from whatever file, and captions as rows of numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from kinmo_models.data.tokens import TokenStore
from kinmo_models.evaluator.tags import TAGS
from kinmo_models.evaluator.words import CaptionWords, WordVectors
from kinmo_models.layers.language import LanguageModel
from kinmo_models.training.errors import TrainingError

WORDS = ["unk", "sos", "eos", "walk", "man"]
VECTORS = np.arange(20, dtype=np.float32).reshape(5, 4)


def tag(name: str) -> list[float]:
    return [float(name == one) for one in TAGS]


def test_a_row_is_a_words_vector_and_its_tag():
    rows = WordVectors(WORDS, VECTORS).rows("Man walks oddly")
    expected = [
        [*VECTORS[1], *tag("OTHER")],
        [*VECTORS[4], *tag("NOUN")],
        [*VECTORS[3], *tag("Act_VIP")],
        [*VECTORS[0], *tag("OTHER")],  # not among the words: no tag either
        [*VECTORS[2], *tag("OTHER")],
    ]
    np.testing.assert_array_equal(rows, np.array(expected, np.float32))


def test_known_tags_win_over_the_rule():
    known = {"man walks": [("man", "VERB")]}
    rows = WordVectors(WORDS, VECTORS, known).rows("man walks")
    np.testing.assert_array_equal(rows[1, 4:], tag("VERB"))
    assert len(rows) == 3


def test_every_kind_of_file_gives_the_same(tmp_path: Path):
    words = WordVectors(WORDS, VECTORS)
    words.save(tmp_path)
    np.savez(tmp_path / "words.npz", words=np.array(WORDS), vectors=VECTORS)
    lines = [f"{word} {' '.join(map(str, row))}\n" for word, row in zip(WORDS, VECTORS, strict=True)]
    (tmp_path / "glove.txt").write_text("".join(lines))
    for name in ("words.safetensors", "words.npz", "glove.txt"):
        read = WordVectors.load(tmp_path / name)
        assert read.words == WORDS
        np.testing.assert_array_equal(read.vectors, VECTORS)


def test_words_with_spaces_and_words_that_stand_twice_are_read(tmp_path: Path):
    (tmp_path / "glove.txt").write_text("unk 1 2\nat home 3 4\nwalk 5 6\nwalk 7 8\n")
    read = WordVectors.load(tmp_path / "glove.txt")
    assert read.words == ["unk", "at home", "walk"]
    assert read.vectors.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_files_that_hold_no_words_are_refused(tmp_path: Path):
    def refused(name: str, said: str) -> None:
        with pytest.raises(TrainingError, match=said):
            WordVectors.load(tmp_path / name)

    refused("absent.npz", "no such file")
    (tmp_path / "short.txt").write_text("unk 1 2\na 1\n")
    refused("short.txt", "no vectors of words")
    (tmp_path / "text.txt").write_text("unk is no number\n")
    refused("text.txt", "no vectors of words")
    (tmp_path / "lacking.txt").write_text("a 1 2\n")
    refused("lacking.txt", '"unk" with them')
    np.savez(tmp_path / "pickled.npz", words=np.array(["unk", None], object), vectors=VECTORS[:2])
    refused("pickled.npz", "no vectors of words")
    save_file({"vectors": VECTORS}, tmp_path / "bare.safetensors")
    refused("bare.safetensors", "no vectors of words")
    (tmp_path / "torn.safetensors").write_bytes(b"\x08\x00")
    refused("torn.safetensors", "no vectors of words")


@pytest.fixture(scope="module")
def language() -> LanguageModel:
    return LanguageModel.open(None, "cpu")


def test_words_of_captions_have_the_language_models_vectors(language: LanguageModel):
    words = WordVectors.of_captions(["a man walks", "a man hops"], language)
    assert set(words.words) == {"a", "man", "walk", "hop", "sos", "eos", "unk"}
    assert words.vectors.std() == pytest.approx(1, abs=1e-5)
    raw = language.word_vectors(words.words[:1])
    factor = words.vectors[0] / raw[0]
    np.testing.assert_allclose(factor, factor[0], rtol=1e-4)


def test_captions_are_found_by_text_and_other_texts_read_as_none(language: LanguageModel, tmp_path: Path):
    words = WordVectors(WORDS, VECTORS)
    texts = ["man walks", "walk"]
    sentences = TokenStore.of([*texts, "Not determined."], language, tmp_path)
    store = CaptionWords(texts, words, sentences)
    ids = store.ids(["walk", "man walks", "The left arm rises.", "Not determined."])
    assert ids.tolist() == [2, 1, 0, 0]
    packed, lengths = store.gather(ids[:2])
    np.testing.assert_array_equal(packed, np.concatenate([words.rows("walk"), words.rows("man walks")]))
    assert lengths.tolist() == [3, 4]
    expected = sentences.sentences(sentences.ids(["walk", "man walks"]))
    np.testing.assert_array_equal(store.sentences(ids[:2]), expected)
