"""The motions of a round annotated anew, with another prompt, and opened as the next round.

A dataset holds the sentences of one prompt. So those of a later round stand in a dataset of their own below
the reviewed one, `DATASET/rounds/NAME`, while the judgements of all rounds stand in one store,
`DATASET/reviews.sqlite`. Its motions come from the rows of the round before: nothing but DATASET is needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from kinmo_annotate.dataset.read import ROUNDS_DIR
from kinmo_annotate.describe.llm.answers import ARCHIVE_DIR, read_archive
from kinmo_annotate.describe.llm.prompt import load_prompt
from kinmo_annotate.pipeline import Progress, Summary, annotate
from kinmo_annotate.review.rounds import Round
from kinmo_annotate.review.store import Store
from kinmo_annotate.schema.arrow import table_to_rows
from kinmo_annotate.schema.records import Failure, Motion, MotionError, Row
from kinmo_annotate.schema.shards import (
    DATA_DIR,
    MANIFEST_NAME,
    DatasetError,
    Manifest,
    open_shard,
    read_groups,
    split_of,
)
from kinmo_annotate.settings import ASKING_DESCRIBER, Settings
from kinmo_annotate.sources.base import Entry, MotionSource, failure

_GO_ON: Final = "Run the same command again: it goes on from there."


@dataclass(slots=True)
class RowsSource:
    """Some motions of a dataset, as a source.

    Attributes:
        dataset: its folder.
        motion_ids: which motions.
        name: of the source that the dataset was made from.
    """

    dataset: Path
    motion_ids: tuple[str, ...]
    name: str

    def entries(self) -> list[Entry]:
        """List the motions in the order of the rows; the path of an entry is its shard."""
        wanted = set(self.motion_ids)
        return [
            Entry(name, shard, split_of(shard))
            for shard in self._shards()
            for table in read_groups(self.dataset / DATA_DIR / shard, ["motion_id"])
            for name in table["motion_id"].to_pylist()
            if name in wanted
        ]

    def failures(self) -> list[Failure]:
        """List the motions that the dataset does not hold."""
        found = {entry.motion_id for entry in self.entries()}
        reason = "is no row of the dataset any more"
        return [
            failure(name, str(self.dataset), reason, "Annotate it again, then draw a new round.")
            for name in self.motion_ids
            if name not in found
        ]

    def notes(self) -> list[str]:
        """Say nothing: rows are read as they are."""
        return []

    def load(self, entry: Entry) -> Motion:
        """Take a motion from its row.

        Raises:
            MotionError: it is not there, or carries no joints.
        """
        try:
            rows = list(_rows_in(self.dataset / DATA_DIR / entry.path, {entry.motion_id}))
        except DatasetError as error:
            raise MotionError(error.where, error.reason, error.remedy) from None
        if not rows:
            raise MotionError(entry.motion_id, f"is not in {entry.path}", "Run `kinmo dataset validate`.")
        return rows[0].motion

    def _shards(self) -> list[str]:
        return [shard.name for shard in Manifest.load(self.dataset).shards]


@dataclass(slots=True)
class SomeOf:
    """Some motions of another source, and its name."""

    source: MotionSource
    motion_ids: frozenset[str]
    name: str

    def entries(self) -> list[Entry]:
        """List those motions, in the source's order."""
        return [entry for entry in self.source.entries() if entry.motion_id in self.motion_ids]

    def failures(self) -> list[Failure]:
        """List nothing: only what can be loaded is chosen."""
        return []

    def notes(self) -> list[str]:
        """Say what the source says."""
        return self.source.notes()

    def load(self, entry: Entry) -> Motion:
        """Read one motion.

        Raises:
            MotionError: as the source's.
        """
        return self.source.load(entry)


def rows_of(dataset: Path, motion_ids: Sequence[str]) -> dict[str, Row]:
    """Read the rows of some motions, by id; those that are not there are absent.

    Raises:
        DatasetError: the dataset cannot be read.
        MotionError: a row carries no joints.
    """
    wanted = set(motion_ids)
    shards = (dataset / DATA_DIR / shard.name for shard in Manifest.load(dataset).shards)
    return {row.motion.motion_id: row for path in shards for row in _rows_in(path, wanted)}


def _rows_in(path: Path, wanted: set[str]) -> Iterator[Row]:
    """Read some rows of a shard: ids first, the rest only where one of them is wanted."""
    with open_shard(path) as file:
        for group in range(file.num_row_groups):
            ids = file.read_row_group(group, ["motion_id"])["motion_id"].to_pylist()
            places = [place for place, name in enumerate(ids) if name in wanted]
            if places:
                yield from table_to_rows(file.read_row_group(group).take(places), split_of(path.name))


def settings_like(dataset: Path, ways: Settings) -> Settings:
    """Give the settings that a dataset's rows were made with.

    Args:
        dataset: whose manifest tells them.
        ways: the rest: workers, caches, and how the endpoint is asked.

    Raises:
        DatasetError: the dataset cannot be read.
        MotionError: its rows were not written by a language model, or by a version of kinmo with other
            settings.
    """
    found = dict(Manifest.load(dataset).settings)
    if found.get("describer") != ASKING_DESCRIBER:
        reason = f"its sentences were written by {found.get('describer')!r}, which follows no prompt"
        remedy = f"Annotate with `kinmo annotate run --describer {ASKING_DESCRIBER}`, then review that."
        raise MotionError(str(dataset), reason, remedy)
    try:
        asked = {name: found[name] for name in ("model", "repair", "output_tokens")}
        options = tuple(json.loads(found["options"]).items())
        kept = {name: found[name] for name in ways.in_rows() if name not in (*asked, "options", "limit")}
    except (KeyError, ValueError, AttributeError) as error:
        reason = f"does not say how its rows were made ({error})"
        raise MotionError(str(dataset), reason, "Annotate it again with this version.") from None
    kept |= {"limit": None, "asking": replace(ways.asking, **asked, options=options)}
    return replace(ways, **kept)


