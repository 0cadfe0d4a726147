"""A round without a browser: a CSV with a row a sentence and a GIF a motion, filled in and read back.

No file is named after a motion's id and no row is found by it: ids may be paths, and spreadsheets turn
`000021` into 21. The column `item` (`m01.left_leg`) says which sentence a row is about. Texts that a
spreadsheet would run as a formula get an apostrophe in front, which reading takes away again.

The sheet of the adjudication is one like the others, whose evaluator is `ADJUDICATION`: it has the sentences
that the evaluators disagree about, and a column more for what each of them said.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kinmo_annotate.dataset.read import Found, find
from kinmo_annotate.review.disputes import Opinions, disagreements
from kinmo_annotate.review.rounds import ADJUDICATION, Item, Round
from kinmo_annotate.review.store import CATEGORIES, JUDGEMENT_VERDICTS, Judgement, Store
from kinmo_annotate.schema.arrow import Record
from kinmo_annotate.schema.records import Keyframe, MotionError
from kinmo_annotate.schema.shards import atomic_write

SHEET_COLUMNS: Final = (
    "round", "evaluator", "item", "film", "caption", "field", "sentence", "verdict", "category", "note",
    "motion_id",
)  # fmt: skip
_NEEDED: Final = ("round", "evaluator", "item", "sentence", "verdict", "category", "note")

_FORMULA: Final = re.compile("'*[=+\\-@\t\r\n|%＝＋－＠]")
_LETTERS: Final = 5000  # of a text in a cell; spreadsheets cut cells at 32,767
_AGAIN: Final = "Export the sheet again with `kinmo annotate sheet export`."
_AS_CSV: Final = "Save it as CSV in UTF-8 (in Excel: 'CSV UTF-8'), with the columns that were there."

Tick = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class SheetProblem:
    """A row that was not taken: its line in the file, why, and what to do."""

    line: int
    reason: str
    remedy: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"line {self.line}: {self.reason}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a sheet.

    Attributes:
        round, evaluator: whose it is.
        saved: judgements that are new or other than before.
        unchanged: rows that say what was known, or nothing.
        left: sentences of the sheet that are not judged yet.
        finished: whether the evaluator has finished the round; of the adjudication, whether all is settled.
        problems: rows that were not taken.
    """

    round: str
    evaluator: str
    saved: int
    unchanged: int
    left: int
    finished: bool
    problems: tuple[SheetProblem, ...]


def export_sheet(
    store: Store,
    round: str,
    evaluator: str,
    folder: Path,
    *,
    films: bool = True,
    progress: Tick | None = None,
) -> Path:
    """Write `ROUND-EVALUATOR.csv` and a GIF a motion; what was judged already is filled in.

    Args:
        store: of the dataset.
        round: its name.
        evaluator: who is to fill it in; `ADJUDICATION` for the sheet on which disagreements are settled.
        folder: made where it is missing.
        films: write the GIFs too.
        progress: called with the number of motions done.

    Returns:
        The path of the CSV.

    Raises:
        MotionError: no such round or evaluator, a motion carries no joints to film, or an adjudication that
            is too early or has nothing to settle.
        DatasetError: a motion is not in the dataset any more, or a file cannot be written.
    """
    known = store.round(round)
    opinions = _opinions(store, known, evaluator)
    judged = store.current(round, evaluator)
    more = [f"{name} said" for name in known.evaluators] if evaluator == ADJUDICATION else []
    columns = [*SHEET_COLUMNS, *more]
    lines = [columns]
    for number, motion_id in enumerate(known.motion_ids):
        asked = [field for field in known.fields if (motion_id, field) in opinions]
        if asked:
            found = find(known.dataset, motion_id)
            if films:
                _write_film(found, folder / _film_name(number))
            for field in asked:
                item = motion_id, field
                row = _row(known, evaluator, number, field, found.record, judged.get(item))
                row |= {f"{name} said": _told(one) for name, one in opinions[item].items()}
                lines.append([_safe(row[column]) for column in columns])
        if progress:
            progress(1)
    text = io.StringIO(newline="")
    csv.writer(text).writerows(lines)
    path = folder / f"{known.name}-{evaluator}.csv"
    # the mark of byte order at the start tells Excel that this is UTF-8
    atomic_write(path, lambda file: file.write(text.getvalue().encode("utf-8-sig")))
    return path


