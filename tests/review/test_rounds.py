"""Drawing a round: random and repeatable, spread over kinds, contradicted first."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from kinmo_annotate.review.rounds import LEGS, Round, action_word, sample_round
from kinmo_annotate.schema import shards
from kinmo_annotate.schema.records import Caption, Check, MotionError
from kinmo_annotate.schema.shards import DatasetError


@pytest.fixture
def write(tmp_path, make_rows):
    """Write a dataset of rows that a function changed: cut into so many shards, both splits."""

    def written(change, motions=40, cuts=2, name="dataset"):
        folder, size = tmp_path / name, motions // cuts
        infos = []
        for index in range(cuts):
            split = "test" if index == cuts - 1 else "train"
            rows = [
                change(row, n) for n, row in enumerate(make_rows(size, split, index * size), index * size)
            ]
            path = folder / "data" / shards.shard_name(split, index)
            infos.append(shards.write_shard(shards.rows_to_table(rows), path))
        shards.Manifest({}, "prompt-7", infos).save(folder)
        return folder

    return written


def as_it_is(row, number):
    return row


def contradicted(row, number):
    """Motion n has n % 4 contradicted claims about legs, and three about an arm."""
    legs = [Check(LEGS[i % 2], "steps", "contradicted") for i in range(number % 4)]
    arm = [Check("left_arm", "rises", "contradicted")] * 3
    return replace(row, checks=(*legs, *arm, Check("left_leg", "bends", "supported")))


def kinds(row, number):
    """Thirty-six walks of one source; two kicks, a bow and one motion of another source."""
    text = {3: "a man kicks", 17: "a man is kicking", 22: "the person bows"}.get(number, "someone walks")
    source = replace(row.motion.source, dataset="other" if number == 30 else "made up")
    return replace(row, motion=replace(row.motion, captions=(Caption(text),), source=source))


def test_the_default_is_the_papers_setting(write):
    drawn = sample_round(write(as_it_is), name="r1")
    assert len(drawn.motion_ids) == len(set(drawn.motion_ids)) == 20
    assert drawn.fields == ("left_leg", "right_leg")
    assert drawn.evaluators == ("a", "b")
    assert drawn.prompt_version == "prompt-7"
    assert len(drawn.items) == 40
    assert drawn.items[:2] == ((drawn.motion_ids[0], "left_leg"), (drawn.motion_ids[0], "right_leg"))


def test_one_seed_one_draw_however_the_dataset_is_cut(write):
    folder = write(as_it_is)
    first = sample_round(folder, name="r1", seed=5)
    assert sample_round(folder, name="r2", seed=5).motion_ids == first.motion_ids
    assert sample_round(write(as_it_is, cuts=5, name="cut"), name="r1", seed=5).motion_ids == first.motion_ids
    assert sample_round(folder, name="r1", seed=6).motion_ids != first.motion_ids
    assert sample_round(folder, name="r1", seed=5, motions=7).motion_ids == first.motion_ids[:7]


def test_every_motion_of_every_split_has_the_same_chance(write):
    folder = write(as_it_is)
    draws = Counter(
        motion
        for seed in range(300)
        for motion in sample_round(folder, name="r", seed=seed, motions=4).motion_ids
    )
    # 300 draws of 4 of 40: 30 times each, standard deviation 5.2
    assert len(draws) == 40
    assert max(abs(count - 30) for count in draws.values()) < 5 * 5.2
    assert sum((count - 30) ** 2 / 27 for count in draws.values()) < 73  # chi square, 39 degrees, p = 0.001


def test_contradicted_first(write):
    drawn = sample_round(write(contradicted), name="r1", contradicted_first=True)
    counts = [int(motion) % 4 for motion in drawn.motion_ids]
    assert counts == [3] * 10 + [2] * 10
    other = sample_round(write(contradicted, name="b"), name="r1", seed=1, contradicted_first=True)
    assert set(other.motion_ids[:10]) == set(drawn.motion_ids[:10])
    assert other.motion_ids != drawn.motion_ids


def test_only_claims_of_the_judged_sentences_count(write):
    drawn = sample_round(
        write(contradicted), name="r1", fields=("left_arm",), contradicted_first=True, motions=40
    )
    assert drawn.motion_ids == sample_round(drawn.dataset, name="r1", motions=40).motion_ids


def test_stratify_takes_turns_between_kinds(write):
    folder = write(kinds)
    drawn = sample_round(folder, name="r1", stratify=True, motions=4)
    rare = {"000022", "000030"}
    assert rare < set(drawn.motion_ids)
    assert len(set(drawn.motion_ids) & {"000003", "000017"}) == 1
    six = sample_round(folder, name="r1", stratify=True, motions=6).motion_ids
    assert six[:4] == drawn.motion_ids
    assert {"000003", "000017"} < set(six)
    plain = [sample_round(folder, name="r1", seed=seed, motions=4).motion_ids for seed in range(20)]
    assert sum(rare < set(ids) for ids in plain) < 3


def test_stratify_and_contradicted_first_together(write):
    folder = write(lambda row, n: contradicted(kinds(row, n), n))
    drawn = sample_round(folder, name="r1", stratify=True, contradicted_first=True, motions=4)
    assert int(drawn.motion_ids[0]) % 4 == 3
    assert "000003" in drawn.motion_ids  # of both kicks the one with more contradicted claims


@pytest.mark.parametrize(
    ("caption", "word"),
    [
        ("a person walks forward.", "walk"),
        ("A man is slowly walking", "walk"),
        ("as if they were angry, the person says goodbye", "say"),
        ("someone who is running", "run"),
        ("she runs", "run"),
        ("kick", ""),
        ("", ""),
    ],
)
def test_action_word(caption, word):
    assert action_word(caption) == word


def test_the_draw_on_real_motions(shared_data):
    words = Counter()
    for path in sorted((shared_data / "mocap/texts").glob("*.txt"))[::20]:
        words[action_word(path.read_text("utf-8").partition("#")[0])] += 1
    assert words[""] / words.total() < 0.02
    assert len(words) > 8


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"motions": 41}, r"has 40 motions, and 41 are to be drawn.*--motions"),
        ({"motions": 0}, "0 are to be drawn"),
        ({"name": "../up"}, "cannot be the name"),
        ({"name": ""}, "cannot be the name"),
        ({"fields": ("leg",)}, "leg is no group or pair"),
        ({"fields": ()}, "no group or pair"),
        ({"fields": ("torso", "torso")}, "names the group or pair 'torso' twice"),
        ({"evaluators": ("a", "a")}, "names the evaluator 'a' twice"),
        ({"evaluators": ("a", "adjudication")}, "nobody may be called adjudication"),
        ({"evaluators": ("<b>",)}, "cannot be the name"),
    ],
)
def test_what_cannot_be_drawn_is_told(write, wrong, reason):
    folder = write(as_it_is)
    with pytest.raises(MotionError, match=reason):
        sample_round(folder, **({"name": "r1"} | wrong))


def test_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match=r"kinmo.json"):
        sample_round(tmp_path, name="r1")


def test_a_round_needs_motions_each_once(tmp_path):
    with pytest.raises(MotionError, match="has no motion"):
        Round("r1", tmp_path, ())
    with pytest.raises(MotionError, match="names the motion 'm' twice"):
        Round("r1", tmp_path, ("m", "m"))
