"""`kinmo annotate edits`: a language model words the instructions of edits drawn from a dataset."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ._common import (
    FAILED,
    INTERRUPTED,
    JsonOption,
    console,
    ctrl_c,
    print_error,
    print_json,
    sentence,
    warn,
)
from ._progress import stages
from ._refining import BudgetOption, CacheOption, ConcurrencyOption, UrlOption
from ._tables import add_row, harmless, new_table
from .annotate_run import STOPPED

if TYPE_CHECKING:
    from collections.abc import Callable

    from kinmo_annotate.instructions import Worded
    from kinmo_annotate.settings import Asking
    from kinmo_models.reasoner.worded import DrawnEdit, WordedEdit

_SHOWN: Final = 8  # reasons of failures, and edits as examples


def edits(
    dataset: Annotated[Path, typer.Argument(help="The folder that annotate run wrote.")],
    out: Annotated[Path, typer.Option("--out", help="The Parquet file of the worded edits.")],
    split: Annotated[str, typer.Option(help="Of whose motions edits are drawn.")] = "train",
    count: Annotated[int, typer.Option(min=1, help="How many edits; each is worded in three ways.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw; the same seed draws the same edits.")] = 0,
    model: Annotated[str, typer.Option(help="Model that words the instructions.")] = "gpt-4o-mini",
    base_url: UrlOption = None,
    prompt: Annotated[
        Path | None, typer.Option(help="A prompt of your own: see kinmo annotate prompt --edits.")
    ] = None,
    concurrency: ConcurrencyOption = 64,
    budget: BudgetOption = None,
    prices: Annotated[Path | None, typer.Option(help="YAML of prices, laid over those of KinMo.")] = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a language model word the instructions of edits drawn from a dataset, for a reasoner to learn from.

    What stands before and after an edit are texts of two motions, and never the model's: it writes what a
    user might type to get from one to the other, as a command, as a wish, and tersely. The key comes from
    OPENAI_API_KEY. Answers are kept: after Ctrl-C or a failure the same command goes on, and none is paid
    for twice.

    Example: [bold]kinmo annotate edits dataset --out edits.parquet --count 2000 --budget 1[/bold]

    Then: [bold]kinmo train reasoner dataset --out reasoner --config tiny --edits edits.parquet[/bold]
    """
    from kinmo_annotate.instructions import OUTPUT_TOKENS
    from kinmo_annotate.settings import Asking
    from kinmo_models.reasoner.worded import check_target, write_edits

    check_target(out)
    asking = Asking(
        model=model, base_url=base_url, prompt=prompt, prices=prices, concurrency=concurrency,
        budget_usd=budget, output_tokens=OUTPUT_TOKENS,
    )  # fmt: skip
    with stages(as_json) as told:
        found = _word(dataset, split, (count, seed), asking, cache, told)
    if found.rows:
        write_edits(out, found.rows)
    _report(found, dataset, out, as_json)
    raise typer.Exit(_exit_code(found))


@dataclass
class _Found:
    """What came of drawing and asking."""

    wanted: int
    drawn: list[DrawnEdit]
    worded: Worded
    rows: list[WordedEdit] = field(default_factory=list)
    left_out: int = 0
    failures: list[tuple[str, str, str]] = field(default_factory=list)  # motion, reason, remedy

    @property
    def edits(self) -> int:
        """How many edits have a wording."""
        return len({id(row.drawn) for row in self.rows})


def _word(
    dataset: Path,
    split: str,
    draw: tuple[int, int],
    asking: Asking,
    cache: Path | None,
    told: Callable[[str, int, int], None],
) -> _Found:
    """Draw the edits, ask for their instructions, and keep those that can be learned from."""
    from kinmo_annotate.instructions import Change, word
    from kinmo_models.data.cache import stage
    from kinmo_models.data.motions import MotionStore
    from kinmo_models.reasoner.config import DataSettings
    from kinmo_models.reasoner.data import Texts
    from kinmo_models.reasoner.worded import draw_edits

    store = MotionStore.open(dataset, cache, stage("features", told))
    words = DataSettings().caption_words
    drawn = draw_edits(Texts(store, split, words), *draw)
    done = 0

    def answered() -> None:
        nonlocal done
        done += 1
        told("instructions", done, len(drawn))

    told("instructions", 0, len(drawn))
    changes = [Change(d.motion_id, d.edit.before.caption, d.edit.caption, d.changed_groups) for d in drawn]
    with ctrl_c("answers") as asked:
        worded = word(
            dataset, changes, asking, ids=store.motion_ids, cache_dir=cache, stop=asked.is_set,
            answered=answered,
        )  # fmt: skip
    return _kept(_Found(draw[0], drawn, worded), asking.model, words)


