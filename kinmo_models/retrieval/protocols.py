"""The four protocols of retrieval (KinMo section 4.1, after TMR), from similarities to R@k and MedR.

    a  all                 the whole split is searched
    b  all with threshold  as (a), and a motion whose caption means nearly the same counts too
    c  dissimilar subset   100 captions that are far from each other
    d  small batches       random batches of 32, averaged

Who counts as found: `paired`, only the motion that the caption was written for (TMR); `same caption`, any
motion with the very same caption as well; in (b) `similar text` takes the place of both, as it includes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinmo_models.metrics.ranking import (
    DISSIMILAR,
    SMALL_BATCH,
    Ranking,
    alike,
    average,
    dissimilar_subset,
    rank_pairs,
    same,
    small_batches,
)

TITLES: Final = {
    "a": "all",
    "b": "all with threshold",
    "c": "dissimilar subset",
    "d": "small batches",
}
PAIRED: Final = "paired"
SAME_CAPTION: Final = "same caption"
SIMILAR_TEXT: Final = "similar text"
TEXT_TO_MOTION: Final = "text to motion"
MOTION_TO_TEXT: Final = "motion to text"
DIRECTIONS: Final = (TEXT_TO_MOTION, MOTION_TO_TEXT)

# TMR's, on the scale (cosine + 1) / 2. The paper's section 4.1 says 0.8 without its scale.
THRESHOLD: Final = 0.95


@dataclass(frozen=True)
class Protocol:
    """One protocol with one scorer, made for one split.

    Attributes:
        letter: "a" to "d".
        scorer: who counts as found.
        relevant: (N, N) who counts, or None for the paired item alone.
        parts: positions that are searched among themselves; figures are averaged over the parts.
        note: how it was set up.
    """

    letter: str
    scorer: str
    relevant: NDArray[np.bool_] | None
    parts: tuple[NDArray[np.intp], ...]
    note: str = ""

    def measure(self, similarity: NDArray[np.floating], direction: str) -> Ranking:
        """Rank a split.

        Args:
            similarity: (N, N), a row for each text, a column for each motion.
            direction: one of `DIRECTIONS`.
        """
        turned = similarity if direction == TEXT_TO_MOTION else similarity.T
        return average([self._measure_part(turned, part) for part in self.parts])

    def _measure_part(self, similarity: NDArray[np.floating], part: NDArray[np.intp]) -> Ranking:
        square = np.ix_(part, part)
        relevant = None if self.relevant is None else self.relevant[square]
        return rank_pairs(similarity[square], relevant)


def make_protocols(
    captions: Sequence[str],
    sentences: NDArray[np.floating],
    threshold: float = THRESHOLD,
    listed: Sequence[int] | None = None,
) -> list[Protocol]:
    """Set the four protocols up for a split; (d) is left out where the split is smaller than a batch.

    Args:
        captions: one of each motion, motions in the order of their ids.
        sentences: (N, D) unit sentence embeddings of the captions, for (b) and (c).
        threshold: of (b), on the scale (cosine + 1) / 2.
        listed: positions of a published subset for (c); chosen by farthest point without it.
    """
    subset = dissimilar_subset(sentences) if listed is None else np.sort(np.asarray(listed, np.intp))
    chosen = "by farthest point on sentence embeddings" if listed is None else "from a list of ids"
    if listed is None and len(subset) < DISSIMILAR:
        chosen += f", fewer than {DISSIMILAR} as the split has no more different captions"
    everything = protocol_all(captions)
    similar = f"text similarity above {threshold:g} on the scale (cosine + 1) / 2 counts"
    found = [
        *everything,
        Protocol("b", SIMILAR_TEXT, alike(sentences, threshold), everything[0].parts, similar),
        *_both_scorers("c", captions, (subset,), f"{len(subset)} captions chosen {chosen}"),
    ]
    if batches := small_batches(len(captions)):
        note = f"{len(batches)} batches of {SMALL_BATCH}, shuffled with seed 0"
        found += _both_scorers("d", captions, tuple(batches), note)
    return found


def protocol_all(captions: Sequence[str]) -> list[Protocol]:
    """Set protocol (a) up alone, with both scorers."""
    return _both_scorers("a", captions, (np.arange(len(captions)),), f"{len(captions)} motions")


def _both_scorers(
    letter: str, captions: Sequence[str], parts: tuple[NDArray[np.intp], ...], note: str
) -> list[Protocol]:
    equal = same(captions)
    return [Protocol(letter, PAIRED, None, parts, note), Protocol(letter, SAME_CAPTION, equal, parts, note)]
