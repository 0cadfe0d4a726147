"""Events gathered into clauses."""

from kinmo_annotate.describe.plan import plan
from kinmo_annotate.schema.records import Event


def arm(action: str, start: float, end: float, amount: float = 0.5, count: int = 1) -> Event:
    return Event("left_arm", action, start, end, count, amount)


def test_simultaneous_movements_are_one_clause() -> None:
    (clause,) = plan([arm("raise", 0, 1), arm("reach_forward", 0.1, 1)], 4)
    assert [e.action for e in clause.events] == ["raise", "reach_forward"]


def test_clauses_are_in_order_of_time() -> None:
    clauses = plan([arm("raise", 0, 1, 0.3), arm("lower", 2, 3, 0.9)], 4)
    assert [c.events[0].action for c in clauses] == ["raise", "lower"]


def test_the_most_telling_are_kept() -> None:
    clauses = plan([arm("raise", 0, 1, 0.9), arm("move_in", 2, 3, 0.26), arm("lower", 4, 5, 0.9)], 2)
    assert [c.events[0].action for c in clauses] == ["raise", "lower"]


def test_up_and_down_again_and_again_is_counted() -> None:
    events = [arm(name, t, t + 0.5) for t, name in enumerate(["raise", "lower"] * 3)]
    (clause,) = plan(events, 4)
    assert {(e.action, e.count) for e in clause.events} == {("raise", 3), ("lower", 3)}


def test_all_steps_are_one_count() -> None:
    steps = [Event("left_leg", "step", t, t + 1, 2, 2.0) for t in (0, 4)]
    (clause,) = plan(steps, 4)
    assert clause.events[0].count == 4
