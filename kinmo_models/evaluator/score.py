"""Score motions, real or generated, with an evaluator: the metrics of T2M, each over 20 repetitions.

    evaluator = Evaluator.from_pretrained("RUN")
    pairs = scored_pairs(store, "test")
    scorer = Scorer(evaluator, pairs, alike_captions(pairs.captions, sentences, above=0.9))
    figures = [*scorer.real(), *scorer.generated("model", runs)]

Every figure carries its sample size: FID of few motions is too large, and only FIDs of equal size compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.features import BLOCKS, features_to_joints
from kinmo_annotate.schema.shards import DatasetError
from kinmo_annotate.schema.skeleton import NUM_JOINTS
from kinmo_models.data.motions import MotionStore
from kinmo_models.data.pairs import Pairs, doubts, read_pairs
from kinmo_models.data.tokens import TokenStore
from kinmo_models.evaluator.evaluator import LEAST_ROWS, Evaluator, Vectors
from kinmo_models.evaluator.networks import LONGEST
from kinmo_models.evaluator.pools import alike_captions, alike_labels, draw_pools, labels_of, read_labels
from kinmo_models.layers.language import LanguageModel
from kinmo_models.metrics.feet import foot_skating_ratio
from kinmo_models.metrics.fidelity import (
    POOL,
    diversity,
    frechet_distance,
    matching_distance,
    multimodality,
    r_precision,
)
from kinmo_models.metrics.intervals import Repeated, repeated

REAL: Final = "real"
HALVES: Final = "half of real"
SHUFFLED: Final = "shuffled joints"
DISTINCT: Final = "distinct"
LABELS: Final = ("content", "style")
_OF_A_JOINT: Final = {
    "positions": 3,
    "rotations": 6,
    "velocities": 3,
}  # numbers, joints 1 to 21 last in a block


NOTE_ON_HALVES: Final = (
    f"FID of {HALVES}: a random half of the motions against the other half; of {SHUFFLED}: the first half"
    " with its joints exchanged at random; only FIDs of equal sample sizes compare"
)


@dataclass(frozen=True)
class ScoreSettings:
    """How motions are scored.

    Attributes:
        pools: of R-precision: "standard" draws any motions, as T2M does; "distinct" no two that are alike.
        pool: motions of a pool.
        repeats: how often pools, pairs and halves are drawn.
        alike_above: two captions are alike where their sentence embeddings have a cosine above this.
        seed: of everything drawn.
    """

    pools: Literal["distinct", "standard"] = "distinct"
    pool: int = POOL
    repeats: int = 20
    alike_above: float = 0.9
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric of some motions.

    Attributes:
        motions: whose, such as "real".
        metric: its name.
        value: its mean over the repetitions with its 95 % interval.
        samples: motions that went into it; two numbers of FID.
    """

    motions: str
    metric: str
    value: Repeated
    samples: tuple[int, ...]


