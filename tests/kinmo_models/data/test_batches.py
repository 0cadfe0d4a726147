"""Batches: the same on any number of processes, every motion with its own texts, drawn as the rules say."""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinmo_annotate.schema.records import NOT_DETERMINED, Caption
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_models.data.batches import MotionBatches
from kinmo_models.data.epochs import DataSettings
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.statistics import Statistics
from kinmo_models.data.tokens import TokenStore

MOTIONS = 30  # of the train split
SMALL = DataSettings(batch_size=4, min_frames=4, bucket=3)


@dataclasses.dataclass
class Room:
    """A store and what batches need of it."""

    store: MotionStore
    tokens: TokenStore
    statistics: Statistics
    known: dict[bytes, str]  # texts by their features
    indices: list[int]

    def batches(self, chosen=SMALL, seed=0, train=True, indices=None, **changes):
        chosen = dataclasses.replace(chosen, **changes)
        which = self.indices if indices is None else indices
        return MotionBatches(self.store, self.tokens, self.statistics, which, chosen, seed, train)

    def said(self, texts):
        """The words of a batch's texts, in the shape of `which`: found by their features."""
        ends = np.cumsum(texts.lengths.numpy())
        tokens = texts.tokens.numpy()
        distinct = [
            self.known[tokens[e - n : e].tobytes()] for e, n in zip(ends, texts.lengths.numpy(), strict=True)
        ]
        return np.array(distinct, object)[texts.which.numpy()]


def make_room(folder, letters, cache):
    store = MotionStore.open(folder, cache)
    texts = store.distinct_texts()
    tokens = TokenStore.of(texts, letters(), cache)
    known = {
        tokens.gather([id_])[0].tobytes(): text for id_, text in zip(tokens.ids(texts), texts, strict=True)
    }
    assert len(known) == len(texts)
    indices = store.select("train")
    return Room(store, tokens, Statistics.fit(store, indices, True), known, indices)


@pytest.fixture
def room(make_rows, write_dataset, with_motion, letters, tmp_path):
    """Thirty motions of 29 to 47 rows, each with three captions of its own and 21 fields of its own."""
    rows = []
    for number, row in enumerate(make_rows(MOTIONS)):
        side = "left" if number % 2 else "right"
        captions = tuple(Caption(f"motion {number} says {word} {side}") for word in ("one", "two", "three"))
        fields = {name: f"{name} of {number % 5} goes {side}" for name in FIELDS}
        motion = with_motion(row, captions=captions, features=None)
        rows.append(dataclasses.replace(motion, descriptions=fields))
    return make_room(write_dataset({"train": rows}), letters, tmp_path / "cache")


def split(batch):
    """The features of each motion of a batch."""
    return np.split(batch.features.numpy(), np.cumsum(batch.lengths.numpy())[:-1])


