"""The agreement of a round: figures, rules for what is missing or unsure, who may see it, and the gate."""

from __future__ import annotations

import json
import math
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest

from kinmo_annotate.review.agreement import agreement, gated, holds, measure, over_rounds
from kinmo_annotate.review.figures import NO_CATEGORY
from kinmo_annotate.review.rounds import ADJUDICATION, Round
from kinmo_annotate.review.store import CORRECT, WRONG, Judgement, open_store
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import Manifest
from kinmo_annotate.schema.skeleton import FIELDS

# Feinstein & Cicchetti 1990: 80 and 5 on the diagonal, 10 and 5 beside it; kappa (.85 - .78) / .22, worked in
# test_coefficients.py. Here an item is a sentence of a motion of its own.
ONE_SIDED = ("c" * 90 + "w" * 10, "c" * 80 + "w" * 10 + "c" * 5 + "w" * 5)


def test_the_figures_of_a_published_table(judged_round):
    found = measure(*judged_round(*ONE_SIDED))
    overall = found.overall
    assert (overall.items, overall.motions, found.asked, found.missing) == (100, 100, 100, 0)
    assert overall.confusion == {"a / b": [[80, 10], [5, 5]]}
    assert overall.agreement.value == pytest.approx(0.85)
    assert overall.kappa.value == pytest.approx(7 / 22)
    assert overall.ac1.value == pytest.approx((0.85 - 0.21875) / 0.78125)
    assert overall.alpha is None
    assert overall.shares == {CORRECT: 0.875, WRONG: 0.125}
    assert overall.error_rate.value == pytest.approx(25 / 200)
    for one in (overall.agreement, overall.kappa, overall.ac1, overall.error_rate):
        assert one.low < one.value < one.high


def test_the_interval_of_raw_agreement_is_that_of_a_share(judged_round):
    """85 of 100 items of 100 motions: the binomial standard error is sqrt(.85 * .15 / 100) = .0357."""
    low, high = measure(*judged_round(*ONE_SIDED)).overall.agreement[1:]
    assert low == pytest.approx(0.85 - 1.96 * 0.0357, abs=0.012)
    assert high == pytest.approx(0.85 + 1.96 * 0.0357, abs=0.012)


def test_each_field_has_figures_of_its_own(judged_round):
    both = judged_round("cwcwcccw", "cwccccww", fields=("left_leg", "right_leg"))
    left, right = measure(*both).fields
    assert (left.name, left.items, right.name, right.items) == ("left_leg", 4, "right_leg", 4)
    assert left.confusion == {"a / b": [[3, 1], [0, 0]]}
    assert right.confusion == {"a / b": [[1, 0], [1, 2]]}
    # right: po = 3/4; a says wrong 3, b 2 of 4, so pe = (1*2 + 3*2) / 16
    assert right.kappa.value == pytest.approx((0.75 - 0.5) / 0.5)
    assert right.agreement.value == pytest.approx(0.75)


def test_all_fields_together_are_not_the_mean_of_the_fields(judged_round):
    """Cohen's kappa over both legs is that of the summed tables: rows 4, 4; columns 5, 3; po = 6/8."""
    found = measure(*judged_round("cwcwcccw", "cwccccww", fields=("left_leg", "right_leg")))
    assert found.overall.confusion == {"a / b": [[4, 1], [1, 2]]}
    assert found.overall.kappa.value == pytest.approx((6 / 8 - 34 / 64) / (1 - 34 / 64))


def test_unsure_is_a_third_label_or_left_out(judged_round):
    both = judged_round("ccwwuucc", "ccwwucuw")
    with_it = measure(*both)
    assert with_it.labels == ("correct", "wrong", "unsure")
    assert with_it.overall.confusion == {"a / b": [[2, 1, 1], [0, 2, 0], [1, 0, 1]]}
    assert with_it.overall.agreement.value == pytest.approx(5 / 8)
    without = measure(*both, leave_out_unsure=True)
    assert without.labels == ("correct", "wrong")
    assert without.overall.confusion == {"a / b": [[2, 1], [0, 2]]}
    assert (without.overall.items, without.asked, without.missing) == (5, 8, 3)


def test_a_label_that_nobody_used_does_not_raise_ac1(judged_round):
    """With q = 3 the chance agreement of AC1 would be half of what it is with the two labels in use."""
    found = measure(*judged_round("ccccwwww", "cccwcwww"))
    assert found.labels == ("correct", "wrong")
    assert found.overall.ac1.value == pytest.approx((0.75 - 0.5) / 0.5)


