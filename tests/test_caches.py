"""Caches on disk: bytes alone, kept for good unless a limit is set."""

from __future__ import annotations

import diskcache

from kinmo_annotate.caches import open_cache


def test_a_cache_file_is_never_unpickled(tmp_path):
    with diskcache.Cache(str(tmp_path)) as plain:
        plain.set("key", {"an": "object"})
        plain.set("text", "a string")
    guarded = open_cache(tmp_path, "things")
    assert guarded.get("key") is None
    assert guarded.get("text") is None
    guarded.set("bytes", b"1234")
    assert guarded.get("bytes") == b"1234"


def test_what_was_paid_for_is_never_thrown_out(tmp_path):
    kept = open_cache(tmp_path / "kept", "things")
    bounded = open_cache(tmp_path / "bounded", "things", 1 << 15)
    for number in range(200):
        kept.set(str(number), b"x" * 1000)
        bounded.set(str(number), b"x" * 1000)
    kept.cull()
    bounded.cull()
    assert len(kept) == 200
    assert len(bounded) < 200
