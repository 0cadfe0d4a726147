"""`kinmo annotate agreement` as a user and as a script meet it."""

from __future__ import annotations

import json

import pytest
from kinmo_cli import main
from typer.testing import CliRunner

from kinmo_annotate.review.rounds import Round
from kinmo_annotate.review.store import CORRECT, UNSURE, WRONG, Judgement, open_store
from kinmo_annotate.schema.shards import Manifest

LETTERS = {"c": CORRECT, "w": WRONG, "u": UNSURE}
LEGS = ("left_leg", "right_leg")
# Tables of 12 sentences: 7 and 4 on the diagonal, 1 beside it; then 11 and 0, and 1.
MIXED = ("ccccccccwwww", "cccccccwwwww")
ONE_SIDED = ("cccccccccccc", "cccccccccccw")


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "dataset"
    Manifest({}, "v1").save(folder)
    return folder


@pytest.fixture
def reviewed(dataset):
    """Store a round of both legs that evaluators have judged so, letter by letter, and finished."""

    def add(*said, name="first", finish=True, note="a note", prompt="v1"):
        evaluators = tuple("abcdef"[: len(said)])
        motions = tuple(f"m{n}" for n in range(len(said[0]) // 2))
        with open_store(dataset) as store:
            store.add_round(Round(name, dataset, motions, LEGS, prompt, 0, evaluators))
            items = store.round(name).items
            for evaluator, letters in zip(evaluators, said, strict=True):
                for item, letter in zip(items, letters, strict=True):
                    kind = "side" if letter == "w" else ""
                    verdict = LETTERS[letter]
                    store.save(
                        Judgement(name, evaluator, *item, verdict, kind, f"{note} of {evaluator}", "It.")
                    )
                if finish:
                    store.finish(name, evaluator)
        return dataset

    return add


def run(*arguments, columns=120):
    words = ["annotate", "agreement", *map(str, arguments)]
    return CliRunner().invoke(main.app, words, env={"COLUMNS": str(columns)})


def test_people_get_figures_errors_confusion_and_disagreements(reviewed):
    result = run(reviewed(*MIXED))
    assert result.exit_code == 0, result.output
    for words in ("left_leg", "right_leg", "all", "0.92 [", "0.82 [", "Cohen's kappa", "Gwet's AC1", "side"):
        assert words in result.stdout, words
    assert "m3 right_leg: It.\n  a: correct: a note of a\n  b: wrong, side: a note of b" in result.stdout
    assert "The gate holds: kappa 0.82 is above 0.8." in result.stdout


def test_scripts_get_one_json_object(reviewed):
    result = run(reviewed(*MIXED), "--json", "--resamples", 200)
    told = json.loads(result.stdout)
    # po = 11/12; rows 8, 4 and columns 7, 5, so pe = (56 + 20) / 144
    assert told["overall"]["kappa"]["value"] == pytest.approx((11 / 12 - 76 / 144) / (1 - 76 / 144))
    assert told["overall"]["confusion"] == {"a / b": [[7, 1], [0, 4]]}
    assert set(told["fields"]) == set(LEGS)
    assert told["gate"] == {
        "on": "kappa", "above": 0.8, "value": told["overall"]["kappa"]["value"], "holds": True,
    }  # fmt: skip
    (one,) = told["disagreements"]
    assert one["judgements"]["b"] == {"verdict": "wrong", "category": "side", "note": "a note of b"}
    assert told["resamples"] == 200


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), 0),
        (("--gate", 0.9), 1),
        (("--gate-on", "ac1", "--gate", 0.83), 0),
        (("--gate-on", "low-end-of-interval"), 1),
        (("--gate-on", "alpha"), 2),
        (("--resamples", 1), 2),
    ],
)
def test_the_gate_is_the_exit_code(reviewed, options, code):
    assert run(reviewed(*MIXED), *options).exit_code == code
    assert run(reviewed(*MIXED, name="again"), "--json", *options).exit_code == code


def test_a_failed_gate_ends_in_a_next_step(reviewed):
    result = run(reviewed(*MIXED), "--gate", 0.9)
    assert "The gate does not hold: kappa is 0.82" in result.stdout
    assert "kinmo annotate refine" in result.stdout


def test_sentences_that_rules_wrote_are_not_sent_to_refine(reviewed):
    result = run(reviewed(*MIXED, prompt="none"), "--gate", 0.9)
    assert "The gate does not hold" in result.stdout
    assert "refine" not in result.stdout


