"""A proposed prompt: what the model is asked, what is refused of what it answers, and the diff."""

from __future__ import annotations

import json

import pytest

from kinmo_annotate.describe.llm.form import AnswerError
from kinmo_annotate.describe.llm.prompt import load_prompt, prompt_text
from kinmo_annotate.review.agreement import measure
from kinmo_annotate.review.faults import Fault, Faults
from kinmo_annotate.review.lineage import REJECTED, Change, Lineage, Version, ensure_root
from kinmo_annotate.review.refine import (
    RESPONSE_FORMAT,
    check_not_copied,
    edited,
    make_task,
    parse_proposal,
    unified_diff,
)
from kinmo_annotate.schema.records import MotionError

PROMPT = load_prompt()
NOTE = "the foot goes up only after the second step has ended"
SENTENCE = "The left leg takes three steps from 0.3 to 2.6 s and then lifts high."
FAULT = Fault(
    "000001", "left_leg", SENTENCE, (f'evaluator 1: wrong (timing): "{NOTE}"',), (NOTE,), "timing",
    "left_leg | 0.3-2.6 s step x3; 2.7-3.1 s lift 0.4 m", ("left_leg | 0.0 s: nothing stands out",),
)  # fmt: skip
MARK = '\n11. Say "about" before a time that a row gives to a tenth.'
BETTER = PROMPT.system.replace("no line breaks.", "no line breaks." + MARK, 1)
CHANGES = [{"what": "rule 11", "why": "timing"}]


@pytest.fixture
def lineage(tmp_path):
    found = Lineage(tmp_path)
    ensure_root(found, PROMPT.fingerprint, None)
    return found


@pytest.fixture
def found(judged_round):
    return measure(*judged_round("wcw", "wcc"), resamples=100)


@pytest.fixture
def task(lineage, found):
    return make_task(lineage, PROMPT.fingerprint, found, Faults((FAULT,), 0, 0, 3))


def answer(system=BETTER, changes=CHANGES, **more) -> str:
    return json.dumps({"system": system, "changes": changes, **more})


def test_the_request_holds_prompt_errors_facts_and_figures(task):
    system, user = (message["content"] for message in task.messages)
    assert "You improve the instructions" in system
    assert PROMPT.system in user
    for part in (SENTENCE, NOTE, FAULT.row, FAULT.poses[0], "sentences judged: 3, by 2 people"):
        assert part in user
    assert "{{" not in user
    assert "000001" not in user


def test_the_schema_is_strict():
    form = RESPONSE_FORMAT["json_schema"]
    assert form["strict"]
    change = form["schema"]["properties"]["changes"]["items"]
    for part in (form["schema"], change):
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])


def test_what_was_turned_down_is_told(task, lineage, found):
    text = PROMPT.system.replace("You describe", "Describe", 1)
    proposal = parse_proposal(answer(text), task)
    version = Version(
        proposal.prompt.fingerprint, "model", REJECTED, "2026-01-01", PROMPT.fingerprint, found.round.name,
        changes=(Change("the first word", "wording"),),
    )  # fmt: skip
    lineage.add(proposal.text, version)
    again = make_task(lineage, PROMPT.fingerprint, found, task.faults)
    assert "- the first word" in again.messages[1]["content"]
    with pytest.raises(AnswerError, match="was there before"):
        parse_proposal(answer(text), again)


def test_a_good_answer_becomes_a_prompt_that_differs_in_one_section(task):
    proposal = parse_proposal(f"Here it is:\n```json\n{answer()}\n```", task)
    assert proposal.prompt.system == BETTER
    assert proposal.prompt.motion == PROMPT.motion
    assert proposal.prompt.name == "describe"
    assert proposal.changes == (Change("rule 11", "timing"),)
    lines = unified_diff(PROMPT, prompt_text(), proposal)
    assert lines[:2] == [f"--- {PROMPT.fingerprint}.md", f"+++ {proposal.prompt.fingerprint}.md"]
    assert [line for line in lines[2:] if line[0] in "+-"] == ["+" + MARK.strip()]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I cannot do that.", "not JSON"),
        (answer()[:-30], "not JSON"),
        (json.dumps({"system": BETTER}), "changes: Field required"),
        (answer(more=1), "more: Extra"),
        (answer(changes=[]), "changes"),
        (answer(system=7), "system"),
        (answer(PROMPT.system), "identical"),
        (answer(PROMPT.system + "  \n"), "identical"),
        (answer(BETTER[:1000]), "characters"),
        (answer(BETTER * 2), "characters"),
        (answer(BETTER + "\x1b[31m"), "control characters"),
        (answer(BETTER + "\ud800"), "control characters"),
        (answer(BETTER.replace("No notable movement.", "Nothing.")), "No notable movement"),
        (answer(BETTER + "\n## Motion\nall of it"), "repeats the section"),
        (answer(BETTER + "\n## Mine\nall of it"), "unknown section"),
        (answer(BETTER + "\n{{length}}"), "cannot have {{length}}"),
        (answer(BETTER + "\nIn motion 000001 the left leg lifts."), "names one motion"),
        (answer(f"{BETTER}\nExample: {SENTENCE.lower()}"), "copies a sentence"),
        (answer(f"{BETTER}\nMind that {NOTE}!"), "copies a note"),
        (answer(f"{BETTER}\n{FAULT.row}"), "copies a row"),
    ],
)  # fmt: skip
def test_a_bad_answer_is_refused_with_a_reason(task, text, reason):
    with pytest.raises(AnswerError, match=reason):
        parse_proposal(text, task)


def test_what_stood_in_the_prompt_before_may_stay(task):
    sentence = "The left leg and the right leg alternate three times throughout."
    assert sentence in PROMPT.system
    fault = Fault("1", "left_leg__right_leg", sentence, (), (), "", "left_leg__right_leg | -", ())
    check_not_copied(BETTER, type(task)(
        task.round, PROMPT, task.text, Faults((fault,), 0, 0, 1), [], frozenset()
    ))  # fmt: skip


def test_a_person_may_change_every_section(task):
    text = prompt_text().replace("Length: {{length}}", "It lasts {{length}}", 1)
    assert "It lasts" in edited(text, PROMPT, set()).prompt.motion
    for bad, reason in ((prompt_text(), "identical"), ("## System\nx", "lacks the section")):
        with pytest.raises(MotionError, match=reason):
            edited(bad, PROMPT, set())


def test_nothing_wrong_leaves_nothing_to_refine(lineage, found):
    with pytest.raises(MotionError, match="nobody found a sentence wrong"):
        make_task(lineage, PROMPT.fingerprint, found, Faults((), 0, 0, 3))
    with pytest.raises(MotionError, match="disputed and not settled"):
        make_task(lineage, PROMPT.fingerprint, found, Faults((), 0, 2, 3))
