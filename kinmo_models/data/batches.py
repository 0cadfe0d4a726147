"""Batches of motions with their texts, packed without padding and the same on any number of processes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from kinmo_annotate.schema.records import NOT_DETERMINED, Caption
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.neighbours import nearest_items, with_neighbours
from kinmo_models.data.parts import is_whole, keeps_fields, rows_of
from kinmo_models.data.statistics import Statistics
from kinmo_models.data.tokens import TextStore

Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]

_GROUPS: Final = len(GROUP_NAMES)
_UNIT: Final = 4  # frames of a motion token
# What is drawn for every item of an epoch, by column; the rest of the columns are the single fields.
_CAPTION, _MIRROR, _WINDOW, _LENGTH, _START, _ALL_FIELDS, _SINGLE_FIELDS = range(7)
_ITEMS, _ORDER, _BATCHES = range(3)  # streams of random numbers of an epoch


@dataclass(frozen=True)
class DataSettings:
    """How motions become batches.

    Attributes:
        batch_size: motions of a batch, over all processes together.
        min_frames: in training, shorter motions and parts are left out (feature rows, at 20 a second).
        max_frames: of longer ones, training sees a random window each time, evaluation the first rows.
        mirror: in training, show a motion and its texts in the mirror half of the time.
        crop: "units" makes lengths multiples of 4 as HumanML3D does: in training a random place, and every
            third time 4 rows less; "none" leaves them.
        field_drop: in training, probability that all 21 fields of an item say that they are not determined.
        single_field_drop: the same for each field by itself.
        stride: only every n-th frame is shown, from the first on; 1 shows all.
        neighbours: in training, so many motions whose captions are alike stand in a batch together, so that
            there is something to tell apart that their captions do not tell; 0 and 1 leave it to chance.
        bucket: so many batches are sorted by length together before they are cut; 0 and 1 sort nothing.
        prefetch: batches made ahead in a thread; 0 makes each when it is asked for.
    """

    batch_size: int = 32
    min_frames: int = 20
    max_frames: int = 200
    mirror: bool = True
    crop: Literal["none", "units"] = "none"
    field_drop: float = 0.0
    single_field_drop: float = 0.0
    stride: int = 1
    neighbours: int = 0
    bucket: int = 8
    prefetch: int = 0

    def __post_init__(self) -> None:
        least = {
            "batch_size": 1,
            "min_frames": _UNIT,
            "max_frames": self.min_frames,
            "stride": 1,
            "neighbours": 0,
            "bucket": 0,
            "prefetch": 0,
        }
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name} is {getattr(self, name)}, and must be {bound} or more")
        for name in ("field_drop", "single_field_drop"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, and must lie between 0 and 1")
        if self.crop not in ("none", "units"):
            raise ValueError(f'crop is {self.crop!r}, and must be "none" or "units"')


@dataclass
class Texts:
    """Texts of a batch, each distinct one once.

    Attributes:
        tokens: (M, width) float32, token features of U distinct texts one after the other.
        lengths: (U,) tokens of each; they sum to M.
        which: places among the U texts, in the shape in which the batch asks for them.
    """

    tokens: torch.Tensor
    lengths: torch.Tensor
    which: torch.Tensor

    def to(self, device: torch.device | str) -> Texts:
        """Copy to a device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Texts:
        """Move to memory from which a GPU copies fast."""
        return self._with(torch.Tensor.pin_memory)

    def _with(self, move: Callable[[torch.Tensor], torch.Tensor]) -> Texts:
        return Texts(move(self.tokens), move(self.lengths), move(self.which))


