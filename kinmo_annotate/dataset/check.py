"""Check a dataset from the outside in: manifest, files, columns, then every row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from kinmo_annotate.dataset.read import way_on
from kinmo_annotate.schema.arrow import Record, arrow_to_frames
from kinmo_annotate.schema.records import VERDICTS
from kinmo_annotate.schema.shards import (
    CARD_NAME,
    DATA_DIR,
    MANIFEST_NAME,
    DatasetError,
    Manifest,
    ShardInfo,
    read_failures,
    read_groups,
    sha256_of,
    split_of,
)
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES, PAIR_NAMES

_ANEW = "Fetch it again, or delete it and run the same `kinmo annotate run` command, which writes it anew."
_AGAIN = "Annotate again into a new folder; if it stays, please report it."
_GO_ON = "Run the same `kinmo annotate run` command again; it goes on from here."
_COPY_AGAIN = "Finish that run with the same `kinmo annotate run` command, then make the copy again."
_TIDY = "Run the same `kinmo annotate run` command to its end, or delete the file."


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: in which file, of which motion (empty: of the file), what, what to do."""

    where: str
    motion_id: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        """Say it in one line."""
        motion = f" motion {self.motion_id}:" if self.motion_id else ""
        return f"{self.where}:{motion} {self.reason}. {self.remedy}"


@dataclass(slots=True)
class _Seen:
    """What the checks of the whole dataset need to know of the rows: (path, shard) per motion id."""

    motions: dict[str, tuple[str, str]] = field(default_factory=dict)


def validate(path: str | Path) -> list[Problem]:
    """Check that a dataset is whole and sound; an empty list says so.

    Holds one row group in memory at a time.

    Raises:
        DatasetError: there is no readable manifest, so there is nothing to check against.
    """
    path = Path(path)
    manifest = Manifest.load(path)
    seen = _Seen()
    problems = list(_check_files(path, manifest))
    for shard in manifest.shards:
        problems += _check_shard(path / DATA_DIR / shard.name, shard, manifest.texts_only, seen)
    problems += _check_failures(path, manifest, seen)
    return problems


def _check_files(path: Path, manifest: Manifest) -> Iterator[Problem]:
    """Look for an unfinished run, files that the manifest does not know, and a missing card."""
    listed = {shard.name for shard in manifest.shards}
    data = path / DATA_DIR
    for file in sorted(data.iterdir()) if data.is_dir() else []:
        if file.name not in listed:
            unfinished = file.name.endswith(".tmp")
            reason = "was left unfinished by a run" if unfinished else "is not listed in the manifest"
            yield Problem(f"{DATA_DIR}/{file.name}", "", reason, _TIDY)
    if manifest.settings.get("complete") is False:
        yield Problem(MANIFEST_NAME, "", *_not_at_its_end(path, manifest))
    if not (path / CARD_NAME).is_file():
        yield Problem(CARD_NAME, "", "the dataset card is missing", _ANEW)


def _not_at_its_end(path: Path, manifest: Manifest) -> tuple[str, str]:
    """Say why a dataset is not whole yet, and what goes on with it."""
    if manifest.texts_only or "mirrored" in manifest.settings:
        return "it was copied from a dataset whose run was not at its end", _COPY_AGAIN
    if command := way_on(path):
        return "its review is not at its end", f"Next: `{command}`, which says where a person is needed."
    return "the run that writes this dataset is not at its end", _GO_ON


def _check_shard(file: Path, shard: ShardInfo, texts_only: bool, seen: _Seen) -> list[Problem]:
    """Check one shard's bytes, columns, count and rows."""
    where = f"{DATA_DIR}/{shard.name}"
    problems: list[Problem] = []
    rows = 0
    try:
        split_of(shard.name)
        if sha256_of(file) != shard.sha256:
            problems.append(Problem(where, "", "its sha256 is not the one in the manifest", _ANEW))
        for table in read_groups(file):
            rows += table.num_rows
            problems += _check_rows(table, where, texts_only, seen)
    except DatasetError as error:
        return [*problems, Problem(where, "", error.reason, error.remedy)]
    if rows != shard.rows:
        reason = f"has {rows} rows, and the manifest says {shard.rows}"
        problems.append(Problem(where, "", reason, _ANEW))
    return problems


def _check_rows(table: pa.Table, where: str, texts_only: bool, seen: _Seen) -> Iterator[Problem]:
    """Check every row of one row group."""
    joints = arrow_to_frames(table["joints"])
    texts = table.drop_columns(["joints", "features"]).to_pylist()
    for record, xyz in zip(texts, joints, strict=True):
        motion_id = record["motion_id"] or ""
        reasons = [*_wrong_identity(record, where, seen), *_wrong_motion(record, xyz, texts_only)]
        reasons += [*_wrong_texts(record), *_wrong_keyframes(record), *_wrong_checks(record)]
        reasons += _wrong_costs(record)
        yield from (Problem(where, motion_id, reason, _AGAIN) for reason in reasons)


