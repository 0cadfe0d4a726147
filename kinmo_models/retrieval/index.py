"""The index of a dataset: what a trained model makes of its motions, kept in a folder that answers queries.

    INDEX/
      meta.json             format, the digests of model and dataset, counts, digests of the files below
      embeddings.npy        (n, d) float32 unit rows, memory-mapped
      motions.parquet       a row a motion: id, split, source, seconds, first caption
      captions.npy          (n, D) float32: see captions.py; not there where no motion has a caption
      neighbours.faiss      only where there are many motions: see neighbours.py

It is written in a hidden folder beside its place and then renamed. A build that was stopped goes on in that
folder when the same build is asked for again.
"""

from __future__ import annotations

import difflib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kinmo_annotate.schema.places import cache_folder
from kinmo_annotate.schema.shards import DatasetError, atomic_write, sha256_of
from kinmo_annotate.schema.skeleton import FPS
from kinmo_models.retrieval.captions import WEIGHT, SentenceEncoder, candidates, order_anew, write_captions
from kinmo_models.retrieval.neighbours import (
    EXACT_MOTIONS,
    FAISS_REMEDY,
    InvertedLists,
    Rows,
    Vectors,
    exact,
)

if TYPE_CHECKING:
    from kinmo_models.data.motions import MotionStore

META_NAME: Final = "meta.json"
VECTORS_NAME: Final = "embeddings.npy"
TABLE_NAME: Final = "motions.parquet"
CAPTIONS_NAME: Final = "captions.npy"
LISTS_NAME: Final = "neighbours.faiss"
_PROGRESS_NAME: Final = "progress.json"
_FORMAT: Final = "kinmo-index"
_VERSION: Final = 2  # 1 had no captions.npy
_BATCH: Final = 256  # motions encoded at once
_SAVED_EVERY: Final = 16  # batches
_AGAIN: Final = "Make it again: kinmo index RUN DATASET."

# A stage ("motions" encoded, "captions" of motions, "rows" sorted into lists) and how many more.
Progress = Callable[[str, int], None]


class Encoder(SentenceEncoder, Protocol):
    """What the index needs of a model: `Retriever` has it."""

    fingerprint: str

    def encode_features(self, features: Sequence[NDArray[np.float32]]) -> Vectors:
        """Encode motions (T', 263) each into unit rows (n, d)."""
        ...


