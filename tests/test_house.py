"""The rules of docs/house.md, read from the files themselves; each rule is also tried on a bad example."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Folder at the top -> name under which it is installed.
PACKAGES = {
    "kinmo_annotate": "kinmo_annotate",
    "kinmo_models": "kinmo_models",
    "cli": "kinmo_cli",
    "prompts": "kinmo_prompts",
}
TOP = {
    ".ci", ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile",
    "README.md", "benchmarks", "cli", "constraints.txt", "docs", "kinmo_annotate", "kinmo_models", "prompts",
    "pyproject.toml", "tests",
}  # fmt: skip

# kinmo_annotate from the ground up: a room imports rooms of its own floor and of those before it.
ANNOTATE_FLOORS = (
    ("schema",),
    (
        "settings",
        "sources",
        "kinematics",
        "joint_rotations",
        "posecodes",
        "claims",
        "caches",
        "embeddings",
        "render",
    ),
    ("bvh_out", "foot_contacts", "keyframes", "motion_out", "signals"),
    ("differences",),
    ("describe", "dataset", "verify"),
    ("stages", "resume", "scoring", "caption_facts"),
    ("engines",),
    ("asking",),
    ("pipeline", "estimate", "instructions"),
    ("review",),
)
MODELS_FLOORS = (
    ("layers", "data", "motion"),
    ("metrics", "training"),
    ("retrieval", "tokenizer", "evaluator", "reasoner"),
    ("generation",),
    ("editing", "control"),
)
FLOORS = {"kinmo_annotate": ANNOTATE_FLOORS, "kinmo_models": MODELS_FLOORS}

# Slow to import, or not installed everywhere: only inside the function that needs them.
LATE = {"torch", "sentence_transformers", "transformers", "text2pose", "av", "datasets", "matplotlib"}
GROUND_FLOOR = {"numpy", "pyarrow"}
LINES_IN_A_FILE = 500
LINES_IN_A_BODY = 50
LINES_IN_A_COPY = 8


@dataclass(frozen=True)
class Import:
    """One imported module, and whether it is imported as soon as the file is."""

    target: str
    at_top: bool
    line: int


def imports_of(
    module: str, source: str, known: frozenset[str] = frozenset(), *, package: bool = False
) -> list[Import]:
    """List what a file imports, wherever in the file.

    `known` are all our modules, needed to tell in `from a import b` whether b is a module. Imports under
    `if TYPE_CHECKING` count as not at the top. `import_module("literal")` counts too.
    """
    tree = ast.parse(source)
    late = {id(inner) for outer in ast.walk(tree) if _runs_later(outer) for inner in ast.walk(outer)}
    found = []
    for node in ast.walk(tree):
        for target in _targets(node, module, known, package):
            found.append(Import(target, id(node) not in late, node.lineno))
    return found


def _runs_later(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return True
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _targets(node: ast.AST, module: str, known: frozenset[str], package: bool) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = module.split(".")
            parts = parts[: len(parts) - node.level + package]
            base = ".".join([*parts, base] if base else parts)
        for alias in node.names:
            whole = f"{base}.{alias.name}"
            yield whole if whole in known else base
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        yield from (
            a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str)
        )


def problems(module: str, imports: list[Import]) -> list[str]:
    """Hold one file's imports against rules 1 to 5."""
    return [f"{module}:{i.line} imports {i.target}: {why}" for i in imports for why in _reasons(module, i)]


def _reasons(module: str, found: Import) -> Iterator[str]:
    home, target = module.split("."), found.target.split(".")
    ours = target[0] in PACKAGES.values()
    outside = not ours and target[0] not in sys.stdlib_module_names
    if target[0] == "kinmo_cli" and home[0] != "kinmo_cli":
        yield "nobody imports cli (rule 5)"
    if home[0] == "kinmo_prompts" and (ours and target[0] != home[0]):
        yield "prompts import nothing of ours (rule 1)"
    if home[:2] == ["kinmo_annotate", "schema"]:
        if ours and target[:2] != home[:2]:
            yield "schema imports nothing of ours (rule 1)"
        if outside and target[0] not in GROUND_FLOOR:
            yield "schema stands on numpy and pyarrow alone (rule 1)"
    if home[0] == "kinmo_annotate":
        if target[0] == "kinmo_models":
            yield "annotating never imports models (rule 2)"
        if target[0] in LATE and found.at_top:
            yield "import it inside the function that needs it (rule 2)"
    if home[0] == "kinmo_models" and target[0] == "kinmo_annotate" and target[1:2] != ["schema"]:
        yield "models know only the schema of kinmo_annotate (rule 3)"
    if (
        home[0] == "kinmo_cli"
        and found.at_top
        and (outside or ours)
        and target[0] not in {"typer", "kinmo_cli"}
    ):
        yield "commands import inside the command (rule 5)"
    if home[0] == target[0] and home[0] in FLOORS and len(home) > 1 and len(target) > 1:
        yield from _floor_reasons(FLOORS[home[0]], home[1], target[1])


