"""The way out of the store: reviews.parquet, and the column `review` of the dataset."""

from __future__ import annotations

import os
import shutil

import pandas as pd
import pytest

from kinmo_annotate.dataset.check import validate
from kinmo_annotate.dataset.read import find, load_dataset
from kinmo_annotate.resume import locked
from kinmo_annotate.review import export
from kinmo_annotate.review.export import export_reviews
from kinmo_annotate.review.rounds import ADJUDICATION, Round
from kinmo_annotate.review.store import Judgement, open_store
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import DatasetError, Manifest, sha256_of

IDS = ("000001", "000005", "000009")  # one of each shard


@pytest.fixture
def dataset(make_dataset):
    return make_dataset()


@pytest.fixture
def store(dataset):
    with open_store(dataset) as opened:
        yield opened


def sentence_of(dataset, motion_id, field):
    record = find(dataset, motion_id).record
    return (record["groups"] | record["interactions"])[field]


def hold_round(store, said, *, name="r1", ids=IDS, fields=("left_arm", "right_arm"), finish=True):
    """Judge all correct but what `said` says: (evaluator, motion, field) -> (verdict, category, note)."""
    round = Round(name, store.dataset, ids, fields, prompt_version="v1")
    store.add_round(round)
    for evaluator in round.evaluators:
        for motion_id, field in round.items:
            verdict, category, note = said.get((evaluator, motion_id, field), ("correct", "", ""))
            sentence = sentence_of(store.dataset, motion_id, field)
            store.save(Judgement(name, evaluator, motion_id, field, verdict, category, note, sentence))
        if finish:
            store.finish(name, evaluator)
    return round


def reviews_of(dataset):
    frame = load_dataset(dataset)
    return {row.motion_id: row.review for row in frame.itertuples() if row.review["status"] != "unreviewed"}


WRONG_SIDE = ("wrong", "side", "it is the\nright  arm")
BOTH_WRONG = {
    ("a", "000001", "left_arm"): WRONG_SIDE,
    ("b", "000001", "left_arm"): ("wrong", "direction", ""),
    ("a", "000005", "right_arm"): ("wrong", "timing", "late"),
    ("b", "000009", "right_arm"): ("unsure", "", "cannot see it"),
}


def test_what_people_said_enters_the_column(dataset, store):
    hold_round(store, {key: said for key, said in BOTH_WRONG.items() if key[1] != "000009"})
    exported = export_reviews(dataset)
    assert exported.status == {"unreviewed": 9, "correct": 1, "wrong": 1, "disputed": 1}
    assert exported.rounds_joined == ("r1",)
    assert reviews_of(dataset) == {
        "000001": {
            "status": "wrong",
            "errors": ["left_arm: side: it is the right arm", "left_arm: direction"],
        },
        "000005": {"status": "disputed", "errors": ["right_arm: timing: late"]},
        "000009": {"status": "correct", "errors": []},
    }


def test_the_dataset_stays_sound(dataset, store):
    before = load_dataset(dataset).drop(columns="review")
    hold_round(store, BOTH_WRONG)
    assert export_reviews(dataset).shards_rewritten == 3
    assert validate(dataset) == []
    after = load_dataset(dataset).drop(columns="review")
    for column in before.columns:
        assert all(str(x) == str(y) for x, y in zip(before[column], after[column], strict=True)), column
    manifest = Manifest.load(dataset)
    assert all(sha256_of(dataset / "data" / shard.name) == shard.sha256 for shard in manifest.shards)
    assert not (dataset / ".review").exists()


def test_only_shards_with_other_reviews_are_written(dataset, store):
    hold_round(store, {}, ids=("000005",))
    before = {path.name: path.stat().st_mtime_ns for path in (dataset / "data").iterdir()}
    assert export_reviews(dataset).shards_rewritten == 1
    after = {path.name: path.stat().st_mtime_ns for path in (dataset / "data").iterdir()}
    assert [name for name in before if before[name] != after[name]] == ["train-00001.parquet"]
    assert export_reviews(dataset).shards_rewritten == 0


def test_bytes_depend_on_the_rows_alone(dataset, store):
    """A review that goes away again leaves the file as it was."""
    before = [shard.sha256 for shard in Manifest.load(dataset).shards]
    hold_round(store, BOTH_WRONG)
    export_reviews(dataset)
    between = [shard.sha256 for shard in Manifest.load(dataset).shards]
    assert all(x != y for x, y in zip(before, between, strict=True))
    store.close()
    shutil.move(dataset / "reviews.sqlite", dataset / "old.sqlite")
    with open_store(dataset) as fresh:
        fresh.add_round(Round("r1", dataset, IDS))
    export_reviews(dataset)
    assert [shard.sha256 for shard in Manifest.load(dataset).shards] == before


def test_the_adjudication_overrules(dataset, store):
    hold_round(store, BOTH_WRONG)
    assert export_reviews(dataset).status["disputed"] == 2
    for motion_id, verdict in (("000005", "correct"), ("000009", "wrong")):
        sentence = sentence_of(dataset, motion_id, "right_arm")
        store.save(
            Judgement("r1", ADJUDICATION, motion_id, "right_arm", verdict, note="seen", sentence=sentence)
        )
    assert export_reviews(dataset).status == {"unreviewed": 9, "correct": 1, "wrong": 2, "disputed": 0}
    assert reviews_of(dataset)["000009"] == {"status": "wrong", "errors": ["right_arm: seen"]}


