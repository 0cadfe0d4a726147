"""Measure edits: how good edited motions are, what moved outside, and whether they do what was asked.

The metrics of T2M and HTMA-S are those of `kinmo evaluate generation` (KinMo, Table 3), of the edited motions
against the sources of the edits, each by a caption that says what the source does and what was asked for.
Each motion is edited at each level of text: G is told the caption that is asked for, G+J the sentence of the
group too, G+J+I those of its pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from kinmo_annotate.schema.features import features_to_joints
from kinmo_models.data.cache import Stages, stage
from kinmo_models.data.pairs import Pairs
from kinmo_models.editing.canvas import all_of, open_canvas, within
from kinmo_models.editing.cases import Case, IsTrue
from kinmo_models.editing.editor import Edit, Edited, Editor, others_than
from kinmo_models.editing.measure import MOST_JUMP, moved_in_body, moved_in_world, seam_jump
from kinmo_models.generation.generator import Prompt

LEVEL_NAMES: Final = {"G": "G", "GJ": "G+J", "GJI": "G+J+I"}
NOTES: Final = (
    "edits are made from the split: group edits ask for what a group does alone in another motion and hold"
    " the other groups; time edits write a random span under the texts of another motion",
    "moved outside: of group edits, held joints in the world; of time edits, all joints in the frame of the"
    " root, because what comes after a span moves over the ground as a whole",
    "asked change: every movement that the sentence names is found in the group by the fact check, at any"
    " time and any number of times",
)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far edits of one kind reached.

    Attributes:
        edits: whose, such as "group edits, G".
        count: how many.
        found: share of them in which the fact check finds what was asked; None of time edits.
        found_by_group: the same of the edits of each group.
        moved_mm: mean over the edits of how far joints outside moved.
        moved_most_mm: of the edit in which they moved farthest on average.
        tokens_kept: share of the edits whose tokens outside are the source's, bit for bit.
        jump: the largest change of velocity at a seam, in the largest that motion has elsewhere; None of
            group edits, which have no seams.
        jumps_above: share of the edits in which it is above `MOST_JUMP`.
    """

    edits: str
    count: int
    found: float | None
    found_by_group: dict[str, float]
    moved_mm: float | None
    moved_most_mm: float | None
    tokens_kept: float
    jump: float | None
    jumps_above: float | None

    def as_dict(self) -> dict[str, Any]:
        """Give JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class EditSettings:
    """How motions are edited to be measured.

    Attributes:
        levels: of text.
        tries: attempts of each edit.
        steps: of refinement by control.
        seed: of the first edit.
    """

    levels: tuple[str, ...]
    tries: int = 1
    steps: int = 0
    seed: int = 0


def scored_by(cases: Sequence[Case]) -> Pairs:
    """Give the sources with the captions and sentences that the results are scored by."""
    return Pairs(
        [case.motion_id for case in cases],
        [case.features for case in cases],
        [case.whole for case in cases],
        [dict(case.whole_fields) for case in cases],
    )


def edit_cases(
    editor: Editor,
    cases: Sequence[Case],
    level: str,
    settings: EditSettings,
    progress: Stages | None = None,
) -> list[Edited]:
    """Carry out edits at a level of text.

    Args:
        editor: edits.
        cases: what is asked.
        level: of text.
        settings: see `EditSettings`.
        progress: told of what is done.
    """
    asked = [_asked(editor, case, settings.seed + number) for number, case in enumerate(cases)]
    told = stage(f"{kind_of(cases)}, {LEVEL_NAMES[level]}", progress)
    return editor.edit(asked, level=level, tries=settings.tries, steps=settings.steps, progress=told)


def kind_of(cases: Sequence[Case]) -> str:
    """Name the kind of some edits."""
    return "group edits" if cases[0].group else "time edits"


def _asked(editor: Editor, case: Case, seed: int) -> Edit:
    canvas = open_canvas(editor.generator.tokenizer, case.features, case.motion_id)
    prompt = Prompt(case.caption, dict(case.fields), seed=seed * 1000)  # tries have the seeds that follow
    if case.group:
        return Edit(all_of(canvas), prompt, others_than([case.group]))
    return Edit(within(canvas, *case.span), prompt)


def measure(name: str, cases: Sequence[Case], edited: Sequence[Edited], is_true: IsTrue) -> Reach:
    """Tell how far edits reached.

    Args:
        name: whose edits.
        cases: what was asked.
        edited: what was made.
        is_true: the fact check.
    """
    moved = [one for one in map(moved_outside, edited) if one is not None]
    jumps = [one for one in map(_jump, edited) if one is not None]
    kept = [_kept(one) for one in edited]
    found: dict[str, list[bool]] = {}
    for case, one in zip(cases, edited, strict=True):
        if case.group:
            true = is_true(one.features, case.group, case.fields[case.group])
            found.setdefault(case.group, []).append(true)
    return Reach(
        name,
        len(edited),
        float(np.mean([true for of_group in found.values() for true in of_group])) if found else None,
        {group: float(np.mean(of_group)) for group, of_group in found.items()},
        1000 * float(np.mean(moved)) if moved else None,
        1000 * max(moved) if moved else None,
        float(np.mean(kept)),
        max(jumps) if jumps else None,
        float(np.mean(np.array(jumps) > MOST_JUMP)) if jumps else None,
    )


def moved_outside(one: Edited) -> float | None:
    """Tell how far joints outside of an edit moved on average, metres; None where nothing is outside."""
    canvas = one.edit.canvas
    if one.edit.held:
        source = features_to_joints(canvas.rows)
        return float(moved_in_world(source, one.joints, one.edit.held).mean())
    outside = ~canvas.edited
    if not outside.any():
        return None
    return float(moved_in_body(canvas.rows, one.features)[outside].mean())


def _jump(one: Edited) -> float | None:
    return seam_jump(one.edit.canvas, one.joints)


def _kept(one: Edited) -> bool:
    outside = ~one.edit.canvas.editable
    return bool((one.tokens[outside] == one.edit.canvas.tokens[outside]).all())
