"""Edit motions with a generator: in time, under other texts, and of single joint groups.

    canvas = open_canvas(generator.tokenizer, features)
    edit = Edit(within(canvas, 1.0, 2.5), Prompt("a person waves with the left hand"))
    Editor(generator).edit([edit])[0].joints

Tokens that an edit does not write stay bit for bit. Groups that are held are taken from the source
(`compose_groups`). Where refinement is asked for (`steps`), the embedding of the tokens is then moved until
the decoder gives the body so composed, as far as it can, and what it gives is composed again: the groups
that were written become those of a body whose other groups move as the source's do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.features import features_to_joints, joints_to_features
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import FPS, GROUP_NAMES, GROUPS, NUM_JOINTS, PAIRS, pair_name
from kinmo_models.control.paths import JointPath
from kinmo_models.control.refine import refine
from kinmo_models.data.cache import Progress
from kinmo_models.editing.canvas import Canvas
from kinmo_models.editing.compose import compose_groups, compose_in_time, smooth_seams
from kinmo_models.editing.measure import MOST_JUMP, seam_jump
from kinmo_models.generation.config import SamplingConfig
from kinmo_models.generation.generator import Generated, Generator, Known, Prompt
from kinmo_models.retrieval.retriever import Retriever
from kinmo_models.tokenizer.coder import Features
from kinmo_models.tokenizer.config import UNIT

Joints = NDArray[np.float32]

_SMOOTHED: Final = 12  # times at most


@dataclass(frozen=True)
class Edit:
    """What is to be made of a motion.

    Attributes:
        canvas: the motion, and which of its tokens are written.
        prompt: the texts that they are written under, and the first seed; its length does not count.
        held: names of joint groups that stay as they are. The generator is not told the sentences about them
            alone: what they do comes from the source.
    """

    canvas: Canvas
    prompt: Prompt
    held: tuple[str, ...] = ()


@dataclass(frozen=True)
class Edited:
    """A motion that was edited.

    Attributes:
        edit: what was asked.
        level: of text that was used.
        seed: of the attempt that was kept.
        tokens: (n, L) after the edit; those that were not editable are the source's.
        features: (T, 263) float32, not normalised.
        joints: (T, 22, 3) float32, metres, y up; the source's frame of reference where groups are held, else
            from the origin, facing +z at first.
    """

    edit: Edit
    level: str
    seed: int
    tokens: NDArray[np.int64]
    features: Features
    joints: Joints


class Editor:
    """Edits motions.

    Attributes:
        generator: what writes.
        retriever: what tells which of several attempts is most like its texts; None where the generator
            carries no retrieval model.
    """

    def __init__(self, generator: Generator, retriever: Retriever | None = None) -> None:
        self.generator = generator
        self.retriever = retriever or getattr(generator.text, "retriever", None)

    def edit(
        self,
        edits: Sequence[Edit],
        *,
        level: str | None = None,
        tries: int = 1,
        steps: int = 0,
        sampling: SamplingConfig | None = None,
        progress: Progress | None = None,
    ) -> list[Edited]:
        """Edit motions; none depends on those beside it.

        Args:
            edits: what is asked.
            level: of text, as of `Generator.generate`.
            tries: attempts of each, with seeds that follow on its own; the one that the retrieval model finds
                most like the texts is kept.
            steps: passes through the decoder of that refinement; 0 leaves it out.
            sampling: as of `Generator.generate`.
            progress: told of what is done.

        Raises:
            MotionError: a motion is longer than the generator writes, nothing or everything is to be
                written, or a group is unknown.
            ValueError: as of `Generator.generate`; several tries without a retrieval model.
        """
        if tries > 1 and self.retriever is None:
            raise ValueError("the generator carries no retrieval model to choose among several tries with")
        for one in edits:
            check_edit(one, self.generator.most_seconds)
        found = []
        for one in edits:
            found.append(self._edited(one, level, tries, steps, sampling))
            if progress is not None:
                progress(len(found), len(edits))
        return found

    def _edited(
        self, edit: Edit, level: str | None, tries: int, steps: int, sampling: SamplingConfig | None
    ) -> Edited:
        prompt = replace(edit.prompt, fields=told_fields(edit.prompt.fields, edit.held), seconds=None)
        prompts = [replace(prompt, seed=prompt.seed + number) for number in range(tries)]
        known = Known(edit.canvas.tokens, edit.canvas.editable)
        written = self.generator.write(prompts, [known] * tries, level=level, sampling=sampling)
        kept = written[self._best(written)]
        canvas = edit.canvas
        rows = compose_in_time(canvas.rows, canvas.decoded, _extended(kept.features, canvas), canvas.edited)
        rows = _smooth(rows, canvas)
        joints = features_to_joints(rows)
        if edit.held:
            source = features_to_joints(canvas.rows)
            joints = compose_groups(source, joints, edit.held)
            if steps:
                joints = compose_groups(source, self._refined(kept, joints, steps), edit.held)
            rows = joints_to_features(_one_more(joints), canvas.where)
        return Edited(edit, kept.level, kept.prompt.seed, kept.tokens, rows, joints)

    def _best(self, written: Sequence[Generated]) -> int:
        """Choose the attempt that is most like its texts."""
        if len(written) == 1 or self.retriever is None:
            return 0
        prompt, level = written[0].prompt, written[0].level
        known = self.retriever.levels
        fields = None if level == known[0] else [prompt.fields or {}]
        text = self.retriever.encode_texts([prompt.caption], fields, level if level in known else known[-1])
        motions = self.retriever.encode_features([one.features for one in written])
        return int((motions @ text[0]).argmax())

    def _refined(self, kept: Generated, joints: Joints, steps: int) -> Joints:
        """Bring what was written to where composition puts it (KinMo, Eq. 6), as far as the decoder goes."""
        count = len(kept.tokens) * UNIT
        path = JointPath.of(joints[:count])
        rows = refine(self.generator.tokenizer, [kept.tokens], [path], steps)[0]
        return np.concatenate([features_to_joints(rows), joints[count:]])


def check_edit(edit: Edit, most_seconds: float) -> None:
    """Refuse an edit that cannot be.

    Args:
        edit: what is asked.
        most_seconds: length of the longest motion that the generator writes.

    Raises:
        MotionError: see `Editor.edit`.
    """
    canvas, where = edit.canvas, edit.canvas.where
    if len(canvas.tokens) * UNIT > round(most_seconds * FPS):
        reason = (
            f"the result would be {canvas.seconds:.1f} s long; this model writes up to {most_seconds:g} s"
        )
        raise MotionError(where, reason, "Cut the motion, or ask for less to be added.")
    if not canvas.editable.any():
        raise MotionError(
            where, "nothing of it is to be written anew", "Name a span, or have all of it written."
        )
    unknown = [name for name in edit.held if name not in GROUPS]
    if unknown:
        raise MotionError(where, f"there is no group {unknown[0]}", f"The groups are {', '.join(GROUPS)}.")
    if len(set(edit.held)) == len(GROUPS):
        raise MotionError(where, "all six groups are held, so that nothing can change", "Hold fewer of them.")
    if edit.held and not np.abs(canvas.rows).sum(axis=1).all():
        reason = "groups are held where there is no motion yet"
        raise MotionError(
            where, reason, "Hold groups in edits of what is there, not where something is added."
        )


def told_fields(fields: Mapping[str, str] | None, held: Sequence[str]) -> dict[str, str] | None:
    """Leave out the sentences that speak of held groups alone; None where no sentence is left."""
    groups = [name for name in GROUP_NAMES if name in held]
    pairs = [pair_name(a, b) for a, b in PAIRS if a in held and b in held]
    left = {name: text for name, text in (fields or {}).items() if text and name not in (*groups, *pairs)}
    return left or None


def others_than(groups: Sequence[str]) -> tuple[str, ...]:
    """Name the groups that are not among these."""
    return tuple(name for name in GROUP_NAMES if name not in groups)


def _smooth(rows: Features, canvas: Canvas) -> Features:
    """Take the sharpest turns out of seams, as long as velocity jumps there more than it may."""
    for _ in range(_SMOOTHED):
        jump = seam_jump(canvas, features_to_joints(rows))
        if jump is None or jump <= MOST_JUMP:
            break
        rows = smooth_seams(rows, canvas.edited)
    return rows


def _extended(rows: Features, canvas: Canvas) -> Features:
    """Give the decoded rows, and after them those that no token stands for, moved as the last one was."""
    moved = rows[-1] - canvas.decoded[len(rows) - 1]
    return np.concatenate([rows, canvas.decoded[len(rows) :] + moved])


def _one_more(joints: Joints) -> Joints:
    """Add a frame that goes on as the last two do: T frames give T - 1 rows of features."""
    last = joints[-1] + (joints[-1] - joints[-2]) if len(joints) > 1 else joints[-1]
    return np.concatenate([joints, last[None].reshape(1, NUM_JOINTS, 3)])
