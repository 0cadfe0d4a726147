"""`kinmo train reasoner`, `kinmo reason` and `kinmo evaluate reasoner` from the outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from kinmo_cli import main
from typer.testing import CliRunner

from kinmo_annotate.schema.records import NO_MOVEMENT
from kinmo_annotate.schema.skeleton import FIELDS

SETS = (
    "model.width=16", "model.layers=1", "model.heads=2", "model.inner=16", "data.batch_size=4",
    "training.epochs=1", "sampling.sentence_tokens=8",
)  # fmt: skip


def kinmo(*arguments: object, **more: str):
    return CliRunner().invoke(main.app, [str(one) for one in arguments], env={"COLUMNS": "140"}, **more)


@pytest.fixture
def place(make_dataset: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A dataset and a reasoner that hardly learned anything: (dataset, run)."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    dataset, run = make_dataset(6), tmp_path / "run"
    laid = [word for one in SETS for word in ("--set", one)]
    result = kinmo("train", "reasoner", dataset, "--out", run, "--config", "tiny", *laid)
    assert result.exit_code == 0, result.output
    assert 'next: kinmo reason "a person walks forward"' in result.stdout
    return dataset, run


def test_a_caption_becomes_21_sentences_that_generate_reads(place, tmp_path: Path):
    _, run = place
    out = tmp_path / "fields.yaml"
    result = kinmo("reason", "a person [red]sneaks: forward", "--model", run, "--out", out)
    assert result.exit_code == 0, result.output
    assert "torso + neck" in result.stdout
    assert "[red]" in result.stdout
    written = yaml.safe_load(out.read_text("utf-8"))
    assert list(written) == ["caption", *FIELDS]
    from kinmo_cli._prompts import read_fields

    assert tuple(read_fields(out)) == FIELDS
    as_json = json.loads(kinmo("reason", "a person waves", "--model", run, "--json").stdout)
    assert tuple(as_json["prompts"][0]["fields"]) == FIELDS
    assert as_json["model"]["kind"] == "reasoner"


def test_many_prompts_and_given_sentences(place, tmp_path: Path):
    _, run = place
    prompts, known, out = tmp_path / "prompts.txt", tmp_path / "known.yaml", tmp_path / "out.yml"
    prompts.write_text("a person waves\n# a comment\na person bows\n")
    known.write_text("left_arm: The left arm waves.\n")
    arguments = ("reason", prompts, "--model", run, "--fields", known, "--out", out)
    assert kinmo(*arguments).exit_code == 0
    written = yaml.safe_load(out.read_text("utf-8"))
    assert [one["caption"] for one in written] == ["a person waves", "a person bows"]
    assert {one["left_arm"] for one in written} == {"The left arm waves."}
    again = json.loads(kinmo("reason", "-", "--model", run, "--json", input="a person waves\n").stdout)
    assert len(again["prompts"]) == 1


def test_an_edit_shows_what_changed(place):
    _, run = place
    arguments = ("reason", "a person waves", "--model", run, "--instruction", "raise the left arm too")
    result = kinmo(*arguments)
    assert result.exit_code == 0, result.output
    assert "changed" in result.stdout
    row = json.loads(kinmo(*arguments, "--json").stdout)["prompts"][0]
    assert row["before"]["caption"] == "a person waves"
    assert row["changed"] == [name for name in FIELDS if row["fields"][name] != row["before"]["fields"][name]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("...",), "is empty"),
        (("a person waves", "--instruction", " "), "the instruction is empty"),
        (("a person waves", "--out", "fields.txt"), "is no YAML file"),
        (("a person waves", "--set", "temperature=warm"), "Give a number"),
        (("a person waves", "--set", "heat=1"), "there is no such setting"),
    ],
)
def test_what_cannot_be_answered_is_refused(place, arguments: tuple[str, ...], said: str):
    result = kinmo("reason", *arguments, "--model", place[1])
    assert result.exit_code != 0
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_a_folder_without_a_model_is_refused(tmp_path: Path):
    result = kinmo("reason", "a person waves", "--model", tmp_path)
    assert result.exit_code == 1
    assert "holds no trained model" in result.stderr


def test_a_base_is_a_setting(tmp_path: Path):
    asked = ("train", "reasoner", "--print-config")
    assert yaml.safe_load(kinmo(*asked).stdout)["model"]["base"].startswith("meta-llama/")
    assert yaml.safe_load(kinmo(*asked, "--config", "tiny").stdout)["model"]["base"] is None
    named = kinmo(*asked, "--base", "some/model: of mine")
    assert yaml.safe_load(named.stdout)["model"]["base"] == "some/model: of mine"


def test_the_evaluation_counts_answers_and_shares(place):
    dataset, run = place
    result = kinmo("evaluate", "reasoner", run, dataset, "--mistakes", 2)
    assert result.exit_code == 0, result.output
    assert "answers parse into 21 sentences" in result.stdout
    written = json.loads(kinmo("evaluate", "reasoner", run, dataset, "--json").stdout)
    assert written["answers"] == written["parsed"] > 0
    # The fixture's own sentences tell the arm and its way; they are the ceiling.
    assert written["annotation"]["side"]["share"] == 1.0
    assert written["reasoner"]["side"]["of"] == written["annotation"]["side"]["of"] > 0
    assert kinmo("evaluate", "reasoner", run, dataset, "--least", 1.01).exit_code == 1
    none = kinmo("evaluate", "reasoner", run, dataset, "--split", "val")
    assert none.exit_code == 1
    assert "no motion of the split val has a caption" in none.stderr


class Fixed:
    """A reasoner that says the same of every caption."""

    name, meta = "fixed", {"dataset_fingerprint": "", "kind": "reasoner"}

    def reason(self, captions, seed=0, *, given=None, sampling=None, progress=None):
        known = given or [{}] * len(captions)
        return [dict.fromkeys(FIELDS, NO_MOVEMENT) | dict(one) for one in known]


def test_prompts_without_sentences_are_completed(monkeypatch: pytest.MonkeyPatch):
    from kinmo_cli import _reasoning
    from kinmo_cli._prompts import Prompt

    monkeypatch.setattr(_reasoning, "open_reasoner", lambda model, silent=False: Fixed())
    prompts = [
        Prompt("a person waves", {"neck": "The head nods."}, 2.0, 7),
        Prompt("", {"neck": "It nods."}),
    ]
    first, second = _reasoning.complete(prompts, "R", 0, True)
    assert first.fields == dict.fromkeys(FIELDS, NO_MOVEMENT) | {"neck": "The head nods."}
    assert (first.caption, first.seconds, first.seed) == ("a person waves", 2.0, 7)
    assert second is prompts[1]
