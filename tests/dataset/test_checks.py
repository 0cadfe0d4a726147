"""The fact check of a dataset, claim by claim."""

from __future__ import annotations

import dataclasses

import pytest

from kinmo_annotate import dataset
from kinmo_annotate.dataset import Seen, Wanted, list_checks, worst_first
from kinmo_annotate.dataset.checks import caption_start
from kinmo_annotate.schema.records import CONTRADICTED, SUPPORTED, VERDICTS, Caption
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.sources.procedural import make_motion
from kinmo_annotate.verify import check_motion


def short(claims) -> list[tuple[str, str]]:
    return [(claim.motion_id, claim.claim) for claim in claims]


def test_contradicted_claims_come_with_their_sentences(checked):
    seen = Seen()
    first, second, third = list_checks(checked, seen=seen)
    assert dataclasses.astuple(first) == (
        "000002", "train", "right_arm", "The right arm rises and comes down again.", "right arm raises",
        CONTRADICTED, "", "a person lifts the right arm [slowly] / stands",
    )  # fmt: skip
    assert (second.field, second.sentence) == ("torso", "No notable movement.")
    assert (third.field, third.sentence) == ("left_arm", "The left arm rises and comes down again.")
    assert seen == Seen(motions=4, unchecked=1, claims=3)


def test_verdicts_fields_and_motion_choose(checked):
    every = list(list_checks(checked, Wanted(VERDICTS)))
    assert len(every) == 7
    arms = list_checks(checked, Wanted(VERDICTS, ("right_arm", "left_arm")))
    assert short(arms) == [
        ("000000", "right arm raises"),
        ("000002", "right arm raises"),
        ("000002", "right arm lowers"),
        ("000003", "left arm raises"),
    ]
    assert short(list_checks(checked, Wanted((SUPPORTED,), motion_id="000002"))) == [
        ("000002", "right arm lowers")
    ]
    assert list(list_checks(checked, Wanted(motion_id="000001"))) == []
    with pytest.raises(DatasetError, match="Did you mean 000000 or"):
        list(list_checks(checked, Wanted(motion_id="00000")))


def test_the_worst_motions_come_first(checked):
    everything = worst_first(checked)
    assert [claim.motion_id for claim in everything] == ["000003", "000003", "000002"]
    for limit in (1, 2, 9):
        seen = Seen()
        assert worst_first(checked, limit, seen=seen) == everything[:limit]
        assert seen.claims == 3
    # what is contradicted elsewhere does not make a motion bad here
    arms = worst_first(checked, wanted=Wanted(VERDICTS, ("right_arm", "left_arm")))
    assert [claim.motion_id for claim in arms] == ["000003", "000002", "000002", "000000"]


@pytest.fixture
def walking(make_rows, write_rows):
    """Demo motions whose rows carry true checks, but for the first, which carries none."""
    rows = []
    for number, row in enumerate(make_rows(3)):
        demo = make_motion(5, number)
        texts = dict(row.descriptions, torso="The torso moves forward.", left_leg="The left leg lifts.")
        checks = () if number == 0 else tuple(one.check() for one in check_motion(demo.motion, texts))
        motion = dataclasses.replace(demo.motion, motion_id=f"{number:06d}")
        rows.append(dataclasses.replace(row, motion=motion, descriptions=texts, checks=checks))
    return write_rows(rows)


def test_checking_again_finds_the_same_and_says_why(walking):
    stored = list(list_checks(walking, Wanted(VERDICTS)))
    seen = Seen()
    anew = list(list_checks(walking, Wanted(VERDICTS, again=True), seen))
    assert {claim.motion_id for claim in anew} == {"000000", "000001", "000002"}
    assert [
        dataclasses.replace(claim, evidence="") for claim in anew if claim.motion_id != "000000"
    ] == stored
    assert all(claim.evidence for claim in anew if claim.verdict == CONTRADICTED)
    assert any(claim.verdict == CONTRADICTED for claim in anew)
    assert seen.unchecked == 0
    one = list(list_checks(walking, Wanted(VERDICTS, motion_id="000001", again=True)))
    assert one == [claim for claim in anew if claim.motion_id == "000001"]


def test_texts_alone_cannot_be_checked_again_but_keep_their_checks(checked, tmp_path):
    dataset.export_texts(checked, tmp_path / "texts")
    assert list(list_checks(tmp_path / "texts")) == list(list_checks(checked))
    with pytest.raises(DatasetError, match=r"no motion to check against.*kinmo dataset join"):
        list(list_checks(tmp_path / "texts", Wanted(again=True)))


def test_progress_counts_motions(checked):
    done: list[int] = []
    list(list_checks(checked, progress=done.append))
    assert sum(done) == 4


def test_long_captions_are_cut():
    texts = [Caption("a man\n walks " * 20), Caption("x")]
    start = caption_start([dataclasses.asdict(text) for text in texts])
    assert len(start) <= 120
    assert start.startswith("a man walks a man")
    assert start.endswith("…")
    assert caption_start([{"text": None}, {"text": " a  b "}]) == " / a b"
