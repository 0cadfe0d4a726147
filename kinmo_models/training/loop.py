"""The one training loop, for every model of the library.

    outcome = train(work, config.training, Path("RUN"), console=console)

A room brings a `Work`; the loop brings processes and devices (accelerate), AdamW, precision, checkpoints,
going on, validation, records, progress and the report.

Everything that is drawn in a step (dropout, sampling) comes from generators that are seeded anew for every
step by (seed, step, process). A training that goes on therefore draws what an uninterrupted one draws,
validation cannot change what training draws, and no generator's state has to be stored. On a CPU the losses
are equal to the bit while the numbers of threads and processes are; deterministic kernels are not forced on a
GPU, as they cost speed.
"""

from __future__ import annotations

import ctypes
import itertools
import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from kinmo_models.training.checkpoint import (
    BEST,
    LAST,
    META,
    Progress,
    read_progress,
    read_state,
    replace_folder,
    state_tensors,
    write_state,
)
from kinmo_models.training.config import TrainingConfig
from kinmo_models.training.distributed import on_main, open_processes, share
from kinmo_models.training.errors import ConfigError, TrainingError
from kinmo_models.training.folder import begin_run, lock_run
from kinmo_models.training.interrupt import Interrupt, interrupts
from kinmo_models.training.meta import device_name, write_meta
from kinmo_models.training.progress import Display, View, display
from kinmo_models.training.records import Records
from kinmo_models.training.report import write_report
from kinmo_models.training.schedule import learning_rate
from kinmo_models.training.work import Outcome, Work

if TYPE_CHECKING:
    from accelerate import Accelerator
    from rich.console import Console

__all__ = ["Outcome", "Work", "seed_all", "train"]

# Steps whose losses are fetched from a GPU together, so that it need not wait for each.
_FETCH_EVERY: Final = 16
# An epoch ends without a checkpoint while the last one is younger than so many times what it took to write:
# short epochs of a large model are not spent on writing.
_WRITING_SHARE: Final = 10


def train(
    work: Work,
    config: TrainingConfig,
    out: Path,
    *,
    resume: bool = True,
    console: Console | None = None,
) -> Outcome:
    """Train, or go on training, until the last epoch or Ctrl-C.

    Args:
        work: what is trained.
        config: how.
        out: the RUN folder. With a checkpoint of the same config and data in it, training goes on from there.
        resume: False begins over, where `out` is a run's folder.
        console: where progress goes; None for silence. Only the first process prints and writes.

    Raises:
        TrainingError: the folder is another's, too little data for one batch, no memory, a loss that is not
            finite, a disk that is full.
    """
    accelerator = _accelerator(config)
    main = accelerator.is_main_process
    if work.steps(accelerator.num_processes) < 1:
        reason = "too little data for one batch of training"
        raise TrainingError(
            "data", reason, "Make batches smaller: --set data.batch_size=..., or add motions."
        )
    with (
        lock_run(out) if main else nullcontext(),
        display(console if main else None) as shown,
        interrupts(shown.tell) as interrupt,
    ):
        going_on = on_main(lambda: begin_run(out, work.config, work.about, resume=resume))
        loop = _Loop(work, config, out, accelerator, shown, interrupt)
        try:
            loop.begin(going_on)
            loop.run()
        finally:
            loop.close()
        outcome = loop.outcome()
        if main:
            for note in write_report(out, config, outcome):
                shown.tell(note)
        accelerator.wait_for_everyone()  # a launcher may end the first process once another has left
    return outcome


