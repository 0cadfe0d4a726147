"""What the fact check says of one claim."""

from __future__ import annotations

from typing import NamedTuple

from kinmo_annotate.schema.records import CONTRADICTED, NOT_CHECKABLE, SUPPORTED, VERDICTS, Check

__all__ = ["CONTRADICTED", "NOT_CHECKABLE", "SUPPORTED", "VERDICTS", "Finding", "Verdict"]


class Finding(NamedTuple):
    """One claim of one sentence held against the motion.

    Attributes:
        field: the group or pair whose sentence makes the claim.
        claim: what it says, in short.
        verdict: one of `VERDICTS`.
        evidence: what the motion does, with numbers.
    """

    field: str
    claim: str
    verdict: str
    evidence: str

    def check(self) -> Check:
        """The finding as a row of the dataset keeps it."""
        return Check(self.field, self.claim, self.verdict)


class Verdict(NamedTuple):
    """A verdict with its reason, before it is put into words for a field."""

    verdict: str
    evidence: str
