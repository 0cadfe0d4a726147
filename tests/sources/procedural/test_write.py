"""Writing the demo set: HumanML3D's layout, captions with tokens, the truth, all reproducible."""

from __future__ import annotations

import json
import re
import time

import numpy as np
import pytest

from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_annotate.schema.vocabulary import action_of
from kinmo_annotate.sources.procedural import KINDS, make_kind, make_motion, write_demo
from kinmo_annotate.sources.procedural.captions import caption_line, tokens
from kinmo_annotate.sources.procedural.motions import split_of


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_layout_is_humanml3ds(tmp_path):
    done = []
    write_demo(tmp_path / "demo", 12, 5, done.append)
    names = (tmp_path / "demo/all.txt").read_text().split()
    assert done == list(range(1, 13))
    assert len(names) == len(set(names)) == 12
    splits = [(tmp_path / f"demo/{split}.txt").read_text().split() for split in ("train", "val", "test")]
    assert sorted(splits[0] + splits[1] + splits[2]) == sorted(names)
    assert all(splits)
    for name in names:
        joints = np.load(tmp_path / f"demo/new_joints/{name}.npy", allow_pickle=False)
        assert joints.dtype == np.float32
        assert joints.shape[1:] == (22, 3)
        lines = (tmp_path / f"demo/texts/{name}.txt").read_text().splitlines()
        assert len(lines) == len(set(lines)) == 3
        for line in lines:
            assert re.fullmatch(r"[a-z ,]+\.#([a-z]+/[A-Z]+ )*[a-z]+/[A-Z]+#0\.0#0\.0", line), line


def test_the_truth_is_of_the_vocabulary(tmp_path):
    write_demo(tmp_path / "demo", 8, 5)
    rows = [json.loads(line) for line in (tmp_path / "demo/truth.jsonl").read_text().splitlines()]
    assert [row["motion_id"] for row in rows] == (tmp_path / "demo/all.txt").read_text().split()
    for row in rows:
        assert row["kind"] in KINDS
        for event in row["events"]:
            assert set(event) == {"field", "action", "start_s", "end_s", "count", "amount", "salient"}
            assert event["field"] in FIELDS
            action_of(event["field"], event["action"])


def test_the_same_seed_gives_the_same_bytes_and_a_smaller_set_is_the_beginning_of_a_larger(tmp_path):
    for name, motions in (("a", 6), ("b", 6), ("c", 9)):
        write_demo(tmp_path / name, motions, 2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    larger = contents(tmp_path / "c")
    for path, data in contents(tmp_path / "a").items():
        if path.startswith(("new_joints", "texts")):
            assert larger[path] == data


def test_writing_again_replaces_the_old_set_and_nothing_else(tmp_path):
    write_demo(tmp_path / "demo", 6, 2)
    (tmp_path / "demo/notes.md").write_text("mine")
    write_demo(tmp_path / "demo", 3, 4)
    write_demo(tmp_path / "fresh", 3, 4)
    again = contents(tmp_path / "demo")
    assert again.pop("notes.md") == b"mine"
    assert again == contents(tmp_path / "fresh")


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(MotionError, match="not empty"):
        write_demo(tmp_path, 2, 0)
    assert contents(tmp_path) == {"thesis.txt": b"precious"}


def test_a_file_in_the_way_and_a_damaged_truth_are_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(MotionError, match=r"not empty|demo set"):
        write_demo(tmp_path / "taken", 2, 0)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/truth.jsonl").write_text("{half")
    with pytest.raises(MotionError, match=r"truth\.jsonl"):
        write_demo(tmp_path / "broken", 2, 0)
    with pytest.raises(MotionError, match="cannot be written"):
        write_demo(tmp_path / "taken/inside", 2, 0)


@pytest.mark.parametrize(("motions", "seed"), [(0, 0), (-3, 0), (2, -1)])
def test_impossible_numbers_are_refused(tmp_path, motions, seed):
    with pytest.raises(MotionError, match="cannot make"):
        write_demo(tmp_path / "demo", motions, seed)
    assert not (tmp_path / "demo").exists()


def test_every_caption_of_every_kind_can_be_written():
    for index in range(len(KINDS)):
        motion = make_motion(31, index).motion
        texts = [caption.text for caption in motion.captions]
        assert len(set(texts)) == 3
        for text in texts:
            assert caption_line(text).endswith("#0.0#0.0")


def test_tokens_are_lemmas_with_tags():
    assert tokens("A person takes four steps forward.") == [
        "a/DET", "person/NOUN", "take/VERB", "four/NUM", "step/NOUN", "forward/ADV",
    ]  # fmt: skip
    assert tokens("someone steps back with the left foot.")[1] == "step/VERB"
    assert "punch/NOUN" in tokens("someone throws three punches.")
    assert "punch/VERB" in tokens("someone punches twice.")
    assert "left/ADJ" in tokens("someone raises the left arm.")
    with pytest.raises(KeyError):
        tokens("someone yodels.")


def test_captions_name_the_side_that_acts():
    for seed in range(6):
        demo = make_kind("wave", np.random.default_rng(seed), "w", "train")
        side = next(e.field for e in demo.events if e.action == "wave").partition("_")[0]
        assert all(side in caption.text for caption in demo.motion.captions)


def test_each_kind_comes_to_train_val_and_test():
    rounds = [{split_of(kind + turn * len(KINDS)) for turn in range(10)} for kind in range(len(KINDS))]
    assert all(splits == {"train", "val", "test"} for splits in rounds)


def test_sixty_motions_take_seconds():
    start = time.perf_counter()
    for index in range(30):
        make_motion(0, index)
    assert time.perf_counter() - start < 5
