"""Several processes that share one batch: what a loss over the whole batch needs.

What is minimised is the mean, over the processes, of the sum of the terms that each returns, because the
gradients of the processes are averaged. Two rules make its gradient that of one process with the whole batch:

1. A loss over pairs of rows, such as InfoNCE, takes all rows from `gather_rows`. Every process then computes
   the same value; the gradient that reaches a row is the sum over the processes, and the average is right.
2. A mean over rows or frames, of which the processes may hold different numbers, is the local sum divided by
   `mean_count(local count)`.
"""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from kinmo_models.training.errors import TrainingError

if TYPE_CHECKING:
    from accelerate import PartialState


def world_size() -> int:
    """Number of processes that train together; 1 where there is no process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@torch.compiler.disable
def gather_rows(x: Tensor) -> Tensor:
    """Put the rows of all processes together, with gradient.

    Args:
        x: (n, ...) of this process; n may differ between processes, the rest may not.

    Returns:
        (sum of n, ...), process by process in the order of their ranks; `x` itself if there is one process.
    """
    if world_size() == 1:
        return x
    gathered: Tensor = _GatherRows.apply(x)
    return gathered


@torch.compiler.disable
def mean_count(count: Tensor | int) -> Tensor:
    """Average a count over the processes.

    A local sum divided by it, averaged over the processes, is the mean over the whole batch.

    Args:
        count: rows, frames or pairs that this process summed over; a tensor without dimensions, or a number.

    Returns:
        float32 tensor without dimensions and without gradient, on the device of `count`.
    """
    mean = torch.as_tensor(count).detach().to(torch.float32, copy=True)
    if world_size() > 1:
        dist.all_reduce(mean)
        mean /= world_size()
    return mean


class _GatherRows(torch.autograd.Function):
    """All rows forward; backward, the sum over the processes of the gradients of the own rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        world, rank = dist.get_world_size(), dist.get_rank()
        counts = _counts(x, world)
        padded = x.new_zeros(max(counts), *x.shape[1:])
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in range(world)]
        dist.all_gather(parts, padded)
        ctx.first, ctx.count = sum(counts[:rank]), len(x)
        return torch.cat([part[:n] for part, n in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient[ctx.first : ctx.first + ctx.count]


def _counts(x: Tensor, world: int) -> list[int]:
    mine = torch.tensor([len(x)], device=x.device)
    counts = [torch.empty_like(mine) for _ in range(world)]
    dist.all_gather(counts, mine)
    return [int(n) for n in torch.cat(counts).tolist()]


def open_processes() -> PartialState:
    """Let the processes that a launcher started know of each other; does nothing the second time.

    Raises:
        TrainingError: the launcher started several, and they cannot train together.
    """
    from accelerate import PartialState

    # Told that there is no accelerator, accelerate lets several processes on CPUs train together.
    state = PartialState(cpu=not torch.accelerator.is_available())
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != state.num_processes:
        reason = f"{started} processes were started, of which each would train alone"
        raise TrainingError(
            "processes", reason, "Start them with accelerate launch --multi_gpu, or torchrun."
        )
    if started > 1:
        atexit.unregister(_leave)
        atexit.register(_leave)
    return state


def _leave() -> None:
    """Take leave of the other processes before Python ends.

    The threads that talk to them would else be cut off while it ends, which now and then aborts a process
    that had done all its work, and with it the launcher all others.
    """
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def on_main(work: Callable[[], Any]) -> Any:
    """Do something in the first process alone, and give its result, a JSON value, to all.

    Where it fails there, the error goes on in the first process, which prints it; the others leave quietly.
    """
    if world_size() == 1:
        return work()
    answer, error = "", None
    if dist.get_rank() == 0:
        try:
            answer = json.dumps(work())
        except Exception as raised:
            error = raised
    answer = _share_text(answer)
    if error is not None:
        raise error
    if not answer:
        raise SystemExit(1)
    return json.loads(answer)


def _share_text(text: str) -> str:
    """Give a text of the first process to all."""
    device = torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
    letters = torch.tensor(list(text.encode()), dtype=torch.uint8, device=device)
    length = torch.tensor(len(letters), device=device)
    dist.broadcast(length, 0)
    if dist.get_rank():
        letters = torch.empty(int(length), dtype=torch.uint8, device=device)
    dist.broadcast(letters, 0)
    return bytes(letters.tolist()).decode()


def share(tensors: Mapping[str, Tensor]) -> None:
    """Give the values of the first process to all, in place."""
    if world_size() > 1:
        for tensor in tensors.values():
            dist.broadcast(tensor.data, 0)
