"""Write the tables that stand in README and docs from the code itself, between their markers.

    python docs/tables.py            rewrite every table that is out of date
    python docs/tables.py --check    only tell which ones are; exit code 1 if any

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. The tests run the check.
"""

from __future__ import annotations

import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    "README.md",
    *(f"docs/{name}.md" for name in ("index", "words", "annotate", "llm", "dataset", "house", "log")),
)
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

MEANINGS = {
    "motion_id": "unique in the dataset",
    "source": "where the motion came from; `end_s` 0 is the end of the file",
    "fps": "frames per second",
    "num_frames": "T",
    "joints": "T x 22 x 3, metres, y up, SMPL joint order; null in a texts-only export",
    "features": "HumanML3D vectors, only where the source brought them",
    "captions": "what the source says of the whole motion or of a part of it",
    "groups": "one sentence for each joint group",
    "interactions": "one sentence for each pair of groups",
    "keyframes": "frame number, cosine similarity to the keyframe before, pose caption",
    "checks": "what the fact check found, claim by claim; empty in rows older than it",
    "provenance": "what wrote the row, with tokens and cost; only `created_at` differs between equal runs",
    "review": "what people said of the row",
}


def vocabulary() -> Iterator[str]:
    """The actions, by what they are said of."""
    from kinmo_annotate.schema.vocabulary import ACTIONS

    yield from _row("said of", "action", "worth a sentence from", "meaning")
    yield from _row("---", "---", "---:", "---")
    for (kind, name), action in ACTIONS.items():
        yield from _row(kind, f"`{name}`", f"{action.notable:g} {action.unit}", action.meaning)


def groups() -> Iterator[str]:
    """The six groups and their joints."""
    from kinmo_annotate.schema.skeleton import GROUPS, JOINTS

    yield from _row("group", "joints")
    yield from _row("---", "---")
    for name, members in GROUPS.items():
        yield from _row(f"`{name}`", ", ".join(f"{JOINTS[i]} ({i})" for i in members))


def columns() -> Iterator[str]:
    """The dataset's columns and their Arrow types."""
    from kinmo_annotate.schema.arrow import SCHEMA

    yield from _row("column", "Arrow type", "meaning")
    yield from _row("---", "---", "---")
    for field in SCHEMA:
        yield from _row(f"`{field.name}`", f"`{_short(field.type)}`", MEANINGS[field.name])


def _short(kind: Any) -> str:
    """Write a type in a few words; fields of a struct that follow each other and share a type share its name."""
    import pyarrow as pa

    if pa.types.is_fixed_size_list(kind):
        return f"{_short(kind.value_type)}[{kind.list_size}]"
    if pa.types.is_list(kind):
        return f"list<{_short(kind.value_type)}>"
    if not pa.types.is_struct(kind):
        return str(kind)
    parts = []
    for inner, fields in itertools.groupby(kind, key=lambda field: _short(field.type)):
        names = [field.name for field in fields]
        shown = names if len(names) <= 6 else [names[0], f"... {len(names)} in all ...", names[-1]]
        parts.append(f"{', '.join(shown)}: {inner}")
    return f"struct<{'; '.join(parts)}>"


def commands() -> Iterator[str]:
    """Every command of the program with the first sentence of its help."""
    yield from _row("command", "what it does")
    yield from _row("---", "---")
    for words, command in program():
        arguments = [p.metavar or p.name.upper() for p in command.params if p.param_type_name == "argument"]
        required = [f"{p.opts[0]} {p.opts[0].strip('-').upper()}" for p in command.params if _needed(p)]
        summary = inspect.cleandoc(command.help or "").split("\n\n")[0].replace("\n", " ")
        yield from _row(f"`{' '.join(['kinmo', *words, *arguments, *required])}`", summary)


def _needed(parameter: Any) -> bool:
    """A dataset to write is always shown: `annotate run` can do without one only to tell a price."""
    option = parameter.param_type_name == "option"
    return option and (parameter.required or (parameter.help or "").startswith("The dataset folder"))


def options() -> Iterator[str]:
    """The options of `kinmo annotate run` for every describer."""
    yield from _options(lambda panel: panel is None)


def asking() -> Iterator[str]:
    """Those for the describer that asks a language model."""
    yield from _options(lambda panel: panel is not None)


def _options(wanted: Callable[[str | None], bool]) -> Iterator[str]:
    command = dict(program())["annotate", "run"]
    yield from _row("option", "default", "meaning")
    yield from _row("---", "---", "---")
    for parameter in command.params:
        option = parameter.param_type_name == "option" and parameter.name != "help"
        if option and wanted(parameter.rich_help_panel):
            default = getattr(parameter.default, "value", parameter.default)
            shown = "" if default is None or default is False or parameter.required else f"`{default}`"
            yield from _row(f"`{parameter.opts[0]}`", shown, parameter.help or "")


def models() -> Iterator[str]:
    """The models that have a price, USD per million tokens."""
    from kinmo_annotate.describe.llm.prices import load_prices

    yield from _row("model", "in", "in, cached", "out", "batch", "shut down on", "instead", "read on")
    yield from _row("---", "---:", "---:", "---:", "---:", "---", "---", "---")
    prices = load_prices()
    for name, price in prices.models.items():
        cached = "" if price.cached_input is None else f"{price.cached_input:g}"
        money = (f"{price.input:g}", cached, f"{price.output:g}", f"x {price.batch:g}")
        yield from _row(
            f"`{name}`", *money, str(price.shutdown or ""), price.substitute or "", str(price.as_of)
        )


def program() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of `kinmo`: its words after the program's name, and the command."""
    from kinmo_cli.main import GROUPS, load_group

    for group in GROUPS:
        loaded = load_group(group)
        inner = getattr(loaded, "commands", None)
        if inner is None:
            yield (group,), loaded
        else:
            yield from _inside((group,), inner)


def _inside(words: tuple[str, ...], commands: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in commands.items():
        inner = getattr(command, "commands", None)
        if inner is None:
            yield (*words, name), command
        else:
            yield from _inside((*words, name), inner)


def _row(*cells: str) -> Iterator[str]:
    yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "vocabulary": vocabulary,
    "groups": groups,
    "columns": columns,
    "commands": commands,
    "options": options,
    "asking": asking,
    "models": models,
}


def renewed(text: str) -> str:
    """Give a document with all its tables written anew."""
    return BLOCK.sub(lambda m: m[1] + "\n".join(TABLES[m[2]]()) + "\n" + m[3], text)


def main() -> int:
    """Renew the tables, or check them."""
    stale = []
    for name in FILES:
        path = ROOT / name
        text = path.read_text("utf-8")
        if renewed(text) != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(renewed(text), "utf-8")
    said = "out of date, run `make tables`" if "--check" in sys.argv else "written anew"
    print("\n".join(f"{name}: {said}" for name in stale) or "all tables are current")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    raise SystemExit(main())
