"""Versions of the prompt, kept beside the dataset: `DATASET/prompts/FINGERPRINT.md` and `lineage.json`.

Every version names its parent, the round whose errors it answers, who wrote it, what was decided about it,
and how the rounds that were judged with it turned out. Files of prompts are never changed; lineage.json is
replaced as a whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from kinmo_annotate.describe.llm.prompt import Prompt, load_prompt, prompt_text
from kinmo_annotate.resume import locked
from kinmo_annotate.review.agreement import Agreement
from kinmo_annotate.review.rounds import utc_now
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.schema.shards import DatasetError, atomic_write

PROMPTS_DIR: Final = "prompts"
LINEAGE_NAME: Final = "lineage.json"
FORMAT_VERSION: Final = 1
_FORMAT: Final = "kinmo-prompt-lineage"

PROPOSED: Final = "proposed"
ACCEPTED: Final = "accepted"
REJECTED: Final = "rejected"
STATUSES: Final = (PROPOSED, ACCEPTED, REJECTED)

Figures = dict[str, float | int | None]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a prompt, and the kind of error that it answers."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the prompt.

    Attributes:
        fingerprint: of its words; its file is `FINGERPRINT.md`.
        author: who wrote it, such as "model gpt-4o-mini" or "person".
        status: one of `STATUSES`.
        created_at: UTC, ISO 8601.
        parent: fingerprint of the version that it was made from; None for the first.
        round: whose errors it answers; None for the first.
        edited_from: the proposal that a person changed into this version, if one did.
        decided_at: when it was accepted or rejected; empty before.
        changes: what its author says about it.
        figures: agreement and error rate of the rounds judged with it, by round.
    """

    fingerprint: str
    author: str
    status: str
    created_at: str
    parent: str | None = None
    round: str | None = None
    edited_from: str | None = None
    decided_at: str = ""
    changes: tuple[Change, ...] = ()
    figures: dict[str, Figures] = field(default_factory=dict)


class Lineage:
    """The versions of one dataset's prompt. Several processes may use it; the last to save must not be late.

    Attributes:
        folder: `DATASET/prompts`.
        versions: by fingerprint, oldest first.
    """

    def __init__(self, dataset: Path) -> None:
        """Read the lineage of a dataset; a dataset without one has no versions yet.

        Raises:
            DatasetError: it is damaged, or a newer kinmo wrote it.
        """
        self.folder = dataset / PROMPTS_DIR
        self.versions = _read(self.folder / LINEAGE_NAME)

    def file(self, fingerprint: str) -> Path:
        """Name the file of a version.

        Raises:
            MotionError: there is no such version.
        """
        return self.folder / f"{self.version(fingerprint).fingerprint}.md"

    def version(self, fingerprint: str) -> Version:
        """Look a version up.

        Raises:
            MotionError: there is none.
        """
        if fingerprint not in self.versions:
            known = ", ".join(self.versions) or "none"
            reason = f"has no prompt version {fingerprint[:80]!r}"
            raise MotionError(str(self.folder), reason, f"There are: {known}.")
        return self.versions[fingerprint]

    def prompt(self, fingerprint: str) -> Prompt:
        """Read a version's words.

        Raises:
            MotionError: there is none, or its file was changed.
        """
        found = load_prompt(self.file(fingerprint))
        if found.fingerprint != fingerprint:
            reason = f"was changed: its words have the fingerprint {found.fingerprint}"
            remedy = "Put the file back, and give changed words with `kinmo annotate refine --edited FILE`."
            raise MotionError(str(self.file(fingerprint)), reason, remedy)
        return found

    def text(self, fingerprint: str) -> str:
        """Give a version's file as it stands."""
        self.prompt(fingerprint)
        return prompt_text(self.file(fingerprint))

    def of_round(self, round: str, *statuses: str) -> list[Version]:
        """List the versions that answer a round, of these statuses, oldest first."""
        return [one for one in self.versions.values() if one.round == round and one.status in statuses]

    # ------------------------------------------------------------ changes

    def add(self, text: str, version: Version) -> Version:
        """Keep a version: its file first, then the lineage that names it.

        Args:
            text: of its file; `version.fingerprint` is its.
            version: what is known of it. One that is there already is replaced, unless it was accepted.

        Raises:
            MotionError: its parent is not there, or it was accepted before.
            DatasetError: it cannot be written.
        """
        with self._changing():
            if version.parent is not None:
                self.version(version.parent)
            known = self.versions.get(version.fingerprint)
            if known and known.status == ACCEPTED:
                reason = f"is the version {known.fingerprint}, which is there already"
                raise MotionError("the new prompt", reason, "Change its words, or go back to that version.")
            path = self.folder / f"{version.fingerprint}.md"
            atomic_write(path, lambda file: file.write(text.encode("utf-8", "backslashreplace")))
            self.versions.pop(version.fingerprint, None)  # so that it stands after its parent
            self.versions[version.fingerprint] = version
            self.prompt(version.fingerprint)
        return version

    def decide(self, fingerprint: str, status: str) -> Version:
        """Write down that a version is accepted or rejected.

        Raises:
            MotionError: there is none.
            DatasetError: it cannot be written.
        """
        with self._changing():
            decided = replace(self.version(fingerprint), status=status, decided_at=utc_now())
            self.versions[fingerprint] = decided
        return decided

    def record(self, fingerprint: str, round: str, figures: Figures) -> None:
        """Write down how a round that was judged with a version turned out; twice the same changes nothing.

        Raises:
            MotionError: there is no such version.
            DatasetError: it cannot be written.
        """
        if self.version(fingerprint).figures.get(round) == figures:
            return
        with self._changing():
            known = self.version(fingerprint)
            self.versions[fingerprint] = replace(known, figures=known.figures | {round: figures})

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the folder, take over what others changed meanwhile, and save."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"cannot be made ({(error.strerror or str(error)).lower()})"
            raise DatasetError(self.folder, reason, "Check that you may write there.") from None
        with locked(self.folder):
            self.versions = _read(self.folder / LINEAGE_NAME)
            yield
            content = {"format": _FORMAT, "version": FORMAT_VERSION, "versions": self.as_json()}
            text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
            encoded = text.encode("utf-8", "backslashreplace")
            atomic_write(self.folder / LINEAGE_NAME, lambda file: file.write(encoded))

    # ------------------------------------------------------------ to show

    def as_json(self) -> list[dict[str, Any]]:
        """Give the versions as JSON values, oldest first."""
        return [asdict(one) for one in self.versions.values()]

    def tree(self) -> list[tuple[int, Version]]:
        """List the versions from the first on, each after its parent, with its depth."""
        listed: list[tuple[int, Version]] = []

        def add(parent: str | None, depth: int) -> None:
            for one in self.versions.values():
                if one.parent == parent:
                    listed.append((depth, one))
                    add(one.fingerprint, depth + 1)

        add(None, 0)
        return listed


