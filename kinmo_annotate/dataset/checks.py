"""The fact check of a dataset, claim by claim: what is contradicted, and by which sentence."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from kinmo_annotate.dataset.read import find, iterate_groups
from kinmo_annotate.dataset.verdicts import claims_of
from kinmo_annotate.schema.arrow import Record, records_to_table, table_to_rows
from kinmo_annotate.schema.records import CONTRADICTED, VERDICTS
from kinmo_annotate.schema.shards import DatasetError, Manifest
from kinmo_annotate.schema.skeleton import FIELDS

Tick = Callable[[int], None]

_COLUMNS: Final = ("motion_id", "captions", "groups", "interactions", "checks")
_CAPTION_LETTERS: Final = 120


@dataclass(frozen=True, slots=True)
class CheckedClaim:
    """One claim with the sentence that makes it.

    Attributes:
        motion_id, split: of which motion.
        field: whose sentence makes the claim.
        sentence: the sentence.
        claim: what it says, in short.
        verdict: what the fact check says of that.
        evidence: what the motion does, with numbers; a dataset keeps none, so "" unless checked again.
        caption: the start of what the source says of the motion.
    """

    motion_id: str
    split: str
    field: str
    sentence: str
    claim: str
    verdict: str
    evidence: str
    caption: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which claims to list.

    Attributes:
        verdicts: of these verdicts.
        fields: made by the sentences of these groups and pairs.
        motion_id: of this motion alone.
        again: check the sentences now, in place of reading what the run found; this brings the evidence.
    """

    verdicts: Sequence[str] = (CONTRADICTED,)
    fields: Sequence[str] = FIELDS
    motion_id: str | None = None
    again: bool = False


@dataclass(slots=True)
class Seen:
    """How much was looked at so far: motions, those without checks, and the claims that are wanted."""

    motions: int = 0
    unchecked: int = 0
    claims: int = 0


class _OfMotion(NamedTuple):
    """The wanted claims of one motion; how many of its claims in the wanted fields are contradicted."""

    contradicted: int
    claims: int
    listed: list[CheckedClaim]


def list_checks(
    path: str | Path, wanted: Wanted = Wanted(), seen: Seen | None = None, progress: Tick | None = None
) -> Iterator[CheckedClaim]:
    """List the claims of a dataset, a row group at a time.

    Args:
        path: the dataset.
        wanted: which claims.
        seen: is told how much was looked at.
        progress: called with the number of motions done.

    Raises:
        DatasetError: the dataset cannot be read, has no such motion, or no joints to check against.
        MotionError: the joints of a motion cannot be used.
    """
    for motion in _by_motion(Path(path), wanted, seen, progress):
        yield from motion.listed


def worst_first(
    path: str | Path,
    limit: int | None = None,
    wanted: Wanted = Wanted(),
    seen: Seen | None = None,
    progress: Tick | None = None,
) -> list[CheckedClaim]:
    """List claims as `list_checks` does, motions with most contradicted claims first, then fewest claims.

    Holds `limit` claims in memory, or all.
    """
    ranked = (
        ((-motion.contradicted, motion.claims, number), claim)
        for number, motion in enumerate(_by_motion(Path(path), wanted, seen, progress))
        for claim in motion.listed
    )
    # both keep the order of claims of equal rank, which are those of one motion
    if limit is None:
        return [claim for _, claim in sorted(ranked, key=lambda entry: entry[0])]
    return [claim for _, claim in heapq.nsmallest(limit, ranked, key=lambda entry: entry[0])]


def _by_motion(path: Path, wanted: Wanted, seen: Seen | None, progress: Tick | None) -> Iterator[_OfMotion]:
    """Go through the motions that have wanted claims."""
    seen = seen or Seen()
    if wanted.again and Manifest.load(path).texts_only:
        remedy = "Put your own copy of the motions back with `kinmo dataset join`, or leave --again away."
        raise DatasetError(path, "carries texts only, so there is no motion to check against", remedy)
    for split, table in _tables(path, wanted):
        evidence = None
        if wanted.again:
            table, evidence = _checked_again(table, split)
        yield from _of_table(table, split, evidence, wanted, seen)
        if progress:
            progress(table.num_rows)


