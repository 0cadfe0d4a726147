"""How a run of the pipeline is watched: a bar per stage at a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ._common import messages

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_LINE_EVERY_S: Final = 10.0


@contextmanager
def watch(console: Console, silent: bool = False) -> Iterator[Any]:
    """Give something that the pipeline can tell its progress to."""
    if silent or not console.is_terminal:
        yield Lines(console, silent)
        return
    with _rich_progress(console) as progress:
        yield Bars(progress)


@contextmanager
def dataset_progress(dataset: Path, silent: bool) -> Iterator[Callable[[int], None]]:
    """Show how many motions of a dataset are done."""
    from kinmo_annotate.schema.shards import Manifest

    rows = Manifest.load(dataset).rows
    with watch(messages(), silent=silent) as bars:
        bars.expect("motions", rows)
        yield lambda done: bars.advance("motions", done)


@contextmanager
def stages(silent: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Give what is told a stage, how much of it is done, and how much there is.

    Bars at a terminal; elsewhere a line at most every ten seconds, with rate and time left.
    """
    console = messages()
    if silent:
        yield lambda stage, done, total: None
    elif not console.is_terminal:
        yield StageLines(console).tell
    else:
        shown = StageBars(console)
        try:
            yield shown.tell
        finally:
            shown.close()


class StageBars:
    """A bar per stage. They go when all are full, so that what comes next can show its own."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self.bars: Progress | None = None

    def tell(self, stage: str, done: int, total: int) -> None:
        """Hear how far a stage is."""
        if self.bars is None:
            if done >= total:
                return
            self.bars = _rich_progress(self._console)
            self.bars.start()
        if stage not in self._tasks:
            self._tasks[stage] = self.bars.add_task(stage, total=total)
        self.bars.update(self._tasks[stage], completed=done, total=total)
        if all(task.finished for task in self.bars.tasks):
            self.close()

    def close(self) -> None:
        """Take the bars away."""
        if self.bars is not None:
            self.bars.stop()
            self.bars = None
            self._tasks.clear()


class StageLines:
    """A line on the stage in hand, now and then: for log files and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started: dict[str, tuple[float, int]] = {}
        self._last = time.monotonic()

    def tell(self, stage: str, done: int, total: int) -> None:
        """Hear how far a stage is."""
        now = time.monotonic()
        began, before = self._started.setdefault(stage, (now, done))
        if done >= total:
            del self._started[stage]  # a stage of the same name may begin after it
            return
        if now - self._last < _LINE_EVERY_S or now <= began:
            return
        self._last, rate = now, (done - before) / (now - began)
        left = f" ({rate:.1f}/s, about {(total - done) / rate:.0f} s left)" if rate else ""
        text = f"{stage}: {done:,} of {total:,}{left}"
        self._console.print(text, markup=False, soft_wrap=True)


class Bars:
    """A bar per stage, with rate and time left."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._totals: Counter[str] = Counter()

    def expect(self, stage: str, amount: int) -> None:
        """Make a stage's bar longer."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=None)
        self._totals[stage] += amount
        self._progress.update(self._tasks[stage], total=self._totals[stage] or None)

    def advance(self, stage: str, amount: int) -> None:
        """Fill a stage's bar."""
        self._progress.advance(self._tasks[stage], amount)


class Lines:
    """A line on how far the slowest stage is, at most every ten seconds: for log files and pipes."""

    def __init__(self, console: Console, silent: bool = False) -> None:
        self._console, self._silent = console, silent
        self._done: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._started = self._last = time.monotonic()

    def expect(self, stage: str, amount: int) -> None:
        """Hear that there is more to do."""
        self._totals[stage] += amount

    def advance(self, stage: str, amount: int) -> None:
        """Hear that more is done, and say so when it is time to."""
        self._done[stage] += amount
        now = time.monotonic()
        if self._silent or now - self._last < _LINE_EVERY_S:
            return
        self._last = now
        self._console.print(self._line(now), markup=False, soft_wrap=True)

    def _line(self, now: float) -> str:
        texts = f"{self._done['embeddings']} of {self._totals['embeddings']} texts embedded"
        done, total = self._done["rows"], self._totals["rows"]
        rate = done / (now - self._started)
        left = f", about {(total - done) / rate:.0f} s left" if rate else ""
        return f"{done} of {total} motions described ({rate:.1f}/s{left}); {texts}"


def _rich_progress(console: Console) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description:>13}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        _rate_column(),
        TimeRemainingColumn(),
        console=console,
    )


def _rate_column() -> Any:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        """So many a second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:7.1f}/s" if speed else "      -/s", style="cyan")

    return Rate()
