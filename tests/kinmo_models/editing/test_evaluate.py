"""The set of edits, and what is measured of them, on made-up motions."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from kinmo_annotate.schema.records import NO_MOVEMENT, NOT_DETERMINED, Caption
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES
from kinmo_models.editing.canvas import before, open_canvas, within
from kinmo_models.editing.cases import Case, make_cases
from kinmo_models.editing.editor import Edit, Edited, Editor
from kinmo_models.editing.evaluate import (
    EditSettings,
    edit_cases,
    kind_of,
    measure,
    moved_outside,
    scored_by,
)
from kinmo_models.editing.measure import seam_jump
from kinmo_models.generation.generator import Prompt


def never(features: np.ndarray, field: str, sentence: str) -> bool:
    return False


class MadeUpStore:
    """Motions of a split: the first moves the left arm alone, the second the right leg, others two groups."""

    dataset = "made-up"

    def __init__(self, rows) -> None:
        moving = [
            ("left_arm",),
            ("right_leg",),
            ("torso", "neck"),
            ("torso", "right_arm"),
            ("left_arm", "neck"),
        ]
        self.motion_ids = [f"{number:06d}" for number in range(len(moving))]
        self._rows = [rows(50 + number, number) for number in range(len(moving))]
        self.texts = [
            SimpleNamespace(
                captions=(Caption(f"A person does number {number}."),),
                fields=tuple(f"The {name} moves." if name in groups else NO_MOVEMENT for name in FIELDS),
            )
            for number, groups in enumerate(moving)
        ]

    def select(self, split: str) -> list[int]:
        return list(range(len(self.motion_ids)))

    def features(self, index: int) -> np.ndarray:
        return self._rows[index]


@pytest.fixture
def cases(rows) -> tuple[list[Case], list[Case]]:
    return make_cases(MadeUpStore(rows), "test", 12, 2.4, never)  # type: ignore[arg-type]


def test_edits_are_reproducible_and_ask_for_what_is_not_there(rows, cases):
    groups, times = cases
    again = make_cases(MadeUpStore(rows), "test", 12, 2.4, never)  # type: ignore[arg-type]
    other = make_cases(MadeUpStore(rows), "test", 12, 2.4, never, seed=1)  # type: ignore[arg-type]

    def drawn(of):
        return [(one.motion_id, one.caption, one.span) for kind in of for one in kind]

    assert drawn(again) == drawn(cases) != drawn(other)
    assert len(groups) == len(times) == 12
    assert {one.group for one in groups} == {"left_arm", "right_leg"}
    for one in groups:
        assert one.fields[one.group] == f"The {one.group} moves."
        assert one.motion_id not in {"left_arm": ("000000", "000004"), "right_leg": ("000001",)}[one.group]
        assert set(one.fields) - {one.group} == {name for name in FIELDS[6:] if one.group in name.split("__")}
        assert one.whole_fields[one.group] == one.fields[one.group]
        assert " while a person" in one.whole
    for one in times:
        assert 0 <= one.span[0] < one.span[1] <= len(one.features) / 20 + 1e-9
        assert set(one.whole_fields.values()) == {NOT_DETERMINED}
    assert all(len(one.features) % 4 == 0 and len(one.features) <= 48 for one in (*groups, *times))


def test_where_all_is_true_already_no_edit_is_left(rows):
    with pytest.raises(DatasetError, match="makes only 0 of 5"):
        make_cases(MadeUpStore(rows), "test", 5, 2.4, lambda *_: True)  # type: ignore[arg-type]


def test_what_is_measured_of_edits(generator, cases):
    settings = EditSettings(("G", "GJ"))
    groups, times = cases
    found = edit_cases(Editor(generator), groups[:4], "GJ", settings)
    reach = measure("group edits", groups[:4], found, lambda rows, field, sentence: field == "left_arm")
    share = np.mean([one.group == "left_arm" for one in groups[:4]])
    assert (reach.count, reach.found, reach.tokens_kept) == (4, share, 1.0)
    assert sorted(reach.found_by_group) == sorted({one.group for one in groups[:4]})
    assert reach.moved_most_mm == pytest.approx(0, abs=1e-3)
    assert reach.jump is None
    found = edit_cases(Editor(generator), times[:4], "G", settings)
    reach = measure("time edits", times[:4], found, never)
    assert (reach.found, reach.tokens_kept) == (None, 1.0)
    assert reach.moved_mm is not None
    assert 0 < reach.moved_mm <= (reach.moved_most_mm or 0)
    assert reach.jump is not None
    assert [kind_of(groups), kind_of(times)] == ["group edits", "time edits"]
    pairs = scored_by(groups)
    assert pairs.captions[0] == groups[0].whole
    assert list(pairs.fields[0])[:6] == list(GROUP_NAMES)


def made(canvas, rows, tokens=None) -> Edited:
    from kinmo_annotate.schema.features import features_to_joints

    tokens = canvas.tokens.astype(np.int64) if tokens is None else tokens
    return Edited(Edit(canvas, Prompt("x")), "G", 0, tokens, rows, features_to_joints(rows))


def test_a_jump_at_a_seam_is_seen(generator, rows):
    canvas = within(open_canvas(generator.tokenizer, rows(40)), 0.8, 1.2)
    smooth, torn = canvas.rows.copy(), canvas.rows.copy()
    torn[16:24, 4:67] += 0.3
    found = [seam_jump(canvas, made(canvas, one).joints) for one in (smooth, torn)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0] <= 1.0
    assert found[1] > 1.5
    assert moved_outside(made(canvas, torn)) == 0
    torn[30] += 0.1
    assert (moved_outside(made(canvas, torn)) or 0) > 0


def test_tokens_that_changed_outside_are_seen(generator, rows):
    canvas = within(open_canvas(generator.tokenizer, rows(40)), 0.8, 1.2)
    tokens = canvas.tokens.astype(np.int64)
    tokens[0, 2] += 1
    case = Case("a", canvas.rows, "x", {}, "x", {}, "", (0.8, 1.2))
    assert measure("time edits", [case], [made(canvas, canvas.rows, tokens)], never).tokens_kept == 0


def test_what_is_added_has_no_source_to_be_held_against(generator, rows):
    canvas = before(open_canvas(generator.tokenizer, rows(40)), 0.8)
    rows_after = np.concatenate([rows(16, 1), canvas.rows[16:]])
    assert moved_outside(made(canvas, rows_after)) == 0
    assert seam_jump(canvas, made(canvas, rows_after).joints) is not None
