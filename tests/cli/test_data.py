"""`kinmo data`: what is printed, exit codes, and no traceback."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from kinmo_cli.main import app
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "sources"))
from bodies import MIXAMO, bvh_text


def run(*words: object):
    return CliRunner().invoke(app, ["data", *map(str, words)], catch_exceptions=False)


@pytest.fixture
def mocap(tmp_path: Path) -> Path:
    folder = tmp_path / "mocap"
    folder.mkdir()
    (folder / "a.bvh").write_text(bvh_text(frames=30))
    return folder


def test_import_prints_what_it_detected_and_goes_on(mocap, tmp_path):
    (mocap / "strange.bvh").write_text(bvh_text(MIXAMO | {"left_knee": "Knie"}))
    result = run("import", mocap, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "1 motion: skeleton Mixamo, unit centimetres (x 0.01), y up, 30 fps to 20 fps" in result.stdout
    assert "1 motion in" in result.stdout
    assert "1 failure" in result.stdout
    assert "no source for left_knee" in result.stderr
    assert "  left_knee: '?',\n" in result.stderr  # the mapping to complete, a line each
    again = run("import", mocap, "--out", tmp_path / "out")
    assert "(1 from before)" in again.stdout


def test_import_json_is_one_object(mocap, tmp_path):
    result = run("import", mocap, "--out", tmp_path / "out", "--json")
    summary = json.loads(result.stdout)
    assert (summary["written"], summary["failures"], summary["complete"]) == (1, [], True)


def test_import_with_a_mapping(mocap, tmp_path):
    (mocap / "a.bvh").write_text(bvh_text(MIXAMO | {"left_knee": "Knie"}))
    assert run("import", mocap, "--out", tmp_path / "out").exit_code == 1
    lines = "".join(f"  {joint}: {name}\n" for joint, name in (MIXAMO | {"left_knee": "Knie"}).items())
    (tmp_path / "map.yaml").write_text(f"joints:\n{lines}")
    result = run("import", mocap, "--out", tmp_path / "out", "--mapping", tmp_path / "map.yaml", "--force")
    assert result.exit_code == 0
    assert "skeleton map" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("import", "gone", "--out", "out"), 1, "does not exist"),
        (("import", "{mocap}", "--out", "{mocap}/out"), 1, "being read"),
        (("import", "{mocap}", "--out", "out", "--kind", "fbx"), 1, "no source kind"),
        (("import", "{mocap}"), 2, "--out"),
        (("import", "{mocap}", "--out", "out", "--skip", "-1"), 2, "--skip"),
        (("demo", "out", "--motions", "0"), 2, "--motions"),
    ],
)
def test_wrong_use_ends_in_one_line_and_an_exit_code(mocap, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    result = run(*(word.format(mocap=mocap) for word in words))
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_ctrl_c_keeps_what_is_finished(mocap, tmp_path, monkeypatch):
    import signal

    from kinmo_annotate.sources.bvh import BvhSource

    (mocap / "b.bvh").write_text(bvh_text(frames=31))
    real = BvhSource.load_with_notes

    def interrupted(self, entry):
        signal.raise_signal(signal.SIGINT)
        return real(self, entry)

    monkeypatch.setattr(BvhSource, "load_with_notes", interrupted)
    result = run("import", mocap, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert (tmp_path / "out/all.txt").read_text() == "a\n"
    monkeypatch.setattr(BvhSource, "load_with_notes", real)
    assert run("import", mocap, "--out", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out/all.txt").read_text() == "a\nb\n"


def test_demo_writes_motions_and_their_truth(tmp_path):
    result = run("demo", tmp_path / "demo", "--motions", 3, "--seed", 5)
    assert result.exit_code == 0, result.output
    assert len((tmp_path / "demo/all.txt").read_text().split()) == 3
    assert len((tmp_path / "demo/truth.jsonl").read_text().splitlines()) == 3
    assert "next: kinmo annotate run" in result.stdout


def test_help_has_a_worked_example():
    for command in ("demo", "import"):
        assert f"kinmo data {command}" in " ".join(run(command, "--help").stdout.split())
