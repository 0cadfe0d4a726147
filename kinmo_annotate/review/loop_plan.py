"""How a loop of review was begun: `DATASET/rounds/loop.json`, written once."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from kinmo_annotate.dataset.read import LOOP_NAME, ROUNDS_DIR
from kinmo_annotate.describe.llm.answers import ARCHIVE_DIR
from kinmo_annotate.describe.llm.batch import plan_of, settings_of
from kinmo_annotate.review.agreement import GATE, GATES
from kinmo_annotate.review.lineage import Lineage, ensure_root
from kinmo_annotate.review.rewrite import settings_like
from kinmo_annotate.review.rounds import EVALUATORS, LEGS, MOTIONS, Round
from kinmo_annotate.review.store import open_store
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import (
    FAILURES_NAME,
    MANIFEST_NAME,
    DatasetError,
    Manifest,
    atomic_write,
    write_card,
    write_failures,
)
from kinmo_annotate.settings import ASKING_DESCRIBER, Settings

_FORMAT: Final = "kinmo-review-loop"
_VERSION: Final = 1
_FIRST: Final = "round-1"
_KEPT: Final = (
    "motions", "seed", "fields", "evaluators", "gate", "gate_on", "first",
    "max_error_rate", "refiner", "batch",
)  # fmt: skip
_NONE_YET: Final = "none"  # prompt version of a dataset without rows


@dataclass(frozen=True, slots=True)
class Plan:
    """How a loop was begun.

    Attributes:
        settings: of the annotation; the prompt is that of the first round.
        source: folder of the motions; None where DATASET was annotated before and nothing more is to be.
        kind, mapping: how the source is read.
        motions: of the sample.
        seed: of its draw.
        fields: judged groups and pairs.
        evaluators: who judges.
        gate: the figure named by `gate_on` has to be above it.
        gate_on: one of `agreement.GATES`.
        first: name of the first round.
        max_error_rate: the share of judgements that say wrong may not be above it; 1 asks for agreement
            alone, as in the paper.
        refiner: model that refines; None is the one that writes the sentences.
        batch: the rest goes through the batch API.
    """

    settings: Settings
    source: Path | None = None
    kind: str | None = None
    mapping: Path | None = None
    motions: int = MOTIONS
    seed: int = 0
    fields: tuple[str, ...] = LEGS
    evaluators: tuple[str, ...] = EVALUATORS
    gate: float = GATE
    gate_on: str = GATES[0]
    first: str = _FIRST
    max_error_rate: float = 1.0
    refiner: str | None = None
    batch: bool = False


def is_begun(dataset: Path) -> bool:
    """Tell whether a dataset has a loop."""
    return (dataset / ROUNDS_DIR / LOOP_NAME).is_file()


def begin(dataset: Path, plan: Plan) -> Plan:
    """Begin a loop: write its plan, and a dataset without rows where there is none yet.

    Where DATASET was annotated before, its settings hold; where it has a round already, the newest is the
    loop's first.

    Raises:
        MotionError: there is neither a dataset nor a source, or its rows were written by no language model or
            with a prompt that is not at hand.
        DatasetError: something cannot be read or written.
    """
    if plan.gate_on not in GATES:
        raise MotionError(plan.gate_on, "is no figure that a gate can be about", f"Use {', '.join(GATES)}.")
    if (dataset / MANIFEST_NAME).exists() and Manifest.load(dataset).rows:
        plan = replace(plan, settings=_settings_of_rows(dataset, plan.settings))
        with open_store(dataset) as store:
            rounds = store.rounds()
        plan = replace(plan, first=rounds[-1].name if rounds else plan.first)
        wrote = rounds[-1].prompt_version if rounds else Manifest.load(dataset).prompt_version
        ensure_root(Lineage(dataset), wrote, plan.settings.asking.prompt)
    elif plan.source is None:
        raise MotionError(str(dataset), "is no dataset yet", "Name its motions with --source.")
    else:
        _check_fresh(plan)
        _empty_dataset(dataset, plan.settings)
    save_plan(dataset, plan)
    return plan


def _settings_of_rows(dataset: Path, ways: Settings) -> Settings:
    """Take over the settings of the rows; the prompt's file, if one is named, is theirs."""
    found = settings_like(dataset, ways)
    return replace(found, asking=replace(found.asking, prompt=ways.asking.prompt))


def _check_fresh(plan: Plan) -> None:
    """Refuse settings that no loop can work with, before anything is written."""
    if not plan.settings.asks:
        reason = f"{plan.settings.describer} follows no prompt that could be bettered"
        raise MotionError("--describer", reason, f"Use --describer {ASKING_DESCRIBER}.")
    Round(plan.first, Path(), ("any",), plan.fields, "", plan.seed, plan.evaluators)


def _empty_dataset(dataset: Path, settings: Settings) -> None:
    """Make a dataset without rows, so that reviews have a place before the rest is annotated.

    Raises:
        DatasetError: the folder holds something else, or cannot be written.
    """
    if (dataset / MANIFEST_NAME).exists():
        return
    try:
        dataset.mkdir(parents=True, exist_ok=True)
        names = sorted(path.name for path in dataset.iterdir() if path.name not in (ROUNDS_DIR, ARCHIVE_DIR))
    except OSError as error:
        reason = f"cannot be made a dataset folder ({(error.strerror or str(error)).lower()})"
        raise DatasetError(dataset, reason, "Choose a folder that you may write to.") from None
    if names:
        reason = f"is not empty and holds no KinMo dataset ({', '.join(names[:3])})"
        raise DatasetError(dataset, reason, "Give a new or empty folder.")
    write_failures([], dataset / FAILURES_NAME)
    Manifest(settings.in_rows() | {"complete": False}, _NONE_YET).save(dataset)
    write_card(dataset)


def save_plan(dataset: Path, plan: Plan) -> None:
    """Write a loop's plan.

    Raises:
        DatasetError: it cannot be written.
    """
    told = plan_of(plan.source or dataset, plan.kind, plan.mapping, plan.settings)
    told |= {name: getattr(plan, name) for name in _KEPT} | {"has_source": plan.source is not None}
    text = json.dumps({"format": _FORMAT, "version": _VERSION, "plan": told}, indent=1) + "\n"
    atomic_write(dataset / ROUNDS_DIR / LOOP_NAME, lambda file: file.write(text.encode()))


def load_plan(dataset: Path, base_url: str | None = None) -> Plan:
    """Read a loop's plan.

    Args:
        dataset: its folder.
        base_url: in place of the one written down, which lacks user and password.

    Raises:
        DatasetError: it is damaged, or newer than this kinmo.
    """
    path = dataset / ROUNDS_DIR / LOOP_NAME
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != _FORMAT or content["version"] != _VERSION:
            raise ValueError("another version of kinmo wrote it")
        told = content["plan"]
        return Plan(
            settings=settings_of(told, path, base_url),
            source=Path(told["source"]) if told["has_source"] else None,
            kind=told["kind"],
            mapping=Path(told["mapping"]) if told["mapping"] else None,
            motions=int(told["motions"]),
            seed=int(told["seed"]),
            fields=tuple(told["fields"]),
            evaluators=tuple(told["evaluators"]),
            gate=float(told["gate"]),
            gate_on=str(told["gate_on"]),
            first=str(told["first"]),
            max_error_rate=float(told.get("max_error_rate", 1.0)),
            refiner=told.get("refiner"),
            batch=bool(told.get("batch", False)),
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        remedy = "Put a copy of it back, or remove it and begin the loop again; rounds and prompts are kept."
        raise DatasetError(path, f"is damaged ({error})", remedy) from None
