"""Derive from motions which posecodes are common, which are rare, and which follow from others.

The captioner's tables in `kinmo_annotate/posecodes/mined.py` come from this script. It looks at every fourth
frame and its mirror image, so that left and right get the same answer:

- common: shown by more than 22 % of the frames, as are elbows and knees that are straight or slightly bent.
  Saying it tells little, and buries what tells much: with everyday facts in every caption, two poses that
  differ by a raised arm are alike to sBERT beyond the paper's threshold.
- rare: shown by less than 6 %. Only counted: KinMo skips no posecode but alignments.
- implied: where A (and B) hold, C holds in at least 95 % of the frames and 1.5 times as often as anywhere,
  over 500 frames or more; every part of C is named in A or B, and
  neither cause is about other limbs only. Bends and
  alignments take no part: with them the motions at hand (narrow: standing people who raise
  hands, walk and run) give hundreds of rules that are habits of these actors, not of bodies.

Run: python benchmarks/mine_posecodes.py ../shared/data/mocap [--write]
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate.posecodes import extract
from kinmo_annotate.posecodes.facts import FACTS, INDEX, Fact, mirror_key
from kinmo_annotate.posecodes.rules import STRUCTURAL

COMMON, RARE, CONFIDENCE, LIFT, SUPPORT, STRIDE = 0.22, 0.06, 0.95, 1.5, 500, 4
TABLE = Path(__file__).parents[1] / "kinmo_annotate" / "posecodes" / "mined.py"


def observe(folder: Path) -> NDArray[np.bool_]:
    """Facts (F, N) of every fourth frame of every motion, then of their mirror images."""
    motions = [np.load(path, allow_pickle=False) for path in sorted((folder / "new_joints").glob("*.npy"))]
    parts = []
    for batch in extract.batches(motions):
        starts = np.cumsum([0, *(len(motion) for motion in batch)])
        parts.append(extract.posecodes(np.concatenate(batch), starts)[:, ::STRIDE])
    seen = np.concatenate(parts, axis=1)
    mirror = [INDEX[mirror_key(fact.key)] for fact in FACTS]
    return np.concatenate([seen, seen[mirror]], axis=1)


def is_bend(fact: Fact) -> bool:
    return fact.relation.endswith(("bent", "bend", "straight")) and fact.object is None


def related(result: Fact, *causes: Fact) -> bool:
    """Tell whether a rule may link these: comparisons only, and no part that the causes do not mention."""
    if any(is_bend(fact) or fact.relation.startswith("aligned") for fact in (result, *causes)):
        return False
    if not all(cause.groups & result.groups for cause in causes):
        return False
    names = {part.key for cause in causes for part in (cause.subject, cause.object) if part}
    return {part.key for part in (result.subject, result.object) if part} <= names


def implications(seen: NDArray[np.bool_], said: list[int]) -> list[tuple[str, str, str]]:
    """Rules (A, B or "", C), single causes first; a pair is left out where one of its causes is enough."""
    facts = seen[said].astype(np.float32)
    together, share = facts @ facts.T, facts.mean(axis=1)
    count = np.diag(together)
    rules, single = [], set()
    for a in range(len(said)):
        for c in range(len(said)):
            if a == c or count[a] < SUPPORT or not related(FACTS[said[c]], FACTS[said[a]]):
                continue
            if together[a, c] >= max(CONFIDENCE, LIFT * share[c]) * count[a]:
                rules.append((FACTS[said[a]].key, "", FACTS[said[c]].key))
                single.add((a, c))
    for a, b in combinations(range(len(said)), 2):
        if together[a, b] < SUPPORT:
            continue
        follows = facts[:, (facts[a] * facts[b]) > 0].mean(axis=1)
        for c in np.flatnonzero(follows >= np.maximum(CONFIDENCE, LIFT * share)):
            known = c in (a, b) or (a, c) in single or (b, c) in single
            if not known and related(FACTS[said[c]], FACTS[said[a]], FACTS[said[b]]):
                rules.append((FACTS[said[a]].key, FACTS[said[b]].key, FACTS[said[c]].key))
    return rules


def write_table(common: list[str], implied: list[tuple[str, str, str]]) -> None:
    def block(name: str, kind: str, rows: list[str], opening: str, closing: str) -> str:
        return (
            f"{name}: Final[{kind}] = {opening}\n" + "".join(f"    {row},\n" for row in rows) + closing + "\n"
        )

    text = '"""Statistics of posecodes over real motions; benchmarks/mine_posecodes.py wrote it."""\n\n'
    text += "from __future__ import annotations\n\nfrom typing import Final\n\n"
    text += "# Shown by more than 22 % of the frames: saying it tells little.\n"
    text += block("DROPPED", "frozenset[str]", [f'"{key}"' for key in common], "frozenset({", "})")
    text += '\n# (A, B or "", C): where A and B are said, C goes without saying.\n'
    rows = [f'("{a}", "{b}", "{c}")' for a, b, c in implied]
    text += block("IMPLIED", "tuple[tuple[str, str, str], ...]", rows, "(", ")")
    TABLE.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help="replace the table in the package")
    options = parser.parse_args()
    seen = observe(options.folder)
    share = seen.mean(axis=1)
    keys = [fact.key for fact in FACTS]
    common = [k for k, s in zip(keys, share, strict=True) if s > COMMON]
    rare = [k for k, s in zip(keys, share, strict=True) if s < RARE and " aligned_" not in k]
    said = [i for i, key in enumerate(keys) if key not in common]
    implied = implications(extract.drop_implied(seen, STRUCTURAL), said)
    print(
        f"{seen.shape[1]} frames with their mirror images; {len(common)} common, {len(rare)} rare, "
        f"{len(implied)} rules"
    )
    for a, b, c in implied:
        print(f"  {a}{' + ' + b if b else ''} => {c}")
    if options.write:
        write_table(common, implied)


if __name__ == "__main__":
    main()