def _tables(path: Path, wanted: Wanted) -> Iterator[tuple[str, pa.Table]]:
    """Read all row groups with their splits, or the one motion."""
    if wanted.motion_id is None:
        yield from iterate_groups(path, None if wanted.again else _COLUMNS)
        return
    found = find(path, wanted.motion_id)
    yield found.split, records_to_table([found.record], [found.joints], [found.features])


def _checked_again(table: pa.Table, split: str) -> tuple[pa.Table, list[str]]:
    """Check the sentences of some rows: the rows with the new checks, and the evidence of each check."""
    from kinmo_annotate.verify import check_motions

    rows = list(table_to_rows(table, split))
    found = check_motions([row.motion for row in rows], [row.descriptions for row in rows])
    checks = [[asdict(finding.check()) for finding in findings] for findings in found]
    place = table.schema.get_field_index("checks")
    column = pa.array(checks, type=table.schema.field(place).type)
    evidence = [finding.evidence for findings in found for finding in findings]
    return table.set_column(place, "checks", column), evidence


def _of_table(
    table: pa.Table, split: str, evidence: Sequence[str] | None, wanted: Wanted, seen: Seen
) -> Iterator[_OfMotion]:
    """The wanted claims of some rows, motion by motion; `evidence` is of each claim."""
    claims = claims_of(table["checks"])
    here = np.isin(claims.field, [FIELDS.index(name) for name in wanted.fields])
    asked = here & np.isin(claims.verdict, [VERDICTS.index(verdict) for verdict in wanted.verdicts])
    wrong = here & (claims.verdict == VERDICTS.index(CONTRADICTED))
    seen.motions += table.num_rows
    seen.unchecked += table.num_rows - len(np.unique(claims.row))
    seen.claims += int(asked.sum())
    totals = np.bincount(claims.row[here], minlength=table.num_rows)
    contradicted = np.bincount(claims.row[wrong], minlength=table.num_rows)
    indices = np.flatnonzero(asked)
    if not len(indices):
        return
    rows, starts = np.unique(claims.row[indices], return_index=True)
    records = table.select(_COLUMNS[:-1]).take(pa.array(rows)).to_pylist()
    checks = pa.table({"field": claims.field, "verdict": claims.verdict, "claim": claims.text})
    for row, record, some in zip(rows, records, np.split(indices, starts[1:]), strict=True):
        texts = [evidence[i] for i in some] if evidence else [""] * len(some)
        listed = _listed(record, split, checks.take(pa.array(some)).to_pylist(), texts)
        yield _OfMotion(int(contradicted[row]), int(totals[row]), listed)


def _listed(
    record: Record, split: str, checks: Sequence[Record], evidence: Sequence[str]
) -> list[CheckedClaim]:
    """Put claims of one motion together with its sentences."""
    sentences = {**(record["groups"] or {}), **(record["interactions"] or {})}
    caption = caption_start(record["captions"] or ())
    return [
        CheckedClaim(
            motion_id=record["motion_id"] or "",
            split=split,
            field=FIELDS[check["field"]],
            sentence=sentences.get(FIELDS[check["field"]]) or "",
            claim=check["claim"] or "",
            verdict=VERDICTS[check["verdict"]],
            evidence=seen,
            caption=caption,
        )
        for check, seen in zip(checks, evidence, strict=True)
    ]


def caption_start(captions: Sequence[Record]) -> str:
    """The start of a motion's captions, in one line."""
    text = " / ".join(" ".join((one["text"] or "").split()) for one in captions)
    return text if len(text) <= _CAPTION_LETTERS else text[: _CAPTION_LETTERS - 1].rstrip() + "…"
