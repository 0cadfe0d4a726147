"""`kinmo annotate estimate` as a user and as a script meet it."""

from __future__ import annotations

import json

import pytest
from kinmo_cli import main
from typer.testing import CliRunner

pytestmark = pytest.mark.usefixtures("quick_encoder")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command without a key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def call(*arguments: object, columns: int = 200):
        words = ["annotate", "estimate", *map(str, arguments), "--cache", str(tmp_path / "cache")]
        return CliRunner().invoke(main.app, words, env={"COLUMNS": str(columns)})

    return call


def test_people_get_a_table_with_the_price_and_its_date(run, make_folder):
    result = run(make_folder(4))
    assert result.exit_code == 0, result.output
    words = ("gpt-4o-mini", "4 of 4 looked at", "tokens in", "tokens out", "cost, standard", "$", "batch API")
    for word in (*words, "prompt caching", "prices read on", "time"):
        assert word in result.stdout, word
    assert "2027-01-14" in result.stderr
    assert "gpt-6-luna" in result.stderr


def test_scripts_get_one_json_object(run, make_folder):
    result = run(make_folder(4), "--json", "--sample", 2, "--motions", 100)
    told = json.loads(result.stdout)
    assert (told["motions"], told["listed"], told["sampled"], told["requests"]) == (100, 4, 2, 100)
    assert set(told["costs"]) == {"standard", "batch", "cached", "batch_cached"}
    cost = told["costs"]["standard"]
    assert 0 < cost["low"] <= cost["value"] <= cost["high"]
    assert told["prices_as_of"]


def test_prices_of_ones_own(run, make_folder, tmp_path):
    path, folder = tmp_path / "prices.yaml", make_folder(2)
    path.write_text("as_of: 2026-12-24\nmodels: {mine: {input: 1000.0, output: 1000.0}}")
    told = json.loads(run(folder, "--model", "mine", "--prices", path, "--json").stdout)
    tokens = told["input_tokens"]["value"] + told["output_tokens"]["value"]
    assert told["costs"]["standard"]["value"] == pytest.approx(tokens / 1000)
    assert told["prices_as_of"] == "2026-12-24"
    assert told["cached_tokens"] == 0


def test_an_unknown_model_is_not_free(run, make_folder):
    result = run(make_folder(1), "--model", "SmolLM2-135M")
    assert result.exit_code == 0
    assert "cost, standard" not in result.stdout
    assert "no cost can be told" in result.stdout
    assert "no price is known" in result.stderr


def test_a_prompt_of_ones_own_changes_the_tokens(run, make_folder, tmp_path):
    from kinmo_annotate.describe.llm.prompt import load_prompt

    ours, folder = load_prompt(), make_folder(1)
    sections = {"System": "Be brief.", "Motion": ours.motion, "Retry": ours.retry, "Repair": ours.repair}
    path = tmp_path / "short.md"
    path.write_text("\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items()))
    long, short = (json.loads(run(folder, "--json", *more).stdout) for more in ((), ("--prompt", path)))
    assert short["static_tokens"] < long["static_tokens"] / 2
    assert short["motion_tokens"]["value"] == pytest.approx(long["motion_tokens"]["value"])


def test_a_name_in_brackets_is_printed_as_it_is(run, make_folder):
    assert "[red]model" in run(make_folder(1), "--model", "[red]model").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--prices", "none.yaml"], 1, "--prices"),
        (["--prompt", "none.md"], 1, "none.md"),
        (["--encoder", "none"], 1, "encoder"),
        (["--sample", "-1"], 2, "sample"),
        (["--motions", "0"], 2, "motions"),
    ],
)
def test_wrong_words_name_the_option(run, make_folder, arguments, code, words):
    result = run(make_folder(1), *arguments)
    assert result.exit_code == code
    assert words in result.output


def test_a_folder_without_motions(run, tmp_path):
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "empty")
    assert result.exit_code == 1
    assert str(tmp_path / "empty") in result.stderr


def test_a_probe_says_that_it_is_paid_for(run, make_folder, endpoint, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    result = run(make_folder(3), "--base-url", endpoint().url, "--probe", 2)
    assert result.exit_code == 0, result.output
    assert "paid for" in result.stderr
    assert "corrected by 2 answers" in " ".join(result.stdout.replace("│", " ").split())
    assert "sk-test" not in result.output
