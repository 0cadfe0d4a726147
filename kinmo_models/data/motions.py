"""The motions of a dataset as memory-mapped HumanML3D features, with their texts, and both in the mirror.

The features are computed once, where the source brought none, and kept below the user's cache folder; every
later opening maps them. A cache that is lost or damaged is made again.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kinmo_annotate.schema.arrow import FEATURES_WIDTH, arrow_to_frames
from kinmo_annotate.schema.features import joints_to_features
from kinmo_annotate.schema.mirror import mirror_text
from kinmo_annotate.schema.places import cache_folder
from kinmo_annotate.schema.records import NOT_DETERMINED, Caption, MotionError
from kinmo_annotate.schema.shards import (
    DATA_DIR,
    DatasetError,
    Manifest,
    read_groups,
    sha256_of,
    split_of,
)
from kinmo_annotate.schema.skeleton import (
    FIELDS,
    FPS,
    GROUP_NAMES,
    NUM_JOINTS,
    PAIR_NAMES,
    mirror_field,
    mirror_joints,
)
from kinmo_models.data.cache import Progress, locked, new_folder

Features: TypeAlias = NDArray[np.float32]

_FORMAT: Final = "1"  # of the cache; another number makes every cache anew
_INDEX, _PLAIN, _MIRRORED = "motions.parquet", "features.f32", "mirrored.f32"
_ROW_BYTES: Final = 4 * FEATURES_WIDTH
_COLUMNS: Final = ("motion_id", "source", "fps", "captions", "groups", "interactions")
_CAPTION: Final = pa.struct(
    [("text", pa.string()), ("mirrored", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64())]
)
_INDEX_SCHEMA: Final = pa.schema(
    [
        ("motion_id", pa.string()),
        ("split", pa.string()),
        ("source", pa.string()),
        ("rows", pa.int64()),
        ("mirrored_rows", pa.int64()),
        ("captions", pa.list_(_CAPTION)),
        ("fields", pa.list_(pa.string())),
        ("mirrored_fields", pa.list_(pa.string())),
    ]
)
# The place in FIELDS whose words a field receives in the mirror.
_MIRROR_ORDER: Final = tuple(FIELDS.index(mirror_field(name)) for name in FIELDS)
_mirror_sentence = lru_cache(maxsize=1 << 16)(mirror_text)


@dataclass(frozen=True, slots=True)
class MotionTexts:
    """What is said of one motion, and of its mirror image.

    Attributes:
        captions: global texts, without empty ones.
        fields: 21 sentences in the order of `FIELDS`; `NOT_DETERMINED` where the dataset has none.
        mirrored_captions: the captions of the mirrored motion, in the same order.
        mirrored_fields: the 21 sentences of the mirrored motion, in the order of `FIELDS`.
    """

    captions: tuple[Caption, ...]
    fields: tuple[str, ...]
    mirrored_captions: tuple[Caption, ...]
    mirrored_fields: tuple[str, ...]


class MotionStore:
    """A dataset's motions, opened with `MotionStore.open`.

    Attributes:
        dataset: the dataset's folder.
        fingerprint: digest of the dataset: names and sha256 of its shards.
        motion_ids: M ids, in the order of the shards.
        splits: split of each motion.
        sources: name of the dataset or collection that each motion came from.
        lengths: (M,) feature rows of each motion: T - 1 where they were computed from T frames of joints,
            as many as the source brought elsewhere.
        mirrored_lengths: (M,) feature rows of each mirrored motion, always computed: T - 1.
        texts: what is said of each motion.
    """

    def __init__(
        self, dataset: Path, fingerprint: str, index: pa.Table, plain: Features, mirrored: Features
    ) -> None:
        self.dataset, self.fingerprint = dataset, fingerprint
        self.motion_ids: list[str] = index["motion_id"].to_pylist()
        self.splits: list[str] = index["split"].to_pylist()
        self.sources: list[str] = index["source"].to_pylist()
        self.lengths: NDArray[np.int64] = index["rows"].to_numpy()
        self.mirrored_lengths: NDArray[np.int64] = index["mirrored_rows"].to_numpy()
        self.texts: list[MotionTexts] = _texts(index)
        self._plain, self._plain_starts = plain, _starts(self.lengths)
        self._mirrored, self._mirrored_starts = mirrored, _starts(self.mirrored_lengths)

    @classmethod
    def open(
        cls, dataset: Path, cache_dir: Path | None = None, progress: Progress | None = None
    ) -> MotionStore:
        """Open a dataset; the first time, compute its features and those of the mirrored motions.

        The shards are held against the manifest's sha256 when the cache is made, and not read any more
        afterwards. A cache of an earlier state of the same folder is removed.

        Args:
            dataset: the folder that `kinmo annotate run` wrote.
            cache_dir: root of the caches; None is the user's (`XDG_CACHE_HOME` or `~/.cache`, then kinmo).
            progress: told how many motions of how many are done.

        Raises:
            DatasetError: no dataset, texts only, no motion in it, a damaged shard, a motion that is not at
                20 frames per second or has no usable features, or a cache folder that cannot be written.
        """
        dataset = Path(dataset)
        manifest = Manifest.load(dataset)
        _check_manifest(dataset, manifest)
        fingerprint = dataset_fingerprint(manifest)
        root = cache_folder(cache_dir, "motions")
        folder = root / f"{fingerprint}-{_FORMAT}"
        parts = _load(folder)
        if parts is None:
            with locked(root):
                parts = _load(folder)  # another process may have made it meanwhile
                if parts is None:
                    with new_folder(folder) as temporary:
                        _make(dataset, manifest, temporary, progress)
                    _remove_earlier(dataset, folder)
                    parts = _load(folder)
        if parts is None:
            raise DatasetError(folder, "cannot be read although it was just written", "Check the disk.")
        return cls(dataset, fingerprint, *parts)

    def __len__(self) -> int:
        """How many motions there are."""
        return len(self.motion_ids)

    def features(self, index: int, mirrored: bool = False) -> Features:
        """Give the features of a motion, not normalised: (rows, 263) float32, a read-only mapped view."""
        if mirrored:
            start = self._mirrored_starts[index]
            return self._mirrored[start : start + self.mirrored_lengths[index]]
        start = self._plain_starts[index]
        return self._plain[start : start + self.lengths[index]]

    def select(self, split: str) -> list[int]:
        """List the motions of a split.

        Raises:
            DatasetError: there is no such split, or it holds no motion.
        """
        found = [index for index, name in enumerate(self.splits) if name == split]
        if not found:
            counts = ", ".join(f"{name} ({count})" for name, count in Counter(self.splits).items())
            raise DatasetError(
                self.dataset,
                f"holds no motion of a split named {split!r}; its splits: {counts}",
                "Name one of these, or annotate motions of that split too.",
            )
        return found

    def split_fingerprint(self, split: str) -> str:
        """Digest the ids and captions of a split; it does not depend on the order of the motions.

        Raises:
            DatasetError: see `select`.
        """
        said = [
            [self.motion_ids[index], [[c.text, c.start_s, c.end_s] for c in self.texts[index].captions]]
            for index in self.select(split)
        ]
        return blake2b(json.dumps(sorted(said)).encode(), digest_size=6).hexdigest()

    def facts(self) -> dict[str, Any]:
        """Say what meta.json of a model says of the dataset that it was trained on; JSON values."""
        splits = dict.fromkeys(self.splits)
        return {
            "dataset": str(self.dataset),
            "dataset_fingerprint": self.fingerprint,
            "split_fingerprints": {split: self.split_fingerprint(split) for split in splits},
            "motions": {split: len(self.select(split)) for split in splits},
        }

    def distinct_texts(self, indices: Iterable[int] | None = None, mirrored: bool = True) -> list[str]:
        """List every text once, in order of appearance, `NOT_DETERMINED` first.

        Args:
            indices: of which motions; None is all.
            mirrored: those of the mirrored motions too.
        """
        found = {NOT_DETERMINED: None}
        for index in range(len(self)) if indices is None else indices:
            texts = self.texts[index]
            found.update(dict.fromkeys(c.text for c in texts.captions))
            found.update(dict.fromkeys(texts.fields))
            if mirrored:
                found.update(dict.fromkeys(c.text for c in texts.mirrored_captions))
                found.update(dict.fromkeys(texts.mirrored_fields))
        return list(found)


def _check_manifest(dataset: Path, manifest: Manifest) -> None:
    """Refuse a dataset that carries no motion."""
    if manifest.texts_only:
        remedy = "Put your own copy of the motions back with `kinmo dataset join`."
        raise DatasetError(dataset, "carries texts only, no motion", remedy)
    if not manifest.rows:
        raise DatasetError(
            dataset,
            "holds no motion",
            "See why in `kinmo dataset info`, and annotate some with `kinmo annotate run`.",
        )


def dataset_fingerprint(manifest: Manifest) -> str:
    """Digest what the shards are called and hold."""
    digest = blake2b(digest_size=16)
    for shard in sorted(manifest.shards, key=lambda shard: shard.name):
        digest.update(f"{shard.name} {shard.sha256}\n".encode())
    return digest.hexdigest()


def _starts(lengths: NDArray[np.int64]) -> list[int]:
    return [0, *np.cumsum(lengths).tolist()]


# reading the cache -----------------------------------------------------------------------------------------


def _load(folder: Path) -> tuple[pa.Table, Features, Features] | None:
    """Map a cache; None where it is missing or damaged."""
    try:
        index = pq.read_table(folder / _INDEX, page_checksum_verification=True)
        if not index.schema.equals(_INDEX_SCHEMA):
            return None
        plain = _map(folder / _PLAIN, index["rows"].to_numpy().sum())
        mirrored = _map(folder / _MIRRORED, index["mirrored_rows"].to_numpy().sum())
    except (OSError, ValueError, pa.ArrowException):
        return None
    return index, plain, mirrored


def _map(path: Path, rows: int) -> Features:
    """Map a file of feature rows.

    Raises:
        OSError: it is missing.
        ValueError: it has another size.
    """
    if path.stat().st_size != rows * _ROW_BYTES:
        raise ValueError(path)
    return np.asarray(np.memmap(path, dtype="<f4", mode="r", shape=(int(rows), FEATURES_WIDTH)))


def _texts(index: pa.Table) -> list[MotionTexts]:
    """Read what is said of each motion; equal sentences become one string in memory."""
    captions: list[list[dict[str, Any]]] = index["captions"].to_pylist()
    fields, mirrored = _field_rows(index["fields"]), _field_rows(index["mirrored_fields"])
    return [
        MotionTexts(
            tuple(Caption(c["text"], c["start_s"], c["end_s"]) for c in said),
            plain,
            tuple(Caption(c["mirrored"], c["start_s"], c["end_s"]) for c in said),
            turned,
        )
        for said, plain, turned in zip(captions, fields, mirrored, strict=True)
    ]


def _field_rows(column: pa.ChunkedArray) -> list[tuple[str, ...]]:
    """Read a column of 21 texts a row."""
    found: list[tuple[str, ...]] = []
    known: dict[str, str] = {}
    for chunk in column.chunks:
        flat = chunk.flatten().dictionary_encode()
        words = [known.setdefault(word, word) for word in flat.dictionary.to_pylist()]
        rows = flat.indices.to_numpy().reshape(-1, len(FIELDS)).tolist()
        found += [tuple(words[place] for place in row) for row in rows]
    return found


# making the cache ------------------------------------------------------------------------------------------


def _make(dataset: Path, manifest: Manifest, folder: Path, progress: Progress | None) -> None:
    """Write a cache into `folder`, one row group of the shards in memory at a time."""
    _check_space(dataset, manifest, folder)
    index: dict[str, list[Any]] = {name: [] for name in _INDEX_SCHEMA.names}
    with (folder / _PLAIN).open("wb") as plain, (folder / _MIRRORED).open("wb") as mirrored:
        for done, (row, lengths) in enumerate(_written(dataset, manifest, plain, mirrored), start=1):
            row |= dict(zip(("rows", "mirrored_rows"), lengths, strict=True))
            for name, values in index.items():
                values.append(row[name])
            if progress:
                progress(done, manifest.rows)
    metadata = {"dataset": str(dataset.resolve())}
    table = pa.Table.from_pydict(index, schema=_INDEX_SCHEMA.with_metadata(metadata))
    pq.write_table(table, folder / _INDEX, compression="zstd", write_page_checksum=True)


def _check_space(dataset: Path, manifest: Manifest, folder: Path) -> None:
    """Say beforehand that the disk is too small for the cache."""
    frames = 0
    for shard in manifest.shards:
        for table in read_groups(dataset / DATA_DIR / shard.name, columns=["num_frames"]):
            frames += int(table["num_frames"].to_numpy().sum())
    needed, free = 2 * frames * _ROW_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise DatasetError(
            folder.parent,
            f"the features of {dataset} take {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free",
            "Free some space, or name a folder on another disk with --cache-dir.",
        )


def _written(
    dataset: Path, manifest: Manifest, plain: BinaryIO, mirrored: BinaryIO
) -> Iterator[tuple[dict[str, Any], tuple[int, int]]]:
    """Write the features of every motion; give its index row and its numbers of feature rows."""
    for shard in manifest.shards:
        path = dataset / DATA_DIR / shard.name
        if sha256_of(path) != shard.sha256:
            raise DatasetError(
                path,
                "is not the file that kinmo.json lists: its sha256 differs",
                "Fetch the dataset again, or find what changed it with `kinmo dataset validate`.",
            )
        for table in read_groups(path, columns=[*_COLUMNS, "joints", "features"]):
            joints, features = arrow_to_frames(table["joints"]), arrow_to_frames(table["features"])
            records = table.select(_COLUMNS).to_pylist()
            for record, xyz, brought in zip(records, joints, features, strict=True):
                pair = _both_features(record, xyz, brought, path)
                for rows, file in zip(pair, (plain, mirrored), strict=True):
                    file.write(np.ascontiguousarray(rows, dtype="<f4").tobytes())
                yield _index_row(record, split_of(shard.name)), (len(pair[0]), len(pair[1]))


def _both_features(
    record: dict[str, Any], xyz: Features | None, brought: Features | None, shard: Path
) -> tuple[Features, Features]:
    """Give the features of a motion and of its mirror image, each (rows, 263).

    Raises:
        DatasetError: it is not at 20 frames per second, has no joints, or features that are not finite.
    """
    motion_id, fps = record["motion_id"], record["fps"]
    remedy = "Leave this motion out of the source, or mend it there, and annotate again."
    if fps is None or abs(fps - FPS) > 1e-3:
        raise DatasetError(
            shard, f"motion {motion_id} has {fps} frames per second instead of {FPS:g}", remedy
        )
    if xyz is None:
        remedy = "Put your own copy of the motions back with `kinmo dataset join`."
        raise DatasetError(shard, f"motion {motion_id} carries no joints", remedy)
    joints = xyz.reshape(-1, NUM_JOINTS, 3)
    try:
        plain = brought if brought is not None and len(brought) else joints_to_features(joints, motion_id)
        mirrored = joints_to_features(mirror_joints(joints), motion_id)
    except MotionError as error:
        raise DatasetError(shard, f"motion {motion_id}: {error.reason}", error.remedy) from None
    for rows in (plain, mirrored):
        bad = ~np.isfinite(rows).all(axis=1)
        if bad.any():
            where = f"{int(bad.sum())} of {len(rows)} feature rows, first in row {int(bad.argmax())}"
            raise DatasetError(shard, f"motion {motion_id} has NaN or infinite values in {where}", remedy)
    return plain, mirrored


def _index_row(record: dict[str, Any], split: str) -> dict[str, Any]:
    """Give the texts of a motion as the index keeps them."""
    fields = _sentences(record["groups"], GROUP_NAMES) + _sentences(record["interactions"], PAIR_NAMES)
    return {
        "motion_id": record["motion_id"],
        "split": split,
        "source": (record["source"] or {}).get("dataset") or "",
        "captions": [
            {
                "text": one["text"],
                "mirrored": mirror_text(one["text"], free=True),
                "start_s": _seconds(one["start_s"]),
                "end_s": _seconds(one["end_s"]),
            }
            for one in record["captions"] or ()
            if one and (one["text"] or "").strip()
        ],
        "fields": fields,
        "mirrored_fields": [_mirror_sentence(fields[place]) for place in _MIRROR_ORDER],
    }


def _seconds(value: float | None) -> float:
    """Read a time; what is no number is 0, as HumanML3D's readers have it."""
    return value if value is not None and np.isfinite(value) else 0.0


def _sentences(texts: dict[str, str | None] | None, names: Sequence[str]) -> list[str]:
    """Give the sentences of fields in order; where there is none, that it is not determined."""
    found = texts or {}
    return [text if (text := found.get(name)) and text.strip() else NOT_DETERMINED for name in names]


def _remove_earlier(dataset: Path, kept: Path) -> None:
    """Remove caches of earlier states of the same dataset: they are large, and nobody asks for them again."""
    for index in kept.parent.glob(f"*/{_INDEX}"):
        try:
            made_of = (pq.read_schema(index).metadata or {}).get(b"dataset", b"").decode()
        except (OSError, pa.ArrowException):
            continue
        if index.parent != kept and made_of == str(dataset.resolve()):
            shutil.rmtree(index.parent, ignore_errors=True)
