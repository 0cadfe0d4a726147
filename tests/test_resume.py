"""A run cut off at any moment goes on where it was and ends in the same bytes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kinmo_annotate.pipeline import Settings, annotate
from kinmo_annotate.resume import LOCK_NAME, PROGRESS_DIR, open_run_folder, plan_shards
from kinmo_annotate.schema.shards import DatasetError, Manifest, read_failures, read_rows, rows_to_table
from kinmo_annotate.sources import open_source
from kinmo_annotate.sources.base import Entry

HERE = Settings(workers=1, shard_size=3)

# A run in a process of its own, slow enough to be hit in every stage: its encoder takes its time.
PROGRAM = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
import kinmo_annotate.keyframes
from conftest import WordCounts
from kinmo_annotate.pipeline import Settings, annotate
from kinmo_annotate.sources import open_source

class Slow(WordCounts):
    def encode(self, texts):
        time.sleep(0.002 * len(texts))
        return super().encode(texts)

if __name__ == "__main__":
    kinmo_annotate.keyframes.open_encoder = lambda model, cache_dir=None: Slow()
    settings = Settings(workers=int(sys.argv[3]), shard_size=3)
    annotate(open_source(Path(sys.argv[1])), Path(sys.argv[2]), settings)
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(tests=str(Path(__file__).parent)))

    def begin(source: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
        arguments = [sys.executable, str(program), str(source), str(out), str(workers)]
        return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    return begin


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def finished(out: Path) -> int:
    return len(list((out / PROGRESS_DIR).glob("*.json")))


def kill_at(process: subprocess.Popen[bytes], out: Path, shards: int, delay: float) -> bool:
    """Kill once so many shards are finished and a moment has passed; False when the run was faster."""
    while process.poll() is None and finished(out) < shards:
        time.sleep(0.002)
    time.sleep(delay)
    killed = process.poll() is None
    process.kill()
    process.wait()
    process.stderr.close()
    return killed


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ten_kills_at_random_moments_change_nothing(make_folder, tmp_path, start, workers):
    source = make_folder(100)
    (source / "new_joints" / "000007.npy").write_bytes(b"broken")
    assert start(source, tmp_path / "whole", workers).wait(120) == 0
    expected = contents(tmp_path / "whole")
    chance, kills, seen = random.Random(workers), 0, set()
    out = tmp_path / "cut"
    for attempt in range(10):
        process = start(source, out, workers)
        kills += kill_at(process, out, finished(out) + attempt % 2, chance.uniform(0, 0.3))
        seen.add(finished(out))
        names = [path.name for path in (out / "data").glob("[!.]*")]
        if (out / "kinmo.json").exists():
            assert {shard.name for shard in Manifest.load(out).shards} <= set(names)
        for name in names:  # whatever has a shard's name is whole
            assert (out / "data" / name).read_bytes() == expected[f"data/{name}"]
    assert kills == 10
    assert len(seen) >= 4
    assert start(source, out, workers).wait(120) == 0
    assert contents(out) == expected
    ids = [row.motion.motion_id for row in read_rows(out)]
    assert len(ids) == len(set(ids)) == 99
    assert [failure.motion_id for failure in read_failures(out)] == ["000007"]


@pytest.mark.slow
def test_workers_end_with_a_killed_run(make_folder, tmp_path, start):
    import psutil

    process = start(make_folder(40), tmp_path / "d", 2)
    while process.poll() is None and not finished(tmp_path / "d"):
        time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    kill_at(process, tmp_path / "d", 0, 0)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_a_second_writer_is_told_who_writes(make_folder, tmp_path, start, quick_encoder):
    source, out = make_folder(40), tmp_path / "d"
    process = start(source, out, 1)
    while process.poll() is None and not ((out / LOCK_NAME).exists() and (out / LOCK_NAME).read_text()):
        time.sleep(0.01)
    with pytest.raises(DatasetError, match=rf"written by another run \(process {process.pid}\)"):
        annotate(open_source(source), out, HERE)
    kill_at(process, out, 0, 0)
    assert (out / LOCK_NAME).exists()
    assert annotate(open_source(source), out, HERE).rows == 40  # the dead run's lock is no obstacle
    assert not (out / LOCK_NAME).exists()


@pytest.mark.usefixtures("quick_encoder")
class TestGoingOn:
    """Runs cut short from inside, in this process."""

    def cut(self, source: Path, out: Path, shards: int) -> None:
        """Stop a run once so many shards are finished."""
        summary = annotate(open_source(source), out, HERE, stop=lambda: finished(out) >= shards)
        assert not summary.complete

    def test_a_stopped_run_is_a_dataset_and_goes_on(self, make_folder, tmp_path, monkeypatch):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        source, out = make_folder(20), tmp_path / "cut"
        whole = annotate(open_source(source), tmp_path / "whole", HERE)
        self.cut(source, out, 2)
        rows = len(list(read_rows(out)))
        assert 0 < rows < 20
        assert read_failures(out) == []
        assert (out / "README.md").exists()
        summary = annotate(open_source(source), out, HERE)
        assert (summary.kept, summary.rows, summary.complete) == (rows, 20, True)
        assert (summary.frames, summary.keyframes) == (whole.frames, whole.keyframes)
        assert contents(out) == contents(tmp_path / "whole")

    def test_half_written_files_are_swept_away(self, make_folder, tmp_path):
        source, out = make_folder(20), tmp_path / "d"
        self.cut(source, out, 1)
        for name in (".kinmo.json.tmp", "data/.train-00001.parquet.tmp"):
            (out / name).write_bytes(b"half a fi")
        annotate(open_source(source), out, HERE)
        assert list(out.rglob(".*")) == []

    def test_failures_are_tried_again_alone_and_a_cut_there_loses_nothing(self, make_folder, tmp_path):
        source, out = make_folder(20), tmp_path / "d"
        broken = source / "new_joints" / "000002.npy"
        good = broken.read_bytes()
        broken.write_bytes(b"")
        annotate(open_source(source), out, HERE)
        broken.write_bytes(good)
        shards = {path.name: path.stat().st_mtime_ns for path in (out / "data").iterdir()}
        assert len(annotate(open_source(source), out, HERE).failures) == 1
        again = {"retry_failures": True}
        cut = annotate(open_source(source), out, HERE, stop=lambda: True, **again)
        assert not cut.complete  # what was to be retried was not
        assert cut.rows == len(list(read_rows(out))) == 19
        summary = annotate(open_source(source), out, HERE, **again)
        assert (summary.rows, summary.failures, summary.complete) == (20, [], True)
        now = {path.name: path.stat().st_mtime_ns for path in (out / "data").iterdir()}
        assert [name for name in shards if now[name] != shards[name]] == ["train-00000.parquet"]

    def test_part_of_a_shard_is_readable_and_done_again(self, make_rows, tmp_path):
        table = rows_to_table(make_rows(2))
        entries = [Entry(f"{number:06d}", "", "train") for number in range(4)]
        plans = plan_shards(entries, 4)
        for complete in (False, True):
            with open_run_folder(tmp_path, {}, "1") as folder:
                assert folder.restore(plans, []) == {}
                assert folder.rows == (0 if not complete else 2)
                folder.write(plans[0], table, [], complete=complete)
                folder.close(plans, [])
            assert len(list(read_rows(tmp_path))) == 2
            assert Manifest.load(tmp_path).settings["complete"] is complete

    @pytest.mark.parametrize("complete", [True, False])
    def test_a_damaged_or_missing_shard_is_made_again(self, make_folder, tmp_path, monkeypatch, complete):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        source, out = make_folder(20), tmp_path / "d"
        (source / "new_joints" / "000002.npy").write_bytes(b"")
        if complete:
            annotate(open_source(source), out, HERE)
        else:
            self.cut(source, out, 3)
        before = contents(out)
        (out / "data/train-00000.parquet").write_bytes(b"PAR1")
        (out / "data/train-00001.parquet").unlink()
        summary = annotate(open_source(source), out, HERE)
        after = contents(out)
        assert summary.rows == 19
        assert summary.texts > 0
        for name in ("data/train-00000.parquet", "data/train-00001.parquet"):
            assert after[name] == before[name]
        if complete:
            assert after == before

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"seed": 1}, "seed was 0, now 1"),
            ({"keyframe_threshold": 0.5}, "keyframe_threshold was 0.8, now 0.5"),
            ({"encoder": "sentence"}, "encoder was"),
            ({"limit": 2}, "limit was None, now 2"),
        ],
    )
    def test_other_settings_are_refused_unless_forced(self, make_folder, tmp_path, change, words):
        from dataclasses import replace

        source, out = open_source(make_folder(3)), tmp_path / "d"
        first = replace(HERE, encoder="caption")
        annotate(source, out, first)
        before = contents(out)
        with pytest.raises(DatasetError, match=words) as told:
            annotate(source, out, replace(first, **change))
        assert "--force" in told.value.remedy
        assert contents(out) == before
        (out / "reviews.parquet").write_bytes(b"people's work")
        summary = annotate(source, out, replace(first, **change), force=True)
        assert (summary.kept, summary.complete) == (0, True)
        assert (out / "reviews.parquet").read_bytes() == b"people's work"

    def test_other_workers_are_no_other_settings(self, make_folder, tmp_path):
        source, out = open_source(make_folder(3)), tmp_path / "d"
        annotate(source, out, HERE)
        again = annotate(source, out, Settings(workers=2, shard_size=3, cache_dir=tmp_path))
        assert again.kept == 3

    def test_another_source_is_refused(self, make_folder, tmp_path):
        annotate(open_source(make_folder(3)), tmp_path / "d", HERE)
        with pytest.raises(DatasetError, match="lists other motions"):
            annotate(open_source(make_folder(4, "other")), tmp_path / "d", HERE)

    @pytest.mark.parametrize("force", [True, False])
    def test_a_folder_with_other_things_is_left_alone(self, make_folder, tmp_path, force):
        (tmp_path / "d").mkdir()
        (tmp_path / "d/thesis.tex").write_text("years of work")
        with pytest.raises(DatasetError, match=r"not empty .*thesis\.tex"):
            annotate(open_source(make_folder(1)), tmp_path / "d", HERE, force=force)
        assert contents(tmp_path / "d") == {"thesis.tex": b"years of work"}

    def test_a_damaged_record_only_costs_its_shard(self, make_folder, tmp_path):
        source, out = make_folder(20), tmp_path / "d"
        self.cut(source, out, 3)
        records = sorted((out / PROGRESS_DIR).glob("*.json"))
        records[0].write_text('{"name": ')
        summary = annotate(open_source(source), out, HERE)
        assert summary.rows == 20
        assert summary.kept == 3 * (len(records) - 1)


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
@pytest.mark.slow
def test_ctrl_c_finishes_the_shard_in_hand_and_says_how_to_go_on(make_folder, tmp_path):
    """The real program with its real encoder, interrupted as from a keyboard: the whole process group."""
    source, out = make_folder(1300), tmp_path / "d"  # shards enough to be interrupted between
    command = [sys.executable, "-c", "from kinmo_cli.main import run; run()", "annotate", "run"]
    options = ["--encoder", "sentence", "--cache", str(tmp_path / "cache")]
    process = subprocess.Popen(
        [*command, str(source), "--out", str(out), *options], stderr=subprocess.PIPE, start_new_session=True
    )
    while process.poll() is None and not finished(out):
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert b"Run the same command again" in told
    assert b"Traceback" not in told
    rows = len(list(read_rows(out)))
    assert 0 < rows < 1300
    again = subprocess.run(
        [*command, str(source), "--out", str(out), *options, "--json"], capture_output=True
    )
    assert again.returncode == 0
    import json

    assert json.loads(again.stdout)["kept"] == rows
