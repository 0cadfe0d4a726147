import sys

import numpy as np
import pytest
from PIL import Image

from kinmo_annotate.render import figure_frames, film
from kinmo_annotate.schema.records import Keyframe, MotionError


def total_ms(picture: Image.Image) -> int:
    total = 0
    for i in range(picture.n_frames):
        picture.seek(i)
        total += picture.info["duration"]
    return total


@pytest.mark.parametrize("fps", [20.0, 30.0, 12.5])
def test_a_gif_lasts_as_long_as_the_motion(walking, tmp_path, fps):
    film(walking, tmp_path / "a.gif", fps)
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.n_frames == 12
        assert total_ms(picture) == pytest.approx(12_000 / fps, abs=10)


def test_flat_areas_keep_their_colour_through_a_gif(walking, tmp_path):
    film(walking, tmp_path / "a.gif", caption="She walks.")
    with Image.open(tmp_path / "a.gif") as picture:
        for i in range(picture.n_frames):
            picture.seek(i)
            frame = picture.convert("RGB")
            assert frame.getpixel((3, 3)) == (243, 245, 247)
            assert frame.getpixel((3, frame.height - 3)) == (255, 255, 255)


@pytest.mark.parametrize("caption", ["", "She walks.", "She walks on and on. " * 12])
def test_an_mp4_holds_every_frame(walking, tmp_path, caption):
    av = pytest.importorskip("av", reason="PyAV is in the extra kinmo[film]")
    film(walking, tmp_path / "a.mp4", 20.0, caption)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        frames = [frame.to_image() for frame in container.decode(video=0)]
    assert len(frames) == 12
    drawn = next(figure_frames(walking, 20.0, caption))
    assert frames[0].size == drawn.size
    assert np.abs(np.asarray(frames[0], float) - np.asarray(drawn, float)).mean() < 4


def test_the_figure_and_the_clock_move(walking):
    first, *_, last = figure_frames(walking, 20.0, "", [Keyframe(5, 0.7, "")])
    changed = np.abs(np.asarray(first, float) - np.asarray(last, float)).max(axis=2) > 30
    assert changed[:520].any()
    assert changed[520:].any()


def test_without_pyav_an_mp4_says_what_to_install(walking, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MotionError, match=r"pip install 'kinmo\[film\]'"):
        film(walking, tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.avi", "a", "a.png"])
def test_an_unknown_ending_names_the_known(walking, tmp_path, name):
    with pytest.raises(MotionError, match=r"End it in \.gif or \.mp4"):
        film(walking, tmp_path / name)
