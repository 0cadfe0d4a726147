"""The page in a real browser: two evaluators at once, a server that is killed, a figure that moves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kinmo_annotate.review.app.motions import load_motions
from kinmo_annotate.review.rounds import Item, Round, sample_round
from kinmo_annotate.review.store import CORRECT, UNSURE, WRONG, Store, open_store

pytestmark = pytest.mark.browser

PATIENCE_MS = 60_000
COMMAND = "import typer; from kinmo_cli.annotate_review import review; typer.run(review)"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty demo motions, annotated."""
    folder = tmp_path_factory.mktemp("demo")
    kinmo = str(Path(sys.executable).with_name("kinmo"))
    subprocess.run([kinmo, "data", "demo", folder / "motions", "--motions", "20"], check=True, timeout=120)
    run = ["annotate", "run", folder / "motions", "--out", folder / "dataset", "--encoder", "sentence"]
    subprocess.run([kinmo, *run, "--workers", "1"], check=True, timeout=300)
    return folder / "dataset"


class Server:
    """`kinmo annotate review` in a process of its own, always at the same address."""

    def __init__(self, dataset: Path) -> None:
        self.dataset, self.links = dataset, {}
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, self.dataset, "--port", str(self.port), "--no-open", "--json"],
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        self.url, made = json.loads(line)["url"], json.loads(line)["links"]
        self.links |= made

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def serving() -> Iterator[Callable[[Path], Server]]:
    servers: list[Server] = []

    def start(dataset: Path) -> Server:
        servers.append(Server(dataset))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


class Seat:
    """An evaluator in a browser of their own, who has a keyboard and nothing else."""

    def __init__(self, browser: Any, server: Server, name: str) -> None:
        self.context = browser.new_context(viewport={"width": 1366, "height": 768})
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.asked: list[str] = []
        self.frames: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("websocket", self._listen)
        self.page.goto(server.links[name])
        self.settled()

    def _listen(self, socket: Any) -> None:
        self.asked.append(socket.url)
        socket.on("framesent", lambda data: self.frames.append(str(data)))
        socket.on("framereceived", lambda data: self.frames.append(str(data)))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def settled(self) -> None:
        """Wait until everything pressed is carried out and shown."""
        self.page.wait_for_selector(".sentence.current")
        self.page.wait_for_function("window.kinmoKeys && kinmoKeys.sent === kinmoKeys.done")

    def text(self, selector: str) -> str:
        return self.page.locator(selector).first.inner_text()

    def item(self, round: Round) -> Item:
        """The sentence in view, read from the page."""
        number = int(self.text(".where").split()[1]) - 1
        field = "__".join(self.page.locator(".sentence.current .group").all_inner_texts())
        return round.motion_ids[number], field.replace(" ", "_")

    def judged(self) -> int:
        return int(self.text(".count").split()[0])

    def leave(self, server: Server) -> None:
        """Close the browser; nothing went wrong in it, and it asked nobody but the server."""
        self.context.close()
        assert self.errors == []
        here = f"127.0.0.1:{server.port}/"
        assert [
            url for url in self.asked if not url.split("://")[-1].startswith((here, "data:", "blob:"))
        ] == []

    def figure(self, name: str) -> str:
        return self.page.locator(".figure").get_attribute(f"data-{name}")

    def figure_ready(self, after: str = "") -> None:
        self.page.wait_for_function(
            "after => { const ready = document.querySelector('.figure').dataset.ready;"
            " return ready && ready !== after }",
            arg=after,
        )


def plan(round: Round, name: str) -> dict[Item, tuple[list[str], str, str, str]]:
    """What an evaluator will say: item -> keys, verdict, category, note. They differ on two sentences."""
    says = {}
    for number, item in enumerate(round.items):
        note = f"{name}: number {number} comes the other way"
        if number % 5 == 0 or (name == "b" and number in (3, 17)):
            says[item] = (["2", "d", "n", *note, "Control+Enter"], WRONG, "direction", note)
        elif number % 11 == 1:
            says[item] = (["3", "Enter"], UNSURE, "", "")
        else:
            says[item] = (["1", "Enter"], CORRECT, "", "")
    return says


