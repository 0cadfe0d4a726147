"""Texts to learn from, as batches of tokens: captions with their 21 fields, and edits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from kinmo_annotate.schema.records import Caption
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES, PAIR_NAMES
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.parts import is_whole
from kinmo_models.reasoner.config import DataSettings
from kinmo_models.reasoner.edits import Edit, Edits, Said
from kinmo_models.reasoner.form import (
    ALL,
    Piece,
    caption_answer,
    caption_question,
    clean_caption,
    edit_answer,
    edit_question,
)
from kinmo_models.reasoner.sides import right_first
from kinmo_models.reasoner.tokens import IGNORED, TextTokens

_ORDER, _DRAWN = 0, 1  # streams of chance
_TOGETHER: Final = 8  # batches whose texts are sorted by length, so that little is filled up


@dataclass
class TextBatch:
    """B texts.

    Attributes:
        tokens: (B, L) int64, filled up on the right.
        labels: (B, L) int64: the token where it is learned, else `IGNORED`.
        there: (B, L) int64, 0 where it was filled up.
    """

    tokens: Tensor
    labels: Tensor
    there: Tensor

    def to(self, device: torch.device | str) -> TextBatch:
        """Copy to a device."""
        moved = (one.to(device, non_blocking=True) for one in (self.tokens, self.labels, self.there))
        return TextBatch(*moved)

    def __len__(self) -> int:
        """How many texts."""
        return len(self.tokens)


def batch_of(texts: Sequence[tuple[list[int], list[int]]], pad: int) -> TextBatch:
    """Put texts of several lengths together: tokens and labels of each."""
    longest = max(len(tokens) for tokens, _ in texts)
    tokens = torch.full((len(texts), longest), pad)
    labels = torch.full((len(texts), longest), IGNORED)
    there = torch.zeros((len(texts), longest), dtype=torch.int64)
    for row, (said, learned) in enumerate(texts):
        tokens[row, : len(said)] = torch.tensor(said)
        labels[row, : len(said)] = torch.tensor(learned)
        there[row, : len(said)] = 1
    return TextBatch(tokens, labels, there)


class Texts:
    """What is said of the motions of a split that have a caption of the whole motion.

    Attributes:
        motion_ids: of the motions.
        motions: of each motion, and of its mirror image, what is said, once for each of its captions.
        edits: draws edits of these motions.
    """

    def __init__(self, store: MotionStore, split: str, caption_words: int) -> None:
        """Read them.

        Raises:
            DatasetError: no such split, or no motion in it has a caption of the whole.
        """
        places = [one for one in store.select(split) if any(map(is_whole, store.texts[one].captions))]
        if not places:
            reason = f"no motion of the split {split} has a caption of the whole motion"
            raise DatasetError(store.dataset, reason, "Import the motions with their captions.")
        self.motion_ids = [store.motion_ids[one] for one in places]
        chosen = [store.texts[one] for one in places]
        plain = [_said(one.captions, one.fields, caption_words) for one in chosen]
        mirrored = [_said(one.mirrored_captions, one.mirrored_fields, caption_words) for one in chosen]
        self.motions = list(zip(plain, mirrored, strict=True))
        self.edits = Edits(plain, mirrored)

    def __len__(self) -> int:
        """How many motions."""
        return len(self.motions)

    def all_texts(self) -> list[str]:
        """List every caption and sentence, as often as it is said."""
        found: list[str] = []
        for motion in self.motions:
            for said in motion:
                found += [*(one.caption for one in said), *said[0].fields]
        return found


def _said(captions: Sequence[Caption], fields: tuple[str, ...], words: int) -> list[Said]:
    return [Said(clean_caption(one.text, words), fields) for one in captions if is_whole(one)]


class TextBatches:
    """Batches of a split's texts: of each motion, in an epoch, one question with its answer.

    Everything drawn is a function of seed, epoch and motion alone, so that any number of processes sees the
    same batches.
    """

    def __init__(
        self,
        texts: Texts,
        tokens: TextTokens,
        data: DataSettings,
        seed: int,
        worded: Mapping[int, Sequence[Edit]] | None = None,
    ) -> None:
        """Set them up.

        Args:
            texts: of the split.
            tokens: tokenizer of the model.
            data: settings.
            seed: of everything that is drawn.
            worded: edits of motions, by their places, that were worded by others than the templates.
        """
        self._texts, self._tokens, self._data, self._seed = texts, tokens, data, seed
        self._worded = worded or {}

    def steps(self, world: int = 1) -> int:
        """Batches of an epoch, the same on every process.

        Raises:
            ValueError: the batch size is no multiple of `world`.
        """
        size = self._data.batch_size
        if size % world:
            raise ValueError(f"batches of {size} cannot be shared by {world} processes equally")
        return len(self._texts) // size

    def epoch(self, number: int, rank: int = 0, world: int = 1) -> Iterator[TextBatch]:
        """Give this process's share of each batch of an epoch; texts of like length come together."""
        random = np.random.default_rng([self._seed, _ORDER, number])
        order = random.permutation(len(self._texts))
        size = self._data.batch_size
        steps = self.steps(world)
        for first in range(0, steps, _TOGETHER):
            count = min(_TOGETHER, steps - first)
            places = order[first * size : (first + count) * size]
            drawn = sorted((self._drawn(number, int(place)) for place in places), key=lambda one: len(one[0]))
            for step in random.permutation(count):
                share = drawn[step * size + rank : (step + 1) * size : world]
                yield batch_of(share, self._tokens.pad)

    def all_of(self, task: str) -> Iterator[TextBatch]:
        """Give motions once, in order, outside of training: all, or as many as `validation_texts` says.

        Args:
            task: "caption", its first caption with its fields; or "edit", an edit, the same one each time.
        """
        size, count = self._data.batch_size, min(len(self._texts), self._data.validation_texts)
        chosen = [number * len(self._texts) // count for number in range(count)]
        for start in range(0, count, size):
            places = chosen[start : start + size]
            found = [self._plain(place) if task == "caption" else self._edit_of(place) for place in places]
            told = [one for one in found if one is not None]
            if told:
                yield batch_of(told, self._tokens.pad)

    def _drawn(self, epoch: int, place: int) -> tuple[list[int], list[int]]:
        random = self._random(epoch, place)
        turned = bool(random.random() < 0.5) and self._data.mirror
        pairs = random.choice(len(PAIR_NAMES), self._data.pairs, replace=False)
        shown = (*ALL[: len(GROUP_NAMES)], *(len(GROUP_NAMES) + np.sort(pairs)).tolist())
        if random.random() < self._data.edits:
            edit = self._edit(place, turned, random, shown)
            if edit is not None:
                return edit
        captions = len(self._texts.motions[place][0])
        return self._answered(place, turned, int(random.integers(captions)), shown)

    def _random(self, epoch: int, place: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, _DRAWN, epoch, place])

    def _plain(self, place: int) -> tuple[list[int], list[int]]:
        return self._answered(place, False, 0)

    def _answered(
        self, place: int, turned: bool, number: int, shown: Sequence[int] = ALL
    ) -> tuple[list[int], list[int]]:
        """Ask by a caption of a motion or of its mirror image, and answer; left comes first."""
        motion = self._texts.motions[place]
        said = motion[turned != right_first(motion[turned][number].caption)][number]
        answer = caption_answer(said.fields, shown)
        return self._tokens.encode([*caption_question(said.caption), *answer])

    def _edit_of(self, place: int) -> tuple[list[int], list[int]] | None:
        return self._edit(place, False, self._random(0, place))

    def _edit(
        self, place: int, turned: bool, random: np.random.Generator, shown: Sequence[int] = ALL
    ) -> tuple[list[int], list[int]] | None:
        """Draw an edit; None where nothing fits."""
        edit = self._worded_edit(place, turned, random) or self._texts.edits.draw(place, turned, random)
        if edit is not None and right_first(f"{edit.instruction} {edit.before.caption}"):
            edit = edit.in_mirror()
        return None if edit is None else self._tokens.encode(edit_pieces(edit, self._data.source, shown))

    def _worded_edit(self, place: int, turned: bool, random: np.random.Generator) -> Edit | None:
        """Draw one of the motion's worded edits, as often as the settings say."""
        worded = self._worded.get(place)
        if not worded or random.random() >= self._data.worded:
            return None
        edit = worded[int(random.integers(len(worded)))]
        return edit.in_mirror() if turned else edit


def edit_pieces(edit: Edit, source: str, shown: Sequence[int] = ALL) -> list[Piece]:
    """Give question and answer of an edit.

    Args:
        edit: what is asked, and what then stands there.
        source: which of the fields before it are told, "all" or "groups".
        shown: places of the fields that the answer tells.
    """
    before = dict(zip(FIELDS, edit.before.fields, strict=True))
    question = edit_question(edit.before.caption, before, edit.instruction, source)
    return [*question, *edit_answer(edit.caption, edit.fields, shown)]
