"""Disagreements and final verdicts, without a page."""

from __future__ import annotations

import pytest

from kinmo_annotate.review.app.adjudication import Adjudication
from kinmo_annotate.review.app.motions import load_motions
from kinmo_annotate.review.app.session import Session
from kinmo_annotate.review.disputes import disagreements
from kinmo_annotate.review.store import CORRECT, UNSURE, WRONG
from kinmo_annotate.schema.records import MotionError

VERDICTS = {"c": CORRECT, "w": WRONG, "u": UNSURE}


@pytest.fixture
def judged(store, arms_round):
    """Let a and b judge the six sentences by letters, and hand in."""
    motions = load_motions(arms_round.dataset, arms_round.motion_ids, arms_round.fields)

    def judge(**letters: str):
        for name, given in letters.items():
            session = Session(store, arms_round, name, motions)
            for (motion_id, field), letter in zip(arms_round.items, given, strict=True):
                session.go(arms_round.motion_ids.index(motion_id), field)
                session.judge(VERDICTS[letter])
                session.write(session.item, f"{name} saw {letter}")
            session.hand_in()
        return motions

    return judge


def test_nobody_sees_the_others_before_all_have_handed_in(store, arms_round, judged):
    judged(a="cccccc")
    with pytest.raises(MotionError):
        disagreements(store, arms_round)


def test_disputed_is_what_verdicts_differ_on_or_nobody_is_sure_of(store, arms_round, judged):
    judged(a="cwcwuu", b="ccwwuc")
    disputed = disagreements(store, arms_round)
    assert list(disputed) == [arms_round.items[n] for n in (1, 2, 4, 5)]
    opinions = disputed[arms_round.items[1]]
    assert {name: (one.verdict, one.note) for name, one in opinions.items()} == {
        "a": (WRONG, "a saw w"),
        "b": (CORRECT, "b saw c"),
    }


def test_final_verdicts_are_kept_apart_and_can_be_undone(store, arms_round, judged):
    motions = judged(a="cwcwcc", b="ccwwcc")
    adjudication = Adjudication(store, arms_round, motions, disagreements(store, arms_round))
    assert adjudication.fields() == [arms_round.items[1][1]]
    assert set(adjudication.opinions(adjudication.field)) == {"a", "b"}
    adjudication.choose("side")
    adjudication.next_open()
    adjudication.judge(CORRECT)
    assert adjudication.progress().complete
    final = store.final("arms-1")
    assert {item: one.verdict for item, one in final.items()} == {
        arms_round.items[1]: WRONG,
        arms_round.items[2]: CORRECT,
    }
    assert store.current("arms-1", "a")[arms_round.items[1]].note == "a saw w"
    adjudication.undo()
    assert arms_round.items[2] not in store.final("arms-1")


def test_agreement_leaves_nothing_to_settle(store, arms_round, judged):
    judged(a="cwcwcw", b="cwcwcw")
    assert disagreements(store, arms_round) == {}
