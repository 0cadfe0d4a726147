"""A round of review: which sentences of which motions, judged by whom."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kinmo_annotate.dataset.read import iterate_groups, way_on
from kinmo_annotate.schema.records import CONTRADICTED, MotionError
from kinmo_annotate.schema.shards import Manifest
from kinmo_annotate.schema.skeleton import FIELDS

# The paper's setting: two people judge the legs of twenty motions.
MOTIONS: Final = 20
LEGS: Final = ("left_leg", "right_leg")
EVALUATORS: Final = ("a", "b")
ADJUDICATION: Final = "adjudication"  # stands where an evaluator's name does; nobody may be called so

Item = tuple[str, str]  # motion_id and field: one sentence

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Round:
    """Which sentences are judged together, and by whom. A round never changes once it is stored.

    Attributes:
        name: unique in the dataset; letters, digits, `_`, `.` and `-`.
        dataset: the folder whose sentences are judged.
        motion_ids: in the order in which they are shown.
        fields: the groups and pairs whose sentences are judged, of every motion.
        prompt_version: of the prompt, or of the rules, that wrote the sentences.
        seed: that chose the motions.
        evaluators: their names, letters and digits as in `name`.
        created_at: UTC, ISO 8601.
        parent: the round before, of the same motions with an older prompt; None for the first.

    Raises:
        MotionError: a name that cannot be used, no motion, an unknown field, anything named twice.
    """

    name: str
    dataset: Path
    motion_ids: tuple[str, ...]
    fields: tuple[str, ...] = LEGS
    prompt_version: str = ""
    seed: int = 0
    evaluators: tuple[str, ...] = EVALUATORS
    created_at: str = ""
    parent: str | None = None

    def __post_init__(self) -> None:
        for name in (self.name, *self.evaluators):
            _check_name(name)
        if ADJUDICATION in self.evaluators:
            raise MotionError(self.name, f"nobody may be called {ADJUDICATION}", "Choose another name.")
        unknown = [field for field in self.fields if field not in FIELDS]
        if unknown:
            reason = f"{unknown[0]} is no group or pair"
            raise MotionError(self.name, reason, f"Choose from {', '.join(FIELDS)}.")
        for what, given in (
            ("motion", self.motion_ids), ("group or pair", self.fields), ("evaluator", self.evaluators),
        ):  # fmt: skip
            _check_each_once(self.name, what, given)

    @property
    def items(self) -> tuple[Item, ...]:
        """Every sentence to judge as (motion_id, field), motion by motion."""
        return tuple((motion_id, field) for motion_id in self.motion_ids for field in self.fields)


def _check_name(name: str) -> None:
    """Refuse names that could not stand in a link, a file name or a table as they are."""
    if not _NAME.fullmatch(name):
        remedy = "Use up to 64 letters a-z, digits, _, . and -, a letter or digit first."
        raise MotionError(repr(name[:80]), "cannot be the name of a round or an evaluator", remedy)


def _check_each_once(name: str, what: str, given: Sequence[str]) -> None:
    """Refuse an empty list, and one that names something twice."""
    if not given:
        raise MotionError(name, f"the round has no {what}", f"Give it at least one {what}.")
    twice = sorted({one for one in given if given.count(one) > 1})
    if twice:
        raise MotionError(name, f"the round names the {what} {twice[0]!r} twice", "Name each once.")


def utc_now() -> str:
    """Tell the time as the store writes it: UTC, ISO 8601, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


# ------------------------------------------------------------ drawing a round

