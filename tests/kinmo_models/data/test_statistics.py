"""Statistics: equal to numpy's over all rows at once, bounded in memory, kept safely."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from kinmo_annotate.schema.features import BLOCKS
from kinmo_annotate.schema.shards import DatasetError
from kinmo_models.data import statistics
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.statistics import Statistics


class Arrays:
    """A store of made-up features; mirrored ones are negated."""

    def __init__(self, *lengths, shift=0.0):
        rng = np.random.default_rng(0)
        scales = rng.uniform(0.5, 3, 263)
        self.arrays = [(rng.normal(size=(n, 263)) * scales + shift).astype(np.float32) for n in lengths]

    def features(self, index, mirrored=False):
        return -self.arrays[index] if mirrored else self.arrays[index]


@pytest.mark.parametrize("at_once", [1, 17, 1 << 14])
@pytest.mark.parametrize("mirrored", [False, True])
def test_they_are_those_of_all_rows_together(monkeypatch, at_once, mirrored):
    monkeypatch.setattr(statistics, "_ROWS_AT_ONCE", at_once)
    store = Arrays(5, 1, 40, 12)
    found = Statistics.fit(store, [0, 2, 3], mirrored)
    rows = np.concatenate([store.features(i, m) for i in (0, 2, 3) for m in (False, True)[: 1 + mirrored]])
    np.testing.assert_allclose(found.mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.std, rows.std(axis=0, dtype=np.float64), rtol=1e-6)
    assert found.mean.dtype == found.std.dtype == np.float32


def test_large_means_cost_no_precision(monkeypatch):
    monkeypatch.setattr(statistics, "_ROWS_AT_ONCE", 10)
    store = Arrays(30, 30, shift=1e4)
    rows = np.concatenate(store.arrays).astype(np.float64)
    np.testing.assert_allclose(Statistics.fit(store, [0, 1], False).std, rows.std(axis=0), rtol=1e-6)


def test_what_hardly_changes_is_scaled_as_a_tenth_of_its_block():
    store = Arrays(10, 20)
    noise = np.random.default_rng(1).normal(size=30).astype(np.float32)
    for array in store.arrays:
        array[:, 5] = 0.1
        array[:, 80] = 0.1 + 1e-6 * noise[: len(array)]
    found = Statistics.fit(store, [0, 1], False)
    rows = np.concatenate(store.arrays).astype(np.float64)
    for place, name in ((5, "positions"), (80, "rotations")):
        assert found.std[place] == pytest.approx(rows[:, BLOCKS[name]].std(axis=0).mean() / 10, rel=1e-5)
        assert np.abs(found.normalise(store.arrays[0])[:, place]).max() < 1e-4


def test_a_block_that_never_changes_is_not_scaled():
    store = Arrays(10)
    store.arrays[0][:, 259:] = 1.0
    found = Statistics.fit(store, [0], False)
    assert (found.std[259:] == 1).all()
    assert not found.normalise(store.arrays[0])[:, 259:].any()


def test_families_and_weights_as_the_t2m_evaluator_has_them():
    store = Arrays(50)
    plain, family = (Statistics.fit(store, [0], False, families=on).std for on in (False, True))
    for block in BLOCKS.values():
        np.testing.assert_allclose(family[block], plain[block].mean(), rtol=1e-6)
    weighted = Statistics.fit(store, [0], False, feat_bias=5.0).std
    np.testing.assert_allclose(weighted[:4], plain[:4] / 5)
    np.testing.assert_allclose(weighted[4:259], plain[4:259])
    np.testing.assert_allclose(weighted[259:], plain[259:] / 5)


def test_normalised_and_back_in_numpy_and_torch():
    store = Arrays(200)
    found, rows = Statistics.fit(store, [0], False), store.arrays[0]
    normal = found.normalise(rows)
    assert normal.dtype == np.float32
    np.testing.assert_allclose(normal.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(normal.std(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(found.denormalise(normal), rows, atol=1e-5)
    tensor = torch.from_numpy(rows)
    np.testing.assert_array_equal(found.normalise(tensor).numpy(), normal)
    np.testing.assert_allclose(found.denormalise(found.normalise(tensor)), rows, atol=1e-5)


def test_they_are_kept_beside_the_model(tmp_path, make_dataset):
    store = MotionStore.open(make_dataset(2), tmp_path / "cache")
    found = Statistics.fit(store, store.select("train"), True)
    found.save(tmp_path / "model")
    again = Statistics.load(tmp_path / "model")
    assert np.array_equal(again.mean, found.mean)
    assert np.array_equal(again.std, found.std)


def test_no_rows():
    with pytest.raises(ValueError, match="at least one row"):
        Statistics.fit(Arrays(5), [], True)


def test_files_that_hold_no_statistics(tmp_path):
    with pytest.raises(DatasetError, match=r"statistics.safetensors: is missing"):
        Statistics.load(tmp_path)
    (tmp_path / "statistics.safetensors").write_bytes(b"nonsense")
    with pytest.raises(DatasetError, match="is damaged"):
        Statistics.load(tmp_path)
    good = np.ones(263, np.float32)
    for mean, std in ((good[:3], good), (good * np.nan, good), (good, good * 0)):
        save_file({"mean": mean, "std": std}, tmp_path / "statistics.safetensors")
        with pytest.raises(DatasetError, match="263 features"):
            Statistics.load(tmp_path)
    save_file({"mean": good}, tmp_path / "statistics.safetensors")
    with pytest.raises(DatasetError, match="is damaged"):
        Statistics.load(tmp_path)
