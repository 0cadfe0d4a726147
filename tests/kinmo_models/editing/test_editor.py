"""Edits with a generator of random weights: tokens outside, groups held, choices, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from kinmo_annotate.schema.features import features_to_joints
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import GROUP_NAMES, GROUPS
from kinmo_models.editing.canvas import after, all_of, before, between, open_canvas, within
from kinmo_models.editing.editor import Edit, Editor, others_than, told_fields
from kinmo_models.generation.generator import Known, Prompt

WAVES = Prompt("a person waves", {"left_arm": "The left arm waves."}, seed=4)


@pytest.fixture
def canvas(generator, rows):
    return open_canvas(generator.tokenizer, rows(42), "walk.npy")


@pytest.mark.parametrize("seed", range(12))
def test_tokens_outside_of_a_span_stay_bit_for_bit(generator, canvas, seed):
    random = np.random.default_rng(seed)
    start, end = np.sort(random.uniform(0, canvas.seconds, 2))
    spanned = within(canvas, float(start), float(end))
    prompt = Prompt("a person jumps", WAVES.fields if seed % 2 else None, seed=seed)
    found = Editor(generator).edit([Edit(spanned, prompt)], level=("G", "GJ", "GJI")[seed % 3])[0]
    outside = ~spanned.editable
    np.testing.assert_array_equal(found.tokens[outside], spanned.tokens[outside])
    if spanned.editable.sum() > 2:
        assert not np.array_equal(found.tokens, spanned.tokens)
    assert len(found.joints) == len(found.features) == len(spanned.rows)


def test_an_edit_is_the_same_alone_and_among_others(generator, canvas):
    edits = [
        Edit(within(canvas, 0.2, 1.0), WAVES),
        Edit(all_of(canvas), WAVES),
        Edit(after(canvas, 1.0), WAVES),
    ]
    together = Editor(generator).edit(edits)
    for edit, found in zip(edits, together, strict=True):
        alone = Editor(generator).edit([edit])[0]
        np.testing.assert_array_equal(alone.tokens, found.tokens)
        np.testing.assert_array_equal(alone.joints, found.joints)


def test_before_after_and_between_keep_the_motions(generator, canvas, rows):
    other = open_canvas(generator.tokenizer, rows(21, 1))
    made = [before(canvas, 0.8), after(canvas, 0.8), between(canvas, other, 0.6)]
    first, second, third = Editor(generator).edit([Edit(one, WAVES) for one in made])
    np.testing.assert_array_equal(first.features[16 + 8 :], canvas.rows[8:])
    np.testing.assert_array_equal(second.features[: 40 - 8], canvas.rows[:32])
    np.testing.assert_array_equal(third.features[40 + 12 + 8 :], other.rows[8:])
    np.testing.assert_array_equal(third.tokens[13:], other.tokens)
    for found in (first, second, third):
        assert np.isfinite(found.joints).all()


def test_held_groups_stay_where_they_are(generator, canvas):
    held = others_than(["left_arm"])
    found = Editor(generator).edit([Edit(all_of(canvas), WAVES, held)])[0]
    source = features_to_joints(canvas.rows[:40])
    still = [joint for name in held for joint in GROUPS[name]]
    np.testing.assert_allclose(found.joints[:, still], source[:, still], atol=1e-6)
    assert not np.allclose(found.joints[:, 20], source[:, 20], atol=1e-3)
    assert found.features.shape == (40, 263)


def test_of_several_tries_the_most_like_is_kept(generator, canvas, retriever):
    edit = Edit(all_of(canvas), WAVES)
    alone = [
        Editor(generator).edit([Edit(all_of(canvas), Prompt("a person waves", seed=n))])[0] for n in range(4)
    ]
    best = int(np.argmax([one.features[:, 62].mean() for one in alone]))
    chosen = Editor(generator, retriever).edit([Edit(all_of(canvas), Prompt("a person waves"))], tries=4)[0]
    assert chosen.seed == best
    np.testing.assert_array_equal(chosen.tokens, alone[best].tokens)
    with pytest.raises(ValueError, match="no retrieval model"):
        Editor(generator).edit([edit], tries=2)


def test_what_cannot_be_is_refused(generator, canvas, rows):
    editor = Editor(generator)

    def told(*arguments: object) -> str:
        with pytest.raises(MotionError) as raised:
            editor.edit([Edit(*arguments)])  # type: ignore[arg-type]
        return str(raised.value)

    long = open_canvas(generator.tokenizer, rows(84))
    assert "writes up to 4 s" in told(all_of(long), WAVES)
    assert "Cut the motion" in told(after(canvas, 3.0), WAVES)
    assert "nothing of it" in told(canvas, WAVES)
    assert "no group tail" in told(all_of(canvas), WAVES, ("tail",))
    assert "all six" in told(all_of(canvas), WAVES, GROUP_NAMES)
    assert "no motion yet" in told(after(canvas, 1.0), WAVES, ("torso",))
    with pytest.raises(ValueError, match="prompt is empty"):
        editor.edit([Edit(all_of(canvas), Prompt(""))])


def test_the_generator_is_not_told_what_held_groups_do():
    said = {"torso": "a", "left_arm": "b", "torso__neck": "c", "torso__left_arm": "d", "neck": ""}
    assert told_fields(said, ("torso", "neck")) == {"left_arm": "b", "torso__left_arm": "d"}
    assert told_fields(said, ()) == {name: text for name, text in said.items() if text}
    assert told_fields({"torso": "a"}, ("torso",)) is None
    assert told_fields(None, ("torso",)) is None
    assert others_than(["neck", "torso"]) == GROUP_NAMES[2:]


def test_tokens_of_another_shape_are_refused(generator):
    for tokens, editable in (((9, 3), 8), ((9, 2), 9), ((21, 3), 21)):
        known = Known(np.zeros(tokens, np.int64), np.ones(editable, bool))
        with pytest.raises(ValueError, match=r"tokens have the shape|is to be rewritten"):
            generator.write([WAVES], [known])
