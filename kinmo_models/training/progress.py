"""What a person sees of a training: a bar at a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_LINE_EVERY_S: Final = 10.0
_RATE_OVER_S: Final = 10.0
_TERMS: Final = 4  # of the loss, the largest, are shown; losses.jsonl has all


@dataclass
class View:
    """Where a training stands.

    Attributes:
        epochs, steps: epochs in all, and steps of one.
        step: steps taken.
        first: steps that were taken before this start.
        terms: the last step's loss and terms.
        validation: figures of the last validation, and of which epoch they are.
    """

    epochs: int
    steps: int
    step: int = 0
    first: int = 0
    terms: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] = field(default_factory=dict)
    validated: int = 0
    _started: float = field(default_factory=lambda: time.monotonic())
    _marks: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def total(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.steps

    def went_to(self, step: int) -> None:
        """Hear that a step was taken."""
        now = time.monotonic()
        self.step = step
        self._marks.append((now, step))
        while len(self._marks) > 2 and now - self._marks[0][0] > _RATE_OVER_S:
            self._marks.popleft()

    @property
    def rate(self) -> float:
        """Steps a second of late; 0 while unknown."""
        if len(self._marks) < 2:
            return 0.0
        (since, first), (until, last) = self._marks[0], self._marks[-1]
        return (last - first) / (until - since) if until > since else 0.0

    def left(self) -> str:
        """Time that the rest of the training will take, validations included."""
        done = self.step - self.first
        if not done:
            return "-"
        seconds = (time.monotonic() - self._started) / done * (self.total - self.step)
        return str(timedelta(seconds=round(seconds)))

    def place(self) -> str:
        """Epoch and step within it."""
        epoch = min(max(self.step - 1, 0) // self.steps + 1, self.epochs) if self.step else 1
        return f"epoch {epoch}/{self.epochs}, step {self.step - (epoch - 1) * self.steps}/{self.steps}"

    def figures(self) -> str:
        """Loss and its largest terms, and the last validation."""
        largest = sorted(self.terms, key=lambda name: -abs(self.terms[name]))[: _TERMS + 1]
        said = worded({name: value for name, value in self.terms.items() if name in {"loss", *largest}})
        if self.validation:
            when = f"epoch {self.validated}" if self.validated else "before the start"
            said += f"; validation ({when}): {worded(self.validation)}"
        return said


def worded(figures: Mapping[str, float]) -> str:
    """Put figures on a line; the underscore of unweighted ones goes."""
    return ", ".join(f"{name.lstrip('_')} {value:.4g}" for name, value in figures.items())


class Display:
    """Does nothing: what trains in a script, and in every process but the first, is silent."""

    def update(self, view: View) -> None:
        """Hear that something changed."""

    def tell(self, text: str) -> None:
        """Print one line."""


class Lines(Display):
    """A line every ten seconds, for log files and pipes."""

    def __init__(self, console: Console) -> None:
        self._console, self._last = console, time.monotonic()

    def update(self, view: View) -> None:
        """Print a line when it is time to."""
        if time.monotonic() - self._last < _LINE_EVERY_S:
            return
        self._last = time.monotonic()
        self.tell(f"{view.place()} ({view.rate:.1f} steps/s, {view.left()} left): {view.figures()}")

    def tell(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, markup=False, soft_wrap=True)


class Bars(Display):
    """A bar with rate and time left, and below it the figures; drawn a few times a second."""

    def __init__(self, console: Console) -> None:
        from rich.progress_bar import ProgressBar

        self._console, self._bar = console, ProgressBar(width=30)
        self._view: View | None = None

    def update(self, view: View) -> None:
        """Keep what the next drawing shows."""
        self._view = view

    def tell(self, text: str) -> None:
        """Print one line above the bar."""
        self._console.print(text, markup=False)

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        view = self._view
        if view is None:
            return Text("getting ready")
        self._bar.update(view.step, view.total)
        rate = Text(f"{view.rate:.1f} steps/s", style="cyan")
        row = Table.grid(padding=(0, 2))
        row.add_row(Text(view.place()), self._bar, rate, Text(f"{view.left()} left"))
        return Group(row, Text(view.figures(), style="dim"))


@contextmanager
def display(console: Console | None) -> Iterator[Display]:
    """Give what shows a training on a console; None shows nothing."""
    if console is None:
        yield Display()
    elif not console.is_terminal:
        yield Lines(console)
    else:
        from rich.live import Live

        bars = Bars(console)
        with Live(bars, console=console, refresh_per_second=5):
            yield bars
