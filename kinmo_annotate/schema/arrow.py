"""Rows as Arrow tables and back: the columns of the dataset, their types and their version.

Joints and features travel as flat float32 buffers; no Python list of floats is made on the way. A table does
not say which split its rows belong to: the name of the shard does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kinmo_annotate.schema.records import (
    Caption,
    Check,
    Failure,
    Keyframe,
    Motion,
    Provenance,
    Review,
    Row,
    Source,
)
from kinmo_annotate.schema.skeleton import GROUP_NAMES, NUM_JOINTS, PAIR_NAMES

SCHEMA_VERSION: Final = 1
VERSION_KEY: Final = b"kinmo.schema_version"
JOINTS_WIDTH: Final = NUM_JOINTS * 3
FEATURES_WIDTH: Final = 263


def _frames(width: int) -> pa.DataType:
    """Type of a (T, width) float32 array, one fixed-size list a frame."""
    return pa.list_(pa.list_(pa.float32(), width))


def _struct(**fields: pa.DataType) -> pa.DataType:
    """Struct type with the fields in the order given."""
    return pa.struct(list(fields.items()))


_TEXT, _TIME, _COUNT = pa.string(), pa.float64(), pa.int64()

_SOURCE = _struct(dataset=_TEXT, path=_TEXT, start_s=_TIME, end_s=_TIME, license=_TEXT)
_CAPTION = _struct(text=_TEXT, start_s=_TIME, end_s=_TIME)
_KEYFRAME = _struct(frame=pa.int32(), similarity=pa.float32(), caption=_TEXT)
_CHECK = _struct(field=_TEXT, claim=_TEXT, verdict=_TEXT)
_PROVENANCE = _struct(
    describer=_TEXT, model=_TEXT, prompt_version=_TEXT, captioner=_TEXT, sbert_model=_TEXT,
    keyframe_threshold=pa.float64(), seed=_COUNT, kinmo_version=_TEXT, created_at=_TEXT,
    input_tokens=_COUNT, output_tokens=_COUNT, cached_tokens=_COUNT, cost_usd=pa.float64(),
)  # fmt: skip
_REVIEW = _struct(status=_TEXT, errors=pa.list_(_TEXT))

_METADATA: Final = {VERSION_KEY: str(SCHEMA_VERSION).encode()}

SCHEMA: Final[pa.Schema] = pa.schema(
    [
        ("motion_id", _TEXT),
        ("source", _SOURCE),
        ("fps", pa.float32()),
        ("num_frames", pa.int32()),
        ("joints", _frames(JOINTS_WIDTH)),
        ("features", _frames(FEATURES_WIDTH)),
        ("captions", pa.list_(_CAPTION)),
        ("groups", _struct(**dict.fromkeys(GROUP_NAMES, _TEXT))),
        ("interactions", _struct(**dict.fromkeys(PAIR_NAMES, _TEXT))),
        ("keyframes", pa.list_(_KEYFRAME)),
        ("checks", pa.list_(_CHECK)),
        ("provenance", _PROVENANCE),
        ("review", _REVIEW),
    ],
    metadata=_METADATA,
)

FAILURE_SCHEMA: Final[pa.Schema] = pa.schema(
    [(name, _TEXT) for name in ("motion_id", "path", "stage", "reason", "remedy")], metadata=_METADATA
)

# Every column but the two that carry motion: what texts, statistics and look-ups need.
TEXT_COLUMNS: Final = tuple(name for name in SCHEMA.names if name not in ("joints", "features"))
_TEXT_SCHEMA: Final[pa.Schema] = pa.schema([SCHEMA.field(name) for name in TEXT_COLUMNS])

Record: TypeAlias = dict[str, Any]
Frames: TypeAlias = NDArray[np.float32]


def rows_to_table(rows: Sequence[Row]) -> pa.Table:
    """Turn rows into a table of `SCHEMA`, in the order given.

    Raises:
        KeyError: a row lacks one of the 21 fields.
    """
    motions = [row.motion for row in rows]
    return records_to_table(
        [_record(row) for row in rows],
        [motion.joints for motion in motions],
        [motion.features for motion in motions],
    )


def records_to_table(
    records: Sequence[Record], joints: Sequence[Frames | None], features: Sequence[Frames | None]
) -> pa.Table:
    """Build a table of `SCHEMA` from its text columns, one dict a row, and its two columns of frames.

    Args:
        records: values of `TEXT_COLUMNS`, nested as in the schema.
        joints: T x 66 values a row, in any shape that starts with T; None for null.
        features: T' x 263 values a row; None for null.
    """
    texts = pa.Table.from_pylist([_encodable(record) for record in records], schema=_TEXT_SCHEMA)
    frames = {
        "joints": frames_to_arrow(joints, JOINTS_WIDTH),
        "features": frames_to_arrow(features, FEATURES_WIDTH),
    }
    columns = [frames[name] if name in frames else texts[name] for name in SCHEMA.names]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def table_to_records(table: pa.Table) -> Iterator[tuple[Record, Frames | None, Frames | None]]:
    """Take a table of `SCHEMA` apart: text columns as a dict, joints (T, 22, 3) or None, features or None."""
    records = table.select(TEXT_COLUMNS).to_pylist()
    joints = arrow_to_frames(table["joints"])
    features = arrow_to_frames(table["features"])
    for record, xyz, vectors in zip(records, joints, features, strict=True):
        yield record, None if xyz is None else xyz.reshape(-1, NUM_JOINTS, 3), vectors


def table_to_rows(table: pa.Table, split: str) -> Iterator[Row]:
    """Turn a table of `SCHEMA` that carries motion back into rows of `split`.

    Raises:
        MotionError: the joints of a row are null or unusable.
    """
    for record, joints, features in table_to_records(table):
        motion = Motion(
            motion_id=record["motion_id"],
            # no joints become no frames, which the record's own check refuses with the motion's name
            joints=np.empty((0, NUM_JOINTS, 3), np.float32) if joints is None else joints,
            source=Source(**record["source"]),
            fps=record["fps"],
            captions=tuple(Caption(**caption) for caption in record["captions"]),
            split=split,
            features=features,
        )
        yield Row(
            motion=motion,
            keyframes=tuple(Keyframe(**keyframe) for keyframe in record["keyframes"]),
            descriptions={**record["groups"], **record["interactions"]},
            provenance=Provenance(**record["provenance"]),
            checks=tuple(Check(**check) for check in record["checks"]),
            review=Review(record["review"]["status"], tuple(record["review"]["errors"])),
        )


def _record(row: Row) -> Record:
    """Give the text columns of a row."""
    motion = row.motion
    return {
        "motion_id": motion.motion_id,
        "source": _fields(motion.source),
        "fps": motion.fps,
        "num_frames": len(motion.joints),
        "captions": [_fields(caption) for caption in motion.captions],
        "groups": {name: row.descriptions[name] for name in GROUP_NAMES},
        "interactions": {name: row.descriptions[name] for name in PAIR_NAMES},
        "keyframes": [_fields(keyframe) for keyframe in row.keyframes],
        "checks": [_fields(check) for check in row.checks],
        "provenance": _fields(row.provenance),
        "review": {"status": row.review.status, "errors": list(row.review.errors)},
    }


def failures_to_table(failures: Sequence[Failure]) -> pa.Table:
    """Turn failures into a table of `FAILURE_SCHEMA`, in the order given."""
    return pa.Table.from_pylist([_encodable(_fields(failure)) for failure in failures], schema=FAILURE_SCHEMA)


def frames_to_arrow(arrays: Sequence[Frames | None], width: int) -> pa.ListArray:
    """Pack arrays of T frames, `width` values each, into lists of fixed-size lists; None is null."""
    missing = np.array([array is None for array in arrays], dtype=bool)
    blocks = [
        np.empty((0, width), np.float32) if a is None else np.reshape(a, (len(a), width)) for a in arrays
    ]
    lengths = np.array([len(block) for block in blocks], dtype=np.int32)
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    flat = np.concatenate(blocks, dtype=np.float32).ravel() if blocks else np.empty(0, np.float32)
    frames = pa.FixedSizeListArray.from_arrays(pa.array(flat), width)
    mask = pa.array(missing) if missing.any() else None
    return pa.ListArray.from_arrays(pa.array(offsets), frames, mask=mask)


def arrow_to_frames(column: pa.ChunkedArray) -> list[Frames | None]:
    """Unpack a column of `frames_to_arrow` into (T, width) float32 arrays; null is None.

    The arrays of one chunk are views of one copy of its values, and may be written to.
    """
    arrays: list[Frames | None] = []
    for chunk in column.chunks:
        width = chunk.type.value_type.list_size
        values = chunk.flatten().flatten().to_numpy(zero_copy_only=True).reshape(-1, width).copy()
        lengths = chunk.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        ends = np.cumsum(lengths)
        present = chunk.is_valid().to_numpy(zero_copy_only=False)
        arrays += [
            values[end - length : end] if there else None
            for end, length, there in zip(ends, lengths, present, strict=True)
        ]
    return arrays


def _fields(record: Any) -> dict[str, Any]:
    """List the fields of a flat record by name; `dataclasses.asdict` would copy deeply and slowly."""
    return {name: getattr(record, name) for name in record.__slots__}


def _encodable(value: Any) -> Any:
    """Make every text inside a value encodable in UTF-8.

    Lone surrogates come from file names that are no UTF-8 and from broken escapes in JSON; they stay readable
    as backslash escapes.
    """
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {name: _encodable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return value
