"""A trained tokenizer on the disk: on its own, and what is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from kinmo_annotate.schema.features import joints_to_features
from kinmo_annotate.schema.shards import DatasetError
from kinmo_models.tokenizer.tokenizer import Tokenizer
from kinmo_models.training.errors import TrainingError


def test_it_needs_neither_dataset_nor_cache(run, arm_motion, tmp_path):
    features = [joints_to_features(arm_motion(1))]
    before = Tokenizer.from_pretrained(run, device="cpu")
    for name in ("dataset", "cache"):
        shutil.rmtree(tmp_path / name)
    moved = shutil.move(run, tmp_path / "elsewhere")
    after = Tokenizer.from_pretrained(moved, device="cpu")
    assert before.fingerprint == after.fingerprint
    assert (after.levels, after.codes, after.width) == (3, 8, 8)
    assert after.meta["kind"] == "tokenizer"
    assert after.config.model.width == 16
    np.testing.assert_array_equal(before.encode(features)[0], after.encode(features)[0])
    assert not any(weight.requires_grad for weight in after.model.parameters())


def test_a_shared_codebook_is_shared_again(make_dataset, small, tmp_path):
    from kinmo_models.tokenizer.train import train_tokenizer

    config = small("model.shared_codebook=true")
    train_tokenizer(make_dataset(6), tmp_path / "run", config, cache_dir=tmp_path / "cache")
    books = Tokenizer.from_pretrained(tmp_path / "run").codebooks
    assert (books[0] == books[2]).all()
    assert books.std() > 0


def test_damaged_and_foreign_folders_are_told_with_a_remedy(run, tmp_path):
    def broken(change, error=TrainingError):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(run / "last", copy)
        change(copy)
        with pytest.raises(error) as caught:
            Tokenizer.from_pretrained(copy, device="cpu")
        return str(caught.value)

    meta = json.loads((run / "last/meta.json").read_text("utf-8"))
    assert "kind retrieval, not tokenizer" in broken(
        lambda folder: (folder / "meta.json").write_text(json.dumps(meta | {"kind": "retrieval"}), "utf-8")
    )
    assert "is damaged" in broken(lambda folder: (folder / "meta.json").write_text("[]", "utf-8"))
    assert "is missing" in broken(lambda folder: (folder / "model.safetensors").unlink())
    assert "does not hold the weights" in broken(
        lambda folder: (folder / "model.safetensors").write_bytes(b"nothing")
    )
    assert "does not hold the weights" in broken(
        lambda folder: (folder / "config.yaml").write_text("model: {width: 32}", "utf-8")
    )
    assert "statistics.safetensors: is missing" in broken(
        lambda folder: (folder / "statistics.safetensors").unlink(), DatasetError
    )
    with pytest.raises(TrainingError, match="no such folder"):
        Tokenizer.from_pretrained(tmp_path / "nowhere")
