"""The program kinmo as a user meets it: help at once, errors in one line."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
import typer
from kinmo_cli import _common, main
from typer.testing import CliRunner

from kinmo_annotate.schema.records import MotionError


def kinmo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from kinmo_cli.main import run; run()", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "100", **environment},
        check=False,
    )


def test_help_lists_every_group_with_its_line():
    shown = kinmo("--help").stdout
    for name, line in main.GROUPS.items():
        assert name in shown
        assert line.partition(":")[0].split(".")[0] in shown


def test_help_answers_in_under_400_ms():
    def seconds() -> float:
        """Processor time of the program alone: what others do on the machine must not fail the test."""
        before = os.times()
        assert kinmo("--help").returncode == 0
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(seconds() for _ in range(5)) < 0.4


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from typer.testing import CliRunner; from kinmo_cli import main;"
        "assert CliRunner().invoke(main.app, ['--help']).exit_code == 0;"
        "print([m for m in ('numpy', 'pyarrow', 'pandas', 'torch', 'kinmo_annotate') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version():
    from importlib.metadata import version

    assert kinmo("--version").stdout.strip() == f"kinmo {version('kinmo')}"


def test_a_typing_mistake_is_answered_with_what_was_meant():
    done = kinmo("anotate")
    assert done.returncode == 2
    assert "annotate" in done.stderr


def program(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `kinmo data fall` raise."""
    app = typer.Typer()

    @app.command()
    def fall() -> None:
        raise error

    @app.command()
    def stand() -> None:
        pass

    monkeypatch.setattr(main, "load_group", lambda name: typer.main.get_command(app))


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MotionError("a.npy", "is empty", "Export it again."), 1, "a.npy: is empty. Export it again."),
        (OSError(errno.ENOSPC, "No space left on device", "x.bin"), 1, "Free some space"),
        (PermissionError(errno.EACCES, "Permission denied", "x.bin"), 1, "x.bin: Permission denied."),
        (KeyboardInterrupt(), 130, "Run the same command again"),
        (ModuleNotFoundError("no av", name="av"), 1, "pip install av"),
        (ValueError("odd\nthing"), 1, "unexpected ValueError: odd thing. Run again with KINMO_DEBUG=1"),
    ],
)
def test_whatever_a_command_raises_ends_as_one_line(monkeypatch, error, code, words):
    program(monkeypatch, error)
    result = CliRunner().invoke(main.app, ["data", "fall"])
    assert result.exit_code == code
    assert words in result.stderr
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""


def test_debugging_shows_where(monkeypatch):
    monkeypatch.setenv("KINMO_DEBUG", "1")
    program(monkeypatch, ValueError("odd"))
    assert isinstance(CliRunner().invoke(main.app, ["data", "fall"]).exception, ValueError)


def test_wrong_usage_stays_typers_own(monkeypatch):
    program(monkeypatch, ValueError("never raised"))
    result = CliRunner().invoke(main.app, ["data", "stand", "--no-such-option"])
    assert result.exit_code == 2
    assert "unexpected" not in result.stderr


def test_fail_prints_reason_and_next_step(capsys):
    with pytest.raises(typer.Exit) as left:
        _common.fail("the disk [1] is full", "Free some space.")
    assert left.value.exit_code == 1
    assert capsys.readouterr().err == "error: the disk [1] is full. Free some space.\n"


def test_json_is_one_line_when_piped(capsys):
    _common.print_json({"motions": 3, "path": os.fspath("ä")})
    assert capsys.readouterr().out == '{"motions": 3, "path": "ä"}\n'
