"""The page on search does what it says: demo, prompts and notebook; and no prompt of a page is a caption."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from kinmo_cli import main
from typer.testing import CliRunner

from kinmo_annotate.sources.procedural.registry import KINDS
from kinmo_annotate.sources.procedural.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/search.md").read_text("utf-8")
NOTEBOOK = ROOT / "docs/notebooks/search.ipynb"

PROMPTS = {
    prompt: set(actions.split(", "))
    for prompt, actions in re.findall(r"^\| ([^|]+) \| ([a-z_, ]+) \|$", PAGE, re.MULTILINE)
    if set(actions.split(", ")) <= set(KINDS)
}


def demo_commands() -> list[list[str]]:
    """The commands of the page's demo, without the program's name, on fewer motions and for less time.

    How many of the prompts find the right action takes the whole demo: benchmarks/bench_prompts.py.
    """
    (block,) = (part for part in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "kinmo data demo" in part)
    small = block.replace("\\\n", " ").replace("--motions 960", "--motions 120")
    small = small.replace("--config tiny", "--config tiny --set training.epochs=2")
    assert small.count("120") == small.count("epochs=2") == 1
    return [shlex.split(line)[1:] for line in small.splitlines()]


def wordings() -> set[str]:
    """What the demo's captions say after their subject."""
    said = set()
    for kind in KINDS.values():
        for seed in range(4):  # sides and counts
            said |= set(kind(Stage(np.random.default_rng(seed))))
    return said


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Run the page's demo in a folder of its own: `motions`, the dataset `demo`, the model `run`."""
    folder, before = tmp_path_factory.mktemp("search"), Path.cwd()
    environment = pytest.MonkeyPatch()
    environment.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    os.chdir(folder)
    try:
        for words in demo_commands():
            done = CliRunner().invoke(main.app, words)
            assert done.exit_code == 0, done.stderr
        yield folder
    finally:
        os.chdir(before)
        environment.undo()


def test_there_are_ten_prompts_and_none_is_a_caption():
    assert len(PROMPTS) == 10
    assert not [prompt for prompt in PROMPTS for phrase in wordings() if phrase in prompt]


def test_no_prompt_that_is_filmed_is_a_caption_whoever_does_it():
    table = (ROOT / "docs/generate.md").read_text("utf-8").partition("| prompt | true of the film |")[2]
    filmed = re.findall(r"^\| ([a-z ]+) \|", table.partition("\n\n")[0], re.MULTILINE)
    filmed += [
        line for line in (ROOT / "docs/demo-prompts.txt").read_text("utf-8").splitlines() if line[0] != "#"
    ]
    assert len(filmed) == 28
    assert not {re.sub(r"^(a person|someone) ", "", prompt) for prompt in filmed} & wordings()


def test_the_benchmarks_other_prompts_are_two_an_action_and_none_is_a_caption():
    others = json.loads((ROOT / "benchmarks/search_prompts.json").read_text("utf-8"))
    assert len(others) == 52
    assert set(others) < set(KINDS)
    assert all(len(set(said)) == 2 for said in others.values())
    assert not {prompt for said in others.values() for prompt in said} & wordings()


@pytest.mark.slow
def test_every_prompt_is_answered_with_motions_of_the_demo(demo):
    truth = (demo / "motions/truth.jsonl").read_text("utf-8").splitlines()
    known = {json.loads(line)["motion_id"] for line in truth}
    words = ["search", "-", "--model", "run", "--index", "demo", "--top", "3", "--json"]
    done = CliRunner().invoke(main.app, words, input="\n".join(PROMPTS))
    found = {one["query"]: one["hits"] for one in json.loads(done.stdout)["queries"]}
    assert list(found) == list(PROMPTS)
    for hits in found.values():
        assert len({hit["motion_id"] for hit in hits} & known) == 3
        scores = [hit["similarity"] + 2 * hit["caption_similarity"] for hit in hits]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.slow
def test_the_demo_draws_what_it_finds(demo):
    from PIL import Image

    assert Image.open(demo / "sheet.png").width == 1600


@pytest.mark.slow
def test_the_notebook_runs(demo, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is in the extra kinmo[notebook]")
    import nbformat

    monkeypatch.setenv("KINMO_RUN", str(demo / "run"))
    monkeypatch.setenv("KINMO_DATASET", str(demo / "demo"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": NOTEBOOK.parent}}
    nbclient.NotebookClient(notebook, timeout=240, resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert "motions, levels G, GJ, GJI" in "".join(output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert any("similarity" in output.get("data", {}).get("text/plain", "") for output in outputs)


def test_the_notebook_is_kept_without_outputs():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells)
