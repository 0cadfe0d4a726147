"""Random choices that depend on what is said and on nothing else.

Every skip, merge and choice of words asks here with the run's seed and the names of the posecodes
concerned, so the same question has the same answer in every frame, motion, process, machine and version of
Python. (`hash()` and `random` promise none of that.)
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


@lru_cache(maxsize=1 << 16)
def stable_unit(seed: int, *key: str) -> float:
    """Draw a number in [0, 1) that is a fixed function of the seed and the key."""
    text = "\x1f".join((str(seed), *key)).encode()
    return int.from_bytes(blake2b(text, digest_size=7).digest(), "big") / (1 << 56)


def choose(options: tuple[T, ...], seed: int, *key: str) -> T:
    """Choose one option uniformly by the key."""
    return options[int(stable_unit(seed, *key) * len(options))]


def happens(probability: float, seed: int, *key: str) -> bool:
    """Say yes with the given probability over keys; always the same for one key."""
    return stable_unit(seed, *key) < probability


def shuffled(items: tuple[str, ...], seed: int, *key: str) -> list[str]:
    """Order names in a way fixed by the seed and the key; the order given does not matter."""
    return sorted(items, key=lambda item: (stable_unit(seed, *key, item), item))