def _floor_reasons(floors: tuple[tuple[str, ...], ...], home: str, target: str) -> Iterator[str]:
    floor = {room: number for number, rooms in enumerate(floors) for room in rooms}
    unknown = [room for room in (home, target) if room not in floor]
    if unknown:
        yield f"{unknown[0]} has no floor yet: give it one in tests/test_house.py and docs/house.md"
    elif floor[target] > floor[home]:
        yield f"{target} stands above {home}: imports run down (rules 2 and 4)"


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Find circles: sets of modules each of which reaches all others."""
    reach = {module: _reachable(module, arrows) for module in arrows}
    groups = {frozenset(m for m in reach[module] if module in reach.get(m, ())) for module in arrows}
    return sorted(sorted(group) for group in groups if group)


def _reachable(start: str, arrows: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    ahead = list(arrows[start])
    while ahead:
        module = ahead.pop()
        if module not in seen:
            seen.add(module)
            ahead.extend(arrows.get(module, ()))
    return seen


# ---------------------------------------------------------------- the files


def tracked() -> list[Path]:
    """Every file of the repository that git knows."""
    answer = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip("not a git checkout: the list of tracked files is not known")
    return [path for name in answer.stdout.split("\0") if name and (path := ROOT / name).exists()]


def modules() -> dict[str, Path]:
    """Dotted name of each of our modules -> its file."""
    found = {}
    for folder, package in PACKAGES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = [package, *path.relative_to(ROOT / folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@pytest.fixture(scope="module")
def all_imports() -> dict[str, list[Import]]:
    known = frozenset(modules())
    return {
        name: imports_of(name, path.read_text("utf-8"), known, package=path.name == "__init__.py")
        for name, path in modules().items()
    }


def code_files() -> list[Path]:
    return [*modules().values(), *sorted((ROOT / "benchmarks").glob("*.py"))]


def test_imports_keep_the_rules(all_imports):
    broken = [problem for name, found in all_imports.items() for problem in problems(name, found)]
    assert not broken, "\n".join(broken)


def test_no_circles(all_imports):
    arrows = {
        name: {i.target for i in found if i.target in all_imports} for name, found in all_imports.items()
    }
    # A package that offers names of its own modules is not a circle with them; what they import is looked at.
    for name in arrows:
        arrows[name] -= {name}
        if modules()[name].name == "__init__.py":
            arrows[name] = {target for target in arrows[name] if not target.startswith(name + ".")}
    assert circles(arrows) == []


def test_every_room_on_a_floor_once():
    for package, floors in FLOORS.items():
        rooms = [room for floor in floors for room in floor]
        assert len(rooms) == len(set(rooms)), f"{package}: a room stands on two floors"


@pytest.mark.parametrize(
    ("module", "source", "rule"),
    [
        ("kinmo_annotate.schema.features", "from kinmo_annotate.sources import bvh", "rule 1"),
        ("kinmo_annotate.schema.features", "def f():\n    import pandas", "rule 1"),
        ("kinmo_prompts.load", "from kinmo_annotate import schema", "rule 1"),
        ("kinmo_annotate.sources.bvh", "def f():\n    from kinmo_models import layers", "rule 2"),
        ("kinmo_annotate.keyframes", "import torch", "rule 2"),
        (
            "kinmo_annotate.keyframes",
            "try:\n    from sentence_transformers import X\nexcept ImportError: pass",
            "rule 2",
        ),
        ("kinmo_annotate.posecodes.words", "from kinmo_annotate.describe import kinematic", "rules 2 and 4"),
        ("kinmo_annotate.posecodes.words", "from ..describe import kinematic", "rules 2 and 4"),
        ("kinmo_annotate.new_room", "from kinmo_annotate.schema import skeleton", "has no floor"),
        ("kinmo_models.retrieval.train", "from kinmo_annotate.render import film", "rule 3"),
        ("kinmo_models.layers.conv", "import kinmo_models.training.loop", "rules 2 and 4"),
        ("kinmo_annotate.pipeline", "import importlib\nimportlib.import_module('kinmo_cli.main')", "rule 5"),
        ("kinmo_cli.data", "import numpy as np", "rule 5"),
        ("kinmo_cli.data", "from kinmo_annotate.sources import open_source", "rule 5"),
    ],
)
def test_a_broken_rule_is_seen(module, source, rule):
    found = problems(module, imports_of(module, source))
    assert any(rule in problem for problem in found), found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("kinmo_annotate.keyframes", "def f():\n    import torch"),
        ("kinmo_annotate.pipeline", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
        ("kinmo_annotate.describe.kinematic", "from kinmo_annotate.differences.feet import steps"),
        ("kinmo_models.retrieval.train", "import torch\nfrom kinmo_annotate.schema.skeleton import GROUPS"),
        (
            "kinmo_cli.data",
            "import typer\nfrom ._common import fail\ndef f():\n    import kinmo_annotate.sources",
        ),
    ],
)
def test_what_keeps_the_rules_passes(module, source):
    assert problems(module, imports_of(module, source)) == []


def test_a_circle_is_seen():
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert circles(arrows) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set(), "d": {"a", "b"}}) == []


def test_commands_load_without_numpy():
    files = [f"kinmo_cli.{p.stem}" for p in (ROOT / "cli").glob("*.py") if p.stem != "__init__"]
    heavy = "{'numpy', 'pyarrow', 'torch', 'PIL'}"
    code = f"import sys, {', '.join(files)}; print(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert answer.stdout.strip() == "[]", answer.stderr or answer.stdout


# ---------------------------------------------------------------- the look of the place


def test_the_top_holds_only_what_the_house_names():
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} <= TOP


def test_no_large_files():
    large = [str(path.relative_to(ROOT)) for path in tracked() if path.stat().st_size > 1 << 20]
    assert large == []


def test_every_package_is_installed():
    folders = {name.split(".")[0]: name for name in PACKAGES.values()}
    found = {
        ".".join([folders[PACKAGES[folder]], *path.parent.relative_to(ROOT / folder).parts])
        for folder in PACKAGES
        for path in (ROOT / folder).rglob("__init__.py")
    }
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    assert set(declared) == found


MARKS = re.compile(r"#\s*(TODO|FIXME|XXX|HACK)\b")
MACHINE = re.compile(r"(?<![\w.])/(work|home|root|Users)/\w|--(extra-)?index-url|/simple\b")


def test_nothing_left_over_and_no_machine_in_the_text():
    """Marks of unfinished work; paths of one machine; hosts of package indexes."""
    found = []
    for path in tracked():
        if path == Path(__file__) or path.suffix in {".png", ".gif"}:
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if MARKS.search(line) or MACHINE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []


def bodies(source: str) -> Iterator[tuple[str, int]]:
    """Name and number of lines of each function, without signature and docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield node.name, (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_files_and_functions_stay_small():
    large = [f"{path.relative_to(ROOT)}" for path in code_files() if _lines(path) > LINES_IN_A_FILE]
    for path in code_files():
        for name, lines in bodies(path.read_text("utf-8")):
            if lines > LINES_IN_A_BODY:
                large.append(f"{path.relative_to(ROOT)}: {name} has {lines} lines")
    assert large == []


def _lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def copies(sources: dict[str, str], run: int = LINES_IN_A_COPY) -> list[tuple[str, str]]:
    """Find where `run` lines of code in a row stand a second time; imports and brackets do not count."""
    seen: dict[tuple[str, ...], str] = {}
    found = {}
    for name, source in sources.items():
        lines = [(n, line.strip()) for n, line in enumerate(source.splitlines(), 1) if _counts(line.strip())]
        for i in range(len(lines) - run + 1):
            window = tuple(text for _, text in lines[i : i + run])
            place = f"{name}:{lines[i][0]}"
            first = seen.setdefault(window, place)
            if first != place:
                found.setdefault((first.split(":")[0], name), (first, place))
    return sorted(found.values())


def _counts(line: str) -> bool:
    return (
        len(line) > 3
        and not line.startswith(("#", "import ", "from ", '"""'))
        and not re.fullmatch(r"\w+,", line)
    )


def test_no_copies():
    sources = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in code_files()}
    assert copies(sources) == []


def test_a_copy_is_seen():
    block = "\n".join(f"value_{i} = compute({i})" for i in range(LINES_IN_A_COPY))
    assert copies({"a": block, "b": "first = 1\n" + block}) == [("a:1", "b:2")]
    assert copies({"a": block, "b": block.replace("3", "4")}) == []


def test_tests_stand_where_their_code_does():
    astray = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        place = path.relative_to(ROOT / "tests").with_name(path.stem.removeprefix("test_"))
        if path == Path(__file__) or place.parts[0] in {"docs", "e2e", "endpoint"}:
            continue
        candidates = [ROOT / "kinmo_annotate" / place, ROOT / place]
        if not any(c.with_suffix(".py").exists() or c.is_dir() for c in candidates):
            astray.append(str(path.relative_to(ROOT)))
    assert astray == []