def _kept(found: _Found, model: str, most_words: int) -> _Found:
    """Sort out what the model wrote: rows in the order of the draw, and what could not be used."""
    from kinmo_models.reasoner.worded import WordedEdit, usable

    worded = found.worded
    found.failures = [(error.where, error.reason, error.remedy) for error in worded.failures]
    for place, said in sorted(worded.found.items()):
        drawn = found.drawn[place]
        kept, left_out = usable(drawn, said.wordings, most_words)
        found.left_out += left_out
        if not kept:
            reason = "no wording can be used: they contradict the edit or copy its sentences"
            remedy = "Choose another --model, or a prompt of your own with --prompt."
            found.failures.append((drawn.motion_id, reason, remedy))
        cost = None if said.cost_usd is None else said.cost_usd / max(1, len(kept))
        found.rows += [WordedEdit(drawn, one, model, worded.prompt_version, cost) for one in kept]
    return found


def _exit_code(found: _Found) -> int:
    halted = found.worded.halted
    if halted is not None:
        return {"budget": STOPPED, "refused": FAILED}.get(halted.kind, INTERRUPTED)
    return 0 if found.rows else FAILED


def _report(found: _Found, dataset: Path, out: Path, as_json: bool) -> None:
    """Tell what was worded, what was not and why, and what comes next."""
    following = f"kinmo train reasoner {dataset} --out reasoner --config tiny --edits {out}"
    if as_json:
        print_json(_as_json(found, out, following))
    else:
        _print(found, out)
    by_reason = Counter((reason, remedy) for _, reason, remedy in found.failures)
    for (reason, remedy), number in by_reason.most_common(_SHOWN):
        one = next(motion for motion, *why in found.failures if why == [reason, remedy])
        print_error(harmless(sentence(f"{number} x {reason} (one is of {one})", remedy)))
    if len(by_reason) > _SHOWN:
        print_error(f"and {len(by_reason) - _SHOWN} other reasons; see them all with --json.")
    halted = found.worded.halted
    if halted is not None and halted.kind != "stopped":
        tell = warn if halted.kind == "budget" else print_error
        tell(harmless(f"{halted.reason}. {found.edits} edits are safe. {halted.remedy}"))
    elif halted is not None:
        warn(f"stopped before the end: {found.edits} edits are safe. Run the same command again to go on.")
    elif found.rows and not as_json:
        console().print(f"next: {following}", markup=False, soft_wrap=True)


def _as_json(found: _Found, out: Path, following: str) -> dict[str, Any]:
    worded = found.worded
    return {
        "out": str(out) if found.rows else None,
        "asked": found.wanted,
        "drawn": len(found.drawn),
        "edits": found.edits,
        "instructions": len(found.rows),
        "left_out": found.left_out,
        "failures": [
            {"motion_id": motion, "reason": reason, "remedy": remedy}
            for motion, reason, remedy in found.failures
        ],
        "from_cache": worded.from_cache,
        "requests": worded.tally.as_json(),
        "spent_usd": worded.spent_usd,
        "prompt_version": worded.prompt_version,
        "halted": worded.halted.kind if worded.halted else None,
        "next": following,
    }


def _print(found: _Found, out: Path) -> None:
    """Print the summary for people, with some of the instructions."""
    worded, tally = found.worded, found.worded.tally
    table = new_table("Worded" if worded.halted is None else "Worded so far", show_header=False)
    kinds = Counter(drawn.edit.kind for drawn in found.drawn)
    drawn = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    few = f" (of {found.wanted}: the split gives no more)" if len(found.drawn) < found.wanted else ""
    add_row(table, "drawn", f"{len(found.drawn)}{few}: {drawn}")
    dropped = f", {found.left_out} left out" if found.left_out else ""
    add_row(table, "worded", f"{found.edits} edits in {len(found.rows)} ways{dropped}")
    add_row(table, "failures", str(len(found.failures)))
    add_row(table, "from cache", str(worded.from_cache))
    wrong = f"{tally.rate_limited} rate limited, {tally.broken} broken, {tally.unusable} unusable"
    add_row(table, "requests", f"{tally.requests}: {tally.answered} answered, {wrong}")
    paid = "price not known" if tally.usd is None else f"${tally.usd:.4f} now"
    add_row(table, "paid", f"{paid}, ${worded.spent_usd:.4f} for the dataset so far")
    add_row(table, "prompt", worded.prompt_version)
    for row in found.rows[:_SHOWN]:
        add_row(table, "such as", f"{row.drawn.edit.before.caption} -> {row.instruction}")
    add_row(table, "file", str(out) if found.rows else "none was written")
    console().print(table)