def test_three_evaluators(judged_round):
    """Six sentences; Fleiss: shares of pairs agreeing 1, 1, 1, 1, 1/3, 1/3; correct 11, wrong 7 of 18."""
    found = measure(*judged_round("cccwwc", "cccwcw", "cccwww"))
    observed, chance = (4 + 2 / 3) / 6, (11**2 + 7**2) / 18**2
    assert found.overall.agreement.value == pytest.approx(observed)
    assert found.overall.kappa.value == pytest.approx((observed - chance) / (1 - chance))
    # Krippendorff: 18 labels; unlike pairs 18 * (1 - observed) = 4; 1 - 17 * 4 / (2 * 11 * 7)
    assert found.overall.alpha.value == pytest.approx(1 - 17 * 4 / 154)
    assert set(found.overall.confusion) == {"a / b", "a / c", "b / c"}
    assert found.overall.alpha.low < found.overall.alpha.value


def test_three_evaluators_of_whom_one_has_gaps(judged_round):
    found = measure(*judged_round("cccwwc", "cccwcw", "cc.w.w"))
    whole = measure(*judged_round("cccc", "cccc", "cccc")).overall
    assert math.isnan(whole.kappa.value)
    assert found.missing == 2
    assert found.overall.items == 6
    # kappa is of the four sentences that all have: 1, 1, 1, 1/3 agree; correct 7, wrong 5 of 12
    chance = (7**2 + 5**2) / 12**2
    assert found.overall.kappa.value == pytest.approx(((3 + 1 / 3) / 4 - chance) / (1 - chance))


def test_errors_per_category(judged_round):
    round, judged = judged_round("wwwc", "wwcc")
    judged["a"][round.items[0]] = replace(judged["a"][round.items[0]], category="timing")
    judged["a"][round.items[1]] = replace(judged["a"][round.items[1]], category="")
    errors = measure(round, judged).overall.errors
    assert errors["timing"] == pytest.approx(1 / 8)
    assert errors[NO_CATEGORY] == pytest.approx(1 / 8)
    assert errors["side"] == pytest.approx(3 / 8)
    assert sum(errors.values()) == pytest.approx(measure(round, judged).overall.error_rate.value)


def test_a_category_beside_unsure_is_no_error(judged_round):
    round, judged = judged_round("uc", "uc")
    item = round.items[0]
    judged["a"][item] = replace(judged["a"][item], category="timing")
    assert measure(round, judged).overall.error_rate.value == 0


def test_disagreements_come_with_both_notes_and_how_they_were_settled(judged_round):
    round, judged = judged_round("cwuc", "ccuw")
    settled = Judgement("first", ADJUDICATION, *round.items[1], CORRECT, "", "fine", "It.")
    first, second = measure(round, judged, final={round.items[1]: settled}).disagreements
    assert (first.motion_id, first.field, first.sentence) == ("000001", "left_leg", "It.")
    assert {name: (one.verdict, one.note) for name, one in first.judgements.items()} == {
        "a": ("wrong", "a says so"),
        "b": ("correct", "b says so"),
    }
    assert first.final == settled
    assert (second.motion_id, second.final) == ("000003", None)


def test_what_one_did_not_judge_is_no_disagreement(judged_round):
    assert measure(*judged_round("c.w", "cw."), final={}).disagreements == ()


@pytest.mark.parametrize("said", [("c", "c"), ("c", "w"), ("cccc", "cccc"), ("wu", ".."), ("....", "....")])
def test_too_little_to_go_by_never_crashes(judged_round, said):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = measure(*judged_round(*said), resamples=200)
    text = json.dumps(found.as_json(), allow_nan=False)
    assert "NaN" not in text
    assert not holds(found)


def test_equal_labels_throughout(judged_round):
    overall = measure(*judged_round("cccc", "cccc")).overall
    assert math.isnan(overall.kappa.value)
    assert overall.ac1.value == 1.0
    assert overall.undefined == 1.0


def test_one_motion_has_no_interval(judged_round):
    overall = measure(*judged_round("cw", "cc", fields=("left_leg", "right_leg"))).overall
    assert overall.agreement.value == 0.5
    assert np.isnan(overall.agreement[1:]).all()


