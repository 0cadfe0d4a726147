"""What `kinmo index` and `kinmo search` share: the index of a model and a dataset, and its making."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ._common import messages
from ._progress import stages

if TYPE_CHECKING:
    from kinmo_models.data.motions import MotionStore
    from kinmo_models.retrieval.index import MotionIndex
    from kinmo_models.retrieval.retriever import Retriever

CacheOption = Annotated[
    Path | None, typer.Option("--cache", "--cache-dir", help="Root of the caches; else the user's.")
]
_NAMES: Final = {"motions": "embeddings", "captions": "captions", "rows": "vector index"}


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

        with stages(self.silent) as tell:
            return MotionStore.open(
                self.dataset, self.cache_dir, lambda done, total: tell("features", done, total)
            )

    @cached_property
    def model_fingerprint(self) -> str:
        """Digest of the model's weights and settings."""
        from kinmo_models.training.checkpoint import resolve_model
        from kinmo_models.training.pretrained import model_fingerprint

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
        with stages(self.silent) as tell:
            done: Counter[str] = Counter()

            def advance(stage: str, more: int) -> None:
                done[stage] += more
                tell(_NAMES[stage], done[stage], len(store))

            return MotionIndex.build(retriever, store, folder, advance)


def load_retriever(model: str, cache_dir: Path | None, silent: bool) -> Retriever:
    """Load a trained model, saying so at a terminal."""
    from kinmo_models.retrieval.retriever import Retriever

    if silent:
        return Retriever.from_pretrained(model, cache_dir=cache_dir)
    with messages().status("loading the model"):
        return Retriever.from_pretrained(model, cache_dir=cache_dir)
