"""What is said of the figures: the paradox and other limits, and nothing where there is none."""

from __future__ import annotations

import pytest

from kinmo_annotate.review.agreement import measure
from kinmo_annotate.review.remarks import remarks

LEGS = ("left_leg", "right_leg")


def say(judged_round, *said, **more):
    return " ".join(remarks(measure(*judged_round(*said, **more), final={}, resamples=400)))


def test_the_paradox_is_explained_with_its_numbers(judged_round):
    """Feinstein & Cicchetti's one-sided table: 87.5 % correct, chance 78 %, kappa .32, AC1 .81."""
    told = say(judged_round, "c" * 90 + "w" * 10, "c" * 80 + "w" * 10 + "c" * 5 + "w" * 5)
    for words in (
        "Kappa paradox: 88% of the judgements say correct",
        "about 78%",
        "0.32",
        "85%",
        "AC1, 0.81",
    ):
        assert words in told, words
    assert "--contradicted-first" in told


def test_the_balanced_table_of_equal_agreement_gets_no_warning(judged_round):
    """40 and 45 on the diagonal, 9 and 6 beside it: kappa .70 at the same agreement of 85 %."""
    assert say(judged_round, "c" * 49 + "w" * 51, "c" * 40 + "w" * 9 + "c" * 6 + "w" * 45) == ""


def test_one_sided_labels_with_a_high_kappa_get_no_warning(judged_round):
    assert "paradox" not in say(judged_round, "c" * 90 + "w" * 10, "c" * 90 + "w" * 9 + "c")


def test_the_fields_in_which_labels_are_one_sided_are_named(judged_round):
    first = "cw" * 6 + "cc" * 6
    second = "cw" * 6 + "cc" * 4 + "wc" + "cc"
    told = say(judged_round, first, second, fields=LEGS)
    assert "of left_leg: read AC1" in told
    assert "right_leg" not in told


def test_an_evaluator_with_one_label_throughout_is_told_of(judged_round):
    told = say(judged_round, "c" * 20, "c" * 17 + "www")
    assert "kappa is 0 whatever the others say" in told
    assert "Kappa paradox" in told


def test_a_field_of_which_an_evaluator_never_changed_the_label_is_named(judged_round):
    first, second = "cc" * 6 + "wc" * 6, "cc" * 3 + "cw" * 3 + "wc" * 3 + "ww" * 3
    told = say(judged_round, first, second, fields=LEGS)
    assert "one label throughout of right_leg: kappa is 0 there" in told
    assert "left_leg" not in told


@pytest.mark.parametrize("evaluators", [2, 3])
def test_an_undefined_kappa_is_told_in_words(judged_round, evaluators):
    told = say(judged_round, *["c" * 20] * evaluators)
    assert "Kappa is undefined: every judgement says correct" in told
    assert "--gate-on ac1" in told
    assert "rule of three, up to 15% of all motions" in told


def test_a_kappa_that_is_undefined_since_nobody_has_all(judged_round):
    assert "one label throughout" in say(judged_round, "cc.w", "ccw.")


@pytest.mark.parametrize(
    ("said", "fields", "words"),
    [
        (("cw", "cc"), LEGS, "All sentences are of one motion"),
        (("cwcw", "ccww"), ("left_leg",), "4 motions are few"),
        (("c.w.", ".c.w"), ("left_leg",), "nothing to compare"),
        (("cwc.", "ccwc"), ("left_leg",), "1 of 4 sentences do not have a label of every evaluator"),
        (("c" * 19 + "w", "c" * 20), ("left_leg",), "of the resamples, where all labels are alike"),
    ],
)
def test_what_else_limits_the_figures(judged_round, said, fields, words):
    assert words in say(judged_round, *said, fields=fields)


def test_figures_from_unfinished_rounds_say_so(judged_round):
    found = measure(*judged_round("cwcw", "ccww"), final=None)
    assert "Not all evaluators have finished" in remarks(found)[0]
