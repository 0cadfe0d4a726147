"""Windows of motions: which are drawn, what is in them, and the same for any number of processes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from kinmo_annotate.schema.shards import DatasetError
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.statistics import Statistics
from kinmo_models.data.windows import WindowBatches

PLAIN = Statistics(np.zeros(263, np.float32), np.ones(263, np.float32))


class Store:
    """Row t of motion m says m, t, and whether it is mirrored."""

    dataset = "D"

    def __init__(self, *lengths: int) -> None:
        self.lengths = np.array(lengths)
        self.mirrored_lengths = self.lengths

    def features(self, index: int, mirrored: bool = False) -> np.ndarray:
        rows = np.zeros((self.lengths[index], 263), np.float32)
        rows[:, 0], rows[:, 1], rows[:, 2] = index + 1, np.arange(len(rows)), mirrored
        return rows


def batches(store: Store, statistics: Statistics = PLAIN, **changes: object) -> WindowBatches:
    settings = {"batch_size": 2, "window": 8, "unit": 4, "mirror": True, "seed": 3, **changes}
    return WindowBatches(store, statistics, range(len(store.lengths)), **settings)


def test_a_motion_gives_as_many_windows_as_lie_in_it_side_by_side():
    made = batches(Store(3, 7, 8, 15, 40), batch_size=1)
    assert made.count == 1 + 1 + 1 + 5
    seen = Counter(int(one.features[0, 0, 0]) for one in made.epoch(0))
    assert seen == {2: 1, 3: 1, 4: 1, 5: 5}


def test_windows_are_whole_rows_in_order_and_shorter_motions_stand_in_front_of_zeros():
    starts = set()
    for epoch in range(30):
        for batch in batches(Store(7, 15)).epoch(epoch):
            assert batch.features.shape == (2, 8, 263)
            for rows, length in zip(batch.features, batch.lengths.tolist(), strict=True):
                motion, first = int(rows[0, 0]), float(rows[0, 1])
                assert length == {1: 4, 2: 8}[motion]
                torch.testing.assert_close(rows[:length, 1], first + torch.arange(length))
                assert (rows[length:] == 0).all()
                starts.add((motion, first))
    assert starts == {(1, 0.0)} | {(2, float(start)) for start in range(8)}


@pytest.mark.parametrize("mirror", [True, False])
def test_half_of_the_windows_are_mirrored_where_that_is_asked_for(mirror):
    made = batches(Store(*[8] * 100), mirror=mirror)
    share = np.mean([float(one.features[:, 0, 2].mean()) for epoch in range(5) for one in made.epoch(epoch)])
    assert 0.4 < share < 0.6 if mirror else share == 0


def test_epochs_differ_and_repeat_themselves():
    made = batches(Store(*[40] * 6))

    def shown(epoch: int) -> torch.Tensor:
        return torch.stack([one.features for one in made.epoch(epoch)])

    assert torch.equal(shown(1), shown(1))
    assert not torch.equal(shown(1), shown(2))


def test_two_processes_share_each_batch():
    made = batches(Store(*[20] * 9), batch_size=4)
    alone, shares = list(made.epoch(5)), [list(made.epoch(5, rank, 2)) for rank in range(2)]
    assert made.steps(2) == len(alone) == len(shares[0]) == len(shares[1]) == 4
    for whole, *parts in zip(alone, *shares, strict=True):
        for rank, part in enumerate(parts):
            torch.testing.assert_close(part.features, whole.features[rank::2], rtol=0, atol=0)
            assert torch.equal(part.lengths, whole.lengths[rank::2])
    with pytest.raises(ValueError, match="cannot be shared by 3"):
        made.steps(3)


def test_rows_are_normalised_and_zeros_are_not(make_dataset, tmp_path):
    store = MotionStore.open(make_dataset(3), tmp_path)
    statistics = Statistics.fit(store, range(len(store)), mirrored=True, families=True)
    made = batches(store, statistics, window=64, batch_size=3, mirror=False)
    batch = next(made.epoch(0))
    known = [statistics.normalise(store.features(index)) for index in range(len(store))]
    for rows, length in zip(batch.features.numpy(), batch.lengths.tolist(), strict=True):
        assert any(len(one) // 4 * 4 == length and np.allclose(one[:length], rows[:length]) for one in known)
        assert (rows[length:] == 0).all()


def test_too_few_windows_say_what_to_change():
    with pytest.raises(DatasetError, match=r"1 windows of 8 frames.*batch of 2.*data\.batch_size"):
        batches(Store(9, 3))
