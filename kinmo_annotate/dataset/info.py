"""Count what a dataset holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from kinmo_annotate.dataset.read import iterate_groups
from kinmo_annotate.schema.arrow import TEXT_COLUMNS
from kinmo_annotate.schema.records import NO_MOVEMENT
from kinmo_annotate.schema.shards import DATA_DIR, Manifest, read_failures
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES


@dataclass(slots=True)
class Info:
    """What a dataset holds.

    Attributes:
        splits: motions per split.
        frames, hours: all motions together.
        keyframes: keyframes per motion: mean, min, max.
        words: mean words per field over the sentences that tell a movement.
        still: share of motions per field that say 'No notable movement.'
        verdicts: fact-check results by verdict; a motion without checks adds nothing.
        failures: motions that could not be annotated, by reason.
        reviews: rows by review status.
        provenance: distinct values of what made the rows.
        size_bytes: size of all shards.
        texts_only: the dataset carries no motion.
        settings: the manifest's settings.
    """

    splits: dict[str, int]
    settings: dict[str, Any]
    texts_only: bool
    failures: dict[str, int]
    size_bytes: int
    frames: int = 0
    hours: float = 0.0
    keyframes: dict[str, float] = field(default_factory=dict)
    words: dict[str, float] = field(default_factory=dict)
    still: dict[str, float] = field(default_factory=dict)
    verdicts: dict[str, int] = field(default_factory=dict)
    reviews: dict[str, int] = field(default_factory=dict)
    provenance: dict[str, list[str]] = field(default_factory=dict)

    @property
    def motions(self) -> int:
        """Motions in all splits."""
        return sum(self.splits.values())

    def to_json(self) -> dict[str, Any]:
        """Give JSON values."""
        return {"motions": self.motions, **asdict(self)}


@dataclass(slots=True)
class _Tally:
    """Sums over the row groups read so far."""

    frames: int = 0
    seconds: float = 0.0
    keyframes: list[int] = field(default_factory=list)
    words: Counter[str] = field(default_factory=Counter)
    still: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    reviews: Counter[str] = field(default_factory=Counter)
    provenance: dict[str, set[str]] = field(default_factory=dict)


_MADE_BY = ("describer", "model", "captioner", "sbert_model", "keyframe_threshold", "seed", "prompt_version")


def info(path: str | Path) -> Info:
    """Count what a dataset holds, reading its texts once, a row group at a time.

    Raises:
        DatasetError: the dataset cannot be read.
    """
    path = Path(path)
    manifest = Manifest.load(path)
    tally = _Tally()
    for _, table in iterate_groups(path, columns=TEXT_COLUMNS):
        _add(tally, table)
    reasons = Counter(_kind_of_reason(failure.reason) for failure in read_failures(path))
    size = sum((path / DATA_DIR / shard.name).stat().st_size for shard in manifest.shards)
    found = Info(manifest.splits, manifest.settings, manifest.texts_only, dict(reasons.most_common()), size)
    return _finish(found, tally)


def _add(tally: _Tally, table: pa.Table) -> None:
    """Count one row group."""
    frames = table["num_frames"].to_numpy()
    tally.frames += int(frames.sum())
    tally.seconds += float((frames / table["fps"].to_numpy()).sum())
    for column, names in (("groups", GROUP_NAMES), ("interactions", FIELDS[len(GROUP_NAMES) :])):
        texts = table[column].combine_chunks()
        for name in names:
            _add_field(tally, name, texts.field(name).to_pylist())
    for name in ("keyframes", "checks", "provenance", "review"):
        for value in table[name].to_pylist():
            _ADD[name](tally, value)


def _add_field(tally: _Tally, name: str, texts: list[str | None]) -> None:
    """Count the words and the still motions of one field."""
    for text in texts:
        if text == NO_MOVEMENT:
            tally.still[name] += 1
        else:
            tally.words[name] += len((text or "").split())


def _add_keyframes(tally: _Tally, keyframes: list[dict[str, Any]] | None) -> None:
    tally.keyframes.append(len(keyframes or ()))


def _add_checks(tally: _Tally, checks: list[dict[str, Any]] | None) -> None:
    tally.verdicts.update(check["verdict"] for check in checks or ())


def _add_provenance(tally: _Tally, provenance: dict[str, Any] | None) -> None:
    for name in _MADE_BY:
        value = (provenance or {}).get(name)
        if value not in (None, ""):
            tally.provenance.setdefault(name, set()).add(str(value))


def _add_review(tally: _Tally, review: dict[str, Any] | None) -> None:
    tally.reviews[(review or {}).get("status") or "none"] += 1


_ADD: Final[dict[str, Callable[[_Tally, Any], None]]] = {
    "keyframes": _add_keyframes,
    "checks": _add_checks,
    "provenance": _add_provenance,
    "review": _add_review,
}


def _kind_of_reason(reason: str) -> str:
    """Make reasons that differ in a number alone count as one."""
    return " ".join("N" if any(c.isdigit() for c in word) else word for word in reason.split())


def _finish(found: Info, tally: _Tally) -> Info:
    """Turn sums into means and shares."""
    motions = len(tally.keyframes)
    found.frames, found.hours = tally.frames, round(tally.seconds / 3600, 4)
    if motions:
        counts = np.array(tally.keyframes)
        found.keyframes = {
            "mean": round(float(counts.mean()), 2),
            "min": int(counts.min()),
            "max": int(counts.max()),
        }
        found.still = {name: round(tally.still[name] / motions, 4) for name in FIELDS}
        moving = {name: motions - tally.still[name] for name in FIELDS}
        found.words = {name: round(tally.words[name] / max(moving[name], 1), 1) for name in FIELDS}
    found.verdicts = dict(tally.verdicts.most_common())
    found.reviews = dict(tally.reviews.most_common())
    found.provenance = {name: sorted(values) for name, values in tally.provenance.items()}
    return found
