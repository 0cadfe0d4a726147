"""Answers that were paid for: kept through kills, full disks and damaged files."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import diskcache
import pytest

from kinmo_annotate.describe.llm import answers as answers_module
from kinmo_annotate.describe.llm.answers import ARCHIVE_DIR, Answer, Answers, open_answers, read_archive
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import FIELDS

TEXT = json.dumps({field: f"The {field.replace('_', ' ')} rises and falls." for field in FIELDS})


def make(number: int, **changes) -> Answer:
    values = {
        "key": f"{number:032x}", "motion_id": f"m{number}", "model": "a-model",
        "prompt_version": "describe-1", "text": TEXT, "input_tokens": 3000, "output_tokens": 500,
        "cached_tokens": 1024, "cost_usd": 0.001,
    }  # fmt: skip
    return Answer(**values | changes)


def raw(number: int) -> dict:
    return {"id": f"chatcmpl-{number}", "choices": [{"message": {"content": TEXT}}], "words": "é 動作"}


def fill(answers: Answers, numbers) -> None:
    for number in numbers:
        answers.put(make(number), raw(number), 0.001)


@pytest.fixture
def opened(tmp_path):
    """Open answers of a dataset by name, beside one cache or others by name; closed in the end."""
    all_opened = []

    def go(name: str = "d", cache: str = "cache") -> Answers:
        all_opened.append(open_answers(tmp_path / name, tmp_path / cache))
        return all_opened[-1]

    yield go
    for one in all_opened:
        one.close()


def archive(tmp_path: Path, name: str = "d") -> list[dict]:
    return list(read_archive(tmp_path / name / ARCHIVE_DIR))


# ---------------------------------------------------------------- cache and archive


def test_what_was_put_is_found_again(opened, tmp_path):
    first = opened()
    assert first.get(make(1).key) is None
    fill(first, [1])
    assert first.get(make(1).key) == make(1)
    first.close()
    again = opened()
    assert again.get(make(1).key) == make(1)
    assert again.get(make(2).key) is None
    assert again.from_cache == 1
    assert len(archive(tmp_path)) == 1


def test_the_archive_holds_the_raw_answer_and_what_it_cost(opened, tmp_path):
    one = opened()
    fill(one, [1])
    one.put_unusable(make(2, text=""), "the model refused: no", {"id": "x"}, 0.002)
    good, bad = archive(tmp_path)
    assert (good["outcome"], good["raw"], good["paid_usd"], good["text"]) == ("accepted", raw(1), 0.001, TEXT)
    assert (bad["outcome"], bad["raw"], bad["paid_usd"]) == ("the model refused: no", {"id": "x"}, 0.002)
    assert one.spent_usd == pytest.approx(0.003)


def test_an_unusable_answer_is_never_given(opened):
    one = opened()
    one.put_unusable(make(1), "wrong", raw(1), 0.001)
    assert one.get(make(1).key) is None
    one.close()
    assert opened().get(make(1).key) is None


def test_the_money_of_all_runs_adds_up(opened):
    for number in range(3):
        one = opened()
        assert one.spent_usd == pytest.approx(0.001 * number)
        fill(one, [number])
        one.close()


def test_each_run_has_a_file_of_its_own(opened, tmp_path):
    for number in range(3):
        one = opened()
        fill(one, [number])
        one.close()
    assert len(list((tmp_path / "d" / ARCHIVE_DIR).iterdir())) == 3
    assert [record["motion_id"] for record in archive(tmp_path)] == ["m0", "m1", "m2"]


def test_a_run_that_asks_nothing_leaves_no_file(opened, tmp_path):
    opened().close()
    assert not (tmp_path / "d" / ARCHIVE_DIR).exists()


def test_an_answer_of_another_dataset_is_free_and_archived_here_too(opened, tmp_path):
    first = opened("d1")
    fill(first, [1])
    second = opened("d2")
    assert second.get(make(1).key) == make(1)
    assert second.get(make(1).key) == make(1)
    assert second.spent_usd == 0
    (record,) = archive(tmp_path, "d2")
    assert (record["paid_usd"], record["raw"], record["cost_usd"]) == (0.0, raw(1), 0.001)


def test_an_archive_fills_an_emptied_cache(opened, tmp_path):
    first = opened()
    fill(first, range(5))
    first.close()
    assert opened(cache="other").get(make(3).key) == make(3)
    other = opened("elsewhere", cache="other")
    assert other.get(make(4).key) == make(4)
    assert len(archive(tmp_path)) == 5


def test_a_motion_is_found_whatever_was_asked(opened):
    first = opened()
    fill(first, [1])
    first.close()
    again = opened(cache="other")
    assert again.of_motion("m1", "a-model", "describe-1") == make(1)
    assert again.of_motion("m1", "another", "describe-1") is None
    assert again.of_motion("m1", "a-model", "describe-2") is None
    assert again.of_motion("m2", "a-model", "describe-1") is None


def test_two_processes_share_a_cache(opened, tmp_path):
    here = opened("d1")
    script = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_answers import fill, make
from kinmo_annotate.describe.llm.answers import open_answers
answers = open_answers(Path(sys.argv[2]) / "d2", Path(sys.argv[2]) / "cache")
print("open", flush=True)
fill(answers, range(1000, 1100))
assert answers.get(make(1).key) == make(1)
answers.close()
"""
    fill(here, [1])
    arguments = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        fill(here, range(2, 102))
        assert other.wait(60) == 0
    assert all(here.get(make(number).key) == make(number) for number in (*range(1, 102), *range(1000, 1100)))


