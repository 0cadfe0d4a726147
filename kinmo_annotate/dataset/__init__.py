"""A finished dataset: load it, look into it, check it, and make others from it.

`load_dataset` is for notebooks; `info`, `find`, `validate`, `export_texts`, `join` and `mirror` are what
`kinmo dataset` does.
"""

from kinmo_annotate.dataset.check import Problem, validate
from kinmo_annotate.dataset.derive import export_texts, join, mirror
from kinmo_annotate.dataset.info import Info, info
from kinmo_annotate.dataset.read import Found, find, load_dataset

__all__ = [
    "Found",
    "Info",
    "Problem",
    "export_texts",
    "find",
    "info",
    "join",
    "load_dataset",
    "mirror",
    "validate",
]
