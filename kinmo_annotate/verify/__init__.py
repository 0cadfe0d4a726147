"""The fact check: what sentences claim, held against the motion's geometry."""

from kinmo_annotate.verify.check import check_motion, check_motions, makes_movements
from kinmo_annotate.verify.findings import CONTRADICTED, NOT_CHECKABLE, SUPPORTED, VERDICTS, Finding

__all__ = [
    "CONTRADICTED",
    "NOT_CHECKABLE",
    "SUPPORTED",
    "VERDICTS",
    "Finding",
    "check_motion",
    "check_motions",
    "makes_movements",
]
