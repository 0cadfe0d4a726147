"""The fact check against pose captioning, on the same motions and one core: it may not take longer.

Run: python benchmarks/bench_verify.py [FOLDER] [--motions 300] [--rounds 3]
Without FOLDER: the real motions of ../shared/data/mocap where they are, else demo motions made on the spot.
Both begin at joints, on motions and sentences that they have not met; the check measures the motions
itself. The sentences are those of the kinematic describer, whose writing is not timed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: one core for everything here

from motions import source_or

from kinmo_annotate.claims import forget_sentences
from kinmo_annotate.describe import describe_motion
from kinmo_annotate.posecodes import caption_motions
from kinmo_annotate.schema.records import Motion
from kinmo_annotate.signals import measure_many
from kinmo_annotate.sources import open_source
from kinmo_annotate.verify import check_motions

TOGETHER = 100  # motions, as many as a shard of a run has or fewer


def load(folder: Path, motions: int, rounds: int) -> list[list[Motion]]:
    """So many motions for each round, no motion in two of them."""
    source = open_source(folder)
    entries = list(source.entries())
    step = max(1, len(entries) // (motions * rounds))
    return [[source.load(e) for e in entries[r * step :: step * rounds][:motions]] for r in range(rounds)]


def seconds(work: Callable[[], object]) -> float:
    """Seconds of processor time, which other programs on the machine change less than time by the clock."""
    started = time.process_time()
    work()
    return time.process_time() - started


def one_round(
    motions: Sequence[Motion], sentences: Sequence[dict[str, str]], seed: int
) -> tuple[float, float, float]:
    """Seconds of captioning, of checking, and of measuring alone.

    They take turns, a few motions each, so that a machine that slows down for a while slows all of them.
    Words are remembered by their seed, and a new one begins with none.
    """
    forget_sentences()
    total = [0.0, 0.0, 0.0]
    for start in range(0, len(motions), TOGETHER):
        some, texts = motions[start : start + TOGETHER], sentences[start : start + TOGETHER]
        joints = [m.joints for m in some]
        total[0] += seconds(lambda joints=joints: caption_motions(joints, seed=seed))
        total[1] += seconds(lambda some=some, texts=texts: check_motions(some, texts))
        total[2] += seconds(lambda joints=joints, fps=some[0].fps: measure_many(joints, fps))
    return total[0], total[1], total[2]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--motions", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        rounds = load(options.folder or source_or(Path(made) / "demo"), options.motions, options.rounds)
    sentences = [[describe_motion(motion, seed=0) for motion in motions] for motions in rounds]
    caption_motions([rounds[0][0].joints], seed=0)  # tables are numbered on first use
    check_motions(rounds[0][:1], [{}])
    times = [
        one_round(m, s, seed) for seed, (m, s) in enumerate(zip(rounds, sentences, strict=True), start=1)
    ]
    many = sum(map(len, rounds))
    frames = sum(len(m.joints) for motions in rounds for m in motions)
    print(f"{many} motions of {frames:,} frames in {options.rounds} rounds, nothing remembered between them")
    caption, check, measure = (1e3 * sum(column) / many for column in zip(*times, strict=True))
    print(f"  captioning  {caption:6.2f} ms a motion")
    print(f"  fact check  {check:6.2f} ms a motion, {measure:.2f} of them to measure it")
    ratios = ", ".join(f"{b / a:.2f}" for a, b, _ in times)
    print(f"  ratio       {check / caption:6.2f} (round by round: {ratios})")
    found = check_motions(rounds[0], sentences[0])
    print(f"  verdicts of the first round: {dict(Counter(f.verdict for one in found for f in one))}")


if __name__ == "__main__":
    main()
