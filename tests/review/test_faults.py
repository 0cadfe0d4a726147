"""What goes to the refining model: errors and settled disagreements, with their facts, within bounds."""

from __future__ import annotations

import pytest

from kinmo_annotate.describe.llm.payload import motion_fields
from kinmo_annotate.review import faults as module
from kinmo_annotate.review.agreement import agreement
from kinmo_annotate.review.disputes import count_unsettled
from kinmo_annotate.review.faults import figures_text, gather
from kinmo_annotate.review.rewrite import rows_of
from kinmo_annotate.review.rounds import ADJUDICATION, Round
from kinmo_annotate.review.store import Judgement, open_store
from kinmo_annotate.schema.records import MotionError

FIELDS = ("left_arm", "right_arm", "torso__neck")


@pytest.fixture
def reviewed(make_dataset):
    """Give a function that reviews the first motions: item -> (a's verdict, b's, category, note)."""
    dataset = make_dataset()
    opened = []

    def review(said, motions=3, fields=FIELDS):
        store = open_store(dataset)
        opened.append(store)
        round = Round("legs-1", dataset, tuple(f"{n:06d}" for n in range(motions)), fields, "1")
        store.add_round(round)
        rows = rows_of(dataset, round.motion_ids)
        for who, place in (("a", 0), ("b", 1)):
            for motion_id, field in round.items:
                values = said.get((motion_id, field), ("correct", "correct", "", ""))
                kind = values[2:] if values[place] == "wrong" else ("", "")
                text = rows[motion_id].descriptions[field]
                store.save(Judgement("legs-1", who, motion_id, field, values[place], *kind, text))
            store.finish("legs-1", who)
        return store, store.round("legs-1")

    yield review
    for one in opened:
        one.close()


def test_errors_come_with_the_facts_they_refer_to(reviewed):
    item = ("000001", "left_arm")
    store, round = reviewed({item: ("wrong", "wrong", "timing", 'it says "rises" too\nlate')})
    found = gather(store, round)
    assert (len(found.faults), found.left_out, found.unsettled) == (1, 0, 0)
    row = rows_of(round.dataset, ["000001"])["000001"]
    told = motion_fields(row.motion, row.keyframes, seed=7)
    line = next(line for line in told["differences"].splitlines() if line.startswith("left_arm |"))
    assert found.faults[0].row == line
    assert "raise" in line, "the made-up motion lifts that arm"
    assert found.faults[0].poses[0].startswith("left_arm | 0.0 s:")
    text = found.text
    assert "The left arm rises and comes down again." in text
    assert "evaluator 1: wrong (timing): \"it says 'rises' too late\"" in text
    assert "000001" not in text, "motions have no names there"


def test_a_pair_has_the_poses_of_both(reviewed):
    store, round = reviewed({("000002", "torso__neck"): ("wrong", "wrong", "invented", "")})
    fault = gather(store, round).faults[0]
    assert [line.split(" |")[0] for line in fault.poses] == ["torso", "neck"]
    assert fault.row.startswith("torso__neck |")


def test_disagreements_count_once_they_are_settled(reviewed):
    first, second = ("000000", "left_arm"), ("000001", "right_arm")
    store, round = reviewed(
        {first: ("wrong", "correct", "side", "other arm"), second: ("correct", "wrong", "timing", "")}
    )
    assert count_unsettled(store, round) == gather(store, round).unsettled == 2
    assert gather(store, round).faults == ()
    store.save(Judgement("legs-1", ADJUDICATION, *first, "correct", "", "it is the right one"))
    found = gather(store, round)
    assert (found.unsettled, count_unsettled(store, round)) == (1, 1)
    assert 'adjudication: correct: "it is the right one"' in found.text
    assert "evaluator 1: wrong (side)" in found.text


def test_kinds_of_errors_take_turns_and_the_text_is_bounded(reviewed, monkeypatch):
    said = {
        (f"{n:06d}", field): ("wrong", "wrong", "wording", "x" * 3000) for n in range(12) for field in FIELDS
    }
    said[("000011", "torso__neck")] = ("wrong", "wrong", "side", "")
    store, round = reviewed(said, motions=12)
    monkeypatch.setattr(module, "MOST_FAULTS", 6)
    found = gather(store, round)
    assert len(found.faults) == 6
    assert found.left_out == 30
    assert {one.category for one in found.faults[:2]} == {"wording", "side"}
    assert "(30 more of the same kinds are left out)" in found.text
    monkeypatch.setattr(module, "MOST_CHARACTERS", 2500)
    short = gather(store, round)
    assert 1 <= len(short.faults) < 6
    assert sum(len(one.text) for one in short.faults) <= 2500


def test_figures_are_told_in_words(reviewed):
    store, round = reviewed({("000000", "left_arm"): ("wrong", "wrong", "side", "")})
    text = figures_text(agreement(store, "legs-1"), gather(store, round))
    assert "sentences judged: 9, by 2 people" in text
    assert "judged wrong: 11% of the judgements (side 11%)" in text
    assert "100% of the sentences were judged alike, Cohen's kappa 1.00" in text


def test_a_round_that_is_not_finished_is_refused(make_dataset):
    dataset = make_dataset()
    with open_store(dataset) as store:
        store.add_round(Round("legs-1", dataset, ("000000",), FIELDS))
        with pytest.raises(MotionError, match="not finished"):
            gather(store, store.round("legs-1"))
