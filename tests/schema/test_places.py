"""Where caches lie, and folders told apart by their content."""

from __future__ import annotations

from kinmo_annotate.schema.places import cache_folder, folder_fingerprint


def test_every_cache_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder(None, "answers") == tmp_path / "kinmo" / "answers"
    assert cache_folder(tmp_path / "mine", "answers") == tmp_path / "mine" / "answers"


def test_a_folder_is_told_apart_by_what_is_in_it(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "weights").write_bytes(bytes(1 << 17))
    first = folder_fingerprint(tmp_path)
    assert first == folder_fingerprint(tmp_path)
    (tmp_path / "weights").write_bytes(bytes((1 << 17) - 1) + b"1")
    trained = folder_fingerprint(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    assert len({first, trained, folder_fingerprint(tmp_path)}) == 3
    assert folder_fingerprint(tmp_path / "absent") == ""
