"""Differences: what each group and pair did over a motion, as events of the closed vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.differences.feet import footwork
from kinmo_annotate.differences.limbs import arm_events, leg_events
from kinmo_annotate.differences.pairs import pair_events
from kinmo_annotate.differences.trunk import neck_events, torso_events
from kinmo_annotate.schema.records import Event
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_annotate.signals import Signals, measure


@dataclass(frozen=True)
class Differences:
    """What a motion's groups and pairs did.

    Attributes:
        signals: what was measured.
        events: for each of the 21 fields its events in order of time; none means no notable movement.
    """

    signals: Signals
    events: dict[str, list[Event]]


def find_differences(joints: NDArray[np.floating], fps: float) -> Differences:
    """Find everything notable that each group and each pair did, in order of time.

    Movements are found between the turning points of each measured signal over the whole motion, rather
    than between neighbouring keyframes only: a hand that goes up and comes back between two keyframes would
    leave no trace in their poses. Repeated movement is found once and counted.

    Args:
        joints: (T, 22, 3) positions, metres, y up.
        fps: frames per second.

    Returns:
        The signals and, for each of the 21 fields, its events.
    """
    signals = measure(joints, fps)
    feet = footwork(signals)
    groups = {
        "torso": torso_events(signals, feet),
        "neck": neck_events(signals),
        "left_arm": arm_events(signals, "left_arm", feet),
        "right_arm": arm_events(signals, "right_arm", feet),
        "left_leg": leg_events(signals, "left_leg", feet),
        "right_leg": leg_events(signals, "right_leg", feet),
    }
    events = [e for found in groups.values() for e in found] + pair_events(signals, groups, feet)
    events.sort(key=lambda e: (e.start_s, e.end_s, e.action))
    return Differences(signals, {field: [e for e in events if e.field == field] for field in FIELDS})
