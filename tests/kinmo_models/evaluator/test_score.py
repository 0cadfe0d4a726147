"""Scores with an evaluator whose latents are read off the motions and captions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kinmo_annotate.schema.features import BLOCKS, features_to_joints, joints_to_features
from kinmo_annotate.schema.records import Row
from kinmo_annotate.schema.shards import DatasetError
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.pairs import Pairs
from kinmo_models.evaluator.score import (
    HALVES,
    REAL,
    SHUFFLED,
    Figure,
    Scorer,
    ScoreSettings,
    score_dataset,
    scored_pairs,
    shuffle_joints,
)
from kinmo_models.metrics.fidelity import frechet_distance

WIDTH = 3


class Transparent:
    """A motion's latent is the mean of its first positions, a caption's the numbers that it names."""

    name, fingerprint = "transparent@1", "1"

    def __init__(self, meta: dict | None = None) -> None:
        self.meta = meta or {}

    def encode_texts(self, captions: list[str]) -> np.ndarray:
        return np.array([[float(word) for word in caption.split()] for caption in captions], np.float32)

    def encode_motions(self, features: list[np.ndarray]) -> np.ndarray:
        return np.stack([one[:, BLOCKS["positions"]][:, :WIDTH].mean(0) for one in features])


def made_up(count: int, seed: int = 0, noise: float = 0.0) -> Pairs:
    """Motions that stand still somewhere, and captions that say where, more or less."""
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(count, WIDTH)).astype(np.float32)
    features = np.zeros((count, 20, 263), np.float32)
    features[:, :, BLOCKS["positions"]] = np.tile(places[:, None], 21)
    said = places + noise * rng.normal(size=places.shape)
    captions = [" ".join(f"{x:.6f}" for x in one) for one in said]
    return Pairs([str(n) for n in range(count)], list(features), captions, [{}] * count)


def by_name(figures: list[Figure]) -> dict[tuple[str, str], Figure]:
    return {(one.motions, one.metric): one for one in figures}


def test_captions_that_say_it_all_find_their_motions():
    found = by_name(Scorer(Transparent(), made_up(70)).real())
    assert [found[REAL, f"R-precision top {k}"].value.mean for k in (1, 2, 3)] == [1, 1, 1]
    assert found[REAL, "R-precision top 1"].samples == (64,)
    assert found[REAL, "R-precision top 1"].value.runs == 20
    assert found[REAL, "MM-Dist"].value.mean == pytest.approx(0, abs=1e-5)
    assert found[REAL, "MM-Dist"].value.interval is None
    assert found[HALVES, "FID"].samples == found[SHUFFLED, "FID"].samples == (35, 35)
    assert found[REAL, "Diversity"].value.mean > 0


def test_the_fid_of_generated_motions_is_against_all_real_ones():
    pairs = made_up(70)
    scorer = Scorer(Transparent(), pairs)
    other = made_up(70, seed=1).features
    found = by_name([*scorer.generated("copy", [pairs.features]), *scorer.generated("other", [other])])
    assert found["copy", "FID"].value.mean == pytest.approx(0, abs=1e-5)
    latents = (Transparent().encode_motions(one) for one in (other, pairs.features))
    assert found["other", "FID"].value.mean == pytest.approx(frechet_distance(*latents))
    assert found["other", "FID"].samples == (70, 70)
    assert found["copy", "R-precision top 1"].value.mean == 1
    assert found["other", "R-precision top 1"].value.mean < 0.2


def test_several_runs_are_taken_in_turn():
    pairs = made_up(64)
    runs = [pairs.features, made_up(64, seed=1).features]
    scorer = Scorer(Transparent(), pairs, settings=ScoreSettings(repeats=4))
    found = by_name(scorer.generated("model", runs))
    one, other = (by_name(scorer.generated("model", [run])) for run in runs)
    for metric in ("FID", "MM-Dist"):
        figure = found["model", metric].value
        assert figure.runs == 2
        both = [each["model", metric].value.mean for each in (one, other)]
        assert figure.mean == pytest.approx(np.mean(both))
        assert figure.interval is not None
    top = found["model", "R-precision top 1"].value
    assert top.runs == 4
    assert 0.5 < top.mean < 0.6


def test_a_run_needs_a_motion_for_each_caption():
    scorer = Scorer(Transparent(), made_up(40))
    with pytest.raises(ValueError, match="40 motions, one a caption"):
        scorer.generated("model", [made_up(39).features])


def test_multimodality_is_the_distance_of_motions_from_one_caption():
    scorer = Scorer(Transparent(), made_up(40))
    same = [[one] * 12 for one in made_up(5).features]
    assert scorer.multimodality("model", same).value.mean == pytest.approx(0, abs=1e-6)
    different = [made_up(12, seed=n).features for n in range(5)]
    found = scorer.multimodality("model", different)
    assert found.value.mean > 1
    assert found.samples == (5, 12)
    with pytest.raises(ValueError, match="as many motions"):
        scorer.multimodality("model", [same[0], same[1][:11]])


def test_what_is_alike_stands_in_no_pool_together():
    pairs = made_up(64)
    twins = Pairs(pairs.motion_ids, [*pairs.features[:32]] * 2, [*pairs.captions[:32]] * 2, pairs.fields)
    kinds = np.arange(64) % 32
    apart = by_name(Scorer(Transparent(), twins, kinds[:, None] == kinds).real())
    mixed = by_name(Scorer(Transparent(), twins).real())
    assert apart[REAL, "R-precision top 1"].value.mean == 1
    assert mixed[REAL, "R-precision top 1"].value.mean < 0.9
    with pytest.raises(ValueError, match="make no pool of 33"):
        Scorer(Transparent(), twins, kinds[:, None] == kinds, ScoreSettings(pool=33))


def test_shuffling_exchanges_joints_and_nothing_else(arm_motion: Callable[[int], np.ndarray]):
    motion = joints_to_features(arm_motion(0))
    shuffled = shuffle_joints(motion, np.random.default_rng(0))
    for name, width in (("positions", 3), ("rotations", 6), ("velocities", 3)):
        block = slice(BLOCKS[name].stop - 21 * width, BLOCKS[name].stop)
        before, after = (one[:, block].reshape(-1, 21, width) for one in (motion, shuffled))
        assert not np.array_equal(before, after)
        np.testing.assert_array_equal(np.sort(before, axis=1), np.sort(after, axis=1))
        motion[:, block] = shuffled[:, block]
    np.testing.assert_array_equal(motion, shuffled)
    joints, other = features_to_joints(motion), features_to_joints(shuffled)
    np.testing.assert_allclose(joints, other)


def test_motions_that_are_too_short_are_left_out_and_long_ones_cut(
    make_rows: Callable[..., list[Row]], write_rows: Callable[..., Path], tmp_path: Path
):
    rows = make_rows(3, "test")
    lengths = (15, 16, 230)
    features = [np.zeros((length, 263), np.float32) for length in lengths]
    rows = [
        dataclasses.replace(row, motion=dataclasses.replace(row.motion, features=one))
        for row, one in zip(rows, features, strict=True)
    ]
    store = MotionStore.open(write_rows(rows), tmp_path / "cache")
    pairs = scored_pairs(store, "test")
    assert [len(one) for one in pairs.features] == [16, 196]
    assert pairs.motion_ids == ["000001", "000002"]
    assert pairs.left_out == 1
    some = scored_pairs(store, "test", 1)
    assert (len(some.features), some.left_out) == (1, 1)  # what is not asked for is not unusable
    with pytest.raises(DatasetError, match="16 rows or more"):
        scored_pairs(MotionStore.open(write_rows(rows[:1], "other"), tmp_path / "cache"), "test")


class Spoken(Transparent):
    """Reads any caption by its letters."""

    def encode_texts(self, captions: list[str]) -> np.ndarray:
        return np.array([[len(one), one.count("a"), one.count("e")] for one in captions], np.float32)


def test_a_datasets_scores_say_what_they_belong_to(make_dataset: Callable[..., Path], tmp_path: Path):
    dataset = make_dataset(12)
    store = MotionStore.open(dataset, tmp_path / "cache")
    judge = Spoken({"split_fingerprints": {"train": store.split_fingerprint("test")}})
    settings = ScoreSettings(pools="standard", pool=8, repeats=3)
    scores = score_dataset(judge, dataset, "test", settings, cache_dir=tmp_path / "cache")
    assert scores.stamp["split_fingerprint"] == store.split_fingerprint("test")
    assert "any motions" in scores.notes[0]
    assert "has seen the answers" in scores.warnings[0]
    written = scores.as_dict()
    assert {row["evaluator"] for row in written["figures"]} == {"transparent@1"}
    assert {row["split_fingerprint"] for row in written["figures"]} == {store.split_fingerprint("test")}
    assert all(row["samples"] for row in written["figures"])


def test_pools_of_like_captions_or_labels_are_told(make_dataset: Callable[..., Path], tmp_path: Path):
    """There are two captions, so that no pool holds three motions."""
    dataset, cache = make_dataset(12), tmp_path / "cache"
    with pytest.raises(DatasetError, match=r"no pool of 3.*--pools standard"):
        score_dataset(Spoken(), dataset, "test", ScoreSettings(pool=3), cache_dir=cache)
    far = ScoreSettings(pool=2, alike_above=0.9999)
    scores = score_dataset(Spoken(), dataset, "test", far, cache_dir=cache)
    assert "captions mean the same (cosine above 0.9999)" in scores.notes[0]
    labels = tmp_path / "index.csv"
    lines = [f"{number:06d},lift,{number % 2}\n" for number in range(24, 36)]
    labels.write_text("id,content,style\n" + "".join(lines))
    scores = score_dataset(Spoken(), dataset, "test", far, labels=labels, cache_dir=cache)
    assert "the same content and style" in scores.notes[0]
    labels.write_text("id,content,style\n" + "".join(lines[1:]))
    with pytest.raises(DatasetError, match="such as 000024"):
        score_dataset(Spoken(), dataset, "test", far, labels=labels, cache_dir=cache)
