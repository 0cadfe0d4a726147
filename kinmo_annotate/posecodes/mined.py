"""Statistics of posecodes over real motions; benchmarks/mine_posecodes.py wrote it."""

from __future__ import annotations

from typing import Final

# Shown by more than 22 % of the frames: saying it tells little.
DROPPED: Final[frozenset[str]] = frozenset(
    {
        "left_knee slightly_bent",
        "left_knee straight",
        "right_knee slightly_bent",
        "right_knee straight",
        "left_elbow slightly_bent",
        "left_elbow straight",
        "right_elbow slightly_bent",
        "right_elbow straight",
        "left_hand spread right_hand",
        "left_hand wide right_hand",
        "left_knee close right_knee",
        "left_foot close right_foot",
        "left_thigh vertical",
        "right_thigh vertical",
        "torso vertical",
        "left_foot shoulder_width right_foot",
    }
)

# (A, B or "", C): where A and B are said, C goes without saying.
IMPLIED: Final[tuple[tuple[str, str, str], ...]] = (
    ("left_hand close right_hand", "left_hand above neck", "right_hand above neck"),
    ("left_hand close right_hand", "right_hand above neck", "left_hand above neck"),
    ("left_elbow below right_elbow", "left_hand behind right_hand", "left_hand below right_hand"),
    ("left_elbow above right_elbow", "left_hand front right_hand", "left_hand above right_hand"),
    ("left_hand below right_hand", "left_hand behind torso", "left_hand behind right_hand"),
    ("left_hand above right_hand", "right_hand behind torso", "left_hand front right_hand"),
    ("left_hand behind right_hand", "right_hand above neck", "left_hand below right_hand"),
    ("left_hand behind right_hand", "left_upperarm vertical", "left_hand below right_hand"),
    ("left_hand behind right_hand", "right_upperarm horizontal", "left_hand below right_hand"),
    ("left_hand front right_hand", "left_hand above neck", "left_hand above right_hand"),
    ("left_hand front right_hand", "left_upperarm horizontal", "left_hand above right_hand"),
    ("left_hand front right_hand", "right_upperarm vertical", "left_hand above right_hand"),
    ("left_knee behind right_knee", "left_foot above right_foot", "left_foot behind right_foot"),
    ("left_knee front right_knee", "left_foot below right_foot", "left_foot front right_foot"),
    ("left_hand above neck", "left_hand shoulder_width right_hand", "right_hand above neck"),
    ("left_foot behind torso", "right_foot front torso", "left_foot behind right_foot"),
    ("left_foot front torso", "right_foot behind torso", "left_foot front right_foot"),
    ("right_hand above neck", "left_hand shoulder_width right_hand", "left_hand above neck"),
)
