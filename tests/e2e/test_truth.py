"""Are the sentences right? Against the known truth of demo motions, and against the labels of real ones."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path

import pytest

from kinmo_annotate.describe import describe_motion
from kinmo_annotate.schema.records import Motion
from kinmo_annotate.scoring import Known, Report, score_motion
from kinmo_annotate.sources import open_source
from kinmo_annotate.sources.procedural import make_motion

RISES = re.compile(r"\b(rises|raises|raised|lifts|lifted|goes up|comes up)\b", re.IGNORECASE)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 31])
def test_demo_motions_are_described_as_they_are(seed: int) -> None:
    report = Report()
    for index in range(60):
        demo = make_motion(seed, index)
        known = Known(
            tuple(e for e in demo.events if e.salient), tuple(e for e in demo.events if not e.salient)
        )
        sentences = describe_motion(demo.motion, seed=seed)
        score_motion(report, demo.motion.motion_id, sentences, known, demo.motion.duration_s)
    total = report.total()
    assert total.precision >= 0.95
    assert total.recall >= 0.95
    assert total.swapped == 0


def arms_rise_as_named(sentences: dict[str, str], content: str) -> bool:
    """The named arm's sentence says that it rises, the other's does not."""
    side = content.removeprefix("raise-up-").removeprefix("wave-").split("-")[0]
    return all(
        bool(RISES.search(sentences[f"{arm}_arm"])) == (side in (arm, "both")) for arm in ("left", "right")
    )


def says(pattern: str, *fields: str) -> object:
    """Make a check that one of the fields' sentences matches."""
    return lambda sentences, _: any(re.search(pattern, sentences[f], re.IGNORECASE) for f in fields)


CHECKS = {
    r"raise-up-(left|right|both)-hands?": arms_rise_as_named,
    r"wave-(left|right|both)-hands?": arms_rise_as_named,
    "walk-turn-left": says(r"turns[^.]* left", "torso"),
    "walk-turn-right": says(r"turns[^.]* right", "torso"),
    "walk|run|dash": says(r"\b(moves|travels|advances) forward", "torso"),
    "walk-back": says(r"\b(moves|travels|retreats) backward", "torso"),
    "walk-left": says(r"\b(moves|travels sideways|shifts) to the left", "torso"),
    "walk-right": says(r"\b(moves|travels sideways|shifts) to the right", "torso"),
    "bow": says(r"\b(bends|leans|bows) forward", "torso"),
}


@pytest.fixture(scope="module")
def labelled(shared_data: Path) -> dict[str, list[tuple[str, Motion]]]:
    """Real motions of the actors' data set by the check that their label asks for."""
    folder = shared_data / "mocap"
    source = open_source(folder)
    entries = {e.motion_id: e for e in source.entries()}
    found = defaultdict(list)
    with (folder / "index.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for pattern in CHECKS:
                if row["source_dataset"].startswith("Bandai") and re.fullmatch(pattern, row["content"]):
                    found[pattern].append((row["content"], source.load(entries[row["id"]])))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("pattern", CHECKS)
def test_real_motions_are_described_by_their_labels(
    pattern: str, labelled: dict[str, list[tuple[str, Motion]]]
) -> None:
    motions = labelled[pattern]
    wrong = [
        m.motion_id for content, m in motions if not CHECKS[pattern](describe_motion(m, seed=0), content)
    ]
    assert len(motions) >= 10
    assert len(wrong) <= 0.03 * len(motions), wrong
