"""The next round: the motions of the round before, from its rows, with another prompt; also after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinmo_annotate.describe.llm.prompt import load_prompt, prompt_text
from kinmo_annotate.pipeline import annotate
from kinmo_annotate.review.rewrite import RowsSource, next_name, open_next_round, rows_of, settings_like
from kinmo_annotate.review.rounds import sample_round
from kinmo_annotate.review.store import open_store
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import DatasetError, Manifest, read_rows
from kinmo_annotate.settings import Asking, Settings
from kinmo_annotate.sources import open_source


@pytest.fixture
def prompt(tmp_path) -> Path:
    path = tmp_path / "mine.md"
    path.write_text(prompt_text().replace("You describe", "Describe", 1), encoding="utf-8")
    return path


@pytest.fixture
def annotated(endpoint, make_folder, tmp_path, quick_encoder):
    """A dataset of ten motions written by a model with settings of its own; the server and the ways."""
    server = endpoint()
    asking = Asking(base_url=server.url, model="gpt-4o-mini", options=(("top_p", 0.5),), output_tokens=3000)
    settings = Settings(
        describer="openai", workers=1, seed=5, keyframe_gap=7, cache_dir=tmp_path / "cache", limit=10,
        shard_size=3, asking=asking,
    )  # fmt: skip
    dataset = tmp_path / "dataset"
    annotate(open_source(make_folder(12)), dataset, settings)
    ways = Settings(
        describer="openai", workers=1, cache_dir=tmp_path / "cache", asking=Asking(base_url=server.url)
    )
    return dataset, ways, server


@pytest.fixture
def round(annotated):
    dataset = annotated[0]
    with open_store(dataset) as store:
        drawn = sample_round(dataset, name="legs", motions=4, seed=2)
        store.add_round(drawn)
    return drawn


def test_rows_are_a_source_of_the_very_same_motions(annotated, round):
    dataset = annotated[0]
    source = RowsSource(dataset, round.motion_ids, "motions")
    entries = source.entries()
    assert {entry.motion_id for entry in entries} == set(round.motion_ids)
    assert source.failures() == []
    known = {row.motion.motion_id: row.motion for row in read_rows(dataset)}
    for entry in entries:
        motion, before = source.load(entry), known[entry.motion_id]
        np.testing.assert_array_equal(motion.joints, before.joints)
        assert (motion.captions, motion.split, motion.source) == (
            before.captions, before.split, before.source,
        )  # fmt: skip
    assert list(rows_of(dataset, round.motion_ids[:1])) == [round.motion_ids[0]]
    gone = RowsSource(dataset, ("nobody",), "motions").failures()
    assert [one.motion_id for one in gone] == ["nobody"]


def test_settings_come_from_the_rows(annotated):
    dataset, ways, server = annotated
    found = settings_like(dataset, ways)
    assert (found.seed, found.keyframe_gap, found.shard_size, found.limit) == (5, 7, 3, None)
    assert (found.asking.options, found.asking.output_tokens) == ((("top_p", 0.5),), 3000)
    assert found.asking.base_url == server.url


def test_rows_of_rules_have_no_prompt(make_dataset):
    dataset = make_dataset()
    manifest = Manifest.load(dataset)
    manifest.settings["describer"] = "kinematic"
    manifest.save(dataset)
    with pytest.raises(MotionError, match="follows no prompt"):
        settings_like(dataset, Settings(describer="openai"))


def test_the_next_round_has_the_same_motions_and_the_new_words(annotated, round, prompt):
    dataset, ways, server = annotated
    asked = server.stats()["requests"]
    with open_store(dataset) as store:
        opened, summary = open_next_round(store, round, prompt, ways)
        assert store.round("legs-2") == opened
    assert (opened.parent, opened.motion_ids, opened.fields) == ("legs", round.motion_ids, round.fields)
    assert opened.dataset == dataset / "rounds" / "legs-2"
    assert opened.prompt_version == load_prompt(prompt).fingerprint
    assert summary.rows == 4
    assert server.stats()["requests"] == asked + 4
    rows = rows_of(opened.dataset, opened.motion_ids)
    assert {row.provenance.prompt_version for row in rows.values()} == {opened.prompt_version}
    assert {row.provenance.prompt_version for row in read_rows(dataset)} == {round.prompt_version}
    manifest = Manifest.load(opened.dataset)
    assert manifest.settings["source"] == Manifest.load(dataset).settings["source"]


def test_what_was_cut_off_goes_on_and_pays_nothing_twice(annotated, round, prompt):
    dataset, ways, server = annotated
    with open_store(dataset) as store:
        asked = server.stats()["requests"]
        server.control(quota_after=asked + 2)
        with pytest.raises(MotionError, match="quota"):
            open_next_round(store, round, prompt, replace(ways, asking=replace(ways.asking, concurrency=1)))
        assert [one.name for one in store.rounds()] == ["legs"], "a round that is not whole is not opened"
        server.control(quota_after=None)
        open_next_round(store, round, prompt, ways)
        good = [one for one in server.records() if one["outcome"] == "ok"]
        assert len(good) == asked + 4
        before = server.stats()["requests"]
        open_next_round(store, round, prompt, ways, name="legs-2")
        assert server.stats()["requests"] == before


def test_a_round_never_changes_its_prompt(annotated, round, prompt):
    dataset, ways, _ = annotated
    with open_store(dataset) as store:
        open_next_round(store, round, prompt, ways)
        prompt.write_text(prompt_text().replace("You describe", "Tell", 1), encoding="utf-8")
        with pytest.raises(DatasetError, match="prompt_version was"):
            open_next_round(store, round, prompt, ways, name="legs-2")


def test_a_folder_that_nobody_was_shown_is_begun_over(annotated, round, prompt):
    dataset, ways, _ = annotated
    (dataset / "rounds/legs-2").mkdir(parents=True)
    Manifest({"seed": 1}, "another").save(dataset / "rounds/legs-2")
    with open_store(dataset) as store:
        opened, _ = open_next_round(store, round, prompt, ways)
    assert Manifest.load(opened.dataset).prompt_version == load_prompt(prompt).fingerprint


def test_names_of_rounds_count_up(annotated, round):
    with open_store(annotated[0]) as store:
        assert next_name(store, "legs") == "legs-2"
        assert next_name(store, "round-9") == "round-10"
        store.add_round(replace(round, name="legs-2"))
        assert next_name(store, "legs") == "legs-3"
        assert len(next_name(store, "x" * 64)) <= 64
