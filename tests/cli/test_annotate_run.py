"""`kinmo annotate run` as a user and as a script meet it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
from kinmo_cli import _progress, annotate_run, main
from rich.console import Console
from typer.testing import CliRunner

from kinmo_annotate.pipeline import Summary
from kinmo_annotate.schema.records import Failure
from kinmo_annotate.schema.shards import Manifest, read_rows

COMMAND = ["annotate", "run"]


def run(*arguments: object):
    return CliRunner().invoke(main.app, [*COMMAND, *map(str, arguments), "--workers", "1"])


@pytest.mark.usefixtures("quick_encoder")
class TestRun:
    def test_people_get_a_table_with_the_next_step(self, make_folder, tmp_path):
        result = run(make_folder(3), "--out", tmp_path / "d")
        assert result.exit_code == 0, result.stderr
        assert "3 of 3" in result.stdout
        assert "kinmo dataset info" in result.stdout
        assert len(list(read_rows(tmp_path / "d"))) == 3

    def test_scripts_get_one_json_object_and_nothing_else(self, make_folder, tmp_path):
        result = run(make_folder(3), "--out", tmp_path / "d", "--json")
        told = json.loads(result.stdout)
        assert told["rows"] == told["asked"] == 3
        assert told["failures"] == 0
        assert told["complete"] is True
        assert told["out"] == str(tmp_path / "d")
        assert set(told["seconds"]) >= {"load", "pose captions", "embeddings", "describe"}

    def test_every_option_reaches_the_run(self, make_folder, tmp_path):
        options = {"encoder": "sentence", "keyframe-threshold": 0.6, "keyframe-gap": 7, "seed": 9, "limit": 2}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        assert run(make_folder(3), "--out", tmp_path / "d", *words).exit_code == 0
        settings = Manifest.load(tmp_path / "d").settings
        assert {name: settings[name.replace("-", "_")] for name in options} == options

    def test_other_settings_need_force(self, make_folder, tmp_path):
        source = make_folder(2)
        run(source, "--out", tmp_path / "d")
        refused = run(source, "--out", tmp_path / "d", "--seed", 4)
        assert refused.exit_code == 1
        assert "seed was 0, now 4" in refused.stderr
        assert "--force" in refused.stderr
        assert run(source, "--out", tmp_path / "d", "--seed", 4, "--force").exit_code == 0
        assert Manifest.load(tmp_path / "d").settings["seed"] == 4

    def test_nothing_annotated_is_a_failure(self, make_folder, tmp_path):
        source = make_folder(1)
        (source / "new_joints/000000.npy").write_bytes(b"")
        result = run(source, "--out", tmp_path / "d")
        assert result.exit_code == 1
        assert "no motion could be annotated" in result.stderr
        assert "failures.parquet" in result.stderr

    def test_failures_are_told_by_reason(self, make_folder, tmp_path):
        source = make_folder(4)
        (source / "new_joints/000001.npy").write_bytes(b"")
        result = run(source, "--out", tmp_path / "d")
        assert result.exit_code == 0
        assert "1 x load:" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--encoder", "poem"],
        ["--keyframe-threshold", "1.5"],
        ["--keyframe-gap", "0"],
        ["--limit", "0"],
        ["--workers", "-1"],
        ["--seed", "x"],
    ],
)
def test_wrong_usage(make_folder, tmp_path, arguments):
    result = CliRunner().invoke(
        main.app, [*COMMAND, str(make_folder(1)), "--out", str(tmp_path / "d"), *arguments]
    )
    assert result.exit_code == 2
    assert not (tmp_path / "d").exists()


def test_out_is_required(make_folder):
    assert CliRunner().invoke(main.app, [*COMMAND, str(make_folder(1))]).exit_code == 2


def test_help_has_a_worked_example():
    assert (
        "kinmo annotate run HumanML3D --out dataset" in CliRunner().invoke(main.app, [*COMMAND, "-h"]).stdout
    )


def test_a_stopped_run_says_how_to_go_on(capsys, tmp_path):
    summary = Summary(tmp_path, asked=5, rows=2)
    annotate_run._report(summary, as_json=False)
    assert annotate_run._exit_code(summary) == 130
    assert "Run the same command again" in capsys.readouterr().err


def test_brackets_in_a_reason_are_not_markup(capsys, tmp_path):
    failure = Failure("x", "x.npy", "load", "shape [bold](3, 3)[/bold]", "Fix it.")
    annotate_run._report(Summary(tmp_path, asked=2, rows=1, failures=[failure], complete=True), as_json=False)
    assert "[bold](3, 3)[/bold]" in capsys.readouterr().out


def test_without_a_terminal_progress_comes_in_plain_lines(monkeypatch):
    monkeypatch.setattr(_progress, "_LINE_EVERY_S", 0.0)
    shown = io.StringIO()
    with _progress.watch(Console(file=shown, width=40)) as progress:
        progress.expect("rows", 10)
        progress.expect("embeddings", 7)
        progress.advance("embeddings", 7)
        progress.advance("rows", 5)
    last = shown.getvalue().splitlines()[-1]
    assert last.startswith("5 of 10 motions described (")
    assert last.endswith("7 of 7 texts embedded")
    assert "s left" in last


def test_at_a_terminal_every_stage_has_a_bar():
    shown = io.StringIO()
    with _progress.watch(Console(file=shown, width=120, force_terminal=True)) as progress:
        for stage in ("load", "describe"):
            progress.expect(stage, 4)
            progress.advance(stage, 4)
    assert "load" in shown.getvalue()
    assert "4/4" in shown.getvalue()


@pytest.mark.slow
def test_workers_never_import_torch(make_folder, tmp_path):
    """Two real workers describe with a function that fails where torch is loaded."""
    (tmp_path / "spy.py").write_text(
        "import sys\n"
        "from kinmo_annotate.describe.kinematic import describe_motion\n"
        "def describe(motion, *, seed):\n"
        "    assert 'torch' not in sys.modules and 'sentence_transformers' not in sys.modules\n"
        "    return describe_motion(motion, seed=seed)\n"
    )
    program = "from kinmo_cli.main import run; run()"
    options = ["--describer", "spy:describe", "--workers", "2", "--cache", str(tmp_path / "cache"), "--json"]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            program,
            *COMMAND,
            str(make_folder(6)),
            "--out",
            str(tmp_path / "d"),
            *options,
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 6
