"""Losses and validations as lines, and in TensorBoard."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kinmo_models.training.records import Records


def line(step: int) -> dict:
    return {
        "step": step,
        "epoch": 1,
        "learning_rate": 0.1,
        "loss": 1.0,
        "terms": {"_norm": 2.0},
        "seconds": 0.0,
    }


def test_what_is_not_in_the_checkpoint_is_written_again(tmp_path: Path) -> None:
    records = Records(tmp_path, 0, print)
    records.validation({"step": 0, "epoch": 0, "figures": {"a": 1.0}, "seconds": 0.0})
    for step in (1, 2, 3):
        records.step(line(step))
    records.validation({"step": 3, "epoch": 1, "figures": {"a": 2.0}, "seconds": 0.0})
    records.flush(to_disk=True)
    records.close()
    again = Records(tmp_path, 2, print)
    again.step(line(3))
    again.close()

    def steps(name: str) -> list[int]:
        return [json.loads(text)["step"] for text in (tmp_path / name).read_text().splitlines()]

    assert steps("losses.jsonl") == [1, 2, 3]
    assert steps("validation.jsonl") == [0]


def test_a_start_without_a_checkpoint_begins_with_empty_files(tmp_path: Path) -> None:
    (tmp_path / "validation.jsonl").write_text('{"step": 0}\n')
    Records(tmp_path, 0, print).close()
    assert (tmp_path / "validation.jsonl").read_text() == ""


def test_tensorboard_shows_terms_by_name(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    records = Records(tmp_path, 0, print)
    records.step(line(1))
    records.validation({"step": 1, "epoch": 1, "figures": {"recall/G": 3.0}, "seconds": 0.0})
    records.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    wanted = {"train/loss", "train/learning_rate", "train/norm", "validation/recall/G"}
    assert set(events.Tags()["scalars"]) == wanted
    assert events.Scalars("validation/recall/G")[0].value == 3.0


def test_without_tensorboard_a_note_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    notes: list[str] = []
    records = Records(tmp_path, 0, notes.append)
    records.step(line(1))
    records.close()
    assert "pip install 'kinmo[train]'" in notes[0]
    assert (tmp_path / "losses.jsonl").read_text().count("\n") == 1