def _wrong_identity(record: Record, where: str, seen: _Seen) -> Iterator[str]:
    """An id that is empty or taken, or a row that does not say how it was made."""
    motion_id = record["motion_id"]
    if not motion_id:
        yield "has no motion_id"
    elif motion_id in seen.motions:
        yield f"its id is also in {seen.motions[motion_id][1]}"
    else:
        seen.motions[motion_id] = ((record["source"] or {}).get("path") or "", where)
    if record["source"] is None:
        yield "does not say where it came from (source is null)"
    provenance = record["provenance"] or {}
    missing = [
        name for name in ("describer", "captioner", "kinmo_version", "created_at") if not provenance.get(name)
    ]
    if missing:
        yield f"its provenance lacks {', '.join(missing)}"
    if record["review"] is None:
        yield "its review is null"


def _wrong_motion(record: Record, joints: np.ndarray | None, texts_only: bool) -> Iterator[str]:
    """Joints that are absent, of another length than told, or not finite."""
    frames = record["num_frames"] or 0
    if not record["fps"] or not np.isfinite(record["fps"]) or record["fps"] < 0:
        yield f"its fps is {record['fps']}"
    if joints is None:
        if not texts_only:
            yield "has no joints"
        return
    if texts_only:
        yield "carries joints, though the dataset is to carry texts only"
    if len(joints) != frames:
        yield f"has {len(joints)} frames of joints, and num_frames says {frames}"
    if not np.isfinite(joints).all():
        yield "has NaN or infinite joints"


def _wrong_texts(record: Record) -> Iterator[str]:
    """Any of the 21 sentences missing or blank."""
    groups, interactions = record["groups"] or {}, record["interactions"] or {}
    for names, texts in ((GROUP_NAMES, groups), (PAIR_NAMES, interactions)):
        empty = [name for name in names if not (texts.get(name) or "").strip()]
        if empty:
            yield f"has no text for {', '.join(empty)}"


def _wrong_keyframes(record: Record) -> Iterator[str]:
    """Keyframes out of order or range, without first or last frame, or without caption."""
    keyframes = record["keyframes"] or []
    frames = [keyframe["frame"] for keyframe in keyframes]
    last = (record["num_frames"] or 0) - 1
    if not frames:
        yield "has no keyframes"
        return
    if None in frames:
        yield "has a keyframe without a frame"
        return
    if any(after <= before for before, after in pairwise(frames)):
        yield "its keyframes are not in order of time, each once"
    if frames[0] != 0 or frames[-1] != last:
        yield f"its keyframes go from {frames[0]} to {frames[-1]}, not from 0 to the last frame, {last}"
    if any(not (keyframe["caption"] or "").strip() for keyframe in keyframes):
        yield "has a keyframe without a caption"
    similarities = np.array([keyframe["similarity"] for keyframe in keyframes], dtype=float)
    if not (np.abs(similarities) <= 1.001).all():
        yield "has a keyframe whose similarity is no cosine"


def _wrong_checks(record: Record) -> Iterator[str]:
    """Checks of fields or with verdicts that there are not, or of no claim."""
    checks = record["checks"] or []
    for name, known in (("field", FIELDS), ("verdict", VERDICTS)):
        wrong = sorted({repr(check[name]) for check in checks if check[name] not in known})
        if wrong:
            yield f"has checks with the {name} {', '.join(wrong)}"
    if any(not (check["claim"] or "").strip() for check in checks):
        yield "has a check without a claim"


def _wrong_costs(record: Record) -> Iterator[str]:
    """Tokens or a cost that nobody can have paid; a cost of null says that the price is not known."""
    provenance = record["provenance"] or {}
    for name in ("input_tokens", "output_tokens", "cached_tokens", "cost_usd"):
        value = provenance.get(name)
        if value is not None and not 0 <= value < np.inf:
            yield f"its provenance says {name} {value}"


def _check_failures(path: Path, manifest: Manifest, seen: _Seen) -> Iterator[Problem]:
    """Check that failures are readable, counted, told once, and not of motions that were annotated.

    Two files may claim one id: the first is annotated, the second fails. So a failure is told by id and path.
    """
    try:
        failures = read_failures(path)
    except DatasetError as error:
        yield Problem(Path(error.where).name, "", error.reason, error.remedy)
        return
    where = "failures.parquet"
    if len(failures) != manifest.failures:
        reason = f"has {len(failures)} rows, and the manifest says {manifest.failures}"
        yield Problem(where, "", reason, _ANEW)
    told: set[tuple[str, str]] = set()
    for failure in failures:
        key = (failure.motion_id, failure.path)
        if key in told:
            yield Problem(where, failure.motion_id, "is told twice", _AGAIN)
        told.add(key)
        if failure.motion_id in seen.motions and seen.motions[failure.motion_id][0] == failure.path:
            reason = f"failed, and is also annotated in {seen.motions[failure.motion_id][1]}"
            yield Problem(where, failure.motion_id, reason, _AGAIN)