def test_a_later_round_overrules_and_an_old_sentence_does_not_count(dataset, store):
    hold_round(store, BOTH_WRONG)
    second = Round("r2", dataset, ("000001",), ("left_arm",), evaluators=("a",), parent="r1")
    store.add_round(second)
    right = sentence_of(dataset, "000001", "left_arm")
    store.save(Judgement("r2", "a", "000001", "left_arm", "correct", sentence=right))
    store.finish("r2", "a")
    export_reviews(dataset)
    assert reviews_of(dataset)["000001"] == {"status": "correct", "errors": []}

    third = Round("r3", dataset, ("000001",), ("left_arm",), evaluators=("a",))
    store.add_round(third)
    store.save(Judgement("r3", "a", "000001", "left_arm", "wrong", sentence="An older text."))
    store.finish("r3", "a")
    export_reviews(dataset)
    assert reviews_of(dataset)["000001"]["status"] == "correct"


def test_reviews_parquet_opens_in_pandas(dataset, store):
    hold_round(store, BOTH_WRONG)
    store.add_round(Round("r2", dataset, ("000001",), evaluators=("a", "b")))
    store.save(Judgement("r2", "b", "000001", "left_leg", "wrong", "wording", "=1+1", "<script>"))
    store.save(Judgement("r2", "b", "000001", "right_leg", "", note="only a draft"))
    exported = export_reviews(dataset)
    frame = pd.read_parquet(dataset / "reviews.parquet")
    assert exported.judgements == len(frame) == 2 * 3 * 2 + 1
    assert [*frame.columns] == export.REVIEWS_SCHEMA.names
    assert exported.rounds_open == ("r2",)
    assert not frame[frame["round"] == "r2"]["finished"].any()
    assert frame[frame["round"] == "r1"]["finished"].all()
    wide = frame[frame["round"] == "r1"].set_index(["motion_id", "field", "evaluator"])["verdict"].unstack()  # noqa: PD010
    assert wide.shape == (6, 2)
    assert (wide["a"] == wide["b"]).sum() == 4
    assert frame.iloc[-1]["note"] == "=1+1"
    assert set(frame[frame["round"] == "r1"]["prompt_version"]) == {"v1"}


def test_an_unfinished_round_is_not_joined(dataset, store):
    hold_round(store, BOTH_WRONG, finish=False)
    exported = export_reviews(dataset)
    assert (exported.rounds_joined, exported.rounds_open) == ((), ("r1",))
    assert exported.status["unreviewed"] == 12
    assert exported.shards_rewritten == 0


def test_without_a_round_nothing_is_touched(dataset):
    (dataset / "reviews.parquet").write_bytes(b"from another copy of the dataset")
    with pytest.raises(MotionError, match="no round of review"):
        export_reviews(dataset)
    assert (dataset / "reviews.parquet").read_bytes() == b"from another copy of the dataset"


def test_no_export_while_a_run_writes(dataset, store):
    hold_round(store, BOTH_WRONG)
    with locked(dataset), pytest.raises(DatasetError):
        export_reviews(dataset)


def test_a_damaged_shard_is_not_made_to_look_sound(dataset, store):
    hold_round(store, BOTH_WRONG)
    shutil.copyfile(dataset / "data/test-00000.parquet", dataset / "data/train-00000.parquet")
    with pytest.raises(DatasetError, match="not the file that the manifest lists"):
        export_reviews(dataset)


@pytest.mark.parametrize("moves", range(4))
def test_a_kill_in_the_middle_is_mended(dataset, store, monkeypatch, moves):
    """Stopped before any, after one, two or all shards moved: the next export ends the work."""
    hold_round(store, BOTH_WRONG)
    move, left = os.replace, [moves]

    def cut(source, target):
        if ".review" in str(source) and not str(source).endswith(".tmp"):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
        move(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(export.os, "replace", cut)
        with pytest.raises(KeyboardInterrupt):
            export_reviews(dataset)
    assert (dataset / ".review").exists()
    export_reviews(dataset)
    assert validate(dataset) == []
    assert len(reviews_of(dataset)) == 3
    assert not (dataset / ".review").exists()


def test_a_dataset_written_anew_keeps_its_own_shards(dataset, store, make_dataset, monkeypatch):
    hold_round(store, BOTH_WRONG)
    with monkeypatch.context() as patch:
        patch.setattr(export, "_settle", lambda folder: None)
        export_reviews(dataset)
    assert (dataset / ".review/kinmo.json").exists()
    manifest = Manifest.load(dataset)
    manifest.settings["seed"] = 8
    manifest.save(dataset)
    store.close()
    (dataset / "reviews.sqlite").unlink()
    with open_store(dataset) as fresh:
        fresh.add_round(Round("r1", dataset, IDS))
    assert export_reviews(dataset).shards_rewritten == 0
    assert Manifest.load(dataset).settings["seed"] == 8
    assert validate(dataset) == []
