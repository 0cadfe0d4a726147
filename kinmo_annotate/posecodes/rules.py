"""Posecodes that others make needless: what follows from geometry, then what was mined from motions.

A rule (A, B or "", C) silences C wherever A and B are still said. Rules run in order, each on what the ones
before it left standing, so no two facts can silence each other. Source: spec/posescript.md 5.3, 7.1 and
7.4; two things differ from it. A hand *close* to a part silences its alignments with that part (there the
alignment wins, which says less). And order relations are pruned as plain rules, so no code can be removed
twice.
"""

from __future__ import annotations

from typing import Final

from kinmo_annotate.posecodes.facts import FACTS, INDEX, SIDES
from kinmo_annotate.posecodes.mined import IMPLIED

Rule = tuple[str, str, str]
_INSIDE: Final = {
    "thigh": ("hip", "knee"),
    "shin": ("knee",),
    "upperarm": ("shoulder", "elbow"),
    "forearm": ("elbow",),
}


def _transitive() -> list[Rule]:
    """Leave out that a is over c, where a is over b and b over c."""
    triangles = (
        ("hand", "above", "below", "neck"), ("hand", "behind", "front", "torso"),
        ("foot", "behind", "front", "torso"), ("foot", "front", "behind", "torso"),
    )  # fmt: skip
    rules = []
    for part, relation, inverse, mark in triangles:
        left, right = f"left_{part}", f"right_{part}"
        rules.append(
            (f"{left} {relation} {right}", f"{right} {relation} {mark}", f"{left} {relation} {mark}")
        )
        rules.append((f"{left} {inverse} {right}", f"{left} {relation} {mark}", f"{right} {relation} {mark}"))
    return rules


def _alignments() -> list[Rule]:
    """Closeness says more than alignment; a limb's end says more than its middle; one axis set is enough."""
    rules = []
    for fact in FACTS:
        if not fact.relation.startswith("aligned") or fact.object is None:
            continue
        end, side, name = fact.subject.key, fact.object.side, fact.object.name
        causes = [f"{end} close {fact.object.key}"]
        causes += [f"{end} {fact.relation} {side}_{joint}" for joint in _INSIDE.get(name, ())]
        if fact.relation != "aligned_side":
            causes.append(f"{end} aligned_side {fact.object.key}")
        rules += [(cause, "", fact.key) for cause in causes if cause in INDEX]
    return rules


def _limbs() -> list[Rule]:
    """A limb's bend follows from the directions of its two segments; kneeling says what the knees do."""
    rules = [
        ("both_leg kneel", "", "both_leg kneel_left"),
        ("both_leg kneel", "", "both_leg kneel_right"),
        ("torso horizontal", "", "body bent_forward"),
    ]
    for side in SIDES:
        rules += [
            ("both_leg kneel", "", f"{side}_knee fully_bent"),
            ("both_leg kneel", "", f"{side}_shin horizontal"),
            (f"both_leg kneel_{side}", "", f"left_knee {'below' if side == 'left' else 'above'} right_knee"),
            (f"{side}_hand above neck", "", f"{side}_hand above {side}_shoulder"),
            (f"{side}_thigh vertical", f"{side}_shin vertical", f"{side}_knee straight"),
            (f"{side}_upperarm vertical", f"{side}_forearm horizontal", f"{side}_elbow square_bend"),
        ]
    return rules


STRUCTURAL: Final[tuple[Rule, ...]] = (*_transitive(), *_limbs(), *_alignments())
RULES: Final[tuple[Rule, ...]] = STRUCTURAL + IMPLIED
