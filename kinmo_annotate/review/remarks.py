"""What a reader of the figures of agreement has to know, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from kinmo_annotate.review.agreement import Agreement
from kinmo_annotate.review.figures import Figures

# Labels are one-sided when one makes up so much of them; kappa then stays this far behind the raw agreement.
_ONE_SIDED: Final = 0.85
_BEHIND: Final = 0.2
_MANY_UNDEFINED: Final = 0.05
_FEW_MOTIONS: Final = 10
_FEW_ITEMS: Final = 10  # of so few, one label may make up nearly all by chance


def remarks(found: Agreement) -> list[str]:
    """Say what limits the figures of a round; empty where nothing does."""
    return list(_remarks(found))


def _remarks(found: Agreement) -> Iterator[str]:
    overall = found.overall
    if found.disagreements is None:
        yield (
            "Not all evaluators have finished: these figures are of what is judged so far. Which sentences"
            " they disagree about is not shown, so that nobody learns what another has said."
        )
    if not overall.items:
        yield "No sentence has the judgements of two evaluators: there is nothing to compare yet."
        return
    if found.missing:
        yield (
            f"{found.missing} of {found.asked} sentences do not have a label of every evaluator; kappa leaves"
            " them out."
        )
    yield from _of_intervals(overall)
    yield from _constant_fields(found)
    if math.isnan(overall.kappa.value):
        yield _undefined(overall)
    elif is_one_sided(overall):
        yield _paradox(overall)
    elif len(found.fields) > 1:
        yield from _one_sided_fields(found)


def _constant_fields(found: Agreement) -> Iterator[str]:
    """Name the fields in which an evaluator never changed the label, where both did on the whole."""
    if found.overall.kappa.low == found.overall.kappa.high or len(found.fields) < 2:
        return
    fields = [one.name for one in found.fields if one.kappa.low == one.kappa.high == 0]
    if fields:
        yield (
            f"An evaluator gave one label throughout of {', '.join(fields)}: kappa is 0 there whatever the"
            " others say; read AC1 beside it."
        )


def _one_sided_fields(found: Agreement) -> Iterator[str]:
    """Name the fields in which labels are one-sided where they are not on the whole."""
    fields = [one.name for one in found.fields if one.items >= _FEW_ITEMS and is_one_sided(one)]
    if fields:
        yield f"One label makes up nearly all judgements of {', '.join(fields)}: read AC1 beside kappa there."


def _of_intervals(overall: Figures) -> Iterator[str]:
    """Say where the intervals are less than they seem."""
    motions = overall.motions
    if motions < 2:
        yield "All sentences are of one motion, so there are no intervals: judge more motions."
    elif overall.agreement.value == 1.0:
        yield (
            "Nobody disagreed, so the resamples have no spread and the intervals are points. By the rule of"
            f" three, up to {min(1.0, 3 / motions):.0%} of all motions may still hold a disagreement."
        )
    elif motions < _FEW_MOTIONS:
        yield f"{motions} motions are few: intervals from so few tend to be too narrow."
    if overall.kappa.low == overall.kappa.high == 0:
        yield (
            "An evaluator gave one label throughout, so kappa is 0 whatever the others say, and its interval"
            " tells nothing."
        )
    if _MANY_UNDEFINED < overall.undefined < 1:
        yield (
            f"Kappa is undefined in {overall.undefined:.0%} of the resamples, where all labels are alike; its"
            " interval is of the others and should not be relied on."
        )


def is_one_sided(figures: Figures) -> bool:
    """Tell whether nearly all judgements give one label and kappa suffers from it."""
    if not figures.items or max(figures.shares.values()) < _ONE_SIDED:
        return False
    behind = figures.agreement.value - figures.kappa.value
    return math.isnan(behind) or behind > _BEHIND


def _most(figures: Figures) -> tuple[str, float]:
    return max(figures.shares.items(), key=lambda pair: pair[1])


def _undefined(overall: Figures) -> str:
    label, share = _most(overall)
    if share < 1:
        return (
            "Kappa is undefined: the sentences that all evaluators have labelled have one label throughout."
        )
    return (
        f"Kappa is undefined: every judgement says {label}, and evaluators who say so without looking would"
        f" agree as often. AC1 is {overall.ac1.value:.2f}. To have a kappa, judge motions that are likely to"
        " be wrong too (`kinmo annotate sample --contradicted-first`), or use --gate-on ac1."
    )


def _paradox(overall: Figures) -> str:
    label, share = _most(overall)
    agreement, kappa = overall.agreement.value, overall.kappa.value
    chance = (agreement - kappa) / (1 - kappa)
    return (
        f"Kappa paradox: {share:.0%} of the judgements say {label}. Evaluators who said so as often without"
        f" looking would already agree about {chance:.0%} of the sentences, and kappa counts only what lies"
        f" above that: it is {kappa:.2f} although they agree about {agreement:.0%}. A few disagreements more"
        f" or less move it far. AC1, {overall.ac1.value:.2f}, hardly depends on how often a label is given."
        " Read both, with their intervals; a sample with more errors in it (`kinmo annotate sample"
        " --contradicted-first`) lets kappa speak."
    )