def same(one, other):
    """Whether two batches are equal to the last bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if dataclasses.is_dataclass(one):
        return all(same(value, getattr(other, name)) for name, value in vars(one).items())
    return one == other


# ---------------------------------------------------------------- what a batch holds


def test_shapes(room):
    batches = room.batches()
    assert len(batches) == MOTIONS
    assert batches.steps() == batches.steps(2) == 7
    (batch, *_) = batches.epoch(0)
    assert len(batch) == 4 == len(batch.motion_ids)
    assert batch.indices.shape == batch.lengths.shape == batch.caption.which.shape == (4,)
    assert batch.features.shape == (int(batch.lengths.sum()), 263)
    assert batch.features.dtype == batch.caption.tokens.dtype == torch.float32
    assert batch.groups.which.shape == (4, 6)
    assert batch.interactions.which.shape == (4, 15)
    assert batch.caption_sentence.shape == (4, 8)
    assert batch.motion_ids == [room.store.motion_ids[index] for index in batch.indices]
    for texts in (batch.caption, batch.groups, batch.interactions):
        assert len(texts.tokens) == texts.lengths.sum()
        assert sorted(set(texts.which.ravel().tolist())) == list(range(len(texts.lengths)))
        assert len(set(room.said(texts).ravel())) == len(texts.lengths)  # equal ones stand there once
    moved = batch.to("meta")
    assert moved.features.device.type == moved.groups.which.device.type == "meta"
    assert moved.motion_ids == batch.motion_ids
    assert same(batch.to("cpu"), batch)


def test_a_motion_comes_with_its_own_texts_and_a_mirrored_one_with_mirrored(room):
    seen = Counter()
    for batch in (batch for epoch in range(4) for batch in room.batches().epoch(epoch)):
        captions, groups, interactions = map(room.said, (batch.caption, batch.groups, batch.interactions))
        ids = room.tokens.ids(captions)
        assert np.array_equal(batch.caption_sentence, room.tokens.sentences(ids))
        for place, (index, rows) in enumerate(zip(batch.indices.tolist(), split(batch), strict=True)):
            texts = room.store.texts[index]
            said = (*groups[place], *interactions[place])
            mirrored = bool(captions[place] in {c.text for c in texts.mirrored_captions})
            expected = room.statistics.normalise(room.store.features(index, mirrored))
            assert np.array_equal(rows, expected)
            assert said == (texts.mirrored_fields if mirrored else texts.fields)
            which = texts.mirrored_captions if mirrored else texts.captions
            seen[mirrored, [c.text for c in which].index(captions[place])] += 1
    assert len(seen) == 6  # each caption, mirrored and not
    assert min(seen.values()) > 8  # of 112


def test_nothing_is_mirrored_unless_asked(room):
    plain = {c.text for texts in room.store.texts for c in texts.captions}
    for batch in room.batches(mirror=False).epoch(0):
        assert set(room.said(batch.caption)) <= plain


# ---------------------------------------------------------------- the same everywhere


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**63),
    epoch=st.integers(0, 10_000),
    world=st.sampled_from([2, 4]),
    train=st.booleans(),
    bucket=st.integers(0, 5),
    crop=st.sampled_from(["none", "units"]),
    drop=st.sampled_from([0.0, 0.3]),
    neighbours=st.sampled_from([0, 3]),
)
def test_processes_share_the_batches_of_one(room, seed, epoch, world, train, bucket, crop, drop, neighbours):
    make = {"bucket": bucket, "crop": crop, "field_drop": drop, "single_field_drop": drop, "max_frames": 36}
    make |= {"neighbours": neighbours, "stride": 1 + neighbours}
    whole = list(room.batches(seed=seed, train=train, **make).epoch(epoch))
    shares = [list(room.batches(seed=seed, train=train, **make).epoch(epoch, r, world)) for r in range(world)]
    assert len(whole) == room.batches(train=train).steps(world)
    for rank, dealt in enumerate(shares):
        # the last batch of evaluation holds two motions
        assert len(dealt) == len(whole) - (not train and rank >= 2)
        for batch, share in zip(whole, dealt, strict=False):
            assert share.motion_ids == batch.motion_ids[rank::world]
            assert torch.equal(share.lengths, batch.lengths[rank::world])
            assert all(map(np.array_equal, split(share), split(batch)[rank::world]))
            for name in ("caption", "groups", "interactions"):
                mine, every = room.said(getattr(share, name)), room.said(getattr(batch, name))
                assert (mine == every[rank::world]).all()


def test_the_same_again_and_other_in_another_epoch_or_with_another_seed(room):
    first = list(room.batches(single_field_drop=0.2).epoch(3))
    again = list(room.batches(single_field_drop=0.2).epoch(3))
    assert all(map(same, first, again))
    for other in (
        room.batches(single_field_drop=0.2).epoch(4),
        room.batches(single_field_drop=0.2, seed=1).epoch(3),
    ):
        assert not any(map(same, first, other))


def test_what_is_drawn_for_an_item_does_not_depend_on_the_batch(room):
    def captions(**changes):
        return {
            index: text
            for batch in room.batches(**changes).epoch(0)
            for index, text in zip(batch.indices.tolist(), room.said(batch.caption), strict=True)
        }

    small, large = captions(batch_size=1), captions(batch_size=15, bucket=0)
    assert len(small) == len(large) == MOTIONS
    assert small == large


def test_an_epoch_shows_every_item_once_in_another_order(room):
    orders = [
        [name for batch in room.batches(batch_size=5).epoch(epoch) for name in batch.motion_ids]
        for epoch in (0, 1)
    ]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(room.store.motion_ids)
    assert orders[0] != orders[1]
    dropped = [name for batch in room.batches().epoch(0) for name in batch.motion_ids]
    assert len(set(dropped)) == len(dropped) == 28  # the last incomplete batch is left out


def test_buckets_put_like_lengths_together(room):
    def spread(bucket):
        return np.mean([np.ptp(batch.lengths.numpy()) for batch in room.batches(bucket=bucket).epoch(0)])

    assert spread(7) < 0.5 * spread(0)


def test_motions_with_like_captions_stand_in_a_batch_together(
    make_rows, write_dataset, with_motion, letters, tmp_path
):
    """Three kinds of captions, ten motions each; a batch of four holds fewer kinds than by chance."""
    words = ("aaaa", "mmmm", "zzzz")
    rows = [
        with_motion(row, captions=(Caption(words[number % 3]),), features=None)
        for number, row in enumerate(make_rows(MOTIONS))
    ]
    room = make_room(write_dataset({"train": rows}), letters, tmp_path / "cache")

    def kinds(neighbours):
        """Distinct kinds of each batch, over ten epochs."""
        batches = room.batches(neighbours=neighbours, bucket=0, mirror=False)
        return [len({index % 3 for index in b.indices.tolist()}) for n in range(10) for b in batches.epoch(n)]

    assert np.mean(kinds(4)) < 1.8 < 2.2 < np.mean(kinds(0))
    names = [name for b in room.batches(neighbours=4, batch_size=5).epoch(0) for name in b.motion_ids]
    assert sorted(names) == sorted(room.store.motion_ids)


def test_sentence_embeddings_may_come_from_a_store_of_their_own(room, letters, tmp_path):
    """Another encoder's, whose ids differ; by default those of the token features."""
    captions = [one.text for said in room.store.texts for one in (*said.captions, *said.mirrored_captions)]
    other = TokenStore.of(reversed(captions), letters(), tmp_path / "other")
    made = MotionBatches(room.store, room.tokens, room.statistics, room.indices, SMALL, 0, True, other)
    for batch, plain in zip(made.epoch(0), room.batches().epoch(0), strict=True):
        said = room.said(batch.caption)
        assert np.array_equal(batch.caption_sentence, other.sentences(other.ids(said)))
        assert torch.equal(batch.caption_sentence, plain.caption_sentence)  # the same encoder after all


