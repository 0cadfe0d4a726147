"""A trained model on the disk: encoding, independence of the batch, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from kinmo_annotate.schema.features import joints_to_features
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_models.retrieval.config import load_config
from kinmo_models.retrieval.retriever import Retriever
from kinmo_models.retrieval.train import train_retrieval
from kinmo_models.training.errors import TrainingError

SMALL = [
    "model.width=16", "model.layers=1", "model.heads=2", "model.inner=16", "data.batch_size=4",
    "training.epochs=1",
]  # fmt: skip


@pytest.fixture
def run(make_dataset, tmp_path):
    """A model trained for one epoch on made-up motions."""
    config = load_config("tiny", SMALL)
    train_retrieval(make_dataset(6), tmp_path / "run", config, cache_dir=tmp_path / "cache")
    return tmp_path / "run"


@pytest.fixture
def retriever(run, tmp_path):
    return Retriever.from_pretrained(run, device="cpu", cache_dir=tmp_path / "cache")


def test_motions_and_texts_are_unit_rows_of_one_space(retriever, arm_motion):
    assert retriever.levels == ("G", "GJ", "GJI")
    motions = retriever.encode_motions([arm_motion(number) for number in range(3)])
    fields = [{"left_arm": "The left arm rises."}, {}]
    for level in (None, "G", "GJ", "GJI"):
        texts = retriever.encode_texts(["a person waves", "a person walks"], fields, level)
        assert texts.shape == (2, 16)
        assert motions.shape == (3, 16)
        for rows in (texts, motions):
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_a_motion_is_encoded_alike_alone_among_others_and_from_its_features(retriever, arm_motion):
    motions = [arm_motion(number) for number in range(5)]
    together = retriever.encode_motions(motions)
    for place, motion in enumerate(motions):
        np.testing.assert_allclose(retriever.encode_motions([motion])[0], together[place], atol=1e-5)
    features = [joints_to_features(motion) for motion in motions]
    np.testing.assert_array_equal(retriever.encode_features(features), together)


def test_a_text_is_encoded_alike_alone_and_among_many(retriever):
    """Few texts go through the language model, many through the features that are kept on disk."""
    captions = [f"a person walks {number} steps" for number in range(70)]
    together = retriever.encode_texts(captions)
    for place in (0, 33, 69):
        np.testing.assert_allclose(retriever.encode_texts([captions[place]])[0], together[place], atol=1e-5)


def test_sentences_are_compared_without_the_model_alike_whether_few_or_many(retriever):
    texts = [
        "a person claps",
        "someone applauds",
        *(f"a person walks {number} steps" for number in range(70)),
    ]
    few, many = retriever.encode_sentences(texts[:3]), retriever.encode_sentences(texts)
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(few, many[:3], atol=2e-3)  # on disk they are half precision
    assert many[0] @ many[1] > many[0] @ many[2]


def test_without_a_level_the_finest_that_there_are_texts_for(retriever):
    fields = [dict.fromkeys(FIELDS, "Both move.")]
    np.testing.assert_array_equal(retriever.encode_texts(["x"]), retriever.encode_texts(["x"], level="G"))
    np.testing.assert_array_equal(
        retriever.encode_texts(["x"], fields), retriever.encode_texts(["x"], fields, "GJI")
    )


def test_missing_and_empty_fields_are_not_determined(retriever):
    some = retriever.encode_texts(["x"], [{"neck": "Both nod.", "torso": " "}])
    whole = dict.fromkeys(FIELDS, "Not determined.") | {"neck": "Both nod."}
    np.testing.assert_array_equal(some, retriever.encode_texts(["x"], [whole]))
    assert not np.allclose(some, retriever.encode_texts(["x"], [{}]), atol=1e-4)


def test_what_is_refused(retriever):
    with pytest.raises(ValueError, match="levels G, GJ, GJI, not X"):
        retriever.encode_texts(["x"], level="X")
    with pytest.raises(ValueError, match="unknown fields tail"):
        retriever.encode_texts(["x"], [{"tail": "wags"}])
    with pytest.raises(ValueError, match="1 captions, but fields for 2"):
        retriever.encode_texts(["x"], [{}, {}])


def test_damaged_and_foreign_folders_are_told_with_a_remedy(run, tmp_path):
    best = run / ("best" if (run / "best").exists() else "last")

    def broken(change):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(best, copy)
        change(copy)
        with pytest.raises(TrainingError) as error:
            Retriever.from_pretrained(copy, device="cpu")
        return str(error.value)

    meta = json.loads((best / "meta.json").read_text("utf-8"))
    assert "kind tokenizer, not retrieval" in broken(
        lambda folder: (folder / "meta.json").write_text(json.dumps(meta | {"kind": "tokenizer"}), "utf-8")
    )
    assert "damaged" in broken(lambda folder: (folder / "meta.json").write_text("{", "utf-8"))
    assert "is missing" in broken(lambda folder: (folder / "model.safetensors").unlink())
    assert "does not hold the weights" in broken(
        lambda folder: (folder / "model.safetensors").write_bytes(b"nothing")
    )
    with pytest.raises(TrainingError, match="no such folder"):
        Retriever.from_pretrained(tmp_path / "nowhere")


def test_another_language_model_than_in_training_is_refused(run, retriever):
    retriever.meta["language"]["fingerprint"] = "another"
    with pytest.raises(TrainingError, match="is not the all-MiniLM-L6-v2"):
        retriever.encode_texts(["x"])


def test_a_model_of_level_g_knows_no_finer_texts(make_dataset, tmp_path):
    config = load_config("tiny", [*SMALL, "model.levels=G"])
    train_retrieval(make_dataset(6), tmp_path / "run", config, cache_dir=tmp_path / "cache")
    retriever = Retriever.from_pretrained(tmp_path / "run", cache_dir=tmp_path / "cache")
    assert retriever.levels == ("G",)
    assert retriever.config == replace(config)
    with pytest.raises(ValueError, match="levels G, not GJI"):
        retriever.encode_texts(["x"], [{}], "GJI")
