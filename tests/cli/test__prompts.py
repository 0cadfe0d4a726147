"""Prompts from the command line, files, stdin and rows."""

from __future__ import annotations

import io
import json

import pytest
import typer
from kinmo_cli._prompts import Prompt, from_row, read_fields, read_prompts, seconds_in

from kinmo_annotate.schema.records import NO_MOVEMENT
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import FIELDS


def test_a_text_is_one_prompt():
    assert read_prompts("a person  walks\nfor 3 seconds") == [
        Prompt("a person walks for 3 seconds", {}, 3.0, None)
    ]
    assert read_prompts("someone opens a.txt") == [Prompt("someone opens a.txt")]


def test_finer_texts_by_hand(tmp_path):
    path = tmp_path / "wave.yaml"
    path.write_text(
        "caption: a person waves for 9 seconds\n"
        "left_arm: The left arm\n  waves twice.\n"
        "right_arm: ''\n"
        "neck:\n"
        "left_arm__right_arm: The left hand is above the right.\n"
        "length_s: 4.5\n"
        "seed: 7\n"
    )
    said = {
        "left_arm": "The left arm waves twice.",
        "left_arm__right_arm": "The left hand is above the right.",
    }
    assert read_prompts(str(path)) == [Prompt("a person waves for 9 seconds", said, 4.5, 7)]
    assert read_fields(path) == said


def test_all_21_fields_and_no_caption(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(dict.fromkeys(FIELDS, NO_MOVEMENT)))
    assert read_prompts(str(path)) == [Prompt("", dict.fromkeys(FIELDS, NO_MOVEMENT))]


def test_a_file_of_texts_with_comments(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("\ufeff# to try\na person walks\n\n  a person jumps #1 \n#a person falls\n", "utf-8")
    assert [one.caption for one in read_prompts(str(path))] == ["a person walks", "a person jumps #1"]


def test_a_list_in_yaml_and_in_json_lines(tmp_path):
    wanted = [
        Prompt("a person walks", {"neck": "The head turns left."}, 2.0),
        Prompt("a person sits", {}, None, 0),
    ]
    (tmp_path / "a.yml").write_text(
        "- {caption: a person walks, neck: The head turns left., length_s: 2}\n"
        "- {caption: a person sits, seed: 0, length_s: }\n"
    )
    assert read_prompts(str(tmp_path / "a.yml")) == wanted
    (tmp_path / "a.jsonl").write_text(
        '{"caption": "a person walks", "neck": "The head turns left.", "length_s": 2}\n'
        "\n"
        '{"caption": "a person sits", "seed": 0}\n'
    )
    assert read_prompts(str(tmp_path / "a.jsonl")) == wanted


def test_stdin_gives_texts_or_json_lines(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO('# some\na person walks 2 s\n{"torso": "It bends."}\n'))
    assert read_prompts("-") == [Prompt("a person walks 2 s", {}, 2.0), Prompt("", {"torso": "It bends."})]


def test_the_words_of_a_row(make_dataset):
    prompt = from_row(make_dataset(2), "000001")
    assert prompt.caption == "a person lifts the left arm [slowly]"
    assert prompt.fields["left_arm"] == "The left arm rises and comes down again."
    assert set(prompt.fields) == set(FIELDS)
    assert (prompt.seconds, prompt.seed) == (pytest.approx(33 / 20), None)
    with pytest.raises(DatasetError, match="Did you mean"):
        from_row(make_dataset(1, "other"), "00000")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.yaml", "left_amr: Waves.", "a.yaml: there is no field 'left_amr'. Did you mean left_arm?"),
        ("a.yaml", "lenght_s: 3\ncaption: walk", "Did you mean length_s?"),
        ("a.yaml", "zzz: Waves.", "The fields are torso, neck"),
        ("a.yaml", "1: Waves.", "no field '1'"),
        ("a.yaml", "left_arm: 7", "left_arm is no sentence"),
        ("a.yaml", "left_arm: [a, b]", "left_arm is no sentence"),
        ("a.yaml", "caption: no\n", "caption is no sentence"),  # YAML takes it for false
        ("a.yaml", "{caption: walk, length_s: -1}", "length_s is no number of seconds above zero"),
        ("a.yaml", "{caption: walk, length_s: .inf}", "length_s is no number"),
        ("a.yaml", "{caption: walk, length_s: true}", "length_s is no number"),
        ("a.yaml", "{caption: walk, length_s: long}", "length_s is no number"),
        ("a.yaml", "{caption: walk, seed: 1.5}", "seed is no whole number"),
        ("a.yaml", "{caption: '', left_arm: }", "is empty"),
        ("a.yaml", "- walk\n- 3", "a.yaml, prompt 2: holds no fields and no caption"),
        ("a.yaml", "", "holds no fields and no caption"),
        ("a.yaml", "[]", "holds no prompt"),
        ("a.yaml", "!!python/object/apply:os.system ['true']", "is neither YAML nor JSON"),
        ("a.yaml", "{", "is neither YAML nor JSON"),
        ("a.jsonl", '{"caption": "walk"}\n{"caption"\n', "a.jsonl, line 2: is not JSON"),
        ("a.txt", "# nothing\n", "holds no prompt"),
        ("a.txt", "walk\n...\n", "a.txt, line 2: is empty"),
        ("a.txt", "walk\n" * 10_001, "more than 10,000 prompts"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, capsys, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(typer.Exit):
        read_prompts(str(tmp_path / name))
    assert said in capsys.readouterr().err


def test_what_is_no_text_and_what_is_not_there(tmp_path, capsys):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(typer.Exit):
        read_prompts(str(tmp_path / "a.txt"))
    assert "is not UTF-8 text" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError):
        read_prompts(str(tmp_path / "gone.yaml"))
    with pytest.raises(typer.Exit):
        read_prompts("  ")


@pytest.mark.parametrize("content", ["caption: walk", "- left_arm: Up.\n- left_arm: Down.\n"])
def test_fields_alone_must_be_of_one_prompt(tmp_path, content):
    (tmp_path / "a.yaml").write_text(content)
    with pytest.raises(typer.Exit):
        read_fields(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("walks for 3 seconds", 3), ("a person walks 3 s", 3), ("3s", 3), ("A 5-Second walk", 5),
        ("waves for 2.5 sec", 2.5), ("for 2,5 s", 2.5), ("for three seconds", 3), ("for a second", 1),
        ("for half a second", 0.5), ("half a second of rest", 0.5), ("runs 2 s, then rests for 1.5 s", 3.5),
        ("for 2 to 3 seconds", 2.5), ("2-3 s", 2.5), ("for a minute", 60), ("waits 2 s in place", 2),
        ("walks for 5 seconds, turning after 2 seconds", 5), ("walks 10 m in 4 s", 4),
    ],
)  # fmt: skip
def test_a_length_in_the_text(text, seconds):
    assert seconds_in(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "a person walks", "takes a second step", "after 2 seconds he turns", "the 80s", "like the 1980s",
        "walks 3 steps", "turns one second later", "person 2's hand", "every 2 seconds", "the second time",
        "a few seconds", "throws 2 spears", "0 s",
    ],
)  # fmt: skip
def test_no_length_in_the_text(text):
    assert seconds_in(text) is None
