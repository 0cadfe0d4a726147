"""What a sentence says, as claims that can be held against a motion."""

from kinmo_annotate.claims.phrase import Time
from kinmo_annotate.claims.read import (
    STILL,
    STILL_OF,
    UNKNOWN,
    WRONG_PART,
    Claim,
    forget_sentences,
    read_claims,
    read_sentence,
)

__all__ = [
    "STILL",
    "STILL_OF",
    "UNKNOWN",
    "WRONG_PART",
    "Claim",
    "Time",
    "forget_sentences",
    "read_claims",
    "read_sentence",
]
