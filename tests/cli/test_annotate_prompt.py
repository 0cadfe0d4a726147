"""`kinmo annotate prompt`."""

from __future__ import annotations

import json

import pytest
from kinmo_cli.main import app
from typer.testing import CliRunner

from kinmo_annotate.describe.llm.prompt import load_prompt, prompt_text


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["annotate", "prompt", *map(str, arguments)])


def test_the_prompt_is_printed_as_it_stands(tmp_path):
    assert invoke().stdout == prompt_text()
    mine = tmp_path / "mine.md"
    mine.write_text(prompt_text().replace("You describe", "Describe"), encoding="utf-8")
    assert invoke("--prompt", mine).stdout == mine.read_text(encoding="utf-8")


def test_a_bad_prompt_is_told(tmp_path):
    mine = tmp_path / "mine.md"
    mine.write_text("## System\nwrite", encoding="utf-8")
    answer = invoke("--prompt", mine)
    assert answer.exit_code == 1
    assert "lacks the section" in answer.stderr


@pytest.mark.parametrize("motion", [None, "000003"])
def test_what_is_sent_of_a_motion(make_folder, quick_encoder, motion):
    folder = make_folder(4)
    answer = invoke(folder, *(["--motion", motion] if motion else []))
    assert answer.exit_code == 0, answer.stderr
    assert load_prompt().system in answer.stdout
    assert "a person lifts an arm." in answer.stdout
    body = json.loads(invoke(folder, "--json", *(["--motion", motion] if motion else [])).stdout)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][1]["content"] in answer.stdout


def test_no_such_motion(make_folder, quick_encoder):
    answer = invoke(make_folder(2), "--motion", "nobody")
    assert answer.exit_code == 1
    assert "nobody" in answer.stderr
