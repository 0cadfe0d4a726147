"""`kinmo annotate refine` and `loop`: diff, decision, next round, lineage, and what people are told to do."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest
from kinmo_cli.main import app
from typer.testing import CliRunner

from kinmo_annotate.describe.llm.prompt import load_prompt, prompt_text
from kinmo_annotate.review.lineage import Lineage
from kinmo_annotate.review.refine import SCHEMA_NAME
from kinmo_annotate.review.rewrite import rows_of
from kinmo_annotate.review.store import Judgement, open_store
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import read_rows

WORDS = ("Describe", "Tell", "Write down")


def better(word: str) -> str:
    return load_prompt().system.replace("You describe", word, 1)


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["annotate", *map(str, arguments)])


def told(*arguments: object) -> dict:
    answer = invoke(*arguments, "--json")
    assert answer.exit_code == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.fixture
def begun(endpoint, make_folder, tmp_path, quick_encoder, monkeypatch):
    """Begin a loop of six motions out of nine; give its dataset and the options that later calls need."""
    monkeypatch.setenv("OPENAI_API_KEY", "")
    rules = [
        {
            "containing": SCHEMA_NAME,
            "times": 1,
            "answers": {"system": better(word), "changes": [{"what": f"now {word}", "why": "wording"}]},
        }
        for word in WORDS
    ]
    server = endpoint(script=rules, fields=None)
    dataset = tmp_path / "dataset"
    ways = ("--base-url", server.url, "--cache", tmp_path / "cache", "--workers", 1)
    stop = told("loop", dataset, "--source", make_folder(9), "--motions", 6, *ways)
    assert (stop["step"], stop["round"]) == ("review", "round-1")
    return dataset, ways, server


def judge(dataset: Path, name: str, *, wrong: tuple[int, ...] = (), disputed: tuple[int, ...] = ()) -> None:
    """Let both evaluators judge a round; sentences are told by their number."""
    with open_store(dataset) as store:
        round = store.round(name)
        rows = rows_of(round.dataset, round.motion_ids)
        for who in round.evaluators:
            for number, item in enumerate(round.items):
                bad = number in wrong or (number in disputed and who == "a")
                said = ("wrong", "timing", "too late") if bad else ("correct", "", "")
                store.save(Judgement(name, who, *item, *said, rows[item[0]].descriptions[item[1]]))
            store.finish(name, who)


def test_a_proposal_is_shown_and_waits(begun):
    dataset, ways, _ = begun
    judge(dataset, "round-1", wrong=(0, 3, 5))
    answer = invoke("refine", dataset, *ways)
    assert answer.exit_code == 0, answer.stderr
    assert "-You describe human motion" in answer.stdout
    assert "+Describe human motion" in answer.stdout
    assert "now Describe Why: wording" in answer.stdout
    assert "--accept, or --edited FILE, or --reject" in answer.stdout
    (_, version) = Lineage(dataset).versions.values()
    assert version.status == "proposed"
    with open_store(dataset) as store:
        assert len(store.rounds()) == 1


def test_accepting_opens_the_next_round_once(begun):
    dataset, ways, server = begun
    judge(dataset, "round-1", wrong=(0, 3, 5))
    done = told("refine", dataset, "--accept", *ways)
    assert done["version"]["status"] == "accepted"
    assert done["next_round"]["name"] == "round-2"
    assert any(line.startswith("+Describe") for line in done["diff"])
    rows = list(read_rows(Path(done["next_round"]["dataset"])))
    assert len(rows) == 6
    assert {row.provenance.prompt_version for row in rows} == {done["version"]["fingerprint"]}
    asked = server.stats()["requests"]
    again = told("refine", dataset, "--accept", "--round", "round-1", *ways)
    assert again["next_round"] == done["next_round"]
    assert server.stats()["requests"] == asked


def test_rejecting_lets_the_next_call_ask_anew(begun):
    dataset, ways, _ = begun
    judge(dataset, "round-1", wrong=(0,))
    assert invoke("refine", dataset, "--reject", *ways).exit_code == 1, "nothing is proposed yet"
    told("refine", dataset, *ways)
    assert told("refine", dataset, "--reject", *ways)["version"]["status"] == "rejected"
    second = told("refine", dataset, *ways)["version"]
    assert (second["status"], second["changes"][0]["what"]) == ("proposed", "now Tell")


def test_an_edited_file_is_accepted_in_its_place(begun, tmp_path):
    dataset, ways, _ = begun
    judge(dataset, "round-1", wrong=(0,))
    proposed = told("refine", dataset, *ways)["version"]
    mine = tmp_path / "mine.md"
    mine.write_text(prompt_text().replace("You describe", "Put into words", 1), encoding="utf-8")
    done = told("refine", dataset, "--edited", mine, *ways)
    assert (done["version"]["author"], done["version"]["status"]) == ("person", "accepted")
    assert done["version"]["edited_from"] == proposed["fingerprint"]
    assert Lineage(dataset).version(proposed["fingerprint"]).status == "rejected"
    mine.write_text("## System\nless", encoding="utf-8")
    assert "lacks the section" in invoke("refine", dataset, "--edited", mine, *ways).stderr


def test_at_a_terminal_one_is_asked_and_may_edit(begun, tmp_path, monkeypatch):
    dataset, ways, _ = begun
    judge(dataset, "round-1", wrong=(0,))
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import pathlib, sys\np = pathlib.Path(sys.argv[1])\n"
        "p.write_text(p.read_text().replace('Describe human', 'Report human', 1))\n"
    )
    monkeypatch.setenv("EDITOR", f"{sys.executable} {editor}")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setattr("kinmo_cli._refining._at_terminal", lambda: True)
    answer = CliRunner().invoke(
        app, ["annotate", "refine", str(dataset), *map(str, ways)], input="maybe\ne\n"
    )
    assert answer.exit_code == 0, answer.stderr
    assert "round-2 is open: 12 sentences" in answer.stdout
    version = list(Lineage(dataset).versions.values())[-1]
    assert version.author == "person"
    assert Lineage(dataset).prompt(version.fingerprint).system.startswith("Report human motion")


def test_the_lineage_is_shown_as_a_tree(begun):
    dataset, ways, _ = begun
    judge(dataset, "round-1", wrong=(0, 3))
    told("refine", dataset, "--accept", *ways)
    answer = invoke("refine", dataset, "--lineage")
    first, figures, second, change = answer.stdout.splitlines()
    assert first.startswith(f"{load_prompt().fingerprint}: accepted, by kinmo")
    assert figures.strip().startswith("round-1: sentences 12, agreement 1.00, kappa 1.00")
    assert second.startswith("  describe-")
    assert "accepted, by model gpt-4o-mini, after round-1" in second
    assert change.strip() == "- now Describe"
    assert len(told("refine", dataset, "--lineage")["versions"]) == 2


def test_unfinished_rounds_are_told(begun):
    dataset, ways, _ = begun
    answer = invoke("refine", dataset, *ways)
    assert answer.exit_code == 1
    assert "waits for evaluators" in answer.stderr
    assert f"kinmo annotate review {dataset}" in answer.stderr


def test_the_loop_goes_from_one_human_step_to_the_next(begun):
    dataset, _, server = begun
    again = invoke("loop", dataset)
    assert again.exit_code == 0
    assert "round-1 waits for a (0 of 12 judged), b (0 of 12 judged)." in " ".join(again.stdout.split())
    assert "1. kinmo annotate review" in again.stdout
    judge(dataset, "round-1", wrong=(0, 3), disputed=(1, 2, 4))
    assert told("loop", dataset)["step"] == "adjudicate"
    settle(dataset, "round-1")
    waiting = told("loop", dataset)
    assert waiting["step"] == "decide"
    shown = invoke("loop", dataset)
    assert "+Describe human motion" in shown.stdout
    following = told("loop", dataset, "--accept")
    assert (following["step"], following["round"]) == ("review", "round-2")
    judge(dataset, "round-2", wrong=(0, 3))
    done = told("loop", dataset)
    assert (done["step"], done["gate_value"]) == ("done", 1.0)
    rows = list(read_rows(dataset))
    assert len(rows) == 9
    assert {row.provenance.prompt_version for row in rows} == {done["prompt_version"]}
    asked = server.stats()["requests"]
    assert told("loop", dataset)["step"] == "done"
    assert server.stats()["requests"] == asked


def settle(dataset: Path, name: str) -> None:
    with open_store(dataset) as store:
        first, second = store.both(name).values()
        for item, one in first.items():
            if one.verdict != second[item].verdict:
                store.save(Judgement(name, "adjudication", *item, "correct"))


def test_options_of_the_beginning_are_refused_later(begun):
    dataset, *_ = begun
    answer = invoke("loop", dataset, "--motions", 3, "--seed", 1)
    assert answer.exit_code == 2
    assert "leave out --motions, --seed" in answer.stderr
    judge(dataset, "round-1")
    stuck = told("loop", dataset)
    assert (stuck["step"], stuck["gate_value"]) == ("undefined", None)
    assert told("loop", dataset, "--gate-on", "ac1")["step"] == "done", "the gate alone may be moved"


def test_two_decisions_at_once_are_refused(begun):
    dataset, ways, _ = begun
    assert invoke("refine", dataset, "--accept", "--reject", *ways).exit_code == 2


def test_the_rest_may_go_through_the_batch_api(begun):
    dataset, _, server = begun
    server.control(batch={"run_s": 0.1, "cancel_s": 0.0})
    judge(dataset, "round-1", wrong=(0, 3))
    assert told("loop", dataset, "--batch", "--gate", 1)["step"] == "decide"
    asked = server.stats()["requests"]
    handed = told("loop", dataset, "--gate", 0.8)
    assert (handed["step"], handed["round"]) == ("collect", "round-1")
    assert "3 requests are with the batch API" in handed["what"], "the sample's six are answered already"
    assert handed["todo"] == [
        f"kinmo annotate batch collect {dataset} --wait", f"kinmo annotate loop {dataset}",
    ]  # fmt: skip
    assert told("loop", dataset)["step"] == "collect", "nothing is asked twice"
    assert server.stats()["requests"] == asked
    answer = invoke("batch", "collect", dataset, "--wait", "--every", 0.05)
    assert answer.exit_code == 0, answer.output
    done = told("loop", dataset)
    assert done["step"] == "done"
    rows = list(read_rows(dataset))
    assert len(rows) == 9
    assert {row.provenance.prompt_version for row in rows} == {done["prompt_version"]}


def test_agreeing_that_much_is_wrong_is_not_enough_where_one_says_so(begun):
    dataset, _, _ = begun
    judge(dataset, "round-1", wrong=(0, 3))
    waiting = told("loop", dataset, "--max-error-rate", 0.1)
    assert waiting["step"] == "decide"
    assert "17% of the judgements say wrong, and 10% may" in waiting["what"]
    assert (waiting["gate_value"], waiting["error_rate"]) == (1.0, pytest.approx(2 / 12))
    assert told("loop", dataset)["step"] == "decide", "it is kept"
    done = invoke("loop", dataset, "--max-error-rate", 0.2)
    assert "17% of the judgements say wrong" in done.stderr
    assert "the gate holds" in done.stdout


def test_who_refines_is_kept_from_the_call_that_named_them(begun):
    dataset, _, _ = begun
    assert told("loop", dataset, "--refiner", "gpt-4o-mini-2024-07-18")["step"] == "review"
    judge(dataset, "round-1", wrong=(0, 3), disputed=(1, 2, 4))
    settle(dataset, "round-1")
    assert told("loop", dataset)["step"] == "decide"
    assert list(Lineage(dataset).versions.values())[-1].author == "model gpt-4o-mini-2024-07-18"


def test_a_budget_that_is_used_up_can_be_raised(begun):
    dataset, _, _ = begun
    judge(dataset, "round-1", wrong=(0, 3))
    answer = invoke("loop", dataset, "--budget", "0.000001")
    assert answer.exit_code == 1
    assert "larger --budget" in answer.stderr
    assert invoke("loop", dataset).exit_code == 1, "it is kept"
    assert told("loop", dataset, "--budget", 5, "--concurrency", 4)["step"] == "done"


def test_a_loop_needs_motions(tmp_path):
    answer = invoke("loop", tmp_path / "new")
    assert answer.exit_code == 1
    assert "--source" in answer.stderr
    assert not (tmp_path / "new").exists()


def test_sentences_by_rule_follow_no_prompt(make_folder, tmp_path, quick_encoder):
    dataset = tmp_path / "dataset"
    assert invoke("run", make_folder(4), "--out", dataset, "--workers", 1).exit_code == 0
    assert invoke("sample", dataset, "--motions", 3, "--json").exit_code == 0
    judge(dataset, "round-1", wrong=(0,))
    for command in ("refine", "loop"):
        answer = invoke(command, dataset)
        assert answer.exit_code == 1
        assert "follows no prompt" in answer.stderr
        assert "--describer openai" in answer.stderr


def test_a_prompt_of_ones_own_is_kept_when_the_loop_begins(endpoint, make_folder, tmp_path, quick_encoder):
    mine = tmp_path / "mine.md"
    mine.write_text(prompt_text().replace("You describe", "Describe", 1), encoding="utf-8")
    dataset, ways = tmp_path / "dataset", ("--cache", tmp_path / "cache", "--workers", 1)
    stop = told(
        "loop", dataset, "--source", make_folder(5), "--motions", 3, "--prompt", mine,
        "--base-url", endpoint().url, *ways,
    )  # fmt: skip
    assert stop["prompt_version"].startswith("mine-")
    mine.unlink()
    judge(dataset, "round-1", wrong=(0, 1))
    done = told("loop", dataset)
    assert (done["step"], done["prompt_version"]) == ("done", stop["prompt_version"])
    assert [one.author for one in Lineage(dataset).versions.values()] == ["person"]


def test_ctrl_c_ends_with_its_own_code(begun, monkeypatch):
    dataset, ways, _ = begun
    judge(dataset, "round-1", wrong=(0,))

    def interrupted(*arguments, stop, **more):
        signal.raise_signal(signal.SIGINT)
        assert stop()
        raise MotionError("round round-2", "was stopped before its end", "Run the same command again.")

    monkeypatch.setattr("kinmo_annotate.review.rewrite.open_next_round", interrupted)
    answer = invoke("refine", dataset, "--accept", *ways)
    assert answer.exit_code == 130
    assert "Run the same command again" in answer.stderr
    assert Lineage(dataset).of_round("round-1", "accepted"), "the decision is kept"


@pytest.mark.parametrize(
    ("editor", "reason"), [("no-such-editor-here", "cannot be run"), ("false", "ended with 1")]
)
def test_an_editor_that_fails_accepts_nothing(begun, monkeypatch, editor, reason):
    dataset, ways, _ = begun
    judge(dataset, "round-1", wrong=(0,))
    monkeypatch.setenv("VISUAL", editor)
    monkeypatch.setattr("kinmo_cli._refining._at_terminal", lambda: True)
    answer = CliRunner().invoke(app, ["annotate", "refine", str(dataset), *map(str, ways)], input="e\n")
    assert answer.exit_code == 1
    assert reason in answer.stderr
    assert [one.status for one in Lineage(dataset).versions.values()] == ["accepted", "proposed"]


def test_what_a_model_wrote_is_shown_and_never_obeyed(begun, tmp_path):
    dataset, ways, server = begun
    bold = {"what": "[bold red]rule[/] \x1b[2J", "why": "</script>"}
    rule = {
        "containing": SCHEMA_NAME,
        "answers": {"system": better("[red]Describe[/red]"), "changes": [bold]},
    }
    server.control(script=[rule])
    judge(dataset, "round-1", wrong=(0,))
    answer = invoke("refine", dataset, *ways)
    assert "+[red]Describe[/red] human motion" in answer.stdout
    assert "[bold red]rule[/]" in answer.stdout
    assert "\x1b" not in answer.stdout