def test_one_sided_labels_bring_a_warning(reviewed):
    result = run(reviewed(*ONE_SIDED))
    assert result.exit_code == 1
    assert "Kappa paradox: 96% of the judgements say correct" in result.stderr
    told = json.loads(run(reviewed(*ONE_SIDED, name="again"), "--json").stdout)
    assert any("Kappa paradox" in line for line in told["remarks"])


def test_an_undefined_kappa_is_no_crash_and_no_pass(reviewed):
    folder = reviewed("c" * 12, "c" * 12)
    result = run(folder)
    assert result.exit_code == 1
    assert "Kappa is undefined" in result.stderr
    assert "kappa is undefined, and has to be above 0.8" in result.stdout
    assert "refine" not in result.stdout
    assert json.loads(run(folder, "--json").stdout)["overall"]["kappa"]["value"] is None
    assert run(folder, "--gate-on", "ac1").exit_code == 0


def test_nothing_is_shown_before_all_have_finished(reviewed):
    folder = reviewed(*MIXED, finish=False, note="secret")
    for options in ((), ("--json",), ("--plot", folder / "agreement.png")):
        result = run(folder, *options)
        assert result.exit_code == 1
        assert result.stdout == ""
        assert "not finished yet" in result.stderr
    assert not (folder / "agreement.png").exists()


def test_anyway_shows_figures_and_no_sentence(reviewed):
    folder = reviewed(*MIXED, finish=False, note="secret")
    result = run(folder, "--anyway")
    assert result.exit_code == 0
    assert "0.82" in result.stdout
    assert "Not all evaluators have finished" in result.stderr
    told = json.loads(run(folder, "--anyway", "--json").stdout)
    assert told["disagreements"] is None
    assert "secret" not in result.output + json.dumps(told)


def test_three_evaluators(reviewed):
    result = run(reviewed(*MIXED, "ccccccccwwww"), "--gate-on", "kappa")
    assert "Fleiss' kappa" in result.stdout
    assert "Krippendorff's alpha" in result.stdout
    assert result.stdout.count("Confusion") == 3


def test_unsure_counts_unless_left_out(reviewed):
    folder = reviewed("ccccccuuwwww", "cccccccuwwww")
    told = json.loads(run(folder, "--json").stdout)
    assert told["labels"] == ["correct", "wrong", "unsure"]
    told = json.loads(run(folder, "--json", "--leave-out-unsure").stdout)
    assert (told["labels"], told["missing"], told["overall"]["kappa"]["value"]) == (
        ["correct", "wrong"],
        2,
        1.0,
    )


def test_the_newest_round_unless_one_is_named(reviewed):
    reviewed(*MIXED)
    folder = reviewed(*ONE_SIDED, name="second")
    assert json.loads(run(folder, "--json").stdout)["round"]["name"] == "second"
    assert json.loads(run(folder, "--json", "--round", "first").stdout)["round"]["name"] == "first"
    result = run(folder, "--round", "third")
    assert result.exit_code == 1
    assert "There are first, second" in result.stderr


def test_a_plot_over_the_finished_rounds(reviewed, tmp_path):
    reviewed(*MIXED)
    reviewed(*ONE_SIDED, name="second")
    folder = reviewed(*MIXED, name="third", finish=False)
    path = tmp_path / "agreement.png"
    result = run(folder, "--round", "second", "--plot", path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "2 of 3 rounds drawn" in result.stderr
    refused = run(folder, "--round", "second", "--plot", tmp_path / "agreement.pdf")
    assert refused.exit_code == 1
    assert "Name the plot so" in refused.stderr


def test_few_disagreements_are_shown_and_the_rest_counted(reviewed):
    folder = reviewed("cw" * 6, "wc" * 6)
    result = run(folder, "--disagreements", 2)
    assert result.stdout.count("It.") == 2
    assert "10 more disagreements" in result.stdout


def test_notes_are_text_and_nothing_else(reviewed):
    result = run(reviewed(*MIXED, note="[red]x[/red] \x1b[31m <script>"))
    assert "[red]x[/red]" in result.stdout
    assert "\x1b[31m" not in result.stdout


def test_no_round_and_no_dataset_end_in_a_next_step(dataset, tmp_path):
    result = run(dataset)
    assert result.exit_code == 1
    assert "kinmo annotate sample" in result.stderr
    assert run(tmp_path / "nothing").exit_code == 1


def test_figures_fit_a_narrow_terminal(reviewed):
    result = run(reviewed(*MIXED), columns=80)
    head = result.stdout.partition("m3 right_leg")[0]
    assert max(map(len, head.splitlines())) <= 80