def ensure_root(lineage: Lineage, fingerprint: str, prompt: Path | None) -> Version:
    """Give the version that wrote a round's sentences; where it is new, keep it as a first one.

    Args:
        lineage: of the dataset.
        fingerprint: that the rows carry.
        prompt: its file, where it is neither in the lineage nor the one that comes with KinMo.

    Raises:
        MotionError: the words are not at hand.
        DatasetError: it cannot be written.
    """
    if fingerprint in lineage.versions:
        return lineage.version(fingerprint)
    found = load_prompt(prompt)
    if found.fingerprint != fingerprint:
        what = str(prompt) if prompt else "the prompt that comes with KinMo"
        reason = f"the sentences were written with {fingerprint}, and {what} is {found.fingerprint}"
        raise MotionError("--prompt", reason, "Give the file that `annotate run --prompt` was given.")
    author = "person" if prompt else "kinmo"
    now = utc_now()
    return lineage.add(prompt_text(prompt), Version(fingerprint, author, ACCEPTED, now, decided_at=now))


def figures_of(found: Agreement) -> Figures:
    """Give what the lineage keeps of a round's agreement: over all its sentences."""
    overall = found.overall
    values = {
        "sentences": overall.items,
        "agreement": overall.agreement.value,
        "kappa": overall.kappa.value,
        "kappa_low": overall.kappa.low,
        "kappa_high": overall.kappa.high,
        "ac1": overall.ac1.value,
        "error_rate": overall.error_rate.value,
    }
    return {
        name: None if math.isnan(value) else round(value, 6) if isinstance(value, float) else value
        for name, value in values.items()
    }


def _read(path: Path) -> dict[str, Version]:
    """Read lineage.json; where there is none there are no versions.

    Raises:
        DatasetError: it is damaged, or newer than this kinmo.
    """
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != _FORMAT:
            raise ValueError("it has another format")
        if content["version"] > FORMAT_VERSION:
            remedy = "Upgrade with `pip install --upgrade kinmo`."
            raise DatasetError(path, "was written by a newer kinmo", remedy)
        found = [_version(values) for values in content["versions"]]
        return {one.fingerprint: one for one in _known_parents(found)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DatasetError(path, f"is damaged ({error})", "Put a copy back from your backup.") from None


def _version(values: Mapping[str, Any]) -> Version:
    """Read one version.

    Raises:
        ValueError: a fingerprint that is no file name, or an unknown status.
        TypeError: something is missing or unknown.
    """
    names = {one.name for one in fields(Version)}
    changes = tuple(Change(str(one["what"]), str(one["why"])) for one in values.get("changes", ()))
    made = Version(**{name: values[name] for name in values if name in names} | {"changes": changes})
    if Path(made.fingerprint).name != made.fingerprint or made.fingerprint.startswith("."):
        raise ValueError(f"{made.fingerprint!r} is no fingerprint")
    if made.status not in STATUSES:
        raise ValueError(f"{made.status!r} is no status")
    return made


def _known_parents(versions: Sequence[Version]) -> Sequence[Version]:
    """Refuse a version whose parent does not stand before it, so that the tree has no circle.

    Raises:
        ValueError: there is one.
    """
    seen: set[str] = set()
    for one in versions:
        if one.parent is not None and one.parent not in seen:
            raise ValueError(f"the parent of {one.fingerprint} is missing")
        seen.add(one.fingerprint)
    return versions
