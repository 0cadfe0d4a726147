"""How long a motion takes to be written at MoMask's sizes, against a plain version of ours, in one run.

Run: python benchmarks/bench_generation.py [--rounds 5] [--threads 2] [--batches 1,32] [--frames 196]

Ours writes all three levels of text, 22 latents before the tokens: passes as in `base`, texts and their
absence in one forward, logits of masked tokens alone, text made ready once a level. The plain version does
what MoMask does at its one level: ten passes and five of the residual levels, each as two forwards, the text
made ready in each, everything padded to 196 frames, logits of all tokens. Weights are random, which takes the
same time. Both end in 263 features a frame; text latents are given.
Rounds alternate, medians are compared; with --check the exit code is 1 where ours takes longer than asked.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the program does

import numpy as np
import torch
from torch import Tensor

from kinmo_models.data.statistics import Statistics
from kinmo_models.generation.config import GeneratorConfig, SamplingConfig
from kinmo_models.generation.masking import cosine_share, lowest, owners
from kinmo_models.generation.model import PLACES, GeneratorModel, Layout
from kinmo_models.generation.sample import Asked, plan_passes, sample
from kinmo_models.tokenizer.coder import Coder
from kinmo_models.tokenizer.config import TokenizerConfig
from kinmo_models.tokenizer.model import TokenizerModel

TEXT_WIDTH, UNIT, LONGEST = 256, 4, 49
MOST_S = {1: 0.45, 32: 0.24}  # seconds a motion, asked of ours


def models() -> tuple[GeneratorModel, Coder]:
    """A generator and a tokenizer of MoMask's sizes, with random weights."""
    torch.manual_seed(0)
    config, tokens = GeneratorConfig(), TokenizerConfig()
    tokenizer = TokenizerModel(tokens.model, tokens.quantiser).eval()
    generator = GeneratorModel(
        config.model,
        text_width=TEXT_WIDTH,
        levels=tokens.model.levels,
        codes=tokens.model.codes,
        most=LONGEST,
    )
    statistics_ = Statistics(np.zeros(263, np.float32), np.ones(263, np.float32))
    return generator.eval(), Coder(tokenizer, statistics_, "cpu")


def asked(count: int, frames: int) -> Asked:
    """Prompts with all texts, of one length."""
    present = torch.ones(count, PLACES[-1], dtype=torch.bool)
    latents = torch.randn(count, PLACES[-1], TEXT_WIDTH)
    return Asked(latents, present, torch.full((count,), frames // UNIT), list(range(count)))


def ours(model: GeneratorModel, coder: Coder, prompts: Asked) -> None:
    """Write and decode motions as `kinmo generate` does."""
    tokens = sample(model, prompts, SamplingConfig(), "GJI")
    coder.decode([one.numpy() for one in tokens.split(prompts.lengths.tolist())])


@torch.inference_mode()
def plain(model: GeneratorModel, coder: Coder, prompts: Asked) -> None:
    """Write and decode motions pass by pass, two forwards a pass, all as long as the longest can be."""
    count = len(prompts.latents)
    lengths = torch.full((count,), LONGEST)
    owner = owners(lengths)
    caption = torch.zeros_like(prompts.present)
    caption[:, 0] = True
    tokens = torch.full((count * LONGEST,), model.base.mask)
    sure = torch.zeros(len(tokens))
    masked = torch.ones(len(tokens), dtype=torch.bool)
    for share in cosine_share(torch.linspace(0, 1, 10)):
        wanted = (lengths * share).round().clamp(min=1).long()
        masked = lowest(sure.masked_fill(~masked, torch.inf), owner, wanted)
        shown = tokens.masked_fill(masked, model.base.mask)
        parts = []
        for present in (caption, caption & False):
            text = model.base.trunk.text(prompts.latents, present)
            parts.append(model.base(text, shown, Layout.of(text.counts, lengths, tokens.device)))
        tokens, sure = _filled(parts, 4.0, masked, tokens, sure)
    assert model.residual is not None
    levels, embedded = [tokens], torch.zeros(())
    for level in range(1, model.residual.levels):
        embedded = embedded + model.residual.read(levels[-1], level - 1)
        parts = []
        for present in (caption, caption & False):
            text = model.residual.text(prompts.latents, present, torch.full((count,), level))
            features = model.residual(text, embedded, Layout.of(text.counts, lengths, tokens.device))
            parts.append(model.residual.logits(features, level))
        every = torch.ones_like(masked)
        levels.append(_filled(parts, 5.0, every, tokens, sure)[0])
    coder.decode([one.numpy() for one in torch.stack(levels, 1).split(LONGEST)])


def _filled(
    parts: list[Tensor], scale: float, masked: Tensor, tokens: Tensor, sure: Tensor
) -> tuple[Tensor, Tensor]:
    """Draw tokens of guided logits, and keep those that were not masked."""
    logits = parts[1] + scale * (parts[0] - parts[1])
    best, codes = logits.topk(52, dim=1)
    place = torch.multinomial(best.softmax(1), 1)
    drawn = codes.gather(1, place)[:, 0]
    probability = logits.softmax(1).gather(1, drawn[:, None])[:, 0]
    return torch.where(masked, drawn, tokens), torch.where(masked, probability, sure)


def timed(work: Callable[[], None]) -> float:
    """Seconds that something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", default="1,32")
    parser.add_argument("--frames", type=int, default=196)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model, coder = models()
    config = SamplingConfig()
    passes = len(plan_passes(config, 2))
    print(f"ours: {passes} passes {list(config.passes)} at the levels G, GJ, GJI, and 5 of residual levels,")
    print("each with and without text in one forward; plain: 10 passes at one level and 5, two forwards each")
    right = True
    for count in map(int, options.batches.split(",")):
        prompts = asked(count, options.frames)
        runs = {"plain": partial(plain, model, coder, prompts), "ours": partial(ours, model, coder, prompts)}
        for work in runs.values():
            work()
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(options.rounds):
            for name, work in runs.items():
                times[name].append(timed(work) / count)
        a, b = (statistics.median(times[name]) for name in ("plain", "ours"))
        best = min(times["ours"])
        print(
            f"batch {count}, {options.frames} frames, {options.threads} threads, seconds a motion:", end=" "
        )
        print(f"plain {a:.3f}, ours {b:.3f} (best {best:.3f}), plain / ours {a / b:.2f}")
        right &= options.frames != 196 or b <= MOST_S.get(count, np.inf)
    return 0 if right or not options.check else 1


if __name__ == "__main__":
    raise SystemExit(main())
