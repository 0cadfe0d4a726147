"""Serve a round of review: personal links, the pages behind them, and nothing to anybody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from fastapi.responses import PlainTextResponse, Response
from nicegui import app as pages
from nicegui import ui

from kinmo_annotate.review.app.adjudication import Adjudication
from kinmo_annotate.review.app.motions import ShownMotion, load_motions
from kinmo_annotate.review.app.page import AdjudicationPage, JudgingPage
from kinmo_annotate.review.app.parts import Words, box
from kinmo_annotate.review.app.server import CSS, HOST, ICON, joints_of, run_pages
from kinmo_annotate.review.app.session import Session
from kinmo_annotate.review.disputes import disagreements
from kinmo_annotate.review.rounds import Round
from kinmo_annotate.review.store import Store, open_store
from kinmo_annotate.schema.records import MotionError

PORT: Final = 8490  # always the same, so that links hold from one start to the next
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_NOBODY: Final = "This address opens nothing. Use the personal link that you were given."


@dataclass(frozen=True, slots=True)
class Review:
    """One round as it is served: where judgements go, and what is shown."""

    store: Store
    round: Round
    motions: list[ShownMotion]

    def evaluator(self, token: str) -> str | None:
        """Tell whose personal link a token belongs to; None for any that is not of this round."""
        found = self.store.evaluator_of(token)
        return found[1] if found is not None and found[0] == self.round.name else None

    def number(self, motion_id: str) -> int:
        """Give the number of a motion: ids themselves never stand in an address."""
        return self.round.motion_ids.index(motion_id)


def open_review(dataset: Path, name: str | None = None) -> Review:
    """Open a round by its name, or the newest.

    Raises:
        DatasetError: the dataset cannot be read.
        MotionError: there is no such round, or its motions are not all there.
    """
    store = open_store(dataset)
    round = store.newest() if name is None else store.round(name)
    return Review(store, round, load_motions(round.dataset, round.motion_ids, round.fields))


def add_pages(review: Review) -> None:
    """Put the pages of a round into NiceGUI's app."""

    @ui.page("/review/{token}", title=f"KinMo · {review.round.name}", favicon=ICON, reconnect_timeout=10.0)
    def judge(token: str) -> Response | None:
        evaluator = review.evaluator(token)
        if evaluator is None:
            return nobody()
        ui.add_css(CSS)
        session = Session(review.store, review.round, evaluator, review.motions)
        JudgingPage(session, _address(review, token), f"/review/{token}/adjudication").build()
        return None

    @ui.page("/review/{token}/adjudication", title="KinMo · adjudication", favicon=ICON)
    def adjudicate(token: str) -> Response | None:
        if review.evaluator(token) is None:
            return nobody()
        ui.add_css(CSS)
        _build_adjudication(review, token)
        return None

    @pages.get("/review/{token}/joints/{number}")
    def joints(token: str, number: str) -> Response:
        if review.evaluator(token) is None:
            return nobody()
        return joints_of(review.motions, number, 3600)

    @pages.get("/{rest:path}")
    def anywhere_else(rest: str) -> Response:
        return nobody()


def nobody() -> Response:
    """Answer somebody without a link: the same words whatever they tried."""
    return PlainTextResponse(_NOBODY, 403)


def _address(review: Review, token: str) -> Callable[[str], str]:
    return lambda motion_id: f"/review/{token}/joints/{review.number(motion_id)}"


def _build_adjudication(review: Review, token: str) -> None:
    """Show the disagreements, or why there are none to see."""
    try:
        disputed = disagreements(review.store, review.round)
    except MotionError as error:
        _say("Not yet", str(error), f"/review/{token}")
        return
    if not disputed:
        _say("Nothing to settle", "You agree on every sentence of this round.", f"/review/{token}")
        return
    adjudication = Adjudication(review.store, review.round, review.motions, disputed)
    AdjudicationPage(adjudication, _address(review, token), f"/review/{token}").build()


def _say(title: str, text: str, back: str) -> None:
    with box("page alone"):
        Words(title, tag="h2")
        Words(text, "remark", "p")
        with ui.element("a").props(f'href="{back}"'):
            Words("back to your judgements")


def links(review: Review, url: str, anew: bool = False) -> dict[str, str]:
    """Make the evaluators' personal links; {} where they were made before, for only hashes are kept.

    Args:
        review: the round.
        url: where it is served, such as http://127.0.0.1:8490.
        anew: make new ones all the same; those given out before stop working.
    """
    if not anew and review.store.invited(review.round.name) >= set(review.round.evaluators):
        return {}
    tokens = review.store.issue_tokens(review.round.name)
    return {name: f"{url}/review/{token}" for name, token in tokens.items()}


def serve(
    review: Review,
    host: str = HOST,
    port: int = PORT,
    *,
    tokens_only: bool = False,
    ready: Callable[[str], Any] = lambda url: None,
) -> None:
    """Serve a round until Ctrl-C.

    Args:
        review: the round.
        host: address to bind; others than this machine's own need `tokens_only`.
        port: 0 for any that is free.
        tokens_only: whoever reaches the address may try it, and the personal links alone keep others out.
        ready: told the URL once the port is taken.

    Raises:
        MotionError: the address cannot be taken, or is open to others and `tokens_only` is not said.
    """
    if host not in _LOOPBACK and not tokens_only:
        reason = "would open the page to other machines, and what it carries is not encrypted"
        remedy = "Say --token-required to rely on the personal links alone, or tunnel to 127.0.0.1."
        raise MotionError(f"host {host}", reason, remedy)
    run_pages(partial(add_pages, review), host, port, ready)
