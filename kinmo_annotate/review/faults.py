"""What people found wrong in a round, with the facts of the motions that the remarks are about.

The facts are what the describing model had before it: the row of the table and the poses at the keyframes of
that field. However long the round, the text stays within a bound, and says what was left out. It names no
motion and no person.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kinmo_annotate.describe.llm.payload import motions_fields
from kinmo_annotate.review.agreement import Agreement
from kinmo_annotate.review.disputes import is_disputed
from kinmo_annotate.review.rewrite import rows_of
from kinmo_annotate.review.rounds import Item, Round
from kinmo_annotate.review.store import WRONG, Judgement, Store
from kinmo_annotate.schema.records import MotionError, Row
from kinmo_annotate.schema.shards import Manifest

MOST_FAULTS: Final = 40
MOST_CHARACTERS: Final = 24_000  # of all faults: about 7,000 tokens
_MOST_NOTE: Final = 300
_MOST_SENTENCE: Final = 400
_MOST_FACTS: Final = 500
_NOT_SAID: Final = "no category"


@dataclass(frozen=True, slots=True)
class Fault:
    """A sentence that was found wrong, or disputed and settled.

    Attributes:
        motion_id: whose; for the program alone, the model is not told.
        field: group or pair.
        sentence: the text that was judged.
        remarks: who said what, a line each.
        notes: what was written by hand.
        category: of the verdict that holds, or of the first that says wrong.
        row: of the table that the sentence was written from.
        poses: of the groups of the field, a line each.
    """

    motion_id: str
    field: str
    sentence: str
    remarks: tuple[str, ...]
    notes: tuple[str, ...]
    category: str
    row: str
    poses: tuple[str, ...]

    @property
    def text(self) -> str:
        """What the model is told of it."""
        lines = [f'{self.field}: "{self.sentence}"', *self.remarks, f"table: {self.row}"]
        return "\n".join([*lines, *(f"poses: {line}" for line in self.poses)])


@dataclass(frozen=True, slots=True)
class Faults:
    """What was gathered of a round.

    Attributes:
        faults: within the bound, kinds of errors taking turns.
        left_out: beyond the bound.
        unsettled: disagreements that no adjudication has settled; they are not sent.
        sentences: judged in the round.
    """

    faults: tuple[Fault, ...]
    left_out: int
    unsettled: int
    sentences: int

    @property
    def text(self) -> str:
        """What the model is told of all."""
        parts = [f"{number}. {one.text}" for number, one in enumerate(self.faults, 1)]
        if self.left_out:
            parts.append(f"({self.left_out} more of the same kinds are left out)")
        return "\n\n".join(parts)


def gather(store: Store, round: Round) -> Faults:
    """Gather the errors and the settled disagreements of a round that all have finished.

    Args:
        store: of the reviewed dataset.
        round: which.

    Raises:
        MotionError: not all have finished, or a motion is gone or carries no joints.
        DatasetError: the round's dataset cannot be read.
    """
    said, final = store.both(round.name), store.final(round.name)
    found, unsettled = {}, 0
    for item in round.items:
        given = [judgements[item] for judgements in said.values()]
        disputed = is_disputed(given)
        if disputed and item not in final:
            unsettled += 1
        elif disputed or _holds(given, final.get(item)).verdict == WRONG:
            found[item] = given
    chosen = _taking_turns(found, final)
    facts = _facts(round, {motion_id for motion_id, _ in chosen[:MOST_FAULTS]})
    faults = [_fault(item, found[item], final.get(item), facts) for item in chosen[:MOST_FAULTS]]
    kept = _within(faults, MOST_CHARACTERS)
    return Faults(tuple(kept), len(found) - len(kept), unsettled, len(round.items))


def figures_text(found: Agreement, faults: Faults) -> str:
    """Say in a few lines how the round went."""
    overall = found.overall
    categories = [f"{name} {share:.0%}" for name, share in overall.errors.items() if share > 0]
    lines = [
        f"sentences judged: {faults.sentences}, by {len(found.round.evaluators)} people",
        f"judged wrong: {overall.error_rate.value:.0%}"
        + (f" of the judgements ({', '.join(categories)})" if categories else ""),
        f"agreement: {overall.agreement.value:.0%} of the sentences were judged alike,"
        f" Cohen's kappa {overall.kappa.value:.2f}",
    ]
    return "\n".join(lines)


def _holds(given: Sequence[Judgement], final: Judgement | None) -> Judgement:
    """Give the verdict that holds: the adjudicated one, else that of all."""
    return final or given[0]


def _category(given: Sequence[Judgement], final: Judgement | None) -> str:
    said = [one for one in (final, *given) if one is not None and one.verdict == WRONG and one.category]
    return said[0].category if said else ""


def _taking_turns(found: Mapping[Item, list[Judgement]], final: Mapping[Item, Judgement]) -> list[Item]:
    """Put errors before settled sentences, and the first of each category before the second of any."""
    seen: Counter[tuple[bool, str]] = Counter()
    places = {}
    for item, given in found.items():
        settled = _holds(given, final.get(item)).verdict != WRONG
        kind = settled, _category(given, final.get(item))
        places[item] = settled, seen[kind]
        seen[kind] += 1
    return sorted(found, key=places.__getitem__)


def _facts(round: Round, motion_ids: set[str]) -> dict[str, dict[str, str]]:
    """Write anew what the describing model was told of each motion.

    Raises:
        MotionError: a motion is not in the round's dataset any more.
    """
    rows = rows_of(round.dataset, sorted(motion_ids))
    missing = sorted(motion_ids - set(rows))
    if missing:
        remedy = "Annotate it again, then draw a new round."
        raise MotionError(str(round.dataset), f"has no motion {missing[0]} any more", remedy)
    seed = Manifest.load(round.dataset).settings.get("seed", 0)
    listed: list[Row] = list(rows.values())
    told = motions_fields([row.motion for row in listed], [row.keyframes for row in listed], seed=seed)
    return dict(zip(rows, told, strict=True))


def _fault(
    item: Item, given: Sequence[Judgement], final: Judgement | None, facts: Mapping[str, Mapping[str, str]]
) -> Fault:
    motion_id, field = item
    told = facts[motion_id]
    said = [(f"evaluator {number}", one) for number, one in enumerate(given, 1)]
    said += [("adjudication", final)] if final else []
    poses = [_line_of(told["keyframes"], group) for group in field.split("__")]
    return Fault(
        motion_id=motion_id,
        field=field,
        sentence=_cut(_one_line(given[0].sentence), _MOST_SENTENCE),
        remarks=tuple(f"{who}: {_remark(one)}" for who, one in said),
        notes=tuple(_one_line(one.note) for _, one in said if one.note.strip()),
        category=_category(given, final),
        row=_cut(_line_of(told["differences"], field), _MOST_FACTS),
        poses=tuple(_cut(line, _MOST_FACTS) for line in poses if line),
    )


def _remark(one: Judgement) -> str:
    """Write a judgement: `wrong (side): "it is the right leg"`."""
    kind = f" ({one.category or _NOT_SAID})" if one.verdict == WRONG else ""
    note = _cut(_one_line(one.note), _MOST_NOTE)
    return one.verdict + kind + (f': "{note}"' if note else "")


def _line_of(table: str, name: str) -> str:
    """Find the line of a group or pair."""
    return next((line for line in table.splitlines() if line.startswith(f"{name} |")), "")


def _within(faults: Sequence[Fault], most: int) -> list[Fault]:
    """Take faults from the front as long as they fit; the first always does."""
    kept: list[Fault] = []
    length = 0
    for one in faults:
        length += len(one.text)
        if kept and length > most:
            break
        kept.append(one)
    return kept


def _one_line(text: str) -> str:
    """Take out control characters and quotes, and collapse white space."""
    kept = (" " if c.isspace() or unicodedata.category(c)[0] == "C" else c for c in text.replace('"', "'"))
    return " ".join("".join(kept).split())


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 4].rstrip() + " ..."
