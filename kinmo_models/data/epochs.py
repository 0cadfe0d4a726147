"""What an epoch shows, and in which order: motions and parts of them, captions, windows, the mirror.

Everything drawn is a function of seed, epoch and item alone: it is the same on any number of processes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray

from kinmo_annotate.schema.records import Caption
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.neighbours import nearest_items, with_neighbours
from kinmo_models.data.parts import is_whole, keeps_fields, rows_of

Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]

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


class Items(NamedTuple):
    """What batches are made of: a motion with the captions of all of it, or a part with its own caption."""

    motion: Ints  # (n,) places in the store
    start: Ints  # (n,) first row
    stop: Ints  # (n,) row after the last; rows that a motion does not have are left out
    has_fields: Bools  # (n,) its fields are said of these rows
    first: Ints  # (n,) place of its first caption in the flat list
    captions: Ints  # (n,) how many captions


class Plan(NamedTuple):
    """What an epoch shows, an entry an item."""

    caption: Ints  # places of the captions in the flat list
    mirrored: Bools
    start: Ints
    length: Ints
    dropped: Bools  # (n, 21) fields that are not determined


class Pinned(Protocol):
    """A batch that can be moved to memory from which a GPU copies fast."""

    def pin_memory(self) -> Pinned:
        """Move it."""
        ...


_Made = TypeVar("_Made", bound=Pinned)


class Epochs:
    """What each epoch shows of some motions, and in which batches.

    In training an item is a motion with one of its captions, drawn anew in each epoch (TMR); a caption that
    is said of a part of the motion (start and end in seconds) is an item of its own, cut to rows
    int(start * 20):int(end * 20). Otherwise an item is a motion with its first caption, so that there is one
    item a motion: the first caption of the whole motion where there is one, the first of a part elsewhere.

    The fields are said of the whole motion. With a part shorter than 80 % of it, they are not determined.
    Motions without a caption are left out; in training those with too few rows are, too.

    Attributes:
        settings: as given.
        items: what there is to show.
        captions: motion, and place among its captions, of each caption of each item.
        mirrors: whether motions are shown in the mirror too.
        left_out: how many motions or parts are left out, by reason.
    """

    def __init__(
        self, store: MotionStore, indices: Sequence[int], settings: DataSettings, seed: int, train: bool
    ) -> None:
        """List the items.

        Args:
            store: the motions.
            indices: the motions to show; their order is that of the batches unless `train`.
            settings: see `DataSettings`.
            seed: of everything drawn.
            train: draw, shuffle and drop the last incomplete batch.

        Raises:
            DatasetError: nothing is left to show, or too little for one batch of training.
        """
        self.settings, self.left_out = settings, Counter[str]()
        self.mirrors = train and settings.mirror
        self._store, self._seed, self._train = store, seed, train
        self.items, self.captions = self._make_items(indices)
        self._check_count()
        self._nearest: Ints | None = None

    def __len__(self) -> int:
        """How many items there are."""
        return len(self.items.motion)

    def bring_together(self, sentences: Callable[[], NDArray[np.float32]]) -> None:
        """Put motions whose captions are alike into one batch, where training and settings want it.

        Args:
            sentences: gives unit sentence embeddings of `captions`; asked only where they are needed.
        """
        if self._train and self.settings.neighbours > 1:
            self._nearest = nearest_items(sentences(), self.items.first, self.settings.neighbours)

    def steps(self, world: int = 1) -> int:
        """Batches of an epoch, the same on every process."""
        self._check_world(world)
        size = self.settings.batch_size
        return len(self) // size if self._train else -(-len(self) // size)

    def batches(
        self, number: int, rank: int, world: int, make: Callable[[Ints, Plan], _Made]
    ) -> Iterator[_Made]:
        """Give the batches of an epoch.

        Args:
            number: of the epoch.
            rank: of this process.
            world: processes; each global batch is dealt to them, motion by motion.
            make: makes a batch of some items.

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
                yield make(share, plan)
            return
        yield from _made_ahead(lambda share: _pinned(make(share, plan)), shares, self.settings.prefetch)

    # items -------------------------------------------------------------------------------------------------

    def _make_items(self, indices: Sequence[int]) -> tuple[Items, list[tuple[int, int]]]:
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
        columns = list(zip(*rows, strict=True)) or [()] * len(Items._fields)
        motion, begin, end, kept, first, count = (np.array(column, np.int64) for column in columns)
        return Items(motion, begin, end, kept.astype(bool), first, count), captions

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
        lengths = (self._store.lengths, self._store.mirrored_lengths)[: 1 + self.mirrors]
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

    # an epoch ----------------------------------------------------------------------------------------------

    def _check_world(self, world: int) -> None:
        if self.settings.batch_size % world:
            raise ValueError(f"batch_size {self.settings.batch_size} is no multiple of {world} processes")

    def _random(self, epoch: int, stream: int) -> np.random.Generator:
        """One of the streams of random numbers of an epoch."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence((self._seed, epoch, stream))))

    def _plan(self, epoch: int) -> Plan:
        """Draw what an epoch shows; outside of training nothing is drawn."""
        items, count = self.items, len(self)
        columns = _SINGLE_FIELDS + len(FIELDS)
        if self._train:
            # Row by row, so that an item's numbers depend on nothing but seed, epoch and item.
            drawn = self._random(epoch, _ITEMS).random((count, columns))
        else:
            drawn = np.zeros((count, columns))
        mirrored = (drawn[:, _MIRROR] < 0.5) & self.mirrors
        chosen = items.first + (drawn[:, _CAPTION] * items.captions).astype(np.int64)
        start, length = self._windows(drawn, mirrored)
        dropped = np.repeat(~items.has_fields[:, None], len(FIELDS), axis=1)
        if self._train:
            dropped |= drawn[:, _ALL_FIELDS, None] < self.settings.field_drop
            dropped |= drawn[:, _SINGLE_FIELDS:] < self.settings.single_field_drop
        return Plan(chosen, mirrored, start, length, dropped)

    def _windows(self, drawn: NDArray[np.float64], mirrored: Bools) -> tuple[Ints, Ints]:
        """First row and number of rows of each item."""
        items, store = self.items, self._store
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


def _made_ahead(make: Callable[[Ints], _Made], shares: list[Ints], count: int) -> Iterator[_Made]:
    """Make batches in a thread, a few ahead of the one that is asked for."""
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        waiting: deque[Future[_Made]] = deque()
        try:
            for share in shares:
                waiting.append(pool.submit(make, share))
                if len(waiting) > count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _pinned(batch: _Made) -> _Made:
    return cast("_Made", batch.pin_memory()) if torch.cuda.is_available() else batch
