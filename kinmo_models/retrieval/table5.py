"""The ablation of the paper's Table 5: what each level of text brings, trained with several seeds.

OUT/
  <variant>-seed<n>/   a training run; a finished one is not trained again
  table5.json          every figure, the paper's beside it
  table5.md            the same as a page
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kinmo_annotate.schema.shards import atomic_write
from kinmo_models.metrics.intervals import Repeated
from kinmo_models.retrieval.evaluate import (
    ANNOTATION,
    GLOBAL,
    NONE,
    Result,
    evaluate,
    over_runs,
    read_pairs,
)
from kinmo_models.retrieval.protocols import (
    DIRECTIONS,
    MOTION_TO_TEXT,
    PAIRED,
    TEXT_TO_MOTION,
    protocol_all,
)

if TYPE_CHECKING:
    from rich.console import Console

SHOWN: Final = ("R@1", "R@2", "R@3", "MedR")


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of Table 5.

    Attributes:
        name: as the paper prints it.
        folder: how its runs are called.
        level: its finest, at which it is asked with annotation texts.
        sets: settings that make it.
        paper: direction -> R@1, R@2, R@3 in percent and MedR, on HumanML3D.
    """

    name: str
    folder: str
    level: str
    sets: tuple[str, ...]
    paper: dict[str, tuple[float, float, float, float]]


# Figures: KinMo, Table 5, "Effects of Motion Semantics for Text-Motion Retrieval".
VARIANTS: Final = (
    Variant(
        "global",
        "global",
        GLOBAL,
        ("model.levels=G",),
        {TEXT_TO_MOTION: (3.67, 7.17, 10.32, 40.0), MOTION_TO_TEXT: (8.08, 11.56, 17.23, 38.0)},
    ),
    Variant(
        "+ joint",
        "joint",
        "GJ",
        ("model.levels=GJ",),
        {TEXT_TO_MOTION: (7.58, 13.16, 16.97, 22.0), MOTION_TO_TEXT: (8.58, 14.51, 19.21, 21.0)},
    ),
    Variant(
        "+ interact",
        "interact",
        "GJI",
        ("model.levels=GJI",),
        {TEXT_TO_MOTION: (9.05, 15.23, 20.47, 16.0), MOTION_TO_TEXT: (9.01, 15.92, 21.42, 16.0)},
    ),
    Variant(
        "- cross",
        "no-cross",
        "GJI",
        ("model.levels=GJI", "model.cross_attention=false"),
        {TEXT_TO_MOTION: (7.63, 13.13, 16.94, 22.0), MOTION_TO_TEXT: (8.60, 14.54, 19.21, 21.0)},
    ),
)


@dataclass(frozen=True)
class Row:
    """A variant asked in one direction with one kind of texts, over all seeds.

    Attributes:
        variant: its name.
        direction: one of `DIRECTIONS`.
        level: at which it was asked.
        source: of the finer texts: annotation, or none for the caption alone.
        figures: R@1, R@2, R@3, MedR with their intervals.
        paper: the paper's figures in the same order; None where Table 5 has no such row.
    """

    variant: str
    direction: str
    level: str
    source: str
    figures: dict[str, Repeated]
    paper: dict[str, float] | None


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure of "+ interact" divided by that of "global", by where the finer texts came from.

    `ours` is None where "global" has 0, `paper` where Table 5 has no such row.
    """

    figure: str
    source: str
    ours: float | None
    paper: float | None


@dataclass(frozen=True)
class Table5:
    """The whole ablation.

    Attributes:
        stamp: dataset, split and settings it belongs to, JSON values.
        rows: in the order they are printed.
    """

    stamp: dict[str, Any]
    rows: list[Row]

    def ratios(self) -> list[Ratio]:
        """Compare "+ interact" with "global", text to motion.

        With annotation texts as Table 5 does, and with the caption alone, where the finer levels should cost
        nothing.
        """
        found = {(row.variant, row.source): row for row in self.rows if row.direction == TEXT_TO_MOTION}
        coarse = found["global", NONE]
        ratios = []
        for source in (ANNOTATION, NONE):
            fine = found["+ interact", source]
            for name in ("R@1", "MedR"):
                paper = fine.paper[name] / coarse.paper[name] if fine.paper and coarse.paper else None
                below = coarse.figures[name].mean
                ours = fine.figures[name].mean / below if below else None
                ratios.append(Ratio(name, source, ours, paper))
        return ratios

    def as_dict(self) -> dict[str, Any]:
        """Give JSON values."""
        return {
            **self.stamp,
            "rows": [asdict(row) for row in self.rows],
            "ratios": [asdict(one) for one in self.ratios()],
        }


# ---------------------------------------------------------------- training and measuring


def run_table5(
    dataset: Path,
    out: Path,
    config: str | Path,
    sets: Sequence[str],
    seeds: Sequence[int],
    split: str = "test",
    *,
    cache_dir: Path | None = None,
    console: Console | None = None,
) -> Table5:
    """Train the four variants with each seed, measure them by protocol (a), write table5.json and table5.md.

    Every variant of a seed starts from the same seed and sees the same batches. Run it again to go on: runs
    that are finished are only measured.

    Args:
        dataset: annotated, with the splits train, val and `split`.
        out: folder for the runs and the tables.
        config: name of a preset, or a YAML file, for every run.
        sets: settings laid over it; those of variant and seed come last.
        seeds: of training.
        split: that is searched.
        cache_dir: root of the caches; None is the user's.
        console: where training shows its progress.

    Raises:
        DatasetError: no such split, no captions in it, or a table that cannot be written.
        TrainingError: a training that cannot start or go on, such as one begun with another config.
        KeyboardInterrupt: training was stopped by Ctrl-C; called again, it goes on.
    """
    from kinmo_models.data.motions import MotionStore
    from kinmo_models.retrieval.config import load_config
    from kinmo_models.retrieval.retriever import Retriever
    from kinmo_models.retrieval.train import train_retrieval
    from kinmo_models.training.config import plain

    base = load_config(config, sets)
    store = MotionStore.open(dataset, cache_dir)
    pairs = read_pairs(store, split)
    paired = [one for one in protocol_all(pairs.captions) if one.scorer == PAIRED]
    measured: dict[str, list[list[Result]]] = {variant.name: [] for variant in VARIANTS}
    plan = [(seed, variant) for seed in seeds for variant in VARIANTS]
    for number, (seed, variant) in enumerate(plan, start=1):
        if console is not None:
            console.print(f"run {number} of {len(plan)}: {variant.name}, seed {seed}", markup=False)
        run = out / f"{variant.folder}-seed{seed}"
        own = [*sets, *variant.sets, f"training.seed={seed}"]
        done = train_retrieval(
            dataset, run, load_config(config, own), resume=True, cache_dir=cache_dir, console=console
        )
        if done.interrupted:
            raise KeyboardInterrupt
        queries = list(dict.fromkeys([(variant.level, _texts_of(variant)), (GLOBAL, NONE)]))
        retriever = Retriever.from_pretrained(run, cache_dir=cache_dir)
        measured[variant.name].append(evaluate(retriever, pairs, paired, queries))
    stamp = {
        "dataset": str(dataset),
        "dataset_fingerprint": store.fingerprint,
        "split": split,
        "split_fingerprint": store.split_fingerprint(split),
        "queries": len(pairs.captions),
        "protocol": "a",
        "scorer": PAIRED,
        "seeds": list(seeds),
        "config": plain(base),
        "kinmo_version": version("kinmo"),
    }
    table = Table5(stamp, list(_rows(measured)))
    write(table, out)
    return table


def _texts_of(variant: Variant) -> str:
    """Tell which texts the paper's row was asked with."""
    return NONE if variant.level == GLOBAL else ANNOTATION


