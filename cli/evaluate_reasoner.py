"""`kinmo evaluate reasoner`: whether its answers parse, and how right they are of the motions themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._common import FAILED, JsonOption, console, fail, print_json, warn
from ._progress import stages
from ._reasoning import open_reasoner
from ._tables import add_row, new_table

if TYPE_CHECKING:
    from kinmo_annotate.caption_facts import CaptionReport
    from kinmo_annotate.schema.records import Row
    from kinmo_models.reasoner.reasoner import Reasoner

_NAMES = {
    "part": "the group is said to move",
    "side": "on this side, and not the other",
    "direction": "this way, and not the opposite",
}


def reasoner(
    run: Annotated[str, typer.Argument(help="A trained reasoner.", show_default=False)],
    dataset: Annotated[Path, typer.Argument(help="An annotated dataset.", show_default=False)],
    split: Annotated[str, typer.Option(help="Whose captions are answered.")] = "test",
    all_captions: Annotated[
        bool, typer.Option("--all-captions", help="Every caption of a motion, not the first alone.")
    ] = False,
    mistakes: Annotated[int, typer.Option(help="Show so many of the mistakes.", min=0)] = 0,
    least: Annotated[float, typer.Option(help="Exit with 1 if one of the shares is below.")] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Body part, side and direction of a reasoner's sentences, against the motions its captions are said of.

    Example: kinmo evaluate reasoner RUN D

    Beside them stand the dataset's own sentences, which were written from the motions.
    """
    from kinmo_annotate.caption_facts import score_captions

    pairs = _pairs(dataset, split, all_captions)
    opened = open_reasoner(run, as_json)
    for doubt in _doubts(opened, dataset, split):
        warn(doubt)
    captions = list(dict.fromkeys(caption for _, caption in pairs))
    with stages(as_json) as told:
        written = opened.reason(captions, progress=lambda done, total: told("sentences", done, total))
    answers = dict(zip(captions, written, strict=True))
    motions, said = [row.motion for row, _ in pairs], [caption for _, caption in pairs]
    report = score_captions(motions, said, [answers[caption] for caption in said])
    own = score_captions(motions, said, [row.descriptions for row, _ in pairs])
    parsed = sum(map(_parses, written))
    stamp = {"model": run, "dataset": str(dataset), "split": split, "motions": len({id(m) for m in motions})}
    if as_json:
        counts = {"answers": len(written), "parsed": parsed}
        print_json({**stamp, **counts, "reasoner": report.as_dict(), "annotation": own.as_dict()})
    else:
        _show(report, own, parsed, len(written), stamp)
        _show_mistakes(report, mistakes)
    shares = [one.share for one in report.shares.values() if one.share is not None]
    if parsed < len(written) or min(shares, default=1.0) < least:
        raise typer.Exit(FAILED)


def _pairs(dataset: Path, split: str, all_captions: bool) -> list[tuple[Row, str]]:
    """Read the motions of a split with their captions of the whole."""
    from kinmo_annotate.schema.shards import read_rows

    found = []
    for row in read_rows(dataset):
        if row.motion.split == split:
            whole = [one.text for one in row.motion.captions if one.start_s == one.end_s == 0.0]
            found += [(row, text) for text in (whole if all_captions else whole[:1]) if text.strip()]
    if not found:
        fail(f"{dataset}: no motion of the split {split} has a caption.", "Choose another --split.")
    return found


def _parses(fields: dict[str, str]) -> bool:
    """Tell whether an answer has one sentence of one line for each field."""
    from kinmo_annotate.schema.skeleton import FIELDS

    return tuple(fields) == FIELDS and all(text.strip() and "\n" not in text for text in fields.values())


def _doubts(opened: Reasoner, dataset: Path, split: str) -> list[str]:
    """Say why the figures may mean less than they seem to."""
    from kinmo_models.data.motions import MotionStore
    from kinmo_models.data.pairs import doubts

    return doubts(opened.meta, MotionStore.open(dataset), split)


def _show(
    report: CaptionReport, own: CaptionReport, parsed: int, answers: int, stamp: dict[str, Any]
) -> None:
    columns = (">facts", ">reasoner", ">annotation")
    table = new_table("What captions determine, and sentences say", "question", *columns)
    for name, share in report.shares.items():
        add_row(table, _NAMES[name], str(share.of), _percent(share.share), _percent(own.shares[name].share))
    claims = [f"{one.contradicted} of {one.claims:,}" for one in (report, own)]
    add_row(table, "claims that the motion contradicts", "", *claims)
    console().print(table)
    lines = (
        f"{parsed} of {answers} answers parse into 21 sentences",
        f"{report.determined} of {report.captions} captions determine something",
        "annotation: the dataset's own sentences, written from the motion itself",
        f"{stamp['split']} of {stamp['dataset']}, {stamp['model']}",
    )
    for line in lines:
        console().print(line, markup=False, soft_wrap=True)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _show_mistakes(report: CaptionReport, most: int) -> None:
    for caption, question, fact, sentence in report.wrong[:most]:
        what = f"{question}: {fact.group} {', '.join(sorted(fact.actions))}"
        console().print(f"{caption} | {what} | {sentence}", markup=False, soft_wrap=True)