def seed_all(*numbers: int) -> None:
    """Seed the generators of torch (every device), numpy and Python by some numbers together."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)


def _accelerator(config: TrainingConfig) -> Accelerator:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    # One Python process may train twice, each time with its own precision; the process group stays.
    AcceleratorState._reset_state()
    device = open_processes().device
    bf16 = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    if {"fp16": device.type == "cpu", "bf16": not bf16, "no": False}[config.precision]:
        reason = f"{config.precision} does not work on {device_name(device)}"
        remedy = f"Set it to {'bf16' if bf16 else 'fp16'}, or to no."
        raise ConfigError("training.precision", reason, remedy)
    return Accelerator(mixed_precision=config.precision)


def _give_back_memory() -> None:
    """Give freed memory back to the system, where the C library keeps it (glibc).

    Batches of ever other sizes break its heap into pieces: after 100 steps of the tiny retrieval model on a
    CPU 965 MB were held, and 442 after this call.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


class _Step(nn.Module):
    """The module inside what accelerate wraps, so that the module itself stays as its room made it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Any) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = self.module(batch)
        return terms


@dataclass(frozen=True)
class _Pending:
    """A step whose loss terms are still on the device."""

    step: int
    learning_rate: float
    names: tuple[str, ...]
    values: Tensor


class _Loop:
    def __init__(
        self,
        work: Work,
        config: TrainingConfig,
        out: Path,
        accelerator: Accelerator,
        shown: Display,
        interrupt: Interrupt,
    ) -> None:
        self.work, self.config, self.out = work, config, out
        self.accelerator, self.shown, self.interrupt = accelerator, shown, interrupt
        self.rank, self.world = accelerator.process_index, accelerator.num_processes
        self.progress = Progress(steps=work.steps(self.world))
        self.view = View(config.epochs, self.progress.steps)
        self.records: Records | None = None
        self.pending: list[_Pending] = []
        self.fetch_every = 1 if accelerator.device.type == "cpu" else _FETCH_EVERY
        self.stopping = False
        self.writing_s = 0.0
        self.saved_at = self.started_at = time.monotonic()
        self.seconds_before = 0.0

    @property
    def total(self) -> int:
        return self.config.epochs * self.progress.steps

    # ------------------------------------------------------------ begin and end

    def begin(self, going_on: bool) -> None:
        """Bring module and optimiser to the device, and to the checkpoint where there is one."""
        self.module = self.work.module.to(self.accelerator.device)
        trained = [p for p in self.module.parameters() if p.requires_grad]
        fused = self.accelerator.device.type in ("cpu", "cuda")
        config = self.config
        optimizer = torch.optim.AdamW(
            trained, config.learning_rate, config.betas, weight_decay=config.weight_decay, fused=fused
        )
        if going_on:
            self._restore(optimizer)
        if config.compile:
            self.module.compile()
        self.step_module, self.optimizer = self.accelerator.prepare(_Step(self.module), optimizer)
        if self.progress.scaler:
            self.accelerator.scaler.load_state_dict(self.progress.scaler)
        if self.accelerator.is_main_process:
            self.records = Records(self.out, self.progress.step, self.shown.tell)

    def _restore(self, optimizer: torch.optim.Optimizer) -> None:
        """Go back to the checkpoint; the first process reads it and shares it with the others."""
        _fill_moments(optimizer)
        tensors = state_tensors(self.module, optimizer)
        folder = self.out / LAST

        def read() -> dict[str, Any]:
            progress = read_progress(folder)
            if progress.steps != self.progress.steps:
                reason = f"an epoch had {progress.steps} steps and has {self.progress.steps} now"
                raise TrainingError(folder, reason, "Go on with the data it was begun with, or use --force.")
            read_state(folder, tensors)
            return asdict(progress)

        self.progress = Progress(**on_main(read))
        share(tensors)
        self.view.first = self.view.step = self.progress.step
        self.view.validation = self.progress.validation
        self.view.validated = self.progress.step // self.progress.steps
        self.seconds_before = self.progress.seconds
        self.shown.tell(f"going on from step {self.progress.step} of {self.total}")

    def close(self) -> None:
        """Leave module and files as they may be left."""
        self.work.module._compiled_call_impl = None
        if self.records is not None:
            self.records.close()

    def outcome(self) -> Outcome:
        """Say how it ended."""
        done = self.progress
        return Outcome(
            folder=self.out,
            step=done.step,
            epochs=done.step // done.steps,
            seconds=done.seconds,
            interrupted=self.stopping and done.step < self.total,
            validation=done.validation,
            best=done.best,
            best_step=done.best_step,
        )

    # ------------------------------------------------------------ steps

    def run(self) -> None:
        """Train to the last epoch, or until an end is asked for."""
        if self.progress.step == 0:
            self._validate()
        self.step_module.train()
        while self.progress.step < self.total and not self.stopping:
            self._epoch(self.progress.step // self.progress.steps)

    def _epoch(self, number: int) -> None:
        end = (number + 1) * self.progress.steps
        batches = iter(self.work.epoch(number, self.rank, self.world))
        skipped = self.progress.step - number * self.progress.steps
        for batch in itertools.islice(batches, skipped, self.progress.steps):
            self._step(batch)
            if len(self.pending) >= self.fetch_every and self.progress.step < end:
                self._fetch()
                if self.stopping or time.monotonic() - self.saved_at >= self.config.keep_every_s:
                    self._keep()
                if self.stopping:
                    return
        self._fetch()
        if self.progress.step < end:
            given = self.progress.step - number * self.progress.steps
            raise RuntimeError(f"epoch {number} gave {given} batches, {self.progress.steps} were announced")
        _give_back_memory()
        if (number + 1) % self.config.validate_every == 0 or number + 1 == self.config.epochs:
            self._validate()
        since = time.monotonic() - self.saved_at
        if end == self.total or self.stopping or since >= min(self.config.keep_every_s, self._rest()):
            self._keep()

    def _step(self, batch: Any) -> None:
        step = self.progress.step
        seed_all(self.config.seed, step, self.rank)
        rate = learning_rate(self.config, step, self.total)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with _memory_told(f"step {step + 1}"):
            terms = self.step_module(batch.to(self.accelerator.device))
            loss = torch.stack([x for name, x in terms.items() if not name.startswith("_")]).sum()
            self.accelerator.backward(loss)
            if self.config.clip_norm is not None:
                self.accelerator.clip_grad_norm_(self.step_module.parameters(), self.config.clip_norm)
            self.optimizer.step()
            self.optimizer.zero_grad()
        values = torch.stack([x.detach().float() for x in (loss, *terms.values())])
        self.progress.step = step + 1
        self.pending.append(_Pending(step + 1, rate, ("loss", *terms), values))

    def _fetch(self) -> None:
        """Bring the last steps' loss terms from the device, averaged over the processes; record them."""
        if not self.pending:
            return
        rows = torch.stack([one.values for one in self.pending])
        asked = rows.new_full((len(rows), 1), float(self.interrupt.asked))
        averaged = self.accelerator.reduce(torch.cat([asked, rows], dim=1), "mean").tolist()
        for one, (stop, *values) in zip(self.pending, averaged, strict=True):
            self.stopping |= stop > 0
            self._record(one, dict(zip(one.names, values, strict=True)))
        self.pending.clear()
        if self.records is not None:
            self.records.flush()
        self.shown.update(self.view)

    def _record(self, one: _Pending, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            if (
                not math.isfinite(value)
                and not name.startswith("_")
                and (name != "loss" or len(figures) == 1)
            ):
                # The average is the same in every process: all stop, one says why.
                if not self.accelerator.is_main_process:
                    raise SystemExit(1)
                raise _not_finite(one.step, name, value, self.config)
        self.view.terms = figures
        self.view.went_to(one.step)
        if self.records is None:
            return
        terms = {name: value for name, value in figures.items() if name != "loss"}
        self.records.step(
            {
                "step": one.step,
                "epoch": (one.step - 1) // self.progress.steps + 1,
                "learning_rate": one.learning_rate,
                "loss": figures["loss"],
                "terms": terms,
                "seconds": round(self._seconds(), 3),
            }
        )

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started_at

    # ------------------------------------------------------------ validation and checkpoints

    def _validate(self) -> None:
        """Validate on val; the best so far is kept."""
        step = self.progress.step
        seed_all(self.config.seed, step, self.rank, 1)
        self.module.eval()
        with _memory_told("validation"), torch.no_grad(), self.accelerator.autocast():
            figures = {name: float(value) for name, value in self.work.validate(self.accelerator).items()}
        self.step_module.train()
        if not figures:
            return
        if self.config.best not in figures:
            remedy = f"Choose one of {', '.join(figures)}."
            raise ConfigError("training.best", f"validation gives no {self.config.best}", remedy)
        epoch = step // self.progress.steps
        self.progress.validation = self.view.validation = figures
        self.view.validated = epoch
        if self.records is not None:
            line = {"step": step, "epoch": epoch, "figures": figures, "seconds": round(self._seconds(), 3)}
            self.records.validation(line)
        if step and self._is_best(figures[self.config.best]):
            self.progress.best, self.progress.best_step = figures[self.config.best], step
            self._write(self.out / BEST, with_state=False)
        self.shown.update(self.view)

    def _is_best(self, value: float) -> bool:
        best = self.progress.best
        if best is None or not math.isfinite(value):
            return math.isfinite(value)
        return value > best if self.config.best_mode == "max" else value < best

    def _rest(self) -> float:
        """Seconds without a checkpoint that the last one has earned."""
        return _WRITING_SHARE * self.writing_s

    def _keep(self) -> None:
        """Write the checkpoint that training goes on from."""
        self.progress.seconds = self._seconds()
        scaler = self.accelerator.scaler
        self.progress.scaler = scaler.state_dict() if scaler is not None else {}
        if self.records is not None:
            self.records.flush(to_disk=True)
        started = time.monotonic()
        self._write(self.out / LAST, with_state=True)
        self.saved_at = time.monotonic()
        self.writing_s = self.saved_at - started

    def _write(self, target: Path, *, with_state: bool) -> None:
        if not self.accelerator.is_main_process:
            return

        def write(folder: Path) -> None:
            self.work.save(folder)
            write_meta(folder / META, self.work.about, self.config, self.progress, self.accelerator)
            if with_state:
                write_state(folder, state_tensors(self.module, self.optimizer.optimizer), self.progress)

        replace_folder(target, write)


def _fill_moments(optimizer: torch.optim.Optimizer) -> None:
    """Give AdamW the state that it makes in its first step, for a checkpoint to be read into."""
    for group in optimizer.param_groups:
        for p in group["params"]:
            step = torch.zeros((), dtype=torch.float32, device=p.device if group["fused"] else "cpu")
            moments = {name: torch.zeros_like(p) for name in ("exp_avg", "exp_avg_sq")}
            optimizer.state[p] = {"step": step, **moments}


@contextmanager
def _memory_told(where: str) -> Iterator[None]:
    """Say what to change where memory runs out, of a GPU or of the machine."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if (
            isinstance(error, RuntimeError)
            and "out of memory" not in str(error)
            and "allocate" not in str(error)
        ):
            raise
        reason = f"out of memory ({' '.join(str(error).split())[:120]})"
        remedy = "Make batches smaller with --set data.batch_size=..., or set training.precision to bf16."
        raise TrainingError(where, reason, remedy) from None


def _not_finite(step: int, name: str, value: float, config: TrainingConfig) -> TrainingError:
    remedies = ["a lower training.learning_rate", "training.clip_norm=1", "a longer training.warmup_steps"]
    if config.precision == "fp16":
        remedies.insert(0, "training.precision=bf16")
    remedy = f"The last checkpoint is kept. Try {', '.join(remedies[:-1])} or {remedies[-1]}."
    return TrainingError(f"step {step}", f"the loss term {name} is {value}", remedy)
