"""The page that plays motions: what it is sent, what its keys do, and that the figures move."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nicegui", reason="the page needs the extra `review`")

from nicegui.testing import User
from nicegui.testing.user_simulation import user_simulation

from kinmo_annotate.motion_out import MotionOut, MotionSeries
from kinmo_annotate.review.app.motions import ShownMotion, load_file, load_row
from kinmo_annotate.review.app.parts import Figure, Keyboard
from kinmo_annotate.review.app.player import add_player, play
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.skeleton import FIELDS, GROUPS

COMMAND = "from kinmo_cli.main import run; run()"


def visit(motions: list[ShownMotion], what: Callable[[User], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        async with user_simulation(root=None) as user:
            add_player(motions)
            await user.open("/")
            return await what(user)

    return asyncio.run(go())


def one(user: User, kind: type) -> Any:
    (element,) = user.find(kind).elements
    return element


async def press(user: User, command: str) -> None:
    keyboard = one(user, Keyboard)
    number = keyboard.props["done"] + 1
    user.find(Keyboard).trigger("command", {"command": command, "number": number})
    for _ in range(500):
        if keyboard.props["done"] == number:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the command was not carried out")


@pytest.fixture
def series(tmp_path, arm_motion) -> Path:
    """Three motions that a model might have made."""
    folder = tmp_path / "made"
    made = MotionSeries(folder)
    for number in range(3):
        made.add(MotionOut(arm_motion(number), text=f"prompt <b>{number}</b>"))
    return folder


def test_files_stand_side_by_side_under_their_prompts(series, arm_motion):
    motions = [load_file(series / f"00000{number}.npy") for number in range(3)]

    async def look(user: User) -> None:
        figures = sorted(user.find(Figure).elements, key=lambda figure: figure.id)
        addresses = [figure.props["motion"]["address"] for figure in figures]
        assert addresses == ["/joints/0", "/joints/1", "/joints/2"]
        assert [figure.props["motion"]["frames"] for figure in figures] == [30, 33, 36]
        for number, address in enumerate(addresses):
            answer = await user.http_client.get(address)
            joints = np.frombuffer(answer.content, "<f4").reshape(-1, 22, 3)
            np.testing.assert_array_equal(joints, arm_motion(number))
        await user.should_see("prompt <b>2</b>")
        for wrong in ("3", "-1", "x", "9" * 99):
            assert (await user.http_client.get(f"/joints/{wrong}")).status_code == 404

    visit(motions, look)


def test_one_row_stands_beside_its_sentences_which_colour_the_body(make_dataset):
    motion = load_row(make_dataset(2), "000001")
    assert list(motion.sentences) == list(FIELDS)

    async def look(user: User) -> None:
        figure = one(user, Figure)
        await user.should_see("The left arm rises and comes down again.")
        assert figure.props["marked"] == [list(GROUPS["torso"])]
        await press(user, "previous")
        await press(user, "next")
        assert figure.props["marked"] == [list(GROUPS["neck"])]
        await press(user, "help")
        await press(user, "next")
        assert figure.props["marked"] == [list(GROUPS["neck"])], "help lies on top"
        await press(user, "close")
        for _ in range(30):
            await press(user, "next")
        assert figure.props["marked"] == [list(GROUPS["left_leg"]), list(GROUPS["right_leg"])]

    visit([motion], look)


def test_several_rows_show_their_captions_alone(make_dataset):
    motions = [load_row(make_dataset(2), f"00000{number}") for number in (0, 1)]

    async def look(user: User) -> None:
        await user.should_see("a person lifts the left arm [slowly]")
        await user.should_not_see("The left arm rises and comes down again.")
        await press(user, "next")
        assert len(user.find(Figure).elements) == 2

    visit(motions, look)


def test_an_index_of_something_else_is_no_hindrance(series):
    (series / "index.jsonl").write_text('{"page": 1}\n')
    assert load_file(series / "000001.npy").captions == ()


def test_none_or_too_many_are_refused(series):
    motion = load_file(series / "000001.npy")
    for motions in ([], [motion] * 10):
        with pytest.raises(MotionError, match="1 to 9"):
            play(motions, 0)


# ------------------------------------------------------------ in a browser


@pytest.fixture
def served() -> Iterator[Callable[..., str]]:
    """Start `kinmo play` and give the address that it prints."""
    started = []

    def start(*arguments: object) -> str:
        words = [sys.executable, "-c", COMMAND, "play", *map(str, arguments), "--no-open"]
        started.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        return started[-1].stdout.readline().split()[-1]

    yield start
    for process in started:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@pytest.mark.browser
def test_figures_play_together_in_a_browser(browser, served, series, tmp_path):
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    errors, asked = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    url = served(series / "000001.npy", series / "000002.npy")
    page.goto(url)
    page.wait_for_function(
        "[...document.querySelectorAll('.figure')].filter(f => f.dataset.frame > 2).length == 2"
    )
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("[...document.querySelectorAll('.figure')].every(f => f.dataset.frame == 1)")
    assert page.locator(".caption").all_inner_texts() == ["prompt <b>1</b>", "prompt <b>2</b>"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 1366
    left, right = (page.locator(".stage canvas").nth(n).bounding_box() for n in (0, 1))
    assert left["y"] == right["y"]
    assert left["height"] > 400
    page.screenshot(path=os.environ.get("KINMO_SCREENSHOT", str(tmp_path / "play.png")))
    page.keyboard.press("?")
    page.get_by_text("play or pause").wait_for()
    assert errors == []
    assert [one for one in asked if not one.startswith((url, "data:", "blob:"))] == []
    page.close()


@pytest.mark.browser
def test_a_row_and_its_sentences_in_a_browser(browser, served, make_dataset, tmp_path):
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.goto(served(make_dataset(2), "000001"))
    page.wait_for_selector(".figure[data-ready^='/joints']")
    page.get_by_text("The left arm rises").click()
    page.wait_for_function("document.querySelector('.sentence.current .group')?.innerText == 'left arm'")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelector('.sentence.current .group')?.innerText == 'right arm'")
    page.set_viewport_size({"width": 820, "height": 1180})
    assert page.evaluate("document.documentElement.scrollWidth") <= 820
    page.close()
