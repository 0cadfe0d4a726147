"""`kinmo reason`: the sentences of groups and pairs from a caption, and their edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ._common import WRONG_USAGE, JsonOption, console, fail, print_json
from ._progress import stages
from ._reasoning import open_reasoner

if TYPE_CHECKING:
    from kinmo_models.reasoner.config import SamplingConfig
    from kinmo_models.reasoner.reasoner import Reasoner

    from ._prompts import Prompt

app = typer.Typer(add_completion=False)

_ENDINGS: Final = (".yaml", ".yml")
_SHOWN: Final = 5  # tables


@app.command()
def reason(
    prompt: Annotated[
        str,
        typer.Argument(help="What the person does; a file of prompts (.txt, .jsonl, .yaml); or - for stdin."),
    ],
    model: Annotated[str, typer.Option("--model", help="What `kinmo train reasoner` wrote, or a hub name.")],
    fields: Annotated[
        Path | None, typer.Option("--fields", help="YAML with sentences that are known, by group or pair.")
    ] = None,
    instruction: Annotated[
        str | None, typer.Option("--instruction", help="Edit the texts, such as: raise the left hand too.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="YAML to write; of one prompt what `generate --fields` reads."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance, with --set temperature=0.7.")] = 0,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting of sampling: temperature=0.7, ..."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the 6 + 15 sentences of a caption, or edit them.

    Example: [bold]kinmo reason "a person sneaks forward" --model reasoner --out fields.yaml[/bold]

    An edit: [bold]kinmo reason "a person walks" --model run --instruction "raise the left hand too"[/bold]
    """
    from ._prompts import read_fields, read_prompts

    if out is not None and out.suffix not in _ENDINGS:
        fail(f"{out}: is no YAML file", f"End its name in {_ENDINGS[0]}.", WRONG_USAGE)
    asked = read_prompts(prompt)
    if fields is not None:
        said = read_fields(fields)
        asked = [replace(one, fields={**one.fields, **said}) for one in asked]
    _check(asked, instruction)
    reasoner = open_reasoner(model, as_json)
    sampling = _sampling(reasoner, sets or [])
    if instruction is None:
        written = _reasoned(reasoner, asked, seed, sampling, as_json)
    else:
        written = _edited(reasoner, asked, instruction, seed, sampling, as_json)
    if out is not None:
        _write(out, written)
    _tell(asked, written, reasoner, out, as_json)


def _check(asked: Sequence[Prompt], instruction: str | None) -> None:
    """Refuse what a reasoner cannot read."""
    if not all(any(letter.isalnum() for letter in one.caption) for one in asked):
        fail("a prompt has no caption", "Say what the person does, such as: a person waves.", WRONG_USAGE)
    if instruction is not None and not any(letter.isalnum() for letter in instruction):
        fail("the instruction is empty", "Say what to change: raise the left hand too.", WRONG_USAGE)


def _sampling(reasoner: Reasoner, sets: list[str]) -> SamplingConfig:
    """Lay settings over those that the reasoner was trained with."""
    from kinmo_models.training.config import plain, resolve

    kept = reasoner.config.sampling
    return resolve(type(kept), plain(kept), sets)


def _reasoned(
    reasoner: Reasoner, asked: Sequence[Prompt], seed: int, sampling: SamplingConfig, silent: bool
) -> list[Prompt]:
    """Write the sentences that are not given."""
    with stages(silent) as told:
        found = reasoner.reason(
            [one.caption for one in asked],
            seed,
            given=[one.fields for one in asked],
            sampling=sampling,
            progress=lambda done, total: told("sentences", done, total),
        )
    return [replace(one, fields=fields) for one, fields in zip(asked, found, strict=True)]


def _edited(
    reasoner: Reasoner,
    asked: list[Prompt],
    instruction: str,
    seed: int,
    sampling: SamplingConfig,
    silent: bool,
) -> list[Prompt]:
    """Complete the texts, which are shown beside their edits, and edit them."""
    asked[:] = _reasoned(reasoner, asked, seed, sampling, silent)
    with stages(silent) as told:
        found = reasoner.edit(
            [(one.caption, one.fields, instruction) for one in asked],
            seed,
            sampling=sampling,
            progress=lambda done, total: told("edits", done, total),
        )
    return [
        replace(one, caption=caption, fields=fields)
        for one, (caption, fields) in zip(asked, found, strict=True)
    ]


def _write(out: Path, written: Sequence[Prompt]) -> None:
    """Write prompts that `kinmo generate` reads: a mapping, or of several a list."""
    import yaml

    from kinmo_annotate.schema.shards import atomic_write

    prompts = [{"caption": one.caption, **one.fields} for one in written]
    text = yaml.safe_dump(
        prompts[0] if len(prompts) == 1 else prompts, sort_keys=False, allow_unicode=True, width=110
    )
    atomic_write(out, lambda file: file.write(text.encode()))


def _tell(
    before: Sequence[Prompt], written: Sequence[Prompt], reasoner: Reasoner, out: Path | None, as_json: bool
) -> None:
    if as_json:
        rows = [_row(*pair) for pair in zip(before, written, strict=True)]
        print_json({"prompts": rows, "model": reasoner.meta})
        return
    for pair in list(zip(before, written, strict=True))[:_SHOWN]:
        _show(*pair)
    if len(written) > _SHOWN:
        console().print(f"... and {len(written) - _SHOWN} more", markup=False)
    if out is not None:
        console().print(f"wrote {out}", markup=False, soft_wrap=True)


def _row(before: Prompt, after: Prompt) -> dict[str, Any]:
    """Give one prompt as JSON values; of an edit with what it changed."""
    row: dict[str, Any] = {"caption": after.caption, "fields": after.fields}
    if before.caption != after.caption:
        row["before"] = {"caption": before.caption, "fields": before.fields}
        row["changed"] = _changed(before, after)
    return row


def _changed(before: Prompt, after: Prompt) -> list[str]:
    return [name for name, text in after.fields.items() if before.fields.get(name) not in (None, text)]


def _show(before: Prompt, after: Prompt) -> None:
    from ._tables import add_row, new_table

    edited = before.caption != after.caption
    changed = _changed(before, after) if edited else []
    table = new_table(after.caption, "field", *(("changed",) if edited else ()), "sentence")
    for name, text in after.fields.items():
        mark = ("yes" if name in changed else "",) if edited else ()
        add_row(table, name.replace("__", " + "), *mark, text)
    console().print(table)
