"""The index on disk: what is in it, what it finds, and what happens when something is wrong with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kinmo_annotate.schema.records import Caption
from kinmo_annotate.schema.shards import DatasetError
from kinmo_models.retrieval import index as index_module
from kinmo_models.retrieval.index import (
    Hit,
    MotionIndex,
    Where,
    default_folder,
    is_current,
)

WIDTH = 8


class Encoder:
    """Embeds a motion by the means of its first features."""

    def __init__(self, fingerprint="model-1"):
        self.fingerprint, self.seen = fingerprint, 0

    def encode_features(self, features):
        self.seen += len(features)
        rows = np.stack([motion[:, :WIDTH].mean(axis=0) for motion in features])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def encode_sentences(self, texts):
        return np.stack([np.eye(4, dtype=np.float32)[len(text) % 4] for text in texts])


class Store:
    """So many motions with features drawn from their number."""

    def __init__(self, motions, fingerprint="dataset-1"):
        self.fingerprint, self.dataset = fingerprint, Path("dataset")
        self.motion_ids = [f"{number:06d}" for number in range(motions)]
        self.splits = ["test" if number % 5 == 4 else "train" for number in range(motions)]
        self.sources = ["bandai" if number % 2 else "cmu" for number in range(motions)]
        self.lengths = np.array([20 + number % 100 for number in range(motions)])
        said = [(Caption(f"motion {number} [bold]"),) if number else () for number in range(motions)]
        self.texts = [SimpleNamespace(captions=captions) for captions in said]

    def features(self, number, mirrored=False):
        return np.random.default_rng(number).normal(size=(self.lengths[number], 263)).astype(np.float32)


@pytest.fixture
def built(tmp_path):
    return MotionIndex.build(Encoder(), Store(50), tmp_path / "index")


def query_of(number):
    return Encoder().encode_features([Store(50).features(number)])


def test_a_motion_finds_itself_first(built):
    ((first, *rest),) = built.search(query_of(7), top=5)
    assert first == Hit(
        7, "000007", pytest.approx(1.0), "train", "bandai", pytest.approx(27 / 20), "motion 7 [bold]"
    )
    assert [hit.similarity for hit in rest] == sorted((hit.similarity for hit in rest), reverse=True)
    assert len(rest) == 4


def test_captions_order_anew_where_a_text_is_compared_with_them(built):
    query, sentence = query_of(7), np.eye(4, dtype=np.float32)[[len("motion 12 [bold]") % 4]]
    alone = built.search(query, top=50)[0]
    assert {hit.caption_similarity for hit in alone} == {None}
    found = built.search(query, top=50, sentences=sentence, weight=3.0)[0]
    assert {hit.motion_id for hit in found} == {hit.motion_id for hit in alone}
    said = [hit.similarity + 3 * hit.caption_similarity for hit in found if hit.caption]
    assert said == sorted(said, reverse=True)
    assert found[0].caption_similarity == 1.0
    assert next(hit for hit in found if not hit.caption).caption_similarity is None
    assert built.search(query, top=50, sentences=sentence, weight=0)[0] == alone
    few = built.search(query, top=3, sentences=sentence, weight=3.0, where=Where(splits=("test",)))[0]
    assert [hit.split for hit in few] == ["test"] * 3
    assert few == [hit for hit in found if hit.split == "test"][:3]


def test_an_index_without_captions_is_searched_by_the_motions_alone(tmp_path):
    store = Store(5)
    store.texts = [SimpleNamespace(captions=())] * 5
    index = MotionIndex.build(Encoder(), store, tmp_path / "index")
    assert index.captions is None
    sentence = np.eye(4, dtype=np.float32)[:1]
    assert index.search(query_of(3), top=1, sentences=sentence)[0][0].motion_id == "000003"


def test_several_queries_at_once(built):
    found = built.search(np.concatenate([query_of(3), query_of(4)]), top=1)
    assert [hits[0].motion_id for hits in found] == ["000003", "000004"]


def test_no_caption_is_an_empty_one(built):
    assert built.search(query_of(0), top=1)[0][0].caption == ""


@pytest.mark.parametrize(
    ("where", "passes"),
    [
        (Where(splits=("test",)), lambda hit: hit.split == "test"),
        (Where(splits=("test", "train")), lambda hit: True),
        (Where(sources=("cmu",)), lambda hit: hit.source == "cmu"),
        (Where(min_s=2.0), lambda hit: hit.seconds >= 2),
        (Where(max_s=1.5), lambda hit: hit.seconds <= 1.5),
        (Where(("train",), ("cmu",), 1.2, 2.2), lambda hit: 1.2 <= hit.seconds <= 2.2),
    ],
)
def test_filters(built, where, passes):
    everything = [hit for hit in built.search(query_of(1), top=50)[0] if passes(hit)]
    if where.splits == ("train",):
        everything = [hit for hit in everything if (hit.split, hit.source) == ("train", "cmu")]
    assert everything
    found = built.search(query_of(1), top=50, where=where)[0]
    assert [hit.motion_id for hit in found] == [hit.motion_id for hit in everything]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (Where(splits=("tset",)), "no motion of the split 'tset'. There is: test"),
        (Where(sources=("zzz",)), "no motion of the source 'zzz'. There is: bandai, cmu"),
        (Where(min_s=100.0), "none of its 50 motions passes the filters. Its motions last 1.0 to 3.5 s"),
    ],
)
def test_filters_that_nothing_passes_say_what_there_is(built, where, said):
    with pytest.raises(DatasetError, match=said):
        built.search(query_of(1), where=where)


def test_a_query_of_another_model_is_refused(built):
    with pytest.raises(DatasetError, match="width 8, the query has 4"):
        built.search(np.ones((1, 4)))


def test_what_is_written_is_all_there_is(built):
    assert sorted(path.name for path in built.folder.iterdir()) == [
        "captions.npy",
        "embeddings.npy",
        "meta.json",
        "motions.parquet",
    ]
    assert [path.name for path in built.folder.parent.iterdir()] == ["index"]
    assert (built.meta["model"], built.meta["dataset"], built.meta["motions"]) == ("model-1", "dataset-1", 50)
    assert isinstance(built.vectors, np.memmap)


def test_an_index_knows_what_it_was_made_of(built):
    assert is_current(built.folder, "model-1", "dataset-1")
    assert not is_current(built.folder, "model-2", "dataset-1")
    assert not is_current(built.folder, "model-1", "dataset-2")
    assert not is_current(built.folder.parent, "model-1", "dataset-1")
    meta = json.loads((built.folder / "meta.json").read_text())
    (built.folder / "meta.json").write_text(json.dumps(meta | {"version": 1}))  # it had no captions
    assert not is_current(built.folder, "model-1", "dataset-1")


def test_an_older_index_is_replaced_and_other_folders_are_not(built, tmp_path):
    again = MotionIndex.build(Encoder("model-2"), Store(20), built.folder)
    assert (len(again), again.meta["model"]) == (20, "model-2")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    with pytest.raises(DatasetError, match="exists and is no index"):
        MotionIndex.build(Encoder(), Store(5), tmp_path / "mine")
    assert (tmp_path / "mine/notes.txt").read_text() == "keep"


@pytest.mark.parametrize("other", [False, True])
def test_a_stopped_build_goes_on_and_another_begins_anew(tmp_path, monkeypatch, other):
    monkeypatch.setattr(index_module, "_BATCH", 10)

    def stop(stage, more, count=[0]):  # noqa: B006
        count[0] += more
        if count[0] == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MotionIndex.build(Encoder(), Store(50), tmp_path / "index", stop)
    encoder, told = Encoder("model-2" if other else "model-1"), []
    store = Store(50)
    index = MotionIndex.build(encoder, store, tmp_path / "index", lambda *more: told.append(more))
    assert encoder.seen == (51 if other else 31)  # one motion tells the width
    for stage in ("motions", "captions"):
        assert sum(more for what, more in told if what == stage) == 50
    np.testing.assert_allclose(
        index.vectors, Encoder().encode_features([store.features(i) for i in range(50)])
    )


def test_embeddings_that_are_no_numbers_are_refused(tmp_path):
    class Broken(Encoder):
        def encode_features(self, features):
            return np.full((len(features), WIDTH), np.nan, np.float32)

    with pytest.raises(DatasetError, match="000000: the model's embedding"):
        MotionIndex.build(Broken(), Store(5), tmp_path / "index")
    assert not (tmp_path / "index").exists()


def damage(path, content):
    path.write_bytes(content) if content is not None else path.unlink()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("meta.json", None, "is no index. Make one"),
        ("meta.json", b"{", "is damaged"),
        ("meta.json", b'{"format": "other"}', "is damaged"),
        ("meta.json", b'{"format": "kinmo-index", "version": 99}', "newer kinmo"),
        ("meta.json", b'{"format": "kinmo-index", "version": 1, "motions": "5"}', "is damaged"),
        ("embeddings.npy", None, "lacks a part"),
        ("embeddings.npy", b"nonsense", "damaged"),
        ("motions.parquet", b"nonsense", "damaged"),
    ],
)
def test_damage_is_told_with_a_remedy(built, name, content, said):
    damage(built.folder / name, content)
    with pytest.raises(DatasetError, match=said) as caught:
        MotionIndex.open(built.folder)
    assert caught.value.remedy


def test_arrays_of_objects_are_never_unpickled(built):
    np.save(built.folder / "embeddings.npy", np.array([print] * 50, dtype=object))
    with pytest.raises(DatasetError, match="damaged"):
        MotionIndex.open(built.folder)


def test_counts_that_disagree_are_seen(built):
    np.save(built.folder / "embeddings.npy", np.zeros((49, WIDTH), np.float32))
    with pytest.raises(DatasetError, match="other counts"):
        MotionIndex.open(built.folder)


class TestManyMotions:
    """The faiss index, with the limit above which it is made set low."""

    @pytest.fixture(autouse=True)
    def _low_limit(self, monkeypatch):
        pytest.importorskip("faiss", reason="faiss is in the extra kinmo[search]")
        monkeypatch.setattr(index_module, "EXACT_MOTIONS", 100)

    @pytest.fixture
    def many(self, tmp_path):
        return MotionIndex.build(Encoder(), Store(400), tmp_path / "index")

    def test_it_is_made_and_used(self, many):
        assert (many.folder / "neighbours.faiss").exists()
        assert not many.note
        assert many.search(query_of(7), top=1)[0][0].motion_id == "000007"
        found = many.search(query_of(7), top=500, where=Where(splits=("test",)))[0]
        assert len(found) == 80

    def test_a_file_that_was_exchanged_is_refused_before_faiss_reads_it(self, many):
        damage(many.folder / "neighbours.faiss", b"nonsense")
        with pytest.raises(DatasetError, match="is not the file that was written here"):
            MotionIndex.open(many.folder)

    def test_a_lost_file_and_a_missing_faiss_leave_exact_search_and_a_note(self, many, monkeypatch):
        wanted = many.search(query_of(7), top=3)
        damage(many.folder / "neighbours.faiss", None)
        lost = MotionIndex.open(many.folder)
        assert "no neighbours.faiss" in lost.note
        assert [h.motion_id for h in lost.search(query_of(7), top=3)[0]] == [h.motion_id for h in wanted[0]]
        monkeypatch.setattr(index_module, "find_spec", lambda name: None)
        assert "pip install 'kinmo[search]'" in MotionIndex.open(many.folder).note

    def test_without_faiss_it_is_built_without_lists(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "faiss", None)
        monkeypatch.setattr(index_module, "find_spec", lambda name: None)
        index = MotionIndex.build(Encoder(), Store(400), tmp_path / "index")
        assert "compared with all 400 motions" in index.note
        assert index.search(query_of(7), top=1)[0][0].motion_id == "000007"


def test_where_an_index_lies_by_default(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_folder(tmp_path, "m", "d") == tmp_path / "index/d"
    assert default_folder("someone/model", "m", "d") == tmp_path / "cache/kinmo/index/m/d"
