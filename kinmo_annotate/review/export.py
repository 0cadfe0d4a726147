"""Carry the judgements out of the store: into `reviews.parquet`, and into the dataset's `review` column."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from kinmo_annotate.resume import locked
from kinmo_annotate.review.rounds import ADJUDICATION, Item, Round
from kinmo_annotate.review.store import CORRECT, WRONG, Judgement, Store, open_store
from kinmo_annotate.schema.records import Review
from kinmo_annotate.schema.shards import (
    DATA_DIR,
    MANIFEST_NAME,
    REVIEWS_NAME,
    SCHEMA,
    DatasetError,
    Manifest,
    ShardInfo,
    atomic_write,
    read_groups,
    sha256_of,
    write_shard,
)

# What the column `review` says of a motion, by what people said of its sentences.
UNREVIEWED: Final = Review().status
DISPUTED: Final = "disputed"

_TEXT: Final = pa.string()
REVIEWS_SCHEMA: Final[pa.Schema] = pa.schema(
    [
        *((name, _TEXT) for name in ("round", "prompt_version", "evaluator", "motion_id", "field")),
        *((name, _TEXT) for name in ("sentence", "verdict", "category", "note", "at")),
        ("finished", pa.bool_()),
    ]
)
_COLUMNS: Final = ("motion_id", "groups", "interactions", "review")
_AHEAD_DIR: Final = ".review"  # new shards wait here until all are whole
_REPLACES: Final = "replaces"  # there: digest of the manifest that they were made from

_Verdicts = dict[Item, list[Judgement]]  # of one round: what each evaluator said, or the adjudication alone


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did.

    Attributes:
        judgements: rows of reviews.parquet.
        rounds_joined: rounds that all evaluators have finished; only they enter the column `review`.
        rounds_open: the others.
        status: motions by review status.
        shards_rewritten: shards whose rows have another review than before.
    """

    judgements: int
    rounds_joined: tuple[str, ...]
    rounds_open: tuple[str, ...]
    status: dict[str, int]
    shards_rewritten: int


def export_reviews(dataset: str | Path) -> Exported:
    """Write reviews.parquet anew, and join the verdicts of finished rounds into the dataset.

    reviews.parquet has one row for the last verdict of each evaluator about each sentence, those of the
    adjudication among them. The column `review` regards verdicts on the sentences as they are now: one of a
    text that was written anew since counts no more. A later round overrules an earlier one, an adjudication
    overrules the evaluators. `wrong` is a motion with a sentence that all found wrong, `disputed` one with
    a sentence that is not settled, `correct` one whose judged sentences are all correct.

    Either all shards change or none, also when the machine stops in between: the next export ends the work.

    Raises:
        DatasetError: the dataset cannot be read or written, or a run is writing it.
        MotionError: the store cannot be read.
    """
    dataset = Path(dataset)
    with open_store(dataset) as store, locked(dataset):
        store.newest()  # tells it now where there is none
        rounds = store.rounds()
        _settle(dataset)
        judgements = _write_reviews(store, rounds, dataset / REVIEWS_NAME)
        closed = [round for round in rounds if store.finished(round.name) >= set(round.evaluators)]
        status, rewritten = _join(dataset, [_verdicts(store, round) for round in closed])
    joined = tuple(round.name for round in closed)
    still_open = tuple(round.name for round in rounds if round.name not in joined)
    return Exported(judgements, joined, still_open, status, rewritten)


def _write_reviews(store: Store, rounds: list[Round], path: Path) -> int:
    """Write reviews.parquet; give the number of its rows."""
    rows = [row for round in rounds for row in _rows(store, round)]
    table = pa.Table.from_pylist(rows, schema=REVIEWS_SCHEMA)
    atomic_write(path, lambda file: pq.write_table(table, file, compression="zstd"))
    return len(rows)


def _rows(store: Store, round: Round) -> Iterator[dict[str, Any]]:
    """List the last verdicts of a round as rows, evaluator by evaluator, in the order of its items."""
    finished = store.finished(round.name)
    for evaluator in (*round.evaluators, ADJUDICATION):
        judgements = store.current(round.name, evaluator)
        for item in round.items:
            if item in judgements and judgements[item].verdict:
                row = {name: getattr(judgements[item], name) for name in Judgement.__slots__}
                done = evaluator in finished or evaluator == ADJUDICATION
                yield row | {"prompt_version": round.prompt_version, "finished": done}


def _verdicts(store: Store, round: Round) -> _Verdicts:
    """List what holds in a finished round: the adjudication where there is one, else what each said."""
    everyone, final = store.both(round.name), store.final(round.name)
    return {
        item: [final[item]] if item in final else [said[item] for said in everyone.values()]
        for item in round.items
    }