@dataclass(frozen=True)
class Scores:
    """The figures of a split, with what they belong to.

    Attributes:
        stamp: evaluator, dataset, split and settings, JSON values.
        figures: one a metric and kind of motions.
        notes: how they were measured, and what was left out.
        warnings: why they may mean less than they seem to.
    """

    stamp: dict[str, Any]
    figures: list[Figure]
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Give JSON values; each figure carries the stamp, so that it can stand alone."""
        rows = [{**asdict(one), **self.stamp} for one in self.figures]
        return {**self.stamp, "notes": self.notes, "warnings": self.warnings, "figures": rows}


def scored_pairs(store: MotionStore, split: str, most: int | None = None) -> Pairs:
    """Read the pairs of a split that an evaluator can score: 16 rows or more, of which the first 196 count.

    Motions are generated for these captions, each as long as its pair. Of more than `most`, so many that are
    spread evenly are taken.

    Raises:
        DatasetError: no such split, or none of its motions can be scored.
    """
    pairs = read_pairs(store, split)
    places = [place for place, rows in enumerate(pairs.features) if len(rows) >= LEAST_ROWS]
    if not places:
        reason = f"no motion of the split {split} has {LEAST_ROWS} rows or more"
        raise DatasetError(store.dataset, reason, "Choose another --split.")
    unusable = pairs.left_out + len(pairs.features) - len(places)
    if most is not None and most < len(places):
        places = [places[place] for place in np.linspace(0, len(places) - 1, most).round().astype(int)]
    return Pairs(
        [pairs.motion_ids[place] for place in places],
        [pairs.features[place][:LONGEST] for place in places],
        [pairs.captions[place] for place in places],
        [pairs.fields[place] for place in places],
        unusable,
    )


def shuffle_joints(features: Vectors, rng: np.random.Generator) -> Vectors:
    """Exchange the joints of a motion (T, 263) at random, all but the pelvis, and leave everything else."""
    bones = NUM_JOINTS - 1
    order, shuffled = rng.permutation(bones), features.copy()
    for name, width in _OF_A_JOINT.items():
        part = slice(BLOCKS[name].stop - width * bones, BLOCKS[name].stop)
        joints = features[:, part].reshape(-1, bones, width)
        shuffled[:, part] = joints[:, order].reshape(-1, width * bones)
    return shuffled


class Scorer:
    """Scores motions against the real ones of a split and their captions.

    Attributes:
        pairs: the real motions, from `scored_pairs`.
        settings: as given.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        pairs: Pairs,
        alike: NDArray[np.bool_] | None = None,
        settings: ScoreSettings | None = None,
    ) -> None:
        """Embed real motions and captions.

        Args:
            evaluator: makes the latents.
            pairs: n motions with captions.
            alike: (n, n) which may not stand in one pool; None is the standard pools.
            settings: see `ScoreSettings`.

        Raises:
            ValueError: the motions make no pool.
        """
        self.pairs, self.settings = pairs, settings or ScoreSettings()
        self._evaluator = evaluator
        self._texts = evaluator.encode_texts(pairs.captions)
        self._real = evaluator.encode_motions(pairs.features)
        count, size = len(pairs.captions), self.settings.pool
        self._alike = np.zeros((count, count), bool) if alike is None else alike
        self._pools = [
            draw_pools(self._alike, size, self._random(number)).ravel() for number in self._repeats
        ]
        if not all(map(len, self._pools)):
            raise ValueError(f"{count} motions make no pool of {size} no two of which are alike")

    @property
    def _repeats(self) -> range:
        return range(self.settings.repeats)

    def _random(self, number: int) -> np.random.Generator:
        """Random numbers of a repetition, the same for every kind of motions."""
        return np.random.default_rng([self.settings.seed, number])

    def real(self) -> list[Figure]:
        """Score the real motions: what a perfect generator would reach, and two FIDs to compare others with.

        One is of a random half of the real motions against the other half, the other of motions whose joints
        are shuffled, in the place of the first half. They are of equal size.
        """
        rng = np.random.default_rng(self.settings.seed)
        shuffled = self._evaluator.encode_motions([shuffle_joints(one, rng) for one in self.pairs.features])
        halves = [
            np.array_split(self._random(number).permutation(len(self._real)), 2) for number in self._repeats
        ]
        samples = (len(halves[0][0]), len(halves[0][1]))
        fids = {
            kind: [frechet_distance(latents[one], self._real[other]) for one, other in halves]
            for kind, latents in ((HALVES, self._real), (SHUFFLED, shuffled))
        }
        figures = self._common(REAL, [self._real], [self.pairs.features])
        return [*figures, *(Figure(kind, "FID", repeated(values), samples) for kind, values in fids.items())]

    def generated(self, name: str, runs: Sequence[Sequence[Vectors]]) -> list[Figure]:
        """Score generated motions.

        Args:
            name: of what generated them.
            runs: one or more times n motions (T', 263), not normalised, for the captions of `pairs` in order.
                Repetitions that draw pools or pairs take them in turn; FID, MM-Dist and foot skating, where
                nothing is drawn, have one value a run.

        Raises:
            ValueError: a run has not one motion a caption.
            MotionError: see `Evaluator.encode_motions`.
        """
        if not runs or any(len(run) != len(self._real) for run in runs):
            raise ValueError(f"each run needs {len(self._real)} motions, one a caption")
        latents = [self._evaluator.encode_motions(run) for run in runs]
        fid = repeated([frechet_distance(one, self._real) for one in latents])
        samples = (len(latents[0]), len(self._real))
        return [*self._common(name, latents, runs), Figure(name, "FID", fid, samples)]

    def multimodality(self, name: str, groups: Sequence[Sequence[Vectors]], pairs: int = 10) -> Figure:
        """Score how different motions from one caption are.

        Args:
            name: of what generated them.
            groups: for each of c captions g motions (T', 263), not normalised.
            pairs: drawn from each caption's motions.

        Raises:
            ValueError: captions with different numbers of motions, or with fewer than `pairs`.
        """
        count = len(groups[0]) if groups else 0
        if any(len(group) != count for group in groups):
            raise ValueError("each caption needs as many motions as the others")
        flat = self._evaluator.encode_motions([one for group in groups for one in group])
        latents = flat.reshape(len(groups), count, -1)
        values = [multimodality(latents, self._random(number), pairs) for number in self._repeats]
        return Figure(name, "MultiModality", repeated(values), (len(groups), count))

    def _common(self, name: str, latents: list[Vectors], runs: Sequence[Sequence[Vectors]]) -> list[Figure]:
        """R-precision, MM-Dist, Diversity and foot skating."""
        shares, spread = [], []
        for number, places in enumerate(self._pools):
            motions = latents[number % len(latents)]
            shares.append(r_precision(self._texts[places], motions[places], self.settings.pool))
            spread.append(diversity(motions, self._random(number)))
        distances = [matching_distance(self._texts, one) for one in latents]
        skating = [foot_skating_ratio([features_to_joints(one) for one in run]) for run in runs]
        count, pooled = len(self._texts), min(map(len, self._pools))
        return [
            *(
                Figure(name, f"R-precision top {k}", repeated(one), (pooled,))
                for k, one in enumerate(zip(*shares, strict=True), 1)
            ),
            Figure(name, "MM-Dist", repeated(distances), (count,)),
            Figure(name, "Diversity", repeated(spread), (count,)),
            Figure(name, "foot skating", repeated(skating), (count,)),
        ]


