"""`kinmo search` as typed. The model is a stand-in: these tests are of what is around it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from kinmo_cli import _queries, main
from typer.testing import CliRunner

from kinmo_annotate.schema.features import joints_to_features
from kinmo_annotate.schema.skeleton import FIELDS


class StandIn:
    """Embeds a motion by its features' means, and a text that ends in a motion's number like that motion."""

    levels = ("G", "GJ")
    fingerprint = "set by the test"

    def __init__(self, arm_motion):
        self.arm_motion, self.asked = arm_motion, []

    def encode_features(self, features):
        rows = np.stack([motion[:, 4:67].mean(axis=0) for motion in features])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def encode_motions(self, joints):
        return self.encode_features([joints_to_features(one) for one in joints])

    def encode_sentences(self, texts):
        """All texts are alike but for those that speak of a number."""
        return np.array([[0.6, 0.8] if "number" in text else [1, 0] for text in texts], np.float32)

    def encode_texts(self, captions, fields=None, level=None):
        self.asked.append((captions, fields, level))
        return self.encode_motions([self.arm_motion(int(text.split()[-1])) for text in captions])


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "meta.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def model(run, arm_motion, monkeypatch):
    from kinmo_models.training.pretrained import model_fingerprint

    stand_in = StandIn(arm_motion)

    def load(name, cache_dir, silent):
        stand_in.fingerprint = model_fingerprint(Path(name))
        return stand_in

    monkeypatch.setattr("kinmo_cli._searching.load_retriever", load)
    return stand_in


@pytest.fixture
def dataset(make_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make_dataset(4)


@pytest.fixture
def search(run, model, dataset):
    def typed(query, *more, index=None, stdin=None):
        words = ["search", query, "--model", run, "--index", index or dataset, *more]
        return CliRunner().invoke(main.app, list(map(str, words)), env={"COLUMNS": "140"}, input=stdin)

    return typed


def test_a_table_of_what_was_found_with_brackets_as_they_are(search):
    done = search("like number 7")
    assert done.exit_code == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if "0000" in line]
    assert len(lines) == 10
    assert lines[0][:2] == ["1", "000007"]
    assert "a person lifts the left arm [slowly]" in done.stdout
    assert "of 12 motions" in done.stdout


def test_json_says_it_all(search, run, dataset):
    found = json.loads(search("like number 7", "--top", "3", "--json").stdout)
    assert found["motions"] == 12
    assert Path(found["index"]).parent == run / "index"
    (one,) = found["queries"]
    assert one["query"] == "like number 7"
    assert [hit["rank"] for hit in one["hits"]] == [1, 2, 3]
    first = one["hits"][0]
    assert (first["motion_id"], first["split"], first["source"]) == ("000007", "train", "made up")
    assert first["similarity"] == pytest.approx(1.0)
    assert first["seconds"] == pytest.approx(29 / 20)


def test_what_is_said_of_motions_counts_unless_it_is_not_to(search):
    captions = search("like number 7")
    assert "+ 2 x captions" in " ".join(captions.stdout.split())
    hit = json.loads(search("like number 7", "--top", "1", "--json").stdout)["queries"][0]["hits"][0]
    assert hit["caption_similarity"] == pytest.approx(0.6)  # no caption speaks of a number
    alone = search("like number 7", "--captions", "0")
    assert "captions" not in alone.stdout
    hit = json.loads(search("like number 7", "--captions", "0", "--json").stdout)["queries"][0]["hits"][0]
    assert hit["caption_similarity"] is None
    assert search("like number 7", "--captions", "-1").exit_code == 2


def test_filters(search):
    found = json.loads(search("like number 7", "--split", "test", "--top", "50", "--json").stdout)
    assert {hit["split"] for hit in found["queries"][0]["hits"]} == {"test"}
    assert len(found["queries"][0]["hits"]) == 4
    found = json.loads(search("like number 7", "--min-seconds", "1.5", "--max-seconds", "2", "--json").stdout)
    assert all(1.5 <= hit["seconds"] <= 2 for hit in found["queries"][0]["hits"])
    done = search("like number 7", "--split", "tset")
    assert done.exit_code == 1
    assert "There is: test" in done.stderr
    done = search("like number 7", "--source", "cmu")
    assert "There is: made up" in done.stderr


def test_the_index_is_made_once_and_again_when_something_changed(search, run, model, make_dataset):
    def made():
        return json.loads(search("like number 7", "--json").stdout)["index"]

    first = made()
    before = Path(first, "meta.json").read_bytes()
    assert made() == first
    assert Path(first, "meta.json").read_bytes() == before
    (run / "model.safetensors").write_bytes(b"trained further")
    assert made() == first
    assert Path(first, "meta.json").read_bytes() != before


def test_an_index_folder_is_searched_without_its_dataset_and_refused_when_stale(
    search, run, dataset, tmp_path
):
    folder = tmp_path / "my index"
    made = CliRunner().invoke(main.app, ["index", str(run), str(dataset), "--out", str(folder)])
    assert made.exit_code == 0, made.stderr
    assert search("like number 7", index=folder).exit_code == 0
    manifest = (dataset / "kinmo.json").read_text()
    (dataset / "kinmo.json").write_text(manifest.replace('"sha256": "', '"sha256": "0'))
    done = search("like number 7", index=folder)
    assert done.exit_code == 1
    assert "before its dataset changed. Make it again: kinmo index RUN" in done.stderr
    dataset.rename(tmp_path / "elsewhere")
    assert search("like number 7", index=folder).exit_code == 0
    (run / "model.safetensors").write_bytes(b"trained further")
    assert "another model" in search("like number 7", index=folder).stderr


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_a_motion_file_finds_motions_like_it(search, arm_motion, tmp_path, ending):
    path = tmp_path / f"query.{ending}"
    np.save(path, arm_motion(8)) if ending == "npy" else np.savez(path, joints=arm_motion(8))
    found = json.loads(search(path, "--json").stdout)
    assert found["queries"][0]["query"] == f"query.{ending}"
    assert found["queries"][0]["hits"][0]["motion_id"] == "000008"


def test_a_bvh_file_finds_motions_like_it(search, dataset, tmp_path):
    path = tmp_path / "query.bvh"
    shown = CliRunner().invoke(main.app, ["dataset", "show", str(dataset), "000005", "--bvh", str(path)])
    assert shown.exit_code == 0
    hits = json.loads(search(path, "--json").stdout)["queries"][0]["hits"]
    assert "000005" in [hit["motion_id"] for hit in hits[:3]]


def test_a_query_a_line_on_stdin(search):
    done = search("-", "--top", "1", "--json", stdin="like number 4\n\n  like   number 8\n")
    found = json.loads(done.stdout)["queries"]
    assert [(one["query"], one["hits"][0]["motion_id"]) for one in found] == [
        ("like number 4", "000004"),
        ("like number 8", "000008"),
    ]


def test_fields_and_level_reach_the_model(search, model, tmp_path):
    path = tmp_path / "fields.yaml"
    path.write_text("left_arm: The left arm   waves.\n")
    assert search("like number 7", "--fields", path, "--level", "GJ").exit_code == 0
    assert model.asked[-1] == (["like number 7"], [{"left_arm": "The left arm waves."}], "GJ")
    path.write_text(json.dumps(dict.fromkeys(FIELDS, "Still.")))
    assert search("like number 7", "--fields", path).exit_code == 0
    assert model.asked[-1][1] == [dict.fromkeys(FIELDS, "Still.")]


def test_a_reasoner_writes_the_sentences_that_are_not_given(search, model, tmp_path, monkeypatch):
    class Says:
        def reason(self, captions, seed, *, given, progress):
            return [
                dict.fromkeys(FIELDS, f"of {one}") | dict(two)
                for one, two in zip(captions, given, strict=True)
            ]

    monkeypatch.setattr("kinmo_cli._reasoning.open_reasoner", lambda name, silent=False: Says())
    fields = tmp_path / "fields.yaml"
    fields.write_text("left_arm: The left arm rises.\n")
    assert search("like number 7", "--reasoner", "R", "--fields", fields).exit_code == 0
    (captions, said, level) = model.asked[-1]
    assert (captions, level) == (["like number 7"], None)
    assert said == [dict.fromkeys(FIELDS, "of like number 7") | {"left_arm": "The left arm rises."}]
    assert search("-", "--reasoner", "R", stdin="like number 7\nlike number 3\n").exit_code == 0
    assert [one["neck"] for one in model.asked[-1][1]] == ["of like number 7", "of like number 3"]


def test_a_picture_of_what_was_found(search, tmp_path):
    from PIL import Image

    path = tmp_path / "sheet.png"
    done = search("like number 7", "--picture", path, "--top", "3")
    assert done.exit_code == 0, done.stderr
    assert f"wrote {path}" in done.stdout
    assert Image.open(path).width == 1600


@pytest.mark.parametrize(
    ("query", "more", "code", "said"),
    [
        ("", (), 2, "the query is empty"),
        (" .. ", (), 2, "the query is empty"),
        ("walk.bvh", (), 1, "does not exist"),
        ("like number 7", ("--level", "GJI"), 2, "Its levels are G, GJ"),
        ("like number 7", ("--fields", "nowhere.yaml"), 1, "nowhere.yaml"),
        ("like number 7", ("--picture", "a.tiff"), 1, "End it in"),
        ("like number 7", ("--mapping", "a.yaml"), 2, "for a query that is a BVH file"),
        ("like number 7", ("--top", "0"), 2, "top"),
    ],
)
def test_wrong_use_says_what_to_do(search, query, more, code, said):
    done = search(query, *more)
    assert done.exit_code == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("left_amr: Waves.", "no field 'left_amr'. Did you mean left_arm?"),
        ("zzz: Waves.", "The fields are torso, neck"),
        ("left_arm: 7", "left_arm is no sentence"),
        ("- a list", "holds no fields"),
        ("!!python/object/apply:os.system ['true']", "is neither YAML nor JSON"),
        ("{", "is neither YAML nor JSON"),
    ],
)
def test_fields_that_are_none_are_refused(search, tmp_path, content, said):
    (tmp_path / "fields.yaml").write_text(content)
    done = search("like number 7", "--fields", tmp_path / "fields.yaml")
    assert done.exit_code == 1
    assert said in done.stderr


def test_several_queries_have_no_picture_and_stdin_must_hold_one(search, tmp_path):
    done = search("-", "--picture", tmp_path / "a.png", stdin="like number 3\nlike number 4\n")
    assert (done.exit_code, "are for one query" in done.stderr) == (2, True)
    done = search("-", stdin="\n\n")
    assert (done.exit_code, "stdin holds no query" in done.stderr) == (2, True)


def test_a_file_of_another_kind_is_no_query(search, tmp_path):
    (tmp_path / "walk.fbx").write_text("")
    assert "a file of another kind" in search(tmp_path / "walk.fbx").stderr


def test_a_motion_has_no_fields(search, arm_motion, tmp_path):
    np.save(tmp_path / "a.npy", arm_motion(1))
    assert "are for texts" in search(tmp_path / "a.npy", "--level", "G").stderr


def test_no_dataset_and_no_model_are_told(search, run, tmp_path):
    assert "is not a folder" in search("like number 7", index=tmp_path / "nowhere").stderr
    (run / "meta.json").unlink()
    assert "holds no trained model" in search("like number 7").stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ein Mensch winkt mit der linken Hand", "German"),
        ("une personne marche vers la droite", "French"),
        ("una persona camina con los brazos", "Spanish"),
        ("человек машет рукой", "not to be in Latin letters"),
        ("一个人挥手", "not to be in Latin letters"),
        ("a person walks " * 40, "120 words"),
    ],
)
def test_doubtful_queries_are_warned_of(text, said):
    (doubt,) = _queries.doubts(text)
    assert said in doubt


@pytest.mark.parametrize(
    "text",
    [
        "a person waves with the left hand",
        "jumping jacks",
        "a ballerina does a grand jeté",
        "someone does the can-can on a la carte tables",
        "tai chi",
    ],
)
def test_english_is_not(text):
    assert _queries.doubts(text) == []


def test_a_doubt_is_no_refusal(search):
    done = search("ein Mensch winkt mit der linken 7")
    assert done.exit_code == 0
    assert "looks German" in done.stderr