def test_every_so_many_frames(room):
    (whole,) = room.batches(train=False, indices=[0, 1, 2]).epoch(0)
    (third,) = room.batches(train=False, indices=[0, 1, 2], stride=3).epoch(0)
    for rows, some in zip(split(whole), split(third), strict=True):
        assert np.array_equal(rows[::3], some)


# ---------------------------------------------------------------- evaluation


def test_evaluation_shows_everything_in_order_with_the_first_caption(room):
    batches = room.batches(train=False, field_drop=1.0, min_frames=40, indices=[3, 1, 4, 2, 29])
    assert batches.steps() == 2
    found = list(batches.epoch(0))
    assert [batch.indices.tolist() for batch in found] == [[3, 1, 4, 2], [29]]
    for batch in found:
        texts = [room.store.texts[index] for index in batch.indices]
        assert room.said(batch.caption).tolist() == [one.captions[0].text for one in texts]
        assert [tuple(row) for row in room.said(batch.groups)] == [one.fields[:6] for one in texts]
        for index, rows in zip(batch.indices.tolist(), split(batch), strict=True):
            assert np.array_equal(rows, room.statistics.normalise(room.store.features(index)))
    assert all(map(same, found, batches.epoch(9)))


def test_long_motions_are_cut_to_their_first_rows_in_evaluation(room):
    (batch,) = room.batches(train=False, max_frames=30, crop="units", indices=[0, 1]).epoch(0)
    assert batch.lengths.tolist() == [28, 28]
    expected = room.statistics.normalise(room.store.features(1)[:28])
    assert np.array_equal(split(batch)[1], expected)


# ---------------------------------------------------------------- crops


def starts(room, **changes):
    """Start, length and length of the whole of each item over some epochs; features tell where it was cut."""
    for epoch in range(12):
        for batch in room.batches(mirror=False, **changes).epoch(epoch):
            for index, rows in zip(batch.indices.tolist(), split(batch), strict=True):
                whole = room.statistics.normalise(room.store.features(index))
                fits = [
                    s
                    for s in range(len(whole) - len(rows) + 1)
                    if np.array_equal(whole[s : s + len(rows)], rows)
                ]
                assert fits
                yield fits[0], len(rows), len(whole)


def test_long_motions_show_a_random_window(room):
    found = list(starts(room, max_frames=30))
    assert all(length == min(30, whole) for _, length, whole in found)
    assert {start for start, _, whole in found if whole == 47} > {0, 17}


