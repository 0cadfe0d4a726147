"""The sentences of a round that an adjudication has to settle."""

from __future__ import annotations

from collections.abc import Iterable

from kinmo_annotate.review.rounds import Item, Round
from kinmo_annotate.review.store import UNSURE, Judgement, Store

Opinions = dict[str, Judgement]  # evaluator -> what they said of one sentence


def disagreements(store: Store, round: Round) -> dict[Item, Opinions]:
    """List the sentences with more than one verdict, and those nobody was sure of, in the round's order.

    Raises:
        MotionError: an evaluator has not handed in; until then nobody sees what the others said.
    """
    judged = store.both(round.name)
    opinions = {
        item: {name: judged[name][item] for name in round.evaluators if item in judged[name]}
        for item in round.items
    }
    return {item: given for item, given in opinions.items() if is_disputed(given.values())}


def is_disputed(given: Iterable[Judgement]) -> bool:
    """Tell whether what evaluators said of one sentence leaves it open."""
    verdicts = {judgement.verdict for judgement in given}
    return len(verdicts) > 1 or verdicts == {UNSURE}


def count_unsettled(store: Store, round: Round) -> int:
    """Count the disagreements of a finished round that no adjudication has settled.

    Raises:
        MotionError: not all have finished.
    """
    return len(disagreements(store, round).keys() - store.final(round.name).keys())
