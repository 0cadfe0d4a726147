"""A dataset as people use it: read by any tool, checked, counted, exported, joined, mirrored."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kinmo_annotate
from kinmo_annotate import dataset
from kinmo_annotate.dataset.mirrored import mirror_id, mirror_row
from kinmo_annotate.schema import arrow, shards
from kinmo_annotate.schema.features import joints_to_features
from kinmo_annotate.schema.mirror import mirror_text
from kinmo_annotate.schema.records import Failure
from kinmo_annotate.schema.shards import DatasetError, Manifest
from kinmo_annotate.schema.skeleton import FIELDS, JOINT, LATERAL, mirror_field

# ---------------------------------------------------------------- reading


def test_load_dataset_gives_arrays_in_one_call(make_dataset, make_rows):
    frame = kinmo_annotate.load_dataset(make_dataset(4))
    assert list(frame.columns) == ["motion_id", "split", *shards.SCHEMA.names[1:]]
    assert frame["split"].value_counts().to_dict() == {"train": 8, "test": 4}
    frame = frame.set_index("motion_id")
    for row in make_rows(12):
        found = frame.loc[row.motion.motion_id]
        assert found["joints"].dtype == np.float32
        assert np.array_equal(found["joints"], row.motion.joints)
        assert (found["features"] is None) == (row.motion.features is None)
        assert {**found["groups"], **found["interactions"]} == row.descriptions
        assert found["num_frames"] == len(found["joints"])
        assert found["captions"][0]["text"] == row.motion.captions[0].text
    frame["joints"].iloc[0][:] = 0.0  # may be written to


def test_load_dataset_keeps_arrays_of_equal_length_apart(make_dataset):
    folder = make_dataset(8)
    frame = kinmo_annotate.load_dataset(folder, splits=["train"])
    assert len(frame["joints"].iloc[0]) == len(frame["joints"].iloc[7])
    alone = kinmo_annotate.load_dataset(make_dataset(1, "alone"), splits=["test"])
    for joints in [*frame["joints"], *alone["joints"]]:
        assert (joints.ndim, joints.shape[1:], joints.dtype) == (3, (22, 3), np.float32)


def test_load_dataset_reads_one_split(make_dataset):
    folder = make_dataset(2)
    assert set(kinmo_annotate.load_dataset(str(folder), splits=["test"])["split"]) == {"test"}
    with pytest.raises(DatasetError, match=r"no split named val.*train, test"):
        kinmo_annotate.load_dataset(folder, splits=["val"])


def test_importing_the_package_imports_no_pandas():
    code = "import sys, kinmo_annotate; assert not {'pandas', 'pyarrow', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kinmo_annotate.nothing  # noqa: B018


def test_pandas_polars_and_duckdb_read_the_shards(make_dataset):
    import duckdb
    import pandas as pd
    import polars as pl

    folder = make_dataset(3)
    one = str(folder / "data" / "train-00000.parquet")
    every = str(folder / "data" / "*.parquet")
    frame = pd.read_parquet(one)
    assert np.stack(frame["joints"][0]).shape == (30, 66)
    assert frame["interactions"][1]["torso__neck"] == "Both stay upright."
    assert pl.read_parquet(every)["motion_id"].to_list() == [f"{n:06d}" for n in (6, 7, 8, 0, 1, 2, 3, 4, 5)]
    joints = pl.read_parquet(one)["joints"][1].to_numpy()
    assert np.array_equal(joints, np.stack(frame["joints"][1]))
    rows = duckdb.sql(
        f"select motion_id, len(joints), joints[1][2], groups.left_arm from '{every}' order by motion_id"
    ).fetchall()
    assert len(rows) == 9
    assert rows[1] == ("000001", 33, frame["joints"][1][0][1], "The left arm rises and comes down again.")


def load_with_hugging_face(folder: Path, tmp_path: Path) -> dict:
    """Load in a fresh, offline process with a cache of its own, and tell what was found."""
    code = """
