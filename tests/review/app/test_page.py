"""The page without a browser: who may see it, what is sent, what keys and buttons do."""

from __future__ import annotations

import asyncio
import html
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("nicegui", reason="the page needs the extra `review`")

from nicegui.testing import User
from nicegui.testing.user_simulation import user_simulation

from kinmo_annotate.review.app.motions import load_motions
from kinmo_annotate.review.app.parts import MOST_LETTERS, Figure, Keyboard, Note
from kinmo_annotate.review.app.serve import Review, add_pages, links, open_review, serve
from kinmo_annotate.review.app.server import reachable
from kinmo_annotate.review.app.session import Session
from kinmo_annotate.review.store import CORRECT, UNSURE, WRONG, Store
from kinmo_annotate.schema.records import MotionError

Visit = Callable[[User], Awaitable[Any]]


@pytest.fixture
def review(store: Store, arms_round) -> Review:
    motions = load_motions(arms_round.dataset, arms_round.motion_ids, arms_round.fields)
    return Review(store, arms_round, motions)


@pytest.fixture
def address(review: Review) -> dict[str, str]:
    """Each evaluator's personal address."""
    return links(review, "")


@pytest.fixture
def visit(review: Review) -> Callable[[Visit], Any]:
    """Let somebody visit the pages of the round."""
    return lambda what: run_visit(review, what)


def run_visit(review: Review, what: Visit) -> Any:
    async def go() -> Any:
        async with user_simulation(root=lambda: None) as user:
            add_pages(review)
            return await what(user)

    return asyncio.run(go())


class Evaluator:
    """Somebody at the keyboard of an open page."""

    def __init__(self, user: User) -> None:
        self.user, self.pressed = user, 0

    async def open(self, path: str) -> Evaluator:
        await self.user.open(path)
        return self

    def one(self, kind: type) -> Any:
        (element,) = self.user.find(kind).elements
        return element

    async def press(self, *commands: str) -> None:
        """Give commands in one go, as fast typing does, and wait until the last is shown."""
        for command in commands:
            self.pressed += 1
            self.user.find(Keyboard).trigger("command", {"command": command, "number": self.pressed})
        keyboard = self.one(Keyboard)
        for _ in range(500):
            if keyboard.props["done"] == self.pressed:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the commands were not carried out")

    async def write(self, number: int, text: str) -> None:
        """Type into the note of the sentence with this number, of the motion in view."""
        note = sorted(self.user.find(Note).elements, key=lambda one: one.id)[number]
        with self.user.client:
            for listener in note._event_listeners.values():
                await listener.handler(type("Typed", (), {"args": text})())

    def texts(self) -> str:
        """Everything that the page has been sent so far, as text."""
        elements = self.user.client.elements.values()
        return "\n".join(str(getattr(one, "text", "") or "") for one in elements if not one.is_deleted)


# ------------------------------------------------------------ who may see it


def test_a_foreign_token_gets_403_and_no_hint(visit, address, store):
    good = address["a"]
    wrong = [
        "/review/nonsense", good[:-1], good + "x", "/review/" + good[8:].swapcase(), "/review/%00",
        "/review/..%2f..%2fetc", "/review/x/adjudication", "/review/x/joints/0", "/review/x/joints/999", "/",
        f"/review/{'x' * 5000}",
    ]  # fmt: skip

    async def try_all(user: User) -> list[tuple[int, str]]:
        answers = [await user.http_client.get(path) for path in wrong]
        return [(answer.status_code, answer.text) for answer in answers]

    answers = visit(try_all)
    assert set(answers) == {answers[0]}
    assert answers[0][0] == 403
    assert store.history("arms-1", "a") == []


def test_a_link_of_another_round_opens_nothing(review, store, arms_round, visit):
    store.add_round(replace(arms_round, name="arms-2"))
    token = store.issue_tokens("arms-2")["a"]

    async def go(user: User) -> int:
        return (await user.http_client.get(f"/review/{token}")).status_code

    assert visit(go) == 403


def test_links_are_made_once_and_hold(review, store, arms_round):
    made = links(review, "http://127.0.0.1:1")
    assert set(made) == {"a", "b"}
    assert links(review, "http://127.0.0.1:1") == {}
    token = made["a"].rsplit("/", 1)[1]
    assert review.evaluator(token) == "a"
    assert token.encode() not in (arms_round.dataset / "reviews.sqlite").read_bytes()
    links(review, "", anew=True)
    assert review.evaluator(token) is None


def test_joints_come_once_as_they_are(visit, address, review):
    async def go(user: User) -> list[Any]:
        return [
            await user.http_client.get(f"{address['a']}/joints/{n}") for n in ("1", "3", "-1", "x", "9" * 99)
        ]

    first, *others = visit(go)
    assert first.content == review.motions[1].joints
    assert [other.status_code for other in others] == [404] * 4


def test_only_this_machine_unless_one_says_so(review):
    with pytest.raises(MotionError, match="token-required"):
        serve(review, "0.0.0.0", 0)


def test_links_name_an_address_that_others_can_open():
    assert reachable("127.0.0.1") == "127.0.0.1"
    assert reachable("review.lab") == "review.lab"
    assert reachable("0.0.0.0") not in ("0.0.0.0", "")
    assert reachable("::") not in ("::", "")


def test_a_taken_port_is_told(review):
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(MotionError, match="--port"):
        serve(review, port=other.getsockname()[1])


def test_a_dataset_without_rounds_says_how_to_draw_one(review_dataset):
    with pytest.raises(MotionError, match="kinmo annotate sample"):
        open_review(review_dataset)


# ------------------------------------------------------------ what is sent


