"""How well a retrieval model finds a split's motions by text, and texts by motion.

Every figure says where the finer texts of its queries came from, because that decides what it means:

    none        a person's sentence alone, level G: what a user gets
    reasoner    written from that sentence alone by a reasoner: what a user gets who has one
    annotation  written from the very motion that is searched for: the paper's setting, which tells the answer
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.shards import DatasetError
from kinmo_models.data.cache import Stages, stage
from kinmo_models.data.pairs import Pairs, Reasons, add_reasoned, doubts, read_pairs
from kinmo_models.metrics.intervals import Repeated, repeated
from kinmo_models.metrics.ranking import RECALLS, SMALL_BATCH, Ranking
from kinmo_models.retrieval.protocols import DIRECTIONS, THRESHOLD, TITLES, Protocol, make_protocols
from kinmo_models.training.config import differences, plain

if TYPE_CHECKING:
    from kinmo_models.layers.language import LanguageModel
    from kinmo_models.retrieval.retriever import Retriever

NONE: Final = "none"
REASONER: Final = "reasoner"
ANNOTATION: Final = "annotation"
SOURCES: Final = (NONE, REASONER, ANNOTATION)
NOT_ASKED: Final = "needs --reasoner"
GLOBAL: Final = "G"

# Protocol, direction, scorer, level and source: what tells a row from the others of its evaluation.
Key = tuple[str, str, str, str, str]

# Texts and motions embedded between two words to the progress.
_PORTION: Final = 256


# ---------------------------------------------------------------- similarities


def embed_motions(retriever: Retriever, pairs: Pairs, progress: Stages | None = None) -> NDArray[np.float32]:
    """Embed the motions: (N, d) unit rows."""
    portions = _portions("motions", len(pairs.features), progress)
    return np.concatenate([retriever.encode_features(pairs.features[one]) for one in portions])


def similarity_of(
    retriever: Retriever,
    pairs: Pairs,
    motions: NDArray[np.float32],
    level: str,
    source: str,
    progress: Stages | None = None,
) -> NDArray[np.float32]:
    """Cosine similarity of each text with each motion.

    Equal queries are embedded once and take one row, so that they tie exactly whatever the batch.

    Args:
        retriever: the model.
        pairs: the texts.
        motions: (N, d) unit rows from `embed_motions`.
        level: one of the model's.
        source: `NONE` for the caption alone, `ANNOTATION` for the row's own 21 sentences too, `REASONER` for
            those that were written from the caption.
        progress: told of what is done.

    Returns:
        (N, N), a row for each text, a column for each motion.
    """
    fields = {ANNOTATION: pairs.fields, REASONER: pairs.reasoned}.get(source)
    keys = [
        (caption, *(fields[row].values() if fields else ())) for row, caption in enumerate(pairs.captions)
    ]
    first: dict[tuple[str, ...], int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    place = {key: number for number, key in enumerate(first)}
    asked = list(first.values())
    embedded = []
    for portion in _portions(f"texts {level}", len(asked), progress):
        rows = asked[portion]
        chosen = [fields[row] for row in rows] if fields else None
        embedded.append(retriever.encode_texts([pairs.captions[row] for row in rows], chosen, level))
    similarity = np.concatenate(embedded) @ motions.T
    return np.asarray(similarity[[place[key] for key in keys]], np.float32)


def _portions(what: str, count: int, progress: Stages | None) -> Iterator[slice]:
    """Give portions of a long list, and tell the progress when each is done."""
    for start in range(0, count, _PORTION):
        yield slice(start, start + _PORTION)
        if progress is not None:
            progress(what, min(start + _PORTION, count), count)


def sentence_embeddings(
    captions: Sequence[str], language: LanguageModel, cache_dir: Path | None
) -> NDArray[np.float32]:
    """Embed captions for protocols (b) and (c): (N, D) unit rows of a frozen sentence encoder."""
    from kinmo_models.data.tokens import TokenStore

    tokens = TokenStore.of(captions, language, cache_dir)
    return tokens.sentences(tokens.ids(captions))


# ---------------------------------------------------------------- results


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the printed table."""

    protocol: str
    direction: str
    scorer: str
    level: str
    source: str
    ranking: Ranking

    @property
    def key(self) -> Key:
        """What tells this row from the others of its evaluation."""
        return self.protocol, self.direction, self.scorer, self.level, self.source

    def as_dict(self) -> dict[str, Any]:
        """Give JSON values under the names that are printed."""
        return {
            **describe(self.key),
            **figures(self.ranking),
            "queries": self.ranking.queries,
        }


