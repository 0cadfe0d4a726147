"""Checks in the mirror: what they say of the mirrored motion is what a check of that motion says."""

from __future__ import annotations

import dataclasses

import pytest

from kinmo_annotate import dataset
from kinmo_annotate.dataset import Wanted, list_checks
from kinmo_annotate.dataset.mirrored import mirror_row
from kinmo_annotate.describe import describe_motion
from kinmo_annotate.schema import arrow, shards
from kinmo_annotate.schema.records import VERDICTS, Check
from kinmo_annotate.sources.procedural import make_motion
from kinmo_annotate.verify import check_motion

ARMS, LEGS = "left_arm__right_arm", "left_leg__right_leg"
PAIRS = [
    (ARMS, "above", ARMS, "below"),
    (ARMS, "left arm above right arm", ARMS, "right arm above left arm"),
    (ARMS, "left arm and right arm comes in front of", ARMS, "left arm and right arm comes behind"),
    (LEGS, "comes above before it comes below", LEGS, "comes below before it comes above"),
    (LEGS, "left leg and right leg move apart", LEGS, "left leg and right leg move apart"),
    (LEGS, "left leg lifts, at 2.0 s", LEGS, "right leg lifts, at 2.0 s"),
    ("left_arm__right_leg", "left arm comes above", "right_arm__left_leg", "right arm comes above"),
    ("neck__left_leg", "above", "neck__right_leg", "above"),
    ("torso", "twists to the left before it sinks", "torso", "twists to the right before it sinks"),
]


@pytest.mark.parametrize(("field", "claim", "other_field", "other_claim"), PAIRS)
def test_a_claim_changes_sides(make_rows, field, claim, other_field, other_claim):
    (row,) = make_rows(1)
    row = dataclasses.replace(row, checks=(Check(field, claim, "contradicted"),))
    record, joints, features = next(arrow.table_to_records(shards.rows_to_table([row])))
    turned = mirror_row(record, joints, features)
    assert turned[0]["checks"] == [{"field": other_field, "claim": other_claim, "verdict": "contradicted"}]
    assert mirror_row(*turned)[0]["checks"] == record["checks"]


def test_mirrored_checks_are_those_of_the_mirrored_motions(make_rows, write_rows, tmp_path):
    rows = []
    for number, row in enumerate(make_rows(24)):
        motion = dataclasses.replace(make_motion(2, number).motion, motion_id=f"{number:06d}")
        texts = describe_motion(motion, seed=0)
        texts["left_arm"], texts["right_arm"] = texts["right_arm"], texts["left_arm"]  # errors of every kind
        texts["left_arm__right_arm"] = (
            "The left hand comes above the right hand, which then is in front of it."
        )
        checks = tuple(finding.check() for finding in check_motion(motion, texts))
        rows.append(dataclasses.replace(row, motion=motion, descriptions=texts, checks=checks))
    dataset.mirror(write_rows(rows), tmp_path / "mirrored")
    stored = list(list_checks(tmp_path / "mirrored", Wanted(VERDICTS)))
    anew = [
        dataclasses.replace(claim, evidence="")
        for claim in list_checks(tmp_path / "mirrored", Wanted(VERDICTS, again=True))
    ]
    assert len(stored) == len(anew) > 400
    differ = set(stored) ^ set(anew)
    assert len(differ) <= 0.01 * len(stored), differ  # a signal may lie on a threshold to within rounding
    assert {claim.verdict for claim in stored} >= {"supported", "contradicted"}
