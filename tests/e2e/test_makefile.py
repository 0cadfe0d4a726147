"""What `make` says where there is no Python to make an environment with."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(MAKEFILE, folder)
    command = ["make", "demo", f"PYTHON={python}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_a_python_that_is_missing_is_said_and_nothing_is_left_behind(tmp_path: Path):
    (tmp_path / "constraints.txt").write_text("", "utf-8")
    (tmp_path / "pyproject.toml").write_text("", "utf-8")
    there = sorted(path.name for path in tmp_path.iterdir())
    made = make(tmp_path, "/nowhere/python3")
    assert made.returncode
    assert "No Python 3.11 or newer was found" in made.stderr
    assert "make demo PYTHON=/path/to/python3" in made.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*there, "Makefile"])


def test_a_python_without_venv_is_told_what_to_install(tmp_path: Path):
    (tmp_path / "constraints.txt").write_text("", "utf-8")
    (tmp_path / "pyproject.toml").write_text("", "utf-8")
    python = tmp_path / "python3"  # it knows its version, and no module
    python.write_text('#!/bin/sh\ncase "$2" in *version_info*) exit 0;; *) exit 1;; esac\n', "utf-8")
    python.chmod(0o755)
    made = make(tmp_path, str(python))
    assert made.returncode
    assert "has no venv module" in made.stderr
    assert "apt install python3-venv" in made.stderr
