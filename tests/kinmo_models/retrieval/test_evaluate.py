"""From a model and a split to figures, with a model that is made up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.pairs import add_reasoned
from kinmo_models.metrics.ranking import Ranking
from kinmo_models.retrieval.config import load_config
from kinmo_models.retrieval.evaluate import (
    ANNOTATION,
    NONE,
    REASONER,
    Pairs,
    Result,
    embed_motions,
    evaluate,
    evaluate_runs,
    over_runs,
    queries_of,
    similarity_of,
)
from kinmo_models.retrieval.protocols import (
    MOTION_TO_TEXT,
    PAIRED,
    SAME_CAPTION,
    TEXT_TO_MOTION,
    protocol_all,
)


def direction_of(said: object) -> np.ndarray:
    """A unit vector that only equal texts share."""
    seed = int.from_bytes(hashlib.blake2b(repr(said).encode(), digest_size=8).digest(), "big")
    row = np.random.default_rng(seed).normal(size=32)
    return (row / np.linalg.norm(row)).astype(np.float32)


class Knowing:
    """Finds a motion by its 21 sentences, which it knows by heart, and by its caption alone only the caption.

    Motions are single numbers in feature 0: the place of the pair.
    """

    levels = ("G", "GJ", "GJI")
    config = SimpleNamespace(training=SimpleNamespace(seed=7))

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self.asked: list[tuple[str, bool, int]] = []

    def encode_features(self, features):
        places = [int(one[0, 0]) for one in features]
        return np.stack([direction_of(list(self.pairs.fields[place].values())) for place in places])

    def encode_texts(self, captions, fields=None, level=None):
        self.asked.append((level, fields is not None, len(captions)))
        if fields is None:
            return np.stack([direction_of(caption) for caption in captions])
        return np.stack([direction_of(list(one.values())) for one in fields])


def made_up_pairs(count: int = 40) -> Pairs:
    """Pairs with fields that tell them apart, and captions of which every two neighbours share one."""
    return Pairs(
        [f"{number:03d}" for number in range(count)],
        [np.full((5, 263), number, np.float32) for number in range(count)],
        [f"caption {number // 2}" for number in range(count)],
        [dict.fromkeys(FIELDS, f"moves {number} times") for number in range(count)],
    )


def test_queries_of_the_levels():
    assert queries_of(("G",)) == [("G", NONE)]
    assert queries_of(("G", "GJ")) == [("G", NONE), ("GJ", REASONER), ("GJ", ANNOTATION)]


def test_annotation_texts_find_their_motion_and_captions_alone_do_not():
    pairs = made_up_pairs()
    model = Knowing(pairs)
    results = evaluate(model, pairs, protocol_all(pairs.captions), queries_of(model.levels))
    found = {one.key: one.ranking for one in results}
    assert len(found) == len(results) == 2 * 2 * 3  # scorers, directions, (G none, GJ and GJI annotation)
    assert {(one.level, one.source) for one in results} == {
        ("G", NONE), ("GJ", ANNOTATION), ("GJI", ANNOTATION),
    }  # fmt: skip
    for direction in (TEXT_TO_MOTION, MOTION_TO_TEXT):
        assert found["a", direction, PAIRED, "GJI", ANNOTATION].recall[1] == 100
        assert found["a", direction, PAIRED, "G", NONE].recall[1] < 30
        assert found["a", direction, PAIRED, "G", NONE].queries == 40


class Repeats:
    """A reasoner that says of a caption, in every field, what the caption says."""

    name, meta = "repeats", {"split_fingerprints": {}}

    def __init__(self) -> None:
        self.asked: list[str] = []

    def reason(self, captions, *, progress=None):
        self.asked += captions
        return [dict.fromkeys(FIELDS, f"{caption} says") for caption in captions]


def test_texts_of_a_reasoner_are_those_of_the_caption():
    """Equal captions get equal sentences, and are asked for once; annotation texts are not looked at."""
    pairs, reasoner = made_up_pairs(), Repeats()
    add_reasoned(pairs, reasoner)
    assert reasoner.asked == list(dict.fromkeys(pairs.captions))
    assert [one["neck"] for one in pairs.reasoned] == [f"{caption} says" for caption in pairs.captions]
    model = Knowing(pairs)
    results = evaluate(model, pairs, protocol_all(pairs.captions), [("GJ", REASONER)])
    assert {(one.level, one.source) for one in results} == {("GJ", REASONER)}
    assert model.asked == [("GJ", True, 20)]


def test_equal_queries_are_embedded_once_and_tie_exactly():
    pairs = made_up_pairs()
    model = Knowing(pairs)
    motions = embed_motions(model, pairs)
    similarity = similarity_of(model, pairs, motions, "G", NONE)
    assert model.asked == [("G", False, 20)]
    np.testing.assert_array_equal(similarity[0::2], similarity[1::2])
    for place in (0, 17, 39):
        np.testing.assert_allclose(
            similarity[place], motions @ direction_of(pairs.captions[place]), atol=1e-6
        )
    fine = similarity_of(model, pairs, motions, "GJI", ANNOTATION)
    assert model.asked[-1] == ("GJI", True, 40)
    np.testing.assert_allclose(np.diagonal(fine), 1, atol=1e-6)


def test_the_same_caption_counts_in_both_directions():
    """Captions in the place of fields: a motion is found together with its neighbour of the same caption."""
    pairs = made_up_pairs()
    pairs.fields = [dict.fromkeys(FIELDS, caption) for caption in pairs.captions]
    model = Knowing(pairs)
    results = evaluate(model, pairs, protocol_all(pairs.captions), [("GJ", ANNOTATION)])
    medians = {(one.scorer, one.direction): one.ranking.median_rank for one in results}
    assert medians == {
        (PAIRED, TEXT_TO_MOTION): 1.5,
        (PAIRED, MOTION_TO_TEXT): 1.5,
        (SAME_CAPTION, TEXT_TO_MOTION): 1,
        (SAME_CAPTION, MOTION_TO_TEXT): 1,
    }


def test_long_splits_are_embedded_in_portions_that_are_told():
    pairs = made_up_pairs(600)
    told: list[tuple[str, int, int]] = []
    rows = embed_motions(Knowing(pairs), pairs, lambda *said: told.append(said))
    assert rows.shape == (600, 32)
    assert told == [("motions", 256, 600), ("motions", 512, 600), ("motions", 600, 600)]


# ---------------------------------------------------------------- a split of a dataset


@pytest.fixture
def store(make_dataset: Callable[..., Path], tmp_path: Path) -> MotionStore:
    return MotionStore.open(make_dataset(4), tmp_path / "cache")


# ---------------------------------------------------------------- runs


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, store: MotionStore) -> dict[str, SimpleNamespace]:
    """Let any path be a model that embeds texts and motions at random, alike for the same path."""

    def from_pretrained(path: Path, cache_dir: Path) -> SimpleNamespace:
        def features(rows):
            return np.stack([direction_of((str(path), float(one.sum()))) for one in rows])

        def texts(captions, fields=None, level=None):
            said = fields or [None] * len(captions)
            return np.stack([direction_of((str(path), *one)) for one in zip(captions, said, strict=True)])

        width, seed = (int(part) for part in Path(path).name.split("-")[1:])
        return SimpleNamespace(
            levels=("G", "GJ"),
            config=load_config("tiny", [f"training.seed={seed}", f"model.width={width}"]),
            meta={"dataset_fingerprint": store.fingerprint, "split_fingerprints": {}},
            encode_features=features,
            encode_texts=texts,
        )

    fake = SimpleNamespace(from_pretrained=from_pretrained)
    monkeypatch.setattr("kinmo_models.retrieval.retriever.Retriever", fake)
    return fake


@pytest.mark.usefixtures("models")
def test_every_row_is_stamped_and_nothing_is_invented(store: MotionStore, tmp_path: Path):
    (found,) = evaluate_runs([Path("run-16-3")], store.dataset, "test", cache_dir=tmp_path / "cache")
    written = found.as_dict()
    for row in written["results"]:
        assert row["split_fingerprint"] == store.split_fingerprint("test")
        assert row["dataset_fingerprint"] == store.fingerprint
        assert (row["model"], row["seed"], row["split"], row["threshold"]) == ("run-16-3", 3, "test", 0.95)
        assert row["source"] in {NONE, ANNOTATION}
        assert row.keys() >= {"R@1", "R@2", "R@3", "R@5", "R@10", "MedR", "queries", "scorer", "level"}
    assert {row["protocol"] for row in written["results"]} == set("abc")
    assert any("4 motions make no batch of 32" in note for note in written["notes"])
    assert written["missing"] == [{"level": "GJ", "source": REASONER, "why": "needs --reasoner"}]


@pytest.mark.usefixtures("models")
def test_a_listed_subset(store: MotionStore, tmp_path: Path):
    listed = ["000010", "000008", "elsewhere"]
    (found,) = evaluate_runs(
        [Path("run-16-3")], store.dataset, "test", listed=listed, cache_dir=tmp_path / "cache"
    )
    assert {one.ranking.queries for one in found.results if one.protocol == "c"} == {2}
    with pytest.raises(DatasetError, match="none of the ids"):
        evaluate_runs(
            [Path("run-16-3")], store.dataset, "test", listed=["elsewhere"], cache_dir=tmp_path / "cache"
        )


@pytest.mark.usefixtures("models")
def test_runs_that_are_no_repeats_of_each_other_are_told(store: MotionStore, tmp_path: Path):
    def warned(*runs: str) -> set[str]:
        found = evaluate_runs(
            [Path(one) for one in runs], store.dataset, "test", cache_dir=tmp_path / "cache"
        )
        return {text for one in found for text in one.warnings}

    assert warned("run-16-0", "run-16-1") == set()
    assert warned("run-16-0", "run-32-0") == {"the runs differ by more than their seed: model.width"}


def test_means_over_runs():
    def run(recall: float, median: float) -> list[Result]:
        ranking = Ranking(dict.fromkeys((1, 2, 3, 5, 10), recall), median, 10)
        return [Result("a", TEXT_TO_MOTION, PAIRED, "G", NONE, ranking)]

    (figures,) = over_runs([run(10, 4), run(20, 6), run(30, 5)]).values()
    assert (figures["R@1"].mean, figures["MedR"].mean, figures["R@1"].runs) == (20, 5, 3)
    assert figures["R@1"].interval == pytest.approx(24.841, abs=1e-3)
    assert figures["MedR"].interval == pytest.approx(2.4841, abs=1e-3)
