"""Count what a dataset holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kinmo_annotate.dataset.read import iterate_groups, way_on
from kinmo_annotate.dataset.verdicts import FactCheck, VerdictCount
from kinmo_annotate.schema.records import NO_MOVEMENT, NOT_DETERMINED
from kinmo_annotate.schema.shards import DATA_DIR, Manifest, read_failures
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES, PAIR_NAMES


@dataclass(slots=True)
class Spent:
    """What was paid a language model for the rows; rules cost nothing.

    Attributes:
        input_tokens, output_tokens: as the endpoint reported them.
        cached_tokens: those of the input tokens that the provider had in its prompt cache.
        cost_usd: of the rows whose price is known.
        unpriced: rows whose price is not known.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0


@dataclass(slots=True)
class Info:
    """What a dataset holds.

    Attributes:
        splits: motions per split.
        complete: the run that writes it is at its end.
        goes_on: command that goes on with it where its review is not at its end; None for others.
        frames, hours: all motions together.
        keyframes: keyframes per motion: mean, min, max.
        words: mean words per field over the sentences that tell a movement.
        still: share of motions per field that say 'No notable movement.'
        not_determined: share of motions per field that say 'Not determined.'
        fact_check: verdicts on what the sentences claim.
        failures: motions that could not be annotated, by reason.
        reviews: rows by review status.
        provenance: distinct values of what made the rows.
        spent: tokens and cost.
        size_bytes: size of all shards.
        texts_only: the dataset carries no motion.
        settings: the manifest's settings.
    """

    splits: dict[str, int]
    settings: dict[str, Any]
    texts_only: bool
    failures: dict[str, int]
    size_bytes: int
    fact_check: FactCheck
    complete: bool = True
    goes_on: str | None = None
    frames: int = 0
    hours: float = 0.0
    keyframes: dict[str, float] = field(default_factory=dict)
    words: dict[str, float] = field(default_factory=dict)
    still: dict[str, float] = field(default_factory=dict)
    not_determined: dict[str, float] = field(default_factory=dict)
    reviews: dict[str, int] = field(default_factory=dict)
    provenance: dict[str, list[str]] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)

    @property
    def motions(self) -> int:
        """Motions in all splits."""
        return sum(self.splits.values())

    def to_json(self) -> dict[str, Any]:
        """Give JSON values."""
        return {"motions": self.motions, **asdict(self)}


_MADE_BY: Final = (
    "describer", "model", "captioner", "sbert_model", "keyframe_threshold", "seed", "prompt_version",
)  # fmt: skip
_TOKENS: Final = ("input_tokens", "output_tokens", "cached_tokens")
# What is counted here; joints and features stay on the disk.
_COLUMNS: Final = (
    "motion_id", "fps", "num_frames", "groups", "interactions", "keyframes", "checks", "provenance", "review",
)  # fmt: skip


@dataclass(slots=True)
class _Tally:
    """Sums over the row groups read so far; per field in the order of `FIELDS`."""

    frames: int = 0
    seconds: float = 0.0
    keyframes: list[NDArray[np.int64]] = field(default_factory=list)
    words: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(FIELDS), dtype=np.int64))
    still: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(FIELDS), dtype=np.int64))
    unknown: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(FIELDS), dtype=np.int64))
    verdicts: VerdictCount = field(default_factory=VerdictCount)
    reviews: Counter[str] = field(default_factory=Counter)
    provenance: dict[str, set[str]] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)


def info(path: str | Path) -> Info:
    """Count what a dataset holds, reading its texts once, a row group at a time.

    Raises:
        DatasetError: the dataset cannot be read.
    """
    path = Path(path)
    manifest = Manifest.load(path)
    tally = _Tally()
    for _, table in iterate_groups(path, columns=_COLUMNS):
        _add(tally, table)
    reasons = Counter(_kind_of_reason(failure.reason) for failure in read_failures(path))
    found = Info(
        splits=manifest.splits,
        settings=manifest.settings,
        texts_only=manifest.texts_only,
        failures=dict(reasons.most_common()),
        size_bytes=sum((path / DATA_DIR / shard.name).stat().st_size for shard in manifest.shards),
        fact_check=tally.verdicts.result(),
        complete=manifest.settings.get("complete") is not False,
        goes_on=way_on(path) if manifest.settings.get("complete") is False else None,
    )
    return _finish(found, tally)


