"""Verdicts of the fact check, counted per group and pair."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from kinmo_annotate import dataset
from kinmo_annotate.dataset.verdicts import WORST, VerdictCount, WorstMotion, claims_of
from kinmo_annotate.schema.arrow import SCHEMA
from kinmo_annotate.schema.records import CONTRADICTED, SUPPORTED, VERDICTS, Check
from kinmo_annotate.schema.skeleton import FIELDS


def table_of(checks: list, ids: list[str] | None = None) -> pa.Table:
    """The two columns that are counted."""
    kind = SCHEMA.field("checks").type
    return pa.table(
        {
            "motion_id": ids or [f"{n:03d}" for n in range(len(checks))],
            "checks": pa.array(
                [None if some is None else [vars_of(c) for c in some] for some in checks], kind
            ),
        }
    )


def vars_of(check: Check) -> dict[str, str]:
    return dataclasses.asdict(check)


def test_rates_per_field_and_in_total(checked):
    found = dataset.info(checked).fact_check
    assert dataclasses.astuple(found.total) == (3, 3, 1, 0.5, 0.8571)
    assert dataclasses.astuple(found.fields["right_arm"]) == (2, 1, 0, 0.3333, 1.0)
    assert dataclasses.astuple(found.fields["torso"]) == (0, 1, 1, 1.0, 0.5)
    assert dataclasses.astuple(found.fields["left_leg"]) == (0, 0, 0, None, None)
    assert list(found.fields) == list(FIELDS)
    assert (found.motions_checked, found.motions_unchecked, found.motions_contradicted) == (3, 1, 2)
    assert found.contradicted_share == 0.6667
    assert found.worst == [WorstMotion("000003", 2, 3), WorstMotion("000002", 1, 2)]
    assert json.loads(json.dumps(dataset.info(checked).to_json()))["fact_check"]["total"]["contradicted"] == 3


def test_many_row_groups_count_as_one_by_one():
    rng = np.random.default_rng(3)
    checks = [
        [
            Check(FIELDS[rng.integers(21)], "x", VERDICTS[rng.integers(3)])
            for _ in range(int(rng.integers(0, 9)))
        ]
        for _ in range(200)
    ]
    table = table_of(checks)
    count = VerdictCount()
    for start in range(0, 200, 37):  # slices begin in the middle of a buffer
        count.add(table.slice(start, 37))
    found = count.result()
    plain = Counter((check.field, check.verdict) for some in checks for check in some)
    for field, rate in found.fields.items():
        counts = tuple(plain[field, verdict] for verdict in VERDICTS)
        assert (rate.supported, rate.contradicted, rate.not_checkable) == counts
    wrong = [sum(check.verdict == CONTRADICTED for check in some) for some in checks]
    order = sorted(range(200), key=lambda n: (-wrong[n], len(checks[n]), n))[:WORST]
    assert found.worst == [WorstMotion(f"{n:03d}", wrong[n], len(checks[n])) for n in order]
    assert found.motions_contradicted == sum(number > 0 for number in wrong)
    assert found.motions_unchecked == sum(not some for some in checks)


def test_words_that_are_not_known_count_apart():
    good, odd = Check("torso", "x", SUPPORTED), Check("tail", "x", SUPPORTED)
    count = VerdictCount()
    count.add(table_of([[good, odd, dataclasses.replace(good, verdict="true")], None]))
    found = count.result()
    assert (found.total.claims, found.unknown, found.motions_unchecked) == (1, 2, 1)


def test_nothing_counted_gives_no_rate():
    found = VerdictCount().result()
    assert (found.total.contradiction_rate, found.total.checkable_share, found.contradicted_share) == (
        None,
    ) * 3
    assert found.worst == []


@pytest.mark.parametrize("start", [0, 1, 2])
def test_claims_know_their_rows(start):
    checks = [[Check("neck", "a", SUPPORTED)], None, [Check("torso", "b", CONTRADICTED)] * 2]
    claims = claims_of(table_of(checks)["checks"].slice(start))
    assert claims.row.tolist() == [n - start for n in (0, 2, 2) if n >= start]
    assert claims.text.to_pylist() == [text for n, text in ((0, "a"), (2, "b"), (2, "b")) if n >= start]