def _opinions(store: Store, round: Round, evaluator: str) -> dict[Item, Opinions]:
    """List the sentences of a sheet, and for the adjudication what was said of each.

    Raises:
        MotionError: no such evaluator; of the adjudication, not all have finished or nobody disagrees.
    """
    if evaluator != ADJUDICATION:
        _check_evaluator(round, evaluator, f"round {round.name}", "has no evaluator named")
        return {item: {} for item in round.items}
    found = disagreements(store, round)
    if not found:
        remedy = f"Next: kinmo annotate agreement {store.dataset} --round {round.name}"
        raise MotionError(f"round {round.name}", "has no disagreement to settle", remedy)
    return found


def _check_evaluator(round: Round, name: str, where: str, reason: str) -> None:
    if name not in round.evaluators:
        remedy = f"The round {round.name} has {', '.join(round.evaluators)}."
        raise MotionError(where, f"{reason} {name[:80]!r}", remedy)


def _told(judgement: Judgement) -> str:
    """Write what somebody said: `wrong, side: it is the right leg`."""
    words = ", ".join(filter(None, (judgement.verdict, judgement.category)))
    return f"{words}: {judgement.note}" if judgement.note else words


def _film_name(number: int) -> str:
    return f"m{number + 1:02d}.gif"


def _item_name(number: int, field: str) -> str:
    return f"m{number + 1:02d}.{field}"


def _row(
    round: Round, evaluator: str, number: int, field: str, record: Record, judged: Judgement | None
) -> dict[str, str]:
    """Give the cells of one sentence by column."""
    return {
        "round": round.name,
        "evaluator": evaluator,
        "item": _item_name(number, field),
        "film": _film_name(number),
        "caption": _shown(" / ".join(caption["text"] for caption in record["captions"])),
        "field": field.replace("__", " and ").replace("_", " "),
        "sentence": _shown(sentence_of(record, field)),
        "verdict": judged.verdict if judged else "",
        "category": judged.category if judged else "",
        "note": judged.note if judged else "",
        "motion_id": round.motion_ids[number],
    }


def sentence_of(record: Record, field: str) -> str:
    """Give what a row of a dataset says of a group or a pair."""
    sentence: str = (record["groups"] | record["interactions"])[field]
    return sentence


def _shown(text: str) -> str:
    """Cut what no cell holds."""
    return text if len(text) <= _LETTERS else text[:_LETTERS] + " [...]"


def _safe(text: str) -> str:
    """Keep a spreadsheet from running a text."""
    return f"'{text}" if _FORMULA.match(text) else text


def _plain(text: str) -> str:
    """Take back what `_safe` did."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _write_film(found: Found, path: Path) -> None:
    """Write the GIF of a motion, its captions below it."""
    from kinmo_annotate.render.film import film

    record = found.record
    if found.joints is None:
        remedy = "Put the motions back with `kinmo dataset join`, or leave the films away with --no-films."
        raise MotionError(record["motion_id"], "carries no motion to film", remedy)
    keyframes = [Keyframe(**keyframe) for keyframe in record["keyframes"]]
    caption = record["captions"][0]["text"][:300] if record["captions"] else ""
    film(found.joints, path, record["fps"], caption, keyframes)


# ------------------------------------------------------------ and back


def import_sheet(store: Store, path: Path, *, finish: bool = True) -> Imported:
    """Read a sheet that was filled in; rows that cannot be taken are told, the others are saved.

    Reading a sheet twice saves nothing twice. A row without verdict, category and note says nothing, and
    withdraws nothing that was said before. A later sheet of the adjudication overrules an earlier one.

    Args:
        store: of the dataset that the sheet was made from.
        path: the CSV, with commas, semicolons or tabs.
        finish: an evaluator who has judged every sentence has finished the round.

    Raises:
        MotionError: the file is no such sheet, or cannot be read; no such round or evaluator; an
            adjudication before all have finished, or without a disagreement.
        DatasetError: a motion is not in the dataset any more.
    """
    rows = _read(path)
    round, evaluator = _whose(rows, path, store)
    problems, saved, unchanged = [], 0, 0
    asked = set(_opinions(store, round, evaluator))
    reader = _Reader(store, round, evaluator, asked)
    for line, row in rows:
        try:
            judgement = reader.judgement(row)
            if reader.is_known(judgement):
                unchanged += 1
            else:
                store.save(judgement)
                saved += 1
        except MotionError as error:
            problems.append(SheetProblem(line, f"{error.where}: {error.reason}", error.remedy))
    done = {item for item, one in store.current(round.name, evaluator).items() if one.verdict}
    left = len(asked - done)
    if evaluator == ADJUDICATION:
        finished = not left
    else:
        if finish and not left and not problems:
            store.finish(round.name, evaluator)
        finished = evaluator in store.finished(round.name)
    return Imported(round.name, evaluator, saved, unchanged, left, finished, tuple(problems))


class _Reader:
    """Turns rows of one evaluator's sheet into judgements."""

    def __init__(self, store: Store, round: Round, evaluator: str, asked: set[Item]) -> None:
        self._round, self._evaluator = round, evaluator
        self._items = {
            _item_name(number, field): (motion_id, field)
            for number, motion_id in enumerate(round.motion_ids)
            for field in round.fields
            if (motion_id, field) in asked
        }
        self._known = store.current(round.name, evaluator)
        self._seen: set[Item] = set()
        self._records: dict[str, Record] = {}

    def judgement(self, row: dict[str, str]) -> Judgement:
        """Read one row.

        Raises:
            MotionError: no such item, one told twice, another sentence, a verdict or category that is none.
        """
        name = row["item"].strip()
        if name not in self._items:
            reason = f"no such item is asked for in the round {self._round.name}"
            raise MotionError(name[:80] or "empty item", reason, _AGAIN)
        item = self._items[name]
        if item in self._seen:
            raise MotionError(name, "is there a second time", "Keep one row of it.")
        self._seen.add(item)
        sentence = self._sentence(*item)
        if _letters(row["sentence"]) != _letters(_shown(sentence)):
            raise MotionError(name, "its sentence is not the one in the dataset", _AGAIN)
        verdict, category = (_word(row[column]) for column in ("verdict", "category"))
        _check_words(name, verdict, category)
        note = row["note"].replace("\r\n", "\n").strip()
        return Judgement(self._round.name, self._evaluator, *item, verdict, category, note, sentence)

    def _sentence(self, motion_id: str, field: str) -> str:
        if motion_id not in self._records:
            self._records[motion_id] = find(self._round.dataset, motion_id).record
        return sentence_of(self._records[motion_id], field)

    def is_known(self, judgement: Judgement) -> bool:
        """Tell whether a judgement says nothing, or what the store holds."""
        known = self._known.get(judgement.item)
        told = (judgement.verdict, judgement.category, judgement.note)
        same = known is not None and told == (known.verdict, known.category, known.note.strip())
        return same or not any(told)


