"""Procedural demo motions with known truth: some fifty kinds of action, posed by inverse kinematics.

`make_motion(seed, index)` makes one; `write_demo(out, motions, seed)` writes a set in HumanML3D's layout with
`truth.jsonl` beside it. Head turns and head shakes are left out: 22 joint positions do not show the yaw of a
head.
"""

from kinmo_annotate.sources.procedural.motions import DemoMotion, kind_of, make_kind, make_motion
from kinmo_annotate.sources.procedural.registry import KINDS
from kinmo_annotate.sources.procedural.truth import TruthEvent, mirror_event
from kinmo_annotate.sources.procedural.write import truth_line, write_demo

__all__ = [
    "KINDS", "DemoMotion", "TruthEvent", "kind_of", "make_kind", "make_motion", "mirror_event", "truth_line",
    "write_demo",
]  # fmt: skip