# ---------------------------------------------------------------- files that were cut off or changed


def frames(path: Path) -> list[bytes]:
    """Cut an archive file where its zstd frames begin."""
    return [b"\x28\xb5\x2f\xfd" + part for part in path.read_bytes().split(b"\x28\xb5\x2f\xfd")[1:]]


def test_a_file_cut_anywhere_in_its_last_line_keeps_the_others(opened, tmp_path):
    one = opened()
    for number in range(3):
        one.put(make(number, text="short"), {"id": number}, 0.001)
    (path,) = (tmp_path / "d" / ARCHIVE_DIR).iterdir()
    whole = frames(path)
    assert len(whole) == 3
    safe = len(whole[0]) + len(whole[1])
    content = path.read_bytes()
    for length in range(safe, len(content)):
        path.write_bytes(content[:length])
        kept = [record["motion_id"] for record in archive(tmp_path)]
        assert kept[:2] == ["m0", "m1"], length
        assert kept in (["m0", "m1"], ["m0", "m1", "m2"]), length  # its last bytes may be a checksum alone


def test_a_long_file_that_is_cut_keeps_all_before(opened, tmp_path):
    one = opened()
    fill(one, range(200))
    (path,) = (tmp_path / "d" / ARCHIVE_DIR).iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    assert len(archive(tmp_path)) == 199
    one.close()
    again = opened(cache="other")
    assert again.spent_usd == pytest.approx(0.199)
    assert again.get(make(198).key) == make(198)
    assert again.get(make(199).key) is None


def test_a_file_of_garbage_is_passed_over(opened, tmp_path):
    one = opened()
    fill(one, [1])
    for name, content in (("0.jsonl.zst", b"garbage" * 1000), ("1.jsonl.zst", b"")):
        (tmp_path / "d" / ARCHIVE_DIR / name).write_bytes(content)
    assert [record["motion_id"] for record in archive(tmp_path)] == ["m1"]


