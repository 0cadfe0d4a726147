"""Worded edits: how they are drawn, which wordings are kept, and their file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kinmo_annotate.schema.records import NO_MOVEMENT, NOT_DETERMINED
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_models.data.motions import MotionStore
from kinmo_models.reasoner.data import Texts
from kinmo_models.reasoner.edits import Edit, Said
from kinmo_models.reasoner.form import KEEP
from kinmo_models.reasoner.worded import (
    DrawnEdit,
    WordedEdit,
    contradicts,
    draw_edits,
    read_edits,
    usable,
    write_edits,
)


@pytest.fixture
def texts(make_dataset: Callable[..., Path], tmp_path: Path) -> Texts:
    return Texts(MotionStore.open(make_dataset(6), tmp_path / "cache"), "train", 80)


@pytest.fixture
def rows(texts: Texts) -> list[WordedEdit]:
    drawn = draw_edits(texts, 8, 0)
    return [
        WordedEdit(one, f"wording {place} of {n}", "some-model", "edit-0", None if n else 0.5)
        for n, one in enumerate(drawn)
        for place in range(2)
    ]


def edit(said: Callable[..., tuple[Said, Said]], before: str, after: str, **sentences: tuple[str, str]):
    """An edit that changes some fields, each from one sentence to another."""
    old = said(before, **{name: pair[0] for name, pair in sentences.items()})[0]
    fields = tuple(sentences[name][1] if name in sentences else KEEP for name in FIELDS)
    return DrawnEdit("1", False, Edit("other", old, "do it", after, fields))


def test_edits_are_drawn_anew_by_the_seed_alone_and_differ(texts: Texts):
    some, more = draw_edits(texts, 2, 3), draw_edits(texts, 4, 3)
    assert more[:2] == some
    assert (len(some), len(more)) == (2, 4)
    assert {tuple(draw_edits(texts, 2, seed)) for seed in range(4)} != {tuple(some)}
    told = {(one.edit.before.caption, one.edit.caption, one.edit.fields[:6]) for one in more}
    assert len(told) == len(more)
    assert {one.mirrored for one in more} == {True, False}
    assert {one.motion_id for one in more} <= set(texts.motion_ids)
    assert 4 <= len(draw_edits(texts, 50, 0)) < 50, "so small a split has no more that differ"


def test_changed_groups_are_told_with_both_sentences(said: Callable[..., tuple[Said, Said]]):
    one = edit(
        said, "a person walks", "a person walks and waves",
        left_arm=(NO_MOVEMENT, "The left arm waves."), neck__left_arm=(NO_MOVEMENT, "They part."),
    )  # fmt: skip
    assert one.changed_groups == {"left_arm": (NO_MOVEMENT, "The left arm waves.")}


@pytest.mark.parametrize(
    ("instruction", "wrong"),
    [
        ("raise the left arm too", False),
        ("raise an arm too", False),
        ("raise the right arm too", True),
        ("keep the right one down and raise the left one", False),
        ("not with the right hand", False),
        ("with the right hand instead of the left", True),
        ("the left one rather than the right one", False),
        ("raise the left leg too", True),
        ("touch the knee with the left hand", False),
        ("do not kick", False),
    ],
)
def test_a_wording_of_another_side_or_limb_is_dropped(said, instruction: str, wrong: bool):
    """The left arm moves now; the right one did before, and the caption still says so."""
    one = edit(
        said, "a person waves with the right hand", "a person waves with the right hand and raises the left",
        left_arm=(NO_MOVEMENT, "The left arm rises."), torso__left_arm=(NO_MOVEMENT, "They part."),
    )  # fmt: skip
    assert contradicts(one, instruction) is wrong


def test_what_side_is_meant_is_known_from_the_caption_first(said: Callable[..., tuple[Said, Said]]):
    """In the mirror the legs have changed too, and both sides move."""
    swapped = edit(
        said, "a person walks and waves with the left hand", "a person walks and waves with the right hand",
        left_arm=("The left arm waves.", NO_MOVEMENT), right_arm=(NO_MOVEMENT, "The right arm waves."),
        left_leg=("The left leg steps.", "The left leg takes a step."),
    )  # fmt: skip
    assert contradicts(swapped, "use the left hand")
    assert not contradicts(swapped, "use the right hand instead of the left hand")
    stays = edit(
        said, "a person turns to the left", "a person lunges with the left leg",
        right_leg=(NO_MOVEMENT, "The right leg steps."),
    )  # fmt: skip
    assert not contradicts(stays, "lunge with the left leg")
    ends = edit(
        said, "a person waves", "a person stands", right_arm=("The right arm waves.", NO_MOVEMENT)
    )  # fmt: skip
    assert not contradicts(ends, "keep the right arm still")
    assert contradicts(ends, "keep the left arm still")


def test_what_the_templates_say_is_never_taken_for_wrong(texts: Texts):
    """Their instructions are true; with left and right exchanged, those that name one side are not."""
    drawn = draw_edits(texts, 4, 0)
    assert not [one.edit.instruction for one in drawn if contradicts(one, one.edit.instruction)]
    exchanged = {one: one.edit.in_mirror().instruction for one in drawn}
    changed = [one for one, said in exchanged.items() if said != one.edit.instruction]
    assert changed
    assert all(contradicts(one, exchanged[one]) for one in changed)


def test_wordings_are_clean_and_come_once(said: Callable[..., tuple[Said, Said]]):
    one = edit(said, "a person walks", "a person waves", left_arm=(NO_MOVEMENT, "The left arm waves."))
    wordings = ["Raise the LEFT arm: [now]!", "raise the left arm now", "right arm up", "instruction: <b>up"]
    copied = ["The left arm rises at 0.8 s, then lowers.", NO_MOVEMENT, NOT_DETERMINED, "A person walks."]
    kept, left_out = usable(one, [*wordings, *copied], 80)
    assert kept == ["raise the left arm now", "instruction b up"]
    assert left_out == 1 + len(copied)
    assert usable(one, ["one two three"], 2)[0] == ["one two"]


def test_what_is_written_is_read_again(rows: list[WordedEdit], texts: Texts, tmp_path: Path):
    path = tmp_path / "edits.parquet"
    write_edits(path, rows)
    write_edits(path, rows)  # its own kind may be written over
    found = read_edits(path, texts, 80)
    assert sum(map(len, found.values())) == len(rows)
    for row in rows:
        whole = Edit(
            row.drawn.edit.kind, row.drawn.edit.before, row.instruction, row.drawn.edit.caption,
            row.drawn.edit.fields,
        )  # fmt: skip
        plain = whole.in_mirror() if row.drawn.mirrored else whole
        place = texts.motion_ids.index(row.drawn.motion_id)
        assert plain in found[place]
        assert plain.before in texts.motions[place][0]
    table = pq.read_table(path).to_pylist()
    assert table[0]["cost_usd"] == 0.5
    assert table[2]["cost_usd"] is None
    for row, one in zip(table, rows, strict=True):
        stays = [name for name, text in zip(FIELDS, one.drawn.edit.fields, strict=True) if text == KEEP]
        assert [name for name in FIELDS if row[name] is None] == stays


def test_empty_texts_stay_too(rows: list[WordedEdit], texts: Texts, tmp_path: Path):
    path = tmp_path / "edits.parquet"
    table = pa.Table.from_pylist([one.row() | dict.fromkeys(FIELDS, "") for one in rows[:2]])
    pq.write_table(table.drop_columns("cost_usd").append_column("cost_usd", pa.nulls(2)), path)
    (edits,) = read_edits(path, texts, 80).values()
    assert {one.fields for one in edits} == {(KEEP,) * 21}


def changed(name: str, value: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = [value, *table[name].to_pylist()[1:]]
        return table.set_column(table.column_names.index(name), name, pa.array(values))

    return change


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda table: table.drop_columns("instruction"), "it has no column instruction"),
        (lambda table: table.slice(0, 0), "holds no edit"),
        (changed("motion_id", "nobody"), "row 1 is of the motion nobody, which the split trained on has not"),
        (changed("caption", "a person swims"), "row 1: .* has no caption 'a person swims'"),
        (changed("instruction", " ?"), "row 1: has an empty instruction"),
        (changed("kind", "odd"), "row 1: is of an unknown kind 'odd'"),
        (changed("caption_after", None), "has other types of columns, or empty cells"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(rows, texts: Texts, tmp_path: Path, spoil, reason: str):
    path = tmp_path / "edits.parquet"
    write_edits(path, rows)
    pq.write_table(spoil(pq.read_table(path)), path)
    with pytest.raises(DatasetError, match=f"edits.parquet.*{reason}.*kinmo annotate edits DATASET"):
        read_edits(path, texts, 80)


def test_a_file_that_is_missing_or_cut_off(rows: list[WordedEdit], texts: Texts, tmp_path: Path):
    path = tmp_path / "edits.parquet"
    with pytest.raises(DatasetError, match="is missing"):
        read_edits(path, texts, 80)
    write_edits(path, rows)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match="is damaged or no Parquet file"):
        read_edits(path, texts, 80)


def test_no_other_file_is_written_over(rows: list[WordedEdit], tmp_path: Path):
    path = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"mine": [1]}), path)
    before = path.read_bytes()
    for target in (path, tmp_path):
        with pytest.raises(DatasetError, match=r"is no file of worded edits.*another --out"):
            write_edits(target, rows)
    assert path.read_bytes() == before
