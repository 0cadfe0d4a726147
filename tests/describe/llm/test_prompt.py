"""The prompt: the default says what it must, unusable files are refused, nothing is filled twice."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinmo_annotate.claims import read_claims
from kinmo_annotate.describe.llm.form import parse_answer
from kinmo_annotate.describe.llm.prompt import COPY, MOST_BYTES, load_prompt
from kinmo_annotate.schema.records import NO_MOVEMENT, NOT_DETERMINED, MotionError
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES
from kinmo_annotate.schema.vocabulary import ACTIONS

FIELDS_OF_A_MOTION = {
    "fps": "20",
    "length": "3.4 s",
    "captions": '- "a person waves"',
    "keyframes": "torso | 0.0 s: nothing stands out",
    "differences": "torso | -",
}
SMALL = """# Mine

About {{anything}}.

## System
Say what moves.
### A heading inside
## Motion
{{length}} {{differences}}
## Retry
Again: {{reason}}
## Repair
Wrong: {{contradictions}}
"""


@pytest.fixture
def written(tmp_path: Path):
    def write(content: str | bytes, name: str = "mine.md") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def refusal(path: Path) -> str:
    with pytest.raises(MotionError) as error:
        load_prompt(path)
    assert error.value.where == str(path)
    assert COPY in error.value.remedy
    return error.value.reason


# ---------------------------------------------------------------- the default


def test_the_static_part_is_long_enough_for_prompt_caches_and_has_no_gaps():
    prompt = load_prompt()
    # 1,024 tokens are the shortest prefix that is cached; English has less than six characters a token
    assert len(prompt.system) > 6 * 1100
    assert "{{" not in prompt.system


def test_the_default_names_every_field_and_both_fixed_sentences():
    prompt = load_prompt()
    assert all(name in prompt.system for name in GROUP_NAMES)
    assert NO_MOVEMENT in prompt.system
    assert f"exactly: {NOT_DETERMINED}" in prompt.system
    assert NO_MOVEMENT in prompt.retry
    assert NOT_DETERMINED in prompt.repair


def test_the_default_explains_every_action_of_its_kind():
    section = load_prompt().system.split("THE ACTIONS")[1].split("EXAMPLE 1")[0]
    lines = {line.split(":")[0].rstrip("s"): line for line in section.splitlines() if ":" in line}
    for kind, name in ACTIONS:
        words = name.split("_")
        assert all(word in lines[kind] for word in words), f"{kind} {name}"


SUBJECTS = {
    "torso": ("torso", "The torso"),
    "neck": ("neck", "The head"),
    "arm": ("left_arm", "The left arm"),
    "leg": ("left_leg", "The left leg"),
    "pairs": ("torso__left_arm", "The torso and the left arm"),
}


def test_every_phrase_that_the_default_suggests_is_read_back_as_its_action():
    section = load_prompt().system.split("THE ACTIONS AND HOW TO SAY THEM\n")[1].split("\n\n")[0]
    read = 0
    for line in section.splitlines():
        kind, rest = line.split(": ", 1)
        for names, meaning in re.findall(r'(?:^|\. )([^=".]+?) = ([^=]*?)(?=\. [a-zX]|\.$)', rest):
            for phrase in re.findall(r'"([^"]+)"', meaning):
                assert_read_back(kind, names, phrase)
                read += 1
    assert read > 40


def assert_read_back(kind: str, names: str, phrase: str) -> None:
    field, subject = SUBJECTS[kind]
    sentence = phrase if phrase.startswith("the ") else f"{subject} {phrase}"
    if kind == "pairs" and sentence.endswith("head"):
        field = "neck__left_arm"
    claims = read_claims(field, sentence[0].upper() + sentence[1:] + ".", 4.0)
    assert len(claims) == 1, f"{sentence}: {claims}"
    assert set(claims[0].action.split("_")) <= set(re.split(r"[ /,]+", names)), f"{sentence}: {claims}"


def rows(text: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+) \| (.+)$", text, re.MULTILINE))


def test_the_first_example_is_a_valid_answer_that_says_what_its_table_says():
    example = load_prompt().system.split("EXAMPLE 1")[1].split("EXAMPLE 2")[0]
    answer = json.loads(example[example.index("{") :])
    assert tuple(answer) == FIELDS
    assert parse_answer(json.dumps(answer)) == answer
    told = rows(example)
    assert {field for field, text in answer.items() if text != NO_MOVEMENT} == set(told)
    for field, row in told.items():
        assert_says(field, answer[field], row, 3.4)


def test_the_second_example_says_what_its_rows_say():
    example = load_prompt().system.split("EXAMPLE 2")[1]
    found = re.findall(r'^(\w+) \| (.+)\n"(.+)"$', example, re.MULTILINE)
    assert len(found) == 4
    for field, row, sentence in found:
        if row == "-":
            assert sentence == NO_MOVEMENT
        else:
            assert_says(field, sentence, row, 4.0)


def assert_says(field: str, sentence: str, row: str, duration_s: float) -> None:
    """Read the sentence back: its claims are the actions of the row, in order, as often, at that time."""
    claims = read_claims(field, sentence, duration_s)
    actions = []
    for clause in row.split("; "):
        span, rest = clause.split(" s ", 1)
        start, end = map(float, span.split("-"))
        actions += [(one, start, end) for one in rest.split(", ")]
    assert len(claims) == len(actions), f"{sentence} / {row}"
    for claim, (action, start, end) in zip(claims, actions, strict=True):
        said = claim.action.replace("_", " ").replace("reach ", "").replace("in front", "in front of")
        if field.startswith("neck__") and claim.action in ("above", "below"):
            said = {"above": "below", "below": "above"}[claim.action]  # told of the arm, not of the head
        assert said in action
        count = re.search(r"x(\d+)", action)
        assert claim.count == (int(count[1]) if count else 1)
        assert claim.start_s < end
        assert claim.end_s > start


def test_sentences_of_the_default_are_short():
    example = load_prompt().system
    said = re.findall(r'"(The [^"]+\.)"', example)
    assert len(said) >= 10
    assert max(len(sentence.split()) for sentence in said) <= 35


# ---------------------------------------------------------------- filling in


def test_a_motion_is_filled_in():
    text = load_prompt().motion_message(FIELDS_OF_A_MOTION)
    assert "{{" not in text
    assert all(value in text for value in FIELDS_OF_A_MOTION.values())


def test_reasons_and_contradictions_are_filled_in():
    prompt = load_prompt()
    assert "used: field neck is missing." in prompt.retry_message("field neck is missing")
    assert "\n- left_arm: it lowers\n" in prompt.repair_message("- left_arm: it lowers")


@pytest.mark.parametrize("text", ["{{differences}}", "{{", "}} {{length}}", r"\1 \g<0>", "{{{fps}}}"])
def test_what_a_caption_holds_stays_text(text):
    message = load_prompt().motion_message(FIELDS_OF_A_MOTION | {"captions": f'- "{text}"'})
    assert f'- "{text}"' in message
    assert message.count("torso | -") == 1


@given(st.text())
def test_any_value_is_put_in_as_it_is(text):
    prompt = load_prompt()
    before, after = prompt.retry.split("{{reason}}")
    assert prompt.retry_message(text) == before + text + after


# ---------------------------------------------------------------- files of users


def test_the_remedy_copies_the_default(tmp_path):
    program, _, arguments = COPY.partition(" ")
    assert program == "kinmo"
    words, name = arguments.split(" > ")
    run = [sys.executable, "-c", "from kinmo_cli.main import run; run()", *words.split()]
    with (tmp_path / name).open("wb") as file:
        subprocess.run(run, stdout=file, check=True)
    copy = load_prompt(tmp_path / "my_prompt.md")
    assert copy.system == load_prompt().system
    assert copy.fingerprint.removeprefix("my_prompt") == load_prompt().fingerprint.removeprefix("describe")


def test_a_small_prompt_of_a_users_own_is_enough(written):
    prompt = load_prompt(written(SMALL, "my prompt.md"))
    assert prompt.name == "my_prompt"
    assert re.fullmatch(r"my_prompt-[0-9a-f]{12}", prompt.fingerprint)
    assert prompt.system == "Say what moves.\n### A heading inside"
    assert prompt.motion_message(FIELDS_OF_A_MOTION) == "3.4 s torso | -"


@pytest.mark.parametrize(
    "same",
    [
        SMALL.replace("About {{anything}}", "Other words {{of}} documentation"),
        SMALL.replace("\n", "\r\n"),
        SMALL.replace("\n", "\r"),
        "\ufeff" + SMALL,
        SMALL.replace("## System\n", "## System ##\n\n\n"),
        SMALL[SMALL.index("## Motion") :] + "\n" + SMALL[SMALL.index("## System") : SMALL.index("## Motion")],
    ],
)
def test_what_is_not_sent_does_not_change_the_fingerprint(written, same):
    assert load_prompt(written(same)) == load_prompt(written(SMALL))


@pytest.mark.parametrize("word", ["Say", "{{length}}", "Again", "Wrong"])
def test_every_word_that_is_sent_changes_the_fingerprint(written, word):
    before = load_prompt(written(SMALL)).fingerprint
    assert load_prompt(written(SMALL.replace(word, f"Now {word}"))).fingerprint != before


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("\ufeff \r\n", "is empty"),
        ("caf\xe9".encode("latin-1"), "is not UTF-8 text (byte 3)"),
        (b"\x00\xff\xfe", "is not UTF-8 text"),
        (SMALL + "x" * MOST_BYTES, "is larger than 64 KiB"),
        ("Describe the motion.", "lacks the section `## System`, `## Motion`, `## Retry`, `## Repair`"),
        (SMALL.replace("## Repair", "Repair"), "lacks the section `## Repair`"),
        (SMALL.replace("### A", "## A"), "has the unknown section `## A heading inside`"),
        (SMALL + "## Retry\n{{reason}}", "repeats the section `## Retry`"),
        (SMALL.replace("Say what moves.\n### A heading inside", ""), "section `## System` is empty"),
        (SMALL.replace("Say", "Say {{length}}"), "section `## System` cannot have {{length}}"),
        (SMALL.replace("{{differences}}", ""), "section `## Motion` lacks {{differences}}"),
        (SMALL.replace("{{length}}", "{{lenght}}"), "section `## Motion` cannot have {{lenght}}"),
        (SMALL.replace("{{reason}}", "{{}}"), "section `## Retry` cannot have {{}}"),
        (SMALL.replace("{{contradictions}}", "{{contradictions"), "lacks {{contradictions}}"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(written, content, reason):
    assert reason in refusal(written(content))


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    assert "cannot be read" in refusal(tmp_path / "none.md")
    assert "cannot be read" in refusal(tmp_path)


@given(content=st.binary(max_size=300))
def test_any_bytes_are_a_prompt_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("prompt") / "any.md"
    path.write_bytes(content)
    refusal(path)


def test_the_default_stays_when_a_line_of_its_head_changes(written):
    text = (files("kinmo_prompts") / "describe.md").read_text("utf-8")
    assert load_prompt(written("A new line.\n" + text, "describe.md")) == load_prompt()
