"""Scores of sentences against known truth."""

import json
from pathlib import Path

import pytest

from kinmo_annotate.schema.records import NO_MOVEMENT, Event, MotionError
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_annotate.scoring import Known, Report, is_supported, read_truth, score_motion

LEFT_UP = Event("left_arm", "raise", 0.5, 1.0, 1, 0.6)
WAVE = Event("left_arm", "wave", 1.0, 3.0, 4, 4.0)


def report_of(known: Known, **sentences: str) -> Report:
    report = Report()
    score_motion(report, "m", dict.fromkeys(FIELDS, NO_MOVEMENT) | sentences, known, 4.0)
    return report


def test_a_right_sentence_scores_full() -> None:
    text = "The left arm rises at about 0.8 s, then waves four times from 1.0 to 3.0 s."
    score = report_of(Known((LEFT_UP, WAVE), ()), left_arm=text).scores["left_arm"]
    assert (score.claims, score.right, score.truths, score.told) == (2, 2, 2, 2)


def test_a_missing_sentence_costs_recall_alone() -> None:
    score = report_of(Known((LEFT_UP,), ())).scores["left_arm"]
    assert (score.precision, score.recall) == (1.0, 0.0)


def test_a_swapped_side_is_found() -> None:
    report = report_of(Known((LEFT_UP,), ()), right_arm="The right arm rises at about 0.8 s.")
    assert report.scores["right_arm"].swapped == 1
    assert report.total().precision == 0


def test_a_turn_to_the_wrong_side_is_swapped() -> None:
    turn = Event("torso", "turn_left", 0.0, 2.0, 1, 90.0)
    assert report_of(Known((turn,), ()), torso="The torso turns right.").scores["torso"].swapped == 1


def test_what_may_be_said_is_not_asked_for() -> None:
    report = report_of(Known((), (LEFT_UP,)), left_arm="The left arm rises at about 0.8 s.")
    assert (report.total().precision, report.total().truths) == (1.0, 0)


@pytest.mark.parametrize(("count", "right"), [(4, True), (5, True), (7, False), (1, False)])
def test_counts_are_judged(count: int, right: bool) -> None:
    claim = Event("left_arm", "wave", 1.0, 3.0, count)
    assert is_supported(claim, [WAVE]) is right


def test_the_wrong_time_is_wrong() -> None:
    assert not is_supported(Event("left_arm", "raise", 2.5, 3.0), [LEFT_UP])


def test_what_is_told_the_wrong_way_round_is_wrong() -> None:
    down = Event("left_arm", "lower", 2.0, 2.5, 1, 0.6)
    text = "The left arm rises at about 2.3 s, then lowers at about 0.8 s."
    report = report_of(Known((LEFT_UP, down), ()), left_arm=text)
    assert report.total().right == 0


def test_truth_is_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    event = {
        "field": "neck",
        "action": "nod",
        "start_s": 0,
        "end_s": 1,
        "count": 2,
        "amount": 2,
        "salient": True,
    }
    path.write_text(json.dumps({"motion_id": "a", "kind": "nod", "events": [event]}) + "\n")
    assert read_truth(path)["a"].must[0].action == "nod"
    path.write_text(json.dumps({"motion_id": "a", "events": [event | {"action": "fly"}]}))
    with pytest.raises(MotionError, match="line 1"):
        read_truth(path)
    with pytest.raises(MotionError, match="kinmo data demo"):
        read_truth(tmp_path / "nowhere.jsonl")
