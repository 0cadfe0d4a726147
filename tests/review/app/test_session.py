"""What an evaluator sees and does, without a page."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kinmo_annotate.review.app.marks import Marks
from kinmo_annotate.review.app.motions import ShownMotion, load_motions
from kinmo_annotate.review.app.session import Session
from kinmo_annotate.review.rounds import Round
from kinmo_annotate.review.store import (
    CATEGORIES,
    CORRECT,
    NOT_JUDGED,
    NOTE_LETTERS,
    UNSURE,
    WRONG,
    Judgement,
    Store,
)
from kinmo_annotate.schema.records import MotionError

Seat = Callable[..., Session]


@pytest.fixture
def motions(arms_round: Round) -> list[ShownMotion]:
    return load_motions(arms_round.dataset, arms_round.motion_ids, arms_round.fields)


@pytest.fixture
def seat(store: Store, arms_round: Round, motions: list[ShownMotion]) -> Seat:
    """Seat an evaluator: each call is a page opened anew."""
    return lambda name="a": Session(store, arms_round, name, motions)


def judge_all(session: Session, verdict: str = CORRECT) -> None:
    for _ in session.round.items:
        session.judge(verdict)
        session.next_open()


def test_a_round_starts_at_its_first_sentence(seat, arms_round):
    session = seat()
    assert session.item == arms_round.items[0]
    assert (session.progress().judged, session.progress().total) == (0, 6)
    assert not session.can_undo
    assert not session.can_redo


def test_each_judgement_is_saved_with_the_text_that_was_judged(seat, store, arms_round):
    session = seat()
    session.judge(WRONG)
    saved = store.current("arms-1", "a")[arms_round.items[0]]
    assert (saved.verdict, saved.sentence) == (WRONG, "The left arm rises and comes down again.")
    assert store.current("arms-1", "b") == {}


def test_one_goes_on_where_one_stopped(seat, arms_round):
    session = seat()
    session.judge(CORRECT)
    session.next_open()
    session.judge(UNSURE)
    again = seat()
    assert again.progress().motions == ((2, 2), (0, 2), (0, 2))
    assert again.item == arms_round.items[2]
    again.write(arms_round.items[4], "look again")
    assert seat().item == arms_round.items[4]


def test_a_category_says_wrong_and_is_taken_back_by_itself(seat):
    session = seat()
    for category in CATEGORIES:
        session.choose(category)
        assert session.marks("left_arm") == Marks(WRONG, category)
    session.choose(CATEGORIES[-1])
    assert session.marks("left_arm") == Marks(WRONG)
    session.choose("nonsense")
    assert session.marks("left_arm") == Marks(WRONG)


def test_what_is_correct_or_withdrawn_has_no_category_and_keeps_its_note(seat):
    session = seat()
    session.write(session.item, "it is the right arm")
    for verdict in (CORRECT, NOT_JUDGED):
        session.choose("side")
        session.judge(verdict)
        assert session.marks("left_arm") == Marks(verdict, "", "it is the right arm")
    assert session.progress().judged == 0


def test_the_fact_check_is_hidden_until_the_sentence_is_judged(seat):
    session = seat()
    session.write(session.item, "a note is no verdict")
    assert session.hints("left_arm") == ()
    session.judge(UNSURE)
    assert [hint.claim for hint in session.hints("left_arm")] == ["left arm rises"]
    session.judge(NOT_JUDGED)
    assert session.hints("left_arm") == ()


def test_undo_and_redo_go_where_the_change_was(seat, store, arms_round):
    session = seat()
    session.judge(CORRECT)
    session.next_open()
    session.judge(WRONG)
    session.step_motion(1)
    session.undo()
    assert session.item == arms_round.items[1]
    assert store.current("arms-1", "a").keys() == {arms_round.items[0]}
    session.undo()
    session.undo()
    assert session.progress().judged == 0
    session.redo()
    session.redo()
    session.redo()
    assert session.progress().judged == 2
    session.undo()
    session.judge(UNSURE)
    assert not session.can_redo
    assert [one.verdict for one in store.history("arms-1", "a")] == [
        CORRECT, WRONG, NOT_JUDGED, NOT_JUDGED, CORRECT, WRONG, NOT_JUDGED, UNSURE,
    ]  # fmt: skip


def test_undo_reaches_behind_a_restart(seat):
    session = seat()
    session.judge(CORRECT)
    session.choose("timing")
    again = seat()
    again.undo()
    assert again.marks("left_arm") == Marks(CORRECT)
    again.undo()
    assert again.marks("left_arm") == Marks()


def test_letters_are_saved_one_by_one_and_undone_together(seat, store):
    session = seat()
    session.choose("side")
    for end in range(1, 6):
        session.write(session.item, "right"[:end])
    assert [one.note for one in store.history("arms-1", "a")] == ["", "r", "ri", "rig", "righ", "right"]
    session.undo()
    assert session.marks("left_arm") == Marks(WRONG, "side")
    session.redo()
    assert session.marks("left_arm").note == "right"


def test_what_changes_nothing_is_not_saved(seat, store):
    session = seat()
    session.judge(CORRECT)
    session.judge(CORRECT)
    session.write(session.item, "")
    assert len(store.history("arms-1", "a")) == 1


def test_a_note_stays_with_its_sentence_wherever_one_is_by_then(seat, store, arms_round):
    session = seat()
    session.step_motion(2)
    session.write(arms_round.items[0], "late letters")
    session.write(("../../etc/passwd", "left_arm"), "nowhere")
    session.write((arms_round.motion_ids[0], "torso"), "nowhere")
    assert {item: one.note for item, one in store.current("arms-1", "a").items()} == {
        arms_round.items[0]: "late letters"
    }
    assert session.number == 2


def test_an_overlong_note_is_cut(seat, store):
    session = seat()
    session.write(session.item, "x" * (NOTE_LETTERS + 5))
    (saved,) = store.current("arms-1", "a").values()
    assert saved.note == "x" * NOTE_LETTERS


def test_the_way_has_two_ends(seat, arms_round):
    session = seat()
    session.step(-1)
    session.step_motion(-1)
    session.go(99)
    session.go(0, "torso")
    assert session.item == arms_round.items[0]
    for _ in range(20):
        session.step(1)
    assert session.item == arms_round.items[-1]
    session.next_open()
    assert session.item == arms_round.items[0]


def test_two_windows_of_one_evaluator_do_not_overwrite_each_other(seat, store, arms_round):
    first, second = seat(), seat()
    first.choose("side")
    second.refresh()
    second.write(arms_round.items[0], "from the other window")
    saved = store.current("arms-1", "a")[arms_round.items[0]]
    assert (saved.verdict, saved.category, saved.note) == (WRONG, "side", "from the other window")


def test_a_sentence_that_changed_since_is_not_judged(seat, store, arms_round):
    motion_id, field = arms_round.items[0]
    store.save(Judgement("arms-1", "a", motion_id, field, CORRECT, sentence="Another text."))
    assert seat().marks(field) == Marks()
    assert seat().progress().judged == 0


def test_evaluators_work_apart(seat):
    mine, theirs = seat("a"), seat("b")
    mine.choose("side")
    theirs.refresh()
    assert theirs.marks("left_arm") == Marks()
    assert theirs.hints("left_arm") == ()


def test_one_hands_in_a_whole_round_once(seat, store):
    session, other = seat("a"), seat("b")
    with pytest.raises(MotionError, match="left"):
        session.hand_in()
    judge_all(session)
    assert session.progress().complete
    session.hand_in()
    assert session.closed
    assert not session.can_undo
    assert session.waiting_for() == ["b"]
    with pytest.raises(MotionError):
        session.judge(WRONG)
    with pytest.raises(MotionError):
        session.undo()
    assert {one.verdict for one in store.current("arms-1", "a").values()} == {CORRECT}
    assert seat("a").closed
    assert not other.closed


def test_sentences_wrong_without_a_category_are_counted(seat):
    session = seat()
    session.judge(WRONG)
    session.next_open()
    session.choose("wording")
    assert session.progress().vague == 1