@pytest.mark.parametrize(
    "line",
    [
        b"null",
        b"[]",
        b"{",
        b'{"key": 1}',
        json.dumps({**dict.fromkeys(Answer.__slots__), "outcome": "accepted"}).encode(),
        json.dumps({**{n: [] for n in Answer.__slots__}, "outcome": "accepted", "paid_usd": "x"}).encode(),
        json.dumps(
            {**dict.fromkeys(Answer.__slots__, "x"), "outcome": "accepted", "paid_usd": 1e999}
        ).encode(),
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_lines_that_are_no_answers_are_passed_over(opened, tmp_path, line):
    import pyarrow as pa

    one = opened()
    fill(one, [1])
    one.close()
    frame = pa.compress(line + b"\n", codec="zstd", asbytes=True)
    (tmp_path / "d" / ARCHIVE_DIR / "0.jsonl.zst").write_bytes(frame)
    again = opened(cache="other")
    assert again.get(make(1).key) == make(1)
    assert again.spent_usd == pytest.approx(0.001)


def test_an_archive_that_may_not_be_read_is_told(opened, tmp_path):
    (tmp_path / "d" / ARCHIVE_DIR / "0.jsonl.zst").mkdir(parents=True)
    with pytest.raises(DatasetError, match="cannot be read") as raised:
        opened()
    assert raised.value.remedy


def test_an_answer_that_is_no_longer_good_enough_is_asked_again(opened):
    one = opened()
    one.put(make(1, text='{"torso": "Only this."}'), raw(1), 0.001)
    assert one.get(make(1).key) is None
    one.close()
    assert opened().of_motion("m1", "a-model", "describe-1") is None


# ---------------------------------------------------------------- a damaged cache


class Trap:
    """Its pickle makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_cache_of_pickles_is_never_loaded(opened, tmp_path):
    with diskcache.Cache(str(tmp_path / "cache" / "answers")) as foreign:
        foreign.set(make(1).key.encode(), Trap(tmp_path / "sprung"))
        foreign.set(make(2).key.encode(), {"text": TEXT})
    one = opened()
    assert one.get(make(1).key) is None
    assert one.get(make(2).key) is None
    fill(one, [1])
    assert one.get(make(1).key) == make(1)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("stored", [b"", b"null", b"{}", b"\xff", b"[" * 100_000, b'{"key": 1}'])
def test_a_value_that_is_no_answer_counts_as_absent(opened, tmp_path, stored):
    one = opened()
    with diskcache.Cache(str(tmp_path / "cache" / "answers")) as foreign:
        foreign.set(make(1).key.encode(), stored)
    assert one.get(make(1).key) is None


def test_a_cache_of_garbage_is_told_when_it_is_opened(opened, tmp_path):
    opened().close()
    for path in (tmp_path / "cache" / "answers").iterdir():
        path.write_bytes(os.urandom(40_000))
    with pytest.raises(MotionError, match="cache of answers") as raised:
        opened()
    assert "--cache-dir" in raised.value.remedy or "--cache" in raised.value.remedy


def test_a_cache_that_is_damaged_in_the_middle_costs_money_and_not_the_run(opened, tmp_path):
    one = opened()
    fill(one, range(200))
    one.close()
    path = tmp_path / "cache" / "answers" / "cache.db"
    content = bytearray(path.read_bytes())
    content[20_000:] = os.urandom(len(content) - 20_000)
    path.write_bytes(content)
    again = opened()  # reads the archive, and misses it in the cache
    found = [again.get(make(number).key) for number in range(200)]
    assert all(answer in (None, make(number)) for number, answer in enumerate(found))
    fill(again, [500])
    assert [record["motion_id"] for record in archive(tmp_path)][-1] == "m500"


def test_a_cache_that_vanishes_does_not_stop_the_run(opened, tmp_path):
    import shutil

    one = opened()
    shutil.rmtree(tmp_path / "cache")
    fill(one, range(3))
    assert len(archive(tmp_path)) == 3


# ---------------------------------------------------------------- a full disk


@pytest.fixture
def full_disk(monkeypatch):
    """From now on the archive's disk takes so many bytes of a write, then none."""
    write = os.write

    def go(room: int | None) -> None:
        def limited(file: int, data: bytes) -> int:
            if room:
                return write(file, data[:room])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(answers_module.os, "write", write if room is None else limited)

    return go


@pytest.mark.parametrize("room", [0, 40])
def test_a_full_disk_is_told_and_nothing_is_lost(opened, tmp_path, full_disk, room):
    one = opened()
    fill(one, [1])
    full_disk(room)
    with pytest.raises(DatasetError, match="cannot be archived") as raised:
        fill(one, [2])
    assert "space" in raised.value.remedy
    assert one.spent_usd == pytest.approx(0.002)  # it was paid all the same
    with pytest.raises(DatasetError):
        one.put_unusable(make(3), "wrong", raw(3), 0.001)
    full_disk(None)
    fill(one, [4])  # what was in flight comes when there is room again
    assert [record["motion_id"] for record in archive(tmp_path)] == ["m1", "m4"]
    one.close()
    assert opened().get(make(2).key) == make(2)  # the cache may lie on another disk
    assert [record["motion_id"] for record in archive(tmp_path)] == ["m1", "m4", "m2"]
