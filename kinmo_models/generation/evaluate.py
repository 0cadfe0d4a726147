"""Measure a generator: motions for the captions of a split, scored by an evaluator (KinMo, 4.2).

Finer texts are those of the annotation, written from the very motion that the generated one is held against,
as in the paper; level G is what a user's own sentence gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.schema.skeleton import FPS
from kinmo_models.data.cache import Progress, Stages, stage
from kinmo_models.data.pairs import Pairs
from kinmo_models.evaluator.score import Figure, Scorer
from kinmo_models.generation.generator import Generator, Prompt
from kinmo_models.metrics.intervals import repeated
from kinmo_models.retrieval.retriever import Retriever
from kinmo_models.tokenizer.config import UNIT

Features = NDArray[np.float32]


SIMILARITY: Final = "HTMA-S"
NOTES: Final = (
    "caption: the generator knew the caption alone, what a user types; annotation: finer texts too, written"
    " from the very motion that the generated one is held against, the paper's setting",
    "generated motions are as long as the real ones",
)
_AT_ONCE: Final = 32


@dataclass(frozen=True)
class GenerationSettings:
    """How much is generated to be measured.

    Attributes:
        levels: of text; empty is all that the model has.
        runs: motions for each caption of the split, each time with another seed.
        captions: of MultiModality; 0 leaves it out.
        motions: for each of these captions.
        seed: the first.
    """

    levels: tuple[str, ...] = ()
    runs: int = 20
    captions: int = 96
    motions: int = 30
    seed: int = 0


def score_generator(
    generator: Generator,
    scorer: Scorer,
    settings: GenerationSettings,
    retriever: Retriever | None = None,
    progress: Stages | None = None,
) -> list[Figure]:
    """Generate motions for the captions of a split at each level of text, and score them.

    Each motion is as long as the real one.

    Args:
        generator: the model.
        scorer: holds the real motions and their captions.
        settings: how much is generated.
        retriever: measures how like a motion is to its texts (HTMA-S); None leaves it out.
        progress: told how many motions of a level are there.

    Raises:
        ValueError: a level that the model does not have.
    """
    figures = (
        [] if retriever is None else similarity("real", retriever, scorer.pairs, [scorer.pairs.features])
    )
    for level in settings.levels or generator.levels:
        name = _name(level)
        seeds = range(settings.seed, settings.seed + settings.runs)
        prompts = [prompt for seed in seeds for prompt in _prompts(scorer.pairs, seed)]
        runs = _parts(_generate(generator, prompts, level, stage(name, progress)), len(scorer.pairs.captions))
        figures += scorer.generated(name, runs)
        if settings.captions:
            figures.append(_multimodality(generator, scorer, settings, level, progress))
        if retriever is not None:
            figures += similarity(name, retriever, scorer.pairs, runs)
    return figures


def similarity(
    name: str, retriever: Retriever, pairs: Pairs, runs: Sequence[Sequence[Features]]
) -> list[Figure]:
    """Measure HTMA-S: the mean cosine of the embeddings of motions and of their texts, at each level of text.

    Args:
        name: of what the motions are of.
        retriever: embeds both.
        pairs: captions and fields.
        runs: one or more times a motion (T', 263) for each caption.
    """
    motions = [retriever.encode_features(run) for run in runs]
    figures = []
    for level in retriever.levels:
        texts = retriever.encode_texts(pairs.captions, pairs.fields, level)
        values = [float((one * texts).sum(1).mean()) for one in motions]
        figures.append(Figure(name, f"{SIMILARITY} {level}", repeated(values), (len(texts),)))
    return figures


def _name(level: str) -> str:
    """Say whose figures these are."""
    return f"{level}, caption" if level == "G" else f"{level}, annotation"


def _prompts(pairs: Pairs, seed: int) -> Iterator[Prompt]:
    """Ask for the motions of a split."""
    for number, (caption, fields, rows) in enumerate(
        zip(pairs.captions, pairs.fields, pairs.features, strict=True)
    ):
        seconds = len(rows) // UNIT * UNIT / FPS
        yield Prompt(caption, fields, seconds, seed * len(pairs.captions) + number)


def _parts(motions: Sequence[Features], count: int) -> list[Sequence[Features]]:
    return [motions[first : first + count] for first in range(0, len(motions), count)]


def _generate(
    generator: Generator, prompts: Sequence[Prompt], level: str, told: Progress | None
) -> list[Features]:
    """Write motions, those of like length together, and give them in the order of the prompts."""
    order = sorted(range(len(prompts)), key=lambda place: prompts[place].seconds or 0.0)
    found: dict[int, Features] = {}
    for start in range(0, len(order), _AT_ONCE):
        places = order[start : start + _AT_ONCE]
        written = generator.generate([prompts[place] for place in places], level=level)
        found.update(zip(places, (one.features for one in written), strict=True))
        if told is not None:
            told(len(found), len(prompts))
    return [found[place] for place in range(len(prompts))]


def _multimodality(
    generator: Generator,
    scorer: Scorer,
    settings: GenerationSettings,
    level: str,
    progress: Stages | None,
) -> Figure:
    """Measure how different motions of one prompt are."""
    random = np.random.default_rng(settings.seed)
    asked = list(_prompts(scorer.pairs, settings.seed))
    chosen = random.permutation(len(asked))[: settings.captions]
    prompts = [
        Prompt(asked[place].caption, asked[place].fields, asked[place].seconds, number)
        for place in chosen
        for number in range(settings.motions)
    ]
    name = _name(level)
    motions = _generate(generator, prompts, level, stage(f"{name}, MultiModality", progress))
    return scorer.multimodality(name, _parts(motions, settings.motions))
