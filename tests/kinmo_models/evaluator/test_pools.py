"""Pools in which no two motions are alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kinmo_annotate.schema.shards import DatasetError
from kinmo_models.evaluator.pools import alike_captions, alike_labels, draw_pools, labels_of, read_labels


def test_no_two_motions_of_a_pool_are_alike_and_none_stands_twice():
    kinds = np.arange(120) % 12
    alike = kinds[:, None] == kinds
    pools = draw_pools(alike, 8, np.random.default_rng(0))
    assert len(pools) > 10
    assert len(set(pools.ravel().tolist())) == pools.size
    assert all(len(set(kinds[pool])) == 8 for pool in pools)
    again = draw_pools(alike, 8, np.random.default_rng(1))
    assert pools.tolist() != again.tolist()


def test_standard_pools_take_every_motion_but_the_rest():
    pools = draw_pools(np.zeros((70, 70), bool), 32, np.random.default_rng(0))
    assert pools.shape == (2, 32)
    assert len(set(pools.ravel().tolist())) == 64


def test_too_few_kinds_make_no_pool():
    assert draw_pools(np.ones((70, 70), bool), 32, np.random.default_rng(0)).shape == (0, 32)


def test_captions_are_alike_where_they_are_equal_or_mean_the_same():
    sentences = np.array([[1.0, 0.0], [0.0, 1.0], [0.96, 0.28], [0.6, 0.8]])
    found = alike_captions(["a", "a", "b", "c"], sentences, 0.9)
    expected = [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    assert found.astype(int).tolist() == expected


def test_labels_or_captions_make_motions_alike():
    found = alike_labels(["a", "a", "b", "c"], ["x", "y", "y", "z"])
    expected = [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
    assert found.astype(int).tolist() == expected


def test_labels_are_read_and_their_lack_is_told(tmp_path: Path):
    path = tmp_path / "index.csv"
    path.write_text("id,content,style,frames\n1,walk,old,80\n2,run,,90\n")
    labels = read_labels(path, ("content", "style"))
    assert labels == {"1": "walk / old", "2": "run / "}
    assert labels_of(["2", "1"], labels, path) == ["run / ", "walk / old"]
    with pytest.raises(DatasetError, match="nothing of 1 of 2 motions, such as 3"):
        labels_of(["1", "3"], labels, path)
    with pytest.raises(DatasetError, match="column 'mood'"):
        read_labels(path, ("mood",))
    with pytest.raises(DatasetError, match="cannot be read"):
        read_labels(tmp_path / "absent.csv", ("content",))