import json, sys
import datasets
found = datasets.load_dataset(sys.argv[1])
row = found["train"][1]
print(json.dumps({
    "rows": {name: split.num_rows for name, split in found.items()},
    "columns": found["train"].column_names,
    "id": row["motion_id"], "frames": len(row["joints"]), "width": len(row["joints"][0]),
    "text": row["groups"]["left_arm"],
}))
"""
    environment = os.environ | {
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hf"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, env=environment, check=True
    )
    return json.loads(done.stdout)


def test_hugging_face_datasets_reads_it(make_dataset, tmp_path):
    folder = make_dataset(3)
    shutil.copyfile(folder / "failures.parquet", folder / "reviews.parquet")  # neither may be taken for data
    found = load_with_hugging_face(folder, tmp_path)
    assert found == {
        "rows": {"train": 6, "test": 3},
        "columns": shards.SCHEMA.names,
        "id": "000001",
        "frames": 33,
        "width": 66,
        "text": "The left arm rises and comes down again.",
    }


@pytest.mark.slow
def test_hugging_face_datasets_reads_the_large_splits_of_a_texts_only_copy(make_dataset, tmp_path):
    dataset.export_texts(make_dataset(2), tmp_path / "texts")
    frame = shards.open_shard(tmp_path / "texts" / "data" / "train-00000.parquet").read(["joints"])
    assert frame["joints"].null_count == 2
    code = "import datasets, sys; print(datasets.load_dataset(sys.argv[1])['train'][0]['joints'])"
    environment = os.environ | {"HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "texts")],
        capture_output=True, text=True, env=environment, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "None"


def test_find_gives_one_motion(make_dataset, make_rows):
    folder = make_dataset(70)  # more than one row group
    wanted = make_rows(1, first=68)[0]
    found = dataset.find(folder, "000068")
    assert found.split == "train"
    assert np.array_equal(found.joints, wanted.motion.joints)
    assert found.record["groups"]["right_arm"] == wanted.descriptions["right_arm"]


def test_find_suggests_what_was_meant(make_dataset):
    folder = make_dataset(2)
    with pytest.raises(DatasetError, match=r"no motion with the id 0003.*Did you mean .*000003"):
        dataset.find(folder, "0003")
    with pytest.raises(DatasetError, match=r"no motion.*named like 00000"):
        dataset.find(folder, "walking")
    with pytest.raises(DatasetError, match=r"broken could not be annotated: has 1 frame.*Leave it out"):
        dataset.find(folder, "broken")


# ---------------------------------------------------------------- checking


def reasons(folder: Path) -> str:
    return "\n".join(str(problem) for problem in dataset.validate(folder))


def rewrite(folder: Path, change, shard: str = "train-00000.parquet", keep_digest: bool = False) -> None:
    """Change the records of a shard, and (unless told not to) the digest in the manifest with them."""
    path = folder / "data" / shard
    records, joints, features = map(list, zip(*arrow.table_to_records(pq.read_table(path)), strict=True))
    change(records, joints)
    info = shards.write_shard(arrow.records_to_table(records, joints, features), path)
    if not keep_digest:
        manifest = Manifest.load(folder)
        manifest.shards = [info if one.name == shard else one for one in manifest.shards]
        manifest.save(folder)


def test_a_sound_dataset_has_no_problem(make_dataset):
    assert dataset.validate(make_dataset(3)) == []


def test_any_flipped_byte_is_found(make_dataset):
    folder = make_dataset(2)
    path = folder / "data" / "train-00001.parquet"
    content = path.read_bytes()
    for position in range(5, len(content), len(content) // 12):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x40]) + content[position + 1 :])
        found = dataset.validate(folder)
        assert found
        assert {problem.where for problem in found} == {"data/train-00001.parquet"}
        assert all(problem.remedy for problem in found)


@pytest.mark.parametrize("keep", [0, 4, 500, -1])
def test_a_truncated_shard_is_found(make_dataset, keep):
    folder = make_dataset(2)
    path = folder / "data" / "test-00000.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    text = reasons(folder)
    assert "data/test-00000.parquet: its sha256 is not the one in the manifest" in text
    assert "is damaged or no Parquet file" in text


def test_missing_and_stray_files_are_found(make_dataset):
    folder = make_dataset(2)
    shutil.copyfile(folder / "data" / "test-00000.parquet", folder / "data" / "val-00000.parquet")
    (folder / "data" / ".train-00009.parquet.tmp").touch()
    for name in ("data/train-00001.parquet", "failures.parquet", "README.md"):
        (folder / name).unlink()
    text = reasons(folder)
    assert "data/train-00001.parquet: cannot be read (no such file or directory)" in text
    assert "data/val-00000.parquet: is not listed in the manifest" in text
    assert "data/.train-00009.parquet.tmp: was left unfinished by a run" in text
    assert "failures.parquet: is missing" in text
    assert "README.md: the dataset card is missing" in text


def test_a_run_that_has_not_ended_is_told(make_dataset):
    folder = make_dataset(1)
    manifest = Manifest.load(folder)
    manifest.settings["complete"] = False
    manifest.save(folder)
    assert "the run that writes this dataset is not at its end" in reasons(folder)
    dataset.export_texts(folder, folder.with_name("texts"))
    assert "copied from a dataset whose run was not at its end" in reasons(folder.with_name("texts"))


def test_a_price_that_is_not_known_and_rows_without_checks_are_sound(make_dataset):
    folder = make_dataset(1)

    def change(records, joints):
        records[0]["provenance"]["cost_usd"] = None
        records[0]["checks"] = []

    rewrite(folder, change)
    assert dataset.validate(folder) == []


def test_counts_that_differ_from_the_manifest_are_found(make_dataset):
    folder = make_dataset(3)
    manifest = Manifest.load(folder)
    manifest.shards[0] = dataclasses.replace(manifest.shards[0], rows=4)
    manifest.failures = 0
    manifest.save(folder)
    text = reasons(folder)
    assert "data/test-00000.parquet: has 3 rows, and the manifest says 4" in text
    assert "failures.parquet: has 1 rows, and the manifest says 0" in text


BROKEN = {
    "no text for torso, neck": lambda r, j: r[0]["groups"].update(torso="  ", neck=None),
    "no text for left_leg__right_leg": lambda r, j: r[0]["interactions"].update(left_leg__right_leg=""),
    "its id is also in data/train-00000.parquet": lambda r, j: r[1].update(motion_id="000000"),
    "has no motion_id": lambda r, j: r[0].update(motion_id=None),
    "has 30 frames of joints, and num_frames says 31": lambda r, j: r[0].update(num_frames=31),
    "NaN or infinite joints": lambda r, j: j[0].__setitem__((3, 4, 1), np.nan),
    "has no joints": lambda r, j: j.__setitem__(0, None),
    "its fps is 0.0": lambda r, j: r[0].update(fps=0),
    "has no keyframes": lambda r, j: r[0].update(keyframes=[]),
    "a keyframe without a frame": lambda r, j: r[0]["keyframes"][0].update(frame=None),
    "a keyframe without a caption": lambda r, j: r[0]["keyframes"][1].update(caption=" "),
    "not in order of time": lambda r, j: r[0]["keyframes"][1].update(frame=0),
    "go from 0 to 28": lambda r, j: r[0]["keyframes"][2].update(frame=28),
    "go from 2 to 29": lambda r, j: r[0]["keyframes"][0].update(frame=2),
    "is no cosine": lambda r, j: r[0]["keyframes"][1].update(similarity=float("nan")),
    "provenance lacks describer": lambda r, j: r[0]["provenance"].update(describer=""),
    "provenance lacks describer, captioner": lambda r, j: r[0].update(provenance=None),
    "source is null": lambda r, j: r[0].update(source=None),
    "has checks with the verdict 'true', None": lambda r, j: r[0]["checks"].extend(
        [
            {"field": "torso", "claim": "torso rises", "verdict": word}
            for word in ("true", None, "true", "not checkable")
        ]
    ),
    "has checks with the field 'arm'": lambda r, j: r[0]["checks"][0].update(field="arm"),
    "has a check without a claim": lambda r, j: r[0]["checks"][0].update(claim=" "),
    "its provenance says cached_tokens -1": lambda r, j: r[0]["provenance"].update(cached_tokens=-1),
    "its provenance says cost_usd nan": lambda r, j: r[0]["provenance"].update(cost_usd=float("nan")),
    "its review is null": lambda r, j: r[0].update(review=None),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_every_wrong_row_is_found(make_dataset, reason):
    folder = make_dataset(2)
    rewrite(folder, BROKEN[reason])
    text = reasons(folder)
    assert reason in text
    assert "sha256" not in text


def test_other_columns_are_found(make_dataset):
    folder = make_dataset(2)
    path = folder / "data" / "train-00000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["checks"]), path)
    assert "columns (checks)" in reasons(folder)


def test_a_motion_that_failed_and_is_annotated_is_found(make_dataset):
    folder = make_dataset(1)
    same_id = Failure("000000", "elsewhere/000000.npy", "read", "duplicate id", "Rename it.")
    both = Failure("000000", "new_joints/000000.npy", "read", "x", "y")
    manifest = Manifest.load(folder)
    manifest.failures = 1
    manifest.save(folder)
    # a second file of the same id is a failure of its own
    shards.write_failures([same_id], folder / "failures.parquet")
    assert dataset.validate(folder) == []
    shards.write_failures([both], folder / "failures.parquet")
    assert "failed, and is also annotated in data/train-00000.parquet" in reasons(folder)


# ---------------------------------------------------------------- texts only, and back


def test_export_carries_no_motion_and_join_brings_back_the_same_bytes(make_dataset, make_folder, tmp_path):
    original = make_dataset(4)
    source = make_folder(12)
    rewrite_without_features(original)
    texts, joined = tmp_path / "texts", tmp_path / "joined"
    ticks: list[int] = []
    manifest = dataset.export_texts(original, texts, progress=ticks.append)
    assert (manifest.texts_only, manifest.rows, sum(ticks)) == (True, 12, 12)
    assert dataset.validate(texts) == []
    assert kinmo_annotate.load_dataset(texts)["joints"].isna().all()
    assert "Texts only" in (texts / "README.md").read_text()

    manifest, missing = dataset.join(texts, source, joined)
    assert (missing, manifest.texts_only) == ([], False)
    assert dataset.validate(joined) == []
    for file in sorted(original.rglob("*")):
        if file.is_file():
            assert file.read_bytes() == (joined / file.relative_to(original)).read_bytes(), file.name


def rewrite_without_features(folder: Path) -> None:
    """Take the made-up features away, which the made-up HumanML3D folder does not have."""
    manifest = Manifest.load(folder)
    infos = []
    for shard in manifest.shards:
        path = folder / "data" / shard.name
        rows = [
            dataclasses.replace(row, motion=dataclasses.replace(row.motion, features=None))
            for row in arrow.table_to_rows(pq.read_table(path), shards.split_of(shard.name))
        ]
        infos.append(shards.write_shard(shards.rows_to_table(rows), path))
    manifest.shards = infos
    manifest.save(folder)


def test_join_tells_what_is_missing_or_another_motion(make_dataset, make_folder, tmp_path):
    texts = tmp_path / "texts"
    dataset.export_texts(make_dataset(4), texts)
    source = make_folder(10)  # 000010 and 000011 are not in it
    short = np.load(source / "new_joints" / "000003.npy")[:-4]
    np.save(source / "new_joints" / "000003.npy", short)
    manifest, missing = dataset.join(texts, source, tmp_path / "joined")
    assert [failure.motion_id for failure in missing] == ["000010", "000011", "000003"]
    assert "is not in" in missing[0].reason
    assert "has 35 frames at 20 fps, and the texts describe 39 frames at 20 fps" in missing[2].reason
    assert (manifest.rows, manifest.failures) == (9, 4)
    assert dataset.validate(tmp_path / "joined") == []
    assert shards.read_failures(tmp_path / "joined")[1:] == missing


def test_join_of_another_collection_writes_nothing(make_dataset, make_folder, tmp_path):
    texts = tmp_path / "texts"
    dataset.export_texts(make_dataset(1), texts)
    source = make_folder(3)
    for file in (source / "new_joints").iterdir():
        file.rename(file.with_name(f"X{file.name}"))
    (source / "train.txt").write_text("X000000\nX000001\nX000002\n")
    (source / "test.txt").unlink()
    with pytest.raises(DatasetError, match="has none of the 3 motions"):
        dataset.join(texts, source, tmp_path / "joined")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "source", "texts"]
    with pytest.raises(DatasetError, match="already carries its motions"):
        dataset.join(tmp_path / "dataset", source, tmp_path / "joined")


def test_a_dataset_is_not_overwritten_unasked(make_dataset, tmp_path):
    folder, out = make_dataset(1), tmp_path / "out"
    dataset.export_texts(folder, out)
    with pytest.raises(DatasetError, match="--force"):
        dataset.mirror(folder, out)
    assert Manifest.load(out).texts_only
    dataset.mirror(folder, out, force=True)
    assert not Manifest.load(out).texts_only
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").touch()
    with pytest.raises(DatasetError, match="exists and is not a dataset"):
        dataset.mirror(folder, tmp_path / "photos", force=True)
    for inside in (folder, folder / "below", tmp_path):
        with pytest.raises(DatasetError, match="in the dataset that is read"):
            dataset.mirror(folder, inside, force=True)
    assert (tmp_path / "photos" / "me.jpg").exists()


@pytest.mark.parametrize("name", ["answers", "batches", "reviews.sqlite", "prompts", "rounds"])
def test_what_cannot_be_made_again_is_not_replaced(make_dataset, tmp_path, name):
    out = tmp_path / "mirrored"
    dataset.mirror(make_dataset(), out)
    (out / name).mkdir()
    with pytest.raises(DatasetError, match=f"cannot be made again \\({name}"):
        dataset.mirror(tmp_path / "dataset", out, force=True)
    assert (out / name).exists()


def test_a_failed_copy_leaves_the_old_one(make_dataset, tmp_path):
    folder, out = make_dataset(1), tmp_path / "out"
    dataset.mirror(folder, out)
    before = (out / "kinmo.json").read_bytes()
    (folder / "data" / "train-00001.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DatasetError, match="train-00001"):
        dataset.mirror(folder, out, force=True)
    assert (out / "kinmo.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "out"]


def test_a_kill_between_the_two_renames_loses_nothing(make_dataset, tmp_path):
    folder = make_dataset(1)
    dataset.mirror(folder, tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.old")
    with pytest.raises(DatasetError, match="already holds a dataset"):
        dataset.mirror(folder, tmp_path / "out")
    assert dataset.validate(tmp_path / "out") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "out"]


def test_reviews_go_with_the_same_motions_only(make_dataset, tmp_path):
    folder = make_dataset(1)
    shutil.copyfile(folder / "failures.parquet", folder / "reviews.parquet")
    dataset.export_texts(folder, tmp_path / "texts")
    dataset.mirror(folder, tmp_path / "mirrored")
    assert (tmp_path / "texts" / "reviews.parquet").is_file()
    assert not (tmp_path / "mirrored" / "reviews.parquet").exists()


# ---------------------------------------------------------------- mirroring


@given(st.lists(st.sampled_from(["12", "M12", "MM12", "walk", "Mwalk", "M", "", "M1a"]), unique=True))
def test_mirrored_ids_stay_unique_and_come_back(ids):
    turned = [mirror_id(one) for one in ids]
    assert len(set(turned)) == len(ids)
    assert [mirror_id(mirror_id(one)) for one in ids if one.isdecimal()] == [o for o in ids if o.isdecimal()]


def test_a_mirrored_dataset_says_the_same_of_the_other_side(make_dataset, tmp_path):
    folder, out = make_dataset(4), tmp_path / "mirrored"
    dataset.mirror(folder, out)
    assert dataset.validate(out) == []
    before = kinmo_annotate.load_dataset(folder).set_index("motion_id")
    after = kinmo_annotate.load_dataset(out).set_index("motion_id")
    assert list(after.index) == [f"M{name}" for name in before.index]
    one, other = before.loc["000001"], after.loc["M000001"]
    assert other["groups"]["right_arm"] == "The right arm rises and comes down again."
    assert other["groups"]["left_arm"] == "No notable movement."
    assert other["captions"][0]["text"] == "a person lifts the right arm [slowly]"
    assert other["keyframes"][1]["caption"] == "The right arm is raised to the side."
    assert other["checks"] == [{"field": "right_arm", "claim": "right arm rises", "verdict": "supported"}]
    left, right = JOINT["left_wrist"], JOINT["right_wrist"]
    assert np.array_equal(other["joints"][:, right, LATERAL], -one["joints"][:, left, LATERAL])
    assert [frame["frame"] for frame in other["keyframes"]] == [frame["frame"] for frame in one["keyframes"]]
    assert [failure.motion_id for failure in shards.read_failures(out)] == ["Mbroken"]


def test_features_are_those_of_the_mirrored_motion(make_rows):
    (row,) = make_rows(1)
    record, joints, features = next(arrow.table_to_records(shards.rows_to_table([row])))
    _, turned, vectors = mirror_row(record, joints, features)
    assert np.array_equal(vectors, joints_to_features(turned))


def test_mirroring_twice_brings_everything_back(make_dataset, tmp_path):
    folder = make_dataset(3)
    dataset.mirror(folder, tmp_path / "once")
    dataset.mirror(tmp_path / "once", tmp_path / "twice")
    before, after = (kinmo_annotate.load_dataset(path) for path in (folder, tmp_path / "twice"))
    for name in before.columns.drop(["joints", "features"]):
        assert before[name].to_list() == after[name].to_list(), name
    for one, other in zip(before["joints"], after["joints"], strict=True):
        assert np.array_equal(one, other)


def test_each_field_gets_the_words_of_its_mirror_image(make_rows):
    (row,) = make_rows(1)
    texts = {name: f"said of {name}" for name in FIELDS}
    table = shards.rows_to_table([dataclasses.replace(row, descriptions=texts)])
    record, joints, features = next(arrow.table_to_records(table))
    new, _, _ = mirror_row(record, joints, features)
    turned = {**new["groups"], **new["interactions"]}
    assert list(turned) == list(FIELDS)
    for name in FIELDS:
        assert turned[mirror_field(name)] == mirror_text(texts[name])


def test_a_texts_only_dataset_can_be_mirrored_too(make_dataset, tmp_path):
    dataset.export_texts(make_dataset(2), tmp_path / "texts")
    dataset.mirror(tmp_path / "texts", tmp_path / "mirrored")
    assert dataset.validate(tmp_path / "mirrored") == []
