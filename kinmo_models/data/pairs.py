"""The pairs of a split that models are measured on, and what the figures are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.records import NOT_DETERMINED
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_models.data.cache import Progress
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.parts import is_whole, keeps_fields, rows_of


@dataclass
class Pairs:
    """The pairs of a split, in the order of the motions' ids: one caption of each motion, the first (TMR).

    It is the first that speaks of the whole motion; where each speaks of a part, the motion is cut to the
    first part, as in TMR, and the sentences, which speak of the whole, are taken for not determined unless
    the part is nearly all of it (`kinmo_models.data.parts`).

    Attributes:
        motion_ids: N ids, rising.
        features: N arrays (T', 263), not normalised.
        captions: N texts.
        fields: N times the sentences of the 21 fields.
        left_out: motions of the split that have no caption, or one of a part that holds no frame.
        reasoned: N times 21 sentences written from the captions alone; empty where nobody wrote any.
    """

    motion_ids: list[str] = field(default_factory=list)
    features: list[NDArray[np.float32]] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    fields: list[dict[str, str]] = field(default_factory=list)
    left_out: int = 0
    reasoned: list[dict[str, str]] = field(default_factory=list)


def read_pairs(store: MotionStore, split: str) -> Pairs:
    """Read the pairs of a split.

    Raises:
        DatasetError: no such split, or none of its motions has a caption.
    """
    pairs = Pairs()
    for index in sorted(store.select(split), key=lambda index: store.motion_ids[index]):
        texts = store.texts[index]
        caption = next(filter(is_whole, texts.captions), next(iter(texts.captions), None))
        rows, sentences = store.features(index), texts.fields
        if caption is not None and not is_whole(caption):
            start, stop = rows_of(caption)
            if not keeps_fields(start, stop, len(rows)):
                sentences = (NOT_DETERMINED,) * len(FIELDS)
            rows = rows[start:stop]
        if caption is None or not len(rows):
            pairs.left_out += 1
            continue
        pairs.motion_ids.append(store.motion_ids[index])
        pairs.features.append(rows)
        pairs.captions.append(caption.text)
        pairs.fields.append(dict(zip(FIELDS, sentences, strict=True)))
    if not pairs.captions:
        remedy = "Choose another --split, or import the motions with their captions."
        raise DatasetError(store.dataset, f"no motion of the split {split} has a caption", remedy)
    return pairs


class Reasons(Protocol):
    """What writes the sentences of a caption: `kinmo_models.reasoner.reasoner.Reasoner`."""

    @property
    def name(self) -> str:
        """How it is called in results."""

    @property
    def meta(self) -> dict[str, Any]:
        """What its meta.json says."""

    def reason(self, captions: Sequence[str], *, progress: Progress | None = None) -> list[dict[str, str]]:
        """Write the 21 sentences of each caption, by field."""


def add_reasoned(pairs: Pairs, reasoner: Reasons, progress: Progress | None = None) -> None:
    """Have the sentences of the pairs written from their captions, of equal ones once.

    Args:
        pairs: take the sentences as `reasoned`.
        reasoner: writes them.
        progress: told of what is done.
    """
    distinct = list(dict.fromkeys(pairs.captions))
    written = dict(zip(distinct, reasoner.reason(distinct, progress=progress), strict=True))
    pairs.reasoned = [written[caption] for caption in pairs.captions]


def doubts(meta: Mapping[str, Any], store: MotionStore, split: str) -> list[str]:
    """Say why a model's figures on a split may mean less than they seem to.

    Args:
        meta: the model's meta.json.
        store: the dataset that is searched.
        split: which of its splits.
    """
    of_splits, mine = meta.get("split_fingerprints", {}), store.split_fingerprint(split)
    if of_splits.get("train") == mine:
        return [f"the model was trained on these very motions ({split}): it has seen the answers"]
    if of_splits.get("val") == mine:
        return [f"the best checkpoint was chosen on these motions ({split}): figures are a little too good"]
    if meta.get("dataset_fingerprint") != store.fingerprint and of_splits.get(split) != mine:
        return ["the model was trained on another dataset; whether it saw some of these motions is not known"]
    return []