@dataclass
class Batch:
    """B motions with their texts.

    Attributes:
        indices: (B,) places in the store.
        features: (N, 263) float32, normalised, the motions one after the other.
        lengths: (B,) rows of each; they sum to N.
        caption: one global text a motion; `which` is (B,).
        groups: texts of the six groups; `which` is (B, 6).
        interactions: texts of the 15 pairs; `which` is (B, 15).
        caption_sentence: (B, D) float32, unit sentence embeddings of the captions.
        field_ids: (B, 21) ids of the texts of the fields: equal texts have equal ids in all batches.
        motion_ids: B ids. Those of mirrored motions are the ids of the motions that they mirror.
    """

    indices: torch.Tensor
    features: torch.Tensor
    lengths: torch.Tensor
    caption: Texts
    groups: Texts
    interactions: Texts
    caption_sentence: torch.Tensor
    field_ids: torch.Tensor
    motion_ids: list[str]

    def __len__(self) -> int:
        """How many motions there are."""
        return len(self.motion_ids)

    def to(self, device: torch.device | str) -> Batch:
        """Copy to a device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Move to memory from which a GPU copies fast."""
        return self._with(torch.Tensor.pin_memory)

    def _with(self, move: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        return replace(
            self,
            indices=move(self.indices),
            features=move(self.features),
            lengths=move(self.lengths),
            caption=self.caption._with(move),
            groups=self.groups._with(move),
            interactions=self.interactions._with(move),
            caption_sentence=move(self.caption_sentence),
        )


class _Items(NamedTuple):
    """What batches are made of: a motion with the captions of all of it, or a part with its own caption."""

    motion: Ints  # (n,) places in the store
    start: Ints  # (n,) first row
    stop: Ints  # (n,) row after the last; rows that a motion does not have are left out
    has_fields: Bools  # (n,) its fields are said of these rows
    first: Ints  # (n,) place of its first caption in the flat arrays of caption ids
    captions: Ints  # (n,) how many captions


class _Plan(NamedTuple):
    """What an epoch shows, an entry an item."""

    caption: Ints  # ids of the captions
    sentence: Ints  # ids of the captions where their sentence embeddings are
    mirrored: Bools
    start: Ints
    length: Ints
    dropped: Bools  # (n, 21) fields that are not determined


class MotionBatches:
    """Motions of a store as batches.

    In training an item is a motion with one of its captions, drawn anew in each epoch (TMR); a caption that
    is said of a part of the motion (start and end in seconds) is an item of its own, cut to rows
    int(start * 20):int(end * 20). Otherwise an item is a motion with its first caption, so that there is one
    item a motion: the first caption of the whole motion where there is one, the first of a part elsewhere.

    The fields are said of the whole motion. With a part shorter than 80 % of it, they are not determined.
    Motions without a caption are left out; in training those with too few rows are, too.

    Everything drawn is a function of seed, epoch and item alone.

    Attributes:
        settings: as given.
        left_out: how many motions or parts are left out, by reason.
    """

    def __init__(
        self,
        store: MotionStore,
        tokens: TextStore,
        statistics: Statistics,
        indices: Sequence[int],
        settings: DataSettings,
        seed: int,
        train: bool,
        sentences: TextStore | None = None,
    ) -> None:
        """Prepare batches.

        Args:
            store: the motions.
            tokens: token features of at least `store.distinct_texts(indices)`.
            statistics: how the features are normalised.
            indices: the motions to show; their order is that of the batches unless `train`.
            settings: see `DataSettings`.
            seed: of everything drawn.
            train: draw, shuffle and drop the last incomplete batch.
            sentences: where the captions' sentence embeddings are; None is `tokens`.

        Raises:
            DatasetError: nothing is left to show, or too little for one batch of training.
        """
        self.settings, self.left_out = settings, Counter[str]()
        self._store, self._tokens, self._statistics = store, tokens, statistics
        self._seed, self._train = seed, train
        self._mirror = train and settings.mirror
        self._items, captions = self._make_items(indices)
        self._check_count()
        self._sentences = sentences or tokens
        self._captions = self._caption_ids(captions, tokens)
        self._sentence_ids = self._caption_ids(captions, sentences) if sentences else self._captions
        self._fields = self._field_ids()
        self._nearest = None
        if train and settings.neighbours > 1:
            known = self._sentences.sentences(self._sentence_ids[0])
            self._nearest = nearest_items(known, self._items.first, settings.neighbours)
        self._not_determined = int(tokens.ids([NOT_DETERMINED])[0])

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._items.motion)

    def steps(self, world: int = 1) -> int:
        """Batches of an epoch, the same on every process."""
        self._check_world(world)
        size = self.settings.batch_size
        return len(self) // size if self._train else -(-len(self) // size)

    def epoch(self, number: int, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Give the batches of an epoch.

        Args:
            number: of the epoch.
            rank: of this process.
            world: processes; each global batch is dealt to them, motion by motion.

        Yields:
            This process's share of each batch. Outside of training the last batch may hold too few motions
            for all processes; those that get none of it are not given it.

        Raises:
            ValueError: the batch size is no multiple of `world`.
        """
        self._check_world(world)
        plan = self._plan(number)
        shares = [batch[rank::world] for batch in self._order(number, plan.length) if len(batch) > rank]
        if not self.settings.prefetch:
            for share in shares:
                yield self._batch(share, plan)
            return
        yield from self._made_ahead(shares, plan)

    # items -------------------------------------------------------------------------------------------------

    def _make_items(self, indices: Sequence[int]) -> tuple[_Items, list[tuple[int, int]]]:
        """List items, and for each caption in turn its motion and its place among the motion's captions."""
        rows: list[tuple[int, int, int, bool, int, int]] = []
        captions: list[tuple[int, int]] = []
        for index in indices:
            said = self._store.texts[index].captions
            if not said:
                self.left_out["motions without a caption"] += 1
            for start, stop, places in self._parts(index, said):
                whole = keeps_fields(start, stop, int(self._store.lengths[index]))
                rows.append((index, start, stop, whole, len(captions), len(places)))
                captions += [(index, place) for place in places]
        columns = list(zip(*rows, strict=True)) or [()] * len(_Items._fields)
        motion, begin, end, kept, first, count = (np.array(column, np.int64) for column in columns)
        return _Items(motion, begin, end, kept.astype(bool), first, count), captions

    def _parts(self, index: int, said: Sequence[Caption]) -> Iterator[tuple[int, int, list[int]]]:
        """Give rows start:stop and the captions of each item of a motion."""
        end = max(int(self._store.lengths[index]), int(self._store.mirrored_lengths[index]))
        whole = [place for place, caption in enumerate(said) if is_whole(caption)]
        parts = [(0, end, whole)] if whole else []
        for place, caption in enumerate(said):
            if not is_whole(caption):
                parts.append((*rows_of(caption), [place]))
        if not self._train:
            parts = parts[:1]
        least = self.settings.min_frames if self._train else 1
        for start, stop, places in parts:
            if self._shortest(index, start, stop) >= least:
                yield start, stop, places
            else:
                self.left_out[f"motions or parts shorter than {least} frames"] += 1

    def _shortest(self, index: int, start: int, stop: int) -> int:
        """Rows of a part of a motion, mirrored or not."""
        lengths = (self._store.lengths, self._store.mirrored_lengths)[: 1 + self._mirror]
        return min(min(stop, int(length[index])) - start for length in lengths)

    def _check_count(self) -> None:
        """Refuse to show nothing."""
        size, count = self.settings.batch_size, len(self)
        if count >= (size if self._train else 1):
            return
        why = "".join(f"; {number} {what} were left out" for what, number in self.left_out.items())
        if count:
            raise DatasetError(
                self._store.dataset,
                f"has {count} motions to train on, too few for one batch of {size}{why}",
                "Annotate more motions, or make batches smaller with --set data.batch_size=...",
            )
        raise DatasetError(
            self._store.dataset,
            f"has no motion to show{why}",
            "Give motions captions, or allow shorter ones with --set data.min_frames=...",
        )

    def _caption_ids(self, captions: list[tuple[int, int]], known: TextStore) -> Ints:
        """Ids (2, captions) of the captions and of the mirrored ones."""
        texts = self._store.texts
        plain = known.ids(texts[index].captions[place].text for index, place in captions)
        if not self._mirror:
            return np.stack([plain, plain])
        turned = known.ids(texts[index].mirrored_captions[place].text for index, place in captions)
        return np.stack([plain, turned])

    def _field_ids(self) -> Ints:
        """Ids (2, n, 21) of the fields of each item's motion and of its mirror image."""
        texts = [self._store.texts[index] for index in self._items.motion]
        plain = self._tokens.ids(text for one in texts for text in one.fields)
        turned = self._tokens.ids(t for one in texts for t in one.mirrored_fields) if self._mirror else plain
        return np.stack([plain, turned]).reshape(2, -1, len(FIELDS))

    # an epoch ----------------------------------------------------------------------------------------------

    def _check_world(self, world: int) -> None:
        if self.settings.batch_size % world:
            raise ValueError(f"batch_size {self.settings.batch_size} is no multiple of {world} processes")

    def _random(self, epoch: int, stream: int) -> np.random.Generator:
        """One of the streams of random numbers of an epoch."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence((self._seed, epoch, stream))))

    def _plan(self, epoch: int) -> _Plan:
        """Draw what an epoch shows; outside of training nothing is drawn."""
        items, count = self._items, len(self)
        columns = _SINGLE_FIELDS + len(FIELDS)
        if self._train:
            # Row by row, so that an item's numbers depend on nothing but seed, epoch and item.
            drawn = self._random(epoch, _ITEMS).random((count, columns))
        else:
            drawn = np.zeros((count, columns))
        mirrored = (drawn[:, _MIRROR] < 0.5) & self._mirror
        chosen = items.first + (drawn[:, _CAPTION] * items.captions).astype(np.int64)
        start, length = self._windows(drawn, mirrored)
        dropped = np.repeat(~items.has_fields[:, None], len(FIELDS), axis=1)
        if self._train:
            dropped |= drawn[:, _ALL_FIELDS, None] < self.settings.field_drop
            dropped |= drawn[:, _SINGLE_FIELDS:] < self.settings.single_field_drop
        said = mirrored.astype(np.int64), chosen
        return _Plan(self._captions[said], self._sentence_ids[said], mirrored, start, length, dropped)

    def _windows(self, drawn: NDArray[np.float64], mirrored: Bools) -> tuple[Ints, Ints]:
        """First row and number of rows of each item."""
        items, store = self._items, self._store
        rows = np.where(mirrored, store.mirrored_lengths[items.motion], store.lengths[items.motion])
        start, length = items.start, np.minimum(items.stop, rows) - items.start
        shorter = np.minimum(length, self.settings.max_frames)
        start = start + (drawn[:, _WINDOW] * (length - shorter + 1)).astype(np.int64)
        length = shorter
        if self.settings.crop == "units":
            # HumanML3D: of {single, single, double}, double takes one unit less; the place is random.
            less = (drawn[:, _LENGTH] >= 2 / 3) & (length >= 2 * _UNIT)
            units = np.where(length < _UNIT, length, _UNIT * (length // _UNIT - less))
            start = start + (drawn[:, _START] * (length - units + 1)).astype(np.int64)
            length = units
        return start, length

    def _order(self, epoch: int, lengths: Ints) -> list[Ints]:
        """Items of each batch of an epoch."""
        size = self.settings.batch_size
        if not self._train:
            return [np.arange(first, min(first + size, len(self))) for first in range(0, len(self), size)]
        random = self._random(epoch, _ORDER)
        order = random.permutation(len(self))
        if self._nearest is not None:
            order = with_neighbours(order, self._nearest, self.settings.neighbours, random)
        order = order[: len(self) // size * size]
        if self.settings.bucket > 1:
            sorted_together = size * self.settings.bucket
            order = np.concatenate(
                [
                    part[np.argsort(lengths[part], kind="stable")]
                    for part in np.split(order, range(sorted_together, len(order), sorted_together))
                ]
            )
        batches = order.reshape(-1, size)
        return list(batches[self._random(epoch, _BATCHES).permutation(len(batches))])

    # a batch -----------------------------------------------------------------------------------------------

    def _batch(self, items: Ints, plan: _Plan) -> Batch:
        """Gather one batch."""
        motions, mirrored = self._items.motion[items], plan.mirrored[items]
        rows = [
            self._store.features(index, turned)[start : start + length : self.settings.stride]
            for index, turned, start, length in zip(
                motions.tolist(),
                mirrored.tolist(),
                plan.start[items].tolist(),
                plan.length[items].tolist(),
                strict=True,
            )
        ]
        fields = self._fields[mirrored.astype(np.int64), items]
        fields = np.where(plan.dropped[items], self._not_determined, fields)
        caption = plan.caption[items]
        return Batch(
            indices=torch.from_numpy(motions),
            features=torch.from_numpy(self._statistics.normalise(np.concatenate(rows))),
            lengths=torch.from_numpy(-(-plan.length[items] // self.settings.stride)),
            caption=self._texts(caption),
            groups=self._texts(fields[:, :_GROUPS]),
            interactions=self._texts(fields[:, _GROUPS:]),
            caption_sentence=torch.from_numpy(self._sentences.sentences(plan.sentence[items])),
            field_ids=torch.from_numpy(fields),
            motion_ids=[self._store.motion_ids[index] for index in motions],
        )

    def _texts(self, ids: Ints) -> Texts:
        """Gather each distinct text once."""
        distinct, which = np.unique(ids, return_inverse=True)
        packed, lengths = self._tokens.gather(distinct)
        return Texts(
            torch.from_numpy(packed), torch.from_numpy(lengths), torch.from_numpy(which.reshape(ids.shape))
        )

    def _made_ahead(self, shares: list[Ints], plan: _Plan) -> Iterator[Batch]:
        """Make batches in a thread, a few ahead of the one that is asked for."""
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
            waiting: deque[Future[Batch]] = deque()
            try:
                for share in shares:
                    waiting.append(pool.submit(self._pinned, share, plan))
                    if len(waiting) > self.settings.prefetch:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _pinned(self, share: Ints, plan: _Plan) -> Batch:
        batch = self._batch(share, plan)
        return batch.pin_memory() if torch.cuda.is_available() else batch
