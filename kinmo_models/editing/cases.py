"""A reproducible set of edits, made from the motions of a split and what is said of them.

group    the sentence of a group that moves alone in another motion is asked for, and all other groups are
held:
         "a person walks forward" shall also do what "a person waves with the left hand" does with its arm
time     a span of the motion, drawn at random, is written anew under the texts of another motion
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.records import NO_MOVEMENT, NOT_DETERMINED
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import FPS, GROUP_NAMES, PAIR_NAMES
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.pairs import Pairs, read_pairs
from kinmo_models.tokenizer.config import UNIT

Features = NDArray[np.float32]
# Tells whether what a sentence says of a field is true of a motion (T, 263), not normalised.
IsTrue = Callable[[Features, str, str], bool]

LEAST_SPAN_S: Final = 1.0
MOST_SPAN: Final = 0.6  # share of the motion
_LONGER_BY: Final = 1.0  # seconds that a motion may be longer than the one whose texts are written into it
_TRIES: Final = 200  # drawn for one edit


@dataclass(frozen=True)
class Case:
    """One edit.

    Attributes:
        motion_id: of the source.
        features: (T, 263) of the source, not normalised; T is a multiple of 4.
        caption: asked for.
        fields: sentences asked for; of a group edit those of the group and of its pairs.
        whole: caption of the source and what was asked, in one: what the result is scored by.
        whole_fields: 21 sentences of the result, as far as they are known.
        group: that is edited; "" in a time edit.
        span: of a time edit, seconds from and to; the whole motion otherwise.
    """

    motion_id: str
    features: Features
    caption: str
    fields: Mapping[str, str]
    whole: str
    whole_fields: Mapping[str, str]
    group: str
    span: tuple[float, float]


def make_cases(
    store: MotionStore, split: str, count: int, most_seconds: float, is_true: IsTrue, seed: int = 0
) -> tuple[list[Case], list[Case]]:
    """Draw edits.

    The groups that are edited take turns, as far as a motion moves them alone. What is asked for is not yet
    true of the source, the group does nothing in it, and the motion that the sentence comes from is not more
    than a second longer.

    Args:
        store: the motions.
        split: whose motions.
        count: edits of each kind.
        most_seconds: sources are cut to this.
        is_true: the fact check.
        seed: of all draws.

    Returns:
        Group edits and time edits.

    Raises:
        DatasetError: no such split, or its motions do not make such edits.
    """
    pairs = _cut(read_pairs(store, split), most_seconds)
    donors = _donors(pairs)
    if not donors or not pairs.features:
        reason = f"the split {split} has no motion in which one group alone moves"
        raise DatasetError(store.dataset, reason, "Choose another --split, or one that is larger.")
    random = np.random.default_rng(seed)
    names = [name for name in GROUP_NAMES if name in donors]
    drawn = (_group_case(pairs, donors[names[n % len(names)]], is_true, random) for n in range(2 * count))
    groups = [case for case in drawn if case is not None][:count]
    if len(groups) < count:
        reason = f"the split {split} makes only {len(groups)} of {count} group edits"
        raise DatasetError(store.dataset, reason, f"Ask for less: --count {max(1, len(groups))}.")
    return groups, [_time_case(pairs, random) for _ in range(count)]


def _cut(pairs: Pairs, most_seconds: float) -> Pairs:
    """Keep motions long enough for a span, whole tokens of them, and not more than the model writes."""
    least = round(LEAST_SPAN_S / MOST_SPAN * FPS)
    most = round(most_seconds * FPS)
    kept = [place for place, rows in enumerate(pairs.features) if len(rows) >= least]
    return Pairs(
        [pairs.motion_ids[place] for place in kept],
        [pairs.features[place][: min(len(pairs.features[place]), most) // UNIT * UNIT] for place in kept],
        [pairs.captions[place] for place in kept],
        [pairs.fields[place] for place in kept],
        pairs.left_out + len(pairs.features) - len(kept),
    )


def _donors(pairs: Pairs) -> dict[str, list[int]]:
    """Find for each group the motions in which it moves alone."""
    found: dict[str, list[int]] = {}
    for place, fields in enumerate(pairs.fields):
        moving = moving_groups(fields)
        if len(moving) == 1:
            found.setdefault(moving[0], []).append(place)
    return found


def moving_groups(fields: Mapping[str, str]) -> list[str]:
    """Name the groups that sentences let move."""
    return [name for name in GROUP_NAMES if fields[name] not in (NO_MOVEMENT, NOT_DETERMINED)]


def _group_case(pairs: Pairs, donors: list[int], is_true: IsTrue, random: np.random.Generator) -> Case | None:
    """Draw an edit of a group; None where none was found."""
    for _ in range(_TRIES):
        place, donor = int(random.integers(len(pairs.features))), donors[int(random.integers(len(donors)))]
        group = moving_groups(pairs.fields[donor])[0]
        rows, sentence = pairs.features[place], pairs.fields[donor][group]
        if (
            group in moving_groups(pairs.fields[place])
            or len(pairs.features[donor]) > len(rows) + _LONGER_BY * FPS
        ):
            continue
        if is_true(rows, group, sentence):
            continue
        of_group = [name for name in PAIR_NAMES if group in name.split("__")]
        said = {name: pairs.fields[donor][name] for name in (group, *of_group)}
        return Case(
            pairs.motion_ids[place],
            rows,
            pairs.captions[donor],
            said,
            _together(pairs.captions[place], "while", pairs.captions[donor]),
            {**pairs.fields[place], **dict.fromkeys(of_group, NOT_DETERMINED), group: sentence},
            group,
            (0.0, len(rows) / FPS),
        )
    return None


def _time_case(pairs: Pairs, random: np.random.Generator) -> Case:
    """Draw an edit of a span."""
    place, donor = (int(one) for one in random.integers(len(pairs.features), size=2))
    rows = pairs.features[place]
    seconds = len(rows) / FPS
    length = float(random.uniform(LEAST_SPAN_S, max(LEAST_SPAN_S, MOST_SPAN * seconds)))
    start = float(random.uniform(0.0, seconds - length))
    return Case(
        pairs.motion_ids[place],
        rows,
        pairs.captions[donor],
        pairs.fields[donor],
        _together(pairs.captions[place], "and in between", pairs.captions[donor]),
        dict.fromkeys(pairs.fields[place], NOT_DETERMINED),
        "",
        (round(start, 2), round(start + length, 2)),
    )


def _together(caption: str, link: str, other: str) -> str:
    """Say two captions in one sentence."""
    return f"{caption.rstrip('. ')} {link} {other[:1].lower()}{other[1:]}"