@dataclass(frozen=True, slots=True)
class Where:
    """Which motions may be found; what is empty or None does not matter.

    Attributes:
        splits: of these splits.
        sources: of these source datasets.
        min_s: at least so long, seconds.
        max_s: at most so long, seconds.
    """

    splits: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    min_s: float | None = None
    max_s: float | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A motion that was found.

    Attributes:
        row: its place in the index, and in the `MotionStore` that it was made of.
        motion_id: its id.
        similarity: cosine between its embedding and the query's, -1 to 1.
        split, source: as in the dataset.
        seconds: its length.
        caption: the first of its captions; empty where it has none.
        caption_similarity: cosine between its captions and the text; None where that did not count.
    """

    row: int
    motion_id: str
    similarity: float
    split: str
    source: str
    seconds: float
    caption: str
    caption_similarity: float | None = None


@dataclass(slots=True)
class MotionIndex:
    """The motions of a dataset as a model's embeddings, ready to be searched.

    Attributes:
        folder: where it lies.
        meta: what meta.json says.
        vectors: (n, d) float32 unit rows, memory-mapped.
        table: motion_id, split, source, seconds, caption; a row a motion, in the order of the vectors.
        captions: (n, D) what is said of each motion, memory-mapped; None where nothing is said of any.
        note: what a person should know about how it is searched; empty where there is nothing to say.
    """

    folder: Path
    meta: dict[str, Any]
    vectors: Vectors
    table: pa.Table
    captions: Vectors | None = None
    note: str = ""
    _lists: InvertedLists | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.vectors)

    @classmethod
    def build(
        cls, retriever: Encoder, store: MotionStore, folder: Path, progress: Progress | None = None
    ) -> MotionIndex:
        """Encode every motion of a dataset and write the index; one that is there already is replaced.

        Args:
            retriever: the trained model.
            store: the dataset's motions.
            folder: where the index shall lie.
            progress: told a stage and how much of it is newly done.

        Raises:
            DatasetError: `folder` holds something else, cannot be written, or the model's embeddings are no
                numbers.
        """
        _refuse_other(folder)
        tell = progress or (lambda stage, more: None)
        partial = folder.with_name(f".{folder.name}.partial")
        vectors = _encode(retriever, store, partial, tell)
        try:
            with (partial / TABLE_NAME).open("wb") as file:
                pq.write_table(_describe(store), file, compression="zstd")
            write_captions(retriever, store, partial / CAPTIONS_NAME, lambda more: tell("captions", more))
            _sort_into_lists(vectors, partial, tell)
            _write_meta(partial, retriever.fingerprint, store, vectors.shape)
            _move(partial, folder)
        except OSError as error:
            raise _unwritable(folder, error) from None
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> MotionIndex:
        """Open an index.

        Raises:
            DatasetError: it is missing, damaged, or of a newer kinmo.
        """
        folder = Path(folder)
        meta = read_meta(folder)
        shape = (meta["motions"], meta["width"])
        try:
            vectors = np.load(folder / VECTORS_NAME, mmap_mode="r", allow_pickle=False)
            table = pq.read_table(folder / TABLE_NAME)
            said = CAPTIONS_NAME in meta["files"]
            captions = np.load(folder / CAPTIONS_NAME, mmap_mode="r", allow_pickle=False) if said else None
        except (OSError, ValueError, pa.ArrowException):
            raise DatasetError(folder, "lacks a part, or a part of it is damaged", _AGAIN) from None
        counts = {table.num_rows} | (set() if captions is None else {len(captions)})
        if vectors.shape != shape or vectors.dtype != np.float32 or counts != {shape[0]}:
            raise DatasetError(folder, "holds other counts than its meta.json says", _AGAIN)
        lists, note = _open_lists(folder, meta)
        return cls(folder, meta, vectors, table, captions, note, lists)

    def search(
        self,
        queries: Vectors,
        top: int = 10,
        where: Where | None = None,
        sentences: Vectors | None = None,
        weight: float = WEIGHT,
    ) -> list[list[Hit]]:
        """Find the motions most similar to each query, the most similar first.

        Args:
            queries: (q, d) unit rows from the model that made the index.
            top: how many to find; fewer where fewer may be found.
            where: which may be found.
            sentences: (q, D) unit sentence embeddings of the same texts (`Retriever.encode_sentences`): the
                thousand most similar motions, or ten times `top`, are ordered by their similarity plus
                `weight` times that of their captions. None leaves captions out.
            weight: see `sentences`.

        Raises:
            DatasetError: the queries are of another width, or no motion passes.
        """
        queries = np.atleast_2d(np.asarray(queries, np.float32))
        if queries.shape[1] != self.vectors.shape[1]:
            reason = f"holds embeddings of width {self.vectors.shape[1]}, the query has {queries.shape[1]}"
            raise DatasetError(self.folder, reason, "Search with the model that made the index.")
        rows = self._passing(where or Where())
        if sentences is None or self.captions is None or not weight:
            return [self._hits(*line) for line in zip(*self._nearest(queries, top, rows), strict=True)]
        hits = []
        for line in zip(*self._nearest(queries, candidates(top), rows), sentences, strict=True):
            similarities, found, sentence = line
            order, alike = order_anew(similarities, found, self.captions, sentence, weight)
            best = order[:top]
            hits.append(self._hits(similarities[best], found[best], alike[best]))
        return hits

    def _nearest(self, queries: Vectors, top: int, rows: Rows | None) -> tuple[Vectors, Rows]:
        """Similarities and rows (q, top) of the motions nearest to each query, of those that may be found."""
        if self._lists is None:
            return exact(self.vectors, queries, top, rows)
        return self._lists.search(self.vectors, queries, top, rows)

    def check_current(self, model: str, dataset: str | None) -> None:
        """Refuse to answer for another model, or for a later state of the dataset.

        Args:
            model: fingerprint of the model that encodes the queries.
            dataset: fingerprint of the dataset as it is now; None where it is not here.

        Raises:
            DatasetError: with the command that makes the index anew.
        """
        again = f"Make it again: kinmo index RUN {self.meta['dataset_path']} --out {self.folder}"
        if model != self.meta["model"]:
            raise DatasetError(self.folder, "was made with another model, or before more training", again)
        if dataset is not None and dataset != self.meta["dataset"]:
            raise DatasetError(self.folder, "was made before its dataset changed", again)

    def _hits(self, similarities: Vectors, rows: Rows, alike: Vectors | None = None) -> list[Hit]:
        records = self.table.take(pa.array(rows)).to_pylist()
        unsaid = np.full(len(rows), np.nan, np.float32)
        said = [None if np.isnan(one) else float(one) for one in (unsaid if alike is None else alike)]
        return [
            Hit(row=int(row), similarity=float(cosine), caption_similarity=caption, **record)
            for row, cosine, record, caption in zip(rows, similarities, records, said, strict=True)
        ]

    def _passing(self, where: Where) -> Rows | None:
        """Sorted numbers of the rows that may be found; None is all of them."""
        if where == Where():
            return None
        passes = np.ones(len(self), bool)
        for column, wanted in (("split", where.splits), ("source", where.sources)):
            if wanted:
                passes &= self._among(column, wanted)
        seconds = self.table["seconds"].to_numpy()
        if where.min_s is not None:
            passes &= seconds >= where.min_s
        if where.max_s is not None:
            passes &= seconds <= where.max_s
        rows = np.flatnonzero(passes)
        if not len(rows):
            remedy = f"Its motions last {seconds.min():.1f} to {seconds.max():.1f} s; loosen the filters."
            raise DatasetError(self.folder, f"none of its {len(self):,} motions passes the filters", remedy)
        return rows

    def _among(self, column: str, wanted: Sequence[str]) -> NDArray[np.bool_]:
        """Tell which rows have one of some values in a column of text.

        Raises:
            DatasetError: no row has a value; the error names those that there are.
        """
        codes = self.table[column].combine_chunks().dictionary_encode()
        known = codes.dictionary.to_pylist()
        for value in wanted:
            if value not in known:
                near = difflib.get_close_matches(value, known, n=1) or sorted(known)[:8]
                reason = f"has no motion of the {column} {value!r}"
                raise DatasetError(self.folder, reason, f"There is: {', '.join(near)}.")
        chosen = [known.index(value) for value in wanted]
        return np.isin(codes.indices.to_numpy(), chosen)


def read_meta(folder: Path) -> dict[str, Any]:
    """Read what an index says of itself.

    Raises:
        DatasetError: the folder is no index, or a newer kinmo wrote it.
    """
    path = folder / META_NAME
    try:
        meta = json.loads(path.read_bytes())
        if meta["format"] != _FORMAT:
            raise KeyError("format")
        if meta["version"] > _VERSION:
            raise DatasetError(
                folder, "was made by a newer kinmo", "Upgrade with `pip install --upgrade kinmo`."
            )
        types = {
            "model": str,
            "dataset": str,
            "dataset_path": str,
            "motions": int,
            "width": int,
            "files": dict,
        }
        if any(not isinstance(meta[name], kind) for name, kind in types.items()):
            raise TypeError
    except FileNotFoundError:
        raise DatasetError(folder, "is no index", "Make one: kinmo index RUN DATASET.") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise DatasetError(path, "is damaged", _AGAIN) from None
    return dict(meta)


def is_index(folder: Path) -> bool:
    """Tell whether a folder holds an index, of any version and in any state."""
    return (folder / META_NAME).is_file() and (folder / VECTORS_NAME).is_file()


def is_current(folder: Path, model: str, dataset: str) -> bool:
    """Tell whether a folder holds an index of this very model and dataset, by their fingerprints."""
    try:
        meta = read_meta(folder)
    except DatasetError:
        return False
    return bool((meta["model"], meta["dataset"], meta["version"]) == (model, dataset, _VERSION))


def default_folder(model: str | Path, fingerprint: str, dataset: str) -> Path:
    """Name the folder of the index of a dataset: in the model's own folder, or in the user's cache.

    Args:
        model: as the user gave it: a folder, or a name on the hub.
        fingerprint: of the model.
        dataset: fingerprint of the dataset.
    """
    if Path(model).is_dir():
        return Path(model) / "index" / dataset
    return cache_folder(None, "index") / fingerprint / dataset


def _encode(retriever: Encoder, store: MotionStore, partial: Path, tell: Progress) -> Vectors:
    """Encode all motions into the partial folder, going on where a build that was stopped ended."""
    count, first = len(store.motion_ids), retriever.encode_features([store.features(0)])
    begun = {
        "model": retriever.fingerprint,
        "dataset": store.fingerprint,
        "motions": count,
        "width": first.shape[1],
    }
    try:
        vectors, done = _partial_vectors(partial, begun)
        tell("motions", done)
        try:
            while done < count:
                stop = min(done + _BATCH, count)
                rows = retriever.encode_features([store.features(number) for number in range(done, stop)])
                _check_numbers(rows, store.motion_ids[done:stop])
                vectors[done:stop] = rows
                tell("motions", stop - done)
                done = stop
                if (done // _BATCH) % _SAVED_EVERY == 0:
                    _save_progress(partial, vectors, begun, done)
        finally:
            _save_progress(partial, vectors, begun, done)
    except OSError as error:
        raise _unwritable(partial.parent, error) from None
    return np.load(partial / VECTORS_NAME, mmap_mode="r", allow_pickle=False)


def _partial_vectors(partial: Path, begun: dict[str, Any]) -> tuple[np.memmap[Any, Any], int]:
    """Open the array that a stopped build of the same kind left, or begin one; and tell how far it is."""
    path = partial / VECTORS_NAME
    with suppress(OSError, ValueError, KeyError):
        progress = json.loads((partial / _PROGRESS_NAME).read_bytes())
        done = int(progress.pop("done"))
        kept = np.lib.format.open_memmap(path, mode="r+")
        if progress == begun and kept.shape == (begun["motions"], begun["width"]):
            return kept, done
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    shape = (begun["motions"], begun["width"])
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape), 0


def _save_progress(partial: Path, vectors: np.memmap[Any, Any], begun: dict[str, Any], done: int) -> None:
    vectors.flush()
    _save_json(partial / _PROGRESS_NAME, begun | {"done": done})


def _check_numbers(rows: Vectors, ids: Sequence[str]) -> None:
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        reason = f"the model's embedding of it is no number (and of {int(bad.sum()) - 1} others)"
        raise DatasetError(ids[int(bad.argmax())], reason, "Train the model again; look at RUN/report.md.")


def _describe(store: MotionStore) -> pa.Table:
    """What is shown of each motion."""
    captions = [texts.captions[0].text if texts.captions else "" for texts in store.texts]
    columns = {
        "motion_id": pa.array(store.motion_ids, pa.string()),
        "split": pa.array(store.splits, pa.string()),
        "source": pa.array(store.sources, pa.string()),
        "seconds": pa.array(np.asarray(store.lengths) / FPS, pa.float32()),
        "caption": pa.array(captions, pa.string()),
    }
    return pa.table(columns)


def _sort_into_lists(vectors: Vectors, partial: Path, tell: Progress) -> None:
    """Build the faiss index where there are many motions and faiss is installed."""
    if len(vectors) > EXACT_MOTIONS:
        with suppress(ModuleNotFoundError):
            InvertedLists.build(vectors, lambda more: tell("rows", more)).save(partial / LISTS_NAME)


def _write_meta(partial: Path, model: str, store: MotionStore, shape: Sequence[int]) -> None:
    names = (VECTORS_NAME, TABLE_NAME, CAPTIONS_NAME, LISTS_NAME)
    meta = {
        "format": _FORMAT,
        "version": _VERSION,
        "kinmo_version": version("kinmo"),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": model,
        "dataset": store.fingerprint,
        "dataset_path": str(store.dataset.resolve()),
        "motions": shape[0],
        "width": shape[1],
        "files": {name: sha256_of(partial / name) for name in names if (partial / name).exists()},
    }
    (partial / _PROGRESS_NAME).unlink(missing_ok=True)
    _save_json(partial / META_NAME, meta)


def _save_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2) + "\n"
    atomic_write(path, lambda file: file.write(text.encode()))


def _move(partial: Path, folder: Path) -> None:
    """Put the finished folder in its place; an older index there goes."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(old, ignore_errors=True)


