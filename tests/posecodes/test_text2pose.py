"""The real package may not be redistributed: a stand-in with its published call is installed instead."""

import sys
from types import ModuleType

import pytest

from kinmo_annotate.posecodes.text2pose import caption_motions
from kinmo_annotate.schema.records import MotionError


@pytest.fixture
def install(monkeypatch):
    def put(main):
        captioning = ModuleType("text2pose.posescript.captioning")
        captioning.main = main
        package = ModuleType("text2pose.posescript")
        package.captioning = captioning
        for name, module in (("text2pose", ModuleType("text2pose")), ("text2pose.posescript", package),
                             ("text2pose.posescript.captioning", captioning)):  # fmt: skip
            monkeypatch.setitem(sys.modules, name, module)

    return put


def test_a_missing_package_is_told_with_where_to_get_it(arm_motion, monkeypatch):
    monkeypatch.setitem(sys.modules, "text2pose", None)
    with pytest.raises(MotionError, match=r"github\.com/naver/posescript"):
        caption_motions([arm_motion(0)], seed=0)


@pytest.mark.parametrize("kind", [dict, list])
def test_captions_are_taken_in_the_order_of_frames(arm_motion, install, kind):
    def main(coords, joint_rotations=None, save_dir=None, random_skip=True, verbose=True):
        texts = [f"Pose {number // 10}. It is 1.5 m high." for number in range(len(coords))]
        return dict(zip(map(str, range(len(coords))), texts, strict=True)) if kind is dict else texts

    install(main)
    motion = arm_motion(0)
    captions = caption_motions([motion], seed=0)[0]
    assert captions.frame_caption(0) == captions.frame_caption(9) == "Pose 0. It is 1.5 m high."
    assert captions.frame_caption(len(motion) - 1).startswith(f"Pose {(len(motion) - 1) // 10}.")
    assert captions.sentences[0] == ["Pose 0.", "It is 1.5 m high."]


@pytest.mark.parametrize("main", [lambda coords: [], lambda *a, **k: ["one"]])
def test_another_version_is_refused(arm_motion, install, main):
    install(main)
    with pytest.raises(MotionError, match="current version"):
        caption_motions([arm_motion(0)], seed=0)


def test_groups_are_refused(arm_motion):
    with pytest.raises(MotionError, match="posecodes"):
        caption_motions([arm_motion(0)], seed=0, fields=("torso",))
