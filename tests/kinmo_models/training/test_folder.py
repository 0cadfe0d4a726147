"""The RUN folder: gone on with, begun over, and never another's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kinmo_models.training.config import resolve
from kinmo_models.training.errors import TrainingError
from kinmo_models.training.folder import begin_run, check_run, cut_back, lock_run, read_lines, read_run

ABOUT = {"kind": "toy", "dataset": "D", "dataset_fingerprint": "f", "split_fingerprints": {"train": "t"}}


@pytest.fixture
def config(toy):
    return toy.ToyConfig()


@pytest.fixture
def run(tmp_path: Path, config) -> Path:
    """A run with a checkpoint."""
    out = tmp_path / "RUN"
    assert not begin_run(out, config, ABOUT, resume=True)
    (out / "last").mkdir()
    (out / "last" / "progress.json").write_text("{}")
    return out


def test_a_run_of_the_same_config_and_data_goes_on_and_lists_its_starts(run: Path, config) -> None:
    assert begin_run(run, config, ABOUT | {"dataset": "moved"}, resume=True)
    starts = json.loads((run / "run.json").read_text())["starts"]
    assert len(starts) == 2
    assert starts[0]["command"]


def test_another_config_is_refused_with_the_keys_that_differ(run: Path, toy) -> None:
    other = resolve(toy.ToyConfig, None, ["training.learning_rate=0.5", "batch=9"])
    with pytest.raises(TrainingError) as error:
        check_run(run, other, ABOUT, resume=True)
    assert "training.learning_rate was 0.01, now 0.5, batch was 7, now 9" in str(error.value)
    assert "--force" in error.value.remedy


def test_a_setting_that_is_newer_than_the_run_has_its_default(run: Path, config) -> None:
    began = json.loads((run / "run.json").read_text())
    del began["config"]["dropout"]
    del began["config"]["training"]["clip_norm"]
    (run / "run.json").write_text(json.dumps(began))
    assert check_run(run, config, ABOUT, resume=True)
    with pytest.raises(TrainingError, match=r"dropout was 0\.0, now 0\.5"):
        check_run(run, replace(config, dropout=0.5), ABOUT, resume=True)


@pytest.mark.parametrize(
    "changed", [{"dataset_fingerprint": "g"}, {"split_fingerprints": {"train": "u"}}, {"kind": "x"}]
)
def test_other_data_are_refused(run: Path, config, changed) -> None:
    with pytest.raises(TrainingError, match=next(iter(changed))):
        check_run(run, config, ABOUT | changed, resume=True)


def test_what_changes_no_step_may_change(run: Path, config) -> None:
    more = replace(config, training=replace(config.training, epochs=9, keep_every_s=1.0))
    assert check_run(run, more, ABOUT, resume=True)
    cosine = replace(config, training=replace(config.training, schedule="cosine"))
    with pytest.raises(TrainingError, match=r"training\.schedule"):
        check_run(run, cosine, ABOUT, resume=True)


def test_more_epochs_are_refused_where_the_learning_rate_depends_on_them(tmp_path: Path, toy) -> None:
    config = resolve(toy.ToyConfig, None, ["training.schedule=cosine"])
    begin_run(tmp_path, config, ABOUT, resume=True)
    (tmp_path / "last").mkdir()
    (tmp_path / "last" / "progress.json").write_text("{}")
    longer = replace(config, training=replace(config.training, epochs=9))
    with pytest.raises(TrainingError, match=r"training\.epochs was 3, now 9"):
        check_run(tmp_path, longer, ABOUT, resume=True)


def test_without_a_checkpoint_another_config_begins_anew(tmp_path: Path, toy, config) -> None:
    begin_run(tmp_path, config, ABOUT, resume=True)
    assert not begin_run(tmp_path, resolve(toy.ToyConfig, None, ["batch=9"]), ABOUT, resume=True)
    assert read_run(tmp_path)["config"]["batch"] == 9


def test_beginning_over_removes_what_is_ours_and_nothing_else(run: Path, config) -> None:
    for name in ("notes.txt", "losses.jsonl", "report.md"):
        (run / name).write_text("x")
    (run / "best").mkdir()
    assert not begin_run(run, config, ABOUT, resume=False)
    assert {path.name for path in run.iterdir()} == {"run.json", "config.yaml", "notes.txt"}
    assert len(read_run(run)["starts"]) == 1


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("marker", [None, "{}", '{"format": "other"}', "[]", "no json"])
def test_a_folder_of_others_is_never_touched(tmp_path: Path, config, resume: bool, marker) -> None:
    (tmp_path / "losses.jsonl").write_text("theirs")
    if marker is not None:
        (tmp_path / "run.json").write_text(marker)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    with pytest.raises(TrainingError, match="no RUN folder"):
        begin_run(tmp_path, config, ABOUT, resume=resume)
    with pytest.raises(TrainingError, match="no RUN folder"), lock_run(tmp_path):
        pass
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path, config) -> None:
    (tmp_path / "RUN").write_text("x")
    with pytest.raises(TrainingError, match="no RUN folder"):
        begin_run(tmp_path / "RUN", config, ABOUT, resume=True)


def test_what_a_kill_left_before_the_first_file_is_no_folder_of_others(tmp_path: Path, config) -> None:
    (tmp_path / ".run.json.tmp").write_text("{")
    assert not begin_run(tmp_path, config, ABOUT, resume=True)


def test_two_trainings_in_one_folder_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "RUN"
    busy = pytest.raises(TrainingError, match="another training runs there")
    with lock_run(out), busy, lock_run(out):
        pass
    with lock_run(out):
        pass


def test_lines_behind_the_checkpoint_and_half_a_line_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "losses.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    cut_back(path, 3)
    assert [line["step"] for line in read_lines(path)] == [1, 2, 3]
    cut_back(path, 2)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
    cut_back(path, -1)
    assert path.read_text() == ""
    cut_back(tmp_path / "none", 1)