def _add(tally: _Tally, table: pa.Table) -> None:
    """Count one row group."""
    frames = table["num_frames"].to_numpy()
    tally.frames += int(frames.sum())
    tally.seconds += float((frames / table["fps"].to_numpy()).sum())
    tally.keyframes.append(_numbers(pc.list_value_length(table["keyframes"])))
    tally.verdicts.add(table)
    _add_sentences(tally, table)
    _add_provenance(tally, table["provenance"].combine_chunks())
    statuses = pc.struct_field(table["review"].combine_chunks(), "status")
    tally.reviews.update(status or "none" for status in statuses.to_pylist())


def _add_sentences(tally: _Tally, table: pa.Table) -> None:
    """Count words, still motions and undetermined ones; all 21 fields in one array, one after the other."""
    columns = ((table["groups"], GROUP_NAMES), (table["interactions"], PAIR_NAMES))
    texts = pa.concat_arrays(
        [pc.struct_field(column.combine_chunks(), name) for column, names in columns for name in names]
    )
    texts = pc.utf8_trim_whitespace(pc.fill_null(texts, ""))
    still, unknown, blank = (_numbers(pc.equal(texts, text)) for text in (NO_MOVEMENT, NOT_DETERMINED, ""))
    words = _numbers(pc.list_value_length(pc.utf8_split_whitespace(texts)))
    words[(still | unknown | blank) > 0] = 0
    for total, counts in ((tally.words, words), (tally.still, still), (tally.unknown, unknown)):
        total += counts.reshape(len(FIELDS), table.num_rows).sum(axis=1)


def _numbers(values: Any) -> NDArray[np.int64]:
    """Arrow numbers or truths as integers; null is 0."""
    return np.array(pc.fill_null(values, 0 if pa.types.is_integer(values.type) else False), dtype=np.int64)


def _add_provenance(tally: _Tally, provenance: pa.Array) -> None:
    """Add up tokens and cost, and note what made the rows."""
    for name in _MADE_BY:
        values = pc.unique(pc.struct_field(provenance, name)).to_pylist()
        known = {str(value) for value in values if value not in (None, "")}
        if known:
            tally.provenance.setdefault(name, set()).update(known)
    for name in _TOKENS:
        tokens = pc.sum(pc.struct_field(provenance, name)).as_py() or 0
        setattr(tally.spent, name, getattr(tally.spent, name) + tokens)
    costs = pc.struct_field(provenance, "cost_usd")
    tally.spent.cost_usd += pc.sum(costs).as_py() or 0.0
    tally.spent.unpriced += costs.null_count


def _kind_of_reason(reason: str) -> str:
    """Make reasons that differ in a number alone count as one."""
    return " ".join("N" if any(c.isdigit() for c in word) else word for word in reason.split())


def _finish(found: Info, tally: _Tally) -> Info:
    """Turn sums into means and shares."""
    found.frames, found.hours = tally.frames, round(tally.seconds / 3600, 4)
    counts = np.concatenate([*tally.keyframes, np.zeros(0, dtype=np.int64)])
    motions = len(counts)
    if motions:
        mean = round(float(counts.mean()), 2)
        found.keyframes = {"mean": mean, "min": int(counts.min()), "max": int(counts.max())}
        moving = motions - tally.still - tally.unknown
        found.words = _by_field(tally.words / np.maximum(moving, 1), 1)
        found.still = _by_field(tally.still / motions, 4)
        found.not_determined = _by_field(tally.unknown / motions, 4)
    found.reviews = dict(tally.reviews.most_common())
    found.provenance = {name: sorted(values) for name, values in tally.provenance.items()}
    found.spent = tally.spent
    found.spent.cost_usd = round(found.spent.cost_usd, 6)
    return found


def _by_field(values: NDArray[np.float64], digits: int) -> dict[str, float]:
    return {name: round(float(value), digits) for name, value in zip(FIELDS, values, strict=True)}