def within_budget(dataset: Path, settings: Settings, round: str | None = None) -> Settings:
    """Take off the budget what was paid elsewhere for a dataset and its rounds: a run counts its own folder.

    Args:
        dataset: the reviewed dataset, whose budget it is.
        settings: of what is to be asked.
        round: whose folder it is asked for; None is the dataset itself.
    """
    budget = settings.asking.budget_usd
    if budget is None:
        return settings
    own = dataset / ROUNDS_DIR / round if round else dataset
    folders = {dataset, *(path for path in (dataset / ROUNDS_DIR).glob("*") if path.is_dir())}
    left = budget - sum(spent_usd(folder) for folder in folders - {own})
    return replace(settings, asking=replace(settings.asking, budget_usd=max(0.0, left)))


def spent_usd(folder: Path) -> float:
    """Sum up what was paid for the answers archived in a folder."""
    paid = (record.get("paid_usd") for record in read_archive(folder / ARCHIVE_DIR))
    return sum(float(usd) for usd in paid if isinstance(usd, int | float))


def next_name(store: Store, name: str) -> str:
    """Name the round after one: `legs` gives `legs-2`, and `legs-2` gives `legs-3`."""
    known = {round.name for round in store.rounds()}
    stem, number = name, 1
    if numbered := re.fullmatch(r"(.+?)-(\d{1,6})", name):
        stem, number = numbered[1], int(numbered[2])
    stem = stem[:56]
    while f"{stem}-{number + 1}" in known:
        number += 1
    return f"{stem}-{number + 1}"


def open_next_round(
    store: Store,
    parent: Round,
    prompt: Path,
    ways: Settings,
    *,
    name: str | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Round, Summary]:
    """Annotate the motions of a round anew and open them as the next round.

    A call that was cut off is made again with the same arguments; what was answered is not asked for again.

    Args:
        store: of the reviewed dataset.
        parent: the round before.
        prompt: file of the new prompt.
        ways: workers, caches, and how the endpoint is asked; what the rows depend on is the parent's.
        name: of the next round.
        progress: told of the annotation.
        stop: asked whether to end early.

    Raises:
        MotionError: asking ended early, no motion could be annotated, or the parent's rows have no prompt.
        DatasetError: something cannot be read or written.
    """
    settings = settings_like(parent.dataset, ways)
    settings = replace(settings, asking=replace(settings.asking, prompt=prompt))
    source_name = str(Manifest.load(parent.dataset).settings.get("source", ""))
    source = RowsSource(parent.dataset, parent.motion_ids, source_name)
    return open_round(
        store,
        replace(parent, name=name or next_name(store, parent.name), parent=parent.name, created_at=""),
        source,
        settings,
        progress=progress,
        stop=stop,
    )


def open_round(
    store: Store,
    wanted: Round,
    source: MotionSource,
    settings: Settings,
    *,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Round, Summary]:
    """Annotate a round's motions into a dataset of their own, and store the round.

    Args:
        store: of the reviewed dataset.
        wanted: the round; where its sentences lie and which prompt wrote them is found here.
        source: of its motions.
        settings: of the annotation.
        progress: told of it.
        stop: asked whether to end early.

    Raises:
        MotionError: asking ended early, or no motion could be annotated.
        DatasetError: something cannot be read or written.
    """
    folder = store.dataset / ROUNDS_DIR / wanted.name
    known = wanted.name in {round.name for round in store.rounds()}
    summary = annotate(
        source, folder, settings, progress=progress, stop=stop, retry_failures=True,
        force=not known and _is_stale(folder, settings),
    )  # fmt: skip
    if summary.halted:
        raise MotionError(f"round {wanted.name}", summary.halted.reason, summary.halted.remedy)
    if not summary.complete:
        raise MotionError(f"round {wanted.name}", "was stopped before its end", _GO_ON)
    rows = {entry.motion_id for entry in RowsSource(folder, wanted.motion_ids, "").entries()}
    if not rows:
        reason = "none of its motions could be annotated"
        raise MotionError(f"round {wanted.name}", reason, f"{folder}/failures.parquet says why of each.")
    values: dict[str, Any] = {
        "dataset": folder,
        "motion_ids": tuple(name for name in wanted.motion_ids if name in rows),
        "prompt_version": Manifest.load(folder).prompt_version,
    }
    done = replace(wanted, **values)
    if not known:
        store.add_round(done)
    return store.round(done.name), summary


def _is_stale(folder: Path, settings: Settings) -> bool:
    """Tell whether a folder was begun with another prompt, and nobody was asked to judge it."""
    if not (folder / MANIFEST_NAME).exists():
        return False
    return Manifest.load(folder).prompt_version != load_prompt(settings.asking.prompt).fingerprint