def test_the_seed_decides_the_intervals_and_nothing_else(judged_round):
    both = judged_round(*ONE_SIDED)
    first, again, other = (measure(*both, seed=seed).overall.kappa for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first.value == other.value


def test_a_round_of_all_fields_is_quick(judged_round):
    rng = np.random.default_rng(0)
    said = ["".join(rng.choice(list("ccccwu"), 420)) for _ in "ab"]
    both = judged_round(*said, fields=FIELDS)
    measure(*both, resamples=100)  # imports
    began = time.perf_counter()
    found = measure(*both)
    assert time.perf_counter() - began < 0.9
    assert len(found.fields) == 21


@pytest.mark.parametrize(("on", "value"), [("kappa", 7 / 22), ("ac1", (0.85 - 0.21875) / 0.78125)])
def test_gates(judged_round, on, value):
    found = measure(*judged_round(*ONE_SIDED))
    assert gated(found, on) == pytest.approx(value)
    assert holds(found, value - 1e-6, on)
    assert not holds(found, value + 1e-6, on)


def test_the_gate_on_the_low_end_is_stricter(judged_round):
    found = measure(*judged_round(*ONE_SIDED))
    assert gated(found, "low-end-of-interval") == found.overall.kappa.low < found.overall.kappa.value


def test_a_gate_holds_above_its_value_and_not_at_it(judged_round):
    found = measure(*judged_round("cwcw", "cwcw"))
    assert found.overall.kappa.value == 1.0
    assert holds(found, 0.999)
    assert not holds(found, 1.0)


def test_an_unknown_gate_is_refused(judged_round):
    with pytest.raises(MotionError, match=r"Use kappa, ac1"):
        gated(measure(*judged_round("cw", "cw")), "alpha")


# ------------------------------------------------------------ from the store


@pytest.fixture
def store(tmp_path):
    Manifest({}, "v1").save(tmp_path)
    with open_store(tmp_path) as opened:
        yield opened


def fill(store, round, judged, finish=("a", "b")):
    store.add_round(replace(round, dataset=store.dataset))
    for said in judged.values():
        for one in said.values():
            store.save(one)
    for evaluator in finish:
        store.finish(round.name, evaluator)


def test_the_store_gives_what_was_judged(store, judged_round):
    both = judged_round("cwcwcccw", "cwccccww", fields=("left_leg", "right_leg"))
    fill(store, *both)
    found, expected = agreement(store, "first"), measure(*both, final={})
    assert found.overall == expected.overall
    assert found.fields == expected.fields
    assert [(one.motion_id, one.field) for one in found.disagreements] == [
        ("000001", "right_leg"), ("000003", "left_leg"),
    ]  # fmt: skip


@pytest.mark.parametrize("finish", [(), ("a",)])
def test_nothing_is_shown_before_all_have_finished(store, judged_round, finish):
    fill(store, *judged_round("cwcw", "ccwc"), finish=finish)
    with pytest.raises(MotionError, match="not finished"):
        agreement(store, "first")


def test_anyway_shows_figures_and_no_sentence(store, judged_round):
    fill(store, *judged_round("cwcw", "cc.."), finish=("a",))
    found = agreement(store, "first", anyway=True)
    assert (found.overall.items, found.missing) == (2, 2)
    assert found.disagreements is None
    assert "says so" not in json.dumps(found.as_json())


def test_anyway_changes_nothing_once_all_have_finished(store, judged_round):
    fill(store, *judged_round("cwcw", "ccwc"))
    assert agreement(store, "first", anyway=True) == agreement(store, "first")


def test_a_verdict_of_the_adjudication_is_told_but_not_counted(store, judged_round):
    round, judged = judged_round("cwcw", "ccww")
    fill(store, round, judged)
    before = agreement(store, "first").overall
    store.save(Judgement("first", ADJUDICATION, *round.items[1], WRONG, "side", "look closely"))
    after = agreement(store, "first")
    assert after.overall == before
    assert [one.final and one.final.note for one in after.disagreements] == ["look closely", None]


def test_one_evaluator_alone_is_told_why(store):
    store.add_round(Round("alone", store.dataset, ("m",), evaluators=("a",)))
    with pytest.raises(MotionError, match="by a alone"):
        agreement(store, "alone")


def test_over_the_rounds_only_those_that_are_finished(store, judged_round):
    for name, finish in (("one", ("a", "b")), ("two", ("a",)), ("three", ("a", "b"))):
        fill(store, *judged_round("cwcw", "ccww", name=name), finish=finish)
    store.add_round(Round("alone", store.dataset, ("m",), evaluators=("a",)))
    assert [one.round.name for one in over_rounds(store, resamples=100)] == ["one", "three"]
