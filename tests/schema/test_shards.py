"""Rows to Parquet and back, byte for byte; files written whole; damage told by name."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinmo_annotate.schema import arrow, shards
from kinmo_annotate.schema.records import Caption, Failure, Keyframe, Motion, MotionError, Review, Row
from kinmo_annotate.schema.shards import DatasetError, Manifest
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES, PAIR_NAMES


def same(one: Row, other: Row) -> bool:
    """Compare rows; numpy arrays have no == of their own that a dataclass could use."""
    a, b = one.motion, other.motion
    flat = [f.name for f in dataclasses.fields(Motion) if f.name not in ("joints", "features")]
    return (
        np.array_equal(a.joints, b.joints)
        and (a.features is None) == (b.features is None)
        and (a.features is None or np.array_equal(a.features, b.features))
        and all(getattr(a, name) == getattr(b, name) for name in flat)
        and all(
            getattr(one, f.name) == getattr(other, f.name)
            for f in dataclasses.fields(Row)
            if f.name != "motion"
        )
    )


def test_columns_are_those_of_the_contract():
    names = "motion_id source fps num_frames joints features captions groups interactions keyframes checks"
    assert shards.SCHEMA.names == [*names.split(), "provenance", "review"]
    assert shards.SCHEMA.field("joints").type == pa.list_(pa.list_(pa.float32(), 66))
    assert shards.SCHEMA.field("features").type == pa.list_(pa.list_(pa.float32(), 263))
    assert [field.name for field in shards.SCHEMA.field("groups").type] == list(GROUP_NAMES)
    assert [field.name for field in shards.SCHEMA.field("interactions").type] == list(PAIR_NAMES)
    assert shards.SCHEMA.metadata == {b"kinmo.schema_version": b"1"}


def test_rows_come_back_as_they_went(make_dataset, make_rows):
    folder = make_dataset(5)
    wanted = make_rows(10) + make_rows(5, "test", 10)
    found = list(shards.read_rows(folder))
    # the manifest lists shards by name, so test comes before train
    assert [row.motion.split for row in found] == ["test"] * 5 + ["train"] * 10
    found.sort(key=lambda row: row.motion.motion_id)
    assert all(same(a, b) for a, b in zip(wanted, found, strict=True))


def test_equal_rows_make_equal_bytes(make_rows, tmp_path):
    names = [tmp_path / "a" / "train-00000.parquet", tmp_path / "b" / "train-00000.parquet"]
    one, other = (shards.write_shard(shards.rows_to_table(make_rows(20)), path) for path in names)
    assert names[0].read_bytes() == names[1].read_bytes()
    assert one == other
    assert one.sha256 == shards.sha256_of(names[0])


def test_a_table_cut_from_a_larger_one_makes_the_same_bytes(make_rows, tmp_path):
    whole = shards.rows_to_table(make_rows(12))
    pieces = pa.concat_tables(
        [shards.rows_to_table(make_rows(5)), shards.rows_to_table(make_rows(7, first=5))]
    )
    digests = {
        shards.write_shard(table, tmp_path / str(n) / "train-00000.parquet").sha256
        for n, table in enumerate(
            [whole.slice(3, 6), pieces.slice(3, 6), shards.rows_to_table(make_rows(6, first=3))]
        )
    }
    assert len(digests) == 1


def test_row_groups_are_bounded_by_motions_and_by_frames(make_rows, tmp_path):
    path = tmp_path / "train-00000.parquet"
    shards.write_shard(shards.rows_to_table(make_rows(130)), path)
    assert [table.num_rows for table in shards.read_groups(path)] == [64, 64, 2]
    lengths = np.array([9_000, 9_000, 20_000, 100, 100])
    assert shards._group_bounds(lengths) == [(0, 1), (1, 2), (2, 3), (3, 5)]


def test_a_shard_of_no_rows_can_be_read(tmp_path):
    path = tmp_path / "val-00000.parquet"
    assert shards.write_shard(shards.rows_to_table([]), path).rows == 0
    assert sum(table.num_rows for table in shards.read_groups(path)) == 0


def test_arrays_of_any_memory_layout_are_packed_alike(make_rows):
    row = make_rows(1)[0]
    layouts = [np.asfortranarray(row.motion.joints), np.repeat(row.motion.joints, 2, axis=0)[::2]]
    for joints in layouts:
        table = shards.rows_to_table(
            [dataclasses.replace(row, motion=dataclasses.replace(row.motion, joints=joints))]
        )
        assert table.equals(shards.rows_to_table([row]))


def test_sliced_columns_unpack_rightly(make_rows):
    rows = make_rows(9)
    table = shards.rows_to_table(rows).slice(2, 5)
    joints, features = (arrow.arrow_to_frames(table[name]) for name in ("joints", "features"))
    assert [None if f is None else len(f) for f in features] == [
        None if row.motion.features is None else len(row.motion.features) for row in rows[2:7]
    ]
    for row, xyz in zip(rows[2:7], joints, strict=True):
        assert np.array_equal(row.motion.joints.reshape(-1, 66), xyz)
        xyz[0] = 0.0  # may be written to, and the table keeps its values
    assert np.array_equal(arrow.arrow_to_frames(table["joints"])[0], rows[2].motion.joints.reshape(-1, 66))


def test_a_row_without_one_of_the_21_fields_is_refused(make_rows):
    row = make_rows(1)[0]
    with pytest.raises(KeyError, match="neck"):
        shards.rows_to_table([dataclasses.replace(row, descriptions={n: "x" for n in FIELDS if n != "neck"})])


any_text = st.text(st.characters(exclude_categories=()), min_size=1, max_size=30)


@settings(max_examples=40, deadline=None)
@given(any_text, any_text, any_text)
def test_any_text_survives_the_disk(make_rows, sentence, caption, error):
    row = make_rows(1)[0]
    row = dataclasses.replace(
        row,
        motion=dataclasses.replace(row.motion, captions=(Caption(caption, 0.1, 0.30000000000000004),)),
        descriptions=dict.fromkeys(FIELDS, sentence),
        keyframes=(Keyframe(0, 1.0, caption),),
        review=Review("rejected", (error,)),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train-00000.parquet"
        shards.write_shard(shards.rows_to_table([row]), path)
        (back,) = arrow.table_to_rows(pq.read_table(path), "train")
    clean = [text.encode("utf-8", "backslashreplace").decode() for text in (sentence, caption, error)]
    assert back.descriptions == dict.fromkeys(FIELDS, clean[0])
    assert back.motion.captions == (Caption(clean[1], 0.1, 0.30000000000000004),)
    assert back.review.errors == (clean[2],)


def test_file_names_that_are_no_utf8_can_be_written(tmp_path):
    failure = Failure("a", os.fsdecode(b"/motions/\xff.npy"), "read", "damaged", "Leave it out.")
    shards.write_failures([failure], tmp_path / "failures.parquet")
    assert shards.read_failures(tmp_path)[0].path == "/motions/\\udcff.npy"


def test_failures_are_written_also_when_there_is_none(tmp_path):
    shards.write_failures([], tmp_path / "failures.parquet")
    assert shards.read_failures(tmp_path) == []
    assert pq.read_schema(tmp_path / "failures.parquet").names == [
        "motion_id",
        "path",
        "stage",
        "reason",
        "remedy",
    ]


def test_a_full_disk_leaves_no_file_and_names_the_remedy(make_rows, tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "data" / "train-00000.parquet"
    with pytest.raises(DatasetError, match=r"no space left on device.*Free some space") as caught:
        shards.write_shard(shards.rows_to_table(make_rows(1)), path)
    assert caught.value.where == str(path)
    assert list(path.parent.iterdir()) == []


def test_a_failed_write_keeps_what_was_there(make_rows, tmp_path, monkeypatch):
    path = tmp_path / "train-00000.parquet"
    before = shards.write_shard(shards.rows_to_table(make_rows(2)), path)
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error"))
    )
    with pytest.raises(DatasetError):
        shards.write_shard(shards.rows_to_table(make_rows(3)), path)
    assert shards.sha256_of(path) == before.sha256


def test_a_file_in_place_of_the_folder_is_told(make_rows, tmp_path):
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(DatasetError, match=r"cannot be written.*choose another folder"):
        shards.write_shard(shards.rows_to_table(make_rows(1)), tmp_path / "data" / "train-00000.parquet")


def test_other_columns_and_other_names_are_refused(make_rows, tmp_path):
    table = shards.rows_to_table(make_rows(1))
    with pytest.raises(DatasetError, match="other columns"):
        shards.write_shard(table.drop_columns(["review"]), tmp_path / "train-00000.parquet")
    with pytest.raises(DatasetError, match="not named like a shard"):
        shards.write_shard(table, tmp_path / "train.parquet")


def test_the_manifest_comes_back_and_lists_shards_by_name(make_dataset):
    folder = make_dataset(3)
    manifest = Manifest.load(folder)
    assert [shard.name for shard in manifest.shards] == [
        "test-00000.parquet", "train-00000.parquet", "train-00001.parquet",
    ]  # fmt: skip
    assert manifest.splits == {"train": 6, "test": 3}
    assert (manifest.rows, manifest.failures, manifest.settings) == (9, 1, {"seed": 7})
    before = (folder / "kinmo.json").read_bytes()
    manifest.save(folder)
    assert (folder / "kinmo.json").read_bytes() == before


def edit_manifest(folder: Path, **changes: object) -> None:
    content = json.loads((folder / "kinmo.json").read_text()) | changes
    (folder / "kinmo.json").write_text(json.dumps(content))


def test_a_newer_dataset_asks_for_an_upgrade(make_dataset):
    folder = make_dataset(1)
    edit_manifest(folder, schema_version=2)
    with pytest.raises(DatasetError, match=r"schema version 2.*reads up to 1.*pip install --upgrade kinmo"):
        list(shards.read_rows(folder))


def test_a_newer_shard_asks_for_an_upgrade(make_dataset):
    folder = make_dataset(1)
    path = folder / "data" / "test-00000.parquet"
    newer = pq.read_table(path).replace_schema_metadata({arrow.VERSION_KEY: b"3"})
    pq.write_table(newer, path)
    with pytest.raises(DatasetError, match=r"test-00000.parquet has schema version 3|schema version 3"):
        shards.open_shard(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[]", "does not say that its format"),
        (b'{"format": "other"}', "does not say that its format"),
        (b'{"format": "kinmo-dataset"}', "no schema version"),
        (b'{"format": "kinmo-dataset", "schema_version": true}', "no schema version"),
        (b'{"format": "kinmo-dataset", "schema_version": "1"}', "no schema version"),
        (b'{"format": "kinmo-dataset", "schema_version": 1}', "lacks or misstates"),
        (b'{"format": "kinmo-dataset", "schema_version": 1, "shards": [3]}', "lacks or misstates"),
    ],
)
def test_a_damaged_manifest_is_told(tmp_path, content, reason):
    (tmp_path / "kinmo.json").write_bytes(content)
    with pytest.raises(DatasetError, match=reason):
        Manifest.load(tmp_path)


def test_what_is_no_dataset_is_told(tmp_path):
    with pytest.raises(DatasetError, match=r"not a KinMo dataset.*kinmo annotate run"):
        Manifest.load(tmp_path)
    for absent in (tmp_path / "nowhere", tmp_path / "file" / "below"):
        with pytest.raises(DatasetError, match="is not a folder"):
            Manifest.load(absent)


def test_a_shard_name_cannot_lead_out_of_the_dataset(make_dataset):
    folder = make_dataset(1)
    edit_manifest(folder, shards=[{"name": "../../train-00000.parquet", "rows": 1, "sha256": ""}])
    with pytest.raises(DatasetError, match="not named like a shard"):
        list(shards.read_rows(folder))


@pytest.mark.parametrize("keep", [0, 3, 100, -9])
def test_a_truncated_shard_is_told_by_name(make_dataset, keep):
    folder = make_dataset(2)
    path = folder / "data" / "train-00001.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DatasetError, match=r"train-00001\.parquet: is damaged"):
        list(shards.read_rows(folder))


def test_a_texts_only_dataset_gives_no_rows_but_says_how_to_join(make_dataset):
    folder = make_dataset(1)
    edit_manifest(folder, texts_only=True)
    with pytest.raises(DatasetError, match="kinmo dataset join"):
        list(shards.read_rows(folder))


def test_null_joints_fail_with_the_motion_named(make_rows):
    (row,) = make_rows(1)
    record, _, features = next(arrow.table_to_records(shards.rows_to_table([row])))
    with pytest.raises(MotionError, match="000000"):
        list(arrow.table_to_rows(arrow.records_to_table([record], [None], [features]), "train"))


def test_the_card_lists_splits_sources_and_settings(make_dataset):
    text = (make_dataset(2) / "README.md").read_text()
    assert '  - split: train\n    path: "data/train-*.parquet"\n  - split: test\n' in text
    assert "split: val" not in text
    assert "| made up | CC0-1.0 | 6 |" in text
    assert "- seed: `7`" in text
    for name in shards.SCHEMA.names:
        assert f"| {name} |" in text
