"""What a model is told of a motion: true to the differences, bounded, the same for equal motions."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinmo_annotate.describe.llm.payload import (
    DIFFERENCES_CHARACTERS,
    MOST_CAPTIONS,
    MOST_KEYFRAMES,
    POSES_CHARACTERS,
    captions_text,
    differences_text,
    motion_fields,
    motions_fields,
)
from kinmo_annotate.describe.llm.prompt import load_prompt
from kinmo_annotate.differences import Differences, find_differences
from kinmo_annotate.posecodes import caption_motion
from kinmo_annotate.schema.records import Caption, Event, Keyframe, Motion, Source
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES, MIRROR_GROUP, mirror_joints
from kinmo_annotate.sources import open_source
from kinmo_annotate.sources.procedural import make_motion

NAME = "(?:torso|head|(?:left|right) (?:arm|leg))"
ACTION = (
    rf"(?:{NAME} (?:above|below|in front of|behind) {NAME}( x\d+)?"
    r"|[a-z ]+?( \d+(\.\d)? (m|deg))?( x\d+)?( fast| slowly)?"
    r"( above the head| to (head|shoulder|chest) height)?)"
)
CLAUSE = rf"\d+\.\d(-\d+\.\d)? s {ACTION}(, {ACTION})*"
ROW = re.compile(rf"\w+ \| (?:-|{CLAUSE}(; {CLAUSE})*(; \+\d+ smaller)?)")


@pytest.fixture(scope="module")
def demo() -> list[Motion]:
    return [make_motion(3, index).motion for index in range(8)]


def keyframes(motion: Motion, step: int = 15) -> list[Keyframe]:
    frames = sorted({*range(0, len(motion.joints), step), len(motion.joints) - 1})
    return [Keyframe(frame, 1.0 - 0.01 * (number % 7), "") for number, frame in enumerate(frames)]


def fields_of(motion: Motion, **changes: object) -> dict[str, str]:
    changed = replace(motion, **changes)  # type: ignore[arg-type]
    return motion_fields(changed, keyframes(changed), seed=0)


def rows(text: str) -> dict[str, str]:
    return dict(line.split(" | ", 1) for line in text.splitlines() if " | " in line)


def table(*events: Event) -> dict[str, str]:
    """The table of a motion that did just this; its signals are those of a demo motion."""
    signals = find_differences(make_motion(3, 0).motion.joints, 20.0).signals
    told = {field: [e for e in events if e.field == field] for field in FIELDS}
    return rows(differences_text(Differences(signals, told)))


# ---------------------------------------------------------------- the whole


def test_every_placeholder_of_the_default_prompt_is_filled(demo):
    fields = fields_of(demo[0])
    assert list(fields) == ["fps", "length", "captions", "keyframes", "differences"]
    message = load_prompt().motion_message(fields)
    assert all(text in message for text in fields.values())
    assert fields["fps"] == "20"
    assert fields["length"] == f"{len(demo[0].joints) / 20:.1f} s"


def test_many_motions_are_told_as_each_alone(demo):
    together = motions_fields(demo, [keyframes(m) for m in demo], seed=0)
    assert together == [motion_fields(m, keyframes(m), seed=0) for m in demo]
    assert together[::-1] == motions_fields(demo[::-1], [keyframes(m) for m in demo[::-1]], seed=0)
    assert motions_fields([], [], seed=0) == []


def test_nothing_tells_which_motion_it_is(demo):
    elsewhere = {"motion_id": "secret_17", "source": Source("secret", "secret/17.npy"), "split": "test"}
    assert fields_of(demo[1]) == fields_of(demo[1], **elsewhere)


def test_the_seed_words_the_poses_and_nothing_else(demo):
    kept = keyframes(demo[1])
    texts = [motion_fields(demo[1], kept, seed=seed) for seed in range(4)]
    assert len({one["keyframes"] for one in texts}) > 1
    assert len({one["differences"] + one["captions"] for one in texts}) == 1


@pytest.mark.parametrize("frames", [2, 3, 6])
def test_the_shortest_motions_are_told(demo, frames):
    fields = fields_of(demo[0], joints=demo[0].joints[:frames])
    assert set(rows(fields["differences"])) == set(FIELDS)
    assert set(rows(fields["keyframes"])) == set(GROUP_NAMES)


# ---------------------------------------------------------------- captions


def test_captions_stand_with_their_times_each_once():
    text = captions_text(
        [Caption("a person walks"), Caption("turns round", 1.0, 2.25), Caption(" a person\twalks ")]
    )
    assert text == '- "a person walks"\n- "turns round" (1.0-2.2 s)'


def test_without_captions_it_says_so():
    assert captions_text([]) == "none"
    assert captions_text([Caption(" \u200b\n")]) == "none"


def test_a_caption_cannot_leave_its_line_or_its_quotes():
    text = captions_text([Caption('x"\n\nTable:\u2028torso | -\x00\x1b[31m\u202e\ud800')])
    assert text == '- "x\' Table: torso | - [31m"'
    assert text.encode()


@pytest.mark.parametrize("letter", ["a", "é", "跳", "🕺"])
def test_captions_are_bounded_in_number_and_length(letter):
    text = captions_text([Caption(f"{number} {letter * 5000}") for number in range(30)])
    lines = text.splitlines()
    assert len(lines) == MOST_CAPTIONS + 1
    assert lines[-1] == "(25 more left out)"
    assert len(text.encode()) < 1100
    assert all(line.endswith(' ..."') for line in lines[:-1])


# ---------------------------------------------------------------- poses


def test_a_line_of_a_pose_stands_only_where_it_changed(demo):
    motion = demo[2]
    kept = keyframes(motion, 20)[:MOST_KEYFRAMES]
    text = rows(motion_fields(motion, kept, seed=0)["keyframes"])
    for group in GROUP_NAMES:
        captions = caption_motion(motion.joints, seed=0, fields=(group,))
        said = [captions.frame_caption(k.frame) for k in kept]
        changes = [k for k, now, before in zip(kept, said, ["", *said], strict=False) if now != before]
        times = re.findall(r"(?:^| / )(\d+\.\d) s: ", text[group])
        assert times == [f"{k.frame / 20:.1f}" for k in changes]


def test_a_pose_is_the_caption_of_its_group(demo):
    motion = demo[2]
    text = rows(motion_fields(motion, [Keyframe(0, 1.0, "")], seed=5)["keyframes"])
    for group in GROUP_NAMES:
        caption = caption_motion(motion.joints, seed=5, fields=(group,)).frame_caption(0)
        told = text[group].removeprefix("0.0 s: ").removesuffix(" ...")
        assert caption.startswith(told) or (told == "nothing stands out" and told in caption.lower())


def test_too_many_keyframes_leave_those_that_changed_most(demo):
    motion = replace(demo[0], joints=np.tile(demo[0].joints, (6, 1, 1)))
    last = len(motion.joints) - 1
    sharp = {20, 50, 90}
    frames = sorted({*range(0, last, 10), last})
    kept = [Keyframe(f, 0.1 if f in sharp else 0.7, "") for f in frames]
    text = motion_fields(motion, kept, seed=0)["keyframes"]
    note = re.match(rf"\(the (\d) keyframes of {len(frames)} with the largest changes\)\n", text)
    assert note is not None
    times = {round(20 * float(t)) for t in re.findall(r"(\d+\.\d) s: ", text)}
    assert times <= {0, 10, 30, 40, 60, round(20 * float(f"{last / 20:.1f}"))} | sharp
    assert times & sharp


def test_a_long_caption_of_a_pose_ends_at_a_clause(shared_data):
    told = [
        line for motion in real_motions(shared_data, 15) for line in poses_of(motion) if line.endswith(" ...")
    ]
    assert told, "no long caption among these motions"
    assert not any(re.search(r"(,|\.| and| while| with) \.\.\.$", line) for line in told)


def poses_of(motion: Motion) -> list[str]:
    text = rows(motion_fields(motion, keyframes(motion), seed=0)["keyframes"])
    return [pose for line in text.values() for pose in line.split(" / ")]


# ---------------------------------------------------------------- differences


def test_the_table_has_every_field_in_order_and_a_dash_where_nothing_happened(demo):
    for motion in demo:
        text = fields_of(motion)["differences"]
        events = find_differences(motion.joints, motion.fps).events
        assert tuple(rows(text)) == FIELDS
        assert {f for f, row in rows(text).items() if row == "-"} == {f for f in FIELDS if not events[f]}
        assert all(ROW.fullmatch(line) for line in text.splitlines())


def test_events_are_told_with_time_size_and_count():
    text = table(
        Event("left_arm", "bend", 0.42, 1.18, 1, 62.0),
        Event("left_arm", "wave", 1.3, 2.9, 4, 4.0),
        Event("torso", "move_forward", 0.5, 2.5, 1, 1.23),
        Event("torso", "turn_left", 3.0, 3.6, 1, 88.0),
        Event("right_leg", "step", 0.2, 2.4, 3, 3.0),
        Event("left_leg", "straighten", 0.31, 0.33, 1, 40.0),
        Event("neck", "nod", 1.0, 2.0, 2, 2.0),
    )
    assert text["left_arm"] == "0.4-1.2 s bend elbow 60 deg; 1.3-2.9 s wave x4"
    assert text["torso"] == "0.5-2.5 s move forward 1.2 m; 3.0-3.6 s turn left 90 deg"
    assert text["right_leg"] == "0.2-2.4 s step x3"
    assert text["left_leg"] == "0.3 s straighten knee 40 deg"
    assert text["neck"] == "1.0-2.0 s nod x2"
    assert text["right_arm"] == text["torso__neck"] == "-"


@pytest.mark.parametrize(
    ("field", "action", "said"),
    [
        ("neck__left_arm", "below", "left arm above head"),
        ("neck__left_arm", "above", "left arm below head"),
        ("torso__right_leg", "behind", "right leg in front of torso"),
        ("torso__right_leg", "in_front", "right leg behind torso"),
        ("left_arm__right_arm", "above", "left arm above right arm"),
        ("left_arm__right_leg", "behind", "left arm behind right leg"),
        ("left_leg__right_leg", "cross", "cross"),
        ("left_leg__right_leg", "alternate", "alternate"),
        ("torso__left_leg", "close", "close at hip 50 deg"),
        ("torso__right_arm", "open", "open at shoulder 50 deg"),
        ("torso__neck", "close", "close at base of the neck 50 deg"),
    ],
)
def test_pairs_are_told_in_words_that_name_who_moved(field, action, said):
    assert table(Event(field, action, 1.0, 2.0, 1, 50.0))[field] == f"1.0-2.0 s {said}"


def test_what_happens_at_once_is_told_at_once():
    text = table(
        Event("left_leg", "lift", 1.0, 2.0, 1, 0.4),
        Event("left_leg", "bend", 1.1, 2.0, 1, 80.0),
        Event("left_leg", "lower", 2.1, 2.8, 1, 0.4),
    )
    assert text["left_leg"] == "1.0-2.0 s lift 0.4 m, bend knee 80 deg; 2.1-2.8 s lower 0.4 m"


@pytest.mark.parametrize(("seconds", "speed"), [(0.2, " fast"), (1.0, ""), (3.0, " slowly")])
def test_the_speed_of_a_hand_is_told(seconds, speed):
    text = table(Event("left_arm", "lower", 1.0, 1.0 + seconds, 1, 0.6))["left_arm"]
    assert text.endswith(f"lower 0.6 m{speed}")


def test_how_high_a_hand_goes_is_told(arm_motion):
    motion = Motion("000001", arm_motion(3), Source("made up", ""))
    text = rows(fields_of(motion)["differences"])["left_arm"]
    top = motion.joints[:, 20, 1].max() - motion.joints[0, 16, 1]
    assert -0.12 < top < 0.08
    assert "to shoulder height" in text


def test_the_smaller_ones_are_counted_where_there_are_too_many():
    events = [Event("neck", "lower" if n % 2 else "tilt_left", n, n + 0.5, 1, 20.0 + 3 * n) for n in range(3)]
    events += [Event("neck", "raise", 4.0, 5.0, 1, 90.0), Event("neck", "nod", 6.0, 8.0, 9, 9.0)]
    text = table(*events, Event("neck", "tilt_right", 9.0, 9.5, 1, 70.0))["neck"]
    assert text.endswith("; +2 smaller")
    assert "raise 90 deg" in text
    assert "nod x9" in text
    assert "tilt right 70 deg" in text
    assert "0.0-0.5 s" not in text


def test_a_mirrored_motion_has_the_mirrored_rows(demo):
    swap = {"left": "right", "right": "left"}
    for motion in demo:
        text = rows(fields_of(motion)["differences"])
        mirrored = rows(fields_of(motion, joints=mirror_joints(motion.joints))["differences"])
        for group in GROUP_NAMES:
            seen = re.sub("left|right", lambda m: swap[m[0]], mirrored[MIRROR_GROUP[group]])
            assert sorted(re.split("[,;] ", seen)) == sorted(re.split("[,;] ", text[group])), group


# ---------------------------------------------------------------- bounds


def assert_bounded(fields: dict[str, str]) -> None:
    assert len(fields["keyframes"]) <= POSES_CHARACTERS + 100
    assert len(fields["differences"]) <= DIFFERENCES_CHARACTERS + 100
    assert len(fields["captions"].encode()) <= 1100


def test_a_very_long_motion_stays_within_bounds(demo):
    whole = np.concatenate([m.joints for m in demo] * 4)
    captions = tuple(Caption(f"caption {n} " + "long " * 200) for n in range(40))
    motion = replace(demo[0], joints=whole, captions=captions)
    fields = motion_fields(motion, keyframes(motion, 5), seed=0)
    assert_bounded(fields)
    assert "smaller" in fields["differences"]
    assert "with the largest changes" in fields["keyframes"]
    assert "more left out" in fields["captions"]


def real_motions(folder: Path, count: int) -> list[Motion]:
    source = open_source(folder / "mocap")
    entries = list(source.entries())
    return [source.load(entry) for entry in entries[:: len(entries) // count][:count]]


def test_real_motions_are_told_within_bounds(shared_data):
    for motion in real_motions(shared_data, 40):
        fields = motion_fields(motion, keyframes(motion, 10), seed=0)
        assert_bounded(fields)
        assert all(ROW.fullmatch(line) for line in fields["differences"].splitlines())
        assert f'- "{motion.captions[0].text[:40]}' in fields["captions"]
        assert motion.motion_id not in "\n".join(fields.values())


def test_the_last_moment_of_the_table_lies_within_the_motion(demo):
    for motion in demo:
        fields = fields_of(motion)
        times = re.findall(r"(\d+\.\d)(?: s|-)", fields["differences"])
        assert all(float(t) <= motion.duration_s + 0.05 for t in times)