def _rows(measured: dict[str, list[list[Result]]]) -> Iterator[Row]:
    """Give the rows: each direction, Table 5's own first, then what the finer variants do with `none`."""
    for direction in DIRECTIONS:
        own: list[Row] = []
        beside: list[Row] = []
        for variant in VARIANTS:
            for key, found in over_runs(measured[variant.name]).items():
                if key[1] != direction:
                    continue
                level, source = key[3], key[4]
                printed = source == _texts_of(variant)
                paper = dict(zip(SHOWN, variant.paper[direction], strict=True)) if printed else None
                figures = {name: found[name] for name in SHOWN}
                (own if printed else beside).append(
                    Row(variant.name, direction, level, source, figures, paper)
                )
        yield from own + beside


# ---------------------------------------------------------------- writing


def write(table: Table5, out: Path) -> None:
    """Write table5.json and table5.md into a folder.

    Raises:
        DatasetError: they cannot be written.
    """
    as_json = json.dumps(table.as_dict(), indent=2, ensure_ascii=False) + "\n"
    atomic_write(out / "table5.json", lambda file: file.write(as_json.encode()))
    atomic_write(out / "table5.md", lambda file: file.write(page(table).encode()))


def page(table: Table5) -> str:
    """Write the table as a page of Markdown."""
    lines = ["# Table 5: what each level of text brings to retrieval", "", *preface(table)]
    for direction in DIRECTIONS:
        lines += ["", f"## {direction.capitalize()}", ""]
        lines += ["| variant | level | finer texts | R@1 | R@2 | R@3 | MedR |"]
        lines += ["| --- | --- | --- | ---: | ---: | ---: | ---: |"]
        for row in table.rows:
            if row.direction == direction:
                cells = [cell(row, name).replace("\n", " ") for name in SHOWN]
                lines.append(f"| {row.variant} | {row.level} | {row.source} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"- {line}" for line in verdict(table)), ""])


def preface(table: Table5) -> list[str]:
    """Say what the figures are of."""
    stamp = table.stamp
    seeds = ", ".join(map(str, stamp["seeds"]))
    return [
        f"Protocol (a), only the paired motion counts; {stamp['queries']} motions of the split "
        f"{stamp['split']} (fingerprint {stamp['split_fingerprint']}).",
        f"Mean ± 95 % interval (Student's t) over the seeds {seeds}; in brackets the paper's, on HumanML3D.",
        "`annotation`: finer texts written from the very motion that is searched for, as in the paper;",
        "`none`: the caption alone, which is what a user types.",
    ]


def cell(row: Row, name: str) -> str:
    """Give a figure with its interval, and on the next line the paper's."""
    paper = f"\n({row.paper[name]:.2f})" if row.paper else ""
    return f"{shown(row.figures[name])}{paper}"


def shown(figure: Repeated) -> str:
    """Write a mean with its interval."""
    return f"{figure.mean:.2f}" if figure.interval is None else f"{figure.mean:.2f} ± {figure.interval:.2f}"


def verdict(table: Table5) -> list[str]:
    """Say how far "+ interact" is ahead of "global", ours and the paper's."""
    lines = []
    for one in table.ratios():
        ours = "not defined, as global has 0" if one.ours is None else f"{one.ours:.2f}"
        paper = f" (the paper's: {one.paper:.2f})" if one.paper else ""
        lines.append(
            f"{one.figure}, text to motion, finer texts {one.source}: + interact / global = {ours}{paper}"
        )
    return lines