@dataclass(frozen=True)
class Evaluation:
    """All results of one model on one split.

    Attributes:
        stamp: which model, dataset, split and settings they belong to, JSON values.
        results: the rows.
        missing: (level, source) that were not measured, as no reasoner was named.
        notes: how the protocols were set up, and what was left out.
        warnings: why the figures may mean less than they seem to.
    """

    stamp: dict[str, Any]
    results: list[Result]
    missing: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Give JSON values; each result carries the stamp, so that it can stand alone."""
        return {
            **self.stamp,
            "notes": self.notes,
            "warnings": self.warnings,
            "missing": [
                {"level": level, "source": source, "why": NOT_ASKED} for level, source in self.missing
            ],
            "results": [{**one.as_dict(), **self.stamp} for one in self.results],
        }


def describe(key: Key) -> dict[str, str]:
    """Give the key of a row under the names that are printed."""
    names = ("protocol", "direction", "scorer", "level", "source")
    return {**dict(zip(names, key, strict=True)), "protocol_name": TITLES[key[0]]}


def figures(ranking: Ranking) -> dict[str, float]:
    """Give R@k in percent and MedR under the names that are printed."""
    return {**{f"R@{k}": ranking.recall[k] for k in RECALLS}, "MedR": ranking.median_rank}


def queries_of(levels: Sequence[str]) -> list[tuple[str, str]]:
    """List the (level, source) of the queries that a model can be asked with.

    The caption alone asks at level G, finer texts at every finer level.
    """
    return [
        (level, source) for level in levels for source in SOURCES if (level == GLOBAL) == (source == NONE)
    ]


def evaluate(
    retriever: Retriever,
    pairs: Pairs,
    protocols: Sequence[Protocol],
    queries: Sequence[tuple[str, str]],
    progress: Stages | None = None,
) -> list[Result]:
    """Measure a model by every protocol, in both directions, with every kind of query.

    Args:
        retriever: the model.
        pairs: of a split.
        protocols: from `make_protocols`, for the same pairs.
        queries: (level, source), from `queries_of`; those of the reasoner are passed over where it wrote
            nothing.
        progress: told of what is done.
    """
    motions = embed_motions(retriever, pairs, progress)
    found = []
    for level, source in queries:
        if source == REASONER and not pairs.reasoned:
            continue
        similarity = similarity_of(retriever, pairs, motions, level, source, progress)
        for protocol in protocols:
            for direction in DIRECTIONS:
                ranking = protocol.measure(similarity, direction)
                found.append(Result(protocol.letter, direction, protocol.scorer, level, source, ranking))
    return found


def over_runs(evaluations: Sequence[Sequence[Result]]) -> dict[Key, dict[str, Repeated]]:
    """Mean and 95 % interval over runs with several seeds: key of a row -> its figures.

    A row that only some of the runs have is averaged over those.
    """
    gathered: dict[Key, list[dict[str, float]]] = {}
    for results in evaluations:
        for one in results:
            gathered.setdefault(one.key, []).append(figures(one.ranking))
    return {
        key: {name: repeated([one[name] for one in measured]) for name in measured[0]}
        for key, measured in gathered.items()
    }


def evaluate_runs(
    runs: Sequence[Path],
    dataset: Path,
    split: str,
    *,
    threshold: float = THRESHOLD,
    listed: Sequence[str] | None = None,
    reasoner: Reasons | None = None,
    cache_dir: Path | None = None,
    progress: Stages | None = None,
) -> list[Evaluation]:
    """Measure trained models on a split: all protocols, directions, scorers and kinds of query.

    Args:
        runs: folders of trained models, or names on the hub.
        dataset: an annotated dataset.
        split: which of its splits.
        threshold: of protocol (b), on the scale (cosine + 1) / 2.
        listed: ids of a published subset for protocol (c).
        reasoner: writes the finer texts of the rows `REASONER`; None leaves them out.
        cache_dir: root of the caches; None is the user's.
        progress: told of what is done.

    Returns:
        One evaluation for each run, rows in the same order.

    Raises:
        DatasetError: no such split, no captions in it, or none of the listed ids.
        TrainingError: a run that is no retrieval model.
    """
    from kinmo_models.data.motions import MotionStore
    from kinmo_models.layers.language import LanguageModel
    from kinmo_models.retrieval.retriever import Retriever

    retrievers = [Retriever.from_pretrained(run, cache_dir=cache_dir) for run in runs]
    store = MotionStore.open(dataset, cache_dir)
    pairs = read_pairs(store, split)
    if reasoner is not None:
        add_reasoned(pairs, reasoner, stage("sentences", progress))
    language = LanguageModel.open(None)
    sentences = sentence_embeddings(pairs.captions, language, cache_dir)
    positions = None if listed is None else _positions(pairs, listed, dataset)
    protocols = make_protocols(pairs.captions, sentences, threshold, positions)
    shared = {
        "dataset": str(dataset),
        "dataset_fingerprint": store.fingerprint,
        "split": split,
        "split_fingerprint": store.split_fingerprint(split),
        "motions": len(pairs.captions),
        "threshold": threshold,
        "sentence_model": language.name,
        "reasoner": None if reasoner is None else reasoner.name,
        "kinmo_version": version("kinmo"),
    }
    unlike = _unlike(retrievers)
    seen = [] if reasoner is None else [f"reasoner: {one}" for one in doubts(reasoner.meta, store, split)]
    evaluations = []
    for run, retriever in zip(runs, retrievers, strict=True):
        queries = queries_of(retriever.levels)
        evaluations.append(
            Evaluation(
                {"model": str(run), "seed": retriever.config.training.seed, **shared},
                evaluate(retriever, pairs, protocols, queries, progress),
                [one for one in queries if one[1] == REASONER and reasoner is None],
                _notes(protocols, pairs),
                [*doubts(retriever.meta, store, split), *unlike, *seen],
            )
        )
    return evaluations


def _unlike(retrievers: Sequence[Retriever]) -> list[str]:
    """Warn of runs that differ by more than their seed: their mean is of no one model."""
    configs = [plain(retriever.config) for retriever in retrievers]
    keys = {key for one in configs[1:] for key in differences(configs[0], one)} - {"training.seed"}
    return [f"the runs differ by more than their seed: {', '.join(sorted(keys))}"] if keys else []


def _positions(pairs: Pairs, listed: Sequence[str], dataset: Path) -> list[int]:
    """Find the listed ids among the pairs."""
    wanted = set(listed)
    found = [place for place, motion_id in enumerate(pairs.motion_ids) if motion_id in wanted]
    if not found:
        remedy = "Give the list that belongs to this dataset, or leave --subset out."
        raise DatasetError(dataset, "none of the ids listed for protocol (c) is in this split", remedy)
    return found


def _notes(protocols: Sequence[Protocol], pairs: Pairs) -> list[str]:
    """Say how each protocol was set up, and what was left out."""
    notes = {one.letter: f"({one.letter}) {TITLES[one.letter]}: {one.note}" for one in protocols}
    if "d" not in notes:
        notes["d"] = (
            f"(d) {TITLES['d']}: left out, as {len(pairs.captions)} motions make no batch of {SMALL_BATCH}"
        )
    if pairs.left_out:
        notes["captions"] = f"{pairs.left_out} motions without a caption are left out"
    return list(notes.values())
