"""How well the sentences of a dataset hold: verdicts of the fact check per group and pair, worst motions."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kinmo_annotate.schema.records import CONTRADICTED, NOT_CHECKABLE, SUPPORTED, VERDICTS
from kinmo_annotate.schema.skeleton import FIELDS

WORST: Final = 10
_SUPPORTED, _CONTRADICTED = VERDICTS.index(SUPPORTED), VERDICTS.index(CONTRADICTED)
_NOT_CHECKABLE: Final = VERDICTS.index(NOT_CHECKABLE)
_FIELD_SET, _VERDICT_SET = pa.array(FIELDS), pa.array(VERDICTS)

Numbers = NDArray[np.int64]


class Claims(NamedTuple):
    """The claims of some rows, one after the other; N claims of n rows.

    Attributes:
        row: (N,) the row that each belongs to, 0 to n - 1, rising.
        field: (N,) its place in `FIELDS`, -1 where it is none of them.
        verdict: (N,) its place in `VERDICTS`, -1 where it is none of them.
        text: (N,) what is claimed.
    """

    row: Numbers
    field: Numbers
    verdict: Numbers
    text: pa.Array


def claims_of(checks: pa.ChunkedArray) -> Claims:
    """Take the column `checks` of n rows apart."""
    column = checks.combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(column)
    return Claims(
        np.repeat(np.arange(len(lengths)), lengths),
        _places(pc.struct_field(flat, "field"), _FIELD_SET),
        _places(pc.struct_field(flat, "verdict"), _VERDICT_SET),
        pc.struct_field(flat, "claim"),
    )


def _places(words: pa.Array, known: pa.Array) -> Numbers:
    return pc.fill_null(pc.index_in(words, value_set=known), -1).to_numpy(zero_copy_only=False).astype(int)


@dataclass(frozen=True, slots=True)
class Rate:
    """Claims by verdict.

    Attributes:
        supported, contradicted, not_checkable: claims.
        contradiction_rate: contradicted / (supported + contradicted); None where nothing could be checked.
        checkable_share: (supported + contradicted) / all; None where nothing is claimed.
    """

    supported: int
    contradicted: int
    not_checkable: int
    contradiction_rate: float | None
    checkable_share: float | None

    @property
    def claims(self) -> int:
        """All claims."""
        return self.supported + self.contradicted + self.not_checkable

    @classmethod
    def of(cls, counts: Numbers) -> Rate:
        """Build from (3,) counts in the order of `VERDICTS`."""
        supported, contradicted = int(counts[_SUPPORTED]), int(counts[_CONTRADICTED])
        checkable, claims = supported + contradicted, int(counts.sum())
        return cls(
            supported,
            contradicted,
            int(counts[_NOT_CHECKABLE]),
            round(contradicted / checkable, 4) if checkable else None,
            round(checkable / claims, 4) if claims else None,
        )


@dataclass(frozen=True, slots=True)
class WorstMotion:
    """A motion of which much is contradicted."""

    motion_id: str
    contradicted: int
    claims: int


@dataclass(frozen=True, slots=True)
class FactCheck:
    """What the fact check found in a dataset.

    Attributes:
        total: all claims.
        fields: claims of each group and pair.
        motions_checked: motions that carry checks.
        motions_unchecked: motions that carry none, as those annotated before there was a fact check.
        motions_contradicted: motions with one contradicted claim or more.
        contradicted_share: motions_contradicted / motions_checked; None where none was checked.
        unknown: claims whose field or verdict has no known name; they count nowhere else.
        worst: up to `WORST` motions, most contradicted claims first, then fewest claims.
    """

    total: Rate
    fields: dict[str, Rate]
    motions_checked: int
    motions_unchecked: int
    motions_contradicted: int
    contradicted_share: float | None
    unknown: int
    worst: list[WorstMotion]


class VerdictCount:
    """Counts verdicts, row group by row group."""

    def __init__(self) -> None:
        self._counts = np.zeros((len(FIELDS), len(VERDICTS)), dtype=np.int64)
        self._checked = self._rows = self._contradicted = self._unknown = 0
        self._worst: list[tuple[int, int, str]] = []

    def add(self, table: pa.Table) -> None:
        """Count the rows of a table that has the columns motion_id and checks."""
        claims = claims_of(table["checks"])
        known = (claims.field >= 0) & (claims.verdict >= 0)
        cells = claims.field[known] * len(VERDICTS) + claims.verdict[known]
        self._counts += np.bincount(cells, minlength=self._counts.size).reshape(self._counts.shape)
        self._unknown += int((~known).sum())
        per_row = np.bincount(claims.row, minlength=table.num_rows)
        wrong = np.bincount(claims.row[known & (claims.verdict == _CONTRADICTED)], minlength=table.num_rows)
        self._rows += table.num_rows
        self._checked += int((per_row > 0).sum())
        self._contradicted += int((wrong > 0).sum())
        ids = table["motion_id"]
        found = [(-int(wrong[i]), int(per_row[i]), ids[i].as_py() or "") for i in np.flatnonzero(wrong)]
        self._worst = heapq.nsmallest(WORST, [*self._worst, *found])

    def result(self) -> FactCheck:
        """What was counted so far."""
        return FactCheck(
            total=Rate.of(self._counts.sum(axis=0)),
            fields={name: Rate.of(counts) for name, counts in zip(FIELDS, self._counts, strict=True)},
            motions_checked=self._checked,
            motions_unchecked=self._rows - self._checked,
            motions_contradicted=self._contradicted,
            contradicted_share=round(self._contradicted / self._checked, 4) if self._checked else None,
            unknown=self._unknown,
            worst=[WorstMotion(motion_id, -wrong, claims) for wrong, claims, motion_id in self._worst],
        )
