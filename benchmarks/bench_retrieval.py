"""A training step and the encoding of the retrieval model against a plain TMR-style model, in one run.

Run: python benchmarks/bench_retrieval.py [--batch 32] [--rounds 5] [--device cpu|cuda] [--threads 2]

The plain model is TMR as it is commonly written: PyTorch's own transformer layers, motions padded to the
longest possible (200 rows), texts to the longest of the batch, no packing, AdamW as it comes. Sizes are those
of `base`, the batch is the same, and both decode the latents of motion and text. Lengths are those of
HumanML3D's training items, drawn evenly from 40 to 196 rows; contents are random, which takes the same time.
Rounds alternate between the two, and the ratio is that of the medians: times of a shared machine are rough.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinmo_models.data.batches import Batch, Texts
from kinmo_models.layers.transformer import sinusoids
from kinmo_models.retrieval.config import LossConfig, ModelConfig
from kinmo_models.retrieval.loss import RetrievalLoss, info_nce
from kinmo_models.retrieval.model import RetrievalModel

FEATURES, TOKENS = 263, 384
LONGEST = 200
SIZES = {"d_model": 256, "nhead": 4, "dim_feedforward": 1024, "dropout": 0.1, "activation": "gelu"}
LAYERS = 6


class PlainEncoder(nn.Module):
    """Padded sequences -> mean and log-variance."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, 256)
        self.special = nn.Parameter(torch.randn(2, 256))
        layer = nn.TransformerEncoderLayer(**SIZES, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.dropout = nn.Dropout(0.1)

    def forward(self, padded: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Encode (B, L, inputs), of which `there` (B, L) is no padding."""
        x = torch.cat([self.special.expand(len(padded), 2, 256), self.project(padded)], 1)
        x = self.dropout(x + sinusoids(torch.arange(x.shape[1], device=x.device), 256))
        there = torch.cat([there.new_ones(len(padded), 2), there], 1)
        x = self.layers(x, src_key_padding_mask=~there)
        return x[:, 0], x[:, 1]


class PlainModel(nn.Module):
    """TMR in PyTorch's own layers, everything padded."""

    def __init__(self) -> None:
        super().__init__()
        self.motion, self.text = PlainEncoder(FEATURES), PlainEncoder(TOKENS)
        layer = nn.TransformerDecoderLayer(**SIZES, batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, LAYERS)
        self.project = nn.Linear(256, FEATURES)
        self.dropout = nn.Dropout(0.1)

    def decode(self, z: Tensor, there: Tensor) -> Tensor:
        """Write (B, L, 263) from latents (B, 256)."""
        positions = sinusoids(torch.arange(there.shape[1], device=z.device), 256)
        queries = self.dropout(positions.expand(len(z), -1, -1))
        out = self.decoder(queries, z[:, None], tgt_key_padding_mask=~there)
        return self.project(out) * there[..., None]

    def forward(self, motions: Tensor, there: Tensor, texts: Tensor, said: Tensor) -> Tensor:
        """Give the loss of a padded batch."""
        (m, m_log), (t, t_log) = self.motion(motions, there), self.text(texts, said)
        z_m = m + torch.randn_like(m) * torch.exp(0.5 * m_log)
        z_t = t + torch.randn_like(t) * torch.exp(0.5 * t_log)
        recons = F.smooth_l1_loss(self.decode(z_m, there), motions)
        recons = recons + F.smooth_l1_loss(self.decode(z_t, there), motions)
        one = torch.ones_like(m)
        gaussians = [torch.distributions.Normal(a, torch.exp(0.5 * b)) for a, b in ((t, t_log), (m, m_log))]
        gaussians.append(torch.distributions.Normal(torch.zeros_like(m), one))
        kl = sum(
            torch.distributions.kl_divergence(gaussians[a], gaussians[b]).mean()
            for a, b in ((0, 1), (1, 0), (1, 2), (0, 2))
        )
        negatives = torch.ones(len(m), len(m), dtype=torch.bool, device=m.device)
        return recons + 1e-5 * (F.smooth_l1_loss(z_t, z_m) + kl) + 0.1 * info_nce(z_t, z_m, 0.1, negatives)


@dataclass
class Data:
    """One batch, packed and padded."""

    batch: Batch
    motions: Tensor
    there: Tensor
    texts: Tensor
    said: Tensor


def make_data(count: int, device: str) -> Data:
    """A batch of mixed lengths; captions and sentences of the lengths that occur in the real texts."""
    numbers = np.random.default_rng(0)
    lengths = torch.from_numpy(numbers.integers(40, 197, count))
    words = torch.from_numpy(numbers.integers(10, 28, count))

    def texts(distinct: Tensor, *shape: int) -> Texts:
        which = torch.from_numpy(numbers.integers(0, len(distinct), (count, *shape)))
        return Texts(torch.randn(int(distinct.sum()), TOKENS), distinct, which)

    # A real batch of 32 motions asks for some 100 distinct group texts and 190 interaction texts.
    groups = texts(torch.from_numpy(numbers.integers(10, 45, 3 * count)), 6)
    pairs = texts(torch.from_numpy(numbers.integers(10, 45, 6 * count)), 15)
    caption = Texts(torch.randn(int(words.sum()), TOKENS), words, torch.arange(count))
    features = torch.randn(int(lengths.sum()), FEATURES)
    fields = torch.arange(21 * count).view(count, 21)
    indices, ids = torch.arange(count), [str(n) for n in range(count)]
    batch = Batch(
        indices, features, lengths, caption, groups, pairs, torch.eye(count, TOKENS), fields, motion_ids=ids
    ).to(device)
    there = torch.arange(LONGEST)[None] < lengths[:, None]
    said = torch.arange(int(words.max()))[None] < words[:, None]
    padded, padded_texts = torch.zeros(*there.shape, FEATURES), torch.zeros(*said.shape, TOKENS)
    padded[there], padded_texts[said] = features, caption.tokens
    return Data(batch, *(x.to(device) for x in (padded, there, padded_texts, said)))


def timed(work: Callable[[], object], device: str) -> float:
    """Seconds by the clock, the GPU's work included."""
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def training(loss: Callable[[], Tensor], module: nn.Module, device: str, fused: bool) -> Callable[[], None]:
    """A training step: forward, backward, AdamW."""
    optimizer = torch.optim.AdamW(module.parameters(), 1e-4, fused=fused)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def compare(works: dict[str, Callable[[], object]], rounds: int, device: str) -> dict[str, float]:
    """Median seconds of each, in alternating rounds after one that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            seconds = timed(work, device)
            if number:
                times[name].append(seconds)
    return {name: statistics.median(found) for name, found in times.items()}


def report(title: str, medians: dict[str, float], count: int) -> None:
    """Print a table, the first row being what the others are held against."""
    print(f"\n{title}")
    first = next(iter(medians.values()))
    for name, seconds in medians.items():
        print(f"  {name:<44}{seconds:8.3f} s{count / seconds:9.1f} motions/s{first / seconds:7.2f} x")


def main() -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    device = options.device
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    data = make_data(options.batch, device)
    plain = PlainModel().to(device)
    ours = {
        levels: RetrievalLoss(RetrievalModel(ModelConfig(levels=levels), TOKENS), LossConfig()).to(device)
        for levels in ("G", "GJI")
    }
    rows = int(data.batch.lengths.sum())
    where = torch.cuda.get_device_name() if device == "cuda" else f"{options.threads} CPU threads"
    print(f"{where}; {options.batch} motions, {rows} rows of {data.there.numel()} with padding")
    steps: dict[str, Callable[[], object]] = {
        "plain, level G": training(
            lambda: plain(data.motions, data.there, data.texts, data.said), plain, device, fused=False
        )
    }
    for levels, module in ours.items():
        steps[f"KinMo, level {levels}"] = training(
            lambda module=module: sum(module(data.batch).values()), module, device, fused=True
        )
    report("Training step", compare(steps, options.rounds, device), options.batch)
    if device == "cuda":
        print(f"  most memory: {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB")
    encode = {
        "plain": plain.eval().motion,
        "KinMo": ours["G"].model.eval().motion_encoder,
    }
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        works: dict[str, Callable[[], object]] = {
            "plain": lambda: encode["plain"](data.motions, data.there),
            "KinMo": lambda: encode["KinMo"](data.batch.features, data.batch.lengths),
        }
        report("Encoding motions", compare(works, options.rounds, device), options.batch)


if __name__ == "__main__":
    main()
