"""From the errors of a round to an accepted prompt: asked for, proposed, then accepted, edited or rejected.

Every function may be called again after a kill: what is in the lineage is not made a second time.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kinmo_annotate.review.agreement import Agreement, agreement
from kinmo_annotate.review.consult import Consulted, consult
from kinmo_annotate.review.faults import gather
from kinmo_annotate.review.lineage import (
    ACCEPTED,
    PROPOSED,
    REJECTED,
    Lineage,
    Version,
    ensure_root,
    figures_of,
)
from kinmo_annotate.review.refine import Proposal, edited, make_task, unified_diff
from kinmo_annotate.review.rewrite import settings_like
from kinmo_annotate.review.rounds import Round, utc_now
from kinmo_annotate.review.store import Store
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.settings import Settings


def measured(store: Store, lineage: Lineage, round: Round, prompt: Path | None = None) -> Agreement:
    """Measure a finished round, and write its figures into the lineage.

    Args:
        store: of the reviewed dataset.
        lineage: of it.
        round: which.
        prompt: file of the prompt that wrote its sentences, where it is not known yet.

    Raises:
        MotionError: not all have finished, or the words of the prompt are not at hand.
        DatasetError: the lineage cannot be written.
    """
    found = agreement(store, round.name)
    ensure_root(lineage, round.prompt_version, prompt)
    lineage.record(round.prompt_version, round.name, figures_of(found))
    return found


def ask(
    store: Store, lineage: Lineage, found: Agreement, ways: Settings, model: str | None = None
) -> tuple[Version, Consulted]:
    """Ask a language model for the next version, and keep it as proposed.

    Args:
        store: of the reviewed dataset.
        lineage: of it.
        found: the round whose errors it is to answer.
        ways: caches, and how the endpoint is asked.
        model: that refines; None is the one that wrote the sentences.

    Raises:
        MotionError: nothing was found wrong, or no usable answer comes.
        DatasetError: something cannot be read or written.
    """
    round = found.round
    writer = settings_like(round.dataset, ways).asking
    asking = ways.asking
    if model is None or model == writer.model:
        asking = replace(asking, model=writer.model, options=writer.options)
    else:
        asking = replace(asking, model=model)
    task = make_task(lineage, round.prompt_version, found, gather(store, round))
    brought = consult(store.dataset, task, asking, ways.cache_dir)
    version = Version(
        fingerprint=brought.proposal.prompt.fingerprint,
        author=f"model {brought.model}",
        status=PROPOSED,
        created_at=utc_now(),
        parent=round.prompt_version,
        round=round.name,
        changes=brought.proposal.changes,
    )
    return lineage.add(brought.proposal.text, version), brought


def pending(lineage: Lineage, round: Round) -> Version | None:
    """Give the newest proposal that answers a round and waits for a decision."""
    waiting = lineage.of_round(round.name, PROPOSED)
    return waiting[-1] if waiting else None


def accepted(lineage: Lineage, round: Round) -> Version | None:
    """Give the newest version that answers a round and was accepted."""
    found = lineage.of_round(round.name, ACCEPTED)
    return found[-1] if found else None


def accept(lineage: Lineage, round: Round) -> Version:
    """Accept the proposal that waits.

    Raises:
        MotionError: there is none.
    """
    return lineage.decide(_waiting(lineage, round).fingerprint, ACCEPTED)


def reject(lineage: Lineage, round: Round) -> Version:
    """Reject the proposal that waits.

    Raises:
        MotionError: there is none.
    """
    return lineage.decide(_waiting(lineage, round).fingerprint, REJECTED)


def accept_edited(lineage: Lineage, round: Round, text: str) -> Version:
    """Accept a prompt that a person wrote, in the place of the proposal that waits, if one does.

    Args:
        lineage: of the reviewed dataset.
        round: whose errors it answers.
        text: of its file.

    Raises:
        MotionError: it cannot be used.
    """
    waiting = pending(lineage, round)
    if waiting and _same(lineage, waiting, text):
        return accept(lineage, round)
    new = edited(text, lineage.prompt(round.prompt_version), _taken(lineage))
    now = utc_now()
    version = Version(
        fingerprint=new.prompt.fingerprint,
        author="person",
        status=ACCEPTED,
        created_at=now,
        parent=round.prompt_version,
        round=round.name,
        edited_from=waiting.fingerprint if waiting else None,
        decided_at=now,
    )
    added = lineage.add(new.text, version)
    if waiting:
        lineage.decide(waiting.fingerprint, REJECTED)
    return added


def diff(lineage: Lineage, version: Version) -> list[str]:
    """Compare a version with its parent: the lines of a unified diff; nothing for a first one."""
    if version.parent is None:
        return []
    new = Proposal(lineage.text(version.fingerprint), lineage.prompt(version.fingerprint))
    return unified_diff(lineage.prompt(version.parent), lineage.text(version.parent), new)


def _waiting(lineage: Lineage, round: Round) -> Version:
    found = pending(lineage, round)
    if found is None:
        remedy = f"Ask for one: kinmo annotate refine {lineage.folder.parent}"
        raise MotionError(f"round {round.name}", "has no proposal that waits for a decision", remedy)
    return found


def _taken(lineage: Lineage) -> set[str]:
    """Name the versions that a person cannot write once more: a rejected one may be taken up again."""
    return {one.fingerprint for one in lineage.versions.values() if one.status == ACCEPTED}


def _same(lineage: Lineage, version: Version, text: str) -> bool:
    """Tell whether a person gave a proposal back as it was."""
    return lineage.text(version.fingerprint).strip() == text.strip()
