"""`kinmo dataset` as typed: what is printed, what is written, which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kinmo_cli import main
from typer.testing import CliRunner

from kinmo_annotate.schema.shards import Manifest


def kinmo(*arguments: object):
    return CliRunner().invoke(main.app, ["dataset", *map(str, arguments)], env={"COLUMNS": "120"})


def test_info_counts(make_dataset):
    folder = make_dataset(4)
    done = kinmo("info", folder)
    assert done.exit_code == 0
    for text in ("12 (8 train, 4 test)", "3 on average, 3 to 3", "12 supported", "has N frame", "left_arm"):
        assert text in done.stdout
    for text in ("Most contradicted", "see them", "tokens", "cost", "not complete"):
        assert text not in done.stdout  # there is nothing to tell
    found = json.loads(kinmo("info", folder, "--json").stdout)
    assert (found["motions"], found["splits"]) == (12, {"train": 8, "test": 4})


def test_show_prints_the_sentences_with_brackets_as_they_are(make_dataset):
    done = kinmo("show", make_dataset(2), "000001")
    assert done.exit_code == 0
    for text in (
        "a person lifts the left arm [slowly]",
        "The left arm rises",
        "torso + neck",
        "0.80 s",
        "33 frames",
    ):
        assert text in done.stdout


def test_show_takes_the_dataset_from_the_current_folder(make_dataset, monkeypatch):
    monkeypatch.chdir(make_dataset(1))
    found = json.loads(kinmo("show", "000000", "--json").stdout)
    assert (found["motion_id"], found["split"], found["num_frames"]) == ("000000", "train", 30)
    assert "joints" not in found


def test_show_suggests_near_misses_in_one_line(make_dataset):
    done = kinmo("show", make_dataset(1), "00000")
    assert done.exit_code == 1
    assert "Did you mean 000000 or 000001 or 000002?" in done.stderr
    assert "Traceback" not in done.stderr
    assert kinmo("show", "a", "b", "c").exit_code == 2


def test_show_writes_picture_film_and_bvh(make_dataset, tmp_path):
    from PIL import Image

    names = {
        option: tmp_path / f"x.{ending}"
        for option, ending in (("picture", "png"), ("film", "gif"), ("bvh", "bvh"))
    }
    options = [part for option, path in names.items() for part in (f"--{option}", path)]
    done = kinmo("show", make_dataset(1), "000000", "--json", *options)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["written"] == [str(path) for path in names.values()]
    with Image.open(names["picture"]) as sheet, Image.open(names["film"]) as film:
        assert min(sheet.size) > 200
        assert film.n_frames == 30
    assert names["bvh"].read_text().startswith("HIERARCHY")
    assert "Frames: 30" in names["bvh"].read_text()


def test_validate_says_sound_or_what_is_wrong(make_dataset):
    folder = make_dataset(2)
    done = kinmo("validate", folder)
    assert done.exit_code == 0
    assert "sound. 6 motions in 3 shards, 1 failures" in done.stdout
    assert json.loads(kinmo("validate", folder, "--json").stdout) == {
        "valid": True, "rows": 6, "failures": 1, "problems": [],
    }  # fmt: skip
    (folder / "data" / "test-00000.parquet").write_bytes(b"")
    done = kinmo("validate", folder)
    assert done.exit_code == 1
    assert "data/test-00000.parquet: its sha256 is not the one in the manifest" in done.stdout
    done = kinmo("validate", folder, "--json")
    assert done.exit_code == 1
    problems = json.loads(done.stdout)["problems"]
    assert {problem["where"] for problem in problems} == {"data/test-00000.parquet"}


@pytest.mark.parametrize("command", [["info"], ["validate"], ["show", "x"], ["mirror", "--out", "y"]])
def test_what_is_no_dataset_ends_in_one_line(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    arguments = [command[0], ".", *command[1:]] if command[0] != "show" else command
    done = kinmo(*arguments)
    assert done.exit_code == 1
    assert "has no kinmo.json" in done.stderr
    assert "kinmo annotate run" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_export_join_and_mirror(make_dataset, make_folder, tmp_path):
    texts, joined, mirrored = (tmp_path / name for name in ("texts", "joined", "mirrored"))
    folder = make_dataset(2)
    assert kinmo("export", folder, "--out", texts).exit_code == 2
    assert not texts.exists()
    done = kinmo("export", folder, "--texts-only", "--out", texts)
    assert (done.exit_code, "wrote 6 motions" in done.stdout) == (0, True)
    done = kinmo("show", texts, "000000", "--picture", tmp_path / "x.png")
    assert done.exit_code == 1
    assert "kinmo dataset join" in done.stderr

    done = kinmo("join", texts, make_folder(6), "--out", joined, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"out": str(joined), "rows": 6, "failures": 1, "missing": []}
    done = kinmo("mirror", joined, "--out", mirrored)
    assert done.exit_code == 0
    assert Manifest.load(mirrored).settings["mirrored"] is True
    done = kinmo("mirror", joined, "--out", mirrored)
    assert (done.exit_code, "--force" in done.stderr) == (1, True)
    assert kinmo("mirror", joined, "--out", mirrored, "--force").exit_code == 0


def test_join_with_missing_motions_ends_with_code_1(make_dataset, make_folder, tmp_path):
    texts = tmp_path / "texts"
    kinmo("export", make_dataset(2), "--texts-only", "--out", texts)
    done = kinmo("join", texts, make_folder(5), "--out", tmp_path / "joined", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["missing"] == ["000005"]
    assert "1 motions are not in" in done.stderr


def test_unwritable_output_ends_in_one_line(make_dataset, tmp_path):
    (tmp_path / "file").touch()
    done = kinmo("mirror", make_dataset(1), "--out", Path(tmp_path / "file" / "below"))
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["info", "show", "validate", "export", "join", "mirror"])
def test_every_help_has_a_worked_example(command):
    assert f"kinmo dataset {command}" in kinmo(command, "--help").stdout
