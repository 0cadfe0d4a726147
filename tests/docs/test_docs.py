"""Documents against the code: command lines parse, tables are current, links lead on, the notebook runs."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NOTEBOOK = ROOT / "docs/notebooks/open_the_dataset.ipynb"


def load_tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_tables", ROOT / "docs/tables.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables = load_tables()


def command_lines(text: str, program: str) -> Iterator[list[str]]:
    """Find the words of each `program ...` line in fenced shell blocks and in `code` of a text."""
    for block in re.findall(r"```(?:sh|bash)\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|;", line):
                yield from _words(part, program)
    outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    outside = re.sub(r"<!-- table: .*?<!-- end -->", "", outside, flags=re.DOTALL)
    for part in re.findall(r"`([^`]+)`", outside):
        yield from _words(part, program)


def _words(part: str, program: str) -> Iterator[list[str]]:
    words = shlex.split(part, comments=True)
    if words[:1] == [program] and len(words) > 1:
        yield words[1:]


def misuse(words: list[str], commands: dict[tuple[str, ...], Any], groups: set[str]) -> str | None:
    """Say what is wrong with a command line, or None: its command and its options must exist."""
    if all(word in groups | {"--help"} for word in words):
        return None
    found = next((n for n in (3, 2, 1) if tuple(words[:n]) in commands), 0)
    if not found:
        return f"no command `kinmo {' '.join(words[:2])}`"
    command = commands[tuple(words[:found])]
    options = {flag: option for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    rest = iter(words[found:])
    for word in rest:
        flag, _, value = word.partition("=")
        if not flag.startswith("-") or flag in {"-", "--help", "-h"}:
            continue
        if flag not in options or options[flag].param_type_name != "option":
            return f"`kinmo {' '.join(words[:found])}` has no option {flag}"
        if not options[flag].is_flag and not value and next(rest, "-").startswith("-"):
            return f"{flag} needs a value"
    return None


@pytest.fixture(scope="module")
def commands() -> dict[tuple[str, ...], Any]:
    return dict(tables.program())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_line_exists(document, commands):
    groups = {words[0] for words in commands}
    lines = list(command_lines(document.read_text("utf-8"), "kinmo"))
    wrong = [f"kinmo {' '.join(words)}: {why}" for words in lines if (why := misuse(words, commands, groups))]
    assert wrong == []


def test_the_command_lines_are_found():
    """The check above would pass on nothing at all: README names at least these."""
    found = {tuple(words[:2]) for words in command_lines((ROOT / "README.md").read_text("utf-8"), "kinmo")}
    assert {("annotate", "run"), ("dataset", "info"), ("dataset", "show"), ("data", "demo")} <= found


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("annotate walk motions", "no command"),
        ("annotate run motions --out D --colour red", "no option --colour"),
        ("annotate run motions --out", "needs a value"),
        ("dataset show D 000021 --picture --film a.gif", "needs a value"),
    ],
)
def test_a_wrong_command_line_is_seen(line, reason, commands):
    assert reason in (misuse(line.split(), commands, {"annotate", "dataset"}) or "")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_exists(document):
    known = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {words[0] for words in command_lines(document.read_text("utf-8"), "make")}
    assert named <= known


def test_readme_names_its_two_commands():
    named = {words[0] for words in command_lines((ROOT / "README.md").read_text("utf-8"), "make")}
    assert {"demo", "test"} <= named


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_current(document):
    text = document.read_text("utf-8")
    assert tables.renewed(text) == text, "run `make tables`"


def test_a_stale_table_is_seen():
    text = "<!-- table: groups -->\n| old |\n<!-- end -->\n"
    assert "left_wrist (20)" in tables.renewed(text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text("utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


def test_the_house_page_names_every_room():
    page = (ROOT / "docs/house.md").read_text("utf-8")
    rooms = {
        path.name + ("/" if path.is_dir() else "")
        for path in (ROOT / "kinmo_annotate").iterdir()
        if (path.is_dir() and (path / "__init__.py").exists()) or path.suffix == ".py"
    } - {"__init__.py"}
    assert [room for room in sorted(rooms) if not re.search(rf"\b{re.escape(room)}", page)] == []


def test_the_picture_is_small():
    assert 0 < (ROOT / "docs/picture.png").stat().st_size < 300_000


@pytest.mark.slow
def test_the_notebook_runs(make_dataset, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is in the extra kinmo[notebook]")
    import nbformat

    monkeypatch.setenv("KINMO_DATASET", str(make_dataset(3)))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": NOTEBOOK.parent}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 2
    assert any(
        "The left arm rises" in str(output) or "The right arm rises" in str(output) for output in outputs
    )


def test_the_notebook_is_kept_without_outputs():
    import json

    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells)
