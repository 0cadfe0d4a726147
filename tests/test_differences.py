"""What groups and pairs did must not depend on where one stands, nor on which hand is which."""

from __future__ import annotations

import numpy as np
import pytest

from kinmo_annotate.differences import find_differences
from kinmo_annotate.schema.records import Event
from kinmo_annotate.schema.skeleton import FIELDS, FPS, mirror_field, mirror_joints
from kinmo_annotate.schema.vocabulary import action_of, mirror_action
from kinmo_annotate.sources.procedural import make_motion

DEMOS = range(0, 60, 4)


def joints_of(index: int) -> np.ndarray:
    return make_motion(3, index).motion.joints.astype(np.float64)


def events_of(joints: np.ndarray) -> list[Event]:
    return [e for events in find_differences(joints, FPS).events.values() for e in events]


def names(events: list[Event]) -> list[tuple[str, str, int]]:
    return sorted((e.field, e.action, e.count) for e in events)


@pytest.mark.parametrize("index", DEMOS)
def test_turned_and_moved_motions_do_the_same(index: int) -> None:
    joints = joints_of(index)
    cos, sin = np.cos(1.1), np.sin(1.1)
    turned = joints @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]]) + np.array([3.0, 0.0, -2.0])
    assert names(events_of(turned)) == names(events_of(joints))


@pytest.mark.parametrize("index", DEMOS)
def test_mirrored_motions_do_the_mirror_image(index: int) -> None:
    joints = joints_of(index)
    expected = names(events_of(joints))
    seen = [
        Event(mirror_field(e.field), _mirrored(e), e.start_s, e.end_s, e.count)
        for e in events_of(mirror_joints(joints))
    ]
    assert names(seen) == expected


def _mirrored(event: Event) -> str:
    """Left arm before right leg becomes right arm before left leg: the order of a pair may turn round."""
    action = mirror_action(event.action)
    groups = [
        g.replace("left", "*").replace("right", "left").replace("*", "right") for g in event.field.split("__")
    ]
    if len(groups) == 2 and "__".join(groups) != mirror_field(event.field):
        turned = {"above": "below", "below": "above", "in_front": "behind", "behind": "in_front"}
        return turned.get(action, action)
    return action


@pytest.mark.parametrize("index", DEMOS)
def test_every_event_is_of_the_vocabulary_and_notable(index: int) -> None:
    duration = make_motion(3, index).motion.duration_s
    for event in events_of(joints_of(index)):
        action = action_of(event.field, event.action)
        assert 0 <= event.start_s <= event.end_s <= duration
        assert event.count >= 1
        if action.unit != "cycles" and event.count == 1 and event.action != "jump":
            assert event.amount >= 0.99 * action.notable


def test_a_still_body_does_nothing() -> None:
    still = np.repeat(joints_of(0)[:1], 40, axis=0)
    found = find_differences(still, FPS).events
    assert list(found) == list(FIELDS)
    assert not any(found.values())
    trembling = still + np.random.default_rng(0).normal(0, 0.004, still.shape)
    assert names(events_of(trembling)) == []


def test_the_shortest_motion_is_measured() -> None:
    assert names(events_of(joints_of(0)[:2])) == []
