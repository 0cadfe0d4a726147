"""The lineage of prompts: kept beside the dataset, never losing a version, refusing what is damaged."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kinmo_annotate.describe.llm.prompt import load_prompt, prompt_text
from kinmo_annotate.review.agreement import measure
from kinmo_annotate.review.lineage import (
    ACCEPTED,
    PROPOSED,
    REJECTED,
    Change,
    Lineage,
    Version,
    ensure_root,
    figures_of,
)
from kinmo_annotate.review.rounds import Round
from kinmo_annotate.review.store import Judgement
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import DatasetError

ROOT = load_prompt().fingerprint
FIGURES = {"sentences": 40, "kappa": 0.5}


def child(tmp_path, words: str, **values) -> tuple[str, Version]:
    """Make a version whose System section begins with other words."""
    text = prompt_text().replace("You describe human motion", f"{words} human motion", 1)
    path = tmp_path / "describe.md"
    path.write_text(text, encoding="utf-8")
    made = Version(load_prompt(path).fingerprint, "model tiny", PROPOSED, "2026-01-01", ROOT, "round-1")
    return text, replace(made, **values)


def test_a_version_is_found_again_with_all_that_is_known_of_it(tmp_path):
    lineage = Lineage(tmp_path)
    root = ensure_root(lineage, ROOT, None)
    assert (root.author, root.status, root.parent) == ("kinmo", ACCEPTED, None)
    text, version = child(tmp_path, "Describe", changes=(Change("shorter", "wording"),))
    lineage.add(text, version)
    lineage.decide(version.fingerprint, ACCEPTED)
    lineage.record(ROOT, "round-1", FIGURES)

    again = Lineage(tmp_path)
    assert again.versions == lineage.versions
    assert again.version(ROOT).figures == {"round-1": FIGURES}
    assert again.version(version.fingerprint).decided_at
    assert again.text(version.fingerprint) == text
    assert [(depth, one.fingerprint) for depth, one in again.tree()] == [(0, ROOT), (1, version.fingerprint)]
    assert again.of_round("round-1", ACCEPTED) == [again.version(version.fingerprint)]


def test_the_file_of_a_version_gives_rows_its_fingerprint(tmp_path):
    lineage = Lineage(tmp_path)
    ensure_root(lineage, ROOT, None)
    assert lineage.file(ROOT).name == f"{ROOT}.md"
    assert load_prompt(lineage.file(ROOT)).fingerprint == ROOT


def test_a_prompt_of_ones_own_must_be_the_one_that_wrote(tmp_path):
    text, version = child(tmp_path, "Describe")
    lineage = Lineage(tmp_path / "dataset")
    with pytest.raises(MotionError, match="were written with"):
        ensure_root(lineage, version.fingerprint, None)
    root = ensure_root(lineage, version.fingerprint, tmp_path / "describe.md")
    assert root.author == "person"
    assert lineage.text(root.fingerprint) == text


def test_an_accepted_version_stays(tmp_path):
    lineage = Lineage(tmp_path)
    ensure_root(lineage, ROOT, None)
    with pytest.raises(MotionError, match="there already"):
        lineage.add(prompt_text(), Version(ROOT, "person", PROPOSED, "2026-01-01"))
    text, version = child(tmp_path, "Describe", parent="nobody")
    with pytest.raises(MotionError, match="no prompt version"):
        lineage.add(text, version)


def test_a_rejected_version_may_be_taken_up_again(tmp_path):
    lineage = Lineage(tmp_path)
    ensure_root(lineage, ROOT, None)
    text, version = child(tmp_path, "Describe")
    lineage.add(text, version)
    lineage.decide(version.fingerprint, REJECTED)
    lineage.add(text, replace(version, status=ACCEPTED))
    assert Lineage(tmp_path).version(version.fingerprint).status == ACCEPTED


def test_two_processes_do_not_lose_each_others_versions(tmp_path):
    first, second = Lineage(tmp_path), Lineage(tmp_path)
    ensure_root(first, ROOT, None)
    text, version = child(tmp_path, "Describe")
    second.add(text, version)
    first.record(ROOT, "round-1", FIGURES)
    assert set(Lineage(tmp_path).versions) == {ROOT, version.fingerprint}


def test_a_changed_file_is_noticed(tmp_path):
    lineage = Lineage(tmp_path)
    ensure_root(lineage, ROOT, None)
    path = lineage.file(ROOT)
    path.write_text(prompt_text().replace("You describe", "Describe", 1), encoding="utf-8")
    with pytest.raises(MotionError, match="was changed"):
        lineage.prompt(ROOT)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 99}, "newer kinmo"),
        ({"format": "other"}, "damaged"),
        ({"fingerprint": "../x"}, "damaged"),
        ({"status": "?"}, "damaged"),
        ({"parent": "gone"}, "damaged"),
    ],
)
def test_a_damaged_lineage_is_refused(tmp_path, change, reason):
    lineage = Lineage(tmp_path)
    ensure_root(lineage, ROOT, None)
    path = lineage.folder / "lineage.json"
    content = json.loads(path.read_text())
    (content if set(change) & set(content) else content["versions"][0]).update(change)
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=reason):
        Lineage(tmp_path)


def test_undefined_figures_are_null(tmp_path):
    round = Round("round-1", tmp_path, ("one", "two"), ("left_leg",))
    given = {
        name: {item: Judgement("round-1", name, *item, "correct") for item in round.items} for name in "ab"
    }
    figures = figures_of(measure(round, given, resamples=100))
    assert figures["kappa"] is None
    assert (figures["ac1"], figures["error_rate"], figures["sentences"]) == (1.0, 0.0, 2)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