# ---------------------------------------------------------------- a dataset's real motions


def open_scorer(
    evaluator: Evaluator,
    dataset: Path,
    split: str,
    settings: ScoreSettings,
    *,
    labels: Path | None = None,
    cache_dir: Path | None = None,
    most: int | None = None,
) -> tuple[Scorer, Scores]:
    """Hold the real motions of a split ready, and say what figures on them belong to; there are none yet.

    Args:
        evaluator: makes the latents.
        dataset: an annotated dataset.
        split: which of its splits.
        settings: see `ScoreSettings`.
        labels: CSV file with the columns id, content and style: no two motions of a distinct pool share both,
            in the place of captions that mean the same.
        cache_dir: root of the caches; None is the user's.
        most: motions; None is all of the split.

    Raises:
        DatasetError: no such split, too few motions for a pool, or labels of another dataset.
        MotionError: a motion with features that are not finite.
    """
    store = MotionStore.open(dataset, cache_dir)
    pairs = scored_pairs(store, split, most)
    alike, rule = alike_pairs(pairs, settings, labels, cache_dir)
    try:
        scorer = Scorer(evaluator, pairs, alike, settings)
    except ValueError as error:
        remedy = "Make pools smaller with --pool, or choose --pools standard or another --split."
        raise DatasetError(dataset, str(error), remedy) from None
    stamp = {
        "evaluator": evaluator.name,
        "evaluator_fingerprint": evaluator.fingerprint,
        "dataset_fingerprint": store.fingerprint,
        "split": split,
        "split_fingerprint": store.split_fingerprint(split),
        **asdict(settings),
    }
    notes = [f"pools of {settings.pool}: {rule}; {settings.repeats} repetitions"]
    if pairs.left_out:
        notes.append(
            f"{pairs.left_out} motions without a caption or of fewer than {LEAST_ROWS} rows are left out"
        )
    return scorer, Scores(stamp, [], notes, doubts(evaluator.meta, store, split) if evaluator.meta else [])


def score_dataset(
    evaluator: Evaluator,
    dataset: Path,
    split: str,
    settings: ScoreSettings,
    *,
    labels: Path | None = None,
    cache_dir: Path | None = None,
) -> Scores:
    """Score the real motions of a split with an evaluator: what it is worth, and what is to be reached.

    Arguments and errors are those of `open_scorer`.
    """
    scorer, scores = open_scorer(evaluator, dataset, split, settings, labels=labels, cache_dir=cache_dir)
    scores.figures.extend(scorer.real())
    scores.notes.append(NOTE_ON_HALVES)
    return scores


def alike_pairs(
    pairs: Pairs, settings: ScoreSettings, labels: Path | None, cache_dir: Path | None
) -> tuple[NDArray[np.bool_] | None, str]:
    """Tell which motions may not stand in one pool (n, n; None is the standard pools), and by which rule."""
    if settings.pools != DISTINCT:
        return None, "any motions, as T2M draws them"
    captions = pairs.captions
    if labels is not None:
        of_motions = labels_of(pairs.motion_ids, read_labels(labels, LABELS), labels)
        return alike_labels(
            captions, of_motions
        ), f"no two with one caption or the same {' and '.join(LABELS)}"
    sentences = TokenStore.of(captions, LanguageModel.open(), cache_dir)
    embedded = sentences.sentences(sentences.ids(captions))
    rule = f"no two whose captions mean the same (cosine above {settings.alike_above:g})"
    return alike_captions(captions, embedded, settings.alike_above), rule
