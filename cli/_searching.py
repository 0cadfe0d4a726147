"""What `kinmo index` and `kinmo search` share: the index of a model and a dataset, and its making."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ._common import messages
from ._progress import _rich_progress

if TYPE_CHECKING:
    from kinmo_models.data.motions import MotionStore
    from kinmo_models.retrieval.index import MotionIndex
    from kinmo_models.retrieval.retriever import Retriever

CacheOption = Annotated[
    Path | None, typer.Option("--cache-dir", help="Root of the caches; else the user's cache folder.")
]
_LINE_EVERY_S: Final = 10.0
_NAMES: Final = {"features": "features", "motions": "embeddings", "rows": "vector index"}


@dataclass
class Place:
    """A model with a dataset; what is slow to open is opened when it is first asked for.

    Attributes:
        model: RUN folder or name on the hub, as given.
        dataset: folder of the dataset.
        cache_dir: root of the caches.
        silent: show no progress.
    """

    model: str
    dataset: Path
    cache_dir: Path | None
    silent: bool

    @cached_property
    def retriever(self) -> Retriever:
        """The trained model."""
        return load_retriever(self.model, self.cache_dir, self.silent)

    @cached_property
    def store(self) -> MotionStore:
        """The dataset's motions."""
        from kinmo_models.data.motions import MotionStore

        with _progress(self.silent) as tell:
            told = 0

            def advance(done: int, total: int) -> None:
                nonlocal told
                tell("features", done - told, total)
                told = done

            return MotionStore.open(self.dataset, self.cache_dir, advance)

    @cached_property
    def model_fingerprint(self) -> str:
        """Digest of the model's weights and settings."""
        from kinmo_models.retrieval.index import model_fingerprint
        from kinmo_models.training.checkpoint import resolve_model

        return model_fingerprint(resolve_model(self.model))

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the dataset, read from its manifest alone."""
        from kinmo_annotate.schema.shards import Manifest
        from kinmo_models.data.motions import dataset_fingerprint

        return dataset_fingerprint(Manifest.load(self.dataset))

    @property
    def folder(self) -> Path:
        """Where the index lies unless --out says otherwise."""
        from kinmo_models.retrieval.index import default_folder

        return default_folder(self.model, self.model_fingerprint, self.fingerprint)

    def is_current(self, folder: Path) -> bool:
        """Tell whether the index of just this model and dataset lies in a folder."""
        from kinmo_models.retrieval.index import is_current

        return is_current(folder, self.model_fingerprint, self.fingerprint)

    def build(self, folder: Path) -> MotionIndex:
        """Make the index in a folder, showing progress."""
        from kinmo_models.retrieval.index import MotionIndex

        store, retriever = self.store, self.retriever
        with _progress(self.silent) as tell:
            total = len(store.motion_ids)
            return MotionIndex.build(retriever, store, folder, lambda stage, more: tell(stage, more, total))


def load_retriever(model: str, cache_dir: Path | None, silent: bool) -> Retriever:
    """Load a trained model, saying so at a terminal."""
    from kinmo_models.retrieval.retriever import Retriever

    if silent:
        return Retriever.from_pretrained(model, cache_dir=cache_dir)
    with messages().status("loading the model"):
        return Retriever.from_pretrained(model, cache_dir=cache_dir)


@contextmanager
def _progress(silent: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Give what is told a stage, how many more, and of how many: bars at a terminal, else a line at times."""
    console = messages()
    if silent:
        yield lambda stage, more, total: None
    elif not console.is_terminal:
        yield _lines()
    else:
        with _rich_progress(console) as progress:
            tasks: dict[str, Any] = {}

            def tell(stage: str, more: int, total: int) -> None:
                if stage not in tasks:
                    tasks[stage] = progress.add_task(_NAMES[stage], total=total)
                progress.advance(tasks[stage], more)

            yield tell


def _lines() -> Callable[[str, int, int], None]:
    """Print how far a stage is, at most every ten seconds: for log files and pipes."""
    done: Counter[str] = Counter()
    started: dict[str, float] = {}
    last = time.monotonic()

    def tell(stage: str, more: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        begun = started.setdefault(stage, now)
        done[stage] += more
        if now - last >= _LINE_EVERY_S and now > begun:
            last, rate = now, done[stage] / (now - begun)
            left = f"{rate:.1f}/s, about {(total - done[stage]) / max(rate, 1e-9):.0f} s left"
            text = f"{_NAMES[stage]}: {done[stage]:,} of {total:,} motions ({left})"
            messages().print(text, markup=False, soft_wrap=True)

    return tell