def judge(seat: Seat, round: Round, plans: dict[Item, Any]) -> None:
    """Judge the sentence in view, by keyboard alone; a note is typed without waiting for anything."""
    seat.press(*plans[seat.item(round)][0])


def check_saved(store: Store, round: Round, name: str, plans: dict[Item, Any], cut: Item) -> int:
    """Hold what is saved against the plan; the note that was typed as the server died may be cut off."""
    judged = {item: one for item, one in store.current(round.name, name).items() if one.verdict}
    for item, one in judged.items():
        _, verdict, category, note = plans[item]
        assert one.verdict == verdict
        assert one.sentence
        if item == cut:
            assert note.startswith(one.note)
        else:
            assert (one.category, one.note) == (category, note)
    return len(judged)


def test_two_evaluators_judge_twenty_motions_by_keyboard_and_the_server_is_killed(browser, demo, serving):
    with open_store(demo) as store:
        round = sample_round(demo, name="legs-1", seed=1)
        store.add_round(round)
        plans = {name: plan(round, name) for name in round.evaluators}
        cut = round.items[15]  # both are typing a note on it when the server dies
        server = serving(demo)
        seats = {name: Seat(browser, server, name) for name in round.evaluators}
        for step in range(16):
            for name, seat in seats.items():
                judge(seat, round, plans[name])
            if step < 15:
                [seat.settled() for seat in seats.values()]
        shown = {name: seat.judged() for name, seat in seats.items()}
        server.kill()
        for name in seats:
            assert check_saved(store, round, name, plans[name], cut) >= shown[name] >= 15
        server.start()
        for name, seat in seats.items():
            seat.page.wait_for_function("window.kinmoKeys && !kinmoKeys.sent")  # it comes back by itself
            seat.settled()
            assert seat.judged() >= shown[name]
        judge_the_rest(seats, round, plans)
        for name, seat in seats.items():
            seat.press("f", "Enter")
            seat.settled()
            assert check_saved(store, round, name, plans[name], cut) == 40
        assert store.finished("legs-1") == {"a", "b"}
        settle_disagreements(seats["a"], store, round)
        for seat in seats.values():
            seat.leave(server)


def judge_the_rest(seats: dict[str, Seat], round: Round, plans: dict[str, Any]) -> None:
    while any(seat.judged() < len(round.items) for seat in seats.values()):
        for name, seat in seats.items():
            if seat.judged() < len(round.items):
                judge(seat, round, plans[name])
        for seat in seats.values():
            seat.settled()


def settle_disagreements(seat: Seat, store: Store, round: Round) -> None:
    said = [store.current(round.name, name) for name in round.evaluators]
    verdicts = {item: {one[item].verdict for one in said} for item in round.items}
    disputed = [item for item, given in verdicts.items() if len(given) > 1 or given == {UNSURE}]
    assert len(disputed) >= 2
    seat.press("a")
    seat.page.wait_for_url("**/adjudication")
    seat.settled()
    assert seat.text(".count") == f"0 of {len(disputed)} judged"
    for number in range(len(disputed)):
        assert seat.page.locator(".sentence.current .opinion").count() == 2
        seat.press("2" if number % 2 else "1", "Enter")
        seat.settled()
    final = store.final(round.name)
    assert [final[item].verdict for item in disputed] == [
        WRONG if n % 2 else CORRECT for n in range(len(disputed))
    ]
    assert len(final) == len(disputed)


def one_motion_round(dataset: Path, name: str) -> Round:
    round = sample_round(dataset, name=name, motions=2, seed=2, fields=("left_leg", "left_arm__right_arm"))
    with open_store(dataset) as store:
        store.add_round(round)
    return round


