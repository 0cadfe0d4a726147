"""Rounds to judge on the page: a plain one, and one whose texts are out to do harm."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kinmo_annotate.review.rounds import Round
from kinmo_annotate.review.store import Store, open_store
from kinmo_annotate.schema import shards
from kinmo_annotate.schema.records import Caption, Check, Row

ARMS = ("left_arm", "left_arm__right_arm")
SCRIPT = (
    "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 2'> "
    "${window.harmed = 3} {{ 7 * 6 }} ` \\u003cb>"
)
EVIL_ID = "../../etc/passwd"

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"browser tests need {CHROMIUM}")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def kept_modules() -> Iterator[None]:
    """Put our modules back: NiceGUI's test helpers throw out those that define a page, and their parents."""
    before = {name: module for name, module in sys.modules.items() if name.startswith("kinmo_")}
    yield
    sys.modules.update(before)


@pytest.fixture
def review_dataset(make_dataset: Callable[..., Path]) -> Path:
    """A dataset of 12 motions, numbers 0 to 11; odd ones lift the left arm, and their checks say so."""
    return make_dataset(4)


@pytest.fixture
def arms_round(review_dataset: Path) -> Round:
    """Three motions, two fields each, for evaluators a and b."""
    return Round("arms-1", review_dataset, ("000005", "000001", "000002"), ARMS, "1", 0, ("a", "b"))


@pytest.fixture
def store(arms_round: Round) -> Iterator[Store]:
    """The store of the dataset, with the round in it."""
    with open_store(arms_round.dataset) as store:
        store.add_round(arms_round)
        yield store


@pytest.fixture
def evil_dataset(tmp_path: Path, make_rows: Callable[..., list[Row]]) -> Path:
    """Two motions: markup in every text and a path for an id; a sentence of a million letters."""
    first, second = make_rows(2)
    texts = dict.fromkeys(first.descriptions, SCRIPT)
    evil = replace(
        first,
        motion=replace(first.motion, motion_id=EVIL_ID, captions=(Caption(SCRIPT),)),
        descriptions=texts,
        checks=(Check("left_arm", SCRIPT, "supported"),),
    )
    endless = replace(second, descriptions=second.descriptions | {"left_arm": "long " * 200_000})
    folder = tmp_path / "evil"
    table = shards.rows_to_table([evil, endless])
    info = shards.write_shard(table, folder / "data" / shards.shard_name("train", 0))
    shards.write_failures([], folder / "failures.parquet")
    shards.Manifest({"seed": 7}, "1", [info], failures=0).save(folder)
    return folder


@pytest.fixture
def evil_store(evil_dataset: Path) -> Iterator[Store]:
    """Its store, with a round of one field."""
    with open_store(evil_dataset) as store:
        store.add_round(Round("evil", evil_dataset, (EVIL_ID, "000001"), ("left_arm",), "1", 0, ("a", "b")))
        yield store


@pytest.fixture
def script() -> str:
    """The text that is out to do harm."""
    return SCRIPT
