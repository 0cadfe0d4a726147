"""How long a training step of the generator takes at MoMask's sizes, against a plain step, in one run.

Run: python benchmarks/bench_generation_steps.py [--rounds 5] [--threads 2] [--batch 64]

Both learn from the same motions of 40 to 196 frames, as long as HumanML3D's are, with random weights and
texts of all three levels. A step is both transformers, forward and backward, and the optimiser.

Ours is the step of `kinmo train generator`: packed motions, tokens from the cache, logits of hidden tokens
alone, the level of text drawn for each motion. The plain one does what MoMask's does: motions padded to 196
frames and tokenised within the step, one caption in front, logits of all places. "cached" is the plain one
without its tokenising. Rounds alternate, medians are compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable
from functools import partial

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the program does

import torch
from bench_generation import LONGEST, TEXT_WIDTH, UNIT, models, timed
from torch import Tensor, nn

from kinmo_annotate.schema.features import NUM_FEATURES
from kinmo_models.generation.batches import TokenBatch
from kinmo_models.generation.config import LossConfig
from kinmo_models.generation.loss import GenerationLoss, base_terms, draw_levels, residual_terms
from kinmo_models.generation.masking import hide
from kinmo_models.generation.model import PLACES, GeneratorModel
from kinmo_models.tokenizer.model import TokenizerModel

MEAN_FRAMES, SPREAD = 142, 45  # of the motions of HumanML3D that MoMask trains on, about


def lengths_of(count: int) -> Tensor:
    """Tokens of some motions."""
    frames = (MEAN_FRAMES + SPREAD * torch.randn(count)).clamp(40, UNIT * LONGEST)
    return (frames / UNIT).long()


def batch_of(model: GeneratorModel, lengths: Tensor, places: int) -> TokenBatch:
    """Random tokens and texts."""
    assert model.residual is not None
    tokens = torch.randint(model.base.codes, (int(lengths.sum()), model.residual.levels))
    present = torch.ones(len(lengths), places, dtype=torch.bool)
    return TokenBatch(tokens, lengths, torch.randn(len(lengths), places, TEXT_WIDTH), present)


def ours(loss: GenerationLoss, optimiser: torch.optim.Optimizer, batch: TokenBatch) -> None:
    """Learn once as `kinmo train generator` does."""
    learn(sum_of(loss(batch)), optimiser)


def plain(
    model: GeneratorModel,
    optimiser: torch.optim.Optimizer,
    count: int,
    tokenise: Callable[[], Tensor],
) -> None:
    """Learn once from motions that all are as long as the longest can be."""
    full = torch.full((count,), LONGEST)
    tokens = tokenise().reshape(count * LONGEST, -1)
    present = torch.ones(count, PLACES[0], dtype=torch.bool)
    batch = TokenBatch(tokens, full, torch.randn(count, PLACES[0], TEXT_WIDTH), present)
    shown, hidden = hide(tokens[:, 0], full, model.base.codes, 0.1, 0.12)
    every = torch.ones_like(hidden)  # logits of all places, the hidden ones among them
    assert model.residual is not None
    terms = base_terms(model, batch, present, shown, every)
    terms |= residual_terms(model.residual, batch, present, draw_levels(model.residual, batch))
    learn(sum_of(terms), optimiser)


def sum_of(terms: dict[str, Tensor]) -> Tensor:
    """Add up what is minimised."""
    return torch.stack([term for name, term in terms.items() if not name.startswith("_")]).sum()


def learn(loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
    """Step down the gradient."""
    loss.backward()
    optimiser.step()
    optimiser.zero_grad()


def tokens_of(tokenizer: TokenizerModel, features: Tensor) -> Tensor:
    """Tokenise padded motions."""
    with torch.inference_mode():
        tokens: Tensor = tokenizer.quantise(tokenizer.encoder(features)).tokens
    return tokens.clone()


def optimiser_of(module: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of the training."""
    return torch.optim.AdamW(module.parameters(), lr=2e-4, betas=(0.9, 0.99))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model, coder = models()
    model.train()
    tokenizer = coder.model
    optimiser = optimiser_of(model)
    lengths = lengths_of(options.batch)
    features = torch.randn(options.batch, UNIT * LONGEST, NUM_FEATURES)
    ready = tokens_of(tokenizer, features)
    runs = {
        "plain": partial(plain, model, optimiser, options.batch, partial(tokens_of, tokenizer, features)),
        "cached": partial(plain, model, optimiser, options.batch, lambda: ready),
        "ours": partial(
            ours, GenerationLoss(model, LossConfig()), optimiser, batch_of(model, lengths, PLACES[-1])
        ),
    }
    for work in runs.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, work in runs.items():
            times[name].append(timed(work))
    found = {name: statistics.median(seconds) for name, seconds in times.items()}
    frames = float(lengths.float().mean()) * UNIT
    print(
        f"batch {options.batch}, {frames:.0f} of 196 frames on average, {options.threads} threads, seconds:"
    )
    print(", ".join(f"{name} {seconds:.2f}" for name, seconds in found.items()))
    ratios = ", ".join(f"{name} / ours {found[name] / found['ours']:.2f}" for name in ("plain", "cached"))
    print(ratios)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