def _word(text: str) -> str:
    return text.strip().lower()


def _check_words(name: str, verdict: str, category: str) -> None:
    """Refuse words with a remedy that fits a sheet."""
    for word, known, column in ((verdict, JUDGEMENT_VERDICTS, "verdict"), (category, CATEGORIES, "category")):
        if word and word not in known:
            remedy = f"Write {', '.join(known)}, or leave it empty."
            raise MotionError(name, f"its {column} is {word[:40]!r}", remedy)


def _letters(text: str) -> str:
    """What of a text survives a spreadsheet: all but the kind and number of its spaces."""
    return " ".join(text.split())


def _read(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Read the rows of a sheet, each with its line in the file.

    Raises:
        MotionError: it cannot be read, is not in UTF-8, or lacks a column.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        reason = f"cannot be read ({(error.strerror or str(error)).lower()})"
        raise MotionError(str(path), reason, "Give the CSV that was filled in.") from None
    except UnicodeError:
        raise MotionError(str(path), "is not text in UTF-8", _AS_CSV) from None
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    try:
        return list(_rows(text, separator, path))
    except csv.Error as error:
        raise MotionError(str(path), f"is no CSV ({error})", _AS_CSV) from None


def _rows(text: str, separator: str, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Give the rows that hold anything, by column, texts as they were before `_safe`."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    header = [_word(name) for name in next(reader, [])]
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        raise MotionError(str(path), f"lacks the columns {', '.join(missing)}", _AS_CSV)
    line = reader.line_num + 1
    for cells in reader:
        if any(cell.strip() for cell in cells):
            row = dict.fromkeys(header, "") | dict(zip(header, map(_plain, cells), strict=False))
            yield line, row
        line = reader.line_num + 1


def _whose(rows: list[tuple[int, dict[str, str]]], path: Path, store: Store) -> tuple[Round, str]:
    """Tell the round and the evaluator of a sheet.

    Raises:
        MotionError: it has no row, mixes several, or there is no such round or evaluator.
    """
    owners = {(row["round"].strip(), row["evaluator"].strip()) for _, row in rows}
    if len(owners) != 1:
        reason = "mixes rounds or evaluators" if owners else "has no row"
        raise MotionError(str(path), reason, _AGAIN)
    ((name, evaluator),) = owners
    round = store.round(name)
    if evaluator != ADJUDICATION:
        _check_evaluator(round, evaluator, str(path), "is of an evaluator named")
    return round, evaluator
