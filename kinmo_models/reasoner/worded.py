"""Edits with an instruction that a language model worded: drawn here, kept as Parquet, read to learn from.

What stands before and after, and which fields change, is drawn from the motions of a split and never the
language model's; of that there is the instruction alone, in a row of its own for each way of wording it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kinmo_annotate.schema.records import NO_MOVEMENT, NOT_DETERMINED
from kinmo_annotate.schema.shards import DatasetError, atomic_write
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES
from kinmo_models.reasoner.data import Texts
from kinmo_models.reasoner.edits import KINDS, Edit, Said
from kinmo_models.reasoner.form import KEEP, clean_caption

_ORDER, _DRAWN = 0, 1  # streams of chance
_TRIES: Final = 4  # draws for each edit that is wanted: not all fit, and some come twice
_REMEDY: Final = "Make the file of this dataset: kinmo annotate edits DATASET --out FILE."
_SIDE: Final = re.compile(r"\b(left|right)\b")
# What stands in sentences, and in nothing that a user types.
_COPIED: Final = re.compile(rf"\d s\b|{clean_caption(NO_MOVEMENT, 80)}|{clean_caption(NOT_DETERMINED, 80)}")
_LIMBS: Final = {
    "arm": re.compile(r"\b(?:arm|hand|fist|elbow|wrist)s?\b"),
    "leg": re.compile(r"\b(?:legs?|foot|feet|knees?|ankles?)\b"),
}
# What is not to be done any more: "instead of the left hand", "not the left one, ...".
_NOT: Final = re.compile(
    r"\b(?:instead of|rather than|not|don't|no longer|stop|without|never)\b.*?(?=,|;|\.| and | but |$)"
)

SCHEMA: Final = pa.schema(
    [
        pa.field("motion_id", pa.string(), nullable=False),
        pa.field("mirrored", pa.bool_(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("instruction", pa.string(), nullable=False),
        pa.field("caption_after", pa.string(), nullable=False),
        *(pa.field(name, pa.string()) for name in FIELDS),
        pa.field("model", pa.string(), nullable=False),
        pa.field("prompt_version", pa.string(), nullable=False),
        pa.field("cost_usd", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class DrawnEdit:
    """An edit of a motion, or of its mirror image.

    Attributes:
        motion_id: of the motion.
        mirrored: whether its mirror image is meant.
        edit: with the instruction of a template.
    """

    motion_id: str
    mirrored: bool
    edit: Edit

    @property
    def changed_groups(self) -> dict[str, tuple[str, str]]:
        """Sentence before and after of each group that changes, by name."""
        return {
            name: (old, new)
            for name, old, new in zip(GROUP_NAMES, self.edit.before.fields, self.edit.fields, strict=False)
            if new != KEEP
        }


def draw_edits(texts: Texts, count: int, seed: int) -> list[DrawnEdit]:
    """Draw edits of a split, each motion in its turn; those for fewer are the first of those for more.

    No two have the same captions and the same sentences of the groups after them: what an instruction can be
    worded from differs.

    Args:
        texts: of the split.
        count: how many; there are fewer where the split does not give so many.
        seed: of everything that is drawn.
    """
    found: dict[tuple[Any, ...], DrawnEdit] = {}
    for number in range(_TRIES * count):
        if len(found) == count:
            break
        turn, position = divmod(number, len(texts))
        if not position:
            order = np.random.default_rng([seed, _ORDER, turn]).permutation(len(texts))
        random = np.random.default_rng([seed, _DRAWN, number])
        place, mirrored = int(order[position]), bool(random.random() < 0.5)
        edit = texts.edits.draw(place, mirrored, random)
        if edit is not None:
            told = (edit.before.caption, edit.caption, edit.fields[: len(GROUP_NAMES)])
            found.setdefault(told, DrawnEdit(texts.motion_ids[place], mirrored, edit))
    return list(found.values())


# ---------------------------------------------------------------- wordings


def usable(drawn: DrawnEdit, wordings: Iterable[str], most_words: int) -> tuple[list[str], int]:
    """Choose the ways of wording an edit that may be learned from.

    Args:
        drawn: the edit.
        wordings: as they were written.
        most_words: of an instruction.

    Returns:
        Those that can be used, clean, each once; and how many others there are: they contradict the edit, say
        what is done already, or are copied from a sentence, with its seconds or with nothing that moves.
    """
    cleaned = dict.fromkeys(clean_caption(wording, most_words) for wording in wordings)
    useless = ("", drawn.edit.before.caption)
    kept = [
        one
        for one in cleaned
        if one not in useless and not _COPIED.search(one) and not contradicts(drawn, one)
    ]
    return kept, len(cleaned) - len(kept)


def contradicts(drawn: DrawnEdit, instruction: str) -> bool:
    """Tell whether an instruction asks for other sides, or other limbs, than the edit is about.

    What is asked for is what is named, but for what is to end ("instead of the left hand"). One of those
    named has to be right: the others may be what stays.
    """
    asked = _NOT.sub(" ", instruction)
    return any(
        named and not named & known
        for named, known in (
            (_sides_in(asked), _sides(drawn)),
            (_limbs_in(asked), _limbs(drawn)),
        )
    )


def _sides(drawn: DrawnEdit) -> set[str]:
    """Tell which sides of the body an edit is about.

    That is the side which the caption after it names, where it is one. Where the caption before it names the
    same, or there are two or none, those of the changed groups that move after it join it, by their names and
    sentences; where none moves, those that come to rest; else all that the caption names.
    """
    named = _sides_in(drawn.edit.caption)
    one = named if len(named) == 1 else set()
    if one and one != _sides_in(drawn.edit.before.caption):
        return one
    moves: set[str] = set()
    rests: set[str] = set()
    for name, (_, new) in drawn.changed_groups.items():
        still = new in (NO_MOVEMENT, NOT_DETERMINED)
        (rests if still else moves).update(_sides_in(f"{name.replace('_', ' ')} {new}"))
    return one | (moves or rests or named)


def _limbs(drawn: DrawnEdit) -> set[str]:
    """Tell which limbs an edit is about: those of the changed groups, and those that its caption names."""
    return _limbs_in(f"{drawn.edit.caption} {' '.join(drawn.changed_groups).replace('_', ' ')}")


def _sides_in(text: str) -> set[str]:
    return set(_SIDE.findall(text))


def _limbs_in(text: str) -> set[str]:
    return {limb for limb, words in _LIMBS.items() if words.search(text)}


# ---------------------------------------------------------------- the file


@dataclass(frozen=True, slots=True)
class WordedEdit:
    """A row of the file: one way of wording an edit.

    Attributes:
        drawn: the edit.
        instruction: clean.
        model: that worded it.
        prompt_version: of the prompt that it followed.
        cost_usd: of this wording: what the answer cost, shared by the wordings that it brought; None where no
            price is known.
    """

    drawn: DrawnEdit
    instruction: str
    model: str
    prompt_version: str
    cost_usd: float | None

    def row(self) -> dict[str, Any]:
        """Give the values of `SCHEMA`; fields that stay are null."""
        edit = self.drawn.edit
        fields = {n: None if text == KEEP else text for n, text in zip(FIELDS, edit.fields, strict=True)}
        return {
            "motion_id": self.drawn.motion_id,
            "mirrored": self.drawn.mirrored,
            "kind": edit.kind,
            "caption": edit.before.caption,
            "instruction": self.instruction,
            "caption_after": edit.caption,
            **fields,
            "model": self.model,
            "prompt_version": self.prompt_version,
            "cost_usd": self.cost_usd,
        }


def check_target(path: Path) -> None:
    """Refuse to write over anything but such a file.

    Raises:
        DatasetError: there is something else.
    """
    if not path.exists():
        return
    try:
        if pq.read_schema(path).equals(SCHEMA):
            return
    except (OSError, pa.ArrowException):
        pass
    reason = "is there already and is no file of worded edits"
    raise DatasetError(path, reason, "Choose another --out, or move it away.")


def write_edits(path: Path, edits: Sequence[WordedEdit]) -> None:
    """Write the file, whole or not at all.

    Raises:
        DatasetError: there is another kind of file, or it cannot be written.
    """
    check_target(path)
    table = pa.Table.from_pylist([one.row() for one in edits], schema=SCHEMA)
    atomic_write(path, lambda file: pq.write_table(table, file, compression="zstd"))


def read_edits(path: Path, texts: Texts, most_words: int) -> dict[int, list[Edit]]:
    """Read the file as edits of the motions of a split, none of them in the mirror.

    Args:
        path: what `write_edits` wrote.
        texts: of the split that is trained on.
        most_words: of a caption or an instruction.

    Returns:
        Edits by the place of the motion in `texts`.

    Raises:
        DatasetError: it is missing or damaged, lacks a column or a value, or is of other motions.
    """
    rows = _read_table(path).to_pylist()
    if not rows:
        raise DatasetError(path, "holds no edit", _REMEDY)
    places = {motion_id: place for place, motion_id in enumerate(texts.motion_ids)}
    found: dict[int, list[Edit]] = defaultdict(list)
    for number, row in enumerate(rows, start=1):
        if row["motion_id"] not in places:
            reason = f"row {number} is of the motion {row['motion_id']}, which the split trained on has not"
            raise DatasetError(path, reason, _REMEDY)
        place = places[row["motion_id"]]
        said = texts.motions[place][bool(row["mirrored"])]
        edit = _edit_of(row, said, most_words, f"{path}, row {number}")
        found[place].append(edit.in_mirror() if row["mirrored"] else edit)
    return dict(found)


def _read_table(path: Path) -> pa.Table:
    """Read the columns.

    Raises:
        DatasetError: the file is missing or damaged, or lacks some.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "is damaged or no Parquet file"
        raise DatasetError(path, reason, _REMEDY) from None
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        reason = f"is no file of worded edits: it has no column {', '.join(missing[:5])}"
        raise DatasetError(path, reason, _REMEDY)
    try:
        return table.select(SCHEMA.names).cast(SCHEMA)
    except (ValueError, pa.ArrowException) as error:
        raise DatasetError(path, f"has other types of columns, or empty cells ({error})", _REMEDY) from None


def _edit_of(row: dict[str, Any], said: Sequence[Said], most_words: int, where: str) -> Edit:
    """Give a row as an edit of what is said of its motion.

    Raises:
        DatasetError: the motion has another caption, or a text is empty.
    """
    texts = {n: clean_caption(row[n], most_words) for n in ("caption", "instruction", "caption_after")}
    empty = [name for name, text in texts.items() if not text]
    if empty or row["kind"] not in KINDS:
        reason = f"has an empty {empty[0]}" if empty else f"is of an unknown kind {row['kind']!r}"
        raise DatasetError(where, reason, _REMEDY)
    before = next((one for one in said if one.caption == texts["caption"]), None)
    if before is None:
        raise DatasetError(where, f"{row['motion_id']} has no caption {texts['caption']!r}", _REMEDY)
    fields = tuple(row[name] or KEEP for name in FIELDS)
    return Edit(row["kind"], before, texts["instruction"], texts["caption_after"], fields)