def test_the_figure_plays_in_the_browser_with_no_traffic_per_frame(browser, demo, serving):
    one_motion_round(demo, "playing")
    server = serving(demo)
    seat = Seat(browser, server, "a")
    seat.figure_ready()
    seat.page.wait_for_function("document.querySelector('.figure').dataset.frame > 2")
    asked, heard, frame = len(seat.asked), len(seat.frames), int(seat.figure("frame"))
    time.sleep(1.5)
    assert int(seat.figure("frame")) != frame
    assert len(seat.asked) == asked
    assert len(seat.frames) - heard <= 4  # the connection's own sign of life
    seat.press("Space")
    frame = int(seat.figure("frame"))
    time.sleep(0.3)
    assert int(seat.figure("frame")) == frame
    for keys, expected in (
        (["Home"], 0), (["ArrowRight", "."], 2), ([","], 1), (["ArrowLeft"] * 3, 0),
    ):  # fmt: skip
        seat.press(*keys)
        seat.page.wait_for_function(
            "frame => document.querySelector('.figure').dataset.frame == frame", arg=expected
        )
    seat.press(*[">"] * 9)
    assert seat.figure("speed") == "2"
    seat.press(*["<"] * 9, "v")
    assert (seat.figure("speed"), seat.figure("side")) == ("0.25", "left")
    seat.page.locator(".timeline input").fill("5")
    seat.page.wait_for_function("document.querySelector('.figure').dataset.frame === '5'")
    assert "0.25 of" in seat.text(".controls .time")
    assert len(seat.asked) == asked
    first = seat.figure("ready")
    seat.press("]")
    seat.figure_ready(first)
    seat.leave(server)


def test_keyframes_are_marked_and_reached(browser, demo, serving):
    round = one_motion_round(demo, "keyframes")
    keyframes = load_motions(demo, round.motion_ids, round.fields)[0].keyframes
    seat = Seat(browser, server := serving(demo), "a")
    seat.figure_ready()
    assert seat.page.locator(".ticks i").count() == len(keyframes)
    seat.press("Space", "Home")
    for key in keyframes[1:]:
        seat.press("Shift+ArrowRight")
        seat.page.wait_for_function("key => document.querySelector('.figure').dataset.frame == key", arg=key)
    seat.leave(server)


def test_harmful_texts_do_no_harm(browser, evil_store, serving, script):
    server = serving(evil_store.dataset)
    seat = Seat(browser, server, "a")
    seat.press("2", "n")
    seat.page.keyboard.type(script)
    seat.press("Escape")
    seat.settled()
    assert seat.text(".sentence .words") == script
    assert seat.text(".caption") == script
    assert seat.text(".hint .claim") == script
    time.sleep(0.5)
    seat.page.reload()
    seat.settled()
    seat.press("[")
    seat.settled()
    assert seat.page.locator("textarea").input_value() == script
    assert seat.page.evaluate("window.harmed") is None
    seat.press("]")
    seat.settled()
    width = seat.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width[0] <= width[1]
    assert seat.page.locator(".sentence").bounding_box()["height"] < 768
    seat.leave(server)


def test_undo_redo_and_a_second_window(browser, demo, serving):
    round = one_motion_round(demo, "windows")
    server = serving(demo)
    first, second = Seat(browser, server, "a"), Seat(browser, server, "a")
    first.press("s", "n")
    first.page.keyboard.type("mirrored")
    first.press("Escape", "ArrowDown", "1", "z", "z", "z", "y", "y")
    first.settled()
    second.press("ArrowDown", "3")
    second.settled()
    with open_store(demo) as store:
        saved = store.current("windows", "a")
    assert [(saved[item].verdict, saved[item].category, saved[item].note) for item in round.items[:2]] == [
        (WRONG, "side", "mirrored"), (UNSURE, "", ""),
    ]  # fmt: skip
    first.leave(server)
    second.leave(server)


def test_the_page_fits_a_tablet(browser, demo, serving):
    one_motion_round(demo, "tablet")
    server = serving(demo)
    seat = Seat(browser, server, "a")
    for width, height in ((820, 1180), (1180, 820), (1024, 768)):
        seat.page.set_viewport_size({"width": width, "height": height})
        assert seat.page.evaluate("document.documentElement.scrollWidth") <= width
        assert seat.page.locator(".sentence.current .verdicts button").first.is_visible()
        assert seat.page.locator(".stage canvas").bounding_box()["height"] > 200
        panel, last = (seat.page.locator(name).bounding_box() for name in (".look", ".controls .view"))
        assert last["x"] + last["width"] <= panel["x"] + panel["width"], "every button of the figure is seen"
    seat.leave(server)