_COLUMNS: Final = ("motion_id", "source", "captions", "checks")
_SUBJECT: Final = (
    r"\b(?:person|someone|somebody|individual|man|woman|boy|girl|guy|lady|figure|human|character|he|she)\s+"
)
_HELPERS: Final = r"(?:(?:who|that|is|are|was|were|has|have|been|then|\w+ly)\s+)*"
_ACTION: Final = re.compile(f"{_SUBJECT}{_HELPERS}([a-z]+)")


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A motion that may be drawn.

    Attributes:
        motion_id: of the motion.
        stratum: the source's dataset and what its first caption says is done.
        contradicted: claims of the judged sentences that the fact check contradicts.
    """

    motion_id: str
    stratum: tuple[str, str]
    contradicted: int


def sample_round(
    dataset: str | Path,
    *,
    name: str,
    motions: int = MOTIONS,
    seed: int = 0,
    fields: Sequence[str] = LEGS,
    stratify: bool = False,
    contradicted_first: bool = False,
    evaluators: Sequence[str] = EVALUATORS,
) -> Round:
    """Draw motions for a round of review, from all splits; the defaults are the paper's setting.

    The order of the draw is that of a digest of seed and motion id. So it is the same however the dataset is
    cut into shards, and a motion that is added or taken away changes nobody else's place.

    Args:
        dataset: its folder.
        name: of the round.
        motions: how many.
        seed: of the draw.
        fields: the groups and pairs to judge.
        stratify: take turns between kinds of motion: by the dataset that a motion came from, and by the verb
            of its first caption. Rare kinds are then drawn more often than they occur.
        contradicted_first: motions whose judged sentences have most contradicted claims come first (of each
            kind, with `stratify`); among equals the draw decides.
        evaluators: their names.

    Raises:
        DatasetError: the dataset cannot be read.
        MotionError: it has too few motions; or see `Round`.
    """
    dataset = Path(dataset)
    round = Round(
        name, dataset, ("any",), tuple(fields), Manifest.load(dataset).prompt_version, seed,
        tuple(evaluators), utc_now(),
    )  # fmt: skip
    order = sorted(_candidates(dataset, round.fields), key=lambda one: _draw(one, seed, contradicted_first))
    if not 1 <= motions <= len(order):
        reason = f"has {len(order)} motions, and {motions} are to be drawn"
        remedy = f"Ask for 1 to {len(order)} with --motions."
        if not order:
            remedy = f"Write its rows first: {way_on(dataset) or 'the same `kinmo annotate run` goes on'}"
        raise MotionError(str(dataset), reason, remedy)
    if stratify:
        order = _taking_turns(order)
    return replace(round, motion_ids=tuple(one.motion_id for one in order[:motions]))


def _candidates(dataset: Path, fields: Sequence[str]) -> Iterator[_Candidate]:
    """List every motion, with what the draw looks at."""
    for _, table in iterate_groups(dataset, _COLUMNS):
        for record in table.to_pylist():
            contradicted = sum(
                check["verdict"] == CONTRADICTED and check["field"] in fields for check in record["checks"]
            )
            caption = record["captions"][0]["text"] if record["captions"] else ""
            stratum = record["source"]["dataset"], action_word(caption)
            yield _Candidate(record["motion_id"], stratum, contradicted)


def _draw(candidate: _Candidate, seed: int, contradicted_first: bool) -> tuple[int, bytes]:
    """Give a motion its place in the draw."""
    digest = hashlib.sha256(f"{seed} {candidate.motion_id}".encode("utf-8", "backslashreplace")).digest()
    return (-candidate.contradicted if contradicted_first else 0), digest


def _taking_turns(order: Sequence[_Candidate]) -> list[_Candidate]:
    """Put the first of each stratum first, then the second of each, and so on."""
    seen: Counter[tuple[str, str]] = Counter()
    turns = []
    for candidate in order:
        turns.append(seen[candidate.stratum])
        seen[candidate.stratum] += 1
    return [order[index] for index in sorted(range(len(order)), key=turns.__getitem__)]


def action_word(caption: str) -> str:
    """Find what a caption says that somebody does, without its ending: "a man is walking" gives "walk".

    The word after the one who does it, helping verbs and words in -ly passed over; "" where there is none.
    """
    found = _ACTION.search(caption.lower())
    if found is None:
        return ""
    stem = re.sub(r"(?:ing|es|s|e)$", "", found[1])
    return re.sub(r"([^aeiousl])\1$", r"\1", stem)
