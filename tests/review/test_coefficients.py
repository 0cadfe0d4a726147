"""Coefficients against published tables, worked by hand in the comments, and against the libraries."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinmo_annotate.review.coefficients import (
    MISSING,
    Sums,
    ac1,
    alpha,
    by_motion,
    confusion,
    draw,
    interval,
    item_sums,
    kappa,
    raw_agreement,
    weighted,
)


def from_table(table):
    """Labels (N, 2) of two evaluators whose confusion table this is."""
    table = np.array(table)
    first, second = np.nonzero(np.ones_like(table))
    return np.repeat(np.stack([first, second], 1), table.ravel(), axis=0)


def totals(labels, q):
    return Sums(*(part.sum(0) for part in item_sums(np.asarray(labels), q)))


# Cohen 1960, "A coefficient of agreement for nominal scales", Educ. Psychol. Meas. 20, table 1, in
# hundredths. He prints po = .25 + .02 + .02 = .29 and pc = .20 + .09 + .06 = .35, so that kappa = -.06 / .65:
# judges may agree less than chance would. Kappa depends on the diagonal and the margins (.50 .30 .20 and .40
# .30 .30) alone.
COHEN_1960 = [[25, 13, 12], [12, 2, 16], [3, 15, 2]]

# Cohen's diagnosis table: personality disorder, neurosis, psychosis, two judges, 200 cases. Printed in
# Cohen 1968, "Weighted kappa", Psychol. Bull. 70, table 1, where the unweighted kappa of Cohen 1960 is
# given as .492; as data in the R packages psych (`cohen.kappa`, "cohen reports .492") and DMAR
# (`diagnosis_agreement`).
# By hand: po = (88 + 40 + 12) / 200 = .70; rows 120, 60, 20 and columns 100, 60, 40, so pe = (120*100 +
# 60*60 + 20*40) / 200**2 = 16400 / 40000 = .41; kappa = (.70 - .41) / (1 - .41) = .29 / .59
COHEN = [[88, 14, 18], [10, 40, 10], [2, 6, 12]]

# Gwet's table of two abstractors and three kinds of pregnancy, 100 women (`cont3x3abstractors` of Gwet's
# own R package irrCAC, vignette "Calculating chance-corrected agreement coefficients": kappa 0.7964094, AC1
# 0.8493305).
# By hand: po = 89 / 100; rows 13, 27, 60; columns 13, 24, 63.
# Kappa: pe = (13*13 + 27*24 + 60*63) / 100**2 = 4597 / 10000; (.89 - .4597) / (1 - .4597) = 4303 / 5403
# AC1: p = .13, .255, .615; pe = (.13*.87 + .255*.745 + .615*.385) / 2 = .53985 / 2; (.89 - .269925) /
# .730075
GWET = [[13, 0, 0], [0, 20, 7], [0, 4, 56]]

# Feinstein & Cicchetti 1990, "High agreement but low kappa: I", J. Clin. Epidemiol. 43; both tables as
# printed in Gerstman, "Epidemiology Kept Simple", table 10.6, with kappa .70 and .32 at an agreement of
# .85.
# Balanced: pe = (49*46 + 51*54) / 10**4 = 5008 / 10**4; (.85 - .5008) / .4992
# One-sided: pe = (90*85 + 10*15) / 10**4 = .78; (.85 - .78) / .22 = 7 / 22
# AC1: p = 95 / 200, pe = 2 * .475 * .525 = .49875; p = 175 / 200, pe = 2 * .875 * .125 = .21875
BALANCED, ONE_SIDED = [[40, 9], [6, 45]], [[80, 10], [5, 5]]

# The paradox at its worst: van Oest 2019, Psychol. Methods 24, table 4, second example.
# By hand: po = 118 / 125 = .944; pe = (123*120 + 2*5) / 125**2 = 14770 / 15625, which is more than po, so
# kappa is (14750 - 14770) / (15625 - 14770) = -20 / 855. AC1: p = 243 / 250, pe = 2 * .972 * .028 = .054432
PARADOX = [[118, 5], [2, 0]]


@pytest.mark.parametrize(
    ("table", "agreement", "by_hand", "printed"),
    [
        (COHEN_1960, 0.29, -0.06 / 0.65, -0.092),
        (COHEN, 0.70, 0.29 / 0.59, 0.492),
        (GWET, 0.89, 4303 / 5403, 0.796),
        (BALANCED, 0.85, (0.85 - 0.5008) / 0.4992, 0.70),
        (ONE_SIDED, 0.85, 7 / 22, 0.32),
        (PARADOX, 0.944, -20 / 855, -0.023),
    ],
    ids=["Cohen 1960", "Cohen", "Gwet", "balanced", "one-sided", "paradox"],
)
def test_kappa_of_published_tables(table, agreement, by_hand, printed):
    sums = totals(from_table(table), len(table))
    assert raw_agreement(sums) == pytest.approx(agreement)
    assert kappa(sums) == pytest.approx(by_hand, abs=1e-12)
    assert abs(kappa(sums) - printed) <= 0.005


@pytest.mark.parametrize(
    ("table", "by_hand"),
    [
        (GWET, (0.89 - 0.269925) / 0.730075),
        (BALANCED, (0.85 - 0.49875) / 0.50125),
        (ONE_SIDED, (0.85 - 0.21875) / 0.78125),
        (PARADOX, (0.944 - 0.054432) / 0.945568),
    ],
    ids=["Gwet", "balanced", "one-sided", "paradox"],
)
def test_ac1_of_published_tables(table, by_hand):
    assert ac1(totals(from_table(table), len(table))) == pytest.approx(by_hand, abs=1e-12)


def test_ac1_that_gwet_prints():
    assert ac1(totals(from_table(GWET), 3)) == pytest.approx(0.8493305, abs=5e-8)
    assert kappa(totals(from_table(GWET), 3)) == pytest.approx(0.7964094, abs=5e-8)


# Krippendorff's textbook table: 4 observers, 12 units, labels 1 to 5, dots where an observer did not judge
# ("Content Analysis", 4th ed., p. 290; "Computing Krippendorff's Alpha-Reliability", 2011, C: nominal alpha
# .743). It is also Gwet's `raw4raters` (Gwet 2014, pp. 55-56: agreement .8182, AC1 .7754, alpha .7434).
KRIPPENDORFF = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""

# 3 observers, 15 units, labels 1 to 4: the worked example of the article "Krippendorff's alpha" in
# Wikipedia (.691).
WIKIPEDIA = """
. . . . . 3 4 1 2 1 1 3 3 . 3
1 . 2 1 3 3 4 3 . . . . . . .
. . 2 1 3 4 4 . 2 1 1 3 3 . 4
"""


def from_text(text):
    """Labels (N, E), 0 to q - 1 and MISSING for a dot."""
    rows = [[MISSING if word == "." else int(word) - 1 for word in line.split()] for line in text.split("\n")]
    return np.array([row for row in rows if row]).T


def test_alpha_and_ac1_of_krippendorffs_table():
    sums = totals(from_text(KRIPPENDORFF), 5)
    # Units 1 to 11 have a pair: labels 1 to 5 were given 9, 13, 10, 5, 3 times, 40 in all, and coincide
    # with themselves 7, 10, 8, 4, 3 times, 32 in all. alpha = 1 - 39 * (40 - 32) / (40**2 - (81 + 169 + 100
    # + 25 + 9))
    np.testing.assert_allclose(sums.counts, [9, 13, 10, 5, 3])
    assert sums.matching == pytest.approx(32)
    assert alpha(sums) == pytest.approx(1 - 312 / 1216)
    # Pairs agree wholly in eight units, by half in units 2 and 8, and not in unit 6: 9 of 11. Shares over
    # the 12 units add up to 3, 3.25, 3.5, 1.25, 1; pe = (1 - (9 + 10.5625 + 12.25 + 1.5625 + 1) / 144) / 4
    assert raw_agreement(sums) == pytest.approx(9 / 11)
    chance = (1 - 34.375 / 144) / 4
    assert ac1(sums) == pytest.approx((9 / 11 - chance) / (1 - chance))
    assert ac1(sums) == pytest.approx(0.77544, abs=5e-6)


def test_alpha_of_the_example_with_many_gaps():
    # 11 units have a pair; labels 1 to 4 were given 7, 4, 10, 5 times, 26 in all; coincidences with
    # themselves are 6, 4, 7, 3. alpha = 1 - 25 * (26 - 20) / (26**2 - (49 + 16 + 100 + 25)) = 1 - 150 / 486
    assert alpha(totals(from_text(WIKIPEDIA), 4)) == pytest.approx(1 - 150 / 486)


# Fleiss' kappa as worked in the Wikipedia article of that name: 14 raters, 10 subjects, 5 labels; kappa
# .210.
FLEISS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip


def test_fleiss_kappa():
    labels = np.array([np.repeat(np.arange(5), row) for row in FLEISS])
    # Labels were given 20, 28, 39, 21, 32 times of 140: pe = (400 + 784 + 1521 + 441 + 1024) / 140**2.
    # Squares of the rows add up to 196, 60, 70, 94, 74, 98, 58, 46, 66, 66 = 828; less 14 for each of ten,
    # over 182.
    observed, chance = (828 - 140) / 1820, 4170 / 19600
    assert kappa(totals(labels, 5)) == pytest.approx((observed - chance) / (1 - chance))
    assert kappa(totals(labels, 5)) == pytest.approx(0.2099, abs=5e-5)


label_tables = st.integers(2, 5).flatmap(
    lambda evaluators: st.lists(
        st.lists(st.integers(0, 2), min_size=evaluators, max_size=evaluators), min_size=1, max_size=30
    )
)


@settings(max_examples=60, deadline=None)
@given(label_tables)
def test_the_libraries_agree(rows):
    """Our formulas, which the intervals need, against scikit-learn, statsmodels and krippendorff."""
    import krippendorff
    from sklearn.metrics import cohen_kappa_score
    from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

    labels = np.array(rows)
    sums = totals(labels, 3)
    counts = aggregate_raters(labels, n_cat=3)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        two = labels.shape[1] == 2
        theirs = cohen_kappa_score(*labels.T, labels=[0, 1, 2]) if two else fleiss_kappa(counts)
        assert kappa(sums) == pytest.approx(theirs, abs=1e-9, nan_ok=True)
    if len(np.unique(labels)) > 1:
        theirs = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
        assert alpha(sums) == pytest.approx(theirs, abs=1e-9)
    else:
        assert np.isnan(alpha(sums))


def test_gaps_in_labels_as_the_library_sees_them():
    import krippendorff

    rng = np.random.default_rng(3)
    for _ in range(20):
        labels = rng.integers(-1, 4, (25, 4))
        theirs = krippendorff.alpha(
            np.where(labels.T == MISSING, np.nan, labels.T), level_of_measurement="nominal"
        )
        assert alpha(totals(labels, 4)) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(
    ("labels", "agreed", "expected_kappa", "expected_ac1"),
    [
        ([[0, 0]] * 5, 1.0, np.nan, 1.0),  # one label throughout: chance explains everything
        ([[1, 1]], 1.0, np.nan, 1.0),
        ([[0, 1]], 0.0, 0.0, -1.0),  # one item: pe of kappa 0, of AC1 2 * .5 * .5
        ([[0, MISSING], [MISSING, 1]], np.nan, np.nan, np.nan),
        ([[MISSING, MISSING]] * 3, np.nan, np.nan, np.nan),
        (np.empty((0, 2), int), np.nan, np.nan, np.nan),
    ],
)
def test_where_there_is_little_to_go_by(labels, agreed, expected_kappa, expected_ac1):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sums = totals(np.array(labels), 2)
        found = raw_agreement(sums), kappa(sums), ac1(sums)
    np.testing.assert_allclose(found, (agreed, expected_kappa, expected_ac1))


def test_an_item_that_one_left_out_counts_for_neither_table_nor_kappa():
    labels = from_table(COHEN)
    more = np.concatenate([labels, [[0, MISSING], [MISSING, 2]]])
    assert kappa(totals(more, 3)) == kappa(totals(labels, 3))
    np.testing.assert_array_equal(confusion(more[:, 0], more[:, 1], 3), COHEN)


def spread(labels, motion, field, q, motions, fields):
    return Sums(*(by_motion(part, motion, field, motions, fields) for part in item_sums(labels, q)))


def test_sums_by_motion_add_up_to_each_field_and_to_all():
    rng = np.random.default_rng(0)
    labels, motion, field = rng.integers(-1, 3, (90, 2)), rng.integers(0, 10, 90), rng.integers(0, 4, 90)
    sums = weighted(spread(labels, motion, field, 3, 10, 4), np.ones((1, 10)))
    for number in range(4):
        alone = kappa(totals(labels[field == number], 3))
        assert kappa(sums)[0, number] == pytest.approx(alone)
    assert kappa(sums)[0, -1] == pytest.approx(kappa(totals(labels, 3)))


def test_a_resample_is_what_it_is_of_the_items_drawn():
    rng = np.random.default_rng(1)
    labels, motion = rng.integers(0, 2, (60, 2)), np.repeat(np.arange(12), 5)
    weights = draw(12, 3, seed=5)
    assert (weights.sum(1) == 12).all()
    sums = weighted(spread(labels, motion, np.zeros(60, int), 2, 12, 1), weights)
    for number, drawn in enumerate(weights.astype(int)):
        items = np.concatenate([np.flatnonzero(motion == m) for m in np.repeat(np.arange(12), drawn)])
        assert kappa(sums)[number, 0] == pytest.approx(kappa(totals(labels[items], 2)))
        assert ac1(sums)[number, 0] == pytest.approx(ac1(totals(labels[items], 2)))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Sentences of one motion err together: an interval that drew sentences alone would be far too narrow."""
    rng = np.random.default_rng(2)
    motions, fields, truth = 40, 10, 0.8
    motion, field = np.repeat(np.arange(motions), fields), np.zeros(motions * fields, int)
    weights = draw(motions, 400, seed=0)
    held = {"motions": 0, "sentences": 0}
    for _ in range(150):
        differs = np.repeat(rng.random(motions) > truth, fields)  # all sentences of a motion, or none
        labels = np.stack([np.zeros(len(differs), int), differs.astype(int)], 1)
        drawn = raw_agreement(weighted(spread(labels, motion, field, 2, motions, 1), weights))[:, -1]
        low, high = interval(drawn)
        held["motions"] += low <= truth <= high
        alone = rng.binomial(len(differs), 1 - differs.mean(), 400) / len(differs)
        low, high = interval(alone)
        held["sentences"] += low <= truth <= high
    assert 0.88 <= held["motions"] / 150 <= 0.99
    assert held["sentences"] / 150 < 0.6


def test_undefined_resamples_are_left_out_of_an_interval():
    values = np.array([[0.0, np.nan], [1.0, np.nan], [np.nan, np.nan]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low, high = interval(values, confidence=1.0)
    assert (low[0], high[0]) == (0.0, 1.0)
    assert np.isnan([low[1], high[1]]).all()


def test_two_thousand_resamples_of_a_round_are_quick():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (420, 2))
    motion, field = np.repeat(np.arange(20), 21), np.tile(np.arange(21), 20)
    began = time.perf_counter()
    sums = weighted(spread(labels, motion, field, 3, 20, 21), draw(20, 2000, seed=0))
    bounds = [interval(figure(sums)) for figure in (raw_agreement, kappa, ac1, alpha)]
    assert time.perf_counter() - began < 0.9
    assert all(bound.shape == (2, 22) for bound in bounds)
