"""Frames captioned and keyframed a second on one core, against captioning and encoding every frame by itself.

Run: python benchmarks/bench_captions.py [FOLDER] [--frames 5000]
Without FOLDER: the real motions of ../shared/data/mocap where they are, else demo motions made on the spot.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: one core for everything here

import numpy as np
from baseline import annotate_keyframes_baseline, caption_every_frame, open_model
from motions import source_or
from numpy.typing import NDArray

from kinmo_annotate.keyframes import frame_embeddings, open_encoder, select_keyframes, texts_to_embed
from kinmo_annotate.posecodes import PoseCaptions, caption_motions

Joints = NDArray[np.float32]


def load(folder: Path) -> list[Joints]:
    paths = sorted((folder / "new_joints").glob("*.npy"))
    if not paths:
        raise SystemExit(f"{folder}: no new_joints/*.npy in it. Give a folder in HumanML3D layout.")
    return [np.load(path, allow_pickle=False) for path in paths]


def some(motions: Sequence[Joints], frames: int) -> list[Joints]:
    """Every k-th motion, so that there are at least so many frames of all kinds."""
    total = sum(map(len, motions))
    step = max(1, total // frames)
    while step > 1 and sum(map(len, motions[::step])) < frames:
        step -= 1
    return list(motions[::step])


def count(motions: Sequence[Joints]) -> int:
    return sum(map(len, motions))


def keyframes_shared(
    captions: Sequence[PoseCaptions], mode: str, cache: Path
) -> tuple[list[list[int]], float, int]:
    """Keyframes the way KinMo finds them, seconds without loading the model, and texts embedded."""
    encoder = open_encoder(None, cache)
    started = time.perf_counter()
    texts = texts_to_embed(captions, mode)
    known = dict(zip(texts, encoder.encode(texts), strict=True))
    found = [
        [keyframe.frame for keyframe in select_keyframes(one, frame_embeddings(one, known, mode))]
        for one in captions
    ]
    return found, time.perf_counter() - started, len(texts)


def bench_captions(motions: Sequence[Joints], sample: Sequence[Joints]) -> None:
    caption_motions(motions[:1], seed=1)  # tables are numbered on first use
    started = time.perf_counter()
    captions = caption_motions(motions, seed=0)
    rate = count(motions) / (time.perf_counter() - started)
    distinct = {text for one in captions for text in one.texts}
    started = time.perf_counter()
    for motion in sample:
        caption_every_frame(motion, 0)
    alone = count(sample) / (time.perf_counter() - started)
    print(
        f"pose captions   {rate:>10,.0f} frames/s over {count(motions):,} frames of {len(motions):,} motions"
    )
    print(
        f"  distinct      {len(distinct):>10,} captions, {len(distinct) / count(motions):.1%} of the frames"
    )
    print(f"  every frame   {alone:>10,.0f} frames/s: {rate / alone:.0f} times slower")


def bench_keyframes(sample: Sequence[Joints]) -> None:
    frames = count(sample)
    print(f"keyframes, on {frames:,} frames of {len(sample)} motions, caching nothing from before")
    slow, stages = annotate_keyframes_baseline(sample, model=open_model())
    total = sum(stages.values())
    print(f"  every frame   {frames / total:>10,.0f} frames/s")
    for mode in ("caption", "sentence"):
        with tempfile.TemporaryDirectory() as cache:
            started = time.perf_counter()
            captions = caption_motions(sample, seed=0)
            captioned = time.perf_counter() - started
            fast, spent, texts = keyframes_shared(captions, mode, Path(cache))
        spent += captioned
        same = (
            f"{'the same' if fast == slow else 'OTHER'} keyframes"
            if mode == "caption"
            else "by its own measure"
        )
        rate, ratio = frames / spent, total / spent
        print(f"  {mode:<13} {rate:>10,.0f} frames/s, {texts} texts: {ratio:.1f} times faster, {same}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=5000, help="frames for what is slow (default 5000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        motions = load(options.folder or source_or(Path(made) / "demo"))
    sample = some(motions, options.frames)
    bench_captions(motions, sample)
    bench_keyframes(sample)


if __name__ == "__main__":
    main()
