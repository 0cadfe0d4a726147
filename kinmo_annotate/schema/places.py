"""Where caches lie, and how folders are told apart by what is in them."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path


def cache_folder(root: Path | None, name: str) -> Path:
    """Name the folder of one cache: below `root`, else below the user's (`XDG_CACHE_HOME` or `~/.cache`)."""
    if root is None:
        user = os.environ.get("XDG_CACHE_HOME")
        root = (Path(user) if user else Path.home() / ".cache") / "kinmo"
    return root / name


def folder_fingerprint(folder: Path) -> str:
    """Tell apart models that share a name: sizes of a folder's files and the content of its small ones."""
    if not folder.is_dir():
        return ""
    digest = blake2b(digest_size=8)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()} {size}\n".encode())
        if size < 1 << 16:
            digest.update(path.read_bytes())
        else:
            with path.open("rb") as file:  # weights: the end differs as soon as any training was done
                file.seek(-(1 << 16), os.SEEK_END)
                digest.update(file.read())
    return digest.hexdigest()
