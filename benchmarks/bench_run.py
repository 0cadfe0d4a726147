"""The whole of `kinmo annotate run`: motions a second, work by stage, peak memory, ratios to the baseline.

The baseline captions every frame by itself and encodes every caption, and then describes as the run does. It
is timed on motions taken from the dataset that the run wrote, at least --frames frames of them. With the
`caption` encoder the keyframes of both must be the same. The targets are for the whole folder
of real motions on two cores; on few motions, opening the encoder takes most of the time.

Run: python benchmarks/bench_run.py [SOURCE] [--limit MOTIONS] [--frames 5000] [--encoder caption|sentence]
Without SOURCE: the real motions of ../shared/data/mocap where they are, else demo motions made on the spot.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # for the baseline what KinMo's encoder gets, too

import psutil
from baseline import annotate_keyframes_baseline, open_model
from motions import source_or

from kinmo_annotate.describe.kinematic import describe_motion
from kinmo_annotate.schema.records import Row
from kinmo_annotate.schema.shards import read_rows
from kinmo_annotate.settings import available_cores

TARGETS = {"caption": 4.5, "sentence": 30.0}
PROGRAM = "from kinmo_cli.main import run; run()"


def timed_run(source: Path, out: Path, encoder: str, limit: int | None) -> dict[str, Any]:
    """Run the program with no embedding known beforehand; give its summary, with peak memory in MB."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-c", PROGRAM, "annotate", "run", str(source), "--out", str(out), "--json"]
        command += ["--encoder", encoder, "--cache", cache, *(["--limit", str(limit)] if limit else [])]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        peak = watch_memory(process)
        seconds = time.perf_counter() - started
        text = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"the run failed with exit code {process.returncode}")
    return json.loads(text) | {"seconds_in_all": seconds, "peak_mb": peak / 2**20}


def watch_memory(process: subprocess.Popen[str]) -> int:
    """Wait for a process; give the largest sum of resident memory of it and its children, in bytes."""
    root, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            tree = [root, *root.children(recursive=True)]
            peak = max(peak, sum(one.memory_info().rss for one in tree))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.1)
    return peak


def some_rows(dataset: Path, frames: int) -> list[Row]:
    """Take every k-th motion of a dataset, at least so many frames if there are as many."""
    rows = list(read_rows(dataset))
    total = sum(len(row.motion.joints) for row in rows)
    step = max(1, total // frames)
    while step > 1 and sum(len(row.motion.joints) for row in rows[::step]) < frames:
        step -= 1
    return rows[::step]


def timed_baseline(rows: Sequence[Row]) -> tuple[list[list[int]], dict[str, float]]:
    """Keyframes and seconds by stage of the baseline; descriptions count as if shared out over all cores."""
    joints = [row.motion.joints for row in rows]
    keyframes, seconds = annotate_keyframes_baseline(joints, model=open_model())
    started = time.perf_counter()
    for row in rows:
        describe_motion(row.motion, seed=0)
    seconds["describe"] = (time.perf_counter() - started) / available_cores()
    return keyframes, seconds


def by_stage(seconds: dict[str, float]) -> str:
    return ", ".join(f"{stage} {value:.1f} s" for stage, value in seconds.items() if value)


def report_run(encoder: str, told: dict[str, Any]) -> None:
    speed = told["frames"] / told["seconds_in_all"]
    print(f"{encoder:>9}: {told['rows']} motions, {told['frames']} frames in {told['seconds_in_all']:.1f} s")
    print(f"{'':>9}  {told['rows'] / told['seconds_in_all']:.1f} motions/s, {speed:.0f} frames/s")
    print(f"{'':>9}  work, all processes together: {by_stage(told['seconds'])}")
    print(f"{'':>9}  {told['texts']} texts embedded, peak memory {told['peak_mb']:.0f} MB", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, nargs="?", help="motions to annotate")
    parser.add_argument("--limit", type=int, help="only the first so many motions")
    parser.add_argument("--frames", type=int, default=5000, help="frames for the baseline, at least")
    parser.add_argument("--encoder", choices=TARGETS, action="append", help="only this one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = options.source or source_or(folder / "demo")
        runs = {}
        for encoder in options.encoder or TARGETS:
            runs[encoder] = timed_run(source, folder / encoder, encoder, options.limit)
            report_run(encoder, runs[encoder])
        return compare(folder, runs, options.frames)


def compare(folder: Path, runs: dict[str, dict[str, Any]], frames: int) -> int:
    """Print the ratios to the baseline; 1 if keyframes differ."""
    rows = some_rows(folder / ("caption" if "caption" in runs else "sentence"), frames)
    expected, seconds = timed_baseline(rows)
    sampled = sum(len(row.motion.joints) for row in rows)
    speed = sampled / sum(seconds.values())
    print(f" baseline: {len(rows)} motions, {sampled} frames, {speed:.0f} frames/s ({by_stage(seconds)})")
    for encoder, told in runs.items():
        ratio = told["frames"] / told["seconds_in_all"] / speed
        verdict = "reached" if ratio >= TARGETS[encoder] else "MISSED"
        print(f"{encoder:>9}: {ratio:.1f} times the baseline (target {TARGETS[encoder]}: {verdict})")
    if "caption" not in runs:
        return 0
    found = [[keyframe.frame for keyframe in row.keyframes] for row in rows]
    differing = sum(one != other for one, other in zip(found, expected, strict=True))
    print(f"  caption: keyframes differ from the baseline's in {differing} of {len(rows)} motions")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
