"""What the commands that use a reasoner share: opening it, and the sentences that nobody gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ._common import messages
from ._progress import stages

if TYPE_CHECKING:
    from kinmo_models.reasoner.reasoner import Reasoner

    from ._prompts import Prompt


def open_reasoner(model: str, silent: bool = False) -> Reasoner:
    """Load a trained reasoner, saying so at a terminal."""
    from kinmo_models.reasoner.reasoner import Reasoner

    if silent:
        return Reasoner.from_pretrained(model)
    with messages().status("loading the reasoner"):
        return Reasoner.from_pretrained(model)


def complete(prompts: Sequence[Prompt], model: str, seed: int, silent: bool) -> list[Prompt]:
    """Give prompts all 21 sentences: those that are not given are written from the caption.

    Prompts that have finer texts alone, and no caption, stay as they are.
    """
    places = [place for place, one in enumerate(prompts) if one.caption]
    reasoner = open_reasoner(model, silent)
    captions, given = [prompts[n].caption for n in places], [prompts[n].fields for n in places]
    with stages(silent) as told:
        written = reasoner.reason(
            captions, seed, given=given, progress=lambda done, total: told("sentences", done, total)
        )
    found = list(prompts)
    for place, fields in zip(places, written, strict=True):
        found[place] = replace(prompts[place], fields=fields)
    return found