def test_units_are_drawn_as_humanml3d_does(room):
    found = list(starts(room, crop="units"))
    double = [length == 4 * (whole // 4 - 1) for _, length, whole in found]
    assert all(length in (4 * (whole // 4), 4 * (whole // 4 - 1)) for _, length, whole in found)
    assert 0.25 < np.mean(double) < 0.42
    assert {start for start, length, whole in found if length == whole - 3} == {0, 1, 2, 3}


# ---------------------------------------------------------------- captions of parts


@pytest.fixture
def parts(make_rows, write_dataset, with_motion, letters, tmp_path):
    """Four motions of 29 rows and more: a whole and a part, a long part, two parts, and no caption."""
    said = (
        (Caption("sits", 0.5, 1.0), Caption("is whole"), Caption("is whole too")),
        (Caption("nearly all", 0.1, 2.0),),
        (Caption("first", 0.0, 0.5), Caption("too late", 30, 31), Caption("short", 0.1, 0.2)),
        (),
    )
    rows = [with_motion(row, captions=c, features=None) for row, c in zip(make_rows(4), said, strict=True)]
    return make_room(write_dataset({"train": rows}), letters, tmp_path / "cache")


def test_a_caption_of_a_part_is_an_item_of_its_own(parts):
    batches = parts.batches(batch_size=1, mirror=False)
    found = {}
    for batch in (batch for epoch in range(6) for batch in batches.epoch(epoch)):
        (text,) = parts.said(batch.caption)
        found[text] = (batch.indices.item(), split(batch)[0], parts.said(batch.groups)[0])
    assert set(found) == {"sits", "is whole", "is whole too", "nearly all", "first"}
    assert batches.left_out == {"motions without a caption": 1, "motions or parts shorter than 4 frames": 2}

    def rows(index):
        return parts.statistics.normalise(parts.store.features(index))

    assert np.array_equal(found["sits"][1], rows(0)[10:20])
    assert np.array_equal(found["is whole"][1], rows(0))
    assert np.array_equal(found["nearly all"][1], rows(1)[2:40])
    assert np.array_equal(found["first"][1], rows(2)[:10])
    assert set(found["sits"][2]) == set(found["first"][2]) == {NOT_DETERMINED}
    assert tuple(found["is whole"][2]) == parts.store.texts[0].fields[:6]
    assert tuple(found["nearly all"][2]) == parts.store.texts[1].fields[:6]


def test_evaluation_has_one_item_a_motion(parts):
    (batch,) = parts.batches(train=False).epoch(0)
    assert batch.indices.tolist() == [0, 1, 2]
    assert parts.said(batch.caption).tolist() == ["is whole", "nearly all", "first"]


def test_parts_of_mirrored_motions_are_cut_alike(parts):
    for batch in (batch for epoch in range(6) for batch in parts.batches(batch_size=1).epoch(epoch)):
        if parts.said(batch.caption)[0] == "sits":
            index, rows = batch.indices.item(), split(batch)[0]
            cut = [parts.statistics.normalise(parts.store.features(index, m)[10:20]) for m in (False, True)]
            assert any(np.array_equal(rows, one) for one in cut)


# ---------------------------------------------------------------- dropped fields


def dropped(room, **changes):
    """(items, 21): which fields are not determined, over some epochs."""
    found = []
    for batch in (batch for epoch in range(10) for batch in room.batches(**changes).epoch(epoch)):
        both = np.concatenate([room.said(batch.groups), room.said(batch.interactions)], axis=1)
        found.append(both == NOT_DETERMINED)
    return np.concatenate(found)


def test_fields_are_dropped_together_or_one_by_one(room):
    assert not dropped(room).any()
    assert dropped(room, field_drop=1.0).all()
    together = dropped(room, field_drop=0.5)
    assert (together.all(axis=1) | ~together.any(axis=1)).all()
    assert 0.4 < together.mean() < 0.6
    single = dropped(room, single_field_drop=0.25)
    assert 0.2 < single.mean() < 0.3
    assert (np.abs(single.mean(axis=0) - 0.25) < 0.12).all()


# ---------------------------------------------------------------- made ahead


def test_batches_made_ahead_are_the_same(room):
    assert all(map(same, room.batches(prefetch=3).epoch(2), room.batches().epoch(2)))
    assert len(list(room.batches(prefetch=100).epoch(2))) == 7


def test_leaving_an_epoch_early_ends_its_thread(room):
    epoch = room.batches(prefetch=2).epoch(0)
    next(epoch)
    epoch.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_what_goes_wrong_ahead_is_raised(room, monkeypatch):
    batches = room.batches(prefetch=2)
    monkeypatch.setattr(batches._tokens, "gather", lambda ids: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(batches.epoch(0))


# ---------------------------------------------------------------- what is refused


def test_too_little_to_train_on(room, parts):
    with pytest.raises(DatasetError, match=r"30 motions.*one batch of 31.*data\.batch_size"):
        room.batches(batch_size=31)
    with pytest.raises(DatasetError, match=r"no motion to show; 30 motions or parts shorter than 60 frames"):
        room.batches(min_frames=60)
    with pytest.raises(DatasetError, match="no motion to show; 1 motions without a caption"):
        parts.batches(train=False, indices=[3])


def test_a_batch_that_cannot_be_dealt(room):
    with pytest.raises(ValueError, match="no multiple of 3"):
        next(room.batches().epoch(0, 0, 3))
    with pytest.raises(ValueError, match="no multiple of 3"):
        room.batches().steps(3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"min_frames": 3},
        {"max_frames": 10},
        {"bucket": -1},
        {"prefetch": -1},
        {"field_drop": 1.1},
        {"single_field_drop": -0.1},
        {"crop": "half"},
    ],
)
def test_settings_out_of_range(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        DataSettings(**wrong)
