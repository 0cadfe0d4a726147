"""Folders of a cache: whole or not at all."""

from __future__ import annotations

import pytest

from kinmo_annotate.schema.shards import DatasetError
from kinmo_models.data.cache import locked, new_folder


def test_a_new_folder_takes_the_place_of_the_old_one(tmp_path):
    target = tmp_path / "cache"
    for content in ("old", "new"):
        with new_folder(target) as folder:
            (folder / content).write_text(content)
    assert [path.name for path in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_what_killed_processes_left_is_removed(tmp_path):
    for name in (".cache.tmp", ".other.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("half")
    with new_folder(tmp_path / "cache") as folder:
        (folder / "whole").write_text("whole")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["whole"]
    assert list(tmp_path.iterdir()) == [tmp_path / "cache"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_nothing_is_left_of_what_went_wrong(tmp_path, error):
    with new_folder(tmp_path / "cache") as folder:
        (folder / "first").write_text("first")

    def go_wrong():
        with new_folder(tmp_path / "cache") as folder:
            (folder / "second").write_text("half")
            raise error

    with pytest.raises(error):
        go_wrong()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["first"]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_told_with_what_to_do(tmp_path):
    with pytest.raises(DatasetError, match=r"no space.*--cache-dir"), new_folder(tmp_path / "cache"):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatasetError, match="--cache-dir"), locked(tmp_path / "file" / "cache"):
        pass
