"""The sheet of a search: its size, its poses, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from kinmo_annotate.render.results import Result, results_sheet, telling_frames
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import JOINT

CAPTION = "a person lifts the left hand, holds it above the head for a moment and lets it down again slowly"


@pytest.fixture
def draw(walking, tmp_path):
    def drawn(count, name="sheet.png", caption=CAPTION, motion_id="000001", title="a person waves"):
        results = [Result(motion_id, walking, "similarity 0.812   0.6 s   train", caption)] * count
        results_sheet(results, tmp_path / name, title, "the most similar of 12 motions")
        return Image.open(tmp_path / name)

    return drawn


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_two_motions_stand_in_a_row(draw, count):
    sheet = draw(count)
    assert sheet.width == 1600
    pixels = np.asarray(sheet.convert("L"))
    assert (pixels[:, :40] == 255).all()
    assert (pixels[:, -40:] == 255).all()
    assert (pixels[200:, 779:821] == 255).all()  # between the columns
    rows = -(-count // 2)
    assert abs(sheet.height - (226 + 312 * rows)) < 30 * rows


@pytest.mark.parametrize("text", ["w" * 300, "word " * 200])
def test_nothing_long_runs_over(draw, text):
    pixels = np.asarray(draw(2, caption=text, motion_id=text.strip(), title=text).convert("L"))
    assert (pixels[:, -40:] == 255).all()
    assert (pixels[300:, 779:821] == 255).all()


def test_no_caption_and_no_latin_letters_are_drawn(draw):
    assert draw(2, caption="").height < draw(2).height
    assert draw(1, caption="\u4e00\u4e2a\u4eba").width == 1600


def test_same_input_same_bytes(draw, tmp_path):
    draw(2, "a.png")
    draw(2, "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_poses_that_differ_are_chosen(standing):
    """A hand goes up for a tenth of the time; frames at equal steps would miss it."""
    joints = np.repeat(standing[None], 100, axis=0)
    joints[73:83, JOINT["left_wrist"], 1] += 0.8
    frames = telling_frames(joints, 4).tolist()
    assert frames[0] == 0
    assert any(73 <= frame < 83 for frame in frames)
    assert frames == sorted(set(frames))
    assert max(frames) == 99  # where poses are equal, time spreads them


@pytest.mark.parametrize(("frames", "count"), [(2, 2), (3, 3), (30, 5)])
def test_short_motions_have_fewer_poses(standing, frames, count):
    assert len(set(telling_frames(np.repeat(standing[None], frames, axis=0), 5).tolist())) == count


@pytest.mark.parametrize(
    ("count", "name", "reason"),
    [
        (0, "a.png", "cannot show 0 results"),
        (51, "a.png", "Ask for 1 to 50"),
        (1, "a.tiff", "End it in"),
        (1, "file/a.png", "cannot be written"),
    ],
)
def test_what_cannot_be_drawn_says_why(draw, tmp_path, count, name, reason):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises((MotionError, DatasetError), match=reason):
        draw(count, name)


def test_joints_that_are_no_body_are_refused(tmp_path):
    with pytest.raises(MotionError, match="expected"):
        results_sheet([Result("a", np.zeros((5, 21, 3)), "", "")], tmp_path / "a.png", "")
