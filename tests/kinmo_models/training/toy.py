"""A small contrastive model on made-up data, trained as any room trains; also a program for other processes.

python toy.py RUN [--force] [section.key=value ...]
python toy.py --gradients FILE [section.key=value ...]      those of the first batch, as safetensors
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file, save_model
from torch import Tensor, nn

from kinmo_models.training.config import TrainingConfig, resolve, setting
from kinmo_models.training.distributed import gather_rows, mean_count, open_processes
from kinmo_models.training.loop import seed_all, train


@dataclass(frozen=True)
class ToyConfig:
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(epochs=3, learning_rate=1e-2, best="noise")
    )
    batch: int = setting(7, least=2)
    steps: int = 6
    dropout: float = 0.0
    delay_s: float = 0.0  # sleep of a step, so that a kill has something to hit
    poison: int = -1  # the step whose loss is not a number


@dataclass
class ToyBatch:
    a: Tensor  # (n, 5)
    b: Tensor  # (n, 5)
    mask: Tensor  # (n, 5)
    number: int

    def to(self, device: Any) -> ToyBatch:
        return ToyBatch(self.a.to(device), self.b.to(device), self.mask.to(device), self.number)


class ToyModel(nn.Module):
    """Two encoders, InfoNCE over all rows of the batch, and a mean over unmasked values."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.first, self.second = nn.Linear(5, 4), nn.Linear(5, 4)
        self.drop = nn.Dropout(config.dropout)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, batch: ToyBatch) -> dict[str, Tensor]:
        self.seen += 1
        a = F.normalize(self.drop(self.first(batch.a)), dim=1)
        b = F.normalize(self.second(batch.b), dim=1)
        logits = gather_rows(a) @ gather_rows(b).T / 0.2
        target = torch.arange(len(logits), device=logits.device)
        contrastive = F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)
        distance = ((a @ self.second.weight - batch.b).square() * batch.mask).sum()
        if batch.number == self.config.poison:
            distance = distance * float("nan")
        time.sleep(self.config.delay_s)
        return {
            "contrastive": contrastive,
            "distance": distance / mean_count(batch.mask.sum()),
            "_norm": self.first.weight.norm(),
        }


class ToyWork:
    def __init__(self, config: ToyConfig, fingerprint: str = "f") -> None:
        self.config = config
        self.about = {"kind": "toy", "dataset_fingerprint": fingerprint}
        seed_all(config.training.seed)
        self.module = ToyModel(config)

    def steps(self, world: int) -> int:
        return self.config.steps

    def epoch(self, number: int, rank: int, world: int) -> Iterator[ToyBatch]:
        for step in range(self.config.steps):
            torch.randn(3)  # what draws from the global generator here must not matter
            numbered = number * self.config.steps + step
            drawn = torch.Generator().manual_seed(numbered)
            a, b = torch.randn(2, self.config.batch, 5, generator=drawn)
            mask = (torch.rand(self.config.batch, 5, generator=drawn) < 0.7).float()
            mine = slice(rank, None, world)
            yield ToyBatch(a[mine], b[mine], mask[mine], numbered)

    def validate(self, accelerator: Any) -> dict[str, float]:
        assert not self.module.training
        assert not torch.is_grad_enabled()
        return {"noise": float(torch.randn(()))}

    def save(self, folder: Path) -> None:
        save_model(self.module, str(folder / "model.safetensors"))


def write_gradients(path: Path, config: ToyConfig) -> None:
    """Write the gradients of the first batch as the optimiser would get them."""
    from accelerate import Accelerator

    open_processes()  # which also sees to it that they take leave of each other
    accelerator = Accelerator()
    work = ToyWork(config)
    module = accelerator.prepare(work.module)
    rank, world = accelerator.process_index, accelerator.num_processes
    terms = module(next(work.epoch(0, rank, world)))
    accelerator.backward(terms["contrastive"] + terms["distance"])
    if accelerator.is_main_process:
        gradients = {name: p.grad for name, p in work.module.named_parameters()}
        save_file(gradients, str(path), metadata={"world": str(world)})
    accelerator.wait_for_everyone()


def main() -> int:
    from rich.console import Console

    from kinmo_models.training.errors import TrainingError

    if sys.argv[1] == "--gradients":
        write_gradients(Path(sys.argv[2]), resolve(ToyConfig, None, sys.argv[3:]))
        return 0
    out, *rest = sys.argv[1:]
    config = resolve(ToyConfig, None, [one for one in rest if one != "--force"])
    console = Console(stderr=True)
    try:
        outcome = train(
            ToyWork(config), config.training, Path(out), resume="--force" not in rest, console=console
        )
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 130 if outcome.interrupted else 0


if __name__ == "__main__":
    raise SystemExit(main())
