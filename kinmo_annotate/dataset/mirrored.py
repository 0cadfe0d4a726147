"""A motion seen in a mirror: joints, names and words with left and right exchanged."""

from __future__ import annotations

import re
from typing import Any, Final

from kinmo_annotate.schema.arrow import Frames, Record
from kinmo_annotate.schema.features import joints_to_features
from kinmo_annotate.schema.mirror import mirror_text
from kinmo_annotate.schema.skeleton import FIELDS, GROUP_NAMES, PAIR_NAMES, mirror_field, mirror_joints

# Pairs whose two groups exchange places in the mirror; what is claimed of `a` and `b` then turns round.
_TURNED: Final = frozenset({"left_arm__right_arm", "left_leg__right_leg"})
_TURNED_ABOUT: Final = re.compile(r"\bright (arm|leg) and left \1\b")
_ROLES: Final = {"above": "below", "below": "above", "in front of": "behind", "behind": "in front of"}
_ROLE: Final = re.compile(r"\b(above|below|in front of|behind)\b")


def mirror_id(motion_id: str) -> str:
    """Name the mirrored motion as HumanML3D does: M in front, or taken away where the rest is a number."""
    if motion_id.startswith("M") and motion_id[1:].isdecimal():
        return motion_id[1:]
    return f"M{motion_id}"


def mirror_row(
    record: Record, joints: Frames | None, features: Frames | None
) -> tuple[Record, Frames | None, Frames | None]:
    """Mirror one row: its text columns, its joints (T, 22, 3) or None, and its features or None.

    Features are computed anew from the mirrored joints, so they have T - 1 frames.
    """
    texts = {**record["groups"], **record["interactions"]}
    # the field that a field becomes receives its words
    mirrored = {mirror_field(name): mirror_text(texts[name]) for name in FIELDS}
    new = {
        **record,
        "motion_id": mirror_id(record["motion_id"]),
        "captions": [{**one, "text": mirror_text(one["text"], free=True)} for one in record["captions"]],
        "groups": {name: mirrored[name] for name in GROUP_NAMES},
        "interactions": {name: mirrored[name] for name in PAIR_NAMES},
        "keyframes": [{**one, "caption": mirror_text(one["caption"])} for one in record["keyframes"]],
        "checks": [_mirror_check(check) for check in record["checks"]],
        "review": {
            **record["review"],
            "errors": [mirror_text(one, free=True) for one in record["review"]["errors"]],
        },
    }
    if joints is None:
        return new, None, None
    positions = mirror_joints(joints)
    return new, positions, None if features is None else joints_to_features(positions)


def _mirror_check(check: dict[str, Any]) -> dict[str, Any]:
    """Mirror a check: its field, and the sides in its claim.

    The fact check says of left and right arm (or leg), in this order, that the first comes above the second.
    So where the mirror exchanges them, they are put in order again and the roles exchanged.
    """
    field, claim = check["field"] or "", check["claim"] or ""
    mirrored = mirror_text(claim)
    if field in _TURNED:
        ordered = _TURNED_ABOUT.sub(r"left \1 and right \1", mirrored)
        if ordered != mirrored or mirrored == claim:
            mirrored = _ROLE.sub(lambda match: _ROLES[match[1]], ordered)
    return {**check, "field": mirror_field(field) if field in FIELDS else field, "claim": mirrored}