# ------------------------------------------------------------ the column


def _join(dataset: Path, rounds: list[_Verdicts]) -> tuple[dict[str, int], int]:
    """Give every row its review; give the number of rows by status, and of shards rewritten."""
    manifest = Manifest.load(dataset)
    status = dict.fromkeys((UNREVIEWED, CORRECT, WRONG, DISPUTED), 0)
    shards, changed = [], 0
    for shard in manifest.shards:
        tables = list(
            read_groups(dataset / DATA_DIR / shard.name, ["motion_id", "groups", "interactions", "review"])
        )
        reviews = [_review(record, rounds) for table in tables for record in table.to_pylist()]
        for one in reviews:
            status[one["status"]] += 1
        if reviews != [review for table in tables for review in table["review"].to_pylist()]:
            shard = _write_ahead(dataset, shard, reviews)
            changed += 1
        shards.append(shard)
    if changed:
        digest = sha256_of(dataset / MANIFEST_NAME).encode()
        atomic_write(dataset / _AHEAD_DIR / _REPLACES, lambda file: file.write(digest))
        replace(manifest, shards=shards).save(dataset / _AHEAD_DIR)
        _settle(dataset)
    return status, changed


def _review(record: dict[str, Any], rounds: list[_Verdicts]) -> dict[str, Any]:
    """Say what people said of one row's sentences."""
    sentences: dict[str, str] = record["groups"] | record["interactions"]
    statuses, errors = set(), []
    for field, sentence in sentences.items():
        said = _last_said(rounds, (record["motion_id"], field), sentence)
        if said:
            statuses.add(_status(said))
            errors += list(dict.fromkeys(_error(one) for one in said if one.verdict == WRONG))
    worst = next((one for one in (WRONG, DISPUTED, CORRECT) if one in statuses), UNREVIEWED)
    return {"status": worst, "errors": errors}


def _last_said(rounds: list[_Verdicts], item: Item, sentence: str) -> list[Judgement]:
    """Find the judgements of the latest round that judged this very sentence."""
    for verdicts in reversed(rounds):
        said = verdicts.get(item, [])
        if said and all(one.sentence == sentence for one in said):
            return said
    return []


def _status(said: list[Judgement]) -> str:
    """Put the verdicts on one sentence together; where all are unsure, it is not settled either."""
    verdicts = {one.verdict for one in said}
    return verdicts.pop() if verdicts in ({CORRECT}, {WRONG}) else DISPUTED


def _error(judgement: Judgement) -> str:
    """Write an error as the column holds it: `left_leg: side: it is the right leg`."""
    note = " ".join(judgement.note.split())
    return ": ".join(part for part in (judgement.field, judgement.category, note) if part)


# ------------------------------------------------------------ all shards or none


def _write_ahead(dataset: Path, shard: ShardInfo, reviews: list[dict[str, Any]]) -> ShardInfo:
    """Write a shard with other reviews, beside the one that it is to replace."""
    path = dataset / DATA_DIR / shard.name
    if sha256_of(path) != shard.sha256:
        remedy = "Find out with `kinmo dataset validate`; run `kinmo annotate run` again, or fetch it again."
        raise DatasetError(path, "is not the file that the manifest lists", remedy)
    table = pa.concat_tables(read_groups(path))
    place = SCHEMA.get_field_index("review")
    column = pa.array(reviews, SCHEMA.field(place).type)
    whole = table.set_column(place, SCHEMA.field(place), column).replace_schema_metadata(SCHEMA.metadata)
    return write_shard(whole, dataset / _AHEAD_DIR / shard.name)


def _settle(dataset: Path) -> None:
    """Put new shards and their manifest in place, or throw away what a cut export left half written.

    The manifest is the last to be written ahead and the last to be moved. So while it waits there, every
    new shard is whole and either waits too or is in place already. A dataset that was written anew since
    keeps its own.
    """
    ahead = dataset / _AHEAD_DIR
    if (ahead / MANIFEST_NAME).is_file() and _is_made_from(ahead / _REPLACES, dataset / MANIFEST_NAME):
        for shard in Manifest.load(ahead).shards:
            if (ahead / shard.name).is_file():
                os.replace(ahead / shard.name, dataset / DATA_DIR / shard.name)
        os.replace(ahead / MANIFEST_NAME, dataset / MANIFEST_NAME)
    shutil.rmtree(ahead, ignore_errors=True)


def _is_made_from(note: Path, manifest: Path) -> bool:
    """Tell whether the manifest still is the one that the new shards were made from."""
    return note.is_file() and note.read_bytes() == sha256_of(manifest).encode()
