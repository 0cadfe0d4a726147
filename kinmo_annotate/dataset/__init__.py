"""A finished dataset: load it, look into it, check it, and make others from it.

`load_dataset` is for notebooks; `info`, `find`, `list_checks`, `validate`, `export_texts`, `join` and
`mirror` are what `kinmo dataset` does.
"""

from kinmo_annotate.dataset.check import Problem, validate
from kinmo_annotate.dataset.checks import CheckedClaim, Seen, Wanted, list_checks, worst_first
from kinmo_annotate.dataset.checks_out import ENDINGS, write_checks
from kinmo_annotate.dataset.derive import export_texts, join, mirror
from kinmo_annotate.dataset.info import Info, info
from kinmo_annotate.dataset.read import Found, find, load_dataset

__all__ = [
    "ENDINGS",
    "CheckedClaim",
    "Found",
    "Info",
    "Problem",
    "Seen",
    "Wanted",
    "export_texts",
    "find",
    "info",
    "join",
    "list_checks",
    "load_dataset",
    "mirror",
    "validate",
    "worst_first",
    "write_checks",
]