def test_hints_are_not_sent_before_there_is_a_verdict(visit, address):
    async def go(user: User) -> None:
        page = await Evaluator(user).open(address["a"])
        for command, sent in (("next", False), ("previous", False), ("correct", True), ("undo", False)):
            await page.press(command)
            answer = await user.http_client.get(address["a"])
            assert ("supported" in page.texts().split("\n")) is sent
            assert ('"supported"' in answer.text) is sent

    visit(go)


def test_nothing_of_the_other_evaluator_is_sent(visit, address, review, store, arms_round):
    other = Session(store, arms_round, "b", review.motions)
    other.choose("side")
    other.write(other.item, "secret remark")

    async def go(user: User) -> None:
        page = await Evaluator(user).open(address["a"])
        await page.press("wrong", "next_open", "adjudicate")
        assert "secret remark" not in page.texts()
        assert "not open yet" in page.texts()
        page = await Evaluator(user).open(address["a"] + "/adjudication")
        assert "secret remark" not in page.texts()
        assert "Not yet" in page.texts()

    visit(go)


def test_harmful_texts_are_sent_as_text(evil_store, script):
    review = open_review(evil_store.dataset)
    address = links(review, "")["a"]

    async def go(user: User) -> str:
        page = await Evaluator(user).open(address)
        await page.write(0, script)
        sent = (await user.http_client.get(address)).text
        await page.press("correct", "next_open")
        assert len(max(page.texts().split("\n"), key=len)) < MOST_LETTERS + 100
        assert "more letters are not shown" in page.texts()
        return sent

    sent = run_visit(review, go)
    assert "<script>window" not in sent
    assert "<img src=x" not in sent
    assert "${window" not in sent
    assert html.escape("<script>window", quote=False) in sent
    assert "etc/passwd" not in sent


# ------------------------------------------------------------ what keys and buttons do


def test_commands_are_saved_in_the_order_in_which_they_came(visit, address, store, arms_round):
    async def go(user: User) -> None:
        page = await Evaluator(user).open(address["a"])
        await page.press("correct", "next_open", "timing", "next_open", "unsure", "undo", "wrong", "nonsense")
        assert page.one(Figure).props["motion"]["address"] == f"{address['a']}/joints/1"

    visit(go)
    saved = store.current("arms-1", "a")
    assert [(saved[item].verdict, saved[item].category) for item in arms_round.items[:3]] == [
        (CORRECT, ""), (WRONG, "timing"), (WRONG, ""),
    ]  # fmt: skip
    assert len(store.history("arms-1", "a")) == 5


def test_the_groups_of_the_sentence_in_view_are_coloured(visit, address):
    async def go(user: User) -> None:
        page = await Evaluator(user).open(address["a"])
        assert page.one(Figure).props["marked"] == [[13, 16, 18, 20]]
        await page.press("next")
        assert page.one(Figure).props["marked"] == [[13, 16, 18, 20], [14, 17, 19, 21]]

    visit(go)


def test_buttons_do_what_keys_do(visit, address, store, arms_round):
    async def go(user: User) -> None:
        await Evaluator(user).open(address["a"])
        buttons = [
            one for one in user.client.elements.values() if one.tag == "button" and "unsure" in one.classes
        ]
        for listener in buttons[1]._event_listeners.values():
            await listener.handler()

    visit(go)
    assert {item: one.verdict for item, one in store.current("arms-1", "a").items()} == {
        arms_round.items[1]: UNSURE
    }


def test_a_note_is_saved_for_the_sentence_it_was_typed_at(visit, address, store, arms_round):
    async def go(user: User) -> None:
        page = await Evaluator(user).open(address["a"])
        await page.press("wrong", "next")
        await page.write(0, "the other arm")
        await page.write(1, {"not": "a text"})

    visit(go)
    assert store.current("arms-1", "a")[arms_round.items[0]].note == "the other arm"


def test_the_help_shows_every_key_and_covers_the_rest(visit, address, store):
    async def go(user: User) -> None:
        page = await Evaluator(user).open(address["a"])
        await page.press("help", "correct", "help", "close")
        assert "next sentence without a verdict" in page.texts()

    visit(go)
    assert store.history("arms-1", "a") == []


def test_handing_in_is_asked_twice_and_ends_it(visit, address, store, review, arms_round):
    async def go(user: User) -> None:
        page = await Evaluator(user).open(address["a"])
        await page.press("hand_in")
        assert "6 sentences have no verdict yet" in page.texts()
        await page.press(*["wrong", "next_open"] * 6, "hand_in", "close")
        assert store.finished("arms-1") == set()
        await page.press("hand_in", "next_open")
        assert store.finished("arms-1") == {"a"}
        assert "6 are wrong without a category" in page.texts()
        assert "Adjudication opens when b has handed in" in page.texts()
        await page.press("correct")
        assert {one.verdict for one in store.current("arms-1", "a").values()} == {WRONG}

    visit(go)


def test_disagreements_are_settled_with_both_notes_in_view(visit, address, store, review, arms_round):
    for name, verdict in (("a", CORRECT), ("b", WRONG)):
        session = Session(store, arms_round, name, review.motions)
        for _ in arms_round.items:
            session.judge(CORRECT if session.number else verdict)
            session.write(session.item, f"{name} on {session.field}")
            session.step(1)
        session.hand_in()

    async def go(user: User) -> None:
        page = await Evaluator(user).open(address["b"] + "/adjudication")
        assert "0 of 2 judged" in page.texts()
        assert "a on left_arm" in page.texts()
        assert "b on left_arm" in page.texts()
        await page.press("side", "next_open", "correct")
        assert "Every disagreement has its final verdict" in page.texts()

    visit(go)
    final = store.final("arms-1")
    assert [final[item].verdict for item in arms_round.items[:2]] == [WRONG, CORRECT]
    assert len(final) == 2
