"""Refinement by L-BFGS against Adam: motions begun from the tokens of others, brought to the pelvis's path.

python benchmarks/bench_refine.py TOKENIZER DATASET --motions 16 --passes 100
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from kinmo_annotate.schema.features import features_to_joints
from kinmo_models.control.distance import path_error
from kinmo_models.control.model import Sight, wanted_of
from kinmo_models.control.paths import JointPath
from kinmo_models.control.refine import RefineSettings, refine
from kinmo_models.data.motions import MotionStore
from kinmo_models.metrics.control import distances
from kinmo_models.tokenizer.coder import Features
from kinmo_models.tokenizer.tokenizer import Tokenizer

Tokens = list[np.ndarray]


def adam(
    tokenizer: Tokenizer,
    tokens: Tokens,
    paths: Sequence[JointPath],
    passes: int,
    rate: float,
    squared: bool = True,
) -> list[Features]:
    """Refine with Adam, whose rate is a share of the embedding's size and falls by a cosine."""
    sight, lengths = Sight(tokenizer), torch.tensor([len(one) for one in tokens])
    wanted = wanted_of(paths, lengths, "cpu")
    start = sight.embed(torch.from_numpy(np.concatenate(tokens).astype(np.int64)), wanted)
    latents = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([latents], betas=(0.9, 0.99))
    size = float(start.square().mean().sqrt())
    for number in range(passes):
        fall = 0.5 + 0.5 * math.cos(math.pi * number / passes)
        optimiser.param_groups[0]["lr"] = rate * size * min(1.0, (number + 1) / 5) * fall
        optimiser.zero_grad()
        joints = sight.joints(latents, wanted)
        path_error(joints, wanted.positions, wanted.held, squared=squared).sum().backward()
        optimiser.step()
    with torch.no_grad():
        rows = sight.features(latents, wanted).numpy()
    return [one[: len(path)] for one, path in zip(rows, paths, strict=True)]


def motions_of(tokenizer: Tokenizer, dataset: Path, count: int) -> tuple[Tokens, list[JointPath]]:
    """Take tokens of some motions of the split test, and of others as long the path of the pelvis."""
    store = MotionStore.open(dataset)
    drawn = np.random.default_rng(0).permutation(store.select("test")).tolist()[: 2 * count]
    encoded = tokenizer.encode([store.features(index) for index in drawn])
    tokens, paths = [], []
    for index, theirs, mine in zip(drawn[:count], encoded[:count], encoded[count:], strict=True):
        length = min(len(theirs), len(mine))
        tokens.append(mine[:length])
        joints = features_to_joints(store.features(index)[: 4 * length])
        paths.append(JointPath.of(joints, ["pelvis"]))
    return tokens, paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tokenizer", nargs="?", type=Path)
    parser.add_argument("dataset", nargs="?", type=Path)
    parser.add_argument("--motions", type=int, default=16)
    parser.add_argument("--passes", type=int, default=100)
    asked = parser.parse_args()
    if asked.tokenizer is None or asked.dataset is None:
        print("give a trained tokenizer and a dataset: nothing was measured")
        return
    tokenizer, passes = Tokenizer.from_pretrained(asked.tokenizer, device="cpu"), asked.passes
    tokens, paths = motions_of(tokenizer, asked.dataset, asked.motions)
    free = RefineSettings(pull=0.0, smooth=0.0)
    ways: dict[str, Callable[[], list[Features]]] = {
        "begun from": lambda: tokenizer.decode(tokens),
        "Adam, rate 0.05": lambda: adam(tokenizer, tokens, paths, passes, 0.05),
        "Adam, rate 0.1": lambda: adam(tokenizer, tokens, paths, passes, 0.1),
        "Adam, rate 0.1, distance": lambda: adam(tokenizer, tokens, paths, passes, 0.1, squared=False),
        "Adam, rate 0.2": lambda: adam(tokenizer, tokens, paths, passes, 0.2),
        "L-BFGS": lambda: refine(tokenizer, tokens, paths, passes, settings=free),
        "L-BFGS as it is used": lambda: refine(tokenizer, tokens, paths, passes),
    }
    print(f"{len(tokens)} motions, {passes} passes: mean error, error of the worst motion, seconds a motion")
    for name, way in ways.items():
        begun = time.perf_counter()
        found = way()
        seconds = (time.perf_counter() - begun) / len(found)
        errors = [
            distances(features_to_joints(rows), path.positions, path.held).mean()
            for rows, path in zip(found, paths, strict=True)
        ]
        print(f"{name:26s} {np.mean(errors) * 100:7.2f} cm {max(errors) * 100:7.1f} cm {seconds:7.2f} s")


if __name__ == "__main__":
    main()