def _open_lists(folder: Path, meta: dict[str, Any]) -> tuple[InvertedLists | None, str]:
    """Open the faiss index if there is one, after its digest was compared; and a note if there should be one.

    faiss reads its files without suspicion. The digest in meta.json shows damage and files that were
    exchanged; it is no guard against a whole folder from a stranger, whose neighbours.faiss is to be deleted.
    """
    path, count = folder / LISTS_NAME, meta["motions"]
    if count <= EXACT_MOTIONS:
        return None, ""
    slow = f"each query is compared with all {count:,} motions"
    if find_spec("faiss") is None:
        return None, f"faiss is absent, so {slow}. For speed: {FAISS_REMEDY}"
    if not path.exists():
        return None, f"it has no {LISTS_NAME}, so {slow}. For speed make it again: kinmo index ... --force"
    if sha256_of(path) != meta["files"].get(LISTS_NAME):
        raise DatasetError(path, "is not the file that was written here", _AGAIN)
    return InvertedLists.open(path, count, meta["width"]), ""


def _refuse_other(folder: Path) -> None:
    """Keep a folder that is no index from being replaced."""
    if folder.exists() and not is_index(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(folder, "exists and is no index", "Give a new folder with --out.")


def _unwritable(folder: Path, error: OSError) -> DatasetError:
    reason = f"cannot be written ({(error.strerror or str(error)).lower()})"
    return DatasetError(
        folder, reason, "Free some space, or choose another folder with --out; then run it again."
    )
