"""The ablation: what is trained, what is measured, and what is printed; training itself is made up here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_models.data.motions import MotionStore
from kinmo_models.metrics.intervals import Repeated
from kinmo_models.retrieval import table5
from kinmo_models.retrieval.config import load_config
from kinmo_models.retrieval.evaluate import Pairs
from kinmo_models.retrieval.protocols import DIRECTIONS, MOTION_TO_TEXT, TEXT_TO_MOTION
from kinmo_models.retrieval.table5 import VARIANTS, Row, Table5, page, run_table5, verdict
from kinmo_models.training.errors import ConfigError


class Trained(SimpleNamespace):
    """Knows a text's motion when it is asked at GJI with sentences; else it is wrong by one place."""

    def encode_features(self, features):
        return np.eye(12, dtype=np.float32)[: len(features)]

    def encode_texts(self, captions, fields=None, level=None):
        rows = np.eye(12, dtype=np.float32)[: len(captions)]
        return rows if fields and level == "GJI" else np.roll(rows, 1, axis=1)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """Take the place of training, and of a split's pairs by 12 that differ; give what is to be trained."""
    asked: list[tuple[str, object]] = []

    def train_retrieval(dataset, out, config, *, resume, cache_dir, console):
        assert resume
        asked.append((out.name, config))
        return SimpleNamespace(interrupted=config.training.epochs == 13)

    pairs = Pairs(
        [str(number) for number in range(12)],
        [np.zeros((5, 263), np.float32)] * 12,
        [f"caption {number}" for number in range(12)],
        [dict.fromkeys(FIELDS, f"moves {number} times") for number in range(12)],
    )
    monkeypatch.setattr(table5, "read_pairs", lambda store, split: pairs)
    monkeypatch.setattr("kinmo_models.retrieval.train.train_retrieval", train_retrieval)
    monkeypatch.setattr(
        "kinmo_models.retrieval.retriever.Retriever",
        SimpleNamespace(from_pretrained=lambda run, cache_dir: Trained()),
    )
    return asked


@pytest.fixture
def dataset(make_dataset: Callable[..., Path]) -> Path:
    return make_dataset(2)


def test_four_variants_a_seed_are_trained_and_measured(dataset: Path, training, tmp_path: Path):
    sets = ["training.epochs=3", "model.width=16", "model.heads=2"]
    table = run_table5(dataset, tmp_path / "T", "tiny", sets, [0, 5], cache_dir=tmp_path / "cache")
    assert [name for name, _ in training] == [
        f"{variant.folder}-seed{seed}" for seed in (0, 5) for variant in VARIANTS
    ]
    made = dict(training)
    levels = {name: (one.model.levels, one.model.cross_attention) for name, one in made.items()}
    assert levels["global-seed0"] == ("G", True)
    assert levels["joint-seed0"] == ("GJ", True)
    assert levels["interact-seed5"] == ("GJI", True)
    assert levels["no-cross-seed5"] == ("GJI", False)
    assert {one.training.seed for name, one in made.items() if name.endswith("5")} == {5}
    assert {(one.training.epochs, one.model.width) for one in made.values()} == {(3, 16)}
    rows = {(row.variant, row.direction, row.source): row for row in table.rows}
    assert len(rows) == len(table.rows) == 2 * (4 + 3)
    for direction in DIRECTIONS:
        assert rows["+ interact", direction, "annotation"].figures["R@1"] == Repeated(100.0, 0.0, 2)
        assert rows["+ joint", direction, "annotation"].figures["R@1"].mean == 0
        assert rows["+ interact", direction, "none"].figures["R@1"].mean == 0
        assert rows["+ interact", direction, "none"].paper is None
        assert rows["global", direction, "none"].paper is not None


def test_what_is_written_says_what_it_is_of(dataset: Path, training, tmp_path: Path):
    out = tmp_path / "T"
    run_table5(dataset, out, "tiny", [], [1], cache_dir=tmp_path / "cache")
    written = json.loads((out / "table5.json").read_text("utf-8"))
    store = MotionStore.open(dataset, tmp_path / "cache")
    assert written["split_fingerprint"] == store.split_fingerprint("test")
    assert (written["queries"], written["seeds"], written["split"]) == (12, [1], "test")
    assert written["config"]["training"]["epochs"] == load_config("tiny").training.epochs
    first = written["rows"][0]
    assert first["figures"]["R@1"]["interval"] is None
    assert first["paper"] == {"R@1": 3.67, "R@2": 7.17, "R@3": 10.32, "MedR": 40.0}
    text = (out / "table5.md").read_text("utf-8")
    assert written["split_fingerprint"] in text
    assert "| + interact | GJI | annotation | 100.00 (9.05) |" in text


def test_a_stop_ends_the_whole_and_a_wrong_setting_comes_first(dataset: Path, training, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        run_table5(dataset, tmp_path / "T", "tiny", ["training.epochs=13"], [0], cache_dir=tmp_path / "cache")
    assert len(training) == 1
    assert not (tmp_path / "T" / "table5.json").exists()
    with pytest.raises(ConfigError, match="epochs"):
        run_table5(dataset, tmp_path / "T", "tiny", ["training.epoch=1"], [0], cache_dir=tmp_path / "cache")
    assert len(training) == 1


def test_the_papers_figures():
    """Table 5 of the paper, and the ratio of 2.47 that its text makes much of."""
    paper = {variant.name: variant.paper for variant in VARIANTS}
    assert paper["global"][TEXT_TO_MOTION] == (3.67, 7.17, 10.32, 40.0)
    assert paper["+ interact"][MOTION_TO_TEXT] == (9.01, 15.92, 21.42, 16.0)
    assert paper["+ interact"][TEXT_TO_MOTION][0] / paper["global"][TEXT_TO_MOTION][0] == pytest.approx(
        2.47, abs=0.005
    )


def made_up(recall_of_global: float) -> Table5:
    def row(variant, source, recall, median, paper):
        figures = {name: Repeated(recall, 1.0, 3) for name in ("R@1", "R@2", "R@3")}
        return Row(variant, TEXT_TO_MOTION, "G", source, {**figures, "MedR": Repeated(median, 0.5, 3)}, paper)

    named = {
        variant.name: dict(zip(table5.SHOWN, variant.paper[TEXT_TO_MOTION], strict=True))
        for variant in VARIANTS
    }
    rows = [
        row("global", "none", recall_of_global, 20.0, named["global"]),
        row("+ interact", "annotation", 30.0, 5.0, named["+ interact"]),
        row("+ interact", "none", 9.0, 22.0, None),
    ]
    stamp = {"queries": 9, "split": "test", "split_fingerprint": "f", "seeds": [0, 1, 2]}
    return Table5(stamp, rows)


def test_how_far_ahead():
    lines = verdict(made_up(10.0))
    assert lines[0].endswith("finer texts annotation: + interact / global = 3.00 (the paper's: 2.47)")
    assert lines[1].endswith("= 0.25 (the paper's: 0.40)")
    assert lines[2].endswith("finer texts none: + interact / global = 0.90")
    assert "30.00 ± 1.00 (9.05)" in page(made_up(10.0))


def test_a_global_that_finds_nothing_has_no_ratio():
    assert "not defined" in verdict(made_up(0.0))[0]
    assert json.loads(json.dumps(made_up(0.0).as_dict()))["ratios"][0]["ours"] is None
