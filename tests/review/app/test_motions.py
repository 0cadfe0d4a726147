"""What is read from a dataset for the page."""

from __future__ import annotations

import numpy as np
import pytest

from kinmo_annotate.dataset import export_texts, find
from kinmo_annotate.review.app.motions import load_motions
from kinmo_annotate.schema.records import MotionError


def test_motions_come_in_the_order_of_the_round_from_all_shards(review_dataset):
    ids = ["000011", "000002", "000005"]
    motions = load_motions(review_dataset, ids, ("left_arm",))
    assert [motion.motion_id for motion in motions] == ids
    for motion in motions:
        found = find(review_dataset, motion.motion_id)
        joints = np.frombuffer(motion.joints, "<f4").reshape(motion.num_frames, 22, 3)
        np.testing.assert_array_equal(joints, found.joints)
        assert motion.sentences == {"left_arm": found.record["groups"]["left_arm"]}
        assert motion.captions == tuple(caption["text"] for caption in found.record["captions"])
        assert motion.keyframes == tuple(key["frame"] for key in found.record["keyframes"])


def test_a_motion_that_is_missing_is_named(review_dataset):
    with pytest.raises(MotionError, match=r"nobody.*2 missing"):
        load_motions(review_dataset, ["000002", "nobody", "else"], ("left_arm",))


def test_texts_alone_cannot_be_judged_beside_a_figure(review_dataset, tmp_path):
    export_texts(review_dataset, tmp_path / "texts")
    with pytest.raises(MotionError, match="kinmo dataset join"):
        load_motions(tmp_path / "texts", ["000002"], ("left_arm",))
