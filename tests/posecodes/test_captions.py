import re

import numpy as np
import pytest

from kinmo_annotate.posecodes import PoseCaptions, caption_motion, caption_motions
from kinmo_annotate.posecodes.captions import caption_signature
from kinmo_annotate.posecodes.facts import FACTS, INDEX
from kinmo_annotate.posecodes.wording import word_pose
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import FIELDS


def check_form(text):
    assert text
    assert text.endswith(".")
    assert text[0].isupper()
    assert not re.search(r"[{}_]|  |\.\.| ,|\bNone\b|own_|\bboth the\b", text), text
    for sentence in text[:-1].split(". "):
        assert sentence[0].isupper(), text


def test_every_fact_reads_well_in_every_voice():
    for seed in range(12):
        for number in range(len(FACTS)):
            words = word_pose(seed, (number,))
            check_form(words.text)
            assert words.sentences == (words.text,)


def test_any_mixture_of_facts_reads_well():
    rng = np.random.default_rng(0)
    for seed in range(300):
        chosen = tuple(sorted(rng.choice(len(FACTS), rng.integers(0, 25), replace=False).tolist()))
        words = word_pose(seed, chosen)
        check_form(words.text)
        for sentence in words.sentences:
            check_form(sentence)


def test_letters_inside_a_sentence_keep_their_shape():
    texts = {word_pose(seed, (INDEX["left_elbow square_bend"],)).text for seed in range(60)}
    assert any("an L shape" in text for text in texts)


def test_sides_are_said():
    for seed in range(20):
        assert "left" in word_pose(seed, (INDEX["left_hand above neck"],)).text
        both = word_pose(seed, (INDEX["left_hand above neck"], INDEX["right_hand above neck"])).text
        assert "hands" in both or ("left" in both and "right" in both)


def test_similar_poses_share_their_sentences():
    arms = [INDEX["left_elbow straight"], INDEX["left_hand above neck"]]
    one = word_pose(0, (*sorted([*arms, INDEX["left_knee straight"]]),))
    two = word_pose(0, (*sorted([*arms, INDEX["left_knee square_bend"]]),))
    assert one.text != two.text
    assert set(one.sentences) & set(two.sentences)


def test_a_raised_arm_is_said_while_it_is_raised(arm_motion):
    captions = caption_motion(arm_motion(4 * 5 + 4), seed=0)  # lifts the right arm far
    assert isinstance(captions, PoseCaptions)
    assert captions.index.shape == (len(arm_motion(24)),)
    assert len(captions.texts) == len(captions.sentences) == captions.index.max() + 1
    middle, start = captions.frame_caption(len(captions.index) // 2), captions.frame_caption(0)
    assert middle != start
    assert "right" in middle


def test_equal_poses_have_equal_captions_in_every_motion(arm_motion):
    motions = [arm_motion(number) for number in range(4)]
    together = caption_motions(motions, seed=3)
    for motion, captions in zip(motions, together, strict=True):
        alone = caption_motion(motion, seed=3)
        assert alone.texts == captions.texts
        assert (alone.index == captions.index).all()
    assert together[0].frame_caption(0) == together[2].frame_caption(0)  # all begin with hanging arms
    assert together[0].texts != caption_motion(motions[0], seed=4).texts


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_has_a_caption_of_its_own(arm_motion, field):
    captions = caption_motion(arm_motion(1), seed=0, fields=(field,))
    for text in captions.texts:
        check_form(text)
    if field in ("neck", "right_leg", "neck__right_leg"):
        assert "elbow" not in " ".join(captions.texts)


@pytest.mark.parametrize("fields", [("left_wing",), ()])
def test_an_unknown_field_is_refused(arm_motion, fields):
    with pytest.raises(MotionError, match="left_arm"):
        caption_motion(arm_motion(1), seed=0, fields=fields)


def test_degenerate_poses_are_captioned():
    for joints in (
        np.zeros((3, 22, 3)),
        np.ones((2, 22, 3)),
        np.random.default_rng(0).normal(size=(9, 22, 3)),
    ):
        for text in caption_motion(joints.astype(np.float32), seed=0).texts:
            check_form(text)


def test_words_of_a_signature_are_a_pure_function():
    code = np.packbits(np.arange(len(FACTS)) % 9 == 0).tobytes()
    assert caption_signature(1, None, code) == caption_signature(1, None, code)


def test_few_captions_tell_real_motions(shared_data):
    paths = sorted((shared_data / "mocap/new_joints").glob("*.npy"))[::40]
    motions = [np.load(path) for path in paths]
    captions = caption_motions(motions, seed=0)
    distinct = {text for one in captions for text in one.texts}
    assert len(distinct) < 0.18 * sum(map(len, motions))
    for text in distinct:
        check_form(text)
