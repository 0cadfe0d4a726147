"""Fifty evaluators' sessions that save judgements at once: how long a save takes; none may be lost or mixed.

Run: python benchmarks/bench_reviews.py [--sessions 50] [--seconds 10] [--pause 0.2] [--folder FOLDER]
Three ways to write, each for so many seconds: threads of one process, as the page does; processes, each of
which rests between two saves; processes that never rest. The baseline is SQLite as it comes: a transaction of
its own for each judgement, flushed at each commit, and SQLite's own waiting for the lock. Both keep a
judgement only once it is on the disk.
"""

from __future__ import annotations

import argparse
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from kinmo_annotate.review.rounds import Round
from kinmo_annotate.review.store import STORE_NAME, Judgement, Store, open_store
from kinmo_annotate.schema.shards import Manifest

ROUND = "many"
MOTIONS = tuple(f"m{number}" for number in range(20))
LIMIT_MS = 100.0
INSERT = "INSERT INTO judgements VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

Save = Callable[[Judgement], object]


def plain_save(dataset: Path) -> Save:
    """The baseline: one connection, one transaction a judgement."""
    connection = sqlite3.connect(dataset / STORE_NAME, timeout=30.0, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")

    def save(one: Judgement) -> None:
        values = (one.round, one.evaluator, one.motion_id, one.field, one.verdict, one.category, one.note)
        connection.execute(INSERT, (*values, one.sentence, str(time.time())))

    return save


def judge(save: Save, evaluator: str, seconds: float, pause: float) -> list[float]:
    """Save for so long; give the milliseconds that each took. Each judgement says which one it is."""
    took_ms: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        number = len(took_ms)
        motion_id, note = MOTIONS[number % len(MOTIONS)], f"{evaluator} {number}"
        began = time.perf_counter()
        save(Judgement(ROUND, evaluator, motion_id, "left_leg", "wrong", "side", note, motion_id))
        took_ms.append((time.perf_counter() - began) * 1e3)
        time.sleep(pause)
    return took_ms


def writer(dataset: Path, evaluator: str, seconds: float, pause: float, plain: bool) -> None:
    """A process of its own: begins when told to, prints its times."""
    save = plain_save(dataset) if plain else open_store(dataset).save
    print("ready", flush=True)
    sys.stdin.readline()
    print(*judge(save, evaluator, seconds, pause))


def in_processes(
    dataset: Path, names: tuple[str, ...], seconds: float, pause: float, plain: bool
) -> list[list[float]]:
    """A process for each session; all begin together."""
    options = ["--seconds", str(seconds), "--pause", str(pause), *(["--plain"] if plain else [])]
    started = [
        subprocess.Popen(
            [sys.executable, __file__, "--writer", dataset, name, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for one in started:
        one.stdout.readline()  # type: ignore[union-attr]
    for one in started:
        one.stdin.write("\n")  # type: ignore[union-attr]
        one.stdin.flush()  # type: ignore[union-attr]
    return [[float(word) for word in one.communicate()[0].split()] for one in started]


def in_threads(dataset: Path, names: tuple[str, ...], seconds: float, plain: bool) -> list[list[float]]:
    """A thread for each session of one process; the baseline has a connection for each."""

    def work(name: str) -> list[float]:
        return judge(plain_save(dataset) if plain else store.save, name, seconds, 0.0)

    with open_store(dataset) as store, ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(work, names))


def check(store: Store, names: tuple[str, ...], took: list[list[float]]) -> None:
    """Every judgement there, once, in order, under its evaluator."""
    for name, times in zip(names, took, strict=True):
        notes = [one.note for one in store.history(ROUND, name)]
        assert notes == [f"{name} {number}" for number in range(len(times))], (
            f"{name} lost or mixed something"
        )


def measure(way: str, sessions: int, seconds: float, pause: float, folder: Path | None, plain: bool) -> float:
    """Let all write in one way, print how it went, and give the 95th percentile in ms."""
    names = tuple(f"e{number:02d}" for number in range(sessions))
    with tempfile.TemporaryDirectory(dir=folder) as place:
        dataset = Path(place) / "dataset"
        Manifest({}, "v1").save(dataset)
        with open_store(dataset) as store:
            store.add_round(Round(ROUND, dataset, MOTIONS, ("left_leg",), evaluators=names))
        if way == "threads":
            took = in_threads(dataset, names, seconds, plain)
        else:
            took = in_processes(dataset, names, seconds, pause if "rest" in way else 0.0, plain)
        with open_store(dataset) as store:
            check(store, names, took)
    every = np.concatenate(took)
    middle, high = np.percentile(every, [50, 95])
    who = "SQLite as it comes" if plain else "KinMo"
    print(
        f"{way:24} {who:20} {len(every):8,} saves  median {middle:7.1f} ms  p95 {high:8.1f} ms  longest"
        f" {every.max():8.0f} ms  fewest of a session {min(map(len, took)):,}"
    )
    return float(high)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--pause", type=float, default=0.2, help="rest between two saves, in seconds")
    parser.add_argument(
        "--folder", type=Path, help="on the disk to measure; else the one for temporary files"
    )
    parser.add_argument("--writer", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.writer:
        writer(Path(given.writer[0]), given.writer[1], given.seconds, given.pause, given.plain)
        return
    for way in ("threads", "processes that rest", "processes"):
        plain, ours = (
            measure(way, given.sessions, given.seconds, given.pause, given.folder, plain)
            for plain in (True, False)
        )
        verdict = "under" if ours < LIMIT_MS else "OVER"
        print(f"{way}: p95 {ours / plain:.2f} of the baseline's, {verdict} {LIMIT_MS:g} ms")


if __name__ == "__main__":
    main()
