"""Left comes first: texts that name the right side first are read, and answered, in the mirror.

What a person does with the right hand is, in the mirror, what another does with the left. So the model never
meets "the right hand waves" alone, and cannot mix up what it was not shown: which side is meant is settled
by the mirror, and what is left to learn is whether a text means the same side or the other one. Of an edit it
is the instruction that settles it: what "the left arm" means there must not hang on a caption that kicks with
the right leg.
"""

from __future__ import annotations

from collections.abc import Mapping

from kinmo_annotate.schema.mirror import mirror_text
from kinmo_annotate.schema.skeleton import FIELDS, mirror_field

_RIGHT = ("right", "clockwise")


def right_first(text: str) -> bool:
    """Tell whether the first side that a text names is the right one; clockwise is to the right."""
    words = zip(text.split(), in_mirror(text).split(), strict=False)
    first = next((word for word, other in words if word != other), "")
    return first.lower().lstrip("(\"'").startswith(_RIGHT)


def in_mirror(text: str) -> str:
    """Give what a person wrote as it is in the mirror."""
    return mirror_text(text, free=True)


def fields_in_mirror(fields: Mapping[str, str]) -> dict[str, str]:
    """Give sentences by field as they are in the mirror, in the order of `FIELDS`."""
    turned = {mirror_field(name): mirror_text(text) for name, text in fields.items()}
    return {name: turned[name] for name in FIELDS if name in turned}
