from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from kinmo_annotate.render import contact_sheet
from kinmo_annotate.render.sheet import _filled, _spread
from kinmo_annotate.schema.records import NO_MOVEMENT, Keyframe, MotionError
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import FIELDS

SENTENCE = "The left arm rises forward and up from beside the hip to above the head, then comes down slowly."


def keyframes(count: int, frames: int = 12) -> list[Keyframe]:
    return [Keyframe(int(f), 0.7, "") for f in np.linspace(0, frames - 1, count)]


def texts(sentence: str = SENTENCE) -> dict[str, str]:
    return dict.fromkeys(FIELDS, sentence)


@pytest.fixture
def draw(walking, tmp_path) -> Callable[..., Image.Image]:
    def drawn(name: str, count: int = 4, descriptions: dict[str, str] | None = None) -> Image.Image:
        sentences = texts() if descriptions is None else descriptions
        contact_sheet(walking, keyframes(count), sentences, tmp_path / name, title="a motion")
        return Image.open(tmp_path / name)

    return drawn


@pytest.mark.parametrize("count", [1, 2, 9, 40])
def test_any_number_of_keyframes_fits_the_page(draw, count):
    sheet = draw("sheet.png", count)
    assert sheet.width == 1600
    pixels = np.asarray(sheet.convert("L"))
    assert (pixels[:, :40] == 255).all()
    assert (pixels[:, -40:] == 255).all()


def test_more_keyframes_than_fit_are_thinned(draw):
    few, many = draw("40.png", 40), draw("55.png", 55)
    assert many.size == few.size


def test_few_keyframes_get_frames_between_them_where_the_time_is_longest():
    assert _filled([0, 100]) == {frame: frame in (0, 100) for frame in (0, 14, 29, 43, 57, 71, 86, 100)}
    shown = _filled([0, 10, 100])
    assert [frame for frame, is_key in shown.items() if is_key] == [0, 10, 100]
    assert max(np.diff(list(shown))) <= 20
    assert len(shown) == 8


@pytest.mark.parametrize("frames", [[0], [0, 5], [0, 4, 8, 12], list(range(0, 60, 5))])
def test_no_frames_are_put_where_there_is_no_room_or_no_need(frames):
    assert list(_filled(frames)) == frames


def test_no_sentence_runs_into_the_next_column(draw):
    long = " ".join([SENTENCE] * 3) + " " + "w" * 200
    sheet = draw("sheet.png", descriptions=texts(long))
    pixels = np.asarray(sheet.convert("L"))[-600:]
    for column in (1, 2):
        end = 48 + column * 474 + (column - 1) * 40
        assert (pixels[:, end + 4 : end + 36] == 255).all()


def test_longer_sentences_make_a_longer_page_and_nothing_is_paler_than_something(draw):
    still = draw("still.png", descriptions=texts(NO_MOVEMENT))
    told = draw("told.png")
    assert told.height > still.height
    words = [np.asarray(sheet.convert("L"))[-200:, 570:1020].min() for sheet in (still, told)]
    assert words[0] > words[1]


def test_same_input_same_bytes(draw, tmp_path):
    draw("a.png")
    draw("b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_fields_without_a_sentence_are_left_out(draw):
    assert draw("a.png", descriptions={"neck": SENTENCE}).height < draw("b.png").height
    assert draw("c.png", descriptions={}).width == 1600


def test_a_motion_without_keyframes_and_sentences_is_drawn_in_frames_spread_evenly(walking, tmp_path):
    assert list(_spread(100)) == [0, 14, 28, 42, 57, 71, 85, 99]
    assert list(_spread(2)) == [0]
    assert not any(_spread(100).values())
    contact_sheet(walking, [], {}, tmp_path / "a.png")
    contact_sheet(walking, [], texts(), tmp_path / "b.png")
    with Image.open(tmp_path / "a.png") as bare, Image.open(tmp_path / "b.png") as told:
        assert bare.width == told.width == 1600
        assert 300 < bare.height < told.height


@pytest.mark.parametrize(
    ("frames", "name", "reason"),
    [
        ([0, 12], "a.png", "keyframe 12 lies outside"),
        ([0], "a.tiff", "End it in"),
        ([0], "a", "has no ending"),
        ([0], "file/a.png", "cannot be written"),
        ([0], "folder.png", "cannot be written"),
    ],
)
def test_what_cannot_be_drawn_says_why_and_leaves_nothing(walking, tmp_path, frames, name, reason):
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises((MotionError, DatasetError), match=reason):
        contact_sheet(walking, [Keyframe(f, 1.0, "") for f in frames], texts(), tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.png"]


def test_joints_that_are_no_body_are_refused(tmp_path):
    with pytest.raises(MotionError, match="expected"):
        contact_sheet(np.zeros((5, 21, 3)), keyframes(1), {}, tmp_path / "a.png")


def test_an_older_sheet_is_replaced(draw, tmp_path):
    (tmp_path / "a.png").write_text("old")
    assert draw("a.png").width == 1600


def test_a_real_motion(shared_data, tmp_path):
    joints = np.load(shared_data / "mocap/new_joints/BN2_0844.npy")
    contact_sheet(joints, keyframes(6, len(joints)), texts(), tmp_path / "a.jpg")
    assert Image.open(tmp_path / "a.jpg").width == 1600
